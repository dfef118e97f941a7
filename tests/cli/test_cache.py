"""Answers and searches that are found again: the same as computed anew."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cache_support import perceptron, report
from cli_support import HARDWARE, ROOT, Command

pytestmark = pytest.mark.usefixtures("store")

MISFIT = ("--hw", "ipu-mk2", "--hw-set", "cores.count=2", "--hw-set", "cores.sram=11KiB")


# The same answer


def test_an_answer_from_the_cache_is_the_same(t10c: Command, nerf: Path, tmp_path: Path) -> None:
    uncached = t10c("compile", nerf, *HARDWARE, "--cache", "off", "-o", "uncached.json")
    cold = t10c("compile", nerf, *HARDWARE, "-o", "cold.json")
    warm = t10c("compile", nerf, *HARDWARE, "-o", "warm.json")
    plans = {
        name: (tmp_path / f"{name}.json").read_bytes() for name in ("uncached", "cold", "warm")
    }
    assert len(set(plans.values())) == 1
    assert b"cpu_seconds" not in plans["warm"]
    times = re.compile(r" in \d+\.\d\d CPU s")
    assert times.search(uncached.out)
    assert times.search(cold.out)
    assert not times.search(warm.out)
    assert "; 3 of 3 from the cache" in warm.out
    plain = warm.out.replace("; 3 of 3 from the cache", "")
    assert plain == times.sub("", cold.out) == times.sub("", uncached.out)
    assert warm.stderr == ""


def test_the_json_report_says_what_came_from_the_cache(t10c: Command, nerf: Path) -> None:
    cold, warm = (report(t10c("compile", nerf, *HARDWARE, "--format", "json")) for _ in range(2))
    assert (cold["search"]["cached_operators"], warm["search"]["cached_operators"]) == (0, 3)
    assert cold["search"]["cpu_seconds"] > 0
    assert warm["search"]["cpu_seconds"] == 0
    for document in (cold, warm):
        del document["search"]["cached_operators"], document["search"]["cpu_seconds"]
    assert cold == warm


def test_every_output_of_compile_is_the_same(t10c: Command, nerf: Path) -> None:
    model = nerf.read_bytes()
    for arguments in (["-o", "-"], ["--emit", "program", "-o", "-"], ["-o", "-", "-q"]):
        off = t10c("compile", nerf, *HARDWARE, *arguments, "--cache", "off")
        assert off.stdout
        assert [t10c("compile", nerf, *HARDWARE, *arguments).stdout for _ in range(2)] == [
            off.stdout
        ] * 2
        off = t10c("compile", "-", *HARDWARE, *arguments, "--cache", "off", stdin=model)
        found = [t10c("compile", "-", *HARDWARE, *arguments, stdin=model) for _ in range(2)]
        assert [result.stdout for result in found] == [off.stdout] * 2
    details = [t10c("compile", nerf, *HARDWARE, "-v").stderr.splitlines() for _ in range(2)]
    assert details[0][:3] == details[1][:3]
    assert details[0][0].startswith("axes ")


def test_a_misfit_is_an_answer_too(t10c: Command, nerf: Path, searched: list[str]) -> None:
    cold = t10c("compile", nerf, *MISFIT, "-o", "plan.json")
    assert cold.code == 7
    del searched[:]
    assert t10c("compile", nerf, *MISFIT, "-o", "plan.json") == cold
    quiet = t10c("compile", nerf, *MISFIT, "-q")
    assert (quiet.code, quiet.out, quiet.stderr) == (7, "", cold.out.splitlines()[0] + "\n")
    assert json.loads(t10c("compile", nerf, *MISFIT, "--format", "json").out)["proven"] in (
        True,
        False,
    )
    assert t10c("check", nerf, *MISFIT, "--max-latency", "1s") == cold
    assert searched == []


def test_commands_that_plan_share_answers(t10c: Command, nerf: Path, searched: list[str]) -> None:
    off = t10c("check", nerf, *HARDWARE, "--max-latency", "1s", "--cache", "off")
    assert t10c("compile", nerf, *HARDWARE).code == 0
    assert searched
    del searched[:]
    found = t10c("check", nerf, *HARDWARE, "--max-latency", "1s")
    assert searched == []
    assert found.code == 0
    assert "from the cache" in found.out
    assert re.sub(r" in [\d.]+ CPU s", "", off.out) == found.out.replace(
        "; 3 of 3 from the cache", ""
    )
    compared = t10c("compare", nerf, *HARDWARE)
    assert searched == []
    assert compared.out == t10c("compare", nerf, *HARDWARE, "--cache", "off").out


def test_a_second_answer_imports_neither_onnx_nor_the_search(nerf: Path, tmp_path: Path) -> None:
    """That is what makes it quick (under 0.7 s for BERT-large with a plan of 1.2 MB)."""
    script = (
        "import sys\nfrom t10c.cli import run\n"
        f"assert run(['compile', {str(nerf)!r}, *{HARDWARE!r}, '-o', 'plan.json', '-q']) == 0\n"
        "heavy = {'onnx', 't10c.search.operator', 't10c.schedule.model', 't10c.lower', 'rich'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first, second = (
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        for _ in range(2)
    )
    assert first.stdout.split()[0] == "onnx", first.stderr
    assert second.stdout == "\n", second.stderr


# What is searched again


def test_changing_one_layer_searches_one_operator(
    t10c: Command, tmp_path: Path, searched: list[str]
) -> None:
    model = perceptron(tmp_path / "net.onnx", (8, 12, 16))
    first = report(t10c("compile", model, *HARDWARE, "--format", "json"))
    assert [kernel for kernel in searched if not kernel.startswith("front")].count("matmul") == 2
    assert "front of rowwise" in searched
    del searched[:]
    perceptron(model, (8, 12, 16, 16))  # one more layer: a new matmul, the last softmax again
    second = report(t10c("compile", model, *HARDWARE, "--format", "json"))
    assert searched == ["matmul"]
    known = first["search"]["distinct_operators"]
    assert second["search"]["distinct_operators"] == known + 1
    assert second["search"]["cached_operators"] == known
    table = t10c("compile", model, *HARDWARE, "--cache", "off").out
    assert "from the cache" not in table


def test_searches_that_are_found_again_take_no_time(
    t10c: Command, nerf: Path, searched: list[str]
) -> None:
    assert t10c("compile", nerf, *HARDWARE).code == 0
    del searched[:]
    again = report(t10c("compile", "-", *HARDWARE, "--format", "json", stdin=nerf.read_bytes()))
    assert searched == []
    assert again["search"]["cached_operators"] == again["search"]["distinct_operators"] == 3
    assert again["search"]["cpu_seconds"] == 0


def test_the_number_of_processes_does_not_matter(
    t10c: Command, nerf: Path, searched: list[str], tmp_path: Path
) -> None:
    assert t10c("compile", nerf, *HARDWARE, "--jobs", "2", "-o", "two.json").code == 0
    del searched[:]
    assert t10c("compile", nerf, *HARDWARE, "-o", "one.json").code == 0
    assert searched == []
    off = t10c("compile", nerf, *HARDWARE, "--cache", "off", "-o", "-")
    assert (
        (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes() == off.stdout
    )


def test_operators_are_found_again(t10c: Command, searched: list[str]) -> None:
    command = ("op", "matmul", "--axes", "m=8,n=12,k=16", *HARDWARE)
    cold, warm = t10c(*command), t10c(*command)
    assert searched == ["front of matmul"]
    assert re.sub(r"; [\d.]+ CPU s", "; from the cache", cold.out) == warm.out
    assert report(t10c(*command, "--format", "json"))["cached"] is True
    for other in (
        ["--search", "exhaustive"],
        ["--max-candidates", "50"],
        ["--buffers", "double"],
        ["--hw-set", "interconnect.sync=10cycles"],
    ):
        del searched[:]
        off = t10c(*command, *other, "--cache", "off")
        made = t10c(*command, *other)
        assert len(searched) == 2, other
        again = t10c(*command, *other)
        assert len(searched) == 2, other
        texts = {re.sub(r"; ([\d.]+ CPU s|from the cache)", "", r.out) for r in (off, made, again)}
        assert len(texts) == 1


def test_equal_sums_of_other_axes_are_other_operators(t10c: Command, searched: list[str]) -> None:
    for expression in ("C[m,n] += A[m,k] * B[k,n]", "C[n,m] += A[m,k] * B[k,n]"):
        assert t10c("op", expression, "--axes", "m=8,n=12,k=16", *HARDWARE).code == 0
    assert len(searched) == 2
