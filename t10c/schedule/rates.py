"""What a byte of memory costs at every step, in place of the limit on it.

A schedule fits if at every step, and after the last, what it takes is at most what there is. Each
of these limits may be priced instead: a schedule pays a rate for every byte it takes and gets it
for every byte there is. At any rates the least price is a bound on the latency of schedules that
fit (a Lagrangian relaxation). A step's own weights are not idle while it runs, so they pay the
rates of all other limits; its active pieces pay its own.
"""

from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.memory import fixed_demand_bytes, live_homes
from t10c.schedule.steps import Sequence
from t10c.search.space import FloatArray, IntArray

_RISE = 0.05
_EXCEEDED = 0.002
"""Rates are shared out anew if the bound may rise by more than this share of what is missing, or if
a limit is exceeded by more than this share of it: at another total the bound may rise by more."""

_ALIKE = 0.05
_MOST_TURNED = 0.5
_MOST_TURNED_AGAIN = 0.9
"""So much of all rates is shared out anew at most; more of it to where most of them are already."""

Variant = tuple[int, float, int]
"""Steps that cost alike: number of the choices, rate of the own limit, bytes that die there."""


@dataclass(frozen=True)
class Rates:
    """Rates in cycles per byte: `total` of all limits, and each one's share of it.

    `shares` (steps + 1,) sum to 1; the last is that of the limit after the last step.
    """

    total: float
    shares: FloatArray

    @property
    def own(self) -> FloatArray:
        """The rate of every step's limit, (steps,)."""
        rates: FloatArray = self.total * self.shares[:-1]
        return rates


class Limits:
    """The limits of a sequence on a chip: bytes per core that own pieces and idle weights may take.

    Live tensors count as evenly spread, the least that they can take.
    """

    def __init__(self, sequence: Sequence, spec: HardwareSpec) -> None:
        homes = live_homes(sequence, spec)
        free = spec.usable_bytes - fixed_demand_bytes(sequence, spec)
        self.room_bytes: IntArray = np.append(free - homes.live, free - homes.end)
        """What is left for weights and the own pieces at every step and after the last."""
        self.dying_bytes: IntArray = homes.dying

    def at_end(self, total: float) -> Rates:
        """Rates that price the limit after the last step alone."""
        shares = np.zeros(len(self.room_bytes))
        shares[-1] = 1.0
        return Rates(total, shares)

    def paid(self, rates: Rates) -> float:
        """Cycles that a schedule gets for the memory there is."""
        return rates.total * float(rates.shares @ self.room_bytes)

    def variants(self, numbers: Seq[int], rates: Rates) -> list[Variant]:
        """What every step's kinds depend on."""
        return [
            (number, rate, dying if rate else 0)
            for number, rate, dying in zip(
                numbers, rates.own.tolist(), self.dying_bytes.tolist(), strict=True
            )
        ]

    def excess(self, idle: FloatArray, demand: FloatArray) -> FloatArray:
        """Bytes by which every limit is exceeded, (steps + 1,): negative where memory is unused.

        `idle` are bytes of every step's own weights while others run, `demand` what it takes itself
        while it fetches or runs.
        """
        total = float(idle.sum())
        return np.append(total - idle + demand, total) - self.room_bytes


def turned(rates: Rates, excess: FloatArray, distance: float, usable_bytes: float) -> Rates | None:
    """Rates of the same total, in part those of the limits that are exceeded most.

    `excess` (steps + 1,) is the slope of the bound at the best total; `distance` is how far the
    bound is from the best, in cycles. None if little is exceeded and the bound can rise by little.
    """
    mean = float(rates.shares @ excess)
    most = float(excess.max())
    rise = rates.total * (most - mean)
    little = rise <= _RISE * distance and most <= _EXCEEDED * usable_bytes
    if little or rise <= 0:
        return None
    # limits of layers that are alike are exceeded alike
    towards = excess >= most - _ALIKE * (most - mean)
    again = float(rates.shares[towards].sum()) >= _MOST_TURNED
    part = min(_MOST_TURNED_AGAIN if again else _MOST_TURNED, distance / rise)
    return Rates(rates.total, (1 - part) * rates.shares + part * towards / towards.sum())
