"""What joins its producer, what does not, and that the merged steps compute the same."""

from collections.abc import Mapping

import numpy as np
import pytest
from graph_numpy import check, lower
from onnx import NodeProto
from onnx_models import model, node, value

from t10c.ir.graph import Graph, LayoutOp, NodeClass, Operator

RNG = np.random.default_rng(4)
SQRT2 = np.float32(np.sqrt(2))


def weight(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def after_matmul(
    nodes: list[NodeProto],
    constants: Mapping[str, object] | None = None,
    outputs: str = "y",
    shape: tuple[int, ...] = (1, 4, 5),
) -> Graph:
    """A matmul `mm` of [1,4,5] or another shape with [5,6] into `c`, then the nodes."""
    return check(
        model(
            [node("MatMul", "a b", "c", "mm"), *nodes],
            [value("a", shape)],
            outputs.split(),
            {"b": weight(5, 6), **(constants or {})},
        )
    )


def epilogue(graph: Graph) -> list[str]:
    (operator,) = graph.planned
    return [step.op for step in operator.expression.epilogue]


def fates(graph: Graph) -> dict[str, tuple[NodeClass, str]]:
    return {record.name: (record.node_class, record.operator) for record in graph.nodes}


def test_bias_and_activation_join_the_matmul() -> None:
    nodes = [node("Add", "bias c", "d", "add"), node("Relu", "d", "y", "relu")]
    graph = after_matmul(nodes, {"bias": weight(6)})
    assert epilogue(graph) == ["Add", "Relu"]
    (operator,) = graph.planned
    assert operator.nodes == ("mm", "add", "relu")
    assert operator.expression.inputs[2].fused
    assert operator.expression.inputs[2].axes == ("n",)
    assert fates(graph) == {
        "mm": (NodeClass.PLANNED, "mm"),
        "add": (NodeClass.FUSED, "mm"),
        "relu": (NodeClass.FUSED, "mm"),
    }


def gelu_erf(x: str, y: str) -> list[NodeProto]:
    return [
        node("Div", f"{x} sqrt2", "g0"),
        node("Erf", "g0", "g1"),
        node("Add", "g1 one", "g2"),
        node("Mul", f"{x} g2", "g3"),
        node("Mul", "g3 half", y),
    ]


def gelu_tanh(x: str, y: str) -> list[NodeProto]:
    return [
        node("Mul", f"{x} half", "g0"),
        node("Pow", f"{x} three", "g1"),
        node("Mul", "g1 cubic", "g2"),
        node("Add", f"{x} g2", "g3"),
        node("Mul", "g3 sqrt2", "g4"),
        node("Tanh", "g4", "g5"),
        node("Add", "g5 one", "g6"),
        node("Mul", "g0 g6", y),
    ]


def silu(x: str, y: str) -> list[NodeProto]:
    return [node("Sigmoid", x, "g0"), node("Mul", f"{x} g0", y)]


def safe(x: str, y: str) -> list[NodeProto]:
    return [node("IsNaN", x, "g0"), node("Where", f"g0 zero {x}", y)]


SCALARS = {
    "sqrt2": SQRT2,
    "one": np.float32(1),
    "half": np.array([0.5], np.float32),
    "three": np.float32(3),
    "cubic": np.float32(0.044715),
    "zero": np.float32(0),
}


@pytest.mark.parametrize("activation", [gelu_erf, gelu_tanh, silu, safe])
def test_graphs_of_unary_steps_join_as_a_whole(activation: object) -> None:
    graph = after_matmul(
        [node("Add", "c bias", "d"), *activation("d", "y")],  # type: ignore[operator]
        {"bias": weight(6), **SCALARS},
    )
    assert len(graph.operators) == 1
    assert len(graph.planned[0].inputs) == 3


@pytest.mark.parametrize("activation", [gelu_erf, gelu_tanh, silu, safe])
def test_they_are_one_pointwise_operator_without_a_producer(activation: object) -> None:
    made = model(activation("x", "y"), [value("x", [3, 4])], ["y"], SCALARS)  # type: ignore[operator]
    (operator,) = check(made).planned
    # steps that read the input again stay in the body: the epilogue runs when it may be elsewhere
    assert not any("A" in step.inputs for step in operator.expression.epilogue)


def test_residual_add_stays_and_takes_the_activation() -> None:
    graph = after_matmul(
        [
            node("MatMul", "a b2", "r", "mm2"),
            node("Add", "c r", "s", "add"),
            node("Relu", "s", "y", "relu"),
        ],
        {"b2": weight(5, 6)},
    )
    assert [(op.name, op.nodes) for op in graph.operators] == [
        ("mm", ("mm",)),
        ("mm2", ("mm2",)),
        ("add", ("add", "relu")),
    ]


def test_a_graph_output_stays_visible() -> None:
    graph = after_matmul([node("Relu", "c", "y", "relu")], outputs="c y")
    assert [op.name for op in graph.operators] == ["mm", "relu"]


def test_a_result_with_two_readers_is_not_computed_twice() -> None:
    nodes = [
        node("Relu", "c", "d", "relu"),
        node("Mul", "d two", "y", "double"),
        node("Add", "d two", "z", "shift"),
    ]
    graph = after_matmul(nodes, {"two": np.float32(2)}, outputs="y z")
    assert [op.nodes for op in graph.planned] == [("mm", "relu"), ("double",), ("shift",)]


def test_a_broadcasting_consumer_is_not_fused() -> None:
    made = model(
        [node("ReduceMax", "x", "r", "red", axes=[1]), node("Add", "r w", "y", "add")],
        [value("x", [4, 5])],
        ["y"],
        {"w": weight(4, 5)},
    )
    assert [op.name for op in check(made).operators] == ["red", "add"]


def test_a_weight_larger_than_the_inputs_is_not_held_whole() -> None:
    made = model(
        [node("MatMul", "a b", "c", "mm"), node("Add", "c w", "y", "add")],
        [value("a", [8, 2]), value("b", [2, 8])],
        ["y"],
        {"w": weight(8, 8)},
    )
    assert [op.name for op in check(made).operators] == ["mm", "add"]


def test_reshapes_of_unit_dimensions_do_not_part_a_group() -> None:
    graph = after_matmul(
        [
            node("Reshape", "c shape", "d", "view"),
            node("Add", "d bias", "e", "add"),
            node("Relu", "e", "y", "relu"),
        ],
        {"shape": np.array([4, 1, 6]), "bias": weight(1, 6)},
    )
    assert epilogue(graph) == ["Add", "Relu"]
    assert graph.tensor["y"].shape == (4, 1, 6)
    assert fates(graph)["view"] == (NodeClass.FUSED, "mm")


def heads(scale: str) -> list[NodeProto]:
    return [
        node("Reshape", "c shape", "v", "view"),
        node("Transpose", "v", "t", "heads", perm=[0, 2, 1, 3]),
        node("Mul", f"t {scale}", "y", "scale"),
    ]


def test_a_scalar_factor_moves_above_layout_operators() -> None:
    graph = after_matmul(
        [*heads("half"), node("Relu", "v", "unused", "dead")],
        {"shape": np.array([1, 4, 2, 3]), "half": np.float32(0.5)},
    )
    assert [type(op) for op in graph.operators] == [Operator, LayoutOp, LayoutOp]
    assert epilogue(graph) == ["Mul"]
    assert graph.operators[-1].output == "y"


def test_but_not_past_a_tensor_with_other_readers() -> None:
    graph = after_matmul(
        heads("half"), {"shape": np.array([1, 4, 2, 3]), "half": np.float32(0.5)}, outputs="y v"
    )
    assert [op.name for op in graph.operators] == ["mm", "view", "heads", "scale"]


@pytest.mark.parametrize("op_type", ["Mul", "Div"])
def test_a_factor_on_a_cache_moves_behind_the_matmul(op_type: str) -> None:
    made = model(
        [
            node("Transpose", "k", "t", "flip", perm=[0, 2, 1]),
            node(op_type, "t factor", "s", "scale"),
            node("MatMul", "q s", "c", "mm"),
            node("Relu", "c", "y", "relu"),
        ],
        [value("q", [2, 3, 4]), value("k", [2, 5, 4])],
        ["y"],
        {"factor": np.float32(0.25)},
    )
    graph = check(made)
    assert [op.name for op in graph.operators] == ["flip", "mm"]
    assert epilogue(graph) == [op_type, "Relu"]


def test_a_factor_on_both_operands_stays() -> None:
    nodes = [node("Mul", "x half", "s", "scale"), node("MatMul", "s s", "y", "mm")]
    graph = check(model(nodes, [value("x", [4, 4])], ["y"], SCALARS))
    assert [op.name for op in graph.operators] == ["scale", "mm"]


def test_a_literal_divided_by_a_tensor_does_not_move_behind_the_matmul() -> None:
    made = model(
        [node("Div", "one k", "s", "invert"), node("MatMul", "q s", "y", "mm")],
        [value("q", [3, 4]), value("k", [4, 5])],
        ["y"],
        {"one": np.float32(1)},
    )
    assert [op.name for op in check(made).operators] == ["invert", "mm"]


def test_repeated_nodes_are_computed_once() -> None:
    nodes = [
        node("Relu", "x", "a", "first"),
        node("Relu", "x", "b", "second"),
        node("MatMul", "a b", "y", "mm"),
    ]
    graph = check(model(nodes, [value("x", [4, 4])], ["y"]))
    assert [op.name for op in graph.planned] == ["first", "mm"]
    assert fates(graph)["second"] == (NodeClass.FUSED, "first")


def test_repeated_outputs_both_exist() -> None:
    nodes = [node("Relu", "x", "a", "first"), node("Relu", "x", "b", "second")]
    assert len(check(model(nodes, [value("x", [4, 4])], ["a", "b"])).planned) == 2


def test_a_weight_used_twice_is_one_fused_operand() -> None:
    graph = after_matmul([node("Add", "c w", "d"), node("Mul", "d w", "y")], {"w": weight(6)})
    assert [operand.name for operand in graph.planned[0].expression.inputs] == ["A", "B", "F0"]


def test_epilogue_of_a_grouped_conv_addresses_its_channels() -> None:
    made = model(
        [
            node("Conv", "x w", "c", "conv", group=2),
            node("Mul", "c scale", "d", "mul"),
            node("Clip", "d low", "y", "clip"),
        ],
        [value("x", [1, 4, 5, 5])],
        ["y"],
        {"w": weight(6, 2, 3, 3), "scale": weight(1, 6, 1, 1), "low": np.float32(0)},
    )
    (operator,) = check(made).planned
    (fused,) = [operand for operand in operator.expression.inputs if operand.fused]
    assert fused.dims[1].terms == (("g", 3), ("o", 1))


def test_pool_gather_softmax_and_reduce_take_epilogues_too() -> None:
    nodes = [
        node("MaxPool", "x", "p", "pool", kernel_shape=[2, 2]),
        node("Neg", "p", "n"),
        node("Softmax", "n", "s", "softmax", axis=-1),
        node("Mul", "s two", "t"),
        node("ReduceMean", "t", "r", "mean", axes=[2, 3]),
        node("Sqrt", "r", "q"),
    ]
    graph = check(
        model(nodes, [value("x", [1, 3, 6, 6])], ["q"], {"two": np.float32(2)}),
    )
    assert [op.name for op in graph.operators] == ["pool", "softmax", "mean"]


def test_pointwise_operators_with_one_reader_join_it() -> None:
    nodes = [
        node("Mul", "q cos", "p", "mul1"),
        node("Mul", "r sin", "t", "mul2"),
        node("Add", "p t", "s", "add"),
        node("Mul", "s half", "y", "scale"),
    ]
    inputs = [value("q", [2, 3, 4]), value("r", [2, 3, 4]), value("cos", [3, 4]), value("sin", [4])]
    (operator,) = check(model(nodes, inputs, ["y"], SCALARS)).planned
    assert operator.inputs == ("r", "sin", "q", "cos")
    assert [step.op for step in operator.expression.body] == ["Mul", "Mul", "Add", "Mul"]


def test_joined_operators_read_no_more_than_four_tensors() -> None:
    nodes = [node("Add", "a b", "s1")]
    nodes += [node("Add", f"s{i} {t}", f"s{i + 1}") for i, t in enumerate("cdef", start=1)]
    made = model(nodes, [value(name, [3, 4]) for name in "abcdef"], ["s5"])
    assert [len(operator.inputs) for operator in check(made).planned] == [4, 3]


def test_joining_keeps_fused_operands_and_epilogues_in_order() -> None:
    nodes = [
        node("Add", "a b", "s"),
        node("Mul", "s w", "t"),
        node("Relu", "t", "u"),
        node("Sub", "u c", "v"),
        node("Mul", "v w", "y"),
    ]
    made = model(nodes, [value(name, [3, 4]) for name in "abc"], ["y"], {"w": weight(4)})
    (operator,) = check(made).planned
    assert [o.fused for o in operator.expression.inputs] == [False, False, True, False]


def test_lowering_is_deterministic() -> None:
    made = model(gelu_tanh("x", "y"), [value("x", [3, 4])], ["y"], SCALARS)
    assert lower(made) == lower(made)
