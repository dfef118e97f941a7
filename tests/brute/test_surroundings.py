"""What is in no kind at a price is in no best choice, whatever the neighbours are."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from planned_graphs import GraphWriter, chip

from t10c.hardware.spec import HardwareSpec
from t10c.ir.graph import Graph
from t10c.schedule import shortlist
from t10c.schedule.assignment import price_assignment
from t10c.schedule.choices import Choices, all_listed, find_choices
from t10c.schedule.finish import every_row
from t10c.schedule.kinds import demand_bytes, find_kinds
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.prepare import prepare
from t10c.schedule.setting import Setting
from t10c.schedule.surroundings import Surroundings, find_surroundings
from t10c.schedule.transition import TransitionPricer
from t10c.search import SearchOptions
from t10c.search.space import FloatArray

from .joint_models import random_model
from .test_joint import PLENTY, lent_weights

MOST_ROWS = 60


EXHAUSTIVE = SearchOptions(pruning="exhaustive")


def all_plans(graph: Graph, spec: HardwareSpec) -> Setting | None:
    """A setting with every row of every shortlist as a plan; None if there are many."""
    own = prepare(graph, spec, ScheduleOptions(search=EXHAUSTIVE, time_limit_seconds=600))
    if not isinstance(own, Setting):
        return None
    if max(len(choices.listed) for choices in own.choices) > MOST_ROWS:
        return None
    choices = tuple(all_listed(each, spec, True) for each in own.choices)
    pricer = TransitionPricer(own.sequence, choices, own.choice_of, spec)
    return Setting(own.sequence, choices, own.choice_of, pricer, True)


class Priced:
    """Prices choices exactly, their idle bytes priced; every plan has its cheapest idle cut."""

    def __init__(self, setting: Setting, spec: HardwareSpec, price: float) -> None:
        self.setting = setting
        self.spec = spec
        self.price = price
        self.option = [
            [
                int(options[np.argmin((own.setup + price * own.idle_bytes)[options])])
                for options in (np.flatnonzero(own.plan == plan) for plan in range(len(own.plans)))
            ]
            for own in setting.choices
        ]

    def __call__(self, plans: list[int]) -> float:
        setting = self.setting
        options = [
            self.option[number][plan] for number, plan in zip(setting.choice_of, plans, strict=True)
        ]
        homes = setting.homes(plans, self.spec)
        cycles = price_assignment(setting, plans, options, homes, 0, PLENTY).cycles
        idle = sum(int(setting.of_step(s).idle_bytes[o]) for s, o in enumerate(options))
        return cycles + self.price * idle


Excess = Callable[[Choices, float, HardwareSpec, Surroundings, float], FloatArray]
"""What every row of a full list is said to cost too much in cycles, (rows,).

At a price of idle bytes and, the last argument, a rate of active ones.
"""


def excess_of_rows(
    own: Choices, price: float, spec: HardwareSpec, beside: Surroundings, own_rate: float
) -> FloatArray:
    """What is said of rows of a full list."""
    known = every_row(own.listed)
    return find_kinds(own, known, price, spec, beside, own_rate).row_excess


def excess_of_the_rest(
    own: Choices, price: float, spec: HardwareSpec, beside: Surroundings, own_rate: float
) -> FloatArray:
    """The same of those that a short list sums up; -inf, nothing, of those on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortlist, "FEW_PLANS", 0)
        patch.setattr(shortlist, "MOST_PLANS", 3)
        few = find_choices(own.problem, spec, EXHAUSTIVE, uniform=False, joint=True)
    known = every_row(few.listed)
    kinds = find_kinds(all_listed(few, spec, True), known, price, spec, beside, own_rate)
    listed, every = (
        np.concatenate([each.listed.candidates.splits, each.listed.candidates.factors], axis=1)
        for each in (few, own)
    )
    on_it = (every[:, None] == listed[None]).all(axis=2).any(axis=1)
    return np.where(on_it, -np.inf, kinds.rest_excess[0])


def check_excess(graph: Graph, seed: int, say: Excess = excess_of_rows) -> int:
    """Compare what rows are said to cost too much with the best in their place; returns how many.

    Neighbours are drawn at random, and changed one by one to where a row comes off better.
    """
    rng = random.Random(seed)
    spec = chip(rng.choice([2, 3, 4, 6]), 16, 64, rng.choice(["fixed", "double"]))
    link = replace(spec.interconnect, sync_cycles=0.0, cycles_per_byte=rng.choice([0.2, 20.0]))
    spec = replace(spec, interconnect=link)  # gains are by bytes, not by syncs
    setting = all_plans(graph, spec)
    if setting is None:
        return 0
    price, own_rate = (
        float(setting.choices[0].bound_prices[1]) * rng.choice([0.0, 0.7, 2.5, 17.0]) for _ in "io"
    )
    around = find_surroundings(setting, spec)
    excess = [
        say(own, price, spec, beside, own_rate)
        for own, beside in zip(setting.choices, around, strict=True)
    ]
    priced = Priced(setting, spec, price)
    sizes = [len(setting.of_step(step).listed) for step in range(len(setting.choice_of))]
    checked = 0

    def slack(plans: list[int], step: int) -> float:
        """How much more some plan costs than the best in its place, less what it is said to."""
        costs = [priced([*plans[:step], row, *plans[step + 1 :]]) for row in range(sizes[step])]
        own = own_rate * demand_bytes(setting.of_step(step).listed, spec, 0)
        total: FloatArray = np.array(costs) + own
        return float(np.min(total - total.min() - excess[setting.choice_of[step]]))

    for step in rng.sample(range(len(sizes)), min(2, len(sizes))):
        own = setting.choice_of[step]
        if not around[own].bounded or np.isneginf(excess[own]).all():
            continue
        plans = [rng.randrange(size) for size in sizes]
        least = slack(plans, step)
        for other in range(max(0, step - 2), min(len(sizes), step + 3)):
            for pick in rng.sample(range(sizes[other]), min(sizes[other], 8)):
                changed = [*plans[:other], pick, *plans[other + 1 :]]
                found = slack(changed, step)
                checked += 1
                if found < least:
                    plans, least = changed, found
        assert least >= -1e-6
    return checked


def products() -> Graph:
    """Matrix products that read one tensor one after the other."""
    w = GraphWriter()
    x, y = w.input("x", 8, 6), w.input("y", 6, 4)
    first = w.matmul("a", w.relu("r", x), w.weight("v", 6, 4))
    return w.graph(first, w.matmul("b", "r", y), w.matmul("c", "r", w.weight("u", 6, 2)))


def test_whatever_the_neighbours_are() -> None:
    checked = sum(check_excess(random_model(seed, 2 + seed % 4, 60), seed) for seed in range(150))
    assert checked > 3000


def test_what_is_not_listed() -> None:
    """Of all that a list sums up nothing comes off better than is said."""
    checked = sum(
        check_excess(random_model(seed, 2 + seed % 4, 60), seed, excess_of_the_rest)
        for seed in range(100)
    )
    checked += sum(check_excess(lent_weights(), seed, excess_of_the_rest) for seed in range(10))
    assert checked > 1500


@pytest.mark.parametrize("model", [products, lent_weights])
def test_where_neighbours_gain_most(model: Callable[[], Graph]) -> None:
    assert sum(check_excess(model(), seed) for seed in range(40)) > 500
