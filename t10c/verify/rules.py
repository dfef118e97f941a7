"""What each operator needs its inputs to be, for numbers that are legal and tell something."""

import math
from collections.abc import Mapping
from functools import reduce

import numpy as np

from t10c.ir.graph import is_narrow
from t10c.verify.roles import (
    COUNT,
    GAIN,
    MASK,
    NUMBER,
    OFFSET,
    POSITIVE,
    Call,
    FlatGraph,
    Needs,
    Role,
    Rule,
    index,
    stricter,
)
from t10c.verify.rules_integers import (
    INTEGERS,
    as_number,
    integer_needs,
    is_integer,
    is_wide,
    wanted_unread,
)
from t10c.verify.rules_products import PRODUCTS
from t10c.verify.rules_quantised import QUANTISED, is_stored, scale_of

# Operators that hand on the values of their first input, in another shape, order or number.
_PASSES = frozenset(
    {
        "Abs", "Cast", "CastLike", "Ceil", "DepthToSpace", "Dropout", "Expand", "Flatten", "Floor",
        "Identity", "Pad", "Reshape", "Round", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile",
        "Transpose", "Trilu", "Unsqueeze",
    }
)  # fmt: skip


def tensor_roles(graph: FlatGraph) -> dict[str, Role]:
    """The role of every tensor that some node reads."""
    roles: dict[str, Role] = {}
    for node in reversed(graph.nodes):
        outputs = [roles.get(name) or wanted_unread(graph, name) for name in node.outputs]
        wanted = reduce(stricter, outputs) if outputs else Role()
        for name, role in needs(Call(node, graph, wanted)):
            if name:
                roles[name] = stricter(role, roles[name]) if name in roles else role
    return roles


def needs(call: Call) -> Needs:
    """Inputs of a node by name, and what they are needed as."""
    rule = _RULES.get(call.node.op_type)
    if rule is None:
        yield from integer_needs(call)
    else:
        for name, role in rule(call):
            yield name, as_number(call, name, role)


def _pass(call: Call) -> Needs:
    if call.node.op_type == "Cast" and call.wanted.kind != "index":
        yield call.name(0), _cast(call)
    else:
        yield call.name(0), call.wanted


def _cast(call: Call) -> Role:
    """What is computed with as a float, or tested, but is an integer: a quantised value, or 0/1."""
    kind = call.element_type(0)
    output = call.graph.element_types.get(call.node.outputs[0], "")
    if output == "bool":
        return MASK
    if is_narrow(kind):
        return Role("stored")
    if call.wanted.kind == "positive" and is_integer(kind):
        return Role("positive", 1, 100)
    if call.wanted.kind != "mask" and is_integer(kind) and "float" in output:
        return COUNT
    return Role() if call.wanted.kind == "number" and not is_integer(kind) else call.wanted


def _all(call: Call) -> Needs:
    for name in call.node.inputs:
        yield name, call.wanted


def _select(call: Call) -> Needs:
    yield call.name(0), MASK
    yield call.name(1), call.wanted
    yield call.name(2), call.wanted


def _masks(call: Call) -> Needs:
    for name in call.node.inputs:
        yield name, MASK


# Indices


def _gather(call: Call) -> Needs:
    table = call.shape(0)
    yield call.name(1), index(table[call.number("axis", 0)] if table else 1)
    yield call.name(0), _table(call)


def _table(call: Call) -> Role:
    """A table is what its rows are."""
    return Role(std=0.5) if call.wanted.kind == "plain" else call.wanted


def _gather_nd(call: Call) -> Needs:
    first = call.number("batch_dims", 0)
    width = call.shape(1)[-1] if call.shape(1) else 1
    yield call.name(1), index(min(call.shape(0)[first : first + width], default=1))
    yield call.name(0), call.wanted


def _scatter(call: Call) -> Needs:
    data, indices = call.shape(0), call.shape(1)
    if call.node.op_type == "ScatterND":
        yield call.name(1), index(min(data[: indices[-1]], default=1), distinct=True)
    else:
        yield call.name(1), index(data[call.number("axis", 0)] if data else 1, distinct=True)
    yield call.name(0), call.wanted
    yield call.name(2), call.wanted


def _one_hot(call: Call) -> Needs:
    depth = call.constant(1)
    yield call.name(0), index(int(depth.reshape(-1)[0]) if depth is not None else 1)


def _compare(call: Call) -> Needs:
    """Integers near the constants that they are compared with, so that both outcomes occur.

    What is compared with 0 is a mask, and a length is at least half of the longest.
    """
    is_equal = call.node.op_type == "Equal"
    for mine, other in ((0, 1), (1, 0)):
        value = call.constant(other)
        if value is None and is_wide(call.element_type(mine)):
            yield call.name(mine), Role("number", -3, 4) if is_equal else NUMBER
        if value is None or value.size == 0 or value.dtype.kind not in "iu":
            continue
        low, high = int(value.min()), int(value.max())
        if high - low <= 1:
            yield call.name(mine), MASK if low == 0 else Role()
        elif is_equal:
            yield call.name(mine), Role("index", low, high + 1)
        else:
            yield call.name(mine), Role("index", low + (high - low) // 2, high + 1)


def _shifted(call: Call) -> Needs:
    """Add and Sub: an index is off by a constant; else what is smaller than the result is added."""
    sign = 1 if call.node.op_type == "Add" else -1
    for mine, other in ((0, 1), (1, 0)):
        value = call.constant(other)
        if call.wanted.kind == "index":
            yield call.name(mine), _index_before(call.wanted, value, sign, mine)
        elif sign < 0 and mine == 1 and value is not None and value.size == 1:
            is_complement = float(value.reshape(())) == 1
            yield call.name(mine), MASK if is_complement else call.wanted
        elif mine == 1 and call.wanted.kind == "plain":
            yield call.name(mine), OFFSET
        elif is_narrow(call.element_type(mine)):
            yield call.name(mine), Role("stored")
        elif call.wanted.kind == "divisor":
            yield call.name(mine), Role("positive", 1, 10)  # no sum of these is 0
        elif call.wanted.kind != "plain":
            yield call.name(mine), call.wanted
        elif math.prod(call.shape(mine)) < math.prod(call.shape(other)):
            yield call.name(mine), OFFSET
        else:
            yield call.name(mine), Role()


def _index_before(wanted: Role, value: np.ndarray | None, sign: int, mine: int) -> Role:
    """The range of a summand, where the other is known or takes half of the range."""
    low, high = wanted.low or 0, wanted.high or 1
    if value is None or value.size == 0:
        return Role("index", 0, max(1, high // 2))
    least, most = float(value.min()), float(value.max())
    if sign > 0:
        low, high = low - least, high - most
    elif mine == 0:
        low, high = low + most, high + least
    else:
        low, high = most - high + 1, least - low + 1
    return Role("index", max(low, 0) if high > 0 else low, high)


def _product(call: Call) -> Needs:
    """Mul: an index is a multiple; a matrix may be the product of stored integers and scales."""
    for mine, other in ((0, 1), (1, 0)):
        if call.wanted.kind == "index":
            yield call.name(mine), _index_factor(call, mine, call.constant(other))
        elif is_stored(call, other):
            yield call.name(mine), scale_of(call, other)
        elif math.prod(call.shape(mine)) < math.prod(call.shape(other)):
            yield call.name(mine), GAIN
        else:
            yield call.name(mine), call.wanted


def _index_factor(call: Call, mine: int, other: np.ndarray | None) -> Role:
    """A factor of an index: it is a multiple of a constant, or positions of what a mask keeps."""
    if other is None and _is_input(call, mine):
        return MASK
    factor = float(np.abs(other).max()) if other is not None and other.size else 1.0
    high = (call.wanted.high or 1) - 1
    return Role("index", 0, high // max(factor, 1) + 1)


def _is_input(call: Call, position: int) -> bool:
    """Whether an input of a node is one of the model, at most in another shape or type."""
    node = call.graph.producers.get(call.name(position))
    while node is not None and node.op_type in _PASSES:
        node = call.graph.producers.get(node.inputs[0])
    return node is None


def _sums(call: Call) -> Needs:
    """CumSum, ReduceSum: what makes an index is a number of ones."""
    if call.wanted.kind == "index":
        yield call.name(0), MASK
    else:
        yield call.name(0), Role() if call.wanted.kind == "offset" else call.wanted


def _positive(call: Call) -> Needs:
    yield call.name(0), POSITIVE


def _power(call: Call) -> Needs:
    exponent = call.constant(1)
    whole = exponent is not None and bool(np.all(exponent == np.floor(exponent)))
    integer = is_integer(call.element_type(0))
    yield call.name(0), Role() if whole or integer else POSITIVE
    yield call.name(1), Role("index", 0, 4) if is_integer(call.element_type(1)) else POSITIVE


def _slope(call: Call) -> Needs:
    yield call.name(0), Role()
    yield call.name(1), Role("gain", 0.05, 0.3)


# Normalisation


def _batch_norm(call: Call) -> Needs:
    """Squares of scales, divided by variances, are 1 on average: dozens follow each other."""
    yield call.name(0), Role()
    yield call.name(1), Role("gain", 0.5, 1.4)
    yield call.name(2), OFFSET
    yield call.name(3), OFFSET
    yield call.name(4), Role("positive", 0.7, 1.3)


def _norm(call: Call) -> Needs:
    yield call.name(0), Role()
    yield call.name(1), GAIN
    yield call.name(2), OFFSET


_RULES: Mapping[str, Rule] = {
    **PRODUCTS,
    **QUANTISED,
    **INTEGERS,
    **dict.fromkeys(_PASSES, _pass),
    **dict.fromkeys(("Concat", "Max", "Min"), _all),
    **dict.fromkeys(("And", "Or", "Not", "Xor"), _masks),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), _compare),
    **dict.fromkeys(("Add", "Sub"), _shifted),
    **dict.fromkeys(("CumSum", "ReduceSum"), _sums),
    **dict.fromkeys(("Log", "Sqrt", "Reciprocal"), _positive),
    **dict.fromkeys(("ScatterND", "ScatterElements", "Scatter"), _scatter),
    **dict.fromkeys(
        (
            "GroupNormalization",
            "InstanceNormalization",
            "LayerNormalization",
            "RMSNormalization",
        ),
        _norm,
    ),
    "Where": _select,
    "Gather": _gather,
    "GatherElements": _gather,
    "GatherND": _gather_nd,
    "OneHot": _one_hot,
    "Mul": _product,
    "Pow": _power,
    "PRelu": _slope,
    "BatchNormalization": _batch_norm,
}
