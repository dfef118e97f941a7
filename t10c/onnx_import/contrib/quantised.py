"""com.microsoft: quantised operators, as the standard's between dequantising and quantising.

prologue.py then lets products, pools and pointwise operators read and write the stored values.
"""

import math

from onnx import helper

from t10c.onnx_import.contrib.pieces import reshape, scaled, split, transpose
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands


@expands("QuantizeLinear", "DequantizeLinear", domain=MICROSOFT)
def expand_quantize(call: Expansion) -> None:
    """To or from stored integers, as the standard's operator of the same name."""
    inputs = [call.input(0), call.input(1), call.input(2)]
    axis, block = call.attribute("axis", 1), call.attribute("block_size", 0)
    op_type = call.node.op_type
    made = call.add(op_type, _present(inputs), axis=axis, block_size=block)
    call.result(0, made)


@expands("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def expand_qlinear_binary(call: Expansion) -> None:
    """The sum or product of two stored tensors, stored again."""
    operands = [_real(call, 0), _real(call, 3)]
    result = call.add(call.node.op_type.removeprefix("QLinear"), operands)
    call.result(0, _stored(call, result, 6))


@expands("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", domain=MICROSOFT)
def expand_qlinear_unary(call: Expansion) -> None:
    """A function of a stored tensor, stored again."""
    op_type = call.node.op_type.removeprefix("QLinear")
    attributes: dict[str, object] = {}
    value = _real(call, 0)
    shape = call.shape(0)
    if op_type == "LeakyRelu":
        attributes["alpha"] = call.attribute("alpha", 0.01)
    if op_type == "Softmax":
        axis = attributes["axis"] = call.attribute("axis", -1)
        if call.attribute("opset", 13) < 13:
            rows = math.prod(shape[: axis % len(shape)])
            value = reshape(call, value, rows, -1)
            attributes["axis"] = 1
    result = call.add(op_type, [value], None, **attributes)
    if op_type == "Softmax":
        result = reshape(call, result, *shape)
    call.result(0, _stored(call, result, 3))


@expands("QLinearGlobalAveragePool", "QLinearAveragePool", domain=MICROSOFT)
def expand_qlinear_pool(call: Expansion) -> None:
    """The mean of stored values over windows or all positions, stored again."""
    rank = len(call.shape(0))
    last = bool(call.attribute("channels_last", 0))
    value = _real(call, 0)
    if last:
        value = transpose(call, value, 0, rank - 1, *range(1, rank - 1))
    attributes: dict[str, object] = {}
    if call.node.op_type == "QLinearAveragePool":
        for name in ("ceil_mode", "count_include_pad"):
            attributes[name] = call.attribute(name, 0)
        for name in ("kernel_shape", "pads", "strides"):
            if call.given(name):
                attributes[name] = list(call.attribute(name, ()))
        attributes["auto_pad"] = call.attribute("auto_pad", "NOTSET")
    result = call.add(call.node.op_type.removeprefix("QLinear"), [value], None, **attributes)
    if last:
        result = transpose(call, result, 0, *range(2, rank), 1)
    call.result(0, _stored(call, result, 3))


@expands("QLinearConcat", domain=MICROSOFT)
def expand_qlinear_concat(call: Expansion) -> None:
    """Stored tensors joined, each brought to the output's scale and zero point first."""
    count = (len(call.node.input) - 2) // 3
    parts = [
        call.add("QuantizeLinear", _present([_real(call, 2 + 3 * i), call.input(0), call.input(1)]))
        for i in range(count)
    ]
    call.result(0, call.add("Concat", parts, axis=call.attribute("axis", 0)))


@expands("QLinearWhere", domain=MICROSOFT)
def expand_qlinear_where(call: Expansion) -> None:
    """One of two stored tensors for each element, stored again."""
    result = call.add("Where", [call.input(0), _real(call, 1), _real(call, 4)])
    call.result(0, _stored(call, result, 7, like=1))


@expands("QLinearReduceMean", domain=MICROSOFT)
def expand_qlinear_reduce_mean(call: Expansion) -> None:
    """The mean of a stored tensor over some of its axes, stored again."""
    axes = call.array(list(call.attribute("axes", ())), "int64", "axes")
    keep = call.attribute("keepdims", 1)
    result = call.add("ReduceMean", [_real(call, 0), axes], keepdims=keep)
    call.result(0, _stored(call, result, 3))


@expands("MatMulIntegerToFloat", domain=MICROSOFT)
def expand_matmul_integer_to_float(call: Expansion) -> None:
    """A matmul of narrow integers, scaled, with a bias; see MatMulInteger."""
    total = _product(call, [call.input(i) for i in (0, 1, 4, 5)], [call.input(2), call.input(3)])
    call.result(0, _biased(call, total, call.input(6)))


@expands("DynamicQuantizeMatMul", domain=MICROSOFT)
def expand_dynamic_quantize_matmul(call: Expansion) -> None:
    """The left operand quantised by its own range, then a matmul of narrow integers."""
    outputs = call.new_tensors("quantised", 3)
    call.add("DynamicQuantizeLinear", [call.input(0)], outputs)
    stored, scale, point = outputs
    factors = [stored, call.input(1), point, call.input(3)]
    total = _product(call, factors, [scale, call.input(2)])
    call.result(0, _biased(call, total, call.input(4)))


@expands("QGemm", domain=MICROSOFT)
def expand_qgemm(call: Expansion) -> None:
    """alpha * A' * B' + C of stored matrices, a matmul of integers; stored again if asked."""
    factors = []
    for index, side in ((0, "A"), (3, "B")):
        tensor = call.input(index)
        turned = call.attribute(f"trans{side}", 0)
        factors.append(transpose(call, tensor, 1, 0) if turned else tensor)
    points = [call.input(2), call.input(5)]
    total = call.add("MatMulInteger", _present([*factors, *points]))
    if call.input(6):
        total = call.add("Add", [total, call.input(6)])
    scale = call.add("Mul", [call.input(1), call.input(4)])
    scale = scaled(call, scale, call.attribute("alpha", 1.0), like=1)
    result = call.add("Mul", [call.add("CastLike", [total, call.input(1)]), scale])
    if call.input(7):
        result = call.add("QuantizeLinear", _present([result, call.input(7), call.input(8)]))
    call.result(0, result)


@expands("QAttention", domain=MICROSOFT)
def expand_qattention(call: Expansion) -> None:
    """Self-attention whose input projection is a matmul of narrow integers."""
    if call.input(8):
        call.refuse("a cache of earlier positions is not supported")
    factors = [call.input(0), call.input(1), call.input(6), call.input(7)]
    total = _product(call, factors, [call.input(3), call.input(4)])
    projected = _biased(call, total, call.input(2))
    width = call.shape(1)[1] // 3
    operands = split(call, projected, -1, [width] * 3)
    attributes = {
        name: call.attribute(name, default)
        for name, default in (("num_heads", 0), ("unidirectional", 0), ("scale", 0.0))
        if call.given(name)
    }
    mixed = call.new_tensors("mixed", 1)[0]
    inputs = _present([*operands, "", call.input(5)])
    node = helper.make_node(
        "MultiHeadAttention", inputs, [mixed], f"{mixed}/node", domain=MICROSOFT
    )
    node.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())
    call.nodes.append(node)
    call.result(0, mixed)


def _present(names: list[str]) -> list[str]:
    """The inputs without absent ones at the end."""
    while names and not names[-1]:
        names = names[:-1]
    return names


def _real(call: Expansion, index: int) -> str:
    """The numbers that inputs index (stored), index + 1 (scale), index + 2 (zero point) give."""
    inputs = [call.input(index), call.input(index + 1), call.input(index + 2)]
    return call.add("DequantizeLinear", _present(inputs))


def _stored(call: Expansion, source: str, index: int, like: int = 0) -> str:
    """Numbers quantised by inputs index (scale) and index + 1 (zero point, 0 where absent)."""
    kind = call.element_type(like)
    point = call.input(index + 1) or call.array(0, kind, "zero_point")
    return call.add("QuantizeLinear", [source, call.input(index), point])


def _product(call: Expansion, factors: list[str], scales: list[str]) -> str:
    """A matmul of integers (left, right, zero points) times both scales."""
    total = call.add("MatMulInteger", _present(factors))
    scale = call.add("Mul", scales)
    return call.add("Mul", [call.add("CastLike", [total, scales[0]]), scale])


def _biased(call: Expansion, source: str, bias: str) -> str:
    return call.add("Add", [source, bias]) if bias else source
