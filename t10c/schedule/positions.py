"""Where the cores of a plan are on a mesh or torus: the arrangement that costs shifts least.

An arrangement's cost is that of all shifts under dimension-ordered routing: flows on the most
loaded link, and hops of the longest way (t10c.hardware.topology). All arrangements are compared on
a sample of cores, the best of them exactly.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.topology import Grid, LinkLoads, grid_of, hops, link_loads
from t10c.ir.positions import CorePositions
from t10c.schedule.arrangements import arrangements
from t10c.schedule.result import ModelPlan
from t10c.schedule.rings import RingUse, Shifting, ring_uses
from t10c.search.space import FloatArray, IntArray

_SAMPLE = 1024
"""Cores of each ring whose ways stand for all."""

_SAMPLED_ENDS = 256
"""Cores besides that close a ring, whose ways are the longest in plain orders."""

_SPREAD = 2_654_435_761
"""A prime: its multiples fall on all cores evenly, however their number factorises."""

_FEWEST_FINALISTS = 4
"""Arrangements that are compared exactly, at least; all of them on chips of a few hundred cores."""

_MOST_FLOWS = 1 << 23
"""Flows that the exact comparison routes."""

_OVERHEAD_FLOWS = 1 << 11
"""Flows that take as long as the fixed part of routing those of one ring."""


def model_positions(plan: ModelPlan) -> CorePositions | None:
    """Where the cores of a model plan are; None where all cores are neighbours."""
    return core_positions(plan_shiftings(plan), plan.spec)


def plan_shiftings(plan: ModelPlan) -> list[Shifting]:
    """The operators of a plan, those that shift alike once."""
    alike = Counter((o.problem, o.plan, o.piece_bytes) for o in plan.operators)
    return [
        Shifting(plan.problems[problem].expression, chosen, sizes, count)
        for (problem, chosen, sizes), count in alike.items()
    ]


def core_positions(shiftings: Iterable[Shifting], spec: HardwareSpec) -> CorePositions | None:
    """The best arrangement found for these operators; None where all cores are neighbours."""
    grid = grid_of(spec)
    if grid is None:
        return None
    uses = ring_uses(shiftings, spec)
    candidates = arrangements(grid, uses)
    if not uses:
        return candidates[0]
    estimates = _estimated_cycles(grid, candidates, uses)
    totals = estimates.sum(axis=1)
    once = grid.width * grid.height + _OVERHEAD_FLOWS
    count = max(_FEWEST_FINALISTS, _MOST_FLOWS // (once * len(uses)))
    finalists = sorted(range(len(candidates)), key=lambda i: (totals[i], i))[:count]
    exact = max(1, _MOST_FLOWS // (once * len(finalists)))

    def cycles(candidate: int) -> float:
        known = _ring_cycles(grid, candidates[candidate], uses[:exact])
        return known + float(estimates[candidate, exact:].sum())

    return candidates[min(finalists, key=lambda i: (cycles(i), i))]


def ring_loads(grid: Grid, positions: CorePositions, uses: Sequence[RingUse]) -> list[LinkLoads]:
    """Flows on links and hops, for each of the rings: one flow to every core."""
    x, y = positions.arrays()
    found = []
    for use in uses:
        cores = np.arange(use.cores, dtype=np.int64)
        sources = use.sources_of(cores)
        found.append(link_loads(grid, x[sources], y[sources], x[cores], y[cores], 1))
    return found


def _ring_cycles(grid: Grid, positions: CorePositions, uses: Sequence[RingUse]) -> float:
    """Cycles of these shifts."""
    return sum(
        use.load_cycles * loads.most_bytes + use.hop_cycles * loads.hops
        for use, loads in zip(uses, ring_loads(grid, positions, uses), strict=True)
    )


# Estimates


def _estimated_cycles(
    grid: Grid, candidates: Sequence[CorePositions], uses: Sequence[RingUse]
) -> FloatArray:
    """Cycles of every ring under every arrangement, (candidates, rings), from a sample of cores.

    Links of one direction are taken to be loaded evenly.
    """
    cores = np.stack([_sample(use) for use in uses])
    sources = np.stack([use.sources_of(row) for use, row in zip(uses, cores, strict=True)])
    load = np.array([use.load_cycles for use in uses])
    hop = np.array([use.hop_cycles for use in uses])
    found = np.empty((len(candidates), len(uses)))
    for number, positions in enumerate(candidates):
        x0, y0 = positions.arrays(sources)
        x1, y1 = positions.arrays(cores)
        flows = np.maximum(
            _flows(grid.width, grid.wraps, (x1 - x0)[:, :_SAMPLE]),
            _flows(grid.height, grid.wraps, (y1 - y0)[:, :_SAMPLE]),
        )
        longest = hops(grid, x0, y0, x1, y1).max(axis=1)
        found[number] = load * flows + hop * longest
    return found


def _sample(use: RingUse) -> IntArray:
    """Cores spread evenly, then cores at the end of rings: (_SAMPLE + _SAMPLED_ENDS,)."""
    cores = np.arange(_SAMPLE + _SAMPLED_ENDS, dtype=np.int64) * _SPREAD % use.cores
    if use.stride is not None:
        digit = cores // use.stride % use.radix
        cores[_SAMPLE:] += ((use.radix - 1 - digit) * use.stride)[_SAMPLE:]
    return cores


def _flows(length: int, wraps: bool, steps: IntArray) -> FloatArray:
    """Mean number of flows on links of a dimension, in the more loaded direction: (rings,)."""
    if wraps:
        steps = (steps + (length - 1) // 2) % length - (length - 1) // 2
    ahead, back = np.maximum(steps, 0).mean(axis=1), np.maximum(-steps, 0).mean(axis=1)
    most: FloatArray = np.maximum(ahead, back)
    return most
