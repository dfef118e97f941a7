"""A slow, obvious simulator: one object per core, every round of every loop, every element.

It reads a program as docs/program.md says, and charges by the same kernel costs as t10c.simulate;
all else is its own. `simulated` gives one `Timing` for every section.

t10c.simulate is simpler in two ways, which a `Timing` tells: `uneven` where pieces of unequal sizes
shift over links that they share, or steps of unequal lengths hide a part of shifts, so that rounds
are not alike; `gaps` where what was computed lies with gaps (groups of channels cut within every
group).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType

import numpy as np

from t10c.hardware.kernels import (
    TRANSITION_SYNCS,
    epilogue_cycles,
    move_cycles,
    reduction_terms,
    sync_cycles,
)
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync, tile_cycles
from t10c.hardware.topology import grid_of
from t10c.ir.program import (
    Allocate,
    Buffer,
    Compute,
    Exchange,
    Finish,
    Formula,
    Free,
    Instruction,
    Keep,
    Loop,
    Move,
    Piece,
    Program,
    Range,
    Reduce,
    Section,
    Shift,
)
from t10c.simulate.result import Breakdown, Effects

from .exchange import Held, Spot, Times, Traffic, Views, add_move, box_elements, timed


@lru_cache(maxsize=65536)
def compiled(text: Formula) -> CodeType:
    """A formula as Python: its arithmetic is the same."""
    return compile(text.strip(), "formula", "eval")


@dataclass
class Spent:
    """What an instruction took, all its rounds."""

    part: str
    count: int = 0
    breakdown: Breakdown = field(default_factory=Breakdown)
    effects: Effects = field(default_factory=Effects)
    received_bytes: int = 0
    sent_bytes: int = 0
    moved_bytes: int = 0
    hops: int = 0


@dataclass
class Timing:
    """A section: its phases in the order in which they begin, and sums."""

    name: str
    phases: dict[int, Spent] = field(default_factory=dict)
    flop: float = 0.0
    peak_bytes: int = 0
    uneven: bool = False
    gaps: bool = False

    @property
    def breakdown(self) -> Breakdown:
        """All phases."""
        return sum((p.breakdown for p in self.phases.values()), Breakdown())

    @property
    def effects(self) -> Effects:
        """All phases."""
        return sum((p.effects for p in self.phases.values()), Effects())


@dataclass
class Core:
    """One core: where it is, names that formulas use, and the elements that it holds by buffer."""

    number: int
    spot: Spot
    values: dict[str, int] = field(default_factory=dict)
    held: dict[str, frozenset[int]] = field(default_factory=dict)

    def value(self, formula: Formula) -> int:
        """A formula on this core."""
        return eval(compiled(formula), {}, self.values)

    def span(self, r: Range) -> range:
        """The indices of a range."""
        start = self.value(r.start)
        return range(start, min([start + r.length, *(self.value(stop) for stop in r.stops)]))

    def elements(self, piece: Piece, shape: tuple[int, ...], gaps: bool) -> frozenset[int]:
        """Elements of a piece within the tensor; with `gaps` at its points, else all between."""
        spans = {r.axis: self.span(r) for r in piece.ranges}
        if self.number >= piece.cores or not all(spans.values()):
            return frozenset()
        if piece.flat:
            (span,) = spans.values()
            return frozenset(range(max(0, span.start), min(span.stop, math.prod(shape))))
        inside: list[list[int]] = []
        for dim, size in zip(piece.dims, shape, strict=True):
            reached = {dim.offset}
            for axis, stride in dim.terms:
                reached = {first + stride * index for first in reached for index in spans[axis]}
            if dim.entries:
                reached = {first + entry for first in reached for entry in range(dim.size)}
            if not gaps:
                reached = set(range(min(reached), max(reached) + 1))
            inside.append(sorted(index for index in reached if 0 <= index < size))
        return box_elements(inside, shape)


def simulated(program: Program, spec: HardwareSpec) -> list[Timing]:
    """Every section of the first inference, in order."""
    machine = _Machine(program, spec)
    for section in (program.load, program.begin):
        machine.run(section)
    return [machine.run(section) for section in program.sections]


class _Machine:
    """All cores of a chip, and what a section takes of them."""

    def __init__(self, program: Program, spec: HardwareSpec) -> None:
        self.program, self.spec = program, spec
        self.grid = grid_of(spec)
        self.cores = [Core(n, self._spot(n)) for n in range(spec.core_count)]
        self.spots = [core.spot for core in self.cores]
        self.shapes = {t.name: t.shape for t in program.tensors}
        self.views = Views(self.shapes, {view.output: view for view in program.views})
        self.buffers: dict[str, Buffer] = {}
        self.counted: dict[str, int] = {}
        self.used_bytes = program.reserved_bytes
        self.last_step = 0.0
        self.shares: dict[str, int] = {}
        self.shifted: dict[int, float] = {}
        self.steps: set[float] = set()
        self.too_short = False
        self.gaps = False
        self.timing = Timing("")
        self._tiles: dict[tuple[int, tuple[int, ...]], float] = {}

    def _spot(self, number: int) -> Spot:
        each = math.ceil(self.spec.core_count / self.spec.chips.count)
        if self.grid is None:
            return Spot(number // each)
        x, y = number % self.grid.width, number // self.grid.width
        if self.program.positions is not None:
            x, y = (eval(compiled(f), {}, {"core": number}) for f in self.program.positions)
        return Spot(number // each, x, y)

    def run(self, section: Section) -> Timing:
        """Run a section on all cores."""
        self.timing = Timing(section.name, peak_bytes=self.used_bytes, gaps=self.gaps)
        for core in self.cores:
            core.values = {"core": core.number, "run": 0}
            for name, formula in section.values:
                core.values[name] = core.value(formula)
        self.steps, self.too_short = set(), False
        self._all(section.instructions)
        self.timing.uneven |= self.too_short and len(self.steps) > 1
        return self.timing

    def _all(self, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Loop():
                    self._loop(instruction)
                case Exchange():
                    self._exchange(instruction)
                case Compute():
                    self._compute(instruction)
                case Shift():
                    self._shift(instruction)
                case Reduce():
                    self._reduce(instruction)
                case Finish():
                    self._finish(instruction)
                case Allocate(buffer=buffer, absorbs=absorbed):
                    if absorbed:
                        self.used_bytes -= self.counted[absorbed]
                        self.counted[absorbed] = 0
                    self._place(buffer)
                case Free(buffer=name):
                    self._drop(name)
                case Keep(part=part, into=into):
                    self._drop(part.buffer)
                    self._place(into)
                case _:
                    pass

    def _spend(
        self,
        instruction: Instruction,
        part: str,
        took: Breakdown,
        effects: Effects,
        time: Times | None,
    ) -> None:
        spent = self.timing.phases.setdefault(id(instruction), Spent(part))
        spent.count += 1
        spent.breakdown += took
        spent.effects += effects
        if time is not None:
            spent.received_bytes = max(spent.received_bytes, time.received_bytes)
            spent.sent_bytes = max(spent.sent_bytes, time.sent_bytes)
            spent.moved_bytes += time.moved_bytes
            spent.hops = max(spent.hops, time.hops)

    # Memory

    def _place(self, buffer: Buffer, made: bool = False) -> None:
        """A new buffer; one that was `made` by computing has the points of its piece alone."""
        self.buffers[buffer.name] = buffer
        self.counted[buffer.name] = buffer.size_bytes
        self.used_bytes += buffer.size_bytes
        self.timing.peak_bytes = max(self.timing.peak_bytes, self.used_bytes)
        shape = self.shapes[buffer.tensor]
        for core in self.cores:
            core.held[buffer.name] = held = core.elements(buffer.piece, shape, made)
            self.gaps |= made and held != core.elements(buffer.piece, shape, False)
        self.timing.gaps |= self.gaps

    def _drop(self, name: str) -> None:
        self.used_bytes -= self.counted.pop(name)
        del self.buffers[name]
        for core in self.cores:
            del core.held[name]

    def _held(self, name: str) -> Held:
        return [core.held[name] for core in self.cores]

    # Loops

    def _loop(self, loop: Loop) -> None:
        for turn in range(loop.count):
            for core in self.cores:
                core.values[loop.counter] = turn
            self._all(loop.body)
            if turn + 1 < loop.count:
                self._all(loop.between)
                if self.spec.overlap_shift_compute:
                    self._hide(loop)
        for core in self.cores:
            core.values.pop(loop.counter, None)

    def _hide(self, loop: Loop) -> None:
        """What second buffers receive has arrived while the step before computed, if it could."""
        made = {i.output.buffer for i in every(loop) if isinstance(i, Compute)}
        hidden = [
            shift
            for shift in loop.between
            if isinstance(shift, Shift)
            and shift.buffer not in made
            and self.buffers[shift.buffer].copies > 1
        ]
        took = {id(shift): self.shifted[id(shift)] for shift in hidden}
        shifting = sum(took.values())
        gain = min(self.last_step, shifting)
        self.too_short |= gain < shifting
        for number, cycles in took.items():
            less = gain * cycles / shifting if cycles else 0.0
            spent = self.timing.phases[number]
            spent.breakdown += Breakdown(shift=-less)
            spent.effects += Effects(overlap=-less)

    # Transfers

    def _timed(self, traffic: Traffic) -> Times:
        return timed(self.spec, self.grid, self.spots, traffic)

    def _exchange(self, exchange: Exchange) -> None:
        traffic = Traffic()
        rounds = []
        for move in exchange.moves:
            most = self._move(move, traffic)
            home = self._held(move.sources[0])
            idle = max(1, max(map(len, home)))
            rounds.append((math.ceil(most / idle), self.buffers[move.sources[0]].size_bytes))
        time = self._timed(traffic)
        effects = Effects(contention=time.contention, hops=time.hops_cycles)
        if exchange.kind == "setup":
            full = float(move_cycles(self.spec, sum(n * size for n, size in rounds)))
            effects += Effects(short_blocks=time.undisturbed - full)
            sync = 2 * sum(n for n, _ in rounds) * sync_cycles(self.spec)
            took = Breakdown(setup=time.cycles, sync=sync)
        else:
            sync = TRANSITION_SYNCS * sync_cycles(self.spec) if time.moved_bytes else 0.0
            took = Breakdown(transition=time.cycles, sync=sync)
        part = "setup" if exchange.kind == "setup" else "transition"
        self._spend(exchange, part, took, effects, time)

    def _move(self, move: Move, traffic: Traffic) -> int:
        sources = [self._held(name) for name in move.sources]
        wanted: list[set[tuple[int, int]]] = [set() for _ in self.cores]
        there = [frozenset().union(*held) for held in sources]
        names = [self.buffers[name].tensor for name in move.sources]
        if move.partial:
            for core, mine in enumerate(self._held(move.into)):
                wanted[core] = {(s, e) for s, held in enumerate(there) for e in mine & held}
        else:
            origins = self.views.origins(move.tensor, list(zip(names, there, strict=True)))
            for core, mine in enumerate(self._held(move.into)):
                wanted[core] = {o for e in mine if (o := origins[e]) is not None}
        bits = self.buffers[move.into].bits
        return add_move(traffic, wanted, sources, bits, self.spots, self.grid)

    def _shift(self, shift: Shift) -> None:
        buffer = self.buffers[shift.buffer]
        taking = self.cores[: buffer.piece.cores]
        sources = [core.value(shift.source) for core in taking]
        before = self._held(shift.buffer)
        traffic = Traffic()
        sizes = [math.ceil(len(elements) * buffer.bits / 8) for elements in before]
        for core, source in zip(taking, sources, strict=True):
            core.held[shift.buffer] = before[source]
            traffic.flow(source, core.number, sizes[source], self.spots)
        time = self._timed(traffic)
        full_bytes = math.ceil(buffer.elements * buffer.bits / 8)
        rounds, full_rounds = (self._rounds(buffer, n) for n in (max(sizes), full_bytes))
        sync = 2 * sync_cycles(self.spec)
        effects = Effects(
            short_blocks=time.undisturbed - float(move_cycles(self.spec, full_bytes)),
            contention=time.contention,
            hops=rounds * time.hops_cycles,
            transfer_rounds=(rounds - full_rounds) * sync,
        )
        moving = time.undisturbed + time.contention + rounds * time.hops_cycles
        took = Breakdown(shift=moving, sync=rounds * sync)
        self.shifted[id(shift)] = moving
        links = self.grid is not None or self.spec.chips.count > 1
        self.timing.uneven |= links and len(set(sizes[: len(taking)])) > 1
        self._spend(shift, "shift", took, effects, time)

    def _rounds(self, buffer: Buffer, size_bytes: int) -> int:
        if buffer.copies == 2 or self.spec.shift_buffer.policy == "double":
            return 1
        return math.ceil(size_bytes / self.spec.shift_buffer.size_bytes)

    def _reduce(self, step: Reduce) -> None:
        buffer = self.buffers[step.buffer]
        q, taking = step.count, self.cores[: step.cores]
        place = {(c.value(step.group), c.value(step.rank)): c.number for c in taking}
        traffic = Traffic()
        terms = []
        for core in taking:
            size = len(core.held[step.buffer])
            terms.append(reduction_terms(self.spec, q, size, buffer.bits))
            after = place[core.value(step.group), (core.value(step.rank) + 1) % q]
            share = math.ceil(size * buffer.bits * (q - 1) / (8 * q))
            traffic.flow(core.number, after, share, self.spots)
        time = self._timed(traffic)
        full = reduction_terms(self.spec, q, buffer.elements, buffer.bits)
        moving = max(float(t.transfer) for t in terms)
        adding = [float(t.arithmetic) for t in terms]
        contention = max(0.0, time.undisturbed + time.contention - moving)
        hops = (q - 1) * time.hops_cycles
        mean = sum(adding) / self.spec.core_count
        short = moving + max(adding) - float(full.transfer) - float(full.arithmetic)
        took = Breakdown(
            compute=mean,
            idle=max(adding) - mean,
            sync=q * sync_cycles(self.spec),
            reduction=moving + contention + hops,
        )
        effects = Effects(short_blocks=short, contention=contention, hops=hops)
        self.shares[step.buffer] = q
        self._spend(step, "reduction", took, effects, time)

    # Computing

    def _compute(self, step: Compute) -> None:
        expression = self.program.kernels[step.kernel]
        product = expression.kernel in ("matmul", "conv")
        each = 2 if product else max(1, len(expression.body))
        costs = []
        for core in self.cores[: step.cores]:
            lengths = tuple(len(core.span(r)) for r in step.tile)
            self.timing.flop += each * math.prod(lengths)
            costs.append(self._tile(step.kernel, lengths))
        slowest, mean = max(costs), sum(costs) / self.spec.core_count
        self.last_step = slowest
        self.steps.add(slowest)
        full = self._tile(step.kernel, tuple(r.length for r in step.tile))
        took = Breakdown(compute=mean, idle=slowest - mean)
        self._spend(step, "compute", took, Effects(short_blocks=slowest - full), None)

    def _tile(self, kernel: int, lengths: tuple[int, ...]) -> float:
        """Cycles of a tile; what has no points takes none."""
        key = kernel, lengths
        if key not in self._tiles:
            expression = self.program.kernels[kernel]
            empty = 0 in lengths
            cycles = 0.0 if empty else tile_cycles(self.spec, expression, np.array(lengths))
            self._tiles[key] = float(cycles)
        return self._tiles[key]

    def _finish(self, step: Finish) -> None:
        expression = self.program.kernels[step.kernel]
        old = self.buffers[step.result.buffer]
        shares = self.shares.pop(old.name, 1)
        self._drop(old.name)
        self._place(step.into, made=True)
        sizes = [len(elements) for elements in self._held(step.into.name)]
        self.timing.flop += sum(sizes) * len(expression.epilogue)
        costs = [float(epilogue_cycles(self.spec, expression, n)) for n in sizes]
        slowest, mean = max(costs), sum(costs) / self.spec.core_count
        sync = sync_cycles(self.spec) if ends_with_sync(expression) else 0.0
        full = float(epilogue_cycles(self.spec, expression, old.elements / shares))
        took = Breakdown(compute=mean, idle=slowest - mean, sync=sync)
        self._spend(step, "compute", took, Effects(short_blocks=slowest - full), None)


def every(loop: Loop) -> Iterator[Instruction]:
    """All instructions in a loop, however deep."""
    for instruction in (*loop.body, *loop.between):
        yield instruction
        if isinstance(instruction, Loop):
            yield from every(instruction)
