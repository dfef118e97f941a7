"""Pools, reductions, row-wise operators, attention and pointwise against the reference."""

import numpy as np
import pytest
from graph_numpy import check, random_feeds, runtime_results
from onnx import TensorProto
from onnx_models import model, node, value

from t10c.ir.graph import NodeClass

RNG = np.random.default_rng(2)


def weight(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 2]},
        {"pads": [1, 1, 1, 1], "strides": [2, 1]},
        {"pads": [0, 1, 1, 0]},
        {"ceil_mode": 1, "strides": [2, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    ],
)
@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
def test_pool_windows(op_type: str, attributes: dict[str, object]) -> None:
    made = model(
        [node(op_type, "x", "y", "pool", kernel_shape=[3, 2], **attributes)],
        [value("x", [2, 3, 8, 7])],
        ["y"],
    )
    (pool,) = check(made).planned
    assert pool.expression.reduce_op == ("max" if op_type == "MaxPool" else "mean")


def test_max_pool_of_negative_values_ignores_padding() -> None:
    made = model(
        [node("MaxPool", "x", "y", "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
        [value("x", [1, 1, 4, 4])],
        ["y"],
    )
    check(made, feeds={"x": -1 - np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)})


def test_average_pool_that_counts_padding_is_a_scaled_sum() -> None:
    pool = node(
        "AveragePool", "x", "y", "p", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
    )
    made = model([pool], [value("x", [1, 2, 5, 5])], ["y"])
    assert check(made).planned[0].expression.reduce_op == "sum"


@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(op_type: str) -> None:
    made = model([node(op_type, "x", "y", "p")], [value("x", [2, 3, 4, 5])], ["y"])
    assert check(made).planned[0].expression.kernel == "reduce"


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(
    "op_type",
    [
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceL1",
        "ReduceL2",
        "ReduceSumSquare",
        "ReduceLogSumExp",
    ],
)
def test_reductions(op_type: str, keepdims: int) -> None:
    reduce = node(op_type, "x", "y", "r", axes=[1, -1], keepdims=keepdims)
    check(model([reduce], [value("x", [2, 3, 4, 5])], ["y"]))


def test_reduction_with_axes_as_input_and_over_everything() -> None:
    made = model(
        [node("ReduceSum", "x axes", "y", "r"), node("ReduceSum", "x", "z", "all", keepdims=0)],
        [value("x", [2, 3, 4])],
        ["y", "z"],
        {"axes": np.array([0])},
    )
    check(made)


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
def test_arg_reductions(op_type: str) -> None:
    made = model(
        [node(op_type, "x", "y", "a", axis=1)],
        [value("x", [2, 5, 3])],
        [value("y", [2, 1, 3], TensorProto.INT64)],
    )
    check(made)


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(("opset", "axis"), [(17, -1), (17, 1), (11, 1), (11, 2)])
def test_softmax(op_type: str, opset: int, axis: int) -> None:
    softmax = node(op_type, "x", "y", "s", axis=axis)
    made = model([softmax], [value("x", [2, 3, 4])], [value("y", [2, 3, 4])], opset=opset)
    feeds = random_feeds(made, 0)
    # the reference evaluator knows only the later meaning of axis
    (operator,) = check(made, feeds=feeds, expected=runtime_results(made, feeds)).planned
    normalised = [a.name for a in operator.expression.axes if a.role == "normalised"]
    assert normalised == (["d1", "d2"] if (opset, axis) == (11, 1) else [f"d{axis % 3}"])


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("inputs", ["x s", "x s b"])
def test_layer_norm(axis: int, inputs: str) -> None:
    shape = (4,) if axis == -1 else (3, 4)
    made = model(
        [node("LayerNormalization", inputs, "y", "ln", axis=axis, epsilon=1e-3)],
        [value("x", [2, 3, 4])],
        ["y"],
        {"s": weight(*shape), "b": weight(*shape)},
    )
    (operator,) = check(made).planned
    assert operator.expression.kernel == "rowwise"
    assert all(operand.fused for operand in operator.expression.inputs[1:])


def test_rms_norm() -> None:
    norm = node("RMSNormalization", "x s", "y", "rms", epsilon=1e-3)
    made = model([norm], [value("x", [2, 3, 4])], ["y"], {"s": weight(4)}, opset=23, ir_version=10)
    check(made)


def test_instance_norm_scales_channels() -> None:
    made = model(
        [node("InstanceNormalization", "x s b", "y", "in", epsilon=1e-3)],
        [value("x", [2, 3, 4, 5])],
        ["y"],
        {"s": weight(3), "b": weight(3)},
    )
    (operator,) = check(made).planned
    assert operator.expression.inputs[1].axes == ("d1",)


@pytest.mark.parametrize(
    "attributes", [{"size": 3}, {"size": 5, "alpha": 0.3, "beta": 0.6, "bias": 1.5}]
)
def test_lrn(attributes: dict[str, float]) -> None:
    lrn = node("LRN", "x", "y", "lrn", **attributes)
    made = model([lrn], [value("x", [2, 7, 3, 3])], [value("y", [2, 7, 3, 3])])
    feeds = random_feeds(made, 0)
    # the reference evaluator leaves channels beyond the batch size unnormalised
    check(made, feeds=feeds, expected=runtime_results(made, feeds))


@pytest.mark.parametrize("options", [{}, {"reverse": 1}, {"exclusive": 1}])
def test_cumsum(options: dict[str, int]) -> None:
    cumsum = node("CumSum", "x axis", "y", "cs", **options)
    check(model([cumsum], [value("x", [3, 5])], ["y"], {"axis": np.array(1)}))


def attention(inputs: str, outputs: str = "y", **attributes: object) -> object:
    return node("Attention", inputs, outputs, "attn", **attributes)


@pytest.mark.parametrize("mask", ["", "float", "bool"])
@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("causal", [0, 1])
def test_attention(mask: str, kv_heads: int, causal: int) -> None:
    inputs = [
        value("q", [2, 4, 5, 8]),
        value("k", [2, kv_heads, 6, 8]),
        value("v", [2, kv_heads, 6, 3]),
    ]
    if mask:
        kind = TensorProto.BOOL if mask == "bool" else TensorProto.FLOAT
        inputs.append(value("m", [5, 6], kind))
    made = model(
        [attention("q k v m" if mask else "q k v", is_causal=causal, softcap=1.5)],
        inputs,
        ["y"],
        opset=23,
        ir_version=10,
    )
    graph = check(made)
    assert graph.node_counts()["planned"] == 1
    assert graph.nodes[0].operator == "attn"
    assert [op.expression.kernel for op in graph.planned if op.name in ("attn", "attn.mix")] == [
        "matmul",
        "matmul",
    ]
    assert graph.flop_matmul_conv == 0


def test_packed_attention_with_a_cache() -> None:
    made = model(
        [
            attention(
                "q k v _ pk pv", "y k2 v2", q_num_heads=4, kv_num_heads=2, scale=0.3, is_causal=1
            )
        ],
        [
            value("q", [2, 3, 32]),
            value("k", [2, 3, 16]),
            value("v", [2, 3, 12]),
            value("pk", [2, 2, 4, 8]),
            value("pv", [2, 2, 4, 6]),
        ],
        ["y", "k2", "v2"],
        opset=23,
        ir_version=10,
    )
    graph = check(made)
    assert graph.tensor["k2"].shape == (2, 2, 7, 8)


UNARY = [
    "Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "LeakyRelu",
    "Neg", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Tanh",
]  # fmt: skip


@pytest.mark.parametrize("op_type", UNARY)
def test_unary_operators(op_type: str) -> None:
    (operator,) = check(model([node(op_type, "x", "y", "u")], [value("x", [2, 3])], ["y"])).planned
    assert operator.expression.body[0].op == op_type


def test_attributes_are_canonical() -> None:
    inputs = [value("x", [4])]
    first = check(model([node("LeakyRelu", "x", "y", "u")], inputs, ["y"]))
    second = check(model([node("LeakyRelu", "x", "y", "u", alpha=0.01)], inputs, ["y"]))
    assert first.planned[0].expression == second.planned[0].expression


@pytest.mark.parametrize(
    "op_type", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum", "PRelu"]
)
def test_binary_operators_broadcast(op_type: str) -> None:
    made = model(
        [node(op_type, "a b", "y", "o")], [value("a", [2, 3, 4]), value("b", [3, 1])], ["y"]
    )
    (operator,) = check(made).planned
    assert operator.expression.inputs[1].axes == ("d1",)


def test_logic_and_casts() -> None:
    made = model(
        [
            node("GreaterOrEqual", "a b", "ge", "ge"),
            node("Equal", "a b", "eq", "eq"),
            node("And", "ge m", "both", "and"),
            node("Where", "both a zero", "w", "where"),
            node("Cast", "both", "f", "cast", to=TensorProto.FLOAT),
            node("Not", "eq", "ne", "not"),
        ],
        [value("a", [3, 4]), value("b", [4]), value("m", [3, 1], TensorProto.BOOL)],
        [value("w", [3, 4]), value("f", [3, 4]), value("ne", [3, 4], TensorProto.BOOL)],
        {"zero": np.float32(0.5)},
    )
    check(made)


@pytest.mark.parametrize(("inputs", "literals"), [("x lo hi", 2), ("x lo", 2), ("x _ hi", 2)])
def test_clip(inputs: str, literals: int) -> None:
    made = model(
        [node("Clip", inputs, "y", "c")],
        [value("x", [3, 4])],
        ["y"],
        {"lo": np.float32(-0.25), "hi": np.float32(0.5)},
    )
    (operator,) = check(made).planned
    assert len(operator.inputs) == 1
    assert len(operator.expression.body[0].inputs) == 1 + literals


def test_composites_expand_by_the_standards_function() -> None:
    norm = node("MeanVarianceNormalization", "x", "y", "mvn", axes=[0, 2, 3])
    graph = check(model([norm], [value("x", [2, 3, 4, 4])], ["y"]))
    assert graph.node_counts()["planned"] == 1
    assert len(graph.planned) > 1


def test_composites_whose_body_depends_on_the_case_expand_too() -> None:
    crop = node("CenterCropPad", "x s", "y", "crop", axes=[0, 1])
    made = model([crop], [value("x", [6, 5])], ["y"], {"s": np.array([3, 7])}, opset=18)
    graph = check(made)
    assert [record.node_class for record in graph.nodes] == ["layout_only"]


def test_group_norm() -> None:
    norm = node("GroupNormalization", "x s b", "y", "gn", num_groups=2)
    constants = {"s": weight(4), "b": weight(4)}
    check(model([norm], [value("x", [2, 4, 3, 3])], ["y"], constants, opset=21, ir_version=10))


def test_nodes_without_an_expression_are_fallbacks() -> None:
    made = model(
        [
            node("Relu", "x", "r", "fine"),
            node("TopK", "r k", "v i", "second"),
            node("Det", "r", "d", "third"),
        ],
        [value("x", [4, 4])],
        ["v", "i", value("d", [])],
        {"k": np.array([2])},
    )
    graph = check(made)
    fates = {record.name: record.node_class for record in graph.nodes}
    assert (fates["fine"], fates["third"]) == (NodeClass.PLANNED, NodeClass.FALLBACK)
    assert graph.planned[-1].expression.kernel == "fallback"
    assert not any(axis.splittable for axis in graph.planned[-1].expression.axes)
