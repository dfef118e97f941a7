"""Where results go: a file written whole or not at all, or standard output."""

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

from t10c.errors import FileAccessError


def write_atomic(path: str, data: bytes) -> None:
    """Write `data` to the file `path`, or to standard output if it is `-`.

    A reader sees the old file or the new one, never a part. Raises FileAccessError.
    """
    if path == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    target = Path(path).resolve()
    try:
        if target.exists() and not target.is_file():
            if target.is_dir():
                raise IsADirectoryError(21, "is a directory, not a file")
            target.write_bytes(data)  # a pipe or device cannot be replaced
            return
        _replace(target, data)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileAccessError(
            f"cannot write '{path}': {reason}\n  {_remedy(target, error)}"
        ) from error


def _replace(target: Path, data: bytes) -> None:
    """Write a temporary file beside `target`, with its permissions, and rename it."""
    if target.exists():
        mode = target.stat().st_mode & 0o777
    else:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.chmod(mode)
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _remedy(target: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"create the directory first: mkdir -p '{target.parent}'"
    if isinstance(error, IsADirectoryError):
        return f"name a file in it, for instance -o '{target / 'out'}'"
    return "choose another place with -o, or - for standard output"


def emit_json(value: object) -> None:
    """Print `value` to standard output as indented JSON."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
