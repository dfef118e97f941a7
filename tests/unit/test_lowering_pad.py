"""Pad in all modes, with cropping and wide widths, against NumPy."""

import numpy as np
import pytest
from graph_numpy import check, random_feeds
from onnx import ModelProto, TensorProto
from onnx_models import model, node, value

from t10c.ir.graph import Graph, LayoutOp

SHAPE = [2, 5, 4]


def kinds(graph: Graph) -> list[str]:
    return [op.kind if isinstance(op, LayoutOp) else op.expression.kernel for op in graph.operators]


def pad(widths: list[int], mode: str, opset: int = 19, **constants: np.ndarray) -> ModelProto:
    names = " ".join(("x w", *constants))
    made = node("Pad", names, "y", "n", mode=mode)
    known = {"w": np.array(widths, np.int64), **constants}
    return model([made], [value("x", SHAPE)], ["y"], known, opset=opset, ir_version=9)


def expected(data: np.ndarray, widths: list[int], mode: str, **options: float) -> np.ndarray:
    pairs = list(zip(widths[: data.ndim], widths[data.ndim :], strict=True))
    cropped = data[tuple(slice(max(0, -b), n + min(0, e)) for (b, e), n in
                         zip(pairs, data.shape, strict=True))]  # fmt: skip
    around = [(max(0, b), max(0, e)) for b, e in pairs]
    return np.pad(cropped, around, mode=mode, **options)  # type: ignore[call-overload]


WIDTHS = [
    [0, 0, 0, 0, 0, 0],
    [1, 0, 2, 0, 1, 3],
    [0, 4, 0, 0, 0, 0],
    [0, -1, 2, 0, 2, -1],
    [0, -2, 0, 0, 3, 1],
    [-1, -1, -1, 0, 0, -2],
    [0, 9, 0, 0, 7, 0],
    [0, -2, 8, 0, 30, 30],
    [1, 0, 0, 4, 0, 1],
]


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize("widths", WIDTHS)
def test_modes(widths: list[int], mode: str) -> None:
    made = pad(widths, mode)
    feeds = random_feeds(made, 3)
    graph = check(made, feeds=feeds, expected=[expected(feeds["x"], widths, mode)])
    wide = max(widths) > 20 and mode in ("reflect", "wrap")
    assert ("gather" in kinds(graph)) == wide
    assert graph.node_counts()["planned" if wide else "layout_only"] == 1


def test_axis_of_one_element_reflects_to_itself() -> None:
    made = node("Pad", "x w", "y", "n", mode="reflect")
    constants = {"w": np.array([0, 2, 0, 1])}
    built = model([made], [value("x", [3, 1])], ["y"], constants, opset=18)
    feeds = random_feeds(built, 3)
    check(built, feeds=feeds, expected=[np.repeat(feeds["x"], 4, axis=1)])


def test_whole_repetitions_read_the_input_itself() -> None:
    graph = check(pad([0, 5, 0, 0, 5, 0], "wrap"))
    assert kinds(graph) == ["concat"]
    assert graph.operators[0].inputs == ("x", "x", "x")


def test_negative_axes() -> None:
    made = node("Pad", "x w _ a", "y", "n", mode="edge")
    constants = {"w": np.array([1, 2, 0, -1]), "a": np.array([-1, 0])}
    built = model([made], [value("x", SHAPE)], ["y"], constants, opset=18)
    feeds = random_feeds(built, 3)
    check(built, feeds=feeds, expected=[expected(feeds["x"], [2, 0, 1, -1, 0, 0], "edge")])


def test_constant_that_is_data() -> None:
    made = node("Pad", "x w c", "y", "n")
    constants = {"w": np.array([0, 2, -1, 0, 1, 3])}
    built = model([made], [value("x", SHAPE), value("c", [])], ["y"], constants, opset=18)
    feeds = random_feeds(built, 3)
    (c,) = feeds["c"].reshape(-1)
    want = expected(feeds["x"], [0, 2, -1, 0, 1, 3], "constant", constant_values=float(c))
    assert kinds(check(built, feeds=feeds, expected=[want])) == ["slice", "pad", "pointwise"]


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_attributes_of_old_opsets(mode: str) -> None:
    widths = [0, 1, 2, 0, -1, 1]
    made = node("Pad", "x", "y", "n", value=1.5, mode=mode, pads=widths)
    built = model([made], [value("x", SHAPE)], ["y"], opset=10)
    feeds = random_feeds(built, 3)
    options = {"constant_values": 1.5} if mode == "constant" else {}
    check(built, feeds=feeds, expected=[expected(feeds["x"], widths, mode, **options)])


@pytest.mark.parametrize("shape", [[2, 5, 4], [1, 3, 4], [3, 6, 9], [2, 2, 7], [4, 1, 2]])
def test_center_crop_pad(shape: list[int]) -> None:
    made = node("CenterCropPad", "x s", "y", "center")
    check(model([made], [value("x", SHAPE)], ["y"], {"s": np.array(shape)}, opset=18))


def test_center_crop_pad_of_a_declared_shape() -> None:
    made = node("CenterCropPad", "x s", "y", "center", axes=[-1, 1])
    inputs = [value("x", SHAPE), value("s", [2], TensorProto.INT64)]
    built = model([made], inputs, [value("y", [2, 2, 7])], opset=18)
    feeds = {"x": random_feeds(built, 3)["x"], "s": np.array([7, 2])}
    assert kinds(check(built, feeds=feeds)) == ["slice", "pad"]
