"""Decomposed composites come back as one row-wise operator."""

import numpy as np
import pytest
from graph_numpy import check
from onnx import NodeProto
from onnx_models import model, node, value

from t10c.ir.graph import Graph

RNG = np.random.default_rng(5)
CONSTANTS = {
    "two": np.float32(2),
    "eps": np.float32(1e-3),
    "one": np.float32(1),
    "gamma": RNG.standard_normal(6).astype(np.float32),
    "beta": RNG.standard_normal(6).astype(np.float32),
}


def run(nodes: list[NodeProto], shape: tuple[int, ...] = (2, 3, 6), outputs: str = "y") -> Graph:
    made = model(nodes, [value("x", shape)], outputs.split(), CONSTANTS)
    return check(made)


def mean(source: str, target: str, name: str, axes: tuple[int, ...] = (-1,)) -> NodeProto:
    return node("ReduceMean", source, target, name, axes=list(axes), keepdims=1)


def layer_norm(square: str, last: str, twice: bool) -> list[NodeProto]:
    nodes = [mean("x", "mu", "m1"), node("Sub", "x mu", "d", "sub")]
    other = "d"
    if twice:
        nodes.append(node("Sub", "x mu", "d2", "sub2"))
        other = "d2"
    nodes += [
        node("Pow", "d two", "sq", "sq") if square == "Pow" else node("Mul", "d d", "sq", "sq"),
        mean("sq", "var", "m2"),
        node("Add", "eps var", "ve", "add"),
        node("Sqrt", "ve", "sd", "sqrt"),
    ]
    if last == "Div":
        nodes.append(node("Div", f"{other} sd", "n", "last"))
    else:
        nodes.append(
            node("Reciprocal", "sd", "inv", "inv")
            if last == "Reciprocal"
            else node("Div", "one sd", "inv", "inv")
        )
        nodes.append(node("Mul", f"inv {other}", "n", "last"))
    return [*nodes, node("Mul", "gamma n", "g", "gamma"), node("Add", "g beta", "y", "beta")]


@pytest.mark.parametrize("square", ["Pow", "Mul"])
@pytest.mark.parametrize("last", ["Div", "Reciprocal", "One"])
@pytest.mark.parametrize("twice", [False, True])
def test_layer_norm(square: str, last: str, twice: bool) -> None:
    graph = run(layer_norm(square, last, twice))
    (operator,) = graph.operators
    assert operator.op_type == "LayerNormalization"
    assert operator.name == "last"
    assert graph.node_counts()["planned"] == 1
    assert graph.node_counts()["fused"] == len(graph.nodes) - 1


def test_it_equals_the_standard_operator() -> None:
    standard = run([node("LayerNormalization", "x gamma beta", "y", "ln", epsilon=1e-3)])
    decomposed = run(layer_norm("Mul", "Div", False))
    one, other = standard.planned[0].expression, decomposed.planned[0].expression
    assert (one.axes, one.inputs, one.body) == (other.axes, other.inputs, other.body)
    assert [step.op for step in one.epilogue] == [step.op for step in other.epilogue]


def test_layer_norm_over_channels() -> None:
    nodes = [
        mean("x", "mu", "m1", (1,)),
        node("Sub", "x mu", "d"),
        node("Mul", "d d", "sq"),
        mean("sq", "var", "m2", (1,)),
        node("Add", "var eps", "ve"),
        node("Sqrt", "ve", "sd"),
        node("Div", "d sd", "y", "last"),
    ]
    (operator,) = run(nodes).operators
    assert [a.name for a in operator.expression.axes if not a.splittable] == ["d1"]


def rms_norm(last: str, axes: tuple[int, ...] = (-1,)) -> list[NodeProto]:
    nodes = [
        node("Pow", "x two", "sq"),
        mean("sq", "ms", "m", axes),
        node("Add", "ms eps", "e"),
        node("Sqrt", "e", "rms"),
    ]
    if last == "Div":
        return [*nodes, node("Div", "x rms", "n", "last"), node("Mul", "n gamma", "y")]
    inverse = node("Reciprocal", "rms", "inv")
    if last == "One":
        inverse = node("Div", "one rms", "inv")
    return [*nodes, inverse, node("Mul", "x inv", "n", "last"), node("Mul", "gamma n", "y")]


@pytest.mark.parametrize("last", ["Div", "Reciprocal", "One"])
def test_rms_norm(last: str) -> None:
    (operator,) = run(rms_norm(last)).operators
    assert operator.op_type == "RMSNormalization"
    assert [step.op for step in operator.expression.epilogue] == ["Mul"]


def test_a_result_that_is_needed_elsewhere_prevents_the_match() -> None:
    graph = run(rms_norm("Div"), outputs="y ms")
    assert "rowwise" not in {op.expression.kernel for op in graph.planned}
    assert "reduce" in {op.expression.kernel for op in graph.planned}


def test_a_centred_value_that_is_needed_elsewhere_is_normalised_by_rms() -> None:
    graph = run(layer_norm("Mul", "Div", False), outputs="y d")
    assert [op.op_type for op in graph.planned] == ["ReduceMean", "Sub", "RMSNormalization"]


def test_other_exponents_and_divisors_are_not_norms() -> None:
    nodes = rms_norm("Div")
    nodes[0] = node("Pow", "x one", "sq")
    nodes[2] = node("Add", "ms ms", "e")
    feeds_positive = [node("Abs", "x0", "x"), *nodes]
    made = model(feeds_positive, [value("x0", [2, 3, 6])], ["y"], CONSTANTS)
    assert "rowwise" not in {op.expression.kernel for op in check(made).planned}


def softmax(shifted: bool, sum_axis: int = -1) -> list[NodeProto]:
    head = [node("Exp", "x", "e", "exp")]
    if shifted:
        head = [
            node("ReduceMax", "x", "m", "max", axes=[-1], keepdims=1),
            node("Sub", "x m", "s", "sub"),
            node("Exp", "s", "e", "exp"),
        ]
    axes = f"axis{-sum_axis}"
    CONSTANTS[axes] = np.array([sum_axis])
    return [*head, node("ReduceSum", f"e {axes}", "t", "sum"), node("Div", "e t", "y", "last")]


@pytest.mark.parametrize("shifted", [True, False])
def test_softmax(shifted: bool) -> None:
    graph = run(softmax(shifted))
    (operator,) = graph.operators
    assert operator.op_type == "Softmax"
    assert operator.expression.epilogue == ()
    assert len(operator.nodes) == len(graph.nodes)


def test_softmax_with_the_maximum_over_another_axis_keeps_the_difference() -> None:
    graph = run(softmax(True, -2))
    assert [op.op_type for op in graph.planned] == ["ReduceMax", "Sub", "Softmax"]
