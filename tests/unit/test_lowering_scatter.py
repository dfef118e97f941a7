"""Scatters against ONNX Runtime: indices as data and known ones, all reductions."""

import numpy as np
import onnx
import pytest
from graph_numpy import check, runtime_results
from onnx_models import model, node, value

from t10c.ir.graph import Graph
from t10c.onnx_import.importer import import_model
from t10c.onnx_import.lowering import scatter_rows

RNG = np.random.default_rng(5)


def scatter(
    op_type: str,
    shape: tuple[int, ...],
    indices: np.ndarray,
    updates: tuple[int, ...],
    known: bool,
    dtype: str = "float32",
    **attributes: object,
) -> Graph:
    """Lower and compare with ONNX Runtime."""
    data, new = ((RNG.standard_normal(s) * 9).astype(dtype) for s in (shape, updates))
    feeds = {"d": data, "x": indices, "u": new}
    constants = {"x": feeds.pop("x")} if known else {}
    infos = [
        value(n, a.shape, onnx.helper.np_dtype_to_tensor_dtype(a.dtype)) for n, a in feeds.items()
    ]
    made = model([node(op_type, "d x u", "y", "s", **attributes)], infos, ["y"], constants, 18)
    graph = check(made, feeds=feeds, expected=runtime_results(made, feeds))
    assert graph.node_counts()["fallback"] == 0
    return graph


def kernels(graph: Graph) -> list[str]:
    return [op.expression.kernel for op in graph.planned]


def distinct(shape: tuple[int, ...], axis: int, size: int) -> np.ndarray:
    """Indices without repetitions along the axis, some of them negative."""
    order = np.argsort(RNG.random((*shape[:axis], size, *shape[axis + 1 :])), axis=axis)
    picked = np.take(order, range(shape[axis]), axis=axis)
    return np.where(RNG.random(picked.shape) < 0.4, picked - size, picked)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize(
    ("shape", "box", "axis"),
    [
        ((6,), (4,), 0),
        ((3, 5), (3, 2), 1),
        ((3, 5), (2, 2), -1),
        ((4, 5, 3), (2, 3, 2), 1),
        ((4, 5, 3), (3, 5, 1), 0),
        ((2, 1, 4), (2, 1, 3), 2),
        ((4, 3), (1, 3), 0),
        ((2, 7), (2, 7), 1),
    ],
)
def test_elements(
    shape: tuple[int, ...], box: tuple[int, ...], axis: int, reduction: str, known: bool
) -> None:
    axis %= len(shape)
    indices = distinct(box, axis, shape[axis])
    scatter("ScatterElements", shape, indices, box, known, axis=axis, reduction=reduction)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_repeated_places_are_reduced(reduction: str, dtype: str, known: bool) -> None:
    indices = RNG.integers(-3, 3, (2, 6))
    graph = scatter(
        "ScatterElements", (2, 3), indices, (2, 6), known, dtype, axis=1, reduction=reduction
    )
    assert "reduce" in kernels(graph)
    rows = RNG.integers(0, 4, (6, 1))
    scatter("ScatterND", (4, 3), rows, (6, 3), known, dtype, reduction=reduction)


def test_last_of_repeated_updates_wins() -> None:
    indices = np.array([[2, 2, 0, 2]])
    for known in (False, True):
        scatter("ScatterElements", (1, 4), indices, (1, 4), known, axis=1)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize(
    ("shape", "count", "width"),
    [((5, 3, 2), (4,), 1), ((5, 3, 2), (2, 2), 2), ((3, 4), (5,), 2), ((6, 2), (1,), 1)],
)
def test_tuples(
    shape: tuple[int, ...], count: tuple[int, ...], width: int, reduction: str, known: bool
) -> None:
    places = RNG.permutation(int(np.prod(shape[:width])))[: int(np.prod(count))]
    indices = np.stack(np.unravel_index(places, shape[:width]), -1).reshape(*count, width)
    indices[..., 0] -= shape[0] * (RNG.random(count) < 0.4)
    updates = (*count, *shape[width:])
    graph = scatter("ScatterND", shape, indices, updates, known, reduction=reduction)
    if known or count == (1,):
        assert "reduce" not in kernels(graph)


def test_known_run_of_rows_is_joined() -> None:
    graph = scatter("ScatterND", (7, 3), np.array([[2], [3], [4]]), (3, 3), True)
    assert not graph.planned
    graph = scatter("ScatterND", (7, 3), np.array([[2], [4], [3]]), (3, 3), True)
    assert kernels(graph) == ["gather", "pointwise"]


def test_one_row_is_one_comparison() -> None:
    graph = scatter("ScatterND", (1, 7, 3), np.array([[0, 5]]), (1, 3), False)
    assert kernels(graph) == ["pointwise", "pointwise"]  # the place, then the choice


def test_sum_of_rows_is_a_product() -> None:
    graph = scatter("ScatterND", (7, 3), RNG.integers(0, 7, (9, 1)), (9, 3), False, reduction="add")
    assert kernels(graph) == ["pointwise", "pointwise", "matmul", "pointwise"]
    assert graph.planned[2].expression.points == 7 * 9 * 3


def test_search_that_is_too_large_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scatter_rows, "SEARCH_LIMIT", 7 * 9 - 1)
    made = model(
        [node("ScatterND", "d x u", "y", "s")],
        [value("d", [7, 3]), value("x", [9, 1], onnx.TensorProto.INT64), value("u", [9, 3])],
        ["y"],
        opset=18,
    )
    (record,) = import_model(made.SerializeToString()).nodes
    assert record.note == "63 pairs of a place and an update are more than 62"


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("mode", ["linear", "circular"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_cache(axis: int, count: int, mode: str, known: bool) -> None:
    shape = [2, 5, 6, 4]
    if axis == 1:
        shape = [2, 6, 4]
    size = shape[axis]
    new = [*shape]
    new[axis] = count
    starts = RNG.integers(0, size if mode == "circular" else size - count + 1, 2)
    feeds = {
        "c": RNG.standard_normal(shape).astype(np.float32),
        "u": RNG.standard_normal(new).astype(np.float32),
    }
    infos = [value("c", shape), value("u", new)]
    if not known:
        feeds["w"] = starts
        infos.append(value("w", [2], onnx.TensorProto.INT64))
    made = model(
        [node("TensorScatter", "c u w", "y", "s", axis=axis, mode=mode)],
        infos,
        ["y"],
        {"w": starts} if known else {},
        opset=24,
    )
    graph = check(made, feeds=feeds)
    assert graph.node_counts()["fallback"] == 0
    assert ("gather" in kernels(graph)) <= (count > 1)
