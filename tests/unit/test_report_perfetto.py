"""Traces: the format that viewers load, what they show, no overlaps, bounded size."""

import json
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
from simulations import operator, phase, simulation

from t10c.hardware.load import changed_spec
from t10c.report import perfetto
from t10c.report.perfetto import perfetto_trace
from t10c.simulate.result import MemoryPoint, Simulation

SCHEMA = json.loads((Path(__file__).parent / "trace_event.schema.json").read_text())


def trace(made: Simulation) -> dict:
    """The trace as a viewer reads it, which must obey the format."""
    document = json.loads(json.dumps(perfetto_trace(made)))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    return document


def names(document: dict) -> dict[int, str]:
    return {
        event["tid"]: event["args"]["name"]
        for event in document["traceEvents"]
        if event["name"] == "thread_name"
    }


def slices(document: dict) -> dict[str, list[dict]]:
    """Slices by the name of their thread, begin and end as whole nanoseconds."""
    known = names(document)
    found = defaultdict(list)
    for event in document["traceEvents"]:
        if event["ph"] == "X":
            begin = int(event["ts"] * 1000)  # as viewers do it
            end = begin + int(event["dur"] * 1000)
            found[known[event["tid"]]].append({**event, "begin": begin, "end": end})
    return found


def assert_disjoint(document: dict) -> None:
    for thread, events in slices(document).items():
        ordered = sorted(events, key=lambda e: (e["begin"], e["end"]))
        for one, other in pairwise(ordered):
            assert one["end"] <= other["begin"], (thread, one, other)


def test_the_format_is_checked_at_all() -> None:
    document = perfetto_trace(simulation())
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.check_schema(SCHEMA)
    slice_at = next(n for n, e in enumerate(document["traceEvents"]) if e["ph"] == "X")
    for edit in ({"ph": "Z"}, {"ts": "0"}, {"dur": -1.0}, {"args": [1]}, {"pid": "one"}):
        events = list(document["traceEvents"])
        events[slice_at] = {**events[slice_at], **edit}
        assert not validator.is_valid({**document, "traceEvents": events}), edit


def test_threads_show_operators_parts_and_phases() -> None:
    found = slices(trace(simulation()))
    nanosecond = 1e9 / simulation().spec.clock_hz
    assert [(e["name"], e["begin"], e["end"]) for e in found["operators"]] == [
        ("/layers.0/MatMul", 0, round(600 * nanosecond)),
        ("/layers.1/MatMul", round(600 * nanosecond), round(1000 * nanosecond)),
    ]
    assert found["operators"][0]["args"]["cost_model_cycles"] == 610.0
    assert found["operators"][0]["args"]["shift_cycles"] == 120.0
    parts = [(e["name"], e["args"]["cycles"]) for e in found["parts, summed"]]
    assert parts[:2] == [("compute", 300.0), ("shift", 120.0)]
    assert sum(cycles for _, cycles in parts) == 1000.0
    assert found["parts, summed"][-1]["end"] == round(1000 * nanosecond)
    assert [e["args"]["rounds"] for e in found["compute phases"]] == [3, 1]
    # two shifts of one loop interleave: each in a thread of its own
    assert [len(found[name]) for name in ("shift phases", "shift phases 2")] == [1, 1]
    assert len(found["reduction phases"]) == 1


def test_the_process_and_the_order_of_threads_are_named() -> None:
    document = trace(simulation())
    process = [e for e in document["traceEvents"] if e["name"] == "process_name"]
    assert [e["args"]["name"] for e in process] == ["two layers on ipu-mk2"]
    order = [e for e in document["traceEvents"] if e["name"] == "thread_sort_index"]
    assert [names(document)[e["tid"]] for e in order][:3] == [
        "operators",
        "parts, summed",
        "compute phases",
    ]
    assert [e["args"]["sort_index"] for e in order] == sorted(e["tid"] for e in order)


def test_memory_is_a_counter_to_the_end() -> None:
    made = simulation()
    points = [e for e in trace(made)["traceEvents"] if e["ph"] == "C"]
    assert [e["args"]["bytes"] for e in points] == [1024, 2048, 4096, 512, 512]
    assert {e["name"] for e in points} == {"memory per core"}
    assert int(points[-1]["ts"] * 1000) == round(1000 / made.spec.clock_hz * 1e9)


def chain(count: int, cycles: float) -> tuple:
    """Sections in a row, each of three phases."""
    made = []
    for number in range(count):
        begin = number * cycles  # not the sum of those before: rounding differs
        third = cycles / 3
        phases = [
            phase(part, begin + n * third, begin + (n + 1) * third)
            for n, part in enumerate(("transition", "compute", "compute"))
        ]
        made.append(operator(f"op{number}", begin, *phases))
    return tuple(made)


@pytest.mark.parametrize("cycles", [0.1, 0.7, 1.0 / 3.0, 1234.56789, 1e7 / 3.0])
def test_slices_of_a_thread_never_overlap(cycles: float) -> None:
    document = trace(simulation(operators=chain(3000, cycles), memory=()))
    assert_disjoint(document)
    assert set(slices(document)) == {
        "operators",
        "parts, summed",
        "transition phases",
        "compute phases",
    }


def test_slices_that_truly_overlap_are_found_to() -> None:
    """What the test above rests on."""
    document = perfetto_trace(simulation())
    events = [e for e in document["traceEvents"] if e["ph"] == "X"]
    events[0]["dur"] *= 2
    with pytest.raises(AssertionError):
        assert_disjoint(document)


def test_large_models_keep_the_longest_and_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("MOST_OPERATORS", 5), ("MOST_PHASES", 7), ("MOST_POINTS", 4)):
        monkeypatch.setattr(perfetto, name, most)
    long = replace(operator("long", 90.0, phase("compute", 90.0, 5000.0)))
    points = tuple(MemoryPoint(float(n), 100 + (n == 17) * 900) for n in range(30))
    document = trace(simulation(operators=(*chain(30, 3.0), long), memory=points))
    found = slices(document)
    assert len(found["operators"]) == 5
    assert found["operators"][-1]["name"] == "long"
    assert sum(len(e) for name, e in found.items() if "phases" in name) == 7
    counted = [e["args"]["bytes"] for e in document["traceEvents"] if e["ph"] == "C"]
    assert len(counted) == 5
    assert max(counted) == 1000
    other = document["otherData"]
    assert (other["operators_left_out"], other["memory_points_left_out"]) == (26, 26)
    assert other["phases_left_out"] == 30 * 3 + 1 - 7


def test_a_model_without_operators_has_a_trace() -> None:
    document = trace(simulation(operators=(), memory=()))
    assert slices(document) == {}


def test_the_same_simulation_gives_the_same_bytes() -> None:
    assert json.dumps(perfetto_trace(simulation())) == json.dumps(perfetto_trace(simulation()))


def test_an_end_that_rounds_up_is_cut_where_the_next_begins() -> None:
    spec = changed_spec(simulation().spec, ["clock=2GHz"])
    begin = 103.0 - 1e-6  # 51.5 ns and just less
    pair = (
        operator("one", 0.0, phase("compute", 0.0, 103.0)),
        operator("two", begin, phase("compute", begin, 200.0)),
    )
    document = trace(simulation(operators=pair, spec=spec))
    assert_disjoint(document)
    found = slices(document)
    assert [e["end"] for e in found["operators"]] == [51, 100]
    assert [e["end"] for e in found["compute phases"]] == [51, 100]
