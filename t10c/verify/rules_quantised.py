"""What operators of quantised values need their inputs to be."""

import math
from collections.abc import Mapping

import numpy as np

from t10c.ir.expression import MOST_BITS
from t10c.ir.graph import is_narrow
from t10c.verify.roles import Call, Needs, Role, Rule, index, matrix
from t10c.verify.rules_products import states

_STORED_STD = {1: 0.5, 2: 1.1, 4: 4.6, 8: 74.0, 16: 18_900.0, 32: 1.0}
"""Standard deviation of integers over their whole range, by their width."""

_CLOSE = 3
"""How many nodes may lie between a stored value and its scale."""

_ACTIVATION_STEP = 4 / 127
"""Scale at which 8 bits hold most of a normal distribution."""

_FEWEST_STEPS = 8
"""Quantised values lie this far apart at least, so that they are not all the same."""


def _stored_std(kind: str) -> float:
    bits = int("".join(filter(str.isdigit, kind.split("e")[0])) or 8) if "int" in kind else 8
    return _STORED_STD.get(bits, 74.0) if "int" in kind else 1.0


def _zero_point(kind: str) -> Role:
    """Near the middle of the type's range."""
    bits = int("".join(filter(str.isdigit, kind)) or 8)
    middle = 2 ** (bits - 1) if kind.startswith("u") else 0
    around = max(1, 2 ** (bits - 1) // 32)
    return Role("zero_point", middle - around, middle + around + 1)


def _scale(size: float) -> Role:
    return Role("scale", 0.75 * size, 1.25 * size)


def scale_of(call: Call, position: int) -> Role:
    """The scale of stored weights that are wanted as large as the result is."""
    name = call.name(position)
    while name in call.graph.producers and not is_narrow(call.graph.element_types.get(name, "")):
        name = call.graph.producers[name].inputs[0]
    kind = call.graph.element_types.get(name, "int8")
    is_weight = call.wanted.kind == "matrix"
    return _scale(call.wanted.std / _stored_std(kind) if is_weight else _ACTIVATION_STEP)


def _stored(call: Call, position: int, scale: int, zero_point: int, std: float | None) -> Needs:
    """A quantised tensor with its scale and zero point; `std` is what it is wanted as."""
    kind = call.element_type(position)
    size = 1 / 74 if std is None else std / _stored_std(kind)
    yield call.name(scale), _scale(size)
    yield call.name(zero_point), _zero_point(kind)
    yield call.name(position), _around(call, position, zero_point, std, call.constant(scale))


def _around(
    call: Call, position: int, zero_point: int, std: float | None, scale: np.ndarray | None
) -> Role:
    """Integers over their whole range, or as far around the zero point as `std` asks for.

    The latter where the scale is known, which would else make other numbers of them than a
    trained model has.
    """
    if std is None or scale is None or not np.all(scale > 0):
        return Role("stored")
    point = call.constant(zero_point)
    middle = 0.0 if point is None else float(np.median(point.astype(np.float64)))
    steps = math.sqrt(3) * std / float(np.median(scale.astype(np.float64)))
    around = min(max(_FEWEST_STEPS, steps), 2.0**MOST_BITS)
    return Role("stored", middle - around, middle + around + 1)


def _dequantise(call: Call) -> Needs:
    std = call.wanted.std if call.wanted.kind == "matrix" else None
    yield from _stored(call, 0, 1, 2, std)


def _recurrent_stored(call: Call) -> Needs:
    """DynamicQuantizeLSTM: columns come last, scales and zero points at the end."""
    for position, scale in ((1, 8), (2, 10)):
        rows = call.shape(position)[-2:-1]
        yield from _stored(call, position, scale, scale + 1, matrix(math.prod(rows)).std)
    yield from states(call)


def _quantise(call: Call) -> Needs:
    yield call.name(0), Role()
    yield call.name(1), _scale(_ACTIVATION_STEP)
    yield call.name(2), _zero_point(call.element_type(2))


def _integer_product(call: Call) -> Needs:
    """MatMulInteger and ConvInteger, whose result is cast and multiplied by both scales."""
    shape = call.shape(1)
    conv = call.node.op_type == "ConvInteger"
    fan_in = math.prod(shape[1:]) if conv else math.prod(shape[-2:-1])
    scale = _scale_behind(call)
    yield call.name(0), Role("stored")
    yield call.name(1), _around(call, 1, 3, matrix(fan_in).std, scale)
    for position in (2, 3):
        yield call.name(position), _zero_point(call.element_type(position))


def _scale_behind(call: Call) -> np.ndarray | None:
    """The known factor of what multiplies the result of an integer product."""
    names = list(call.node.outputs)
    for _ in range(_CLOSE):
        node = next(iter(call.graph.readers.get(names[-1], ())), None)
        if node is None or node.op_type not in ("Cast", "Mul", "Reshape", "Transpose"):
            return None
        if node.op_type == "Mul":
            other = node.inputs[1 - node.inputs.index(names[-1])]
            return _known_factor(call, other)
        names.append(node.outputs[0])
    return None


def _known_factor(call: Call, name: str) -> np.ndarray | None:
    """A constant, or the constant in a product of two tensors."""
    value = call.graph.constants.get(name)
    made = call.graph.producers.get(name)
    if value is not None or made is None or made.op_type != "Mul":
        return value
    found = (call.graph.constants.get(factor) for factor in made.inputs)
    return next((factor for factor in found if factor is not None), None)


def _quantised_product(call: Call) -> Needs:
    """QLinearMatMul and QLinearConv: a, scale, zero point; b, scale, zero point; of the result."""
    shape = call.shape(3)
    conv = call.node.op_type == "QLinearConv"
    fan_in = math.prod(shape[1:]) if conv else math.prod(shape[-2:-1])
    yield from _stored(call, 0, 1, 2, None)
    yield call.name(1), _scale(_ACTIVATION_STEP)
    yield from _stored(call, 3, 4, 5, matrix(fan_in).std)
    yield call.name(6), _scale(_ACTIVATION_STEP)
    yield call.name(7), _zero_point(call.element_type(7))
    if conv:
        yield call.name(8), Role("offset", -1000, 1000)


def _blocked(call: Call) -> Needs:
    """MatMulNBits: 4 or 8 bits in bytes, and a scale for every block."""
    bits = call.number("bits", 4)
    yield call.name(0), Role()
    yield call.name(1), Role("stored")
    std = matrix(call.number("K", 1)).std / _STORED_STD.get(bits, 74.0)
    yield call.name(2), _scale(std)
    yield call.name(3), Role("stored")


def _blocked_gather(call: Call) -> Needs:
    shape = call.shape(0)
    yield call.name(0), Role("stored")
    yield call.name(1), index(shape[call.number("gather_axis", 0)] if shape else 1)
    yield call.name(2), _scale(0.1)


def is_stored(call: Call, position: int) -> bool:
    """Whether an input is a narrow integer that was cast, and perhaps shifted."""
    node = call.graph.producers.get(call.name(position))
    for _ in range(_CLOSE):
        if node is None or node.op_type not in ("Cast", "Sub", "Reshape", "Transpose"):
            return False
        if node.op_type == "Cast":
            return is_narrow(call.graph.element_types.get(node.inputs[0], ""))
        node = call.graph.producers.get(node.inputs[0])
    return False


QUANTISED: Mapping[str, Rule] = {
    **dict.fromkeys(("MatMulInteger", "ConvInteger"), _integer_product),
    **dict.fromkeys(("QLinearMatMul", "QLinearConv"), _quantised_product),
    "DequantizeLinear": _dequantise,
    "QuantizeLinear": _quantise,
    "DynamicQuantizeLSTM": _recurrent_stored,
    "MatMulNBits": _blocked,
    "GatherBlockQuantized": _blocked_gather,
}
