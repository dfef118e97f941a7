"""Answers about whole models, found again without importing onnx: reports and plan files.

An answer is decided by the bytes of the model file, by small integers in files beside it, by what
the user asked for, the chip, the onnx package and t10c's own code. Where packages add operators
(docs/custom-operators.md) no answers are kept: their code decides too, and nobody can tell which.
"""

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

from t10c.cache.cache import Cache
from t10c.cache.keys import Key, key_of
from t10c.hardware.document import spec_hash
from t10c.hardware.spec import HardwareSpec
from t10c.onnx_import.ranges import ExternalRange, read_range
from t10c.onnx_import.registry import ENTRY_POINT_GROUP

_LARGEST_MODEL_BYTES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _State:
    """What a model consists of at one time: digests of its file and of what is read beside it."""

    model: str
    beside: str
    file: tuple[int, ...]
    """What changes when the file does: device, number, size, times; empty for bytes."""


class CachedAnswers:
    """Answers about one model on one chip, for one request.

    `source` is a model file, or its bytes. `request` says what was asked for in JSON values; texts
    that do not change an answer are not in it.
    """

    def __init__(
        self, cache: Cache, source: Path | bytes, spec: HardwareSpec, request: dict[str, Any]
    ) -> None:
        self._cache = cache
        self._source = source
        self._parts: dict[str, Any] = {}
        self._state: _State | None = None
        if cache.in_use and not entry_points(group=ENTRY_POINT_GROUP):
            self._state = self._present_state()
        if self._state is not None:
            self._parts = {
                "name": source.stem if isinstance(source, Path) else "",
                "model": self._state.model,
                "beside": self._state.beside,
                "spec": spec_hash(spec),
                "onnx": version("onnx"),
                "request": request,
            }

    def report(self) -> dict[str, Any] | None:
        """The report that was kept, None if there is none."""
        return self._cache.recall(self._key("report"), _document) if self._parts else None

    def plan(self) -> bytes | None:
        """The bytes of the plan file that was kept with the report."""
        return self._cache.recall(self._key("plan"), bytes) if self._parts else None

    def keep(self, report: dict[str, Any], plan: bytes | None) -> None:
        """Keep an answer, unless the model changed since this object was made."""
        if self._parts and self._present_state() == self._state:
            entries = [(self._key("report"), json.dumps(report).encode())]
            if plan is not None:
                entries.append((self._key("plan"), plan))
            self._cache.keep(*entries)

    def _key(self, kind: str) -> Key:
        return key_of(kind, self._parts)

    def _present_state(self) -> _State | None:
        """The state of the model; None if it cannot be told, which its import will say."""
        if isinstance(self._source, bytes):
            return _State(hashlib.sha256(self._source).hexdigest(), "", ())
        try:
            # a pipe would be empty afterwards
            if not stat.S_ISREG(self._source.stat().st_mode):
                return None
            with self._source.open("rb") as file:
                found = _signature(file.fileno())
                if found[2] > _LARGEST_MODEL_BYTES:
                    return None
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            ranges = self._ranges(digest)
        except (OSError, ValueError):
            return None
        if ranges is None:
            return None
        return _State(digest, _digest_of(self._source.parent, ranges), found)

    def _ranges(self, digest: str) -> tuple[ExternalRange, ...] | None:
        """What an import may read beside the model; None if the model cannot be read."""
        key = key_of("files", {"model": digest})
        known = self._cache.recall(key, _ranges)
        if known is not None:
            return known
        from t10c.onnx_import.load import external_files

        assert isinstance(self._source, Path)
        data = self._source.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            return None
        found = external_files(data)
        rows = [[entry.location, entry.offset, entry.size_bytes] for entry in found]
        self._cache.keep((key, json.dumps(rows).encode()))
        return found


def _signature(descriptor: int) -> tuple[int, ...]:
    """Device, number, size and times of an open file."""
    found = os.fstat(descriptor)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _digest_of(directory: Path, ranges: tuple[ExternalRange, ...]) -> str:
    """sha256 of what the ranges contain now, missing ones included; empty for no ranges."""
    digest = hashlib.sha256()
    for wanted in ranges:
        data = read_range(directory, wanted)
        digest.update(b"-" if data is None else b"+" + hashlib.sha256(data).digest())
    return digest.hexdigest() if ranges else ""


def _document(data: bytes) -> dict[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("no report")
    return found


def _ranges(data: bytes) -> tuple[ExternalRange, ...]:
    try:
        rows = [(str(location), int(o), int(n)) for location, o, n in json.loads(data)]
    except TypeError as error:
        raise ValueError("no ranges") from error
    return tuple(ExternalRange(*row) for row in rows)
