"""A lower bound on the cycles of one operator, whatever its plan."""

import math

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import tile_cycles
from t10c.hardware.width import size_bytes
from t10c.ir.expression import TensorExpression
from t10c.search.evaluate import end_cycles
from t10c.search.space import IntArray

_SHORT_AXIS = 32
_LONG_TILE = 48 * 1024
_MOST_PROBES = 50_000


def lower_bound_cycles(expression: TensorExpression, spec: HardwareSpec) -> float:
    """No plan is faster: useful work at the kernel's best rate on all cores, or the least end.

    The best rate per point is taken over all short lengths of short axes, and at the asymptote of
    long ones (kernel costs per point fall with the tile).
    """
    elements = math.prod(
        axis.length for axis in expression.axes if axis.name in expression.output.axes
    )
    share = np.array([size_bytes(spec, elements, expression.output.bits) / spec.core_count])
    end = end_cycles(spec, expression, share.astype(np.int64))
    return max(_compute_cycles(expression, spec), float(end[0]))


def _compute_cycles(expression: TensorExpression, spec: HardwareSpec) -> float:
    """The least compute on all cores; of a fallback operator, which has one, that of its tile."""
    if expression.kernel == "fallback":
        return float(tile_cycles(spec, expression, np.array(expression.lengths)))
    return compute_bound_rate(expression, spec) * expression.points / spec.core_count


def compute_bound_rate(expression: TensorExpression, spec: HardwareSpec) -> float:
    """The kernel's fewest cycles per point."""
    tiles = _rate_probes(expression)
    rates = tile_cycles(spec, expression, tiles) / np.prod(tiles.astype(np.float64), axis=1)
    return float(np.min(rates))


def _rate_probes(expression: TensorExpression) -> IntArray:
    """Tiles at which the cost per point may be least: short axes in full, long axes very long."""
    choices: list[IntArray] = []
    probes = 1
    for axis in expression.axes:
        short = axis.length <= _SHORT_AXIS and probes * axis.length <= _MOST_PROBES
        if not axis.splittable:
            choices.append(np.array([axis.length]))
        else:
            longest = np.array([_LONG_TILE * -(-axis.length // _LONG_TILE)])
            choices.append(np.arange(1, axis.length + 1) if short else longest)
        probes *= len(choices[-1])
    grid = np.meshgrid(*choices, indexing="ij")
    return np.stack([g.ravel() for g in grid], axis=1) if choices else np.ones((1, 0), np.int64)
