"""Reports of simulations of real plans, some of whose pieces rotate: laws that all forms keep."""

import csv
import io
import json
from functools import cache
from pathlib import Path

import jsonschema
import pytest
from test_program_document import CHIPS, made_plan
from test_report_perfetto import assert_disjoint, slices, trace

import t10c
from t10c.gates.difference import ReportSource, diff_reports
from t10c.report.difference import difference_lines
from t10c.report.simulation import simulation_lines
from t10c.report.simulation_csv import simulation_csv
from t10c.report.text import LINE_WIDTH
from t10c.simulate.document import load_simulation, simulation_document, simulation_report

ROOT = Path(__file__).resolve().parents[2]


@cache
def simulated(name: str) -> t10c.Simulation:
    return t10c.simulate_plan(made_plan(name))


@pytest.fixture(params=CHIPS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_something_rotates() -> None:
    assert any(o.breakdown.shift for key in CHIPS for o in simulated(key).operators)


def test_the_file_obeys_its_schema_and_comes_back(name: str) -> None:
    report = simulation_report(simulated(name))
    text = json.dumps(simulation_document(report))
    schema = json.loads((ROOT / "docs" / "simulation.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))
    assert load_simulation(text.encode(), "r.json") == report
    assert report.hardware_overrides == made_plan(name).overrides


def test_totals_are_those_of_the_parts(name: str) -> None:
    report = simulation_report(simulated(name))
    latency = report.latency_cycles
    assert report.breakdown_cycles.total == latency
    assert sum(o.latency_cycles for o in report.operators) == pytest.approx(latency)
    rows = list(csv.DictReader(io.StringIO(simulation_csv(report))))
    parts = [f"{part}_cycles" for part in report.breakdown_cycles.as_dict()]
    summed = sum(float(row[part]) for row in rows for part in parts)
    assert summed == pytest.approx(latency)
    assert max(int(row["peak_core_bytes"]) for row in rows) <= report.peak_core_bytes


def test_the_table_is_short(name: str) -> None:
    plan = made_plan(name)
    lines = simulation_lines(simulation_report(simulated(name)), plan)
    assert len(lines) <= 25
    assert max(map(len, lines)) <= LINE_WIDTH


def test_the_trace_loads_and_nothing_overlaps(name: str) -> None:
    found = simulated(name)
    document = trace(found)
    assert_disjoint(document)
    shown = slices(document)
    assert [e["name"] for e in shown["operators"]] == [o.name for o in found.operators]
    end = round(found.latency_cycles / found.spec.clock_hz * 1e9)
    assert all(0 <= e["begin"] <= e["end"] <= end + 1 for es in shown.values() for e in es)
    lasting = [p for o in found.operators for p in o.phases if p.end_cycles > p.begin_cycles]
    assert sum(len(es) for key, es in shown.items() if " phases" in key) == len(lasting)


def test_a_report_does_not_differ_from_itself(name: str) -> None:
    source = ReportSource("a", "plan", simulation_report(simulated(name)))
    found = diff_reports(source, source)
    assert (found.changed, found.added, found.removed) == ((), (), ())
    assert max(map(len, difference_lines(found))) <= LINE_WIDTH
