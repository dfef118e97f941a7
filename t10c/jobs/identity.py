"""What must be equal on two machines, or two days, for the same work to have the same result."""

import hashlib
import platform
from functools import lru_cache
from pathlib import Path

import t10c


@lru_cache(maxsize=1)
def source_digest() -> str:
    """sha256 of all of t10c's own modules, by their names and contents."""
    root = Path(t10c.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def identity() -> tuple[tuple[str, str], ...]:
    """Programs that decide results and how they travel, with their versions."""
    import numpy as np

    python = ".".join(platform.python_version_tuple()[:2])
    return (
        ("Python", python),
        ("numpy", np.__version__),
        ("t10c", f"{t10c.__version__} ({source_digest()[:12]})"),
    )


def differences(
    here: tuple[tuple[str, str], ...], there: tuple[tuple[str, str], ...]
) -> list[tuple[str, str, str]]:
    """What differs: the program, its version here, its version there."""
    other = dict(there)
    return [(name, version, other[name]) for name, version in here if other[name] != version]
