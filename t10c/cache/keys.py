"""What decides a result, as a hash: equal keys mean equal results.

Every key contains a fingerprint of t10c's own code. A version to be counted up by hand would be
forgotten one day, and whoever changes a cost model would read the plans of the old one.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import t10c


@dataclass(frozen=True, slots=True)
class Key:
    """The identity of an entry; `kind` groups entries for people and is part of the digest."""

    kind: str
    digest: bytes


def key_of(kind: str, parts: dict[str, Any]) -> Key:
    """The key of a result that is decided by `parts`, JSON values, in whatever order they stand."""
    says = {"kind": kind, "code": code_fingerprint(), "parts": parts}
    text = json.dumps(says, sort_keys=True, separators=(",", ":"))
    return Key(kind, hashlib.sha256(text.encode()).digest())


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """sha256 of t10c's version and of all its modules."""
    return fingerprint(Path(t10c.__file__).parent, t10c.__version__)


def fingerprint(package: Path, version: str) -> str:
    """sha256 of a version and of the modules below a directory: their names and what they say."""
    digest = hashlib.sha256(version.encode())
    for folder, folders, files in os.walk(package):
        folders.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                path = Path(folder, name)
                text = path.read_bytes()
                digest.update(f"\n{path.relative_to(package)} {len(text)}\n".encode())
                digest.update(text)
    return digest.hexdigest()
