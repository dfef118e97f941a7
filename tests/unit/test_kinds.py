"""How rows of a shortlist are told apart, and what kinds of plans were part of before."""

import random
from dataclasses import replace

import numpy as np
import pytest
from planned_graphs import chip

from t10c.schedule import shortlist
from t10c.schedule.choices import find_choices
from t10c.schedule.kinds import find_kinds
from t10c.schedule.numbering import numbered, turns
from t10c.schedule.problem import Problem
from t10c.schedule.progress import Progress
from t10c.search import SearchOptions
from t10c.search.templates import named_expression


def test_different_rows_are_numbered_in_order() -> None:
    """Also where their values are too many to be told apart by one number of 64 bits."""
    rng = np.random.default_rng(5)
    for count, columns, values in (
        (0, 3, 4),
        (1, 1, 9),
        (60, 0, 1),
        (200, 4, 3),
        (300, 9, 1 << 40),
    ):
        rows = rng.integers(-values, values, (count, columns))
        rows = rows[rng.integers(0, max(count // 2, 1), count)] if count else rows
        found, number = numbered(rows)
        every, which = np.unique(rows, axis=0, return_inverse=True)
        assert found == len(every) or columns == 0
        assert np.array_equal(number, which.ravel()) or columns == 0
        assert columns > 0 or (found == 1 and not number.any())


def test_kinds_know_what_they_were_part_of() -> None:
    """Rows that are opened were in a class, and what is left of a class was in it."""
    spec = chip(12, 16, 64, "fixed")
    problem = Problem(named_expression("matmul", {"m": 6, "n": 8, "k": 4}), (1,))
    choices = find_choices(problem, spec, SearchOptions(), uniform=False, joint=True)
    rng = random.Random(2)
    rows = list(range(len(choices.listed)))
    rng.shuffle(rows)
    some = np.array(sorted(rows[:5]), dtype=np.int64)
    more = np.array(sorted(rows[5:15]), dtype=np.int64)
    first = Progress.of_list(choices.listed).opening(some, some).classified(choices.listed)
    second = first.opening(more, more).classified(choices.listed)
    before, after = (find_kinds(choices, known, 1.0, spec) for known in (first, second))
    were = after.were(before)
    assert len(were) == len(after)
    assert (before.member_of[after.rows] == were[: after.single]).all()
    for kind in range(after.single, after.listed):
        members = np.flatnonzero(after.member_of == kind)
        assert were[kind] in before.member_of[members]
    assert (were[: after.single] >= before.single).sum() >= 5


def test_parts_of_the_rest_know_what_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of plans that are told apart by what they cut; also where a part is no longer alive."""
    monkeypatch.setattr(shortlist, "FEW_PLANS", 0)
    monkeypatch.setattr(shortlist, "MOST_PLANS", 9)
    spec = chip(12, 16, 64, "fixed")
    problem = Problem(named_expression("matmul", {"m": 6, "n": 8, "k": 4}), (1,), readers=72)
    choices = find_choices(problem, spec, SearchOptions(), uniform=False, joint=True)
    parts = len(choices.listed.rest.cuts)
    assert parts > 2
    known = Progress.of_list(choices.listed)
    first, last, middle = (known.rest_alive.copy() for _ in range(3))
    first[0] = last[-1] = middle[1] = False
    for before_alive, after_alive in ((first, last), (last, first), (middle, middle)):
        before, after = (
            find_kinds(choices, replace(known, rest_alive=alive), 1.0, spec)
            for alive in (before_alive, after_alive)
        )
        were = after.were(before)
        for kind, part in enumerate(after.rests, after.listed):
            if part in before.rests:
                assert before.rests[were[kind] - before.listed] == part


def test_plans_of_a_class_cut_the_same() -> None:
    spec = chip(12, 16, 64, "fixed")
    problem = Problem(named_expression("matmul", {"m": 6, "n": 8, "k": 4}), (1,), readers=72)
    choices = find_choices(problem, spec, SearchOptions(), uniform=False, joint=True)
    listed = choices.listed
    known = replace(Progress.of_list(listed), opened=np.zeros(len(listed), dtype=bool))
    kinds = find_kinds(choices, known.classified(listed), 1.0, spec)
    assert len(np.unique(listed.cuts)) > 2
    for kind in range(kinds.listed):
        assert len(np.unique(listed.cuts[kinds.member_of == kind])) == 1


@pytest.mark.parametrize("count", [0, 1, 40])
def test_turns_within_groups(count: int) -> None:
    rng = np.random.default_rng(count)
    groups, scores = rng.integers(1, 4, (count, 2)), rng.permutation(count).astype(np.float64)
    found = turns(groups, scores)
    for row in range(count):
        alike = (groups == groups[row]).all(axis=1)
        assert found[row] == np.count_nonzero(scores[alike] < scores[row])
