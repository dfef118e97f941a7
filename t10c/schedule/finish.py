"""The best of all choices where few enough are left: branch and bound with the memory there is.

The messages (messages.py) leave a gap where memory is tight, because they only know a price of idle
bytes. Here plans are chosen step by step; what is chosen and the least that the messages say of the
rest bound every choice that begins so. When all steps have plans, their idle cuts are chosen the
same way, and priced exactly in the memory of every step (memory.py).
"""

import itertools
from collections.abc import Iterable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.assignment import Assignment, price_assignment
from t10c.schedule.choices import Choices, all_listed
from t10c.schedule.kinds import Kinds, find_kinds
from t10c.schedule.memory import Homes, fixed_demand_bytes, live_homes
from t10c.schedule.messages import Messages
from t10c.schedule.network import NetworkBuilder
from t10c.schedule.progress import Progress
from t10c.schedule.setting import Setting
from t10c.schedule.shortlist import Shortlist
from t10c.schedule.transition import TransitionPricer
from t10c.search.space import FloatArray, IntArray

MOST_PLANS = 1000
"""Plans of all problems together up to which a choice is finished."""

MOST_NODES = 20_000
"""Beginnings of a choice that are looked at before the search gives up."""

_SWEEPS = 32

_TIE = 1e-9
"""Choices closer than this share of the best are no better: sums of the same costs differ so."""

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Finished:
    """The best assignment, in a setting of its own, or None if none beats what was known.

    `proven` says that no other choice of feasible plans and idle cuts takes less.
    """

    setting: Setting
    assignment: Assignment | None
    proven: bool


def can_finish(setting: Setting) -> bool:
    """Whether all feasible plans are listed, and few enough."""
    listed = [choices.listed for choices in setting.choices]
    complete = all(own.rest.is_empty for own in listed)
    return complete and sum(map(len, listed)) <= MOST_PLANS


def finish(setting: Setting, spec: HardwareSpec, best_cycles: float, price: float) -> Finished:
    """Search all choices for one of less than `best_cycles` (exchanges included, copies not).

    `price` is a price of idle bytes at which the network bounds well. Deterministic; it ends after
    MOST_NODES beginnings, then nothing is proven.
    """
    lending = _lending(setting)
    choices = tuple(
        all_listed(own, spec, number in lending) for number, own in enumerate(setting.choices)
    )
    own = replace(
        setting,
        choices=choices,
        pricer=TransitionPricer(setting.sequence, choices, setting.choice_of, spec),
    )
    kinds = [find_kinds(each, every_row(each.listed), price, spec) for each in choices]
    messages = Messages(*NetworkBuilder(own, spec).build(kinds, own.choice_of))
    for _ in range(_SWEEPS):
        messages.sweep()
    tree = _Tree(own, spec, kinds, messages, price, best_cycles)
    complete = tree.search()
    return Finished(own, tree.best, complete and all(c.has_every_option for c in choices))


def every_row(listed: Shortlist) -> Progress:
    """Every row of a list is a kind of its own, its plan numbered like it."""
    each = np.arange(len(listed))
    every = np.ones(len(listed), dtype=bool)
    return Progress(every, every, each, each, each, np.ones(len(listed.rest.cuts), dtype=bool))


def _lending(setting: Setting) -> set[int]:
    """Numbers of the choices whose weights other steps read."""
    return {
        setting.choice_of[source.weight_of]
        for step in setting.sequence.steps
        for read in step.reads
        for source in read.sources
        if source.weight_of >= 0
    }


class _TooManyError(Exception):
    """Too many beginnings have been looked at."""


class _Tree:
    """Depth-first search over plans, then idle options, of all steps in order."""

    def __init__(
        self,
        setting: Setting,
        spec: HardwareSpec,
        kinds: Seq[Kinds],
        messages: Messages,
        price: float,
        best_cycles: float,
    ) -> None:
        self.setting = setting
        self.spec = spec
        self.messages = messages
        self.price = price
        self.best: Assignment | None = None
        self._limit = best_cycles
        self._nodes = 0
        self._fixed = fixed_demand_bytes(setting.sequence, spec)
        even = live_homes(setting.sequence, spec)
        self._idle_room = spec.usable_bytes - self._fixed - even.end
        self._own_cost = [kinds[number].cost for number in setting.choice_of]
        self._menus = [_Menus(own, price) for own in setting.choices]
        least = [self._menus[number].least_idle.min() for number in setting.choice_of]
        self._least_after = _sums_after(least)
        self._even = even

    def search(self) -> bool:
        """Look at everything that may be better; False if it gave up."""
        try:
            self._choose_plan([], 0.0, 0.0, 0)
        except _TooManyError:
            return False
        return True

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise _TooManyError

    def _too_dear(self, cycles: float) -> bool:
        return cycles >= self._limit - _TIE * max(1.0, abs(self._limit))

    def _choose_plan(self, plans: list[int], cost: float, crossing: float, idle: int) -> None:
        """Every plan of the next step that may lead to a better choice, the most promising first.

        `cost` is the network's of what is chosen, `crossing` what messages say of it beyond, `idle`
        the least idle bytes of its weights.
        """
        step = len(plans)
        if step == len(self.setting.choice_of):
            self._choose_options(plans, cost)
            return
        number = self.setting.choice_of[step]
        own = cost + self.messages.least_after(plans)
        ahead = crossing + self.messages.message_change(plans)
        bound = own + ahead + self.messages.least_beyond(step) - self.price * self._idle_room
        menus = self._menus[number]
        demand = self.setting.choices[number].demand_bytes(int(self._even.dying[step]))
        live = int(self._even.live[step]) + self._fixed
        others = idle + self._least_after[step + 1]
        room = self.spec.usable_bytes
        for plan in np.argsort(bound, kind="stable").tolist():
            if self._too_dear(float(bound[plan])):
                break
            least = int(menus.least_idle[plan])
            if others + live + int(demand[plan]) > room or others + least > self._idle_room:
                continue
            self._count()
            self._choose_plan([*plans, plan], float(own[plan]), float(ahead[plan]), idle + least)

    def _choose_options(self, plans: list[int], cost: float) -> None:
        """The best idle options of chosen plans."""
        numbers = self.setting.choice_of
        fixed_part = cost - sum(
            float(own[plan]) for own, plan in zip(self._own_cost, plans, strict=True)
        )
        menus = [self._menus[number].of(plan) for number, plan in zip(numbers, plans, strict=True)]
        choices = [self.setting.of_step(step) for step in range(len(plans))]
        fixed_part += sum(float(c.execution[p]) for c, p in zip(choices, plans, strict=True))
        leaf = _Leaf(
            plans,
            self.setting.homes(plans, self.spec),
            fixed_part,
            menus,
            _sums_after([float(menu.setup.min()) for menu in menus]),
            _sums_after([float(menu.priced.min()) for menu in menus]),
            _sums_after([int(menu.idle.min()) for menu in menus]),
        )
        self._choose_option(leaf, [], 0.0, 0)

    def _choose_option(self, leaf: "_Leaf", options: list[int], setup: float, idle: int) -> None:
        step = len(options)
        if step == len(leaf.menus):
            self._settle(leaf, options)
            return
        menu = leaf.menus[step]
        idle_room = self.spec.usable_bytes - self._fixed - leaf.homes.end
        paid = self.price * (idle - idle_room)
        for option, own_setup, own_idle in menu.rows():
            free = setup + own_setup + leaf.setup_after[step + 1]
            priced = setup + own_setup + self.price * own_idle + leaf.priced_after[step + 1] + paid
            if self._too_dear(leaf.cost + max(free, priced)):
                continue
            if idle + own_idle + leaf.idle_after[step + 1] > idle_room:
                continue
            self._count()
            self._choose_option(leaf, [*options, option], setup + own_setup, idle + own_idle)

    def _settle(self, leaf: "_Leaf", options: list[int]) -> None:
        """Price a complete choice exactly, if it fits."""
        setting, available = self.setting, self.spec.usable_bytes
        memory = setting.memory(leaf.plans, options, leaf.homes, self._fixed)
        if memory.most > available:
            return
        found = price_assignment(setting, leaf.plans, options, leaf.homes, self._fixed, available)
        if not self._too_dear(found.cycles):
            self.best, self._limit = found, found.cycles


@dataclass(frozen=True)
class _Menu:
    """Idle options of one plan, by rising setup: numbers, setup in cycles, idle bytes.

    `priced` is setup + price * idle bytes.
    """

    option: list[int]
    setup: FloatArray
    idle: IntArray
    priced: FloatArray

    def rows(self) -> list[tuple[int, float, int]]:
        """(option, setup, idle bytes) of every option."""
        return list(zip(self.option, self.setup.tolist(), self.idle.tolist(), strict=True))


@dataclass(frozen=True)
class _Leaf:
    """Chosen plans, what they cost without setup, and their menus; sums of what later steps take.

    `setup_after`, `priced_after` and `idle_after` have one entry more than there are steps.
    """

    plans: list[int]
    homes: Homes
    cost: float
    menus: list[_Menu]
    setup_after: list[float]
    priced_after: list[float]
    idle_after: list[int]


class _Menus:
    """The menus of all plans of some choices."""

    def __init__(self, choices: Choices, price: float) -> None:
        self._choices = choices
        self._price = price
        self._known: dict[int, _Menu] = {}
        self.least_idle = np.array([self.of(plan).idle.min() for plan in range(len(choices.plans))])

    def of(self, plan: int) -> _Menu:
        """The menu of a plan."""
        if plan not in self._known:
            own = self._choices
            options = np.flatnonzero(own.plan == plan)
            options = options[np.lexsort((own.idle_bytes[options], own.setup[options]))]
            setup, idle = own.setup[options], own.idle_bytes[options]
            self._known[plan] = _Menu(options.tolist(), setup, idle, setup + self._price * idle)
        return self._known[plan]


def _sums_after(values: Iterable[Number]) -> list[Number]:
    """Sum of the values from every position on, and 0."""
    return list(itertools.accumulate(reversed(list(values)), initial=0))[::-1]
