"""One section of a program: its phases, and what they leave in memory."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.kernels import (
    TRANSITION_SYNCS,
    epilogue_cycles,
    move_cycles,
    reduction_terms,
    sync_cycles,
)
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync
from t10c.ir.expression import TensorExpression
from t10c.ir.formula import Value, evaluate
from t10c.ir.program import (
    Allocate,
    Buffer,
    Clear,
    Compute,
    Exchange,
    Finish,
    Free,
    Instruction,
    Keep,
    Load,
    Loop,
    Program,
    Reduce,
    Section,
    Shift,
)
from t10c.ir.program import Store as StoreOutput
from t10c.program.placed import per_core
from t10c.simulate.exchanges import Exchanges
from t10c.simulate.network import Flows, Network, TransferTime
from t10c.simulate.result import Breakdown, Effects, Part, Phase
from t10c.simulate.rounds import Counters, RoundCosts, compute_rounds
from t10c.simulate.store import Lying, Store


@dataclass(frozen=True)
class Surroundings:
    """What all sections of a program share."""

    program: Program
    spec: HardwareSpec
    store: Store
    network: Network
    exchanges: Exchanges
    rounds: dict[tuple[object, ...], RoundCosts]
    """Costs of compute instructions by all that they depend on."""


_STEPPED_ROUNDS = 24
"""Loops with exchanges in them are looked at in at most so many of their rounds."""


class SectionWalk:
    """Walks the instructions of a section from `begin_cycles` on and gathers its phases."""

    def __init__(self, around: Surroundings, section: Section, begin_cycles: float) -> None:
        self.around, self.spec, self.store = around, around.spec, around.store
        self.section, self.cycles = section, begin_cycles
        cores = np.arange(around.program.core_count, dtype=np.int64)
        self.values: dict[str, Value] = {"core": cores, "run": 0}
        for name, formula in section.values:
            self.values[name] = evaluate(formula, self.values)
        self.kernels: dict[int, None] = {}
        self.cores = 0
        self.flop = 0.0
        self.exact = True
        self._phases: dict[int, Phase] = {}
        self._counts: dict[int, float] = {}
        self._times = 1.0  # rounds that the round looked at stands for
        self._round: tuple[int, ...] = ()

    def run(self) -> tuple[Phase, ...]:
        """Walk all instructions; the phases in the order in which they begin."""
        self._instructions(self.section.instructions, ())
        return tuple(self._phases.values())

    def _instructions(self, instructions: Iterable[Instruction], counters: Counters) -> None:
        for instruction in instructions:
            match instruction:
                case Loop():
                    self._loop(instruction, counters)
                case Exchange():
                    self._exchange(instruction)
                case Compute():
                    self._compute(instruction, counters)
                case Shift():
                    self._shift(instruction, counters)
                case Reduce():
                    self._reduce(instruction)
                case Finish():
                    self._finish(instruction)
                case Allocate(buffer=buffer, absorbs=absorbed):
                    self.store.allocate(self._place(buffer), absorbed, self.cycles)
                case Free(buffer=name):
                    self.store.free(name, self.cycles)
                case Keep(part=part, into=into):
                    self.store.turn_into(part.buffer, self._place(into), self.cycles)
                case Load() | Clear() | StoreOutput():
                    pass  # the host's transfers, and zeroes, have no price

    def _place(self, buffer: Buffer) -> Lying:
        return self.store.place(buffer, self.section, self.values, self._round)

    def _phase(
        self,
        instruction: object,
        part: Part,
        text: str,
        count: float,
        breakdown: Breakdown,
        effects: Effects,
        time: TransferTime | None = None,
    ) -> None:
        """Add what an instruction takes in the rounds that are looked at together."""
        times = self._times
        begin, key = self.cycles, id(instruction)
        self.cycles += breakdown.total * times
        self._counts[key] = self._counts.get(key, 0.0) + count * times
        new = Phase(
            part=part,
            text=text,
            count=round(self._counts[key]),
            begin_cycles=begin,
            end_cycles=self.cycles,
            breakdown=breakdown.times(times),
            effects=effects.times(times),
            received_bytes=time.received_bytes if time else 0,
            sent_bytes=time.sent_bytes if time else 0,
            moved_bytes=round(time.moved_bytes * count * times) if time else 0,
            hops=time.hops if time else 0,
        )
        old = self._phases.get(key)
        self._phases[key] = new if old is None else _merged(old, new)

    # Loops

    def _loop(self, loop: Loop, counters: Counters) -> None:
        begin, known = self.cycles, set(self._phases)
        if any(isinstance(i, Exchange | Allocate) for i in _within(loop)):
            self._step_through(loop)
        else:
            inner = (*counters, (loop.counter, loop.count))
            self._instructions(loop.body, inner)
            between = (*counters, (loop.counter, loop.count - 1))
            self._instructions(loop.between, between)
            if self.spec.overlap_shift_compute:
                self._hide_shifts(loop, math.prod(count for _, count in between))
        if not counters:
            for number in self._phases.keys() - known:
                phase = self._phases[number]
                self._phases[number] = replace(phase, begin_cycles=begin, end_cycles=self.cycles)

    def _step_through(self, loop: Loop) -> None:
        """Look at rounds one by one; of many, at some that are evenly spaced, for all."""
        limit = max(2, _STEPPED_ROUNDS // max(1, len(self._round) * 2))
        chosen = np.unique(np.linspace(0, loop.count - 1, min(loop.count, limit)).astype(int))
        self.exact &= len(chosen) == loop.count
        outer, before = self._times, self._round
        for turn in chosen.tolist():
            self._round = (*before, turn)
            if loop.counter:
                self.values[loop.counter] = turn
            self._times = outer * loop.count / len(chosen)
            self._instructions(loop.body, ())
            last = turn + 1 == loop.count
            if not last and loop.between:
                self._times = outer * (loop.count - 1) / max(1, len(chosen) - 1)
                self._instructions(loop.between, ())
        self._times, self._round = outer, before
        self.values.pop(loop.counter, None)

    def _hide_shifts(self, loop: Loop, events: int) -> None:
        """Shifts into a second buffer run while the step before computes.

        What is computed into cannot be on its way meanwhile.
        """
        computes = [i for i in _within(loop) if isinstance(i, Compute)]
        made = {c.output.buffer for c in computes}
        hidden = [
            s
            for s in loop.between
            if isinstance(s, Shift)
            and s.buffer not in made
            and self.store.held[s.buffer].buffer.copies > 1
        ]
        if not hidden or not computes or not events:
            return
        steps = [self._phases[id(c)] for c in computes]
        one_step = sum((p.breakdown.compute + p.breakdown.idle) / p.count for p in steps)
        shifting = sum(self._phases[id(s)].breakdown.shift for s in hidden)
        gain = min(one_step * events, shifting)
        for shift in hidden:
            phase = self._phases[id(shift)]
            less = gain * phase.breakdown.shift / shifting if shifting else 0.0
            self._phases[id(shift)] = replace(
                phase,
                breakdown=phase.breakdown + Breakdown(shift=-less),
                effects=phase.effects + Effects(overlap=-less),
            )
        self.cycles -= gain

    # Transfers

    def _exchange(self, exchange: Exchange) -> None:
        transfer = self.around.exchanges.transfer(exchange, self.store)
        time = self.around.network.time(transfer)
        part: Part = "setup" if exchange.kind == "setup" else "transition"
        effects = Effects(contention=time.contention, hops=time.hops_cycles)
        syncs = TRANSITION_SYNCS if time.moved_bytes else 0
        if part == "setup":
            rounds = self.around.exchanges.setup_rounds(exchange, self.store)
            syncs = 2 * sum(count for count, _ in rounds)
            full = move_cycles(self.spec, sum(count * size for count, size in rounds))
            effects = replace(effects, short_blocks=time.undisturbed - float(full))
        breakdown = replace(Breakdown(sync=syncs * sync_cycles(self.spec)), **{part: time.cycles})
        self._phase(exchange, part, exchange.kind, 1, breakdown, effects, time)

    def _shift(self, shift: Shift, counters: Counters) -> None:
        """All rounds of a shift: the pieces that cores hold change places, none changes size."""
        count = math.prod(n for _, n in counters)
        lying = self.store.held[shift.buffer]
        bits = lying.buffer.bits
        sizes = -(-lying.boxes.sizes * bits // 8)
        cores = np.arange(lying.boxes.cores, dtype=np.int64)
        values = self.values | {name: 0 for name, _ in counters if name}
        source = per_core(shift.source, len(cores), values)
        network = self.around.network
        time = network.time(network.point_to_point(Flows(source, cores, sizes[source])))
        full_bytes = -(-lying.buffer.elements * bits // 8)
        full = float(move_cycles(self.spec, full_bytes))
        sync = 2 * sync_cycles(self.spec)
        rounds = self._rounds(lying.buffer, int(sizes.max(initial=0)))
        full_rounds = self._rounds(lying.buffer, full_bytes)
        effects = Effects(
            short_blocks=time.undisturbed - full,
            contention=time.contention,
            hops=time.hops_cycles,
            transfer_rounds=(rounds - full_rounds) * sync,
        )
        breakdown = Breakdown(shift=time.cycles, sync=rounds * sync)
        name = shift.buffer.rsplit(":", 1)[-1]
        self._phase(
            shift,
            "shift",
            f"shift {name}",
            count,
            breakdown.times(count),
            effects.times(count),
            time,
        )

    def _rounds(self, buffer: Buffer, size_bytes: int) -> int:
        """Rounds in which a piece passes through the shift buffer."""
        if buffer.copies > 1 or self.spec.shift_buffer.policy == "double":
            return 1
        return -(-size_bytes // self.spec.shift_buffer.size_bytes)

    def _reduce(self, step: Reduce) -> None:
        lying = self.store.held[step.buffer]
        bits, count = lying.buffer.bits, step.count
        sizes = lying.boxes.sizes[: step.cores]
        terms = reduction_terms(self.spec, count, sizes, bits)
        full = reduction_terms(self.spec, count, lying.buffer.elements, bits)
        network = self.around.network
        group = per_core(step.group, step.cores, self.values)
        rank = per_core(step.rank, step.cores, self.values)
        # partial sums go round a ring: from every core to the next all but its own share
        order = np.lexsort((rank, group)).reshape(-1, count)
        share = -(-sizes * bits * (count - 1) // (8 * count))
        flows = Flows(
            order.reshape(-1), np.roll(order, -1, axis=1).reshape(-1), share[order.reshape(-1)]
        )
        time = network.time(network.point_to_point(flows))
        transfer, sync = float(terms.transfer.max()), float(terms.sync.max())
        contention = max(0.0, time.undisturbed + time.contention - transfer)
        hops = time.hops_cycles * (count - 1)
        slowest = float(terms.arithmetic.max())
        mean = float(terms.arithmetic.sum()) / self.spec.core_count
        breakdown = Breakdown(
            compute=mean, idle=slowest - mean, sync=sync, reduction=transfer + contention + hops
        )
        effects = Effects(
            short_blocks=transfer + slowest - float(full.transfer) - float(full.arithmetic),
            contention=contention,
            hops=hops,
        )
        self._phase(
            step, "reduction", f"reduce {count} partial pieces", 1, breakdown, effects, time
        )

    # Computing

    def _compute(self, step: Compute, counters: Counters) -> None:
        expression = self.around.program.kernels[step.kernel]
        self.kernels[step.kernel] = None
        self.cores = max(self.cores, step.cores)
        stepped = tuple((n, v) for n, v in self.values.items() if isinstance(v, int))
        key = (step.kernel, step.tile, step.cores, self.section.values, counters, stepped)
        costs = self.around.rounds.get(key)
        if costs is None:
            costs = compute_rounds(self.spec, expression, step, self.values, counters)
            self.around.rounds[key] = costs
        self.exact &= costs.exact
        self.flop += costs.points * _flop_per_point(expression) * self._times
        breakdown = Breakdown(compute=costs.mean, idle=costs.slowest - costs.mean)
        effects = Effects(short_blocks=costs.slowest - costs.full)
        count = math.prod(n for _, n in counters)
        self._phase(step, "compute", f"compute {expression.kernel}", count, breakdown, effects)

    def _finish(self, step: Finish) -> None:
        """The epilogue on the finished piece, and the sync with which some operators end."""
        expression = self.around.program.kernels[step.kernel]
        old = self.store.held[step.result.buffer]
        made = self._place(step.into)
        cycles = epilogue_cycles(self.spec, expression, made.boxes.sizes)
        shares = self._shares(step)
        full = float(epilogue_cycles(self.spec, expression, old.buffer.elements / shares))
        slowest = float(cycles.max(initial=0.0))
        mean = float(cycles.sum()) / self.spec.core_count
        sync = sync_cycles(self.spec) if ends_with_sync(expression) else 0.0
        breakdown = Breakdown(compute=mean, idle=slowest - mean, sync=sync)
        effects = Effects(short_blocks=slowest - full)
        self.flop += float(made.boxes.sizes.sum()) * len(expression.epilogue) * self._times
        self._phase(step, "compute", "finish", 1, breakdown, effects)
        self.store.turn_into(step.result.buffer, made, self.cycles)

    def _shares(self, step: Finish) -> int:
        """Cores that share a finished piece."""
        reduces = (i for i in _all_of(self.section.instructions) if isinstance(i, Reduce))
        return next((r.count for r in reduces if r.buffer == step.result.buffer), 1)


def _merged(old: Phase, new: Phase) -> Phase:
    """Two times the same instruction; the later one counts all rounds so far."""
    return replace(
        old,
        count=new.count,
        end_cycles=new.end_cycles,
        breakdown=old.breakdown + new.breakdown,
        effects=old.effects + new.effects,
        received_bytes=max(old.received_bytes, new.received_bytes),
        sent_bytes=max(old.sent_bytes, new.sent_bytes),
        moved_bytes=old.moved_bytes + new.moved_bytes,
        hops=max(old.hops, new.hops),
    )


def _within(loop: Loop) -> Iterator[Instruction]:
    """All instructions of a loop, those of loops in it included."""
    return _all_of((*loop.body, *loop.between))


def _all_of(instructions: Iterable[Instruction]) -> Iterator[Instruction]:
    """The instructions, and all of the loops among them."""
    for instruction in instructions:
        yield instruction
        if isinstance(instruction, Loop):
            yield from _within(instruction)


def _flop_per_point(expression: TensorExpression) -> int:
    """Operations at a point: a product multiplies and adds, other kernels do one for each step."""
    product = expression.kernel in ("matmul", "conv")
    return 2 if product else max(1, len(expression.body))
