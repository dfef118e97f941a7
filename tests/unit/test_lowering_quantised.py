"""Quantised operators: integers exactly as ONNX Runtime and the reference compute them."""

import numpy as np
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from onnx_models import node, value
from quantised_models import (
    ONNX_TYPES,
    RNG,
    agree,
    check,
    feeds_of,
    integers,
    model,
    powers,
    results,
    steps,
    types,
)

# Quantising and dequantising by themselves


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("per_axis", [False, True])
@pytest.mark.parametrize("zero", [False, True])
def test_quantise_and_dequantise(kind: str, per_axis: bool, zero: bool) -> None:
    shape = (4,) if per_axis else ()
    constants: dict[str, object] = {"s": RNG.uniform(0.01, 0.1, shape).astype(np.float32)}
    point = "z" if zero or kind == "int8" else "_"
    if point == "z":
        constants["z"] = integers(kind, *shape) if zero else np.zeros(shape, kind)
    nodes = [
        node("QuantizeLinear", f"x s {point}", "q", axis=-2),
        node("DequantizeLinear", f"q s {point}", "y", axis=1),
    ]
    graph = check(model(nodes, [value("x", [2, 4, 3])], ["q", "y"], constants))
    assert [graph.tensor[name].bits for name in ("q", "y")] == [8, 0]


def test_rounding_is_half_to_even_and_saturates() -> None:
    made = model(
        [node("QuantizeLinear", "x s z", "y")],
        [value("x", [7])],
        ["y"],
        {"s": np.float32(2), "z": np.uint8(1)},
    )
    x = np.array([1, 3, 5, -1, -3, 1e9, -1e9], np.float32)
    _, (y,) = results(made, {"x": x})
    assert y.tolist() == [1, 3, 3, 1, 0, 255, 0]


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT16", "UINT16", "FLOAT8E4M3FN", "FLOAT8E5M2"])
def test_other_stored_types(kind: str) -> None:
    element = getattr(TensorProto, kind)
    nodes = [
        node("QuantizeLinear", "x s", "q", output_dtype=element),
        node("DequantizeLinear", "q s", "y"),
    ]
    made = model(
        nodes, [value("x", [5, 6])], ["y"], {"s": np.float32(0.75)}, opset=21, ir_version=10
    )
    feeds = feeds_of(made)
    graph, actual = results(made, feeds)
    agree(actual, ReferenceEvaluator(made).run(None, feeds))
    assert all(op.expression.kernel == "pointwise" for op in graph.planned)


@pytest.mark.parametrize(("size", "block"), [(6, 2), (6, 6), (6, 1), (7, 3)])
@pytest.mark.parametrize("axis", [0, 1])
def test_blocked_scales(size: int, block: int, axis: int) -> None:
    shape = [5, 5]
    shape[axis] = size
    blocks = list(shape)
    blocks[axis] = -(-size // block)
    constants = {
        "s": RNG.uniform(0.1, 0.4, blocks).astype(np.float32),
        "z": integers("uint8", *blocks),
    }
    nodes = [
        node("QuantizeLinear", "x s z", "q", axis=axis, block_size=block),
        node("DequantizeLinear", "q s z", "y", axis=axis, block_size=block),
    ]
    made = model(nodes, [value("x", shape)], ["q", "y"], constants)
    check(made, reference=size % block == 0)


def test_sixteen_bit_floats_are_dequantised_in_single_precision() -> None:
    made = model(
        [node("DequantizeLinear", "q s z", "y")],
        [value("q", [3, 5], TensorProto.INT8)],
        ["y"],
        {"s": np.float16(0.37), "z": np.int8(3)},
        opset=19,
    )
    feeds = feeds_of(made)
    agree(results(made, feeds)[1], ReferenceEvaluator(made).run(None, feeds))


@pytest.mark.parametrize("scale", [1.0, 0.0, -1.0])
def test_dynamic_quantisation(scale: float) -> None:
    made = model(
        [node("DynamicQuantizeLinear", "x", "y s z")], [value("x", [3, 5])], ["y", "s", "z"]
    )
    x = np.abs(RNG.standard_normal((3, 5))).astype(np.float32) * np.float32(scale)
    if scale:
        graph = check(made, {"x": x})
    else:  # ONNX Runtime has scale 1 then; the standard's formula divides by 255
        graph, actual = results(made, {"x": x})
        agree(actual, ReferenceEvaluator(made).run(None, {"x": x}))
    assert [op.expression.kernel for op in graph.planned] == ["reduce"] * 2 + ["pointwise"] * 3


# Products of integers


@pytest.mark.parametrize("left_zero", ["_", "scalar", "zero", "data"])
@pytest.mark.parametrize("right_zero", ["_", "scalar", "columns"])
@pytest.mark.parametrize("right", ["uint8", "int8"])
def test_matmul_integer(left_zero: str, right_zero: str, right: str) -> None:
    constants: dict[str, object] = {"b": integers(right, 5, 6)}
    inputs = [value("a", [2, 4, 5], TensorProto.UINT8)]
    if left_zero in ("scalar", "zero"):
        constants["za"] = np.uint8(left_zero == "scalar") * np.uint8(130)
    elif left_zero == "data":
        inputs.append(value("za", [], TensorProto.UINT8))
    if right_zero != "_":
        constants["zb"] = integers(right, *([6] if right_zero == "columns" else []))
    names = f"a b {'_' if left_zero == '_' else 'za'} {'_' if right_zero == '_' else 'zb'}"
    graph = check(model([node("MatMulInteger", names, "y")], inputs, ["y"], constants))
    (op,) = graph.planned
    assert op.expression.narrow_product
    subtractions = (left_zero in ("scalar", "data")) + (right_zero != "_")
    assert steps(op) == (["Sub"] * subtractions + ["Mul"], [])


def test_zero_points_per_row_of_a_batch() -> None:
    made = model(
        [node("MatMulInteger", "a b za zb", "y")],
        [value("a", [2, 4, 5], TensorProto.UINT8), value("b", [2, 5, 3], TensorProto.INT8)],
        ["y"],
        {"za": integers("uint8", 2, 4, 1), "zb": integers("int8", 2, 1, 3)},
    )
    feeds = feeds_of(made)
    agree(results(made, feeds)[1], ReferenceEvaluator(made).run(None, feeds))


@pytest.mark.parametrize("zero", [None, 3, 200])
@pytest.mark.parametrize("group", [1, 2])
def test_conv_integer_pads_with_the_zero_point(zero: int | None, group: int) -> None:
    constants: dict[str, object] = {"w": integers("uint8", 4, 4 // group, 3, 3)}
    if zero is not None:
        constants |= {"zx": np.uint8(zero), "zw": np.uint8(7)}
    names = "x w" if zero is None else "x w zx zw"
    conv = node("ConvInteger", names, "y", pads=[1, 2, 0, 1], strides=[2, 1], group=group)
    graph = check(model([conv], [value("x", [2, 4, 6, 5], TensorProto.UINT8)], ["y"], constants))
    assert graph.planned[0].expression.narrow_product


def test_zero_points_per_channel_of_a_convolution() -> None:
    constants = {"w": integers("uint8", 4, 3, 3, 3), "zx": np.uint8(9), "zw": integers("uint8", 4)}
    conv = node("ConvInteger", "x w zx zw", "y", pads=[1, 1, 1, 1])
    made = model([conv], [value("x", [2, 3, 6, 5], TensorProto.UINT8)], ["y"], constants)
    feeds = feeds_of(made)
    agree(results(made, feeds)[1], ReferenceEvaluator(made).run(None, feeds))


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("per_column", [False, True])
def test_qlinear_matmul(kind: str, per_column: bool) -> None:
    columns = (6,) if per_column else ()
    constants = {
        "sa": np.float32(0.5), "za": integers(kind), "b": integers(kind, 5, 6),
        "sb": powers(*columns), "zb": integers(kind, *columns),
        "sy": np.float32(8), "zy": integers(kind),
    }  # fmt: skip
    made = model(
        [node("QLinearMatMul", "a sa za b sb zb sy zy", "y", "mm")],
        [value("a", [4, 5], ONNX_TYPES[kind])],
        ["y"],
        constants,
    )
    graph = check(made, reference=False)  # which rounds after the zero point is added
    (op,) = graph.planned
    assert types(graph, op)[:2] == [kind, kind]
    assert graph.tensor[op.output].bits == 8
    assert steps(op)[1][:2] == ["Mul", "Round"]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_conv(bias: bool, per_channel: bool) -> None:
    channels = (6,) if per_channel else ()
    constants = {
        "sx": np.float32(0.5), "zx": np.uint8(99), "w": integers("int8", 6, 4, 3, 3),
        "sw": powers(*channels), "zw": np.zeros(channels, np.int8),
        "sy": np.float32(16), "zy": np.uint8(131),
        "b": RNG.integers(-9999, 9999, 6).astype(np.int32),
    }  # fmt: skip
    if not bias:
        del constants["b"]
    conv = node("QLinearConv", "x sx zx w sw zw sy zy" + " b" * bias, "y", pads=[1, 1, 1, 1])
    made = model([conv], [value("x", [1, 4, 5, 5], TensorProto.UINT8)], ["y"], constants)
    graph = check(made, reference=False)
    (op,) = graph.planned
    assert graph.tensor[op.output].bits == 8
    assert op.expression.narrow_product


def test_scales_that_depend_on_data() -> None:
    constants = {"b": integers("uint8", 5, 6), "z": np.uint8(100)}
    scales = [value(name, []) for name in ("sa", "sb", "sy")]
    made = model(
        [node("QLinearMatMul", "a sa z b sb z sy z", "y")],
        [value("a", [4, 5], TensorProto.UINT8), *scales],
        ["y"],
        constants,
    )
    known = {"sa": np.array(0.25), "sb": np.array(0.5), "sy": np.array(32)}
    feeds = feeds_of(made) | {name: array.astype(np.float32) for name, array in known.items()}
    check(made, feeds, reference=False)
