"""Graphs that quantise and dequantise: who reads what is stored, and that the numbers stay."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from graph_numpy import evaluate, runtime_results
from onnx import ModelProto, NodeProto, TensorProto
from onnx.reference import ReferenceEvaluator
from onnx_models import node, value
from quantised_models import (
    RNG,
    check,
    integers,
    model,
    powers,
    results,
    steps,
    types,
)

from t10c.ir.graph import Graph, LayoutOp, NodeClass
from t10c.onnx_import.derived import derive_weights
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolve import resolve_model

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


@pytest.mark.parametrize("rows", [False, True])
def test_a_narrow_table_that_is_also_the_head_is_stored_once(rows: bool) -> None:
    constants = {
        "w": integers("int8", 7, 4), "s": powers(*([7] if rows else [])),
        "z": np.zeros([7] if rows else [], np.int8),
    }  # fmt: skip
    nodes = [
        node("DequantizeLinear", "w s z", "w_", "widen", axis=0),
        node("Gather", "w_ i", "x", "embed"),
        node("Transpose", "w_", "t", "turn"),
        node("MatMul", "x t", "y", "head"),
    ]
    made = model(nodes, [value("i", [2, 3], TensorProto.INT64)], ["y"], constants)
    graph = check(made, {"i": RNG.integers(0, 7, (2, 3))})
    assert [t.name for t in graph.tensors if t.bits and t.kind == "weight"] == ["w"]
    fates = {record.name: record.node_class for record in graph.nodes}
    assert fates["turn"] == NodeClass.LAYOUT_ONLY


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


@pytest.mark.parametrize("seed", range(4))
def test_scales_of_any_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    constants = {
        "w": integers("int8", 6, 4, 3, 3), "zw": np.zeros(6, np.int8),
        "sw": rng.uniform(0.001, 0.02, 6).astype(np.float32),
        "sx": np.float32(rng.uniform(0.01, 0.1)), "sy": np.float32(rng.uniform(0.5, 3)),
    }  # fmt: skip
    middle = [
        node("DequantizeLinear", "w sw zw", "w_", axis=0),
        node("Conv", "x_ w_", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "y"),
    ]
    check(qdq(middle, [1, 4, 7, 7], constants))


def test_work_counts_integer_products_as_it_counts_others() -> None:
    shapes = {"x": [4, 5], "i": [1, 2, 6, 6]}
    constants = {
        "w": integers("int8", 5, 6), "k": integers("int8", 3, 2, 3, 3),
        "s": np.float32(0.1), "z": np.int8(0),
    }  # fmt: skip
    nodes = [
        node("MatMulInteger", "x w", "p"),
        node("QLinearMatMul", "x s z w s z s z", "q"),
        node("ConvInteger", "i k", "c"),
        node("QLinearConv", "i s z k s z s z", "d"),
    ]
    inputs = [value(name, shape, TensorProto.INT8) for name, shape in shapes.items()]
    made = model(nodes, inputs, list("pqcd"), constants)
    graph = lower_model(resolve_model(made.SerializeToString()))
    assert graph.flop_matmul_conv == 2 * 2 * 4 * 5 * 6 + 2 * 2 * 3 * 4 * 4 * 2 * 9


# Products of casts: no scale anywhere

NARROW = {
    "int8": TensorProto.INT8, "uint8": TensorProto.UINT8,
    "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE,
}  # fmt: skip

BEHIND_A_PRODUCT = {
    "nothing": [node("Identity", "p", "y")],
    "factor": [node("Mul", "p small", "y")],
    "division": [node("Div", "p quarter", "y")],
    "function": [node("Mul", "p tiny", "t_"), node("Tanh", "t_", "y")],
    "gate": [node("Mul", "p tiny", "t_"), node("Sigmoid", "t_", "g"), node("Mul", "p g", "y")],
    "root": [node("Abs", "p", "a"), node("Sqrt", "a", "y")],
    "clip": [node("Div", "p large", "d"), node("Clip", "d low high", "y")],
    "narrowed": [node("QuantizeLinear", "p large point", "y")],
}
"""Nodes that make y of a product p."""

NUMBERS = {
    "small": 0.013, "tiny": 2.0**-16, "quarter": 0.25, "large": 2.0**9, "low": -0.5, "high": 0.7,
}  # fmt: skip


def cast_product(
    make: Sequence[NodeProto],
    behind: str,
    shapes: Mapping[str, Sequence[int]],
    constants: Mapping[str, np.ndarray],
    kinds: tuple[str, str] = ("uint8", "int8"),
    wide: str = "float32",
) -> ModelProto:
    """p is a product of x_ and w_, which are narrow integers x and w as floats."""
    known = {name: np.array(number, wide) for name, number in NUMBERS.items()}
    known = {**known, "point": np.uint8(117), **constants}
    casts = [node("Cast", name, f"{name}_", to=NARROW[wide]) for name in (*shapes, *constants)
             if name in ("x", "w")]  # fmt: skip
    inputs = [
        value(name, shapes[name], NARROW[kind])
        for name, kind in zip("xw", kinds, strict=True)
        if name in shapes
    ]
    return model([*casts, *make, *BEHIND_A_PRODUCT[behind]], inputs, ["y"], known)


def assert_leaves_the_integers(graph: Graph) -> None:
    """The product is of stored integers, and the first step behind it makes a float of the sum."""
    (product,) = (op for op in graph.planned if op.expression.narrow_product)
    assert {step.attribute("as", "") for step in product.expression.body} == {"int32"}
    assert steps(product)[1][0] == "Cast"


@pytest.mark.parametrize("behind", BEHIND_A_PRODUCT)
@pytest.mark.parametrize("kinds", [("int8", "int8"), ("uint8", "int8"), ("uint8", "uint8")])
def test_product_of_casts_is_a_float(behind: str, kinds: tuple[str, str]) -> None:
    make = [node("MatMul", "x_ w_", "p")]
    made = cast_product(make, behind, {"x": [4, 5], "w": [5, 6]}, {}, kinds)
    assert_leaves_the_integers(check(made))
    constants = {"w": integers(kinds[1], 5, 6)}
    assert_leaves_the_integers(check(cast_product(make, behind, {"x": [4, 5]}, constants, kinds)))


@pytest.mark.parametrize("behind", BEHIND_A_PRODUCT)
def test_product_of_a_cast_with_itself_is_a_float(behind: str) -> None:
    make = [node("Transpose", "x_", "t", perm=[1, 0]), node("MatMul", "x_ t", "p")]
    assert_leaves_the_integers(check(cast_product(make, behind, {"x": [4, 5]}, {})))


@pytest.mark.parametrize("behind", BEHIND_A_PRODUCT)
@pytest.mark.parametrize("bias", [False, True])
def test_convolution_of_casts_is_a_float(behind: str, bias: bool) -> None:
    constants = {"w": integers("int8", 3, 2, 3, 3)}
    if bias:
        constants["b"] = RNG.integers(-99, 99, 3).astype(np.float32)
    make = [node("Conv", "x_ w_ b" if bias else "x_ w_", "p", pads=[1, 1, 1, 1])]
    made = cast_product(make, behind, {"x": [1, 2, 6, 6]}, constants)
    assert_leaves_the_integers(check(made))


@pytest.mark.parametrize("behind", BEHIND_A_PRODUCT)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("alpha", [1.0, 0.375])
def test_gemm_of_casts_is_a_float(behind: str, bias: bool, alpha: float) -> None:
    constants = {"w": integers("int8", 6, 5)}
    if bias:
        constants["b"] = RNG.integers(-99, 99, 6).astype(np.float32)
    operands = "x_ w_ b" if bias else "x_ w_"
    make = [node("Gemm", operands, "p", alpha=alpha, beta=0.5, transB=1)]
    assert_leaves_the_integers(check(cast_product(make, behind, {"x": [4, 5]}, constants)))


@pytest.mark.parametrize("behind", BEHIND_A_PRODUCT)
def test_casts_with_zero_points_are_floats_behind_the_product(behind: str) -> None:
    constants = {"w": integers("int8", 5, 6), "zx": np.float32(117), "zw": np.float32(-3)}
    make = [node("Sub", "x_ zx", "xs"), node("Sub", "w_ zw", "ws"), node("MatMul", "xs ws", "p")]
    graph = check(cast_product(make, behind, {"x": [4, 5]}, constants))
    assert steps(graph.planned[0])[0] == ["Sub", "Sub", "Mul"]
    assert_leaves_the_integers(graph)


def test_sums_of_casts_keep_the_digits_of_a_double() -> None:
    """The sum is odd and above 2 ** 24: no float32."""
    x = np.full((1, 300), 255, np.uint8)
    constants = {"w": np.full((300, 1), 251, np.uint8)}
    constants["w"][0] = 250
    made = cast_product(
        [node("MatMul", "x_ w_", "p")], "division", {"x": [1, 300]}, constants, wide="float64"
    )
    graph, (actual,) = results(made, {"x": x})
    assert_leaves_the_integers(graph)
    np.testing.assert_array_equal(actual, runtime_results(made, {"x": x})[0])


def test_large_shifts_do_not_overflow() -> None:
    """What is subtracted from a cast need not be as small as a zero point."""
    constants = {"w": integers("int8", 5, 6), "zx": np.float32(1 << 30)}
    make = [node("Sub", "x_ zx", "xs"), node("MatMul", "xs w_", "p")]
    check(cast_product(make, "factor", {"x": [4, 5]}, constants))


@pytest.mark.parametrize("scaled", ["x", "w"])
def test_a_scale_on_one_side_takes_the_place_of_the_cast(scaled: str) -> None:
    constants = {"w": integers("int8", 5, 6)}
    operands = " ".join("scaled" if name == scaled else f"{name}_" for name in "xw")
    make = [node("Mul", f"{scaled}_ tiny", "scaled"), node("MatMul", operands, "p")]
    graph = check(cast_product(make, "root", {"x": [4, 5]}, constants))
    assert steps(graph.planned[0]) == (["Mul"], ["Mul", "Abs", "Sqrt"])
