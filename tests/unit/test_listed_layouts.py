"""Ways that listed plans lie, and tables over pairs of them and of kinds."""

import random

import numpy as np
import pytest
from planned_graphs import chip

from t10c.schedule.choices import all_listed, find_choices
from t10c.schedule.layout_batch import stacked_layout
from t10c.schedule.listed_layouts import Lies, ListedLayouts
from t10c.schedule.pair_table import PairTable
from t10c.schedule.problem import Problem
from t10c.schedule.size_table import Held, Needed, SizeTable
from t10c.schedule.windows import Window, clipped
from t10c.search import SearchOptions
from t10c.search.templates import named_expression


def test_rows_of_a_way_lie_alike() -> None:
    spec = chip(12, 16, 64, "fixed")
    problem = Problem(named_expression("matmul", {"m": 6, "n": 8, "k": 4}), (1,))
    choices = find_choices(problem, spec, SearchOptions(), uniform=False, joint=True)
    plans = [entry.plan for entry in all_listed(choices, spec, lending=False).plans]
    sample = np.arange(12)
    listed = ListedLayouts((choices,), sample, spec)
    rows = np.arange(len(plans))
    random.Random(1).shuffle(rows)
    roles: list[Lies] = [("in", 0), ("after", 1), ("out", 0)]
    for lies in roles:
        ways = np.concatenate([listed.ways(0, lies, part) for part in np.array_split(rows, 3)])
        role, operand = lies
        which = problem.expression.output if role == "out" else problem.expression.inputs[operand]
        own = stacked_layout(problem.expression, [plans[row] for row in rows], which, role, sample)
        of_way = listed.layouts(0, lies, ways)
        assert np.array_equal(of_way.start, own.start)
        assert np.array_equal(of_way.stop, own.stop)
        boxes = np.concatenate([own.start, own.stop], axis=1).reshape(len(rows), -1)
        assert len(np.unique(boxes, axis=0)) == len(np.unique(ways)) > 1


def test_ways_within_windows_are_boxes_within_windows() -> None:
    """Two rows, seen through windows that may differ in their place, lie alike if boxes do."""
    spec = chip(12, 16, 64, "fixed")
    problem = Problem(named_expression("matmul", {"m": 12, "n": 8, "k": 4}), (1,))
    choices = find_choices(problem, spec, SearchOptions(), uniform=False, joint=True)
    plans = [entry.plan for entry in all_listed(choices, spec, lending=False).plans]
    listed = ListedLayouts((choices,), np.arange(12), spec)
    whole = stacked_layout(
        problem.expression, plans, problem.expression.output, "out", np.arange(12)
    )
    rng = random.Random(2)
    rows = np.arange(len(plans))
    for extent in ((1, 8), (3, 8), (2, 5), (1, 1)):
        ways, boxes = [], []
        for _ in range(12):
            low = tuple(rng.randrange(13 - own) for own in (extent[0], extent[1] + 4))
            window = Window(low, extent)
            part = np.array(rng.sample(rows.tolist(), len(rows) // 2))
            ways.append(listed.ways(0, ("out", 0), part, window))
            seen = clipped(whole, window).reshape(len(rows), -1)
            boxes.append(seen[part])
            of_way = listed.layouts(0, ("out", 0), ways[-1], extent)
            shown = np.concatenate([of_way.start, of_way.stop], axis=1).reshape(len(part), -1)
            sides = boxes[-1].reshape(len(part), 12, 4)
            starts, stops = sides[:, :, :2], sides[:, :, 2:]
            assert np.array_equal(shown.reshape(-1, 12, 4), np.concatenate([starts, stops], axis=2))
        _, apart = np.unique(np.concatenate(boxes), axis=0, return_inverse=True)
        pairs = set(zip(np.concatenate(ways).tolist(), apart.ravel().tolist(), strict=True))
        assert len(pairs) == len({way for way, _ in pairs}) == len({box for _, box in pairs}) > 1


def test_each_pair_is_computed_once() -> None:
    asked: list[tuple[int, int]] = []

    def product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        asked.extend((a, b) for a in first.tolist() for b in second.tolist())
        return np.multiply.outer(first, 100 + second)

    table = PairTable(product)
    rng = random.Random(3)
    for _ in range(30):
        first = np.array(rng.sample(range(9), rng.randint(0, 5)), dtype=np.int64)
        second = np.array(rng.sample(range(7), rng.randint(0, 4)), dtype=np.int64)
        assert np.array_equal(table.of(first, second), np.multiply.outer(first, 100 + second))
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("seed", range(20))
def test_ways_with_the_same_numbers_are_merged(seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 2, (9, 3))[:, rng.integers(0, 3, 7)]
    table = PairTable(lambda first, second: numbers[np.ix_(first, second)])
    for _ in range(3):
        first, second = rng.integers(0, 9, 4), rng.integers(0, 7, 3)
        merged = table.merged(first, second)
        rows, columns = merged.first_class[first], merged.second_class[second]
        assert np.array_equal(merged.table[np.ix_(rows, columns)], numbers[np.ix_(first, second)])
        assert len(np.unique(merged.table, axis=0)) == len(merged.table)
        assert len(np.unique(merged.table, axis=1).T) == len(merged.table.T)


@pytest.mark.parametrize("seed", range(40))
def test_sizes_between_kinds(seed: int) -> None:
    """Rows that several windows ask for are what each pair of kinds gives by itself."""
    rng = np.random.default_rng(seed)
    exact = rng.integers(0, 3, (6, 5))
    pairs = PairTable(lambda first, second: exact[np.ix_(first, second)])
    plans, own_plans = int(rng.integers(0, 5)), int(rng.integers(0, 5))
    kinds, own_kinds = (
        plans + int(rng.integers(plans == 0, 4)),
        own_plans + int(rng.integers(own_plans == 0, 4)),
    )
    held = Held(plans, rng.integers(0, 4, kinds) / 1.0, rng.integers(1, 4, kinds))
    needed = Needed(
        own_plans,
        rng.integers(0, 6, own_kinds) / 1.0,
        rng.integers(1, 4, own_kinds),
        rng.integers(0, 2, own_kinds) / 1.0,
    )
    ways = rng.integers(0, 5, own_plans)
    table = SizeTable(pairs.merged(np.arange(6), np.arange(5)), held, needed, ways)
    for _ in range(3):
        first = rng.integers(0, 6, plans)
        rows = table.rows(first)
        found = table.table()[np.ix_(rows, table.columns)]
        for kind, own in np.ndindex(found.shape):
            if kind < plans and own < own_plans:
                size = float(exact[first[kind], ways[own]])
            else:
                all_hold = held.most_cores[kind] >= needed.least_cores[own]
                lacks = needed.least_bytes[own] - held.most_bytes[kind] * all_hold
                size = max(needed.floor_bytes[own], lacks, 0.0)
            assert found[kind, own] == size
    assert len(np.unique(table.table(), axis=0)) == len(table.table())
