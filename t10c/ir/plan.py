"""Plans of one operator: a split over cores and rotations in time, with derived quantities.

The derivations here are the readable, one-plan-at-a-time statement of docs/plans.md; the search
evaluates the same formulas over arrays.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from t10c.ir.expression import Operand, TensorExpression, hull


@dataclass(frozen=True, slots=True)
class Rotation:
    """One loop level: every operand in `operands` shifts its piece `radix - 1` times per round."""

    axis: str
    radix: int
    operands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Split factors in axis order, and rotations with the outermost loop first."""

    split: tuple[int, ...]
    rotations: tuple[Rotation, ...] = ()


@dataclass(frozen=True, slots=True)
class RTensor:
    """An operand's view of a plan: one entry per dimension, axes in the dimension's order.

    `spatial` and `temporal` hold (axis, factor) pairs of the dimension; `pace` is the length of the
    piece along a rotated dimension, else 0. Sizes are in elements.
    """

    name: str
    shape: tuple[int, ...]
    spatial: tuple[tuple[tuple[str, int], ...], ...]
    temporal: tuple[tuple[tuple[str, int], ...], ...]
    pace: tuple[int, ...]
    piece_shape: tuple[int, ...]
    sharing: int
    replicas: int


def block_lengths(expression: TensorExpression, plan: Plan) -> tuple[int, ...]:
    """S[a] = ceil(L[a] / F[a]) for every axis."""
    return tuple(-(-n // f) for n, f in zip(expression.lengths, plan.split, strict=True))


def temporal_factor(plan: Plan, operand: Operand, axis: str) -> int:
    """t[X][a]: number of pieces the operand's sub-tensor is cut into along the axis."""
    return math.prod(
        r.radix for r in plan.rotations if r.axis == axis and operand.name in r.operands
    )


def axis_steps(plan: Plan, axis: str) -> int:
    """T[a]: product of all radices on the axis."""
    return math.prod(r.radix for r in plan.rotations if r.axis == axis)


def tile_lengths(expression: TensorExpression, plan: Plan) -> tuple[int, ...]:
    """u[a] = ceil(S[a] / T[a]): the compute tile."""
    blocks = block_lengths(expression, plan)
    return tuple(
        -(-block // axis_steps(plan, axis.name))
        for block, axis in zip(blocks, expression.axes, strict=True)
    )


def piece_axis_lengths(
    expression: TensorExpression, plan: Plan, operand: Operand
) -> dict[str, int]:
    """Length of the operand's piece along each axis it has: min(S, n * u)."""
    blocks = block_lengths(expression, plan)
    tiles = tile_lengths(expression, plan)
    lengths = {}
    for name in operand.axes:
        index = expression.axis_index[name]
        chunks = axis_steps(plan, name) // temporal_factor(plan, operand, name)
        lengths[name] = min(blocks[index], chunks * tiles[index])
    return lengths


def piece_shape(expression: TensorExpression, plan: Plan, operand: Operand) -> tuple[int, ...]:
    """Shape of the piece of the operand that one core holds, in elements."""
    return hull(operand.dims, piece_axis_lengths(expression, plan, operand))


def sharing(expression: TensorExpression, plan: Plan, operand: Operand) -> int:
    """P_X: number of cores that need the same sub-tensor."""
    return math.prod(plan.split[expression.axis_index[a]] for a in expression.lacks(operand))


def replicas(expression: TensorExpression, plan: Plan, operand: Operand) -> int:
    """P_X / prod(t[X]): copies of each piece in a sharing group (an integer in a legal plan)."""
    pieces = math.prod(temporal_factor(plan, operand, a) for a in operand.axes)
    return sharing(expression, plan, operand) // pieces


@dataclass(frozen=True, slots=True)
class Share:
    """One cut of an output piece among its replicas: `parts` runs of `length` along an axis."""

    axis: str
    parts: int
    length: int


def reduction_shares(expression: TensorExpression, plan: Plan) -> tuple[Share, ...]:
    """How the q replicas of an output piece share it after the final reduction."""
    lengths = piece_axis_lengths(expression, plan, expression.output)
    return cut_shares(lengths, replicas(expression, plan, expression.output))


def cut_shares(axis_lengths: Mapping[str, int], count: int) -> tuple[Share, ...]:
    """How `count` cores share a piece of these lengths.

    The prime factors of the count, largest first, cut the longest axis left. A core's rank selects
    its parts in mixed radix, the first cut being the least significant digit.
    """
    lengths = dict(axis_lengths)
    shares = []
    for prime in reversed(prime_factors(count)):
        if not lengths:
            break
        axis = max(lengths, key=lambda name: lengths[name])
        lengths[axis] = -(-lengths[axis] // prime)
        shares.append(Share(axis, prime, lengths[axis]))
    return tuple(shares)


def prime_factors(number: int) -> list[int]:
    """Prime factors, ascending."""
    factors, prime = [], 2
    while number > 1:
        while number % prime == 0:
            factors.append(prime)
            number //= prime
        prime += 1
    return factors


def rtensor(expression: TensorExpression, plan: Plan, operand: Operand) -> RTensor:
    """The rTensor view of one operand (T10 section 4.1; nested form of docs/plans.md)."""
    shape = piece_shape(expression, plan, operand)
    spatial, temporal, pace = [], [], []
    for dim, length in zip(operand.dims, shape, strict=True):
        names = [a for a, _ in dim.terms]
        spatial.append(tuple((a, plan.split[expression.axis_index[a]]) for a in names))
        factors = tuple((a, temporal_factor(plan, operand, a)) for a in names)
        temporal.append(factors)
        pace.append(length if any(f > 1 for _, f in factors) else 0)
    return RTensor(
        name=operand.name,
        shape=tuple(dim.size for dim in operand.dims),
        spatial=tuple(spatial),
        temporal=tuple(temporal),
        pace=tuple(pace),
        piece_shape=shape,
        sharing=sharing(expression, plan, operand),
        replicas=replicas(expression, plan, operand),
    )
