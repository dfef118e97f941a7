"""How long transfers take: ports of cores, links of a mesh, links between chips, hops.

Cores of a chip whose interconnect is all-to-all only share each other's ports. On a mesh or torus
flows also share the links on their way, and every hop takes its time. What goes from chip to chip
shares the links between chips.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from t10c.hardware.kernels import move_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.topology import LinkLoads, Links
from t10c.ir.formula import IntArray
from t10c.simulate.boxes import FloatArray
from t10c.simulate.geometry import Geometry
from t10c.simulate.pairs import Spread


@dataclass(frozen=True)
class Flows:
    """Transfers from cores to cores, (flows,) each: numbers of cores, and bytes.

    `spreads` are more of them, from cores to groups of cores, with the bytes of every way.
    """

    source: IntArray
    target: IntArray
    size_bytes: IntArray
    spreads: tuple[tuple[Spread, IntArray], ...] = ()


def all_flows(parts: Sequence[Flows]) -> Flows:
    """Flows at the same time."""
    none = np.zeros(0, dtype=np.int64)
    parts = (Flows(none, none, none), *parts)
    return Flows(
        np.concatenate([p.source for p in parts]),
        np.concatenate([p.target for p in parts]),
        np.concatenate([p.size_bytes for p in parts]),
        tuple(spread for p in parts for spread in p.spreads),
    )


@dataclass(frozen=True)
class Transfer:
    """What one exchange or shift moves: bytes that every core receives and sends, (cores,) each.

    `to_chip` is what every core sends to each chip, (cores, chips). `flows` are needed on meshes;
    None where there are too many to follow.
    """

    received: FloatArray
    sent: FloatArray
    to_chip: FloatArray
    flows: Flows | None


@dataclass(frozen=True, slots=True)
class TransferTime:
    """Cycles of a transfer: `undisturbed` at the port of the core that receives most.

    `contention` is what other ports and links add to that, `hops_cycles` the way of `hops` links.
    """

    undisturbed: float
    contention: float
    hops_cycles: float
    hops: int
    received_bytes: int
    sent_bytes: int
    moved_bytes: int

    @property
    def cycles(self) -> float:
        """The time from the first byte sent to the last one received."""
        return self.undisturbed + self.contention + self.hops_cycles


class Network:
    """The interconnect of a chip or several, with the cores at their positions."""

    def __init__(self, spec: HardwareSpec, at: Geometry) -> None:
        self.spec, self.at = spec, at
        self.followed = True
        """Whether all transfers so far were followed over the links of the grid."""

    def point_to_point(self, flows: Flows) -> Transfer:
        """The transfer made of flows, of which a core may send and receive several."""
        cores, chips = self.at.cores, self.at.chips
        size = np.where(flows.source == flows.target, 0, flows.size_bytes).astype(np.float64)
        cell = flows.source * chips + self.at.chip[flows.target]
        to_chip = _totals(cell, size, cores * chips).reshape(cores, chips)
        received = _totals(flows.target, size, cores)
        return Transfer(received, to_chip.sum(axis=1), to_chip, flows)

    def time(self, transfer: Transfer) -> TransferTime:
        """How long a transfer takes."""
        most_in, most_out = float(transfer.received.max()), float(transfer.sent.max())
        alone = float(move_cycles(self.spec, most_in))
        longest = max(alone, float(move_cycles(self.spec, most_out)), self._between_chips(transfer))
        far, at = 0, self.at
        self.followed &= at.grid is None or transfer.flows is not None
        if transfer.flows is not None and at.grid is not None:
            loads = _loads(transfer.flows, at)
            far = loads.hops
            longest = max(longest, float(move_cycles(self.spec, loads.most_bytes)))
        return TransferTime(
            undisturbed=alone,
            contention=longest - alone,
            hops_cycles=far * self.spec.interconnect.hop_latency_cycles,
            hops=far,
            received_bytes=int(np.ceil(most_in)),
            sent_bytes=int(np.ceil(most_out)),
            moved_bytes=round(float(transfer.received.sum())),
        )

    def _between_chips(self, transfer: Transfer) -> float:
        """Cycles that the link of the chip which sends or receives most needs."""
        rate = self.spec.chips.link_bandwidth_bytes_per_second
        if self.at.chips == 1 or rate is None:
            return 0.0
        matrix = np.zeros((self.at.chips, self.at.chips))
        np.add.at(matrix, self.at.chip, transfer.to_chip)
        np.fill_diagonal(matrix, 0.0)
        most = max(matrix.sum(axis=0).max(), matrix.sum(axis=1).max())
        return float(most) / rate * self.spec.clock_hz


def _loads(flows: Flows, at: Geometry) -> LinkLoads:
    """What flows put on the links of the grid."""
    assert at.grid is not None
    assert at.x is not None
    assert at.y is not None
    links = Links(at.grid)
    x, y = at.x, at.y
    source, target = flows.source, flows.target
    links.add(x[source], y[source], x[target], y[target], flows.size_bytes)
    for spread, size_bytes in flows.spreads:
        links.add_spread(
            (x[spread.source], y[spread.source]),
            spread.group,
            size_bytes,
            (x[spread.members], y[spread.members]),
            spread.begins,
        )
    return links.loads()


def _totals(where: IntArray, size: FloatArray, count: int) -> FloatArray:
    """Sums of sizes by number, (count,)."""
    return np.asarray(np.bincount(where, size, count), dtype=np.float64)
