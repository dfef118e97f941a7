"""Running commands: in this process where that is enough, else as a process of its own."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_support import HARDWARE, ROOT, Command, Program, Result
from verify_support import RING, Case, prepare

from t10c.cache import searches
from t10c.cli import run
from t10c.schedule import choices
from t10c.zoo import build_model


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
            # whoever runs the tests in the background ignores interrupts, and children inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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


@pytest.fixture(scope="session")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A perceptron with weights whose pieces rotate, with its plan and program."""
    sizes = {"layers": "3", "hidden": "32"}
    model = build_model("nerf", batch=2, seq=6, overrides=sizes, weights="random")
    return prepare(model, tmp_path_factory.mktemp("ring"), "ring", RING)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    place = tmp_path / "cache"
    monkeypatch.setenv("T10C_CACHE", str(place))
    return place


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels that were searched: of choices `matmul`, of fronts alone `front of matmul`."""
    found: list[str] = []
    choose, front = choices.search_problem, searches.search_operator

    def choosing(expression, *rest):
        found.append(expression.kernel)
        return choose(expression, *rest)

    def fronting(expression, *rest):
        found.append(f"front of {expression.kernel}")
        return front(expression, *rest)

    monkeypatch.setattr(choices, "search_problem", choosing)
    monkeypatch.setattr(searches, "search_operator", fronting)
    return found
