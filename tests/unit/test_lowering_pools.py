"""Pools of all kinds against ONNX Runtime, and the positions that MaxPool reports."""

import numpy as np
import pytest
from graph_numpy import check, random_feeds, runtime_results
from onnx import ModelProto, TensorProto
from onnx_models import model, node, value

from t10c.ir.graph import Graph, LayoutOp

Attributes = dict[str, object]


def kinds(graph: Graph) -> list[str]:
    return [op.kind if isinstance(op, LayoutOp) else op.expression.kernel for op in graph.operators]


def pool(
    op_type: str,
    source: list[int],
    opset: int = 22,
    outputs: str = "y",
    element_type: int = TensorProto.FLOAT,
    **attributes: object,
) -> ModelProto:
    made = node(op_type, "x", outputs, "pool", **attributes)
    names = [name for name in outputs.split() if name != "_"]
    return model([made], [value("x", source, element_type)], names, opset=opset, ir_version=10)


def check_runtime(made: ModelProto, seed: int = 5) -> Graph:
    feeds = random_feeds(made, seed)
    return check(made, feeds=feeds, expected=runtime_results(made, feeds))


WINDOWS: list[tuple[list[int], Attributes]] = [
    ([2, 3, 8], {"kernel_shape": [3]}),
    ([1, 2, 7, 8], {"kernel_shape": [3, 2], "strides": [2, 3]}),
    ([1, 2, 7, 8], {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1]}),
    ([1, 2, 7, 8], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2],
                    "ceil_mode": 1}),
    ([1, 2, 8, 6], {"kernel_shape": [2, 3], "strides": [3, 4], "pads": [1, 1, 1, 2],
                    "ceil_mode": 1}),
    ([1, 2, 9, 9], {"kernel_shape": [2, 3], "dilations": [3, 2], "strides": [2, 1],
                    "pads": [1, 2, 1, 2]}),
    ([1, 2, 7, 8], {"kernel_shape": [3, 4], "strides": [2, 3], "auto_pad": "SAME_UPPER"}),
    ([1, 2, 7, 8], {"kernel_shape": [3, 4], "strides": [2, 3], "auto_pad": "SAME_LOWER"}),
    ([1, 2, 7, 8], {"kernel_shape": [3, 4], "strides": [2, 3], "auto_pad": "VALID"}),
    ([1, 2, 4, 5, 6], {"kernel_shape": [2, 3, 2], "strides": [2, 1, 3],
                       "pads": [1, 1, 0, 0, 1, 1]}),
    ([1, 1, 5, 1], {"kernel_shape": [5, 1]}),
    ([1, 1, 6, 6], {"kernel_shape": [2, 2], "strides": [3, 3]}),
]  # fmt: skip


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize(("source", "attributes"), WINDOWS)
def test_windows(op_type: str, source: list[int], attributes: Attributes) -> None:
    graph = check_runtime(pool(op_type, source, **attributes))
    assert kinds(graph) == ["pointwise", "pool"][op_type != "LpPool" :]


@pytest.mark.parametrize(("source", "attributes"), WINDOWS)
def test_means_that_count_the_padding(source: list[int], attributes: Attributes) -> None:
    graph = check_runtime(pool("AveragePool", source, count_include_pad=1, **attributes))
    assert kinds(graph) == ["pool"]


def test_windows_beyond_counted_padding_are_scaled_one_by_one() -> None:
    attributes = {"kernel_shape": [3], "strides": [2], "pads": [1, 1], "ceil_mode": 1}
    graph = check_runtime(pool("AveragePool", [1, 2, 6], count_include_pad=1, **attributes))
    assert graph.planned[0].inputs == ("x", "pool.share")
    assert [step.op for step in graph.planned[0].expression.epilogue] == ["Mul"]


@pytest.mark.parametrize("p", [1, 2, 3, 4])
@pytest.mark.parametrize("op_type", ["LpPool", "GlobalLpPool"])
def test_norms(op_type: str, p: int) -> None:
    attributes = {"kernel_shape": [2, 3], "pads": [1, 0, 0, 1]} if op_type == "LpPool" else {}
    graph = check_runtime(pool(op_type, [2, 3, 4, 5], opset=18, p=p, **attributes))
    assert graph.node_counts()["planned"] == 1


@pytest.mark.parametrize("op_type", ["GlobalLpPool", "GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("source", [[2, 3, 7], [1, 3, 4, 1], [1, 2, 3, 2, 4], [1, 2, 2, 3, 2, 2]])
def test_global_pools_of_any_rank(op_type: str, source: list[int]) -> None:
    made = pool(op_type, source, opset=18)
    feeds = random_feeds(made, 5)
    function = {"Lp": np.linalg.norm, "Average": np.mean, "Max": np.max}[op_type[6:-4]]
    expected = function(feeds["x"].reshape(*source[:2], -1), axis=2)
    graph = check(
        made, feeds=feeds, expected=[expected.reshape(*source[:2], *[1] * len(source[2:]))]
    )
    assert kinds(graph)[-1] == "reduce"


@pytest.mark.parametrize("element_type", [TensorProto.INT8, TensorProto.UINT8])
def test_largest_of_integers(element_type: int) -> None:
    made = pool("MaxPool", [1, 2, 5, 5], element_type=element_type, kernel_shape=[2, 2])
    check_runtime(made)


@pytest.mark.parametrize("column_major", [0, 1])
@pytest.mark.parametrize(("source", "attributes"), WINDOWS)
def test_positions(source: list[int], attributes: Attributes, column_major: int) -> None:
    made = pool("MaxPool", source, outputs="y i", storage_order=column_major, **attributes)
    graph = check_runtime(made)
    assert graph.node_counts()["planned"] == 1
    assert kinds(graph).count("pool") == 1


def test_positions_of_equal_elements_are_the_first_and_negative_ones_beat_padding() -> None:
    attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 1]}
    made = pool("MaxPool", [2, 2, 5, 6], outputs="y i", **attributes)
    for data in (np.zeros((2, 2, 5, 6)), -1 - np.arange(120.0).reshape(2, 2, 5, 6) % 7):
        feeds = {"x": data.astype(np.float32)}
        check(made, feeds=feeds, expected=runtime_results(made, feeds))


def test_positions_alone() -> None:
    made = pool("MaxPool", [1, 2, 4, 4], outputs="y i", kernel_shape=[2, 2])
    del made.graph.output[0]
    assert "pool" not in kinds(check_runtime(made))
