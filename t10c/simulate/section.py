"""One section of a program: its phases, and what they leave in memory."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.spec import HardwareSpec
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
from t10c.simulate.charges import (
    Charge,
    compute_charge,
    exchange_charge,
    finish_charge,
    reduce_charge,
    shift_charge,
)
from t10c.simulate.exchanges import Exchanges
from t10c.simulate.network import Network
from t10c.simulate.result import Breakdown, Effects, Phase
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

    def _charge(self, instruction: object, charge: Charge) -> None:
        """Add what an instruction takes in the rounds that are looked at together."""
        times, time = self._times, charge.time
        begin, key = self.cycles, id(instruction)
        self.cycles += charge.breakdown.total * times
        self._counts[key] = self._counts.get(key, 0.0) + charge.count * times
        new = Phase(
            part=charge.part,
            text=charge.text,
            count=round(self._counts[key]),
            begin_cycles=begin,
            end_cycles=self.cycles,
            breakdown=charge.breakdown.times(times),
            effects=charge.effects.times(times),
            received_bytes=time.received_bytes if time else 0,
            sent_bytes=time.sent_bytes if time else 0,
            moved_bytes=round(time.moved_bytes * charge.count * times) if time else 0,
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

    # Instructions

    def _exchange(self, exchange: Exchange) -> None:
        around = self.around
        self._charge(
            exchange, exchange_charge(exchange, around.exchanges, self.store, around.network)
        )

    def _shift(self, shift: Shift, counters: Counters) -> None:
        count = math.prod(n for _, n in counters)
        values = self.values | {name: 0 for name, _ in counters if name}
        lying = self.store.held[shift.buffer]
        self._charge(shift, shift_charge(shift, lying, values, count, self.around.network))

    def _reduce(self, step: Reduce) -> None:
        lying = self.store.held[step.buffer]
        self._charge(step, reduce_charge(step, lying, self.values, self.around.network))

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
        self._charge(step, compute_charge(expression, costs, math.prod(n for _, n in counters)))

    def _finish(self, step: Finish) -> None:
        expression = self.around.program.kernels[step.kernel]
        full = self.store.held[step.result.buffer].buffer.elements / self._shares(step)
        made = self._place(step.into)
        self.flop += float(made.points.sum()) * len(expression.epilogue) * self._times
        self._charge(step, finish_charge(self.spec, expression, made, full))
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
