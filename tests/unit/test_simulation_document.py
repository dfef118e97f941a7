"""Simulation reports: the figures, the file and back, and its JSON Schema."""

import json
from pathlib import Path

import jsonschema
import pytest
from changed_documents import all_paths, changed
from scripts import docs_script
from simulations import simulation

from t10c.errors import InvalidInputError
from t10c.simulate.document import (
    SimulationReport,
    load_simulation,
    simulation_document,
    simulation_report,
    simulation_schema,
)

ROOT = Path(__file__).resolve().parents[2]

KEYS = [
    "latency_cycles",
    "latency_ms",
    "breakdown_cycles",
    "cost_model_cycles",
    "lower_bound_cycles",
    "peak_core_bytes",
    "utilisation",
    "operators",
]
PARTS = ["compute", "shift", "sync", "reduction", "transition", "setup", "offchip", "idle"]


@pytest.fixture
def document() -> dict:
    text = json.dumps(simulation_document(simulation_report(simulation())))
    return json.loads(text)


def load(document: object) -> SimulationReport:
    return load_simulation(json.dumps(document).encode(), "r.json")


def test_the_figures_are_those_of_the_simulation(document: dict) -> None:
    assert (document["schema"], document["version"]) == ("t10c.simulation", 1)
    assert set(KEYS) <= set(document)
    assert list(document["breakdown_cycles"]) == PARTS
    assert sum(document["breakdown_cycles"].values()) == document["latency_cycles"] == 1000.0
    assert document["latency_ms"] == 1000.0 / 1.325e9 * 1e3
    assert document["breakdown_cycles"]["compute"] == 500.0
    assert document["utilisation"] == 0.5
    assert document["transfer_share"] == (40 + 40 + 120 + 150 + 100) / 1000
    assert document["cost_model_cycles"] == 980.0
    assert document["lower_bound_cycles"] == 800.0
    assert document["effects_cycles"]["contention"] == 30.0
    assert document["effects_cycles"]["short_blocks"] == -20.0
    assert (document["peak_core_bytes"], document["peak_operator"]) == (4096, "/layers.1/MatMul")
    first, second = document["operators"]
    assert sum(first["breakdown_cycles"].values()) == first["latency_cycles"] == 600.0
    assert (second["begin_cycles"], second["latency_cycles"]) == (600.0, 400.0)
    assert second["kernel"] == "conv"


def test_numbers_name_their_units(document: dict) -> None:
    units = ("_cycles", "_bytes", "_ms", "_hz", "_count", "_bytes_per_second")
    plain = {"utilisation", "transfer_share", "version", "flop"}

    def check(value: object, name: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                check(inner, name if name.endswith("_cycles") else key)
        elif isinstance(value, list):
            for inner in value:
                check(inner, name)
        elif isinstance(value, int | float):
            assert name in plain or name.endswith(units), name

    check(document, "")


def test_what_is_not_known_is_null() -> None:
    from dataclasses import replace

    made = simulation(lower_bound_cycles=None)
    made = replace(
        made, operators=(replace(made.operators[0], cost_model_cycles=None), made.operators[1])
    )
    document = simulation_document(simulation_report(made))
    assert document["lower_bound_cycles"] is None
    assert document["cost_model_cycles"] is None
    assert document["operators"][1]["cost_model_cycles"] == 370.0
    assert load(document) == simulation_report(made)


def test_a_report_comes_back(document: dict) -> None:
    report = load(document)
    assert report == simulation_report(simulation())
    assert simulation_document(report) == document


def test_an_empty_model_has_a_report() -> None:
    report = simulation_report(simulation(operators=(), memory=()))
    assert load(simulation_document(report)) == report
    assert (report.latency_cycles, report.utilisation, report.peak_operator) == (0, 0, "")


def test_reports_obey_their_schema(document: dict) -> None:
    text = (ROOT / "docs" / "simulation.schema.json").read_text(encoding="utf-8")
    assert text == json.dumps(simulation_schema(), indent=2) + "\n", "run make docs"
    validator = jsonschema.Draft202012Validator(simulation_schema())
    validator.check_schema(simulation_schema())
    validator.validate(document)
    for path in all_paths(document):
        if path[-1] not in ("generator",) and isinstance(path[-1], str):
            assert not validator.is_valid(changed(document, path, [object()])), path
    described = simulation_schema()
    for shape in (described, described["$defs"]["OperatorReport"]):
        own = set(shape["properties"]) - {"schema", "version", "generator"}
        assert all("description" in shape["properties"][key] for key in own)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"schema": "t10c.plan"}, "(its schema is 't10c.plan', not 't10c.simulation')"),
        ({"version": 2}, "upgrade t10c"),
        ({"version": 0}, "simulate the plan again"),
        ({"latency_cycles": 999.0}, "breakdown_cycles sums to 1000, latency_cycles is 999"),
        (
            {"latency_ms": 7.0},
            "latency_ms is 7, latency_cycles, breakdown_cycles and clock_hz give",
        ),
        ({"utilisation": 3.5}, "utilisation is 3.5, latency_cycles, breakdown_cycles"),
        ({"clock_hz": 0.0}, "one of them was edited"),
        ({"clock_hz": 1e9}, "one of them was edited"),
        ({"latency_cycles": "fast"}, "simulation.latency_cycles: is 'fast'"),
        ({"latency_cycles": None}, "simulation.latency_cycles"),
        ({"speed": 1}, "simulation.speed: unknown key"),
    ],
)
def test_reports_that_are_none(document: dict, edit: dict, said: str) -> None:
    with pytest.raises(InvalidInputError, match=r"r\.json: ") as caught:
        load({**document, **edit})
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3
    for data in (b"", b"7", b"[]", b"\xff", b"[" * 100_000):
        with pytest.raises(
            InvalidInputError, match=r"r\.json: not a (simulation report: |t10c simulation)"
        ):
            load_simulation(data, "r.json")


def test_the_page_of_reports_has_all_keys() -> None:
    page = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    assert docs_script("generate").with_keys(page) == page, "run make docs"
    described = simulation_schema()
    for shape in (described, described["$defs"]["OperatorReport"]):
        assert all(key in page for key in shape["properties"] if key != "generator")
    kinds = described["$defs"]
    for part in (*kinds["Breakdown"]["properties"], *kinds["Effects"]["properties"]):
        assert f"\n| {part} | " in page
