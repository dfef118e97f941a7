"""Two processes that compile with one cache, one of them killed at random, again and again.

T10C_CACHE_ROUNDS is how often the process that lives compiles all nine pairs of model and chip:
12 are 108 plans.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest
from cache_support import perceptron
from cli_support import ROOT

from t10c.cli import run
from t10c.zoo import build_model

ROUNDS = int(os.environ.get("T10C_CACHE_ROUNDS", "4"))
CORES = (6, 8, 12)
STORE_BYTES = 60_000
"""Less than all answers take, so that entries come and go."""

WORKER = """
import itertools, pathlib, random, sys
from t10c.cli import run
seed, rounds, cores, models, place = eval(sys.argv[1])
jobs = [(model, count) for model in models for count in cores]
chosen = random.Random(seed)
for number in range(rounds) if rounds else itertools.count():
    chosen.shuffle(jobs)
    for model, count in jobs:
        file = pathlib.Path(place, f"{pathlib.Path(model).stem}-{count}.json")
        chip = ["--hw", "ipu-mk2", "--hw-set", f"cores.count={count}"]
        code = run(["-v", "compile", model, *chip, "-o", str(file)])
        assert code == 0, code
        expected = pathlib.Path("expected", file.name).read_bytes()
        if file.read_bytes() != expected:
            sys.exit(f"a wrong plan: {file}")
    if number % 3 == seed % 3 == 0:
        assert run(["cache", "clear"]) == 0
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Small models, and in `expected` their plans without a cache."""
    monkeypatch.chdir(tmp_path)
    nerf = build_model("nerf", batch=2, seq=4, overrides={"layers": "2", "hidden": "8"})
    onnx.save(nerf, tmp_path / "nerf.onnx")
    perceptron(tmp_path / "three.onnx", (8, 12, 16, 8))
    perceptron(tmp_path / "one.onnx", (8, 8))
    found = ["nerf.onnx", "three.onnx", "one.onnx"]
    Path("expected").mkdir()
    for model in found:
        for cores in CORES:
            chip = ("--hw", "ipu-mk2", "--hw-set", f"cores.count={cores}")
            plan = f"expected/{Path(model).stem}-{cores}.json"
            assert run(["-q", "compile", model, *chip, "-o", plan]) == 0
    return found


def start(seed: int, rounds: int, models: list[str], place: Path) -> "subprocess.Popen[bytes]":
    """A worker; what it says is added to a file, which unlike a pipe is never full."""
    place.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OPENBLAS_NUM_THREADS": "1",
        "T10C_CACHE": "cache",
        "T10C_CACHE_SIZE": f"{STORE_BYTES}B",
    }
    with place.with_suffix(".said").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, repr((seed, rounds, CORES, models, str(place)))],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )


def test_a_killed_process_leaves_a_store_that_serves_others(
    tmp_path: Path, models: list[str]
) -> None:
    chosen = random.Random(1)
    kills = 0
    living = start(0, ROUNDS, models, tmp_path / "living")
    while living.poll() is None:
        doomed = start(kills + 1, 0, models, tmp_path / "doomed")
        until = time.monotonic() + chosen.uniform(0.6, 2.5)
        while time.monotonic() < until and living.poll() is None:
            assert doomed.poll() is None, (tmp_path / "doomed.said").read_text()
            time.sleep(0.01)
        doomed.kill()
        doomed.wait()
        kills += 1
    said = "".join((tmp_path / f"{name}.said").read_text() for name in ("living", "doomed"))
    assert living.returncode == 0, said
    assert kills > 0
    assert "warning" not in said, said
    assert "damaged" not in said, said
    for plan in (tmp_path / "doomed").glob("*.json"):
        assert plan.read_bytes() == (tmp_path / "expected" / plan.name).read_bytes()
