"""The joint choice against what every single choice costs: nothing is cheaper than its bound."""

import itertools
import math
import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from planned_graphs import GraphWriter, chip

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.ir.graph import Graph
from t10c.schedule import joint_search, shortlist
from t10c.schedule.assignment import Assignment, price_assignment
from t10c.schedule.choices import Choices, all_listed, find_choices, with_plans
from t10c.schedule.cuts import cut_dims
from t10c.schedule.kept import merge_candidates, merge_costs
from t10c.schedule.kinds import Kinds, find_kinds
from t10c.schedule.listing_sieve import ListingSieve
from t10c.schedule.memory import fixed_demand_bytes, live_homes
from t10c.schedule.messages import NO_TABLE, Edge, Messages, Node
from t10c.schedule.model import schedule_model
from t10c.schedule.network import NetworkBuilder
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.prepare import prepare
from t10c.schedule.problem import Problem, search_problem
from t10c.schedule.progress import Progress
from t10c.schedule.rates import Limits, Rates
from t10c.schedule.result import ModelPlan
from t10c.schedule.rowwise import split_rowwise
from t10c.schedule.setting import Setting
from t10c.schedule.steps import build_sequence, with_readers
from t10c.schedule.surroundings import find_surroundings
from t10c.schedule.transition import TransitionPricer
from t10c.search import SearchOptions
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.operator import front_entry
from t10c.search.templates import named_expression
from t10c.search.temporal import slot_table

from .joint_models import random_model

PLENTY = 1 << 40


@dataclass(frozen=True)
class Space:
    """All feasible plans of a problem."""

    candidates: Candidates
    costs: Costs

    def key(self, row: int) -> tuple[bytes, bytes]:
        """What tells a plan from others."""
        own = self.candidates
        return own.splits[row].tobytes(), own.factors[row].tobytes()


def whole_space(problem: Problem, spec: HardwareSpec, search: SearchOptions) -> Space:
    """All feasible plans."""
    seen: list[tuple[Candidates, Costs]] = []
    search_problem(problem.expression, spec, search, lambda *chunk: seen.append(chunk))
    return Space(merge_candidates([c for c, _ in seen]), merge_costs([c for _, c in seen]))


@dataclass(frozen=True)
class Drawn:
    """A problem's choices with all sampled plans among them, and what the network is told of them.

    `sampled` are plans, `numbers` theirs among the choices, `rows` the shortlist's row of each or
    -1; `opened` are rows that the network compares by their layouts, `plans` maps some rows to
    plans.
    """

    choices: Choices
    sampled: Candidates
    numbers: list[int]
    rows: list[int]
    opened: list[int]
    plans: dict[int, int]

    def progress(self, builder: NetworkBuilder, number: int) -> Progress:
        """The same as the network is told it."""
        rows = np.array(self.opened, dtype=np.int64)
        known = Progress.of_list(self.choices.listed).opening(rows, builder.alike(number, rows))
        plan = known.plan.copy()
        for row, number in self.plans.items():
            plan[row] = number
        return replace(known, plan=plan).classified(self.choices.listed)


def drawn(problem: Problem, spec: HardwareSpec, search: SearchOptions, rng: random.Random) -> Drawn:
    """Some of all plans, the extreme ones among them."""
    choices = find_choices(problem, spec, search, uniform=False, joint=True)
    space = whole_space(problem, spec, search)
    if not choices.plans:
        return Drawn(choices, space.candidates, [], [], [], {})
    count = len(space.candidates)
    costs = space.costs
    extremes = [
        int(np.argmin(values))
        for values in (
            costs.total,
            costs.memory_bytes,
            costs.total - costs.end,
            *costs.piece_bytes.T,
        )
    ]
    sampled = sorted({*extremes, *(rng.randrange(count) for _ in range(16))})
    table = slot_table(problem.expression)
    entries = [
        front_entry(problem.expression, table, space.candidates, costs, row, spec)
        for row in sampled
    ]
    first = len(choices.plans)
    listed = choices.listed
    of_key = {
        (listed.candidates.splits[r].tobytes(), listed.candidates.factors[r].tobytes()): r
        for r in range(len(listed))
    }
    rows = [of_key.get(space.key(row), -1) for row in sampled]
    numbers = [first + i for i in range(len(sampled))]
    opened = [row for row in range(len(listed)) if rng.random() < 0.5]
    plans = {
        row: number
        for row, number in zip(rows, numbers, strict=True)
        if row >= 0 and rng.random() < 0.5
    }
    own = space.candidates.take(np.array(sampled))
    return Drawn(with_plans(choices, entries, spec), own, numbers, rows, opened, plans)


def kind_of(own: Drawn, kinds: Kinds, which: int) -> int:
    """The kind that stands for a sampled plan, -1 if something else is better in any choice."""
    row = own.rows[which]
    if row >= 0:
        return int(kinds.member_of[row])
    assert np.isinf(kinds.home[kinds.listed :]).all(), "what is not listed is in the rest"
    expression, rest = own.choices.problem.expression, own.choices.listed.rest
    cuts = 0
    if own.choices.problem.readers > shortlist.MANY_READERS:
        plan = own.sampled.take(np.array([which]))
        cuts = int(cut_dims(expression, slot_table(expression), plan)[0])
    part = np.flatnonzero(rest.cuts[kinds.rests] == cuts)
    return kinds.listed + int(part[0]) if len(part) else -1


def least_total(nodes: list[Node], edges: list[Edge], kinds: list[int]) -> float:
    """The network's cost of so many kinds, every step in its best block."""
    blocks = [node.costs[:, kind].copy() for node, kind in zip(nodes, kinds, strict=True)]
    for edge in edges:
        for block, table in enumerate(edge.table_of):
            if table != NO_TABLE:
                cost = edge.costs(table, kinds[edge.first])[kinds[edge.second]]
                blocks[edge.second][block] += cost
    return float(sum(own.min() for own in blocks))


@dataclass(frozen=True)
class Case:
    """A model on a chip: its setting with sampled plans."""

    setting: Setting
    spec: HardwareSpec
    drawn: list[Drawn]


def random_case(seed: int, graph: Graph | None = None) -> Case | None:
    """The case of a seed; None if some operator has no plan at all."""
    rng = random.Random(seed)
    graph = graph or random_model(seed)
    policy = rng.choice(["fixed", "double"])
    spec = chip(rng.choice([2, 3, 4, 6, 8, 12]), rng.choice([4, 16, 64]), 64, policy)
    if rng.random() < 0.2:
        spec = replace(spec, interconnect=replace(spec.interconnect, sync_cycles=0.0))
    search = SearchOptions(pruning=rng.choice(["pruned", "exhaustive"]))
    sequence = with_readers(build_sequence(graph))
    number: dict[Problem, int] = {}
    for step in sequence.steps:
        number.setdefault(step.problem, len(number))
    own = [drawn(problem, spec, search, rng) for problem in number]
    if not all(each.numbers for each in own):
        return None
    choices = tuple(each.choices for each in own)
    choice_of = tuple(number[step.problem] for step in sequence.steps)
    pricer = TransitionPricer(sequence, choices, choice_of, spec)
    return Case(Setting(sequence, choices, choice_of, pricer, True), spec, own)


class Relaxation:
    """A case's network at a price, and how far below the exact price of a choice it stays."""

    def __init__(self, case: Case, price: float) -> None:
        self.case = case
        self.price = price
        setting = case.setting
        around = find_surroundings(setting, case.spec)
        builder = NetworkBuilder(setting, case.spec)
        known = [own.progress(builder, number) for number, own in enumerate(case.drawn)]
        self.kinds = [
            find_kinds(own.choices, progress, price, case.spec, beside)
            for own, progress, beside in zip(case.drawn, known, around, strict=True)
        ]
        self.nodes, self.edges = builder.build(self.kinds, setting.choice_of)
        messages = Messages(self.nodes, self.edges)
        self.bound = max(messages.sweep() for _ in range(4))
        self.least = math.inf
        self.even = live_homes(setting.sequence, case.spec)

    def slack(self, picks: list[int], rng: random.Random) -> float:
        """Exact price less the network's of some sampled plans with random idle options."""
        setting, price = self.case.setting, self.price
        own = list(zip(setting.choice_of, picks, strict=True))
        plans = [self.case.drawn[number].numbers[pick] for number, pick in own]
        options = [
            rng.choice(np.flatnonzero(setting.of_step(step).plan == plan).tolist())
            for step, plan in enumerate(plans)
        ]
        homes = setting.homes(plans, self.case.spec)
        assert self.even.end <= homes.end
        assert (self.even.live <= homes.live).all()
        assert (self.even.dying <= homes.dying).all()
        exact = price_assignment(setting, plans, options, homes, 0, PLENTY).cycles
        exact += price * sum(int(setting.of_step(s).idle_bytes[o]) for s, o in enumerate(options))
        chosen = [kind_of(self.case.drawn[n], self.kinds[n], pick) for n, pick in own]
        if min(chosen) < 0:
            return exact * (1 + 1e-12) + 1e-6 - self.bound
        total = least_total(self.nodes, self.edges, chosen)
        self.least = min(self.least, total)
        return exact * (1 + 1e-12) + 1e-6 - total


def check_relaxation(case: Case, seed: int, starts: int = 4) -> None:
    """Whatever is chosen, the network's price of it is at most the exact one.

    From random plans on, plans are changed one by one to where the difference is smaller.
    """
    rng = random.Random(seed)
    per_byte = float(case.setting.choices[0].bound_prices[1])
    relaxed = Relaxation(case, per_byte * rng.choice([0.0, 0.7, 1.5, 2.5, 17.0, 2000.0]))
    sizes = [len(case.drawn[number].numbers) for number in case.setting.choice_of]
    for _ in range(starts):
        picks = [rng.randrange(size) for size in sizes]
        least = relaxed.slack(picks, rng)
        assert least >= 0
        for step, size in enumerate(sizes):
            for pick in rng.sample(range(size), min(size, 4)):
                other = [*picks[:step], pick, *picks[step + 1 :]]
                slack = relaxed.slack(other, rng)
                assert slack >= 0
                if slack < least:
                    picks, least = other, slack
    assert relaxed.bound <= relaxed.least * (1 + 1e-12)


@pytest.fixture(params=["few-readers", "many-readers"])
def short_lists(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems list few of their plans, as large ones do, those that many read by their cuts."""
    monkeypatch.setattr(shortlist, "FEW_PLANS", 0)
    monkeypatch.setattr(shortlist, "MOST_PLANS", 40)
    if request.param == "many-readers":
        monkeypatch.setattr(shortlist, "MANY_READERS", 0)
        # so that every plan is summed up with those that cut what it cuts
        monkeypatch.setattr(ListingSieve, "serves", lambda *_: False)


@pytest.mark.usefixtures("short_lists")
@pytest.mark.parametrize("seed", range(100))
def test_no_choice_costs_less_than_its_kinds(seed: int) -> None:
    case = random_case(seed)
    if case is not None:
        check_relaxation(case, seed)


def consecutive_readers() -> Graph:
    """Operators that read one tensor one after the other, the last of them twice."""
    w = GraphWriter()
    x, v = w.input("x", 12, 8), w.input("v", 8, 6)
    w.relu("a", x)
    y = w.matmul("y", x, w.weight("w", 8, 6))
    z = w.matmul("z", x, v)
    return w.graph(w.add("s", y, z), w.add("t", x, x), w.add("u", x, x))


def lent_weights() -> Graph:
    """A table that a gather owns is read by the head, transposed, and by a product, as it is."""
    w = GraphWriter()
    table = w.weight("table", 12, 8)
    gather = named_expression("gather", {"i": 6, "v": 12, "e": 8})
    y = w.apply("y", gather, table, w.input("index", 6))
    head = w.layout("head", "transpose", (table,), 8, 12, perm=(1, 0))
    z = w.matmul("z", w.matmul("h", y, w.weight("w", 8, 8)), head)
    return w.graph(w.matmul("o", z, table))


def diagonals() -> Graph:
    """A square of which the diagonal is read, as it was made and from another's weights."""
    w = GraphWriter()
    square = w.matmul("square", w.input("x", 6, 4), w.weight("w", 4, 6))
    axes = (Axis("r", 8, "parallel"), Axis("d", 6, "parallel"))
    row, along = Dim((("r", 1),), 8), Dim((("d", 1),), 6)
    inputs = (Operand("A", (row, along)), Operand("B", (along, along)))
    step = ScalarStep("Mul", ("A", "B"))
    scale = TensorExpression("pointwise", axes, inputs, Operand("C", (row, along)), (step,))
    y = w.apply("y", scale, w.input("z", 8, 6), square)
    return w.graph(w.apply("u", scale, y, w.weight("other", 6, 6)))


def slices() -> Graph:
    """A product that is read row by row, and two rows at a time, in different ways."""
    w = GraphWriter()
    y = w.matmul("y", w.input("x", 6, 4), w.weight("w", 4, 8))
    outputs = []
    for row in range(6):
        few = 1 + (row == 4)
        own = w.layout(f"s{row}", "slice", (y,), few, 8, starts=(row, 0), steps=(1, 1))
        other = w.input(f"i{row}", few, 8)
        outputs.append(w.add(f"a{row}", own, other) if row % 2 else w.relu(f"r{row}", own))
    ends = tuple(
        w.layout(f"e{row}", "slice", (y,), 1, 8, starts=(row, 0), steps=(1, 1)) for row in (0, 5)
    )
    outputs.append(w.relu("both", w.layout("ends", "concat", ends, 2, 8, axis=0)))
    return w.graph(*outputs)


@pytest.mark.usefixtures("short_lists")
@pytest.mark.parametrize("model", [consecutive_readers, lent_weights, diagonals, slices])
@pytest.mark.parametrize("seed", range(16))
def test_no_choice_costs_less_where_reads_are_special(model: Any, seed: int) -> None:
    case = random_case(seed, model())
    if case is not None:
        check_relaxation(case, seed)


def every_plan(problem: Problem, spec: HardwareSpec, search: SearchOptions) -> Choices | None:
    """Choices of all plans of a problem that fit, with all idle cuts; None if there are none."""
    choices = find_choices(problem, spec, search, uniform=False)
    if not choices.plans:
        return None
    space = whole_space(problem, spec, search)
    empty = Choices.without_plans(
        problem, choices.bound_prices, choices.bound_values, None, choices.search
    )
    table = slot_table(problem.expression)
    entries = [
        front_entry(problem.expression, table, space.candidates, space.costs, row, spec)
        for row in range(len(space.candidates))
    ]
    return with_plans(empty, entries, spec, "every")


def priced_choices(setting: Setting, spec: HardwareSpec) -> list[Assignment]:
    """All choices that fit, priced exactly."""
    fixed = fixed_demand_bytes(setting.sequence, spec)
    counts = [range(len(setting.of_step(step).plan)) for step in range(len(setting.choice_of))]
    found = []
    for options in itertools.product(*counts):
        plans = setting.plans_of(options)
        homes = setting.homes(plans, spec)
        if setting.memory(plans, options, homes, fixed).most <= spec.usable_bytes:
            found.append(
                price_assignment(setting, plans, list(options), homes, fixed, spec.usable_bytes)
            )
    return found


def least_latency(setting: Setting, spec: HardwareSpec) -> float:
    """The least latency of all choices that fit, inf if none does."""
    return min((found.cycles for found in priced_choices(setting, spec)), default=math.inf)


def every_choice(graph: Graph, spec: HardwareSpec, search: SearchOptions) -> Setting | None:
    """The setting of all plans of a model; None if an operator does not fit alone."""
    sequence = with_readers(build_sequence(split_rowwise(graph, spec, search)))
    number: dict[Problem, int] = {}
    for step in sequence.steps:
        number.setdefault(step.problem, len(number))
    found = [every_plan(problem, spec, search) for problem in number]
    choices = tuple(own for own in found if own is not None)
    if len(choices) < len(found):
        return None
    choice_of = tuple(number[step.problem] for step in sequence.steps)
    pricer = TransitionPricer(sequence, choices, choice_of, spec)
    return Setting(sequence, choices, choice_of, pricer, True)


def combinations(setting: Setting) -> int:
    """Number of choices in all."""
    return math.prod(len(setting.of_step(step).plan) for step in range(len(setting.choice_of)))


def copies_cycles(setting: Setting) -> float:
    """What copies take, whatever is chosen."""
    pricer = setting.pricer
    return sum(
        float(pricer.cycles(pricer.even_bytes(copy.elements, copy.bits)))
        for copy in setting.sequence.copies
    )


def any_rates(seed: int) -> Any:
    """Rates that price some limits on memory at random, in place of the last one's."""
    rng = np.random.default_rng(seed)

    def at_end(limits: Limits, total: float) -> Rates:
        shares = rng.random(len(limits.room_bytes)) ** 4
        shares[rng.random(len(shares)) < 0.5] = 0.0
        shares[-1] += 1e-3
        return Rates(total, shares / shares.sum())

    return at_end


@pytest.mark.parametrize("way", ["finished", "by-messages", "any-rates"])
@pytest.mark.parametrize("seed", range(60))
def test_best_of_all_choices(seed: int, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models get the least latency there is in memory from ample to tight, proven.

    Without the search of all choices that finishes small models the bound holds all the same, and
    so it does at any rates of memory.
    """
    finished = way == "finished"
    if not finished:
        monkeypatch.setattr(joint_search, "can_finish", lambda setting: False)
    if way == "any-rates":
        monkeypatch.setattr(Limits, "at_end", any_rates(seed))
    rng = random.Random(seed)
    spec = chip(rng.choice([2, 3, 4]), 16, 64, rng.choice(["fixed", "double"]))
    search = SearchOptions(pruning="exhaustive")
    options = ScheduleOptions(search=search, time_limit_seconds=600)
    while True:
        operators, points = rng.choice([1, 2, 2, 3, 4, 6]), rng.choice([6, 12, 40, 100])
        graph = random_model(rng.randrange(1 << 30), operators, points)
        setting = every_choice(graph, spec, search)
        if setting is not None and combinations(setting) <= 800:
            break
    ample = schedule_model(graph, spec, options)
    assert isinstance(ample, ModelPlan)
    for share in (1.0, 0.95, 0.8, 0.6, 0.4):
        bytes_left = int(share * (ample.peak_core_bytes - 64)) + 64
        tight = replace(spec, sram_bytes=spec.reserved_bytes + bytes_left)
        every = every_choice(graph, tight, search)
        best = math.inf if every is None else least_latency(every, tight)
        found = schedule_model(graph, tight, options)
        assert isinstance(found, ModelPlan) == math.isfinite(best)
        if isinstance(found, ModelPlan) and every is not None:
            best += copies_cycles(every)
            if finished:
                assert found.latency_cycles == pytest.approx(best, rel=1e-8)
                assert found.lower_bound_cycles == pytest.approx(best, rel=1e-8)
            assert found.latency_cycles >= best * (1 - 1e-8)
            assert found.lower_bound_cycles <= best * (1 + 1e-8)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_left_out_is_in_no_faster_choice(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of every choice that fits and is faster than the best known stay alive."""
    rng = random.Random(seed)
    spec = chip(rng.choice([2, 3, 4]), 16, 64, rng.choice(["fixed", "double"]))
    search = SearchOptions(pruning="exhaustive")
    while True:
        graph = random_model(rng.randrange(1 << 30), rng.choice([2, 3, 4]), 40)
        every = every_choice(graph, spec, search)
        if every is not None and combinations(every) <= 800:
            break
    own = prepare(graph, spec, ScheduleOptions(search=search, time_limit_seconds=600))
    assert isinstance(own, Setting)
    monkeypatch.setattr(joint_search, "settled", lambda *_: None)  # nothing better is found
    known = sorted(priced_choices(every, spec), key=lambda found: found.cycles)
    best = rng.choice(known)
    joint = joint_search.JointSearch(own, spec, best)
    for _ in range(4):
        joint.round()
        joint.next_rates()
        joint.open_classes(every=True)
    rows = [
        {
            (e.plan.split, e.plan.rotations): row
            for row, e in enumerate(all_listed(c, spec, True).plans)
        }
        for c in own.choices
    ]
    for found in known:
        if found.cycles < best.cycles - 1e-6:
            for step, plan in enumerate(found.plans):
                entry = every.of_step(step).plans[plan].plan
                number = own.choice_of[step]
                row = rows[number][entry.split, entry.rotations]
                assert joint.is_alive(number, row)
