"""What the tests of the command line share."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HARDWARE = ("--hw", "ipu-mk2", "--hw-set", "cores.count=64")


@dataclass(frozen=True)
class Result:
    code: int
    stdout: bytes
    stderr: str

    @property
    def out(self) -> str:
        return self.stdout.decode()


Command = Callable[..., Result]


def listing(place: Path) -> dict[str, bytes | None]:
    """Every file below a directory with its bytes, every directory with None."""
    return {
        str(path.relative_to(place)): None if path.is_dir() else path.read_bytes()
        for path in place.rglob("*")
    }


Program = Callable[..., "subprocess.Popen[bytes]"]
