"""The rings of a plan's shifts, with what their length and their sharing of links cost."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.kernels import communication_factor
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import Plan
from t10c.search.placement import placement_rule
from t10c.search.rings import ring_sources, ring_stride
from t10c.search.shifts import shift_rounds
from t10c.search.space import IntArray

_MOST_RINGS = 128
"""Shifts that are looked at: those that move most. Few plans have more that differ."""

_MOST_FOUND = 1 << 22
"""Sources that are worked out core by core, of all rings together, where no digit states them."""


@dataclass(frozen=True, slots=True)
class Shifting:
    """An operator's plan as far as its shifts go, for `count` operators that are alike."""

    expression: TensorExpression
    plan: Plan
    piece_bytes: tuple[int, ...]
    count: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class RingUse:
    """Rings of `radix` among the first `cores` cores, and what they cost in an inference.

    They follow the digit of the core number with place value `stride`; or `sources` names the core
    whose piece every core receives. `load_cycles` are spent for each flow on the most loaded
    link, `hop_cycles` for each hop of the longest way.
    """

    cores: int
    radix: int
    stride: int | None
    sources: IntArray | None
    load_cycles: float
    hop_cycles: float

    @property
    def weight_cycles(self) -> float:
        """Cycles on a folded line, where one flow is on every link and ways have two hops."""
        return self.load_cycles + 2 * self.hop_cycles

    def sources_of(self, cores: IntArray) -> IntArray:
        """The cores whose pieces these cores receive, of the same shape."""
        if self.sources is not None:
            return self.sources[cores]
        assert self.stride is not None
        digit = cores // self.stride % self.radix
        return cores + ((digit + 1) % self.radix - digit) * self.stride


def ring_uses(shiftings: Iterable[Shifting], spec: HardwareSpec) -> list[RingUse]:
    """The rings of all shifts, equal ones once, those that move most first."""
    shifts = [shift for shifting in shiftings for shift in _shifts(shifting, spec)]
    order = sorted(range(len(shifts)), key=lambda i: -shifts[i].weight_cycles)
    left = _MOST_FOUND
    by_digit: dict[tuple[int, int, int], RingUse] = {}
    others: list[RingUse] = []
    for shift in (shifts[i] for i in order[:_MOST_RINGS]):
        stride = None
        if shift.is_stated or left >= shift.use.cores:
            stride = ring_stride(shift.expression, shift.plan, shift.operand, shift.level)
            left -= 0 if shift.is_stated else shift.use.cores
        if stride is not None:
            key = (shift.use.cores, stride, shift.use.radix)
            by_digit[key] = _together(by_digit.get(key), replace(shift.use, stride=stride))
        elif left >= shift.use.cores:
            left -= shift.use.cores
            sources = ring_sources(shift.expression, shift.plan, shift.operand, shift.level)
            others.append(replace(shift.use, sources=sources))
    return sorted([*by_digit.values(), *others], key=lambda use: -use.weight_cycles)


@dataclass(frozen=True, slots=True)
class _Shift:
    """One operand of one rotation; the rings of `use` are still to be found."""

    expression: TensorExpression
    plan: Plan
    operand: Operand
    level: int
    use: RingUse

    @property
    def weight_cycles(self) -> float:
        return self.use.weight_cycles

    @property
    def is_stated(self) -> bool:
        """Whether the digit that rings follow is known without looking at cores."""
        return placement_rule(self.expression, self.plan) == "digits"


def _shifts(shifting: Shifting, spec: HardwareSpec) -> Iterable[_Shift]:
    """Every shift of an operator, with how often it runs and what it moves."""
    expression, plan = shifting.expression, shifting.plan
    rate = spec.interconnect.cycles_per_byte * communication_factor(spec)
    cores = int(np.prod(plan.split, dtype=np.int64))
    rounds = 1
    for level, rotation in enumerate(plan.rotations):
        times = shifting.count * rounds * (rotation.radix - 1)
        rounds *= rotation.radix
        for operand, size in zip(expression.operands, shifting.piece_bytes, strict=True):
            if operand.name in rotation.operands:
                passes = int(shift_rounds(spec, np.array([size]))[0])
                load = times * size * rate
                hop = times * passes * spec.interconnect.hop_latency_cycles
                use = RingUse(cores, rotation.radix, None, None, load, hop)
                yield _Shift(expression, plan, operand, level, use)


def _together(one: RingUse | None, other: RingUse) -> RingUse:
    """The same rings, used by both."""
    if one is None:
        return other
    return replace(
        one,
        load_cycles=one.load_cycles + other.load_cycles,
        hop_cycles=one.hop_cycles + other.hop_cycles,
    )
