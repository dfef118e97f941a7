"""Trilu, EyeLike, OneHot and Hardmax against ONNX Runtime, and what they become."""

import numpy as np
import pytest
from graph_numpy import check, runtime_results
from onnx import TensorProto
from onnx_models import model, node, value

from t10c.ir.graph import Graph

RNG = np.random.default_rng(3)


def kernels(graph: Graph) -> list[str]:
    assert graph.node_counts()["fallback"] == 0
    return [op.expression.kernel for op in graph.planned]


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 5), (5, 1), (1, 5), (3, 1, 4, 2)])
@pytest.mark.parametrize("k", [None, -7, -1, 0, 2, 7])
@pytest.mark.parametrize("upper", [0, 1])
def test_trilu(shape: tuple[int, ...], k: int | None, upper: int) -> None:
    inputs = "x" if k is None else "x k"
    constants = {} if k is None else {"k": np.int64(k)}
    made = model(
        [node("Trilu", inputs, "y", "t", upper=upper)], [value("x", shape)], ["y"], constants
    )
    check(made)
    if k is not None:
        infos = [value("x", shape), value("k", [], TensorProto.INT64)]
        made = model([node("Trilu", "x k", "y", "t", upper=upper)], infos, ["y"])
        x = RNG.standard_normal(shape).astype(np.float32)
        assert kernels(check(made, feeds={"x": x, "k": np.int64(k)})) == ["pointwise"]


def test_trilu_of_integers_and_truth_values() -> None:
    for kind in (TensorProto.INT64, TensorProto.BOOL):
        made = model([node("Trilu", "x", "y", "t")], [value("x", [3, 4], kind)], ["y"])
        assert kernels(check(made)) == ["pointwise"]


def test_eye_is_a_weight() -> None:
    for k, dtype in ((0, TensorProto.FLOAT), (-1, TensorProto.INT32), (2, TensorProto.DOUBLE)):
        made = model(
            [node("EyeLike", "x", "e", "eye", k=k, dtype=dtype), node("Neg", "e", "y", "neg")],
            [value("x", [3, 4])],
            ["y"],
        )
        assert kernels(check(made)) == ["pointwise"]


@pytest.mark.parametrize("axis", [-1, 0, 1, -2])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("kind", ["int64", "int32", "float32", "uint8"])
def test_one_hot(axis: int, known: bool, kind: str) -> None:
    low = 0 if kind == "uint8" else -7
    indices = RNG.integers(low, 7, (3, 4)).astype(kind)
    values = np.array([-2.5, 4.0], np.float32)
    constants = {"depth": np.array([5], np.int64)} | ({"v": values} if known else {})
    types = {
        "int64": TensorProto.INT64,
        "int32": TensorProto.INT32,
        "float32": TensorProto.FLOAT,
        "uint8": TensorProto.UINT8,
    }
    infos = [value("x", [3, 4], types[kind])] + ([] if known else [value("v", [2])])
    made = model([node("OneHot", "x depth v", "y", "o", axis=axis)], infos, ["y"], constants)
    feeds = {"x": indices} | ({} if known else {"v": values})
    ends = np.moveaxis(indices.astype(np.int64)[..., None] % 5 == np.arange(5), -1, axis)
    inside = np.expand_dims((indices >= -5) & (indices < 5), axis if axis != -1 else 2)
    if axis == -2:
        inside = np.expand_dims((indices >= -5) & (indices < 5), 1)
    expected = np.where(ends & inside, values[1], values[0])
    assert set(kernels(check(made, feeds=feeds, expected=[expected]))) == {"pointwise"}


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1, -3])
def test_hardmax(axis: int | None, opset: int) -> None:
    attributes = {} if axis is None else {"axis": axis}
    made = model(
        [node("Hardmax", "x", "y", "h", **attributes)], [value("x", [2, 3, 4])], ["y"], opset=opset
    )
    x = RNG.integers(0, 3, (2, 3, 4)).astype(np.float32)  # with equal ones: the first counts
    graph = check(made, feeds={"x": x}, expected=runtime_results(made, {"x": x}))
    assert kernels(graph) == ["reduce", "pointwise"]


def test_dropout_mask_is_a_weight() -> None:
    nodes = [node("Dropout", "x", "y m", "d"), node("Not", "m", "z", "not")]
    made = model(nodes, [value("x", [2, 3])], ["y", "z"])
    graph = check(made)
    assert graph.node_counts()["fallback"] == 0


def test_dropout_in_training_is_named() -> None:
    made = model(
        [node("Dropout", "x r t", "y", "d")],
        [value("x", [2, 3])],
        ["y"],
        {"r": np.float32(0), "t": np.bool_(True)},
    )
    assert check(made).node_counts()["fallback"] == 0  # nothing is dropped at ratio 0
