"""Bytes of external data that an import may read, without onnx: ranges of files beside a model."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ExternalRange:
    """`size_bytes` bytes from `offset` on, of a file named relative to the model's directory."""

    location: str
    offset: int
    size_bytes: int


def read_range(directory: Path, wanted: ExternalRange) -> bytes | None:
    """The bytes, or None if the file is missing, too short, or not below the directory."""
    root = directory.resolve()
    try:
        path = (root / wanted.location).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return None
        with path.open("rb") as file:
            file.seek(wanted.offset)
            data = file.read(wanted.size_bytes)
    except (OSError, ValueError):
        return None
    return data if len(data) == wanted.size_bytes else None
