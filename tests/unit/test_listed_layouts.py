"""Ways that listed plans lie, and tables over pairs of them."""

import random

import numpy as np
from planned_graphs import chip

from t10c.schedule.choices import all_listed, find_choices
from t10c.schedule.layout_batch import stacked_layout
from t10c.schedule.listed_layouts import Lies, ListedLayouts
from t10c.schedule.pair_table import PairTable
from t10c.schedule.problem import Problem
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
