"""GridSample, AffineGrid, RoiAlign and DeformConv against ONNX Runtime and the evaluator."""

import itertools

import numpy as np
import pytest
from graph_numpy import check, runtime_results
from onnx import ModelProto, TensorProto
from onnx_models import model, node, value

from t10c.ir.graph import Graph, LayoutOp

RNG = np.random.default_rng(17)


def kinds(graph: Graph) -> list[str]:
    return [op.kind if isinstance(op, LayoutOp) else op.expression.kernel for op in graph.operators]


def floats(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (scale * RNG.standard_normal(shape)).astype(np.float32)


def grid_sample(
    source: list[int], points: list[int], opset: int = 20, **attributes: object
) -> ModelProto:
    made = node("GridSample", "x g", "y", "sample", **attributes)
    rank = len(source) - 2
    inputs = [value("x", source), value("g", [source[0], *points, rank])]
    return model([made], inputs, ["y"], opset=opset, ir_version=9)


def grid_feeds(made: ModelProto) -> dict[str, np.ndarray]:
    """Points inside, on the border and far outside."""
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in made.graph.input}
    grid = RNG.uniform(-2.7, 2.7, shapes["g"]).astype(np.float32)
    special = np.array([-1, 1, 0, -1.5, 3.0, 1.0001], np.float32)
    flat = grid.reshape(-1)
    flat[: min(6, flat.size)] = special[: min(6, flat.size)]
    return {"x": floats(*shapes["x"]), "g": grid}


CASES = list(
    itertools.product(
        ["nearest", "linear", "cubic"], ["zeros", "border", "reflection"], [0, 1]
    )
)  # fmt: skip


@pytest.mark.parametrize(("mode", "padding", "aligned"), CASES)
@pytest.mark.parametrize("source", [[2, 3, 4, 5], [1, 1, 2, 7]])
def test_grid_of_two_dimensions(mode: str, padding: str, aligned: int, source: list[int]) -> None:
    made = grid_sample(source, [3, 5], mode=mode, padding_mode=padding, align_corners=aligned)
    feeds = grid_feeds(made)
    # of points outside, the standard takes border values; the runtime interpolates towards them
    follows = (mode, padding) != ("cubic", "border")
    graph = check(made, feeds=feeds, expected=runtime_results(made, feeds) if follows else None)
    assert graph.node_counts()["planned"] == 1
    assert kinds(graph).count("gather") == 1


@pytest.mark.parametrize(("mode", "padding", "aligned"), [c for c in CASES if c[0] != "cubic"])
def test_grid_of_three_dimensions(mode: str, padding: str, aligned: int) -> None:
    made = grid_sample(
        [2, 2, 3, 4, 2], [2, 2, 3], mode=mode, padding_mode=padding, align_corners=aligned
    )
    feeds = grid_feeds(made)
    check(made, feeds=feeds, expected=runtime_results(made, feeds))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_grid_of_one_dimension_and_images_of_one_element(mode: str) -> None:
    for source, points in (([2, 3, 6], [4]), ([2, 3, 1], [4]), ([1, 2, 1, 1], [2, 2])):
        made = grid_sample(source, points, mode=mode, padding_mode="zeros")
        check(made, feeds=grid_feeds(made))


def test_grid_of_opset_16_and_of_one_point() -> None:
    made = grid_sample([1, 2, 3, 4], [1, 1], opset=16, mode="bilinear")
    feeds = grid_feeds(made)
    check(made, feeds=feeds, expected=runtime_results(made, feeds))


def test_nearest_integers() -> None:
    made = grid_sample([1, 2, 3, 4], [2, 3], mode="nearest")
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32
    feeds = grid_feeds(made)
    feeds["x"] = RNG.integers(-9, 9, (1, 2, 3, 4)).astype(np.int32)
    check(made, feeds=feeds)


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("size", [[2, 3, 4, 5], [1, 1, 2, 3, 4]])
def test_affine_grid(aligned: int, size: list[int]) -> None:
    rank = len(size) - 2
    made = node("AffineGrid", "t n", "y", "grid", align_corners=aligned)
    inputs = [value("t", [size[0], rank, rank + 1])]
    built = model([made], inputs, ["y"], {"n": np.array(size)}, opset=20, ir_version=9)
    assert kinds(check(built)) == ["matmul", "reshape"]


def roi_align(opset: int = 16, batch: int = 2, **attributes: object) -> ModelProto:
    made = node("RoiAlign", "x r b", "y", "roi", output_height=3, output_width=2, **attributes)
    inputs = [
        value("x", [batch, 3, 6, 5]), value("r", [5, 4]), value("b", [5], TensorProto.INT64)
    ]  # fmt: skip
    return model([made], inputs, ["y"], opset=opset, ir_version=9)


def roi_feeds(batch: int) -> dict[str, np.ndarray]:
    """Regions inside, across the border, outside, and empty ones."""
    regions = [[1, 2, 7, 9], [-9, -4, 3, 30], [0, 0, 0, 0], [8, 9, 8.5, 9.5], [40, 40, 50, 50]]
    owners = np.array([0, 1, 1, 0, 1]) % batch
    return {"x": floats(batch, 3, 6, 5), "r": np.array(regions, np.float32), "b": owners}


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("transformation", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 2])
def test_roi_align(mode: str, transformation: str, samples: int, batch: int) -> None:
    attributes = {"coordinate_transformation_mode": transformation, "sampling_ratio": samples}
    made = roi_align(batch=batch, mode=mode, spatial_scale=0.5, **attributes)
    graph = check(made, feeds=roi_feeds(batch))
    assert graph.node_counts()["planned"] == 1
    assert kinds(graph).count("gather") == 1


def test_roi_align_of_opset_10_does_not_shift() -> None:
    made, feeds = roi_align(opset=10, sampling_ratio=2), roi_feeds(2)
    check(made, feeds=feeds, expected=runtime_results(made, feeds))


def test_pools_whose_bins_are_data_run_on_one_core() -> None:
    graph = check(roi_align(), feeds=roi_feeds(2))
    assert "number of sampling points" in graph.nodes[-1].note


DEFORMED: list[tuple[list[int], list[int], list[int], dict[str, object]]] = [
    ([1, 2, 4, 5], [3, 2, 2, 2], [3, 4], {}),
    ([2, 4, 5, 4], [4, 2, 3, 2], [3, 2], {"group": 2, "strides": [2, 3], "pads": [1, 1, 2, 1]}),
    ([1, 4, 5, 5], [2, 4, 2, 2], [3, 3], {"offset_group": 2, "dilations": [2, 2]}),
    ([1, 4, 3, 3], [4, 1, 1, 1], [3, 3], {"offset_group": 4, "group": 4}),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("source", "weight", "target", "attributes"), DEFORMED)
def test_deform_conv(
    source: list[int],
    weight: list[int],
    target: list[int],
    attributes: dict[str, object],
    bias: bool,
    masked: bool,
) -> None:
    elements = weight[2] * weight[3] * int(str(attributes.get("offset_group", 1)))
    names = ["x", "w", "o", "b" if bias else "_", "m" if masked else "_"]
    shapes = {
        "x": source, "w": weight, "o": [source[0], 2 * elements, *target], "b": weight[:1],
        "m": [source[0], elements, *target],
    }  # fmt: skip
    used = [name for name in names if name != "_"]
    made = node("DeformConv", " ".join(names), "y", "deform", **attributes)
    built = model([made], [value(n, shapes[n]) for n in used], ["y"], opset=19, ir_version=9)
    feeds = {name: floats(*shapes[name], scale=2.0) for name in used}
    graph = check(built, feeds=feeds, expected=runtime_results(built, feeds))
    assert kinds(graph).count("matmul") == 1
    assert graph.node_counts()["planned"] == 1


def test_deform_conv_of_three_dimensions_without_offsets_is_a_convolution() -> None:
    shapes = {"x": [1, 2, 3, 4, 3], "w": [2, 2, 2, 2, 1], "o": [1, 12, 2, 3, 3]}
    deformed = model(
        [node("DeformConv", "x w o", "y", "deform")],
        [value(name, shape) for name, shape in shapes.items()], ["y"], opset=19, ir_version=9,
    )  # fmt: skip
    plain = model(
        [node("Conv", "x w", "y", "conv")], [value(n, shapes[n]) for n in "xw"], ["y"], opset=19,
        ir_version=9,
    )  # fmt: skip
    feeds = {"x": floats(*shapes["x"]), "w": floats(*shapes["w"])}
    expected = runtime_results(plain, feeds)
    check(deformed, feeds={**feeds, "o": np.zeros(shapes["o"], np.float32)}, expected=expected)
