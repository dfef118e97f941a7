"""Rows of one element, reductions over no axes, limits of integer types."""

import numpy as np
import pytest
from graph_numpy import check, runtime_results
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx_models import model, node, value

from t10c.ir.graph import Graph

RNG = np.random.default_rng(8)
X = RNG.standard_normal((3, 1, 4)).astype(np.float32)


def planned(
    op: object, feeds: dict[str, np.ndarray], known: dict[str, object], outputs: str
) -> Graph:
    infos = [
        value(name, array.shape, helper.np_dtype_to_tensor_dtype(array.dtype))
        for name, array in feeds.items()
    ]
    made = model([op], infos, outputs.split(), known, opset=20, ir_version=9)
    graph = check(made, feeds=feeds, expected=runtime_results(made, feeds))
    assert graph.node_counts()["fallback"] == 0
    return graph


@pytest.mark.parametrize(
    ("op_type", "known", "attributes", "outputs"),
    [
        ("ArgMax", {}, {"axis": 1}, "y"),
        ("ArgMin", {}, {"axis": 1, "keepdims": 0}, "y"),
        ("CumSum", {"k": np.int64(1)}, {}, "y"),
        ("CumSum", {"k": np.int64(1)}, {"exclusive": 1}, "y"),
        ("TopK", {"k": np.array([1])}, {"axis": 1}, "y i"),
        ("Hardmax", {}, {"axis": 1}, "y"),
    ],
)
def test_rows_of_one_element_need_no_operator(
    op_type: str, known: dict[str, object], attributes: dict[str, int], outputs: str
) -> None:
    op = node(op_type, " ".join(["x", *known]), outputs, "n", **attributes)
    assert not planned(op, {"x": X}, known, outputs).planned


@pytest.mark.parametrize("as_data", [False, True])
@pytest.mark.parametrize(
    ("op_type", "index", "attributes"),
    [
        ("Gather", np.array([[0, -1]]), {"axis": 1}),
        ("GatherElements", np.zeros((3, 2, 4), np.int64), {"axis": 1}),
        ("GatherND", np.array([[2, 0, 1], [-1, -1, -4]]), {}),
        ("GatherND", np.array([[[0], [-1]]] * 3), {"batch_dims": 1}),
        ("GatherND", np.array([[[0, 3], [-1, 1]]] * 3), {"batch_dims": 1}),
    ],
)
def test_tables_of_one_entry(
    op_type: str, index: np.ndarray, attributes: dict[str, int], as_data: bool
) -> None:
    op = node(op_type, "x i", "y", "n", **attributes)
    feeds, known = {"x": X}, {}
    (feeds if as_data else known)["i"] = index
    planned(op, feeds, known, "y")


@pytest.mark.parametrize(
    "name", ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"]
)
def test_reduction_over_no_axes(name: str) -> None:
    op = node(f"Reduce{name}", "x", "y", "n", noop_with_empty_axes=1)
    made = model([op], [value("x", [2, 3])], ["y"], opset=20, ir_version=9)
    x = np.abs(RNG.standard_normal((2, 3))).astype(np.float32)
    graph = check(made, feeds={"x": x}, expected=ReferenceEvaluator(made).run(None, {"x": x}))
    assert graph.node_counts()["fallback"] == 0


@pytest.mark.parametrize("axes", [[0], [1, 2], [0, 1, 2]])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_sum_of_exponentials_does_not_overflow(axes: list[int], keepdims: int) -> None:
    op = node("ReduceLogSumExp", "x a", "y", "n", keepdims=keepdims)
    x = 200 + 50 * RNG.standard_normal((2, 3, 4)).astype(np.float32)
    x[0] = -np.inf
    planned(op, {"x": x}, {"a": np.array(axes)}, "y")


@pytest.mark.parametrize("kind", [TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32])
def test_absent_limits_of_integers(kind: int) -> None:
    made = model(
        [node("Clip", "x _ high", "y", "low"), node("Clip", "y low", "z", "high")],
        [value("x", [9], kind)],
        ["z"],
        {
            "low": np.array(3, helper.tensor_dtype_to_np_dtype(kind)),
            "high": np.array(100, helper.tensor_dtype_to_np_dtype(kind)),
        },
    )
    x = np.array([0, 1, 2, 3, 4, 99, 100, 101, 127]).astype(helper.tensor_dtype_to_np_dtype(kind))
    check(made, feeds={"x": x})


@pytest.mark.parametrize("saturate", [0, 1])
def test_casts_to_eight_bit_floats_saturate_only_if_they_say_so(saturate: int) -> None:
    cast = node("Cast", "x", "y", to=TensorProto.FLOAT8E4M3FN, saturate=saturate)
    nodes = [cast, node("Cast", "y", "z", to=TensorProto.FLOAT)]
    made = model(nodes, [value("x", [3])], ["z"], opset=19)
    expected = np.array([1.0, 448.0 if saturate else np.nan, -0.5], np.float32)
    check(made, feeds={"x": np.array([1.0, 1e6, -0.5], np.float32)}, expected=[expected])


def test_a_constant_whose_shape_is_data_is_a_weight_of_the_declared_shape() -> None:
    filled = node("ConstantOfShape", "s", "c", value=helper.make_tensor("v", 1, [1], [2.5]))
    made = model(
        [filled, node("Add", "c x", "y")],
        [value("s", [2], TensorProto.INT64), value("x", [3, 4])],
        [value("y", [3, 4])],
    )
    made.graph.value_info.append(value("c", [3, 4]))
    x = np.ones((3, 4), np.float32)
    check(made, feeds={"s": np.array([3, 4]), "x": x}, expected=[x + 2.5])
