"""What products, convolutions and recurrent cells need their inputs to be."""

import math
from collections.abc import Mapping

from t10c.verify.roles import OFFSET, Call, Needs, Role, Rule, matrix


def _matmul(call: Call) -> Needs:
    left, right = call.shape(0), call.shape(1)
    yield call.name(0), matrix(left[-1] if left else 1)
    yield call.name(1), matrix(right[-2] if len(right) > 1 else math.prod(right[:1]))


def _gemm(call: Call) -> Needs:
    for position, flag, plain in ((0, "transA", 1), (1, "transB", 0)):
        shape = call.shape(position)
        axis = 1 - plain if call.number(flag, 0) else plain
        yield call.name(position), matrix(shape[axis] if len(shape) == 2 else 1)
    yield call.name(2), OFFSET


def _conv(call: Call) -> Needs:
    yield call.name(0), Role()
    yield call.name(1), matrix(math.prod(call.shape(1)[1:]))
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
