"""Assignments between two: the first steps of one, the last of the other.

Of two choices for prices of memory on either side of the best, one leaves memory unused and one
takes too much. Identical layers change their plans at the same price, all at once; what fits best
often has one choice for some layers and the other for the rest.
"""

from collections.abc import Sequence as Seq

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.assignment import Assignment, settled
from t10c.schedule.setting import Setting

_POINTS = 12
"""Places to change over that are tried at first, and again around the best of them."""

_WORTH = 1.01
"""The best place is narrowed down if it takes less than this factor of what is known."""


def spliced(
    setting: Setting,
    spec: HardwareSpec,
    first: Seq[int],
    last: Seq[int],
    known_cycles: float = float("inf"),
) -> Assignment | None:
    """The best assignment found of plans of `first` up to some step and of `last` from there on.

    None if none fits. Both orders are tried. What is far from `known_cycles` is not followed up.
    """
    pairs = ((first, last), (last, first))
    found = (_best(setting, spec, *pair, _WORTH * known_cycles) for pair in pairs)
    return min((own for own in found if own is not None), key=lambda a: a.cycles, default=None)


def _best(
    setting: Setting, spec: HardwareSpec, first: Seq[int], last: Seq[int], worth_cycles: float
) -> Assignment | None:
    # where both agree it makes no difference
    places = [step for step, (a, b) in enumerate(zip(first, last, strict=True)) if a != b][1:]
    known: dict[int, Assignment | None] = {}

    def tried(index: int) -> float:
        if index not in known:
            plans = [*first[: places[index]], *last[places[index] :]]
            known[index] = settled(setting, plans, spec)
        found = known[index]
        return float("inf") if found is None else found.cycles

    low, high = 0, len(places)
    while high > low:
        step = max(1, (high - low) // _POINTS)
        best = min(range(low, high, step), key=tried)
        if step == 1 or tried(best) > worth_cycles:
            return known[best]
        low, high = max(0, best - step + 1), min(len(places), best + step)
    return None
