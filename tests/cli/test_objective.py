"""`--objective`: the lowest peak of memory, and the front of latency against memory."""

import csv
import io
import json
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
from cli_support import HARDWARE, ROOT, Command, listing

import t10c as api
from t10c.cli import clock, run

FRONT = ("--objective", "pareto", "--points", "5")


@pytest.fixture(scope="module")
def leanest(nerf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan with the lowest peak of memory, chosen together."""
    path = tmp_path_factory.mktemp("plans") / "leanest.json"
    options = ("--objective", "memory", "--time-limit", "1h", "-o", str(path), "-q")
    assert run(["compile", str(nerf), *HARDWARE, *options]) == 0
    return path


@pytest.fixture
def front(t10c: Command, nerf: Path) -> dict:
    found = t10c("compile", nerf, *HARDWARE, *FRONT, "--format", "json", "-o", "front.json")
    assert (found.code, found.stderr) == (0, "")
    assert found.out == Path("front.json").read_text()
    document: dict = json.loads(found.out)
    return document


def test_the_front_obeys_its_published_schema(front: dict) -> None:
    schema = json.loads((ROOT / "docs" / "front.schema.json").read_text())
    assert schema == api.front_schema(), "run make docs"
    jsonschema.Draft202012Validator(schema).validate(front)


def test_no_point_has_less_of_both_than_another(front: dict) -> None:
    points = front["points"]
    assert 2 <= len(points) <= front["planned_points"] <= 5
    for one, other in pairwise(points):
        assert one["peak_core_bytes"] < other["peak_core_bytes"]
        assert one["latency_cycles"] > other["latency_cycles"]
        assert one["lower_bound_cycles"] >= other["lower_bound_cycles"]
    for point in points:
        assert front["least_bytes"] <= point["peak_core_bytes"]
        assert point["peak_core_bytes"] + front["reserved_bytes"] <= point["sram_bytes"]
        assert point["lower_bound_cycles"] <= point["latency_cycles"]
        assert point["joint"] is None
    assert front["truncated"] is False


def test_points_compile_as_the_front_says(t10c: Command, nerf: Path, front: dict) -> None:
    shown = t10c("compile", nerf, *HARDWARE, *FRONT).out
    smallest = front["points"][0]["sram_bytes"]
    assert shown.splitlines()[-1].endswith(f"--hw-set cores.sram={smallest}B")
    for point in (front["points"][0], front["points"][-1]):
        one = ("--hw-set", f"cores.sram={point['sram_bytes']}B", "--format", "json")
        found = json.loads(t10c("compile", nerf, *HARDWARE, *one).out)
        assert found["latency_cycles"] <= point["latency_cycles"] * 1.001


def test_the_front_as_csv_and_table(t10c: Command, nerf: Path, front: dict) -> None:
    found = t10c("compile", nerf, *HARDWARE, *FRONT, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(found.out)))
    assert [int(row["sram_bytes"]) for row in rows] == [p["sram_bytes"] for p in front["points"]]
    assert [float(row["gap"]) for row in rows] == [p["gap"] for p in front["points"]]
    table = t10c("compile", nerf, *HARDWARE, *FRONT).out
    assert all(f"{point['peak_core_bytes']:,}" in table for point in front["points"])
    assert t10c("compile", nerf, *HARDWARE, *FRONT, "-q").out == ""


def test_with_a_limit_points_are_chosen_together(t10c: Command, nerf: Path, front: dict) -> None:
    found = t10c("compile", nerf, *HARDWARE, *FRONT, "--time-limit", "1h", "--format", "json")
    points = json.loads(found.out)["points"]
    assert all(point["joint"]["rounds"] >= 1 for point in points)
    assert points[-1]["latency_cycles"] <= front["points"][-1]["latency_cycles"]
    assert points[-1]["lower_bound_cycles"] >= front["points"][-1]["lower_bound_cycles"]


def test_a_front_that_was_cut_short_says_so(
    t10c: Command, nerf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, asked = clock.Clock.__call__, []

    def ending(self: clock.Clock, status: object) -> str:
        asked.append(status)
        if len(asked) == 3:
            self._interrupt(2, None)
        return ask(self, status)

    monkeypatch.setattr(clock.Clock, "__call__", ending)
    found = t10c("compile", nerf, *HARDWARE, *FRONT, "--format", "json", "-o", "front.json")
    assert found.code == 130
    assert found.stderr == "interrupted; the result is the best so far\n"
    document = json.loads(Path("front.json").read_text())
    assert document["truncated"] is True
    assert document["planned_points"] == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--points", "5"), "--points is for --objective pareto"),
        (("--format", "csv"), "--format csv is for --objective pareto"),
        ((*FRONT, "--emit", "program", "-o", "x"), "--objective pareto has many"),
        (("--objective", "speed"), "latency"),
        (("--objective", "pareto", "--points", "1"), "--points"),
    ],
)
def test_options_that_do_not_go_together(
    t10c: Command, nerf: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    found = t10c("compile", nerf, *HARDWARE, *options)
    assert found.code == 2
    assert said in found.stderr
    assert listing(tmp_path) == {}


def test_a_front_is_no_plan_to_check(t10c: Command, nerf: Path) -> None:
    found = t10c("check", nerf, *HARDWARE, "--max-latency", "1s", "--objective", "pareto")
    assert found.code == 2


def test_nothing_fits(t10c: Command, nerf: Path, tmp_path: Path) -> None:
    tiny = ("--hw-set", "cores.sram=9KiB", "--hw-set", "cores.count=1")
    for objective in ("pareto", "memory"):
        found = t10c(
            "compile", nerf, "--hw", "ipu-mk2", *tiny, "--objective", objective, "-o", "x.json"
        )
        assert found.code == 7
        assert found.out.startswith("does not fit")
        assert listing(tmp_path) == {}


def test_the_lowest_peak_and_what_nothing_undercuts(t10c: Command, nerf: Path, front: dict) -> None:
    command = ("compile", nerf, *HARDWARE, "--format", "json")
    latency = json.loads(t10c(*command).out)
    memory = json.loads(t10c(*command, "--objective", "memory", "-o", "plan.json").out)
    assert memory["peak_core_bytes"] < latency["peak_core_bytes"]
    assert memory["least_core_bytes"] <= memory["peak_core_bytes"]
    assert memory["memory_gap"] <= 0.05
    assert memory["peak_core_bytes"] <= front["points"][0]["sram_bytes"]
    assert "least_core_bytes" not in latency
    assert "no schedule of these operators has a lower peak" in t10c("explain", "plan.json").out
    plan = api.load_plan(Path("plan.json").read_bytes(), "plan.json")
    assert plan.least_bytes == memory["least_core_bytes"]
    assert plan.options.objective == "memory"
    assert api.dump_plan(plan) == Path("plan.json").read_bytes()
    assert t10c("check", nerf, *HARDWARE, "--objective", "memory", "--max-latency", "1s").code == 0


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("joint", {"rounds": -1, "plans": 0, "stopped": "gap"}, "joint: rounds and plans"),
        ("joint", {"rounds": 1, "plans": 0, "stopped": "bored"}, "joint: stopped is one of"),
        ("joint", {"rounds": 1, "plans": 0}, "joint.stopped: is missing"),
        ("joint", 3, "joint: is 3; it must be an object"),
        ("joint", {"rounds": 2, "plans": 0, "stopped": "gap"}, "the file was edited"),
        ("least_bytes", -1, "least_bytes: is -1"),
        ("least_bytes", 10**9, "least_bytes: is 1000000000"),
        ("least_bytes", "1", "least_bytes"),
        ("least_bytes", 1, "the file was edited"),
    ],
)
def test_damaged_values_are_named(
    t10c: Command, leanest: Path, key: str, value: object, said: str
) -> None:
    document = json.loads(leanest.read_text())
    Path("plan.json").write_text(json.dumps({**document, key: value}))
    found = t10c("explain", "plan.json")
    assert found.code == 4
    assert said in found.stderr
