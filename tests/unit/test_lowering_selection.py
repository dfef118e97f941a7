"""Operators that pick elements: gathers, TopK, Compress, ReverseSequence, batch statistics."""

import numpy as np
import pytest
from graph_numpy import check, runtime_results
from onnx import TensorProto, helper
from onnx_models import model, node, value

from t10c.ir.graph import Graph
from t10c.onnx_import.importer import import_model
from t10c.onnx_import.lowering import topk

RNG = np.random.default_rng(6)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def runs(
    op: object, feeds: dict[str, np.ndarray], known: dict[str, np.ndarray], outputs: str = "y"
) -> Graph:
    """The graph of one node, compared with ONNX Runtime."""
    infos = [
        value(name, array.shape, helper.np_dtype_to_tensor_dtype(array.dtype))
        for name, array in feeds.items()
    ]
    made = model([op], infos, outputs.split(), known)
    graph = check(made, feeds=feeds, expected=runtime_results(made, feeds))
    assert graph.node_counts()["fallback"] == 0
    return graph


def kernels(graph: Graph) -> list[str]:
    return [op.expression.kernel for op in graph.planned]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("index", [(), (1,), (3,), (2, 2)])
def test_gather(index: tuple[int, ...], axis: int, known: bool) -> None:
    picked = {"i": RNG.integers(-3, 3, index)}
    table = {"t": floats(3, 5, 4)}
    op = node("Gather", "t i", "y", "g", axis=axis)
    runs(op, table, picked) if known else runs(op, {**table, **picked}, {})


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("batch", "shape"), [(0, (2, 2)), (0, (3,)), (1, (2, 3, 1)), (2, (2, 3, 2)), (1, (2, 2))]
)
def test_gather_nd(batch: int, shape: tuple[int, ...], known: bool) -> None:
    picked = {"i": RNG.integers(-2, 2, shape)}
    table = {"t": floats(2, 3, 4, 5)}
    op = node("GatherND", "t i", "y", "g", batch_dims=batch)
    runs(op, table, picked) if known else runs(op, {**table, **picked}, {})


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(("axis", "shape"), [(0, (6, 5)), (1, (3, 2)), (-1, (1, 7)), (0, (2, 3))])
def test_gather_elements(axis: int, shape: tuple[int, ...], known: bool) -> None:
    picked = {"i": RNG.integers(-3, 3, shape)}
    table = {"t": floats(3, 5)}
    op = node("GatherElements", "t i", "y", "g", axis=axis)
    runs(op, table, picked) if known else runs(op, {**table, **picked}, {})


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize(("axis", "count"), [(-1, 1), (-1, 6), (0, 2), (1, 3)])
@pytest.mark.parametrize("outputs", ["v i", "v", "i"])
def test_top_k(axis: int, count: int, largest: int, outputs: str) -> None:
    x = RNG.integers(-2, 3, (3, 4, 6)).astype(np.float32)  # many equal ones: the first comes first
    x[0, :, :4] = -np.inf
    op = node("TopK", "x k", "v i", "t", axis=axis, largest=largest)
    graph = runs(op, {"x": x}, {"k": np.array([count])}, outputs)
    assert kernels(graph) == ["reduce", "reduce", "gather"][: 3 if "v" in outputs else 2]


def test_top_k_of_integers_before_opset_10() -> None:
    made = model(
        [node("TopK", "x", "v i", "t", k=2, axis=0)], [value("x", [5, 2])], ["v", "i"], opset=9
    )
    x = floats(5, 2)
    check(made, feeds={"x": x}, expected=runtime_results(made, {"x": x}))


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("PAIR_LIMIT", "its rows have 200 pairs, more than 9"),
        ("LONGEST_ROW", "its rows of 10 are longer than 9"),
    ],
)
def test_rows_too_long_to_compare_fall_back(
    monkeypatch: pytest.MonkeyPatch, limit: str, reason: str
) -> None:
    monkeypatch.setattr(topk, limit, 9)
    made = model(
        [node("TopK", "x k", "v i", "t")], [value("x", [2, 10])], ["v"], {"k": np.array([3])}
    )
    (record,) = import_model(made.SerializeToString()).nodes
    assert record.note == reason


@pytest.mark.parametrize(
    ("time", "lengths"),
    [(0, [1, 4, 2]), (1, [5, 1, 3, 0]), (0, [4, 4, 4]), (1, [2, 2, 2, 2]), (1, [5, 5, 5, 5])],
)
@pytest.mark.parametrize("known", [False, True])
def test_reverse_sequence(time: int, lengths: list[int], known: bool) -> None:
    shape = (4, 3, 2) if time == 0 else (4, 5)
    lengths = [n if n else 1 for n in lengths]
    given = {"n": np.array(lengths, np.int64)}
    op = node("ReverseSequence", "x n", "y", "r", time_axis=time, batch_axis=1 - time)
    x = {"x": floats(*shape)}
    graph = runs(op, x, given) if known else runs(op, {**x, **given}, {})
    if known and len(set(lengths)) == 1:
        assert not graph.planned


@pytest.mark.parametrize(
    ("wanted", "planned"), [([0, 1, 1, 0], 0), ([1, 0, 1], 0), ([1, 1, 0, 1], 1), ([0, 0, 0, 1], 0)]
)
@pytest.mark.parametrize("axis", [None, 0, -2])
def test_compress(wanted: list[int], planned: int, axis: int | None) -> None:
    attributes = {} if axis is None else {"axis": axis}
    op = node("Compress", "x c", "y", "c", **attributes)
    graph = runs(op, {"x": floats(4, 3)}, {"c": np.array(wanted, bool)})
    assert len(graph.planned) == planned


def test_batch_statistics() -> None:
    op = node(
        "BatchNormalization",
        "x s b m v",
        "y rm rv",
        "n",
        training_mode=1,
        momentum=0.75,
        epsilon=0.1,
    )
    infos = [value("x", [3, 4, 2, 5])]
    known = {name: np.abs(floats(4)) for name in "sbmv"}
    graph = check(model([op], infos, ["y", "rm", "rv"], known))
    assert kernels(graph) == ["reduce", "reduce", "pointwise", "pointwise", "pointwise"]


def test_indices_as_data_are_typed() -> None:
    made = model(
        [node("Gather", "t i", "y", "g")],
        [value("t", [4, 2]), value("i", [3], TensorProto.INT32)],
        ["y"],
    )
    feeds = {"t": floats(4, 2), "i": np.array([-1, 0, 2], np.int32)}
    assert kernels(check(made, feeds=feeds)) == ["gather"]
