"""Quantised operators and graphs: integers exactly as ONNX Runtime and the reference compute them.

Scales that are powers of two make every product and quotient exact, so that no tie is rounded
differently; other scales are used where the order of operations is the standard's own.
"""

from collections.abc import Mapping, Sequence

import ml_dtypes
import numpy as np
import pytest
from graph_numpy import evaluate, runtime_results
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx_models import model as any_model
from onnx_models import node, value

from t10c.ir.graph import Graph, LayoutOp, NodeClass, Operator
from t10c.onnx_import.derived import derive_weights
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolve import resolve_model

RNG = np.random.default_rng(7)
Arrays = dict[str, np.ndarray]


def model(*parts: object, opset: int = 21, ir_version: int = 10) -> ModelProto:
    """A model of an opset whose operators the reference evaluator knows."""
    return any_model(*parts, opset=opset, ir_version=ir_version)  # type: ignore[arg-type]


def feeds_of(made: ModelProto, seed: int = 0) -> Arrays:
    """Random inputs; integers of at most 8 bits over their whole range."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for info in made.graph.input:
        shape = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        if dtype.kind == "f":
            feeds[info.name] = (4 * rng.standard_normal(shape)).astype(dtype)
        else:
            limits = ml_dtypes.iinfo(dtype)
            low, high = max(-128, int(limits.min)), min(255, int(limits.max))
            feeds[info.name] = rng.integers(low, high + 1, shape).astype(dtype)
    return feeds


def results(made: ModelProto, feeds: Arrays) -> tuple[Graph, list[np.ndarray]]:
    resolved = resolve_model(made.SerializeToString())
    graph = lower_model(resolved)
    assert sum(graph.node_counts().values()) == len(resolved.nodes) + len(resolved.folded)
    assert graph.node_counts()["fallback"] == 0
    values = {**resolved.constants, **feeds}
    actual = evaluate(graph, {**values, **derive_weights(resolved, values)})
    return graph, [actual[name] for name in graph.outputs]


def agree(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    for got, want in zip(actual, expected, strict=True):
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        if want.dtype.kind in "iu":
            np.testing.assert_array_equal(got, want)
        else:
            # sums round in another order: by the last bits of their largest terms
            largest = float(np.abs(want.astype(np.float64)).max())
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6 * largest)


def check(made: ModelProto, feeds: Arrays | None = None, reference: bool = True) -> Graph:
    """The graph computes what ONNX Runtime does, and the reference evaluator where it can."""
    feeds = feeds or feeds_of(made)
    graph, actual = results(made, feeds)
    agree(actual, runtime_results(made, feeds))
    if reference:
        agree(actual, ReferenceEvaluator(made).run(None, feeds))
    return graph


def integers(dtype: str, *shape: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max + 1, shape).astype(dtype)


def powers(*shape: int) -> np.ndarray:
    """Scales that are powers of two."""
    return np.exp2(RNG.integers(-6, -2, shape)).astype(np.float32)


def types(graph: Graph, op: Operator) -> list[str]:
    return [graph.tensor[name].element_type for name in (*op.inputs, op.output)]


def steps(op: Operator) -> tuple[list[str], list[str]]:
    body, epilogue = op.expression.body, op.expression.epilogue
    return [step.op for step in body], [step.op for step in epilogue]


ONNX_TYPES = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "int32": TensorProto.INT32}


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


# Graphs that quantise and dequantise


def quantise(x: str, y: str, suffix: str, **attributes: int) -> list[NodeProto]:
    """y is x, stored narrow and widened again, as exporters write it."""
    stored = f"{y}_q"
    return [
        node("QuantizeLinear", f"{x} s{suffix} z{suffix}", stored, f"quantise_{y}", **attributes),
        node(
            "DequantizeLinear", f"{stored} s{suffix} z{suffix}", y, f"dequantise_{y}", **attributes
        ),
    ]


def qdq(
    middle: Sequence[NodeProto],
    shape: Sequence[int],
    constants: Mapping[str, object],
    kind: str = "uint8",
    before: str = "x",
) -> ModelProto:
    """x is stored narrow before the middle nodes, which make y of `before`; y is stored so too."""
    zero = np.array(128 if kind == "uint8" else -3, kind)
    known = {
        "sx": np.float32(0.125), "zx": zero, "sy": np.float32(2), "zy": zero,
        **constants,
    }  # fmt: skip
    nodes = [*quantise("x", "x_", "x"), *middle, node("QuantizeLinear", "y sy zy", "out", "last")]
    return model(nodes, [value("x", shape)], ["out"], known)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("zero", [0, 5])
def test_dequantised_matmul(kind: str, per_column: bool, zero: int) -> None:
    columns = (6,) if per_column else ()
    constants = {
        "w": integers("int8", 5, 6), "sw": powers(*columns), "zw": np.full(columns, zero, np.int8),
        "bias": RNG.integers(-9, 9, 6).astype(np.float32),
    }  # fmt: skip
    middle = [
        node("DequantizeLinear", "w sw zw", "w_", "widen", axis=1),
        node("MatMul", "x_ w_", "p", "mm"),
        node("Add", "p bias", "y", "add"),
    ]
    graph = check(qdq(middle, [4, 5], constants, kind))
    first, product = graph.planned
    assert first.name == "quantise_x_"
    assert types(graph, product)[:2] == [kind, "int8"]
    assert product.expression.narrow_product
    assert product.expression.output.bits == 8
    body, epilogue = steps(product)
    assert body == ["Sub"] * (1 + bool(zero)) + ["Mul"]
    assert {step.attribute("as", "") for step in product.expression.body} == {"int32"}
    assert epilogue == ["Mul", "Add", "Div", "Round", "Add", "Clip", "Cast"]
    fates = {record.name: (record.node_class, record.operator) for record in graph.nodes}
    assert fates["widen"] == fates["dequantise_x_"] == (NodeClass.FUSED, "mm")


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("group", [1, 2])
def test_dequantised_conv(kind: str, per_channel: bool, group: int) -> None:
    channels = (6,) if per_channel else ()
    constants = {
        "w": integers("int8", 6, 4 // group, 3, 3), "sw": powers(*channels),
        "zw": np.full(channels, 2, np.int8), "bias": RNG.integers(-9, 9, 6).astype(np.float32),
    }  # fmt: skip
    middle = [
        node("DequantizeLinear", "w sw zw", "w_", axis=0),
        node("Conv", "x_ w_ bias", "c", pads=[1, 1, 0, 2], group=group),
        node("Relu", "c", "y"),
    ]
    graph = check(qdq(middle, [1, 4, 5, 6], constants, kind))
    product = graph.planned[-1]
    assert product.expression.narrow_product
    assert steps(product)[0] == ["Sub", "Sub", "Mul"]
    assert len(graph.operators) == 2


def test_scales_along_what_is_summed_stay_in_the_body() -> None:
    constants = {"w": integers("int8", 5, 6), "sw": powers(5), "zw": np.zeros(5, np.int8)}
    middle = [node("DequantizeLinear", "w sw zw", "w_", axis=0), node("MatMul", "x_ w_", "y")]
    product = check(qdq(middle, [4, 5], constants)).planned[-1]
    assert steps(product) == (["Sub", "Mul", "Mul"], ["Mul", "Div", "Round", "Add", "Clip", "Cast"])


@pytest.mark.parametrize("axis", [0, 1])
def test_blocked_weights_cut_the_axis_of_their_reader(axis: int) -> None:
    blocks = (2, 6) if axis == 0 else (8, 3)
    constants = {
        "w": integers("int8", 8, 6),
        "sw": powers(*blocks),
        "zw": integers("int8", *blocks),
    }
    widen = node(
        "DequantizeLinear", "w sw zw", "w_", axis=axis, block_size=8 // 2 if axis == 0 else 2
    )
    graph = check(qdq([widen, node("MatMul", "x_ w_", "y")], [4, 8], constants))
    product = graph.planned[-1]
    letter = "kn"[axis]
    assert {f"{letter}b", f"{letter}e"} < {a.name for a in product.expression.axes}
    assert [graph.tensor[t].element_type for t in product.inputs[:2]] == ["uint8", "int8"]


@pytest.mark.parametrize("hand_written", [False, True])
def test_narrow_weights_of_a_float_matmul(hand_written: bool) -> None:
    constants = {
        "w": integers("int8", 6, 5), "s": RNG.uniform(0.1, 1, (6, 1)).astype(np.float32),
        "flat": RNG.uniform(0.1, 1, 6).astype(np.float32), "z": integers("int8", 6),
    }  # fmt: skip
    widen = [node("Cast", "w", "f", "cast", to=TensorProto.FLOAT), node("Mul", "s f", "w_", "mul")]
    if not hand_written:
        widen = [node("DequantizeLinear", "w flat z", "w_", "widen", axis=0)]
    nodes = [*widen, node("Transpose", "w_", "t", "turn"), node("MatMul", "x t", "y", "mm")]
    graph = check(model(nodes, [value("x", [4, 5])], ["y"], constants))
    (product,) = graph.operators
    assert [graph.tensor[name].bits for name in product.inputs[:2]] == [0, 8]
    assert steps(product) == (["Mul"] if hand_written else ["Sub", "Mul"], ["Mul"])
    fates = {record.name: record.node_class for record in graph.nodes}
    assert fates["turn"] == NodeClass.FOLDED


def test_weights_that_an_operator_cannot_read_narrow_are_widened_before() -> None:
    constants = {"w": integers("int8", 3), "s": np.float32(0.5), "r": integers("int8", 4, 3)}
    nodes = [
        node("DequantizeLinear", "w s", "w_", "widen"),
        node("LayerNormalization", "x w_", "n", "norm"),
        node("DequantizeLinear", "r s", "r_", "rows"),
        node("Softmax", "r_", "p", "softmax"),
        node("Add", "n p", "y", "add"),
    ]
    graph = check(model(nodes, [value("x", [4, 3])], ["y"], constants))
    assert {graph.tensor[t].kind for t in graph.planned[0].inputs[1:]} == {"weight"}


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("shape", [(2, 3), ()])
def test_rows_of_a_narrow_table(rows: bool, shape: tuple[int, ...]) -> None:
    scale = RNG.uniform(0.1, 1, 7 if rows else ()).astype(np.float32)
    constants = {"w": integers("uint8", 7, 4), "s": scale, "z": integers("uint8", *scale.shape)}
    nodes = [node("DequantizeLinear", "w s z", "w_", axis=0), node("Gather", "w_ i", "y")]
    made = model(nodes, [value("i", shape, TensorProto.INT64)], ["y"], constants)
    graph = check(made, {"i": RNG.integers(0, 7, shape)})
    narrow = [graph.tensor[op.inputs[0]].bits for op in graph.planned if "w" in op.inputs]
    assert narrow == [8]


def test_rows_of_a_table_with_scales_in_blocks() -> None:
    constants = {"w": integers("uint8", 7, 6), "s": powers(7, 2), "z": integers("uint8", 7, 2)}
    nodes = [
        node("DequantizeLinear", "w s z", "w_", axis=1, block_size=3),
        node("Gather", "w_ i", "y"),
    ]
    made = model(nodes, [value("i", [2, 3], TensorProto.INT64)], ["y"], constants)
    graph = check(made, {"i": RNG.integers(0, 7, (2, 3))})
    assert [op.expression.kernel for op in graph.planned] == ["gather"] * 3 + ["pointwise"]


def test_moves_between_are_of_stored_values() -> None:
    middle = [
        node("Reshape", "x_ shape", "r"),
        node("Transpose", "r", "t", perm=[1, 2, 0]),
        node("Slice", "t begin end", "u"),
        node("MaxPool", "u", "p", kernel_shape=[2], strides=[2]),
        *quantise("p", "v", "x"),
        node("Pad", "v pads", "y"),
    ]
    constants = {
        "shape": np.array([4, 3, 2]), "begin": np.array([1]), "end": np.array([3]),
        "pads": np.array([0, 1, 0, 0, 0, 2]),
    }  # fmt: skip
    graph = check(qdq(middle, [4, 6], constants))
    moved = [graph.tensor[op.output].element_type for op in graph.operators]
    assert set(moved) == {"uint8"}
    kernels = [op.expression.kernel for op in graph.planned]
    assert kernels == ["pointwise", "pool", "pointwise"]
    assert any(isinstance(op, LayoutOp) and op.kind == "pad" for op in graph.operators)


def test_concatenation_of_quantised_branches() -> None:
    middle = [
        node("Relu", "x_", "l"),
        *quantise("l", "l_", "y"),
        node("Concat", "x_ l_", "y", axis=1),
    ]
    graph = check(qdq(middle, [4, 3], {}))
    assert {graph.tensor[op.output].element_type for op in graph.operators} == {"uint8"}


def test_a_tensor_that_is_also_wanted_wide_stays_wide() -> None:
    nodes = [*quantise("x", "x_", "x"), node("MatMul", "x_ w", "y", "mm")]
    constants = {
        "w": RNG.standard_normal((5, 6)).astype(np.float32),
        "sx": np.float32(0.25), "zx": np.uint8(8),
    }  # fmt: skip
    graph = check(model(nodes, [value("x", [4, 5])], ["y", "x_"], constants))
    product = next(op for op in graph.planned if op.name == "mm")
    assert graph.tensor[product.inputs[0]].bits == 0


def test_residual_blocks_read_stored_values() -> None:
    nodes = [
        *quantise("x", "x_", "x"),
        node("DequantizeLinear", "w s zero", "w_"),
        node("Conv", "x_ w_", "c", "conv", pads=[1, 1, 1, 1]),
        *quantise("c", "c_", "y"),
        node("Add", "x_ c_", "a", "add"),
        *quantise("a", "a_", "y"),
        node("GlobalAveragePool", "a_", "g", "pool"),
        node("Softmax", "g", "y", "softmax", axis=1),
    ]
    constants = {
        "w": integers("int8", 4, 4, 3, 3), "s": np.float32(0.125), "zero": np.int8(0),
        "sx": np.float32(0.125), "zx": np.uint8(128), "sy": np.float32(4), "zy": np.uint8(120),
    }  # fmt: skip
    graph = check(model(nodes, [value("x", [1, 4, 6, 6])], ["y"], constants))
    by_name = {op.name: op for op in graph.planned}
    assert types(graph, by_name["add"]) == ["uint8"] * 3
    assert types(graph, by_name["pool"])[0] == "uint8"


def test_attention_of_stored_values() -> None:
    middle = [
        node("Reshape", "x_ split", "h"),
        node("Transpose", "h", "a", perm=[1, 0, 2]),
        node("Transpose", "h", "b", perm=[1, 2, 0]),
        node("MatMul", "a b", "scores", "scores"),
        *quantise("scores", "scores_", "m"),
        node("Mul", "scores_ half", "half_scores"),
        *quantise("half_scores", "hs", "m"),
        node("MatMul", "hs a", "mixed", "mix"),
        node("Transpose", "mixed", "back", perm=[1, 0, 2]),
        node("Reshape", "back join", "y"),
    ]
    constants = {
        "split": np.array([4, 2, 3]), "join": np.array([4, 6]), "half": np.float32(0.5),
        "sm": np.float32(1), "zm": np.uint8(100),
    }  # fmt: skip
    graph = check(qdq(middle, [4, 6], constants))
    products = [op for op in graph.planned if op.expression.kernel == "matmul"]
    assert [op.expression.narrow_product for op in products] == [True, True]
    assert all(graph.tensor[op.output].bits == 8 for op in graph.operators)


def test_dynamically_quantised_products_take_in_their_scales() -> None:
    nodes = [
        node("DynamicQuantizeLinear", "x", "q s z"),
        node("MatMulInteger", "q w z", "p", "mm"),
        node("Cast", "p", "f", "cast", to=TensorProto.FLOAT),
        node("Mul", "s sw", "both"),
        node("Mul", "f both", "r"),
        node("Add", "r bias", "y"),
    ]
    constants = {
        "w": integers("int8", 5, 6), "sw": np.float32(0.02),
        "bias": RNG.standard_normal(6).astype(np.float32),
    }  # fmt: skip
    graph = check(model(nodes, [value("x", [4, 5])], ["y"], constants))
    product = graph.planned[-1]
    assert product.name == "mm"
    assert steps(product) == (["Sub", "Mul"], ["Cast", "Mul", "Add"])
    assert [operand.fused for operand in product.expression.inputs] == [False] * 2 + [True] * 3


def test_large_weights_are_known_to_be_narrow() -> None:
    """Weights beyond 64 KiB have no value at import; they move all the same, transposed or not."""
    data = integers("int8", 300, 256)
    made = model(
        [
            node("DequantizeLinear", "w s", "w_", "widen", axis=0),
            node("Transpose", "w_", "t", "turn"),
            node("MatMul", "x t", "y", "mm"),
        ],
        [value("x", [2, 256])],
        ["y"],
        {"w": data, "s": powers(300)},
    )
    resolved = resolve_model(made.SerializeToString())
    graph = lower_model(resolved)
    (product,) = graph.operators
    x = RNG.standard_normal((2, 256)).astype(np.float32)
    known = {**resolved.constants, "w": data, "x": x}
    actual = evaluate(graph, {**known, **derive_weights(resolved, known)})
    want = ReferenceEvaluator(made).run(None, {"x": x})
    np.testing.assert_allclose(actual["y"], want[0], rtol=1e-4, atol=1e-3)
    assert product.expression.inputs[1].bits == 8
    assert "w" not in {t.name for t in graph.tensors}
