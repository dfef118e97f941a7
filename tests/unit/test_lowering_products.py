"""MatMul, Gemm and Conv against the reference evaluator."""

import numpy as np
import pytest
from graph_numpy import check, lower, random_feeds, runtime_results
from onnx_models import model, node, value

RNG = np.random.default_rng(1)


def weight(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def roles(graph: object) -> dict[str, str]:
    return {a.name: a.role for a in graph.planned[0].expression.axes}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("left", "right", "axes"),
    [
        ((4, 5), (5, 3), {"m": "m", "n": "n", "k": "k"}),
        ((1, 4, 5), (5, 3), {"m": "m", "n": "n", "k": "k"}),
        ((2, 4, 5), (5, 3), {"m0": "m", "m1": "m", "n": "n", "k": "k"}),
        ((2, 3, 4, 5), (2, 3, 5, 6), {"b0": "batch", "b1": "batch", "m": "m", "n": "n", "k": "k"}),
        ((2, 1, 4, 5), (2, 3, 5, 6), {"b": "batch", "n0": "n", "m": "m", "n1": "n", "k": "k"}),
        ((2, 3, 1, 5), (1, 3, 5, 6), {"m": "m", "b": "batch", "n": "n", "k": "k"}),
        ((4, 5), (3, 5, 6), {"n0": "n", "m": "m", "n1": "n", "k": "k"}),
        ((5,), (5, 3), {"n": "n", "k": "k"}),
        ((2, 4, 5), (5,), {"m0": "m", "m1": "m", "k": "k"}),
        ((4, 1), (1, 3), {"m": "m", "n": "n"}),
    ],
)
def test_matmul_broadcasts_as_numpy_does(
    left: tuple[int, ...], right: tuple[int, ...], axes: dict[str, str]
) -> None:
    made = model([node("MatMul", "a b", "y", "mm")], [value("a", left), value("b", right)], ["y"])
    graph = check(made)
    assert roles(graph) == axes
    assert graph.flop_matmul_conv == 2 * graph.planned[0].expression.points


def test_matmul_reads_an_expanded_operand_unexpanded() -> None:
    made = model(
        [node("Expand", "b shape", "wide", "expand"), node("MatMul", "a wide", "y", "mm")],
        [value("a", [2, 3, 4, 5]), value("b", [2, 1, 5, 6])],
        ["y"],
        {"shape": np.array([2, 3, 5, 6])},
    )
    graph = check(made)
    assert [op.name for op in graph.operators] == ["mm"]
    assert graph.node_counts()["fused"] == 1


def test_matmul_does_not_skip_an_expansion_of_its_rows() -> None:
    made = model(
        [node("Expand", "b shape", "wide", "expand"), node("MatMul", "a wide", "y", "mm")],
        [value("a", [4, 5]), value("b", [1, 6])],
        ["y"],
        {"shape": np.array([5, 6])},
    )
    assert [op.name for op in check(made).operators] == ["expand", "mm"]


@pytest.mark.parametrize(("trans_a", "trans_b"), [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("addend", [(3,), (4, 3), (4, 1), ()])
def test_gemm(
    trans_a: int, trans_b: int, alpha: float, beta: float, addend: tuple[int, ...]
) -> None:
    a = (5, 4) if trans_a else (4, 5)
    b = (3, 5) if trans_b else (5, 3)
    gemm = node(
        "Gemm", "a b c", "y", "gemm", transA=trans_a, transB=trans_b, alpha=alpha, beta=beta
    )
    made = model([gemm], [value("a", a)], ["y"], {"b": weight(*b), "c": weight(*addend)})
    graph = check(made)
    assert len(graph.operators) == 1
    assert graph.flop_matmul_conv == 2 * 4 * 3 * 5


def test_gemm_with_an_activation_as_addend_adds_it_on_its_own() -> None:
    made = model(
        [node("Gemm", "a b c", "y", "gemm")],
        [value("a", [4, 5]), value("c", [4, 3])],
        ["y"],
        {"b": weight(5, 3)},
    )
    assert [op.name for op in check(made).operators] == ["gemm", "gemm.bias"]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 3]},
        {"pads": [1, 0, 2, 1]},
        {"dilations": [2, 1], "pads": [2, 1, 2, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"auto_pad": "VALID"},
    ],
)
def test_conv_windows(attributes: dict[str, object]) -> None:
    made = model(
        [node("Conv", "x w b", "y", "conv", **attributes)],
        [value("x", [2, 3, 9, 10])],
        [value("y", [2, 4, None, None])],
        {"w": weight(4, 3, 3, 2), "b": weight(4)},
    )
    feeds = random_feeds(made, 0)
    # older reference evaluators do not know auto_pad
    assert len(check(made, feeds=feeds, expected=runtime_results(made, feeds)).operators) == 1


@pytest.mark.parametrize(
    ("channels", "kernel", "group", "axes"),
    [
        (4, (4, 4, 1, 1), 1, ["o", "c", "h", "w"]),
        (6, (6, 1, 3, 3), 6, ["g", "h", "w", "kh", "kw"]),
        (6, (12, 1, 3, 3), 6, ["g", "o", "h", "w", "kh", "kw"]),
        (6, (4, 3, 3, 3), 2, ["g", "o", "c", "h", "w", "kh", "kw"]),
    ],
)
def test_grouped_conv_with_batch_norm_and_relu(
    channels: int, kernel: tuple[int, ...], group: int, axes: list[str]
) -> None:
    outputs = kernel[0]
    constants = {
        "w": weight(*kernel),
        "gamma": weight(outputs),
        "beta": weight(outputs),
        "mean": weight(outputs),
        "var": np.abs(weight(outputs)) + 0.5,
    }
    made = model(
        [
            node("Conv", "x w", "c", "conv", group=group),
            node("BatchNormalization", "c gamma beta mean var", "n", "bn", epsilon=1e-3),
            node("Relu", "n", "y", "relu"),
        ],
        [value("x", [1, channels, 6, 5])],
        ["y"],
        constants,
    )
    graph = check(made)
    (conv,) = graph.planned
    assert [axis.name for axis in conv.expression.axes] == axes
    assert [step.op for step in conv.expression.epilogue] == ["Mul", "Add", "Relu"]
    assert conv.inputs[2:] == ("bn.scale", "bn.shift")
    assert [operand.fused for operand in conv.expression.inputs] == [False, False, True, True]
    assert [graph.tensor[name].kind for name in conv.inputs[2:]] == ["weight", "weight"]
    assert {r.name: r.operator for r in graph.nodes} == dict.fromkeys(
        ["conv", "bn", "relu"], "conv"
    )


@pytest.mark.parametrize("shape", [(1, 2, 7), (2, 2, 4, 5, 4)])
def test_conv_in_one_and_three_dimensions(shape: tuple[int, ...]) -> None:
    kernel = weight(3, 2, *([2] * (len(shape) - 2)))
    made = model([node("Conv", "x w", "y", "conv")], [value("x", shape)], ["y"], {"w": kernel})
    graph = check(made)
    assert graph.flop_matmul_conv == 2 * graph.planned[0].expression.points


def test_batch_norm_alone_is_pointwise() -> None:
    names = ("gamma", "beta", "mean")
    constants = {name: weight(3) for name in names} | {"var": np.full(3, 2, np.float32)}
    made = model(
        [node("BatchNormalization", "x gamma beta mean var", "y", "bn")],
        [value("x", [2, 3, 4, 4])],
        ["y"],
        constants,
    )
    (operator,) = check(made).planned
    assert operator.expression.kernel == "pointwise"


def test_no_axis_has_length_one() -> None:
    made = model(
        [node("Conv", "x w", "y", "conv")],
        [value("x", [1, 1, 1, 8])],
        ["y"],
        {"w": weight(1, 1, 1, 3)},
    )
    assert [a.name for a in lower(made).planned[0].expression.axes] == ["w", "kw"]
