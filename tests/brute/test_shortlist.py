"""What a shortlist says of all plans of a problem, against every plan with every idle cut."""

import random
from typing import Any

import numpy as np
import pytest
from planned_graphs import chip
from random_expressions import draw_expression

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes
from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.ir.plan import Plan
from t10c.schedule import shortlist
from t10c.schedule.choices import Choices, all_listed, find_choices
from t10c.schedule.cuts import CUT_SETS, cut_dims
from t10c.schedule.holders import holding_cores, holding_cores_of_cuts, needing_cores
from t10c.schedule.kinds import find_kinds
from t10c.schedule.layout import operand_layout, output_layout, place
from t10c.schedule.listing_sieve import ListingSieve
from t10c.schedule.pool import PoolCollector, execution_cycles
from t10c.schedule.problem import Problem, search_problem
from t10c.schedule.progress import Progress
from t10c.schedule.shares import used_elements
from t10c.schedule.shortlist import ShortlistCollector
from t10c.search import SearchOptions, explore
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.operator import FrontEntry
from t10c.search.space import FloatArray, IntArray
from t10c.search.templates import named_expression
from t10c.search.temporal import slot_table

from .test_joint import every_plan

EXHAUSTIVE = SearchOptions(pruning="exhaustive")
WEIGHTED = ("matmul", "grouped", "quantised", "products", "gather", "pointwise", "conv")


def strided() -> TensorExpression:
    """A product that skips rows of its weight."""
    axes = (Axis("m", 4, "m"), Axis("n", 3, "n"), Axis("k", 4, "k", reduction=True))
    m, n = Dim((("m", 1),), 4), Dim((("n", 1),), 3)
    inputs = (Operand("A", (m, Dim((("k", 1),), 4))), Operand("B", (Dim((("k", 3),), 10), n)))
    step = ScalarStep("Mul", ("A", "B"))
    return TensorExpression("matmul", axes, inputs, Operand("C", (m, n)), (step,), "sum")


def diagonal() -> TensorExpression:
    """Rows scaled by the diagonal of a square."""
    axes = (Axis("r", 8, "parallel"), Axis("d", 6, "parallel"))
    row, along = Dim((("r", 1),), 8), Dim((("d", 1),), 6)
    inputs = (Operand("A", (row, along)), Operand("B", (along, along)))
    step = ScalarStep("Mul", ("A", "B"))
    return TensorExpression("pointwise", axes, inputs, Operand("C", (row, along)), (step,))


def square() -> TensorExpression:
    """The diagonal of a square, put where it was."""
    both = (Dim((("r", 1),), 6),) * 2
    step = ScalarStep("Mul", ("A", "B"))
    inputs = (Operand("A", both), Operand("B", both[:1]))
    axes = (Axis("r", 6, "parallel"),)
    return TensorExpression("pointwise", axes, inputs, Operand("C", both), (step,))


def weighted_problem(seed: int) -> tuple[Problem, HardwareSpec]:
    """A problem some of whose inputs are weights, on a small chip."""
    rng = random.Random(seed)
    spec = chip(rng.choice([3, 4, 6, 8, 12]), 64, 64, rng.choice(["fixed", "double"]))
    form = rng.random()
    if form < 0.1:
        expression = strided()
    elif form < 0.2:
        expression = diagonal()
    elif form < 0.25:
        expression = square()
    else:
        while True:
            expression = draw_expression(rng.choice(WEIGHTED), rng).expression
            if expression.points <= 500:
                break
    count = len(expression.inputs)
    weights = tuple(i for i in range(count) if rng.random() < 0.5) or (count - 1,)
    return Problem(expression, weights), spec


def exact_costs(choices: Choices, price: float) -> dict[tuple[object, ...], float]:
    """Execution and the cheapest idle cuts at a price, of every plan."""
    costs = np.full(len(choices.plans), np.inf)
    np.minimum.at(costs, choices.plan, choices.setup + price * choices.idle_bytes)
    costs += choices.execution
    return {
        (entry.plan.split, entry.plan.rotations): float(cost)
        for entry, cost in zip(choices.plans, costs, strict=True)
    }


@pytest.mark.parametrize("few", [0, 1 << 20])
@pytest.mark.parametrize("seed", range(80))
def test_listed_plans_and_the_rest(seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any price no plan costs less than its row says, or a part of the rest where it has none.

    Plans of that part are not said to cut what it does not.
    """
    if seed % 2:
        monkeypatch.setattr(shortlist, "MANY_READERS", 0)
    monkeypatch.setattr(shortlist, "FEW_PLANS", few)
    monkeypatch.setattr(shortlist, "MOST_PLANS", 7 if few == 0 else 1 << 20)
    # in small chunks, so that the first rule out plans of those that follow
    monkeypatch.setattr(explore, "_CHUNK_PLANS", 8)
    problem, spec = weighted_problem(seed)
    every = every_plan(problem, spec, EXHAUSTIVE)
    if every is None:
        return
    choices = find_choices(problem, spec, EXHAUSTIVE, uniform=False, joint=True)
    listed = choices.listed
    rows = {(e.plan.split, e.plan.rotations): i for i, e in enumerate(_entries(choices, spec))}
    assert few == 0 or len(rows) == len(every.plans) == len(listed)
    rng = random.Random(seed)
    last = float(every.bound_prices[-1])
    for price in (0.0, *(last ** rng.random() * 0.3 for _ in range(8)), 2 * last):
        own = listed.costs_at(price)
        rest = listed.rest.cost_at(price)
        kinds = find_kinds(choices, Progress.of_list(listed), price, spec)
        rate = rng.choice([0.1, 1.0, 30.0])
        with_own = listed.rest.cost_at(price, rate)
        for (key, cost), entry, active in zip(
            exact_costs(every, price).items(), every.plans, every.active_bytes.tolist(), strict=True
        ):
            row = rows.get(key)
            if row is None:
                part = listed.rest.cuts & ~cuts_of(problem.expression, entry.plan) == 0
                assert rest[part].min() <= cost * (1 + 1e-9)
                assert with_own[part].min() <= (cost + rate * active) * (1 + 1e-9)
                assert kinds.cost[kinds.listed :][part[kinds.rests]].min() <= cost * (1 + 1e-9)
            else:
                assert own[row] == pytest.approx(cost, rel=1e-9)
                assert kinds.cost[kinds.member_of[row]] <= cost * (1 + 1e-9)


def cuts_of(expression: TensorExpression, plan: Plan) -> int:
    """Dimensions of a plan's home of which no index lies on more than half of the cores."""
    layout = output_layout(place(expression, plan))
    some = (layout.stop > layout.start).all(axis=1)
    cuts = 0
    for position, dim in enumerate(expression.output.dims):
        index = np.arange(dim.size)
        start, stop = (side[:, position, None] for side in (layout.start, layout.stop))
        holding = ((start <= index) & (index < stop) & some[:, None]).sum(axis=0)
        cuts |= int(holding.max() * 2 <= len(layout.start)) << position
    return cuts


def _entries(choices: Choices, spec: HardwareSpec) -> list[FrontEntry]:
    """The shortlist's plans, row by row."""
    return list(all_listed(choices, spec, lending=False).plans)


@pytest.fixture
def whole_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems list all of their plans."""
    monkeypatch.setattr(shortlist, "FEW_PLANS", 1 << 20)
    monkeypatch.setattr(shortlist, "MOST_PLANS", 1 << 20)


@pytest.mark.usefixtures("whole_lists")
@pytest.mark.parametrize("seed", range(60))
def test_sizes_of_layouts(seed: int) -> None:
    """Homes are at most, and what one copy leaves to receive is at least, what layouts come to."""
    problem, spec = weighted_problem(seed)
    choices = find_choices(problem, spec, EXHAUSTIVE, uniform=False, joint=True)
    if not choices.plans:
        return
    expression, listed = problem.expression, choices.listed
    entries = _entries(choices, spec)
    assert listed.input_bytes.tolist() == all_listed(choices, spec, False).input_bytes.tolist()
    rng = random.Random(seed)
    for row in rng.sample(range(len(entries)), min(len(entries), 25)):
        placed = place(expression, entries[row].plan)
        width = (expression.output.bits or 16) / 8
        home = output_layout(placed).elements
        assert home.max() * width <= listed.home_bytes[row]
        for index, operand in enumerate(expression.inputs):
            held = operand_layout(placed, operand).elements
            own = (operand.bits or 16) / 8
            used = used_elements(expression, operand)
            # in one copy every element lies with one of those that need it, at best
            lacking = (held.sum() - used) * own / len(held)
            assert listed.floor_bytes[row, index] <= lacking + 1e-9


@pytest.mark.usefixtures("whole_lists")
@pytest.mark.parametrize("seed", range(60))
def test_cores_that_hold_and_cores_that_need(seed: int) -> None:
    """No more cores hold any of what a window shows than said, and no fewer need all of a piece."""
    problem, spec = weighted_problem(seed)
    choices = find_choices(problem, spec, EXHAUSTIVE, uniform=False, joint=True)
    if not choices.plans:
        return
    expression, listed = problem.expression, choices.listed
    table, own = slot_table(expression), listed.candidates
    sizes = [dim.size for dim in expression.output.dims]
    rng = random.Random(seed)
    extents = [None, *(tuple(rng.choice([1, 1, 2, n]) for n in sizes) for _ in range(4))]
    holding = [holding_cores(expression, table, own, extent) for extent in extents]
    cuts = cut_dims(expression, table, own)
    of_cuts = [holding_cores_of_cuts(expression, cuts, e, spec.core_count) for e in extents]
    needing = [needing_cores(expression, table, own, i) for i in range(len(expression.inputs))]
    entries = _entries(choices, spec)
    for row in rng.sample(range(len(entries)), min(len(entries), 25)):
        placed = place(expression, entries[row].plan)
        home = output_layout(placed)
        for extent, of_rows, at_most in zip(extents, holding, of_cuts, strict=True):
            low = np.array([rng.randrange(n) for n in sizes])
            high = low + (sizes if extent is None else extent)
            common = np.minimum(home.stop, high) - np.maximum(home.start, low)
            assert (common > 0).all(axis=1).sum() <= of_rows[row] <= at_most[row]
        for index, operand in enumerate(expression.inputs):
            held = size_bytes(spec, operand_layout(placed, operand).elements, operand.bits)
            enough = np.count_nonzero(held >= listed.needed_bytes[row, index])
            assert 1 <= needing[index][row] <= enough


class Watched(ShortlistCollector):
    """A collector that notes what every plan it sees costs and cuts, and what it is told of others.

    `left` has by the number of what is cut at least the least floors of plans that were left out.
    """

    def __init__(self, *own: Any) -> None:
        super().__init__(*own)
        self.seen: dict[bytes, tuple[int, FloatArray]] = {}
        self.left = np.full((CUT_SETS, len(self.prices)), np.inf)

    def visit(self, candidates: Candidates, costs: Costs, execution: FloatArray) -> None:
        rows = np.concatenate([candidates.splits, candidates.factors], axis=1)
        priced = execution + self._weights(candidates, costs)
        cuts = self._cuts(candidates).tolist()
        seen = zip(cuts, priced.T, strict=True)
        self.seen.update(zip((row.tobytes() for row in rows), seen, strict=True))
        super().visit(candidates, costs, execution)

    def leave_out(
        self, cuts: IntArray, floors: FloatArray, active_bytes: FloatArray, count: int
    ) -> None:
        np.minimum.at(self.left, cuts, floors.T)
        super().leave_out(cuts, floors, active_bytes, count)


@pytest.mark.parametrize("readers", [3, 72])
def test_plans_that_are_not_listed_are_seldom_priced(
    readers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What floors rule out is summed up unpriced, by no more than it costs."""
    monkeypatch.setattr(shortlist, "MOST_PLANS", 1000)
    monkeypatch.setattr(explore, "_CHUNK_PLANS", 2048)
    expression = named_expression("matmul", {"m": 96, "n": 128, "k": 160})
    problem, spec = Problem(expression, (1,), readers=readers), chip(96, 64)
    listings: list[Watched] = []
    for sieving in (True, False):
        collector = PoolCollector(problem, spec, uniform=False)
        own = Watched(problem, spec, collector.prices)

        def visit(candidates: Candidates, costs: Costs, own: Watched = own) -> None:
            own.visit(candidates, costs, execution_cycles(problem.expression, costs))

        sieve = ListingSieve(collector, own) if sieving else None
        search_problem(problem.expression, spec, EXHAUSTIVE, visit, sieve)
        listings.append(own)
    some, every = listings
    assert len(some.seen) < len(every.seen) / 2
    missed = [seen for key, seen in every.seen.items() if key not in some.seen]
    for cuts in {cuts for cuts, _ in missed}:
        least = np.min([priced for own, priced in missed if own == cuts], axis=0)
        fewer = [own for own in range(CUT_SETS) if own & ~cuts == 0]
        assert (some.left[fewer].min(axis=0) <= least).all()
    one, other = some.shortlist(), every.shortlist()
    least, exact = one.rest.cost.min(axis=0), other.rest.cost.min(axis=0)
    assert (least <= np.minimum(exact, some.left.min(axis=0))).all()
    assert (least >= exact * 0.9).all()
    # so few limits were set late that the same plans are listed
    assert len(one) == len(other) == 1000
    assert np.array_equal(one.candidates.splits, other.candidates.splits)
    assert np.array_equal(one.candidates.factors, other.candidates.factors)
    assert np.array_equal(one.execution, other.execution)
    some.leave_out(np.zeros(1, np.int64), np.ones((len(some.prices), 1)), np.ones(1), 1)
    assert some.shortlist().rest.cost_at(1.0)[0] == 1


def test_too_many_plans_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dearest at every price go."""
    problem = Problem(named_expression("matmul", {"m": 24, "n": 24, "k": 24}), (1,))
    spec = chip(12, 64)
    whole = find_choices(problem, spec, EXHAUSTIVE, uniform=False, joint=True).listed
    monkeypatch.setattr(shortlist, "MOST_PLANS", 50)
    short = find_choices(problem, spec, EXHAUSTIVE, uniform=False, joint=True).listed
    assert len(short) == 50 < len(whole)
    for price in (0.0, 1.0, 100.0):
        assert short.rest.cost_at(price) < whole.rest.cost_at(price)
        assert short.costs_at(price).min() == whole.costs_at(price).min()


def test_every_set_of_cuts_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many read the output; where few do, those that cost least are listed."""
    expression = named_expression("matmul", {"m": 96, "n": 128, "k": 160})
    spec = chip(96, 64)
    table = slot_table(expression)
    whole = Problem(expression, (1,), readers=72)
    every = find_choices(whole, spec, EXHAUSTIVE, uniform=False, joint=True).listed
    monkeypatch.setattr(shortlist, "MOST_PLANS", 400)
    shares = []
    for readers in (3, 72):
        problem = Problem(expression, (1,), readers=readers)
        listed = find_choices(problem, spec, EXHAUSTIVE, uniform=False, joint=True).listed
        assert len(listed) == 400
        shares.append(np.bincount(cut_dims(expression, table, listed.candidates), minlength=4))
    there_are = np.bincount(every.cuts, minlength=4)
    assert there_are.max() > 400
    assert (shares[1] >= np.minimum(there_are, 100)).all()
    assert shares[0].min(where=there_are > 100, initial=100) < 20


def test_what_rules_out_some_cuts_rules_out_more() -> None:
    """A plan that cuts some dimensions may cut others too, of which dearer plans are listed."""
    expression = named_expression("matmul", {"m": 96, "n": 128, "k": 160})
    problem, spec = Problem(expression, (1,), readers=72), chip(96, 64)
    collector = PoolCollector(problem, spec, uniform=False)
    own = ShortlistCollector(problem, spec, collector.prices)
    search_problem(
        expression,
        spec,
        EXHAUSTIVE,
        lambda candidates, costs: own.visit(candidates, costs, execution_cycles(expression, costs)),
    )
    floors = np.geomspace(1e3, 1e7, 400)[None] * np.ones((len(own.prices), 1))
    active = np.full(400, 1e4)
    own._most_excess[:4] = (4e4, 1e4, 2e5, 8e4)
    out = [own.rules_out(np.full(400, cuts), floors, active) for cuts in range(4)]
    count = [int(each.sum()) for each in out]
    assert 0 < count[0] == count[2] < count[1] == count[3] < 400


def test_the_rest_of_nothing_costs_without_end() -> None:
    problem = Problem(named_expression("matmul", {"m": 2, "n": 2, "k": 2}), (1,))
    listed = find_choices(problem, chip(4, 16), EXHAUSTIVE, uniform=False, joint=True).listed
    assert listed.rest.is_empty
    assert listed.rest.cost_at(1.0, 1.0) == listed.rest.less_gain_at(1.0) == float("inf")
