"""The HTML page of a sweep, without a browser."""

import json
import re

import pytest
from sweep_tables import made_table

from t10c.report.html import sweep, sweep_page

HOSTILE = "</script><img src=x onerror=alert(1)>"


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_data_are_those_of_the_table():
    table = made_table(simulated=True)
    data = data_of(sweep_page(table))
    assert len(data["rows"]) == len(table.rows) == 2 * 24
    assert data["axes"] == ["cores", "sram", "link_bandwidth"]
    at = data["columns"].index("latency_ms")
    expected = [
        None if value is None else pytest.approx(value, rel=1e-5)
        for value in table.column("latency_ms")
    ]
    assert [row[at] for row in data["rows"]] == expected
    assert {"latency_ms", "gap", "simulated_latency_ms"} <= set(data["figures"])
    assert "hardware_hash" not in data["columns"]


def test_the_summary_names_the_fastest_point_of_every_model():
    page = sweep_page(made_table())
    assert "<dt>one</dt><dd><b>0.1429 ms</b>" in page
    assert "the fastest of 18 that fit: ipu-mk2 cores=128 sram=1MiB link_bandwidth=10GB/s" in page
    assert "36 have a plan" in page


def test_names_cannot_break_out_of_the_page():
    page = sweep_page(made_table((HOSTILE,)))
    assert HOSTILE not in page
    assert data_of(page)["rows"][0][0] == HOSTILE


def test_same_table_same_bytes():
    assert sweep_page(made_table()) == sweep_page(made_table())


def test_points_beyond_what_a_page_holds_are_left_out_and_said_so(monkeypatch):
    monkeypatch.setattr(sweep, "MOST_POINTS", 10)
    page = sweep_page(made_table())
    assert len(data_of(page)["rows"]) == 10
    assert "the page holds the first 10" in page
