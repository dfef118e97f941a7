"""The search of tilings against a slow twin: every split and tiling, priced from the definition."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest

import t10c
from t10c.baselines import search
from t10c.baselines.search import find_tiling
from t10c.baselines.tiles import Tilings
from t10c.hardware.kernels import (
    epilogue_cycles,
    exchange_cycles,
    move_cycles,
    reduction_cycles,
    sync_cycles,
)
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync, tile_cycles
from t10c.hardware.width import partial_bits, stored_bits
from t10c.ir.expression import Operand, TensorExpression, hull
from t10c.search.notation import parse_expression

SPEC = replace(t10c.load_spec("ipu-mk2"), core_count=7)
CASES = [
    ("C[m,n] += A[m,k] * B[k,n]", {"m": 7, "n": 5, "k": 6}),
    ("C[b,m,n] += A[b,m,k] * B[k,n]", {"b": 2, "m": 3, "n": 4, "k": 6}),
    ("O[o,h] += I[c,2*h+k] * K[o,c,k]", {"o": 3, "h": 5, "c": 2, "k": 3}),
    ("C[i,j] = A[i,j] + B[j]", {"i": 12, "j": 11}),
    ("O[c,h] max= I[c,2*h+k]", {"c": 4, "h": 6, "k": 3}),
    ("C[i] += A[i,j]", {"i": 5, "j": 16}),
]


class Slow:
    """Costs of one tiling, step by step."""

    def __init__(self, expression: TensorExpression, spec: HardwareSpec) -> None:
        self.expression, self.spec = expression, spec
        self.own = set(expression.output.axes)

    def cycles(self, split: dict[str, int], rounds: dict[str, int], room: int) -> float:
        """The least over all orders of loops that are allowed; infinite if it does not fit."""
        lengths = {axis.name: axis.length for axis in self.expression.axes}
        blocks = {a: -(-n // split[a]) for a, n in lengths.items()}
        self.split, self.rounds = split, rounds
        self.tile = {a: -(-n // rounds[a]) for a, n in blocks.items()}
        self.shares = math.prod(n for a, n in split.items() if a not in self.own)
        if sum(self.size(o) for o in self.expression.operands) > room:
            return math.inf
        outer = [a for a in lengths if a in self.own and rounds[a] > 1]
        inner = [a for a in lengths if a not in self.own and rounds[a] > 1]
        orders = itertools.product(itertools.permutations(outer), itertools.permutations(inner))
        return self.computing() + min(self.exchanging([*o, *i]) for o, i in orders)

    def computing(self) -> float:
        spec, expression = self.spec, self.expression
        steps = math.prod(self.rounds.values())
        results = math.prod(n for a, n in self.rounds.items() if a in self.own)
        tile = [self.tile[axis.name] for axis in expression.axes]
        points = math.prod(n for a, n in self.tile.items() if a in self.own)
        held = math.prod(hull(expression.output.dims, self.tile))
        bits = partial_bits(spec, expression)
        one = float(reduction_cycles(spec, self.shares, held, bits))
        one += float(epilogue_cycles(spec, expression, points / self.shares))
        one += sync_cycles(spec) if ends_with_sync(expression) else 0.0
        return steps * float(tile_cycles(spec, expression, tile)) + results * one

    def exchanging(self, loops: list[str]) -> float:
        """Walk through all rounds: what changes is loaded, what is finished is stored."""
        inputs = self.expression.inputs
        total = self.exchange(inputs, False)
        before = None
        for turn in itertools.product(*(range(self.rounds[a]) for a in loops)):
            if before is not None:
                level = next(i for i, (x, y) in enumerate(zip(before, turn, strict=True)) if x != y)
                axis = loops[level]
                total += self.exchange([o for o in inputs if axis in o.axes], axis in self.own)
            before = turn
        return total + self.exchange([], True)

    def exchange(self, loaded, stores: bool) -> float:
        spec, output = self.spec, self.expression.output
        arriving = sum(self.size(o) for o in loaded)
        leaving = sum(self.sent(o) for o in loaded)
        if stores:
            width = stored_bits(spec, output.bits) / 8
            points = math.prod(n for a, n in self.tile.items() if a in self.own)
            cores = math.prod(n for a, n in self.split.items() if a in self.own)
            rounds = math.prod(n for a, n in self.rounds.items() if a in self.own)
            share = -(-math.prod(d.size for d in output.dims) // spec.core_count)
            crossed = min(max(share // self.run(output), 1), rounds)
            arriving += max(share / crossed, points * cores / spec.core_count) * width
            leaving += points / self.shares * width
        return float(move_cycles(spec, max(arriving, leaving)) + exchange_cycles(spec, 0))

    def sent(self, operand: Operand) -> float:
        spec = self.spec
        share = -(-math.prod(d.size for d in operand.dims) // spec.core_count)
        alike = math.prod(n for a, n in self.split.items() if a not in operand.axes)
        parts = math.prod(n for a, n in self.rounds.items() if a in operand.axes)
        crossed = min(max(share // self.run(operand), 1), parts)
        held = math.prod(hull(operand.dims, self.tile))
        mean = math.prod(self.split.values()) * held / spec.core_count
        width = stored_bits(spec, operand.bits) / 8
        return max(-(-alike // parts) * share / crossed, mean) * width

    def run(self, operand: Operand) -> int:
        run = 1
        for dim, extent in reversed(
            [*zip(operand.dims, hull(operand.dims, self.tile), strict=True)]
        ):
            run *= min(extent, dim.size)
            if extent < dim.size:
                break
        return run

    def size(self, operand: Operand) -> int:
        bits = stored_bits(self.spec, operand.bits)
        if operand is self.expression.output and self.shares > 1:
            bits = partial_bits(self.spec, self.expression)
        return -(-math.prod(hull(operand.dims, self.tile)) * bits // 8)


def slow_best(expression: TensorExpression, room: int) -> float:
    slow = Slow(expression, SPEC)
    names = [axis.name for axis in expression.axes]
    best = math.inf
    for split in itertools.product(*(range(1, min(n, 7) + 1) for n in expression.lengths)):
        if math.prod(split) > SPEC.core_count:
            continue
        blocks = [-(-n // f) for n, f in zip(expression.lengths, split, strict=True)]
        for rounds in itertools.product(*(range(1, n + 1) for n in blocks)):
            cut = dict(zip(names, split, strict=True)), dict(zip(names, rounds, strict=True))
            best = min(best, slow.cycles(*cut, room))
    return best


@pytest.mark.parametrize(("text", "lengths"), CASES, ids=[text for text, _ in CASES])
@pytest.mark.parametrize("room", [10**6, 120, 60, 30])
def test_the_fastest_tiling_is_found(text, lengths, room):
    expression = parse_expression(text, lengths)
    found = find_tiling(expression, SPEC, room)
    best = slow_best(expression, room)
    if found is None:
        assert best == math.inf
        return
    assert found.memory_bytes <= room
    assert found.cycles == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("sync", [0.0, 10.0, 1000.0])
def test_whatever_a_sync_costs(sync, monkeypatch):
    """Where syncs are free, loads may go in any number of steps."""
    network = replace(SPEC.interconnect, sync_cycles=sync)
    monkeypatch.setitem(globals(), "SPEC", replace(SPEC, interconnect=network))
    text, lengths = CASES[0]
    expression = parse_expression(text, lengths)
    found = find_tiling(expression, SPEC, 60)
    assert found is not None
    assert found.cycles == pytest.approx(slow_best(expression, 60), rel=1e-12)


@pytest.mark.parametrize("sync", [0.5, 20.0])
@pytest.mark.parametrize("room", [12, 20, 40, 100])
@pytest.mark.parametrize(("text", "lengths"), CASES[:3], ids=[text for text, _ in CASES[:3]])
def test_nothing_is_left_out_for_its_number_of_steps(text, lengths, room, sync, monkeypatch):
    """Begun with few splits and steps, and in small groups, the search still sees all it must."""
    network = replace(SPEC.interconnect, sync_cycles=sync)
    monkeypatch.setitem(globals(), "SPEC", replace(SPEC, interconnect=network))
    for name, number in (("_FIRST_STEPS", 1), ("_FIRST_SPLITS", 1), ("_ROWS_AT_ONCE", 50)):
        monkeypatch.setattr(search, name, number)
    expression = parse_expression(text, lengths)
    found = find_tiling(expression, SPEC, room)
    best = slow_best(expression, room)
    assert (math.inf if found is None else found.cycles) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize(("text", "lengths"), CASES, ids=[text for text, _ in CASES])
def test_any_tiling_costs_what_its_rounds_cost(text, lengths):
    expression = parse_expression(text, lengths)
    slow, tilings = Slow(expression, SPEC), Tilings(expression, SPEC)
    rng = random.Random(text)
    for _ in range(300):
        split, left = [], SPEC.core_count
        for axis in expression.axes:
            split.append(rng.randint(1, min(axis.length, left)))
            left //= split[-1]
        blocks = [-(-n // f) for n, f in zip(expression.lengths, split, strict=True)]
        tiles = [-(-n // rng.randint(1, n)) for n in blocks]
        rounds = [-(-n // u) for n, u in zip(blocks, tiles, strict=True)]
        _, costs = tilings.evaluate(np.array([split]), np.array([rounds]), 10**9)
        names = [axis.name for axis in expression.axes]
        cut = dict(zip(names, split, strict=True)), dict(zip(names, rounds, strict=True))
        cycles = slow.cycles(*cut, 10**9)
        assert costs.total[0] == pytest.approx(cycles, rel=1e-12)
        looking = search.Search(expression, SPEC, 10**9)
        bounds = looking.bounds(np.array([split]))
        further = (math.prod(rounds) - 1) * looking.step_cycles
        assert bounds[0] + further <= cycles * (1 + 1e-12)
        looking.best_key = (cycles, 0.0)  # then a tiling in as many steps may still be looked for
        assert looking.step_limits(bounds)[0] >= math.prod(rounds)
