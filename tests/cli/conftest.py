"""Running commands: in this process where that is enough, else as a process of its own."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from t10c.cli import run
from t10c.zoo import build_model

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


@pytest.fixture
def t10c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Command:
    """A function that runs a command in an empty directory, in this process."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = run([str(argument) for argument in arguments])
        captured = capsysbinary.readouterr()
        return Result(code, captured.out, captured.err.decode())

    return command


Program = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A function that starts a command as a process of its own session, in an empty directory."""
    started: list[subprocess.Popen[bytes]] = []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}

    def start(*arguments: str | Path, **options: Any) -> "subprocess.Popen[bytes]":
        pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        settings = {"stdin": subprocess.DEVNULL, **pipes, "cwd": tmp_path, **options}
        process = subprocess.Popen(
            [sys.executable, "-m", "t10c", *map(str, arguments)],
            env=environment,
            start_new_session=True,
            **settings,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="session")
def nerf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small perceptron: three matmuls of two kinds."""
    path = tmp_path_factory.mktemp("models") / "nerf.onnx"
    model = build_model("nerf", batch=16, seq=8, overrides={"layers": "3", "hidden": "16"})
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose search takes many seconds."""
    path = tmp_path_factory.mktemp("models") / "slow.onnx"
    model = build_model("bert-large", overrides={"layers": "1"})
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


@pytest.fixture(scope="session")
def nerf_plan(nerf: Path) -> Path:
    """The plan of the small perceptron."""
    path = nerf.with_suffix(".plan.json")
    assert run(["compile", str(nerf), *HARDWARE, "-o", str(path), "-q"]) == 0
    return path
