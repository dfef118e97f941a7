"""Which listed plans are opened first."""

import numpy as np
import pytest
from planned_graphs import GraphWriter, chip

from t10c.schedule import listings
from t10c.schedule.listings import Listings
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.prepare import prepare
from t10c.schedule.setting import Setting


def first_opened(monkeypatch: pytest.MonkeyPatch) -> tuple[Listings, int]:
    """Listings with a dozen plans of a product opened by dearness, and the product's number."""
    w = GraphWriter()
    y = w.matmul("y", w.input("x", 24, 12), w.weight("w", 12, 16))
    graph = w.graph(w.relu("r", y))
    spec = chip(12, 64)
    setting = prepare(graph, spec, ScheduleOptions(time_limit_seconds=600))
    assert isinstance(setting, Setting)
    monkeypatch.setattr(listings, "_OPEN_ALL", 12)
    monkeypatch.setattr(listings, "_OPENED_MORE", 12)
    found, number = Listings(setting, spec), setting.choice_of[0]
    rows = len(setting.choices[number].listed)
    assert rows > 24
    assert found.open_more(number, np.arange(rows, dtype=np.float64))
    assert found.opened_plans == 12
    return found, number


def opened_rows(found: Listings, number: int) -> list[int]:
    """The rows of one problem that are opened."""
    return np.flatnonzero(found._known[number].opened).tolist()


def test_plans_with_the_lowest_bounds_are_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened_rows(*first_opened(monkeypatch)) == list(range(12))


def test_nothing_is_opened_that_cannot_be_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are in no kind, and those that are opened already."""
    found, number = first_opened(monkeypatch)
    bounds = np.full(len(found.setting.choices[number].listed), np.inf)
    bounds[:12] = 0.0
    assert not found.open_more(number, bounds)
    assert found.opened_plans == 12
