"""`t10c diff` and `t10c check`: what changed, what is too much, and exit codes."""

import json
from pathlib import Path

import pytest
from cli_support import HARDWARE, Command, listing
from test_errors import edited, fails


@pytest.fixture
def place(t10c: Command, nerf: Path, nerf_plan: Path, tmp_path: Path) -> Path:
    """A plan, its report, and the plan of fewer cores."""
    (tmp_path / "a.plan.json").write_bytes(nerf_plan.read_bytes())
    chip = ("--hw", "ipu-mk2", "--hw-set", "cores.count=32")
    assert t10c("compile", nerf, *chip, "-o", "b.plan.json", "-q").code == 0
    result = t10c("simulate", "a.plan.json", "--format", "json", "-o", "a.json")
    assert result.code == 0, result.stderr
    return tmp_path


def scaled(path: Path, name: str, factor: float) -> None:
    """A report whose first operator takes longer."""
    document = json.loads(path.read_text())
    first = document["operators"][0]
    more = (factor - 1) * first["breakdown_cycles"]["compute"]
    for entry in (document, first):
        entry["breakdown_cycles"]["compute"] += more
        entry["latency_cycles"] += more
    document["latency_ms"] = document["latency_cycles"] / document["clock_hz"] * 1e3
    document["utilisation"] = document["breakdown_cycles"]["compute"] / document["latency_cycles"]
    (path.parent / name).write_text(json.dumps(document))


# diff


def test_a_plan_and_its_report_are_the_same(t10c: Command, place: Path) -> None:
    for arguments in (
        ["a.plan.json", "a.plan.json"],
        ["a.plan.json", "a.json"],
        ["a.json", "a.plan.json"],
        ["-", "a.json"],
    ):
        stdin = (place / "a.plan.json").read_bytes()
        limits = ["--fail-on", "latency:+0%", "--fail-on", "peak_core_bytes:+0"]
        result = t10c("diff", *arguments, *limits, stdin=stdin)
        assert (result.code, result.stderr) == (0, "")
        assert "operators  0 changed, 0 added, 0 removed, 3 the same" in result.out
        assert result.out.count(": holds") == 2
    assert "a.plan.json (a plan, simulated now)" in t10c("diff", "a.plan.json", "a.json").out
    assert "a.json (a simulation report)" in t10c("diff", "a.plan.json", "a.json").out
    assert sorted(listing(place)) == ["a.json", "a.plan.json", "b.plan.json"]


def test_what_changed_is_shown_and_limits_decide(t10c: Command, place: Path) -> None:
    result = t10c("diff", "a.plan.json", "b.plan.json")
    assert result.code == 0
    assert "caution    the chips differ" in result.out
    result = t10c(
        *("diff", "a.plan.json", "b.plan.json"),
        *("--fail-on", "latency:+0.1%", "--fail-on", "peak_core_bytes:+1MiB"),
    )
    assert result.code == 9
    assert result.stderr == ""
    (broken,) = [line for line in result.out.splitlines() if line.endswith("VIOLATED")]
    assert broken.startswith("limit      latency:+0.1%: latency_ms is 0.00")
    assert " (was 0.00" in broken
    assert t10c("diff", "b.plan.json", "a.plan.json", "--fail-on", "latency:+0.1%").code == 0


def test_a_violated_limit_is_named_whatever_is_shown(t10c: Command, place: Path) -> None:
    scaled(place / "a.json", "slow.json", 1.5)
    both = ("diff", "a.json", "slow.json", "--fail-on", "latency:+2%")
    for more in (["-q"], ["--format", "json"], ["--format", "markdown"]):
        result = t10c(*both, *more)
        assert result.code == 9
        (line,) = result.stderr.splitlines()
        assert line.startswith("latency:+2%: latency_ms is ")
        assert line.endswith("VIOLATED")
    assert t10c(*both, "-q").out == ""
    document = json.loads(t10c(*both, "--format", "json", "-q").out)
    assert [limit["holds"] for limit in document["limits"]] == [False]
    assert [o["name"] for o in document["operators"]["changed"]] == ["/layers.0/MatMul"]
    shown = t10c(*both, "--format", "markdown").out
    assert shown.startswith("### nerf on ipu-mk2, simulated: what changed\n")
    assert "VIOLATED" in shown


def test_mistakes_of_diff(t10c: Command, place: Path) -> None:
    both = ("diff", "a.json", "a.json")
    fails(
        t10c(*both, "--fail-on", "latncy:+2%"), 2, "--fail-on latncy:+2%", "did you mean latency?"
    )
    fails(t10c(*both, "--fail-on", "latency:2%"), 2, "METRIC:+N%")
    fails(t10c("diff", "a.json"), 2, "'B'")
    fails(t10c("diff", "-", "-"), 2, "only one file")
    fails(t10c("diff", "a.json", "c.json"), 3, "cannot read 'c.json'", "a plan file, which")
    (place / "text").write_text("hello")
    fails(t10c("diff", "a.json", "text"), 4, "text: neither a plan nor a simulation report")
    edited(place / "a.json", (["version"], 9))
    fails(t10c(*both), 4, "a.json: simulation schema version 9", "upgrade t10c")
    edited(place / "a.json", (["version"], 1), (["latency_cycles"], 1.0))
    fails(t10c(*both), 4, "a.json: breakdown_cycles sums to", "edited")


def test_a_program_is_told_what_to_do(t10c: Command, nerf: Path, tmp_path: Path) -> None:
    t10c("compile", nerf, *HARDWARE, "--emit", "program", "-o", "p.json", "-q")
    fails(t10c("diff", "p.json", "p.json"), 4, "p.json: a program file", "t10c simulate PROGRAM")


def test_what_only_one_knows_cannot_be_limited(t10c: Command, place: Path) -> None:
    change = ("--hw-set", "interconnect.sync=9cycles")
    t10c("simulate", "a.plan.json", *change, "--format", "json", "-o", "w.json")
    fails(
        t10c("diff", "a.json", "w.json", "--fail-on", "cost_model_cycles:+1%"),
        4,
        "cost_model_cycles is not known of the second",
    )


# check


def test_limits_that_hold(t10c: Command, nerf: Path, tmp_path: Path) -> None:
    result = t10c(
        *("check", nerf, *HARDWARE, "--max-latency", "1ms"),
        *("--max-core-memory", "600KiB", "--min-utilisation", "0.01"),
    )
    assert (result.code, result.stderr) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "model      nerf"
    assert [line.endswith(": holds") for line in lines[-3:]] == [True] * 3
    assert listing(tmp_path) == {}
    assert t10c("check", nerf, *HARDWARE, "--max-latency", "1ms", "-q").out == ""


def test_limits_that_do_not_hold(t10c: Command, nerf: Path) -> None:
    limits = ("--max-latency", "1us", "--max-core-memory", "600KiB")
    result = t10c("check", nerf, *HARDWARE, *limits)
    assert result.code == 9
    (broken,) = [line for line in result.out.splitlines() if line.endswith("VIOLATED")]
    assert broken.startswith("limit      --max-latency 1us: latency_ms is 0.00")
    assert "allowed at most 0.001000 ms" in broken
    quiet = t10c("check", nerf, *HARDWARE, *limits, "-q")
    assert (quiet.code, quiet.out) == (9, "")
    assert quiet.stderr == broken.removeprefix("limit      ") + "\n"
    document = json.loads(t10c("check", nerf, *HARDWARE, *limits, "--format", "json").out)
    assert document["status"] == "limit_exceeded"
    assert [limit["holds"] for limit in document["limits"]] == [False, True]
    assert document["simulation"]["schema"] == "t10c.simulation"
    assert t10c("check", nerf, *HARDWARE, "--max-core-memory", "1KiB").code == 9
    assert t10c("check", nerf, *HARDWARE, "--min-utilisation", "0.999").code == 9


def test_check_holds_the_figures_of_simulate(t10c: Command, nerf: Path, nerf_plan: Path) -> None:
    simulated = json.loads(t10c("simulate", nerf_plan, "--format", "json").out)
    checked = json.loads(
        t10c("check", nerf, *HARDWARE, "--max-latency", "1s", "--format", "json").out
    )
    assert checked["status"] == "ok"
    assert checked["simulation"] == simulated
    cycles = simulated["latency_cycles"]
    for limit, code in ((f"{cycles + 1}cycles", 0), (f"{cycles - 1}cycles", 9)):
        assert t10c("check", nerf, *HARDWARE, "--max-latency", limit).code == code


def test_a_model_that_does_not_fit_is_no_limit(t10c: Command, nerf: Path) -> None:
    small = ("--hw", "ipu-mk2", "--hw-set", "cores.count=1", "--hw-set", "cores.sram=9KiB")
    result = t10c("check", nerf, *small, "--max-latency", "1ms")
    assert result.code == 7
    assert result.out.startswith("does not fit: nerf on ipu-mk2")
    shown = t10c("check", nerf, *small, "--max-latency", "1ms", "--format", "json")
    assert shown.code == 7
    assert json.loads(shown.out)["status"] == "does_not_fit"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["no limit to check", "--max-latency", "--min-utilisation"]),
        (["--max-latency", "5"], ["--max-latency 5: ", "no unit"]),
        (["--max-latency", "5KiB"], ["--max-latency 5KiB: ", "allowed units: ns, us, ms, s"]),
        (["--max-core-memory", "lots"], ["--max-core-memory lots: ", "like 624KiB"]),
        (["--min-utilisation", "30%"], ["--min-utilisation 30%: "]),
        (["--min-utilisation", "30"], ["--min-utilisation 30: ", "write 0.3 for 30 %"]),
        (["--max-latency", "-5ms"], ["negative"]),
    ],
)
def test_mistakes_of_check(
    t10c: Command, nerf: Path, arguments: list[str], parts: list[str]
) -> None:
    fails(t10c("check", nerf, *HARDWARE, *arguments), 2, *parts)


def test_check_reads_standard_input(t10c: Command, nerf: Path) -> None:
    result = t10c("check", "-", *HARDWARE, "--max-latency", "1ms", stdin=nerf.read_bytes())
    assert result.code == 0
    fails(t10c("check", "none.onnx", *HARDWARE, "--max-latency", "1ms"), 3, "give an ONNX file")
