"""Where results go: a file written whole or not at all, or standard output."""

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from t10c.errors import FileAccessError


def print_result(
    form: str,
    quiet: bool,
    document: Callable[[], object],
    lines: Callable[[], Sequence[str]],
    err: bool = False,
) -> None:
    """Print a result as JSON or as lines; `quiet` leaves out the lines, never JSON asked for."""
    if form == "json":
        emit(json_text(document()).removesuffix("\n"), err)
    elif not quiet:
        emit("\n".join(lines()), err)


def json_text(document: object) -> str:
    """A document as indented JSON, the form of all results."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def emit(text: str, err: bool = False) -> None:
    """Print `text` to standard output (FileAccessError), or to standard error."""
    if err:
        with contextlib.suppress(OSError):
            sys.stderr.write(text + "\n")
        return
    with _standard_output():
        sys.stdout.write(text + "\n")


def flush() -> None:
    """Bring what was printed to standard output; FileAccessError if that is impossible."""
    with _standard_output():
        sys.stdout.flush()


@contextlib.contextmanager
def _standard_output() -> Iterator[None]:
    """A reader that left is no error; a device that is full or closed is."""
    try:
        yield
    except BrokenPipeError:
        forsake()
    except OSError as error:
        forsake()
        raise FileAccessError(
            f"cannot write to standard output: {error.strerror or error}"
        ) from error


def forsake() -> None:
    """Let standard output lead nowhere, so that what is left in its buffer disturbs nobody."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def write_atomic(path: str, data: bytes) -> None:
    """Write `data` to the file `path`, or to standard output if it is `-`.

    A reader sees the old file or the new one, never a part. Raises FileAccessError.
    """
    if path == "-":
        with _standard_output():
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return
    target = Path(path).resolve()
    try:
        if target.exists() and not target.is_file():
            if target.is_dir():
                raise IsADirectoryError(21, "it is a directory")
            with contextlib.suppress(BrokenPipeError):
                target.write_bytes(data)  # a pipe or device cannot be replaced
            return
        _replace(target, data)
    except OSError as error:
        raise _unwritable(path, error) from error


def write_report(form: str, quiet: bool, path: str, text: str) -> None:
    """Write a report to a file or standard output; `quiet` leaves out a table that has no file."""
    if form != "table" or not quiet or path != "-":
        write_atomic(path, text.encode())


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


def check_writable(path: str | None, *inputs: str) -> None:
    """Fail before the work, not after it, if `-o` cannot or must not be written.

    FileAccessError; UsageError if it is one of the files that are read.
    """
    from t10c.errors import UsageError

    if path is None or path == "-":
        return
    if not path:
        raise UsageError("-o is empty: name a file to write, or - for standard output")
    target = Path(path)
    if any(name != "-" and _same_file(target, Path(name)) for name in inputs):
        raise UsageError(f"-o {path} is the file that is read; name another to write")
    if target.is_dir():
        raise _unwritable(path, IsADirectoryError(21, "it is a directory"))
    if not target.parent.is_dir():
        raise _unwritable(path, FileNotFoundError(2, f"there is no directory '{target.parent}'"))
    places = [place for place in (target, target.parent) if place.exists()]
    if not all(os.access(place, os.W_OK) for place in places):
        raise _unwritable(path, PermissionError(13, "permission denied"))


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _unwritable(path: str, error: OSError) -> FileAccessError:
    reason = error.strerror or str(error)
    return FileAccessError(f"cannot write '{path}': {reason}\n{_remedy(path, error)}")


def _remedy(path: str, error: OSError) -> str:
    target = Path(path)
    if isinstance(error, FileNotFoundError) and not target.parent.exists():
        return f"create the directory first: mkdir -p '{target.parent}'"
    if isinstance(error, IsADirectoryError):
        return f"name a file in it, for instance -o '{target / 'out'}'"
    return "choose another place with -o, or - for standard output"
