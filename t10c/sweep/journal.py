"""Points that are done, one line each, so that a sweep goes on where it was killed.

A line has the key of all that the point depends on, its figures, and a checksum. Lines are only
ever appended, whole; one that a kill cut short is cut off when the journal is opened again.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from t10c.errors import FileAccessError, InvalidInputError
from t10c.serialise import decode, encode
from t10c.sweep.result import PointResult

SCHEMA = "t10c.sweep-journal"
VERSION = 1


class Journal:
    """What is known of points, by key; None as file keeps nothing."""

    def __init__(self, file: BinaryIO | None, known: dict[str, PointResult]) -> None:
        self._file = file
        self.known = known

    def add(self, key: str, result: PointResult) -> None:
        """Keep the figures of a point, on disk before this returns (FileAccessError)."""
        written = encode(result)
        # as who goes on from the journal reads it: whole cycles become floats
        self.known[key] = decode(PointResult, written, "result")
        if self._file is not None:
            with _writing(self._file.name):
                self._file.write(_line({"key": key, "result": written}))
                self._file.flush()
                os.fsync(self._file.fileno())


@contextlib.contextmanager
def open_journal(path: Path | None) -> Iterator[Journal]:
    """The journal at `path`, made if it is not there; nobody else may have it open.

    Raises FileAccessError if it cannot be written or another sweep writes it, InvalidInputError if
    the file is something else.
    """
    if path is None:
        yield Journal(None, {})
        return
    with _writing(path):
        file = path.open("ab+")
    try:
        with _writing(path):
            _lock(file, path)
            known = _recovered(file, path)
        yield Journal(file, known)
    finally:
        with _writing(path):  # what could not be written is tried again
            file.close()


def read_journal(path: Path) -> dict[str, PointResult]:
    """The points that are done, without waiting for or disturbing who writes the journal."""
    try:
        return _parsed(path.read_bytes(), path)[0]
    except OSError:
        return {}


@contextlib.contextmanager
def _writing(path: str | Path) -> Iterator[None]:
    """What the system refuses is an error about the journal."""
    try:
        yield
    except OSError as error:
        raise FileAccessError(
            f"cannot write the journal '{path}': {error.strerror or error}\n"
            "choose another place with -o"
        ) from error


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FileAccessError(
            f"another t10c sweep is writing '{path}'\nwait for it, or choose another -o"
        ) from error


def _recovered(file: BinaryIO, path: Path) -> dict[str, PointResult]:
    """What the journal knows; what a kill left half-written is cut off."""
    file.seek(0)
    data = file.read()
    known, whole = _parsed(data, path)
    if whole < len(data):
        file.truncate(whole)
    if whole == 0:
        file.write(_line({"schema": SCHEMA, "version": VERSION}))
        file.flush()
    return known


def _parsed(data: bytes, path: Path) -> tuple[dict[str, PointResult], int]:
    """Results by key, and the length of the whole lines; damaged lines count for nothing."""
    head = _line({"schema": SCHEMA, "version": VERSION})
    whole = data.rfind(b"\n") + 1
    lines = data[:whole].split(b"\n")[:-1]
    if not data.startswith(head) and not head.startswith(data):
        raise InvalidInputError(
            f"'{path}' is no journal of a sweep that this t10c can go on with\n"
            "remove it to begin anew, or choose another -o"
        )
    known: dict[str, PointResult] = {}
    for line in lines[1:]:
        content = _content(line)
        with contextlib.suppress(InvalidInputError, KeyError, TypeError):
            if content is not None:
                known[str(content["key"])] = decode(PointResult, content["result"], "result")
    return known, whole


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return f"{_checksum(text)} {text}\n".encode()


def _content(line: bytes) -> Any:
    """What a line says; None if it is damaged."""
    try:
        checksum, _, text = line.decode().partition(" ")
        return json.loads(text) if checksum == _checksum(text) else None
    except (UnicodeDecodeError, ValueError):
        return None


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
