"""A network of choices solved at some rates of memory, and what its messages say."""

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from t10c.schedule.choices import Choices
from t10c.schedule.kinds import Kinds
from t10c.schedule.listings import Listings
from t10c.schedule.messages import Messages
from t10c.schedule.rates import Limits, Rates, Variant
from t10c.search.space import FloatArray, IntArray

_SWEEPS = 8
_STILL = 1e-5
"""Sweeps end when the bound rises by less than this share."""


@dataclass(frozen=True)
class Solved:
    """A network after its sweeps.

    `kinds` has the kinds of every variant, `kinds_of` the variant of every step. `bound_cycles` is
    the network's least total less the price of the memory there is: a bound on the latency of every
    schedule that fits, copies left out.
    """

    rates: Rates
    variants: list[Variant]
    kinds_of: list[int]
    kinds: list[Kinds]
    messages: Messages
    bound_cycles: float

    def single_rows(self) -> list[int]:
        """The rows of the best states of all steps, of those that are single plans."""
        single_only = [np.full(len(own), np.inf) for own in self.kinds]
        for cost, own in zip(single_only, self.kinds, strict=True):
            cost[: own.single] = 0.0
        states = self.messages.assignment([single_only[number] for number in self.kinds_of])
        return [
            int(self.kinds[number].rows[kind])
            for number, (_, kind) in zip(self.kinds_of, states, strict=True)
        ]

    @cached_property
    def best_kinds(self) -> list[tuple[int, int]]:
        """(variant, kind) of the best state of every step."""
        states = self.messages.assignment()
        return [(of, kind) for of, (_, kind) in zip(self.kinds_of, states, strict=True)]

    @cached_property
    def kind_bounds(self) -> list[FloatArray]:
        """Per variant, what any choice costs at least that has a kind at some step, (kinds,)."""
        least = [np.full(len(own), np.inf) for own in self.kinds]
        for number, bound in zip(self.kinds_of, self.messages.kind_bounds(), strict=True):
            np.minimum(least[number], bound, out=least[number])
        return least

    def row_bounds(self, number: int) -> FloatArray:
        """What any choice costs at least that has a row of numbered choices at some step, (rows,).

        Rows that are in no kind count as dear without end.
        """
        found = [
            own.row_bounds(bound)
            for (choices, _, _), own, bound in zip(
                self.variants, self.kinds, self.kind_bounds, strict=True
            )
            if choices == number
        ]
        least: FloatArray = np.min(found, axis=0)
        return least

    def messages_for(self, kinds: Seq[Kinds], kinds_of: Seq[int]) -> list[FloatArray]:
        """Its messages for other kinds of the steps: each kind's is that of what it was part of."""
        were: dict[tuple[int, int], IntArray] = {}
        for pair in zip(kinds_of, self.kinds_of, strict=True):
            if pair not in were:
                were[pair] = kinds[pair[0]].were(self.kinds[pair[1]])
        return [
            message[were[kinds_of[edge.first], self.kinds_of[edge.first]]]
            for edge, message in zip(self.messages.edges, self.messages.backward, strict=True)
        ]

    def slopes(self, listings: Listings, limits: Limits) -> FloatArray:
        """Bytes by which its best states exceed every limit, (steps + 1,).

        So many cycles the bound rises with a limit's rate, if the network is solved exactly.
        """
        states = self.best_kinds
        taken = {
            (of, kind): listings.bytes_of(self.rates, self.variants[of], self.kinds[of], kind)
            for of, kind in dict.fromkeys(states)
        }
        idle, demand = np.array([taken[state] for state in states]).T
        return limits.excess(idle, demand)

    def excess(self, limits: Limits, choices: Seq[Choices], plans: Seq[int]) -> FloatArray:
        """Bytes by which plans with their cheapest idle cuts exceed every limit, (steps + 1,)."""
        keys = [(self.variants[of], plan) for of, plan in zip(self.kinds_of, plans, strict=True)]
        taken = {
            (variant, plan): _taken(choices[variant[0]], variant, plan, self.rates.total)
            for variant, plan in dict.fromkeys(keys)
        }
        idle, demand = np.array([taken[key] for key in keys], dtype=np.int64).T
        return limits.excess(idle, demand)


def solve(listings: Listings, limits: Limits, rates: Rates, before: Solved | None = None) -> Solved:
    """Build the network of what is known of the shortlists, and sweep it.

    Messages begin as those of the network solved `before`, whose plans were these or more.
    """
    every = limits.variants(listings.setting.choice_of, rates)
    variants = list(dict.fromkeys(every))
    number_of = {variant: number for number, variant in enumerate(variants)}
    kinds = [listings.kinds(rates, variant) for variant in variants]
    kinds_of = [number_of[variant] for variant in every]
    messages = Messages(*listings.builder.build(kinds, kinds_of))
    if before is not None:
        messages.begin(before.messages_for(kinds, kinds_of))
    best = -np.inf
    for _ in range(_SWEEPS):
        bound = messages.sweep()
        still = bound - best <= _STILL * abs(bound)
        best = max(best, bound)
        if still:
            break
    return Solved(rates, variants, kinds_of, kinds, messages, best - limits.paid(rates))


def _taken(choices: Choices, variant: Variant, plan: int, total_rate: float) -> tuple[int, int]:
    """(idle, own) bytes of a plan with the idle cuts that cost least at the rates."""
    _, rate, dying_bytes = variant
    options = np.flatnonzero(choices.plan == plan)
    cost = choices.setup[options] + (total_rate - rate) * choices.idle_bytes[options]
    idle = choices.idle_bytes[options[int(np.argmin(cost))]]
    return int(idle), int(choices.demand_bytes(dying_bytes)[plan])
