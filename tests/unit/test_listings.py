"""Which listed plans are opened first."""

import numpy as np
import pytest
from planned_graphs import GraphWriter, chip

from t10c.schedule import listings
from t10c.schedule.listings import Listings
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.prepare import prepare
from t10c.schedule.setting import Setting


def first_opened(monkeypatch: pytest.MonkeyPatch, many_readers: int) -> tuple[Listings, int]:
    """Listings with a dozen plans of a product opened by dearness, and the product's number."""
    w = GraphWriter()
    y = w.matmul("y", w.input("x", 24, 12), w.weight("w", 12, 16))
    graph = w.graph(*(w.relu(f"r{reader}", y) for reader in range(4)))
    spec = chip(12, 64)
    setting = prepare(graph, spec, ScheduleOptions(time_limit_seconds=600))
    assert isinstance(setting, Setting)
    monkeypatch.setattr(listings, "_OPEN_ALL", 12)
    monkeypatch.setattr(listings, "_OPENED_MORE", 12)
    monkeypatch.setattr(listings, "_MANY_READERS", many_readers)
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
    assert opened_rows(*first_opened(monkeypatch, 5)) == list(range(12))


def test_of_outputs_that_many_read_plans_of_all_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of every split come before the second best of any."""
    found, number = first_opened(monkeypatch, 4)
    splits = found.setting.choices[number].listed.candidates.splits.tolist()
    first: dict[tuple[int, ...], int] = {}
    for row, split in enumerate(splits):
        first.setdefault(tuple(split), row)
    best = list(first.values())[:12]
    assert len(best) == 12
    assert best != list(range(12))
    assert opened_rows(found, number) == best


def test_nothing_is_opened_that_cannot_be_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are in no kind, and those that are opened already."""
    found, number = first_opened(monkeypatch, 5)
    bounds = np.full(len(found.setting.choices[number].listed), np.inf)
    bounds[:12] = 0.0
    assert not found.open_more(number, bounds)
    assert found.opened_plans == 12


@pytest.mark.parametrize("count", [0, 1, 40])
def test_turns_within_groups(count: int) -> None:
    rng = np.random.default_rng(count)
    groups, scores = rng.integers(1, 4, (count, 2)), rng.permutation(count).astype(np.float64)
    turns = listings._turns(groups, scores)
    for row in range(count):
        alike = (groups == groups[row]).all(axis=1)
        assert turns[row] == np.count_nonzero(scores[alike] < scores[row])
