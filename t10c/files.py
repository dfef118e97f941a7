"""Files that cannot be read, in one wording."""

from pathlib import Path

from t10c.errors import FileAccessError
from t10c.suggest import closest

MODEL_WANTED = "give an ONNX file (t10c zoo build writes examples), or - for standard input"
PLAN_WANTED = "give a plan file, which t10c compile MODEL --hw NAME -o PLAN writes"
PROGRAM_WANTED = (
    "give a plan file or a program file, which t10c compile MODEL --hw NAME -o FILE writes"
)


def unreadable(path: str | Path, error: OSError | ValueError, wanted: str) -> FileAccessError:
    """What to raise for a file that cannot be read; `wanted` says what should be given instead."""
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    shown = str(path) if len(str(path)) <= 120 else f"{str(path)[:119]}…"
    similar = _neighbour(Path(path)) if isinstance(error, FileNotFoundError) else None
    hint = f"; did you mean '{similar}'?" if similar else ""
    return FileAccessError(f"cannot read '{shown}': {reason}{hint}\n{wanted}")


def _neighbour(path: Path) -> Path | None:
    """The file in the same folder that is named most like `path`, whatever the suffixes."""
    try:
        files = sorted(item for item in path.parent.iterdir() if item.is_file())
    except OSError:
        return None
    found = closest(path.stem, [item.stem for item in files])
    alike = [item for item in files if item.stem == found]
    return min(alike, key=lambda item: item.suffix != path.suffix, default=None)
