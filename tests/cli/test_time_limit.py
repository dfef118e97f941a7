"""The joint choice under `--time-limit`: what it says, what it keeps, and how it is ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cache_support import kinds
from cli_support import HARDWARE, ROOT, Command, listing

from t10c import load_plan
from t10c.cli import clock
from t10c.schedule import choices

LONG = ("--time-limit", "1h")


@pytest.fixture
def out_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is over after the first round, and no gap is small enough before."""
    ask = clock.Clock.__call__

    def asked(self: clock.Clock, status: object) -> str:
        if status.rounds:
            self._end = 0.0
        return ask(self, status)

    monkeypatch.setattr(clock.Clock, "__call__", asked)
    monkeypatch.setattr("t10c.schedule.joint.TARGET_GAP", -1.0)


@pytest.mark.parametrize("limit", ["0", "0.000001ms", "0h"])
def test_a_limit_that_passes_before_there_is_a_plan_is_exit_8(
    t10c: Command, nerf: Path, tmp_path: Path, limit: str
) -> None:
    command = ("compile", nerf, *HARDWARE, "--time-limit", limit, "--cache", "off", "-o", "p.json")
    for form in ((), ("--objective", "memory"), ("--objective", "pareto")):
        found = t10c(*command, *form)
        assert (found.code, found.out) == (8, "")
        assert found.stderr.startswith(f"error: --time-limit {limit} passed before there was any")
        assert "while reading the model\nallow more time" in found.stderr
        assert listing(tmp_path) == {}


def test_a_limit_ends_a_search_wherever_it_is(
    t10c: Command, nerf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        try:
            time.sleep(60)
        except Exception as error:
            raise AssertionError("code that handles any error would swallow the limit") from error

    monkeypatch.setattr(choices, "search_problem", never)
    before = signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGINT)
    found = t10c(
        "compile", nerf, *HARDWARE, "--time-limit", "1s", "--cache", "off", "-o", "plan.json"
    )
    assert found.code == 8
    assert "passed before there was any plan, while" in found.stderr
    assert listing(tmp_path) == {}
    assert (signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGINT)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("command", ["compile", "check", "compare"])
def test_every_planning_command_has_a_limit(t10c: Command, nerf: Path, command: str) -> None:
    limits = ("--max-latency", "1s") if command == "check" else ()
    usual = (command, nerf, *HARDWARE, *limits, "--cache", "off")
    assert t10c(*usual, "--time-limit", "0").code == 8
    assert t10c(*usual, *LONG).code == 0


@pytest.mark.parametrize(
    "limit",
    [
        "",
        "fast",
        "-1",
        "5x",
        "nan",
        "inf",
        "1e3",
        "5 days",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "9" * 400,
        "1" * 39 + "h0",
    ],
)
def test_a_limit_that_is_none(t10c: Command, nerf: Path, limit: str) -> None:
    found = t10c("compile", nerf, *HARDWARE, f"--time-limit={limit}")
    assert found.code == 2
    assert found.stderr.startswith("error: --time-limit")
    assert "500ms" in found.stderr


def test_uniform_transitions_have_no_joint_choice(t10c: Command, nerf: Path) -> None:
    found = t10c("compile", nerf, *HARDWARE, *LONG, "--transitions", "uniform")
    assert found.code == 2
    assert "leave one of them out" in found.stderr


def test_the_report_says_how_far_it_came(t10c: Command, nerf: Path) -> None:
    command = ("compile", nerf, *HARDWARE, *LONG, "--cache", "off")
    found = t10c(*command, "-o", "plan.json", "-v")
    assert found.code == 0
    assert "all steps together in" in found.out
    assert "truncated" not in found.out
    assert "compared one by one" in found.stderr
    joint = json.loads(t10c(*command, "--format", "json").out)["joint"]
    assert joint["rounds"] >= 1
    assert joint["stopped"] in ("gap", "exhausted")
    assert joint["truncated"] is False
    assert "all steps together in" in t10c("explain", "plan.json").out
    assert "joint" not in json.loads(t10c("compile", nerf, *HARDWARE, "--format", "json").out)


def test_it_is_no_slower_than_the_plan_without(t10c: Command, nerf: Path) -> None:
    command = ("compile", nerf, *HARDWARE, "--cache", "off", "--format", "json")
    without, joint = (json.loads(t10c(*command, *more).out) for more in ((), LONG))
    assert joint["latency_cycles"] <= without["latency_cycles"]
    assert joint["lower_bound_cycles"] >= without["lower_bound_cycles"]
    assert joint["search"]["gap"] <= 0.01 or joint["joint"]["stopped"] == "exhausted"


@pytest.mark.usefixtures("out_of_time")
def test_a_choice_that_ran_out_of_time_says_so_and_is_not_kept(
    t10c: Command, nerf: Path, store: Path
) -> None:
    command = ("compile", nerf, *HARDWARE, *LONG, "-o", "plan.json")
    found = t10c(*command)
    assert found.code == 0
    assert ", truncated (time limit)" in found.out
    assert "in 1 round: the time limit ended it" in found.out
    document = json.loads(Path("plan.json").read_text())
    assert document["joint"]["stopped"] == "time"
    assert document["options"]["time_limit_seconds"] == 3600
    assert "truncated (time limit)" in t10c("explain", "plan.json").out
    assert t10c(*command, "--format", "json").out.count('"truncated": true') == 1
    assert "report" not in kinds(t10c) or not kinds(t10c)["report"]["hits"]


def test_an_answer_that_was_not_cut_short_is_found_under_any_limit(
    t10c: Command, nerf: Path, store: Path, searched: list[str]
) -> None:
    command = ("compile", nerf, *HARDWARE, "-o", "-", "-q")
    first = t10c(*command, *LONG)
    assert first.code == 0
    assert "time_limit_seconds" not in json.loads(first.out)["options"]
    made = len(searched)
    for limit in ("0", "2h"):
        again = t10c(*command, "--time-limit", limit)
        assert (again.code, again.stdout) == (0, first.stdout)
    assert len(searched) == made
    plain = t10c(*command)
    assert "joint" not in json.loads(plain.out)
    assert len(searched) > made, "searches for a joint choice have more, and their own key"
    assert plain.stdout == t10c(*command, "--cache", "off").stdout


def test_searches_for_a_joint_choice_are_kept(
    t10c: Command, nerf: Path, store: Path, searched: list[str]
) -> None:
    command = ("compile", nerf, *HARDWARE, *LONG, "-o", "-", "-q")
    first = t10c(*command)
    made = len(searched)
    # the peak of memory is another question to the same searches
    assert t10c(*command, "--objective", "memory").code == 0
    assert len(searched) == made
    assert t10c(*command, "--cache", "off", "--jobs", "2").stdout == first.stdout


# Ctrl-C

SCRIPT = """
import sys, time
from t10c.cli import main
from t10c.schedule import joint, model

joint.TARGET_GAP = -1.0
improve = model.improve
twice = sys.argv.pop(1) == "twice"

def slowly(setting, spec, best, watch):
    def watching(status):
        print("round", file=sys.stderr, flush=True)
        while not (why := watch(status)):
            time.sleep(0.01)
        if twice:
            print("again", file=sys.stderr, flush=True)
            time.sleep(60)
        return why
    return improve(setting, spec, best, watching)

model.improve = slowly
main(sys.argv[1:])
"""
"""A first round of the joint choice that lasts until something ends it."""


Choosing = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def choosing(tmp_path: Path) -> Iterator[Choosing]:
    """A function that starts a command and returns in the first round of its joint choice."""
    started: list[subprocess.Popen[str]] = []

    def start(times: str, *arguments: str | Path) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, times, *map(str, arguments), *LONG, "--cache", "off"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        assert process.stderr is not None
        assert process.stderr.readline() == "round\n"
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_makes_the_best_so_far_the_answer(
    choosing: Choosing, nerf: Path, tmp_path: Path, jobs: int
) -> None:
    process = choosing("once", "compile", nerf, *HARDWARE, "-o", "plan.json", "--jobs", jobs)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "interrupted; the result is the best so far\n"
    assert ", truncated (interrupted)" in out
    plan = load_plan((tmp_path / "plan.json").read_bytes(), "plan.json")
    assert plan.joint is not None
    assert (plan.joint.stopped, plan.joint.rounds) == ("interrupted", 1)


def test_a_second_interrupt_aborts(choosing: Choosing, nerf: Path, tmp_path: Path) -> None:
    process = choosing("twice", "compile", nerf, *HARDWARE, "-o", "plan.json")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() == "again\n"
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert error.strip() == "interrupted; nothing was written"
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("command", [("check", "--max-latency", "1s"), ("compare",)])
def test_where_a_plan_is_only_a_means_an_interrupt_aborts(
    choosing: Choosing, nerf: Path, command: tuple[str, ...]
) -> None:
    process = choosing("once", command[0], nerf, *HARDWARE, *command[1:])
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert error.strip() == "interrupted; nothing was written"
