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

Variant = tuple[int, float, int]
"""Steps that cost alike: number of the choices, rate of the own limit, bytes that die there."""


@dataclass(frozen=True)
class Rates:
    """Rates in cycles per byte: `total` of all limits, and each one's share of it.

    `shares` (steps + 1,) sum to 1; the last is that of the limit after the last step.
    """

    total: float
    shares: FloatArray

    @classmethod
    def of_limits(cls, rates: FloatArray) -> "Rates":
        """From the rate of every limit, (steps + 1,)."""
        total = float(rates.sum())
        shares = rates / total if total else np.append(np.zeros(len(rates) - 1), 1.0)
        return cls(total, shares)

    @property
    def of_all(self) -> FloatArray:
        """The rate of every limit, (steps + 1,)."""
        return self.total * self.shares

    @property
    def own(self) -> FloatArray:
        """The rate of every step's limit, (steps,)."""
        return self.of_all[:-1]


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
