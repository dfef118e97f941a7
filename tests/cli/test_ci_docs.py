"""What docs/ci.md shows for Make and for CI services is run, and fails where it should."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from test_readme import DOCUMENTS, blocks, environment, run

__all__ = ["environment"]  # a fixture

(PAGE,) = [document for document in DOCUMENTS if document.name == "ci.md"]

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


def block(language: str) -> str:
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return text


@pytest.fixture
def place(tmp_path: Path, environment: dict[str, str]) -> Run:
    """A directory with the model of the page, in which commands are run."""

    def command(script: str) -> "subprocess.CompletedProcess[str]":
        return run(script, tmp_path, environment)

    assert command(blocks(PAGE)[0]).returncode == 0
    (tmp_path / "Makefile").write_text(block("make"))
    return command


def test_the_makefile(place: Run, tmp_path: Path) -> None:
    made = place("make baseline.json")
    assert made.returncode == 0, made.stderr
    passed = place("make gate")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert passed.stdout.count(": holds") == 4
    slow = place("make gate MAX_LATENCY=1ns")
    assert slow.returncode != 0
    assert "Error 9" in slow.stderr
    assert re.search(r"--max-latency 1ns: latency_ms is .*: VIOLATED", slow.stdout)
    small = place("make gate CHIP=ipu-mk3")
    assert "Error 3" in small.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("Makefile", "baseline.json", "net.onnx", "net.plan.json"),
    ]


def test_the_job(place: Run, tmp_path: Path) -> None:
    (job,) = yaml.safe_load(block("yaml")).values()
    steps = [step for step in job["script"] if not step.startswith("pip install ")]
    assert len(steps) == len(job["script"]) - 1
    assert place("make baseline.json").returncode == 0
    for step in steps:
        result = place(step)
        assert result.returncode == 0, f"{step}\n{result.stderr}"
    for artefact in job["artifacts"]["paths"]:
        assert (tmp_path / artefact).stat().st_size
    comment = (tmp_path / "comment.md").read_text()
    assert comment.count("\n### ") == 1
    assert comment.startswith("### ")


def test_the_last_step_of_the_job_is_the_gate(place: Run, tmp_path: Path) -> None:
    (job,) = yaml.safe_load(block("yaml")).values()
    assert place("make baseline.json").returncode == 0
    worse = "t10c compile net.onnx --hw ipu-mk2 --hw-set cores.count=736 -o net.plan.json -q"
    assert place(worse).returncode == 0
    for step in job["script"][2:-1]:
        assert place(step).returncode == 0, step
    gate = place(job["script"][-1])
    assert gate.returncode == 9
    assert "VIOLATED" in gate.stdout
