"""Exchanges element by element: what every core gets, from whom, and how long that takes.

The slow twin of t10c/simulate's boxes, views, pairs and network. A core takes what it holds from
its own memory. All else comes from the cores that hold it, in equal parts, on a grid from the
nearest one, of several the one with the lowest number.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product

from t10c.hardware.kernels import move_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.topology import Grid
from t10c.ir.graph import LayoutOp

from .routes import loads, route

Held = list[frozenset[int]]
"""The elements of a tensor, by row-major number, that every core holds."""


@dataclass(frozen=True)
class Spot:
    """Where a core is: its chip, and its place on the grid if there is one."""

    chip: int
    x: int = 0
    y: int = 0


@dataclass
class Traffic:
    """Bytes of one phase: by core in and out, between chips, and by pair of cores."""

    received: Counter[int] = field(default_factory=Counter)
    sent: Counter[int] = field(default_factory=Counter)
    between_chips: defaultdict[tuple[int, int], Fraction] = field(
        default_factory=lambda: defaultdict(Fraction)
    )
    flows: list[tuple[int, int, int]] = field(default_factory=list)

    def flow(self, source: int, target: int, size: int, spots: Sequence[Spot]) -> None:
        """`size` bytes from core to core; nothing if that is the same one."""
        if source != target:
            self.received[target] += size
            self.sent[source] += size
            self.between_chips[spots[source].chip, spots[target].chip] += size
            self.flows.append((source, target, size))


@dataclass(frozen=True)
class Times:
    """Cycles at the port that receives most, what others add to that, hops, and bytes."""

    undisturbed: float
    contention: float
    hops_cycles: float
    hops: int
    received_bytes: int
    sent_bytes: int
    moved_bytes: int

    @property
    def cycles(self) -> float:
        """All of it."""
        return self.undisturbed + self.contention + self.hops_cycles


def timed(spec: HardwareSpec, grid: Grid | None, spots: Sequence[Spot], traffic: Traffic) -> Times:
    """How long the slowest port or link takes; every link of every way is looked at."""
    most_in = max(traffic.received.values(), default=0)
    most_out = max(traffic.sent.values(), default=0)
    alone = float(move_cycles(spec, most_in))
    longest = max(alone, float(move_cycles(spec, most_out)), _chip_links(spec, traffic))
    hops = 0
    if grid is not None:
        ways = [
            (spots[s].x, spots[s].y, spots[t].x, spots[t].y, size)
            for s, t, size in traffic.flows
            if size
        ]
        hops = max((len(route(grid, *way[:4])) for way in ways), default=0)
        busiest = max(loads(grid, ways).values(), default=0)
        longest = max(longest, float(move_cycles(spec, busiest)))
    return Times(
        alone,
        longest - alone,
        hops * spec.interconnect.hop_latency_cycles,
        hops,
        most_in,
        most_out,
        sum(traffic.received.values()),
    )


def _chip_links(spec: HardwareSpec, traffic: Traffic) -> float:
    """Cycles of the link of the chip that sends or receives most."""
    rate = spec.chips.link_bandwidth_bytes_per_second
    if spec.chips.count == 1 or rate is None:
        return 0.0
    out: Counter[int] = Counter()
    into: Counter[int] = Counter()
    for (source, target), size in traffic.between_chips.items():
        if source != target:
            out[source] += size
            into[target] += size
    most = max((*out.values(), *into.values()), default=0)
    return float(most) / rate * spec.clock_hz


# Who gets what from whom

Origin = tuple[int, int] | None
"""The number of a source and of an element of it; None for what a pad puts around."""


@dataclass
class Views:
    """Tensors that are made of others, and where their elements come from."""

    shapes: Mapping[str, tuple[int, ...]]
    views: Mapping[str, LayoutOp]

    def origins(self, tensor: str, sources: Sequence[tuple[str, frozenset[int]]]) -> list[Origin]:
        """For every element of a tensor, the first source that has it, as it is or by views.

        `sources` are tensors and the elements of them that any core holds.
        """
        size = math.prod(self.shapes[tensor])
        found: list[Origin] = [None] * size
        for number, (name, there) in enumerate(sources):
            if name == tensor:
                for element in there:
                    found[element] = found[element] or (number, element)
        view = self.views.get(tensor)
        if view is None or None not in found:
            return found
        inside = [self.origins(name, sources) for name in view.inputs]
        for element in range(size):
            if found[element] is None:
                made_of = self._input_element(view, element)
                if made_of is not None:
                    found[element] = inside[made_of[0]][made_of[1]]
        return found

    def _input_element(self, view: LayoutOp, element: int) -> tuple[int, int] | None:
        """The input and its element that an element of a view is; None for padding."""
        if view.kind == "reshape":
            return 0, element
        index = unravelled(element, self.shapes[view.output])
        which = 0
        shape = self.shapes[view.inputs[0]]
        match view.kind:
            case "transpose":
                place = [0] * len(shape)
                for d, p in enumerate(view.perm):
                    place[p] = index[d]
            case "slice":
                pairs = zip(view.starts, view.steps, strict=True)
                place = [a + b * i for (a, b), i in zip(pairs, index, strict=True)]
            case "expand":
                tail = index[len(index) - len(shape) :]
                place = [0 if size == 1 else i for i, size in zip(tail, shape, strict=True)]
            case "pad":
                place = [i - start for i, start in zip(index, view.starts, strict=True)]
                if any(not 0 <= i < size for i, size in zip(place, shape, strict=True)):
                    return None
            case "concat":
                place = list(index)
                while place[view.axis] >= shape[view.axis]:
                    place[view.axis] -= shape[view.axis]
                    which += 1
                    shape = self.shapes[view.inputs[which]]
        return which, raveled(place, shape)


def unravelled(element: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The index of a row-major number."""
    index = []
    for size in reversed(shape):
        index.append(element % size)
        element //= size
    return tuple(reversed(index))


def raveled(index: Sequence[int], shape: Sequence[int]) -> int:
    """The row-major number of an index."""
    number = 0
    for i, size in zip(index, shape, strict=True):
        number = number * size + i
    return number


def box_elements(spans: Sequence[Sequence[int]], shape: Sequence[int]) -> frozenset[int]:
    """Row-major numbers of all elements of a box."""
    return frozenset(raveled(index, shape) for index in product(*spans))


def add_move(
    traffic: Traffic,
    wanted: Sequence[set[tuple[int, int]]],
    sources: Sequence[Held],
    bits: int,
    spots: Sequence[Spot],
    grid: Grid | None,
) -> int:
    """Add what one move takes: `wanted` (source, element) on every core. The most that any gets."""
    holders: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, held in enumerate(sources):
        for core, elements in enumerate(held):
            for element in elements:
                holders[number, element].append(core)
    counts: Counter[int] = Counter()
    shares: defaultdict[tuple[int, int], Fraction] = defaultdict(Fraction)
    for core, elements in enumerate(wanted):
        for element in elements:
            if core in holders[element]:
                continue
            counts[core] += 1
            for sender, share in _senders(holders[element], core, spots, grid):
                shares[sender, core] += share
    width = Fraction(bits, 8)
    for core, count in counts.items():
        traffic.received[core] += math.ceil(count * width)
    out: defaultdict[int, Fraction] = defaultdict(Fraction)
    for (sender, core), share in shares.items():
        out[sender] += share * width
        traffic.between_chips[spots[sender].chip, spots[core].chip] += share * width
        if grid is not None:
            traffic.flows.append((sender, core, math.ceil(share * width)))
    for sender, total in out.items():
        traffic.sent[sender] += math.ceil(total)
    return max(counts.values(), default=0)


def _senders(
    holders: list[int], core: int, spots: Sequence[Spot], grid: Grid | None
) -> list[tuple[int, Fraction]]:
    """Who sends an element to a core, and what part of it."""
    if grid is None:
        return [(holder, Fraction(1, len(holders))) for holder in holders]

    def far(holder: int) -> int:
        ends = spots[holder].x, spots[holder].y, spots[core].x, spots[core].y
        return len(route(grid, *ends))

    return [(min(holders, key=far), Fraction(1))]
