"""What products, convolutions and recurrent cells need their inputs to be."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from t10c.verify.roles import OFFSET, Call, FlatNode, Needs, Role, Rule, matrix

_RECTIFIERS = frozenset(
    {"Elu", "Gelu", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu", "Swish"}
)

# Operators between a sum and what rectifies it: they scale and shift channels.
_SCALES = frozenset({"Add", "BatchNormalization", "Mul", "Sub", "Sum"})

_BETWEEN = 4
"""Most of them in a row: a bias, a normalisation, a scale and a shift."""

_BRANCH = 0.5
"""Size of what is added to a tensor as large: dozens of residual blocks follow each other."""


def _size(call: Call) -> float:
    """How large a sum is wanted, by what reads it once it is scaled and shifted.

    Of what is rectified half the power is lost, which the weights make up for (He et al.,
    arXiv 1502.01852, equation 10), as they do for scales that are known: else deep networks end in
    their biases. The branch of a residual block is small.
    """
    name, size = call.node.outputs[0], 1.0
    count = math.prod(call.graph.shapes.get(name, ()))
    for _ in range(_BETWEEN + 1):
        readers = call.graph.readers.get(name, ())
        if _rectify(readers, call.graph.constants):
            return size * math.sqrt(2)
        node = next(iter(readers), None)
        if node is None or node.op_type not in _SCALES:
            break
        others = [other for other in node.inputs if other != name]
        if any(math.prod(call.graph.shapes.get(other, ())) >= count for other in others):
            return size * (_BRANCH if node.op_type in ("Add", "Sum") else 1.0)
        size /= _known_scale(node, others, call.graph.constants)
        name = node.outputs[0]
    return size


def _rectify(readers: Sequence[FlatNode], constants: Mapping[str, np.ndarray]) -> bool:
    """Whether one of these nodes rectifies, at 0 or smoothly, or two of them together.

    x * Sigmoid(x) does so in most files.
    """
    kinds = {node.op_type for node in readers}
    if kinds & _RECTIFIERS or ("Mul" in kinds and kinds & {"Sigmoid", "HardSigmoid"}):
        return True
    clips = (node for node in readers if node.op_type == "Clip")
    lows = (constants.get(node.inputs[1]) for node in clips if len(node.inputs) > 1)
    return any(low is not None and low.size == 1 and not low.any() for low in lows)


def _known_scale(
    node: FlatNode, others: Sequence[str], constants: Mapping[str, np.ndarray]
) -> float:
    """Root mean square of what a node multiplies its channels by, 1 where that is not known."""
    values = [constants.get(name) for name in others]
    if node.op_type == "Mul":
        factor = values[0] if values else None
    elif node.op_type == "BatchNormalization" and values[0] is not None and values[3] is not None:
        epsilon = node.attributes.get("epsilon", 1e-5)
        factor = values[0] / np.sqrt(values[3] + (epsilon if isinstance(epsilon, float) else 0.0))
    else:
        factor = None
    if factor is None:
        return 1.0
    size = math.sqrt(np.square(factor, dtype=np.float64).mean()) if factor.size else 1.0
    return size if 0 < size < math.inf else 1.0


def _matmul(call: Call) -> Needs:
    left, right = call.shape(0), call.shape(1)
    size = _size(call)
    yield call.name(0), matrix(left[-1] if left else 1, size)
    yield call.name(1), matrix(right[-2] if len(right) > 1 else math.prod(right[:1]), size)


def _gemm(call: Call) -> Needs:
    for position, flag, plain in ((0, "transA", 1), (1, "transB", 0)):
        shape = call.shape(position)
        axis = 1 - plain if call.number(flag, 0) else plain
        fan_in = shape[axis] if len(shape) == 2 else 1
        yield call.name(position), matrix(fan_in, _size(call))
    yield call.name(2), OFFSET


def _conv(call: Call) -> Needs:
    yield call.name(0), Role()
    yield call.name(1), matrix(math.prod(call.shape(1)[1:]), _size(call))
    yield call.name(2), OFFSET


def _conv_transpose(call: Call) -> Needs:
    shape, strides = call.shape(1), call.node.attributes.get("strides", ())
    steps = math.prod(strides) if isinstance(strides, tuple | list) else 1
    taps = math.prod(shape[2:]) // max(1, steps)
    yield call.name(0), Role()
    yield call.name(1), matrix(shape[0] // call.number("group", 1) * max(1, taps) if shape else 1)
    yield call.name(2), OFFSET


def _einsum(call: Call) -> Needs:
    text = call.node.attributes.get("equation", "")
    equation = text.decode() if isinstance(text, bytes) else str(text)
    left, _, result = equation.replace(" ", "").partition("->")
    for position, letters in enumerate(left.split(",")):
        sizes = dict(zip(letters, call.shape(position), strict=False))
        summed = [size for letter, size in sizes.items() if letter not in result]
        yield call.name(position), matrix(math.prod(summed))


def _recurrent(call: Call) -> Needs:
    """RNN, GRU, LSTM: sequences are of full length."""
    for position in (1, 2):
        shape = call.shape(position)
        yield call.name(position), matrix(shape[-1] if shape else 1)
    yield from states(call)


def states(call: Call) -> Needs:
    """All but the weights of a recurrent cell."""
    yield call.name(0), Role()
    yield call.name(3), OFFSET
    steps = call.shape(0)[1 if call.number("layout", 0) else 0] if call.shape(0) else 1
    yield call.name(4), Role("index", steps, steps + 1)
    for position in (5, 6, 7):
        yield call.name(position), OFFSET


PRODUCTS: Mapping[str, Rule] = {
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent),
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Einsum": _einsum,
}
