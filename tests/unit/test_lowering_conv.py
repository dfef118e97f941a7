"""Convolutions of unusual ranks, windows and kernels against ONNX Runtime."""

import itertools

import numpy as np
import pytest
from graph_numpy import check, random_feeds, runtime_results
from onnx import ModelProto
from onnx_models import model, node, value

from t10c.ir.graph import Graph, LayoutOp


def kinds(graph: Graph) -> list[str]:
    return [op.kind if isinstance(op, LayoutOp) else op.expression.kernel for op in graph.operators]


def conv(
    source: list[int], weight: list[int], bias: bool = False, **attributes: object
) -> ModelProto:
    """Everything is data, as in the standard's own cases."""
    inputs = [value("x", source), value("w", weight)]
    inputs += [value("b", weight[:1])] if bias else []
    made = node("Conv", "x w b" if bias else "x w", "y", "conv", **attributes)
    return model([made], inputs, ["y"])


CASES: list[tuple[list[int], list[int], dict[str, object]]] = [
    ([2, 3, 9], [4, 3, 3], {"strides": [2], "pads": [1, 0]}),
    ([1, 2, 7, 6], [3, 2, 3, 2], {"dilations": [2, 3], "pads": [1, 2, 0, 1]}),
    ([1, 2, 4, 5, 6], [3, 2, 2, 3, 2], {"strides": [2, 1, 3], "pads": [1, 1, 0, 0, 1, 1]}),
    ([1, 2, 7, 8], [3, 2, 3, 4], {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    ([1, 2, 7, 8], [3, 2, 3, 4], {"auto_pad": "SAME_LOWER", "strides": [2, 3]}),
    ([1, 2, 7, 8], [3, 2, 3, 4], {"auto_pad": "VALID", "strides": [2, 3]}),
    ([1, 4, 8, 8], [6, 2, 2, 2], {"group": 2, "dilations": [3, 2], "strides": [2, 1]}),
    ([2, 4, 5, 5], [8, 1, 3, 3], {"group": 4, "pads": [1, 1, 1, 1]}),
    ([1, 2, 3, 3], [2, 2, 5, 5], {"pads": [1, 2, 1, 0]}),
    ([1, 2, 9, 9], [3, 2, 2, 1], {"strides": [4, 3]}),
    ([1, 3, 1, 1], [4, 3, 1, 1], {}),
    ([1, 1, 4, 4], [1, 1, 4, 4], {}),
    ([1, 2, 4, 4], [3, 2, 1, 1], {"pads": [2, 1, 0, 2]}),
]  # fmt: skip


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("source", "weight", "attributes"), CASES)
def test_windows(
    source: list[int], weight: list[int], attributes: dict[str, object], bias: bool
) -> None:
    made = conv(source, weight, bias, **attributes)
    feeds = random_feeds(made, 5)
    graph = check(made, feeds=feeds, expected=runtime_results(made, feeds))
    assert set(kinds(graph)) <= {"conv", "pointwise"}


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
def test_same_size_of_dilated_kernels(mode: str) -> None:
    made = conv([1, 2, 9, 8], [3, 2, 3, 2], auto_pad=mode, dilations=[2, 3])
    pads = [2, 2, 2, 1] if mode == "SAME_LOWER" else [2, 1, 2, 2]
    plain = conv([1, 2, 9, 8], [3, 2, 3, 2], pads=pads, dilations=[2, 3])
    feeds = random_feeds(made, 5)
    check(made, feeds=feeds, expected=runtime_results(plain, feeds))


def test_four_spatial_dimensions() -> None:
    made = conv([1, 2, 3, 4, 3, 2], [2, 2, 2, 1, 2, 2], strides=[1, 2, 1, 1])
    feeds = random_feeds(made, 5)
    x, w = feeds["x"], feeds["w"]
    expected = np.zeros((1, 2, 2, 2, 2, 1), np.float32)
    for a, b, c, d in itertools.product(range(2), range(1), range(2), range(2)):
        part = x[:, :, a : a + 2, b : b + 3 : 2, c : c + 2, d : d + 1]
        expected += np.einsum("nipqrs,oi->nopqrs", part, w[:, :, a, b, c, d])
    assert kinds(check(made, feeds=feeds, expected=[expected])) == ["conv"]
