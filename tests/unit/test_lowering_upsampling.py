"""ConvTranspose, Resize and Upsample against the reference evaluator and ONNX Runtime."""

import numpy as np
import pytest
from graph_numpy import check, random_feeds, runtime_results
from onnx import ModelProto, TensorProto, helper
from onnx_models import model, node, value

from t10c.errors import UnsupportedOperatorError
from t10c.ir.graph import Graph, LayoutOp

RNG = np.random.default_rng(11)


def kinds(graph: Graph) -> list[str]:
    return [op.kind if isinstance(op, LayoutOp) else op.expression.kernel for op in graph.operators]


def check_runtime(made: ModelProto) -> Graph:
    feeds = random_feeds(made, 5)
    return check(made, feeds=feeds, expected=runtime_results(made, feeds))


def transposed(
    source: list[int], weight: list[int], bias: bool = False, **attributes: object
) -> ModelProto:
    constants = {"w": RNG.standard_normal(weight).astype(np.float32)}
    if bias:
        outputs = weight[1] * int(str(attributes.get("group", 1)))
        constants["b"] = RNG.standard_normal(outputs).astype(np.float32)
    names = "x w b" if bias else "x w"
    made = node("ConvTranspose", names, "y", "up", **attributes)
    return model([made], [value("x", source)], ["y"], constants)


TRANSPOSED = [
    ([2, 3, 4, 5], [3, 2, 3, 3], {}),
    ([1, 3, 4, 5], [3, 2, 3, 3], {"strides": [2, 2]}),
    ([1, 3, 4, 5], [3, 2, 4, 4], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ([1, 3, 4, 5], [3, 2, 3, 4], {"strides": [2, 3], "pads": [1, 2, 0, 1]}),
    ([1, 3, 4, 5], [3, 2, 3, 3], {"pads": [2, 1, 2, 0]}),
    ([1, 3, 4, 5], [3, 2, 3, 2], {"dilations": [2, 3], "pads": [1, 0, 2, 1]}),
    ([1, 3, 4, 5], [3, 2, 3, 3], {"strides": [2, 3], "dilations": [2, 2], "pads": [1, 1, 1, 1]}),
    ([1, 3, 4, 5], [3, 2, 3, 3], {"strides": [2, 2], "output_padding": [1, 1]}),
    ([1, 3, 4, 5], [3, 2, 2, 2], {"strides": [2, 2], "output_padding": [1, 0]}),
    ([1, 3, 4, 5], [3, 2, 2, 1], {"strides": [3, 4], "output_padding": [1, 2]}),
    ([1, 3, 4, 5], [3, 2, 4, 4], {"strides": [2, 2], "output_shape": [9, 11]}),
    ([1, 3, 4, 5], [3, 2, 5, 4], {"strides": [2, 3], "auto_pad": "SAME_UPPER"}),
    ([1, 3, 4, 5], [3, 2, 5, 4], {"strides": [2, 3], "auto_pad": "SAME_LOWER"}),
    ([1, 3, 4, 5], [3, 2, 3, 4], {"strides": [2, 2], "auto_pad": "VALID"}),
    ([2, 4, 3, 5], [4, 3, 3, 2], {"strides": [2, 2], "group": 2, "pads": [1, 0, 1, 1]}),
    ([1, 4, 3, 5], [4, 1, 3, 3], {"group": 4}),
    ([1, 4, 3, 5], [4, 2, 2, 2], {"strides": [2, 2], "group": 2}),
    ([2, 3, 6], [3, 4, 4], {"strides": [2], "pads": [1, 1]}),
    ([1, 2, 2, 3, 2], [2, 3, 3, 2, 4], {"strides": [2, 1, 3], "pads": [1, 0, 1, 0, 1, 0]}),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("source", "weight", "attributes"), TRANSPOSED)
def test_conv_transpose(
    source: list[int], weight: list[int], attributes: dict[str, object], bias: bool
) -> None:
    graph = check_runtime(transposed(source, weight, bias, **attributes))
    (operator,) = graph.planned
    assert operator.expression.kernel == "conv"
    assert graph.node_counts()["planned"] == 1
    assert len(operator.expression.epilogue) == bias


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 0, 1]])
def test_blocks_are_a_matmul_with_the_models_weight(bias: bool, pads: list[int]) -> None:
    made = transposed([2, 3, 4, 5], [3, 4, 2, 3], bias, strides=[2, 3], pads=pads)
    graph = check_runtime(made)
    assert kinds(graph) == ["matmul", "reshape", "slice"][: 2 + any(pads)]
    assert graph.planned[0].inputs[:2] == ("x", "w")
    assert graph.planned[0].expression.points == 2 * 3 * 4 * 5 * 4 * 2 * 3


def test_stride_one_needs_no_layout_operator() -> None:
    made = transposed([1, 3, 4, 5], [3, 2, 3, 3], pads=[1, 1, 1, 1])
    assert kinds(check_runtime(made)) == ["conv"]


def test_strided_kernels_are_not_multiplied_with_inserted_zeros() -> None:
    graph = check_runtime(transposed([1, 3, 8, 8], [3, 2, 4, 4], strides=[2, 2]))
    assert graph.planned[0].expression.points == 3 * 2 * 4 * 4 * (8 + 1) ** 2


def test_kernel_that_is_data() -> None:
    nodes = [node("ConvTranspose", "x w", "y", "up", strides=[2])]
    inputs = [value("x", [1, 3, 4]), value("w", [3, 2, 2])]
    assert kinds(check_runtime(model(nodes, inputs, ["y"]))) == ["matmul", "reshape"]


@pytest.mark.parametrize(("source", "weight", "attributes"), TRANSPOSED)
def test_kernel_that_is_data_is_cut_by_layout_operators(
    source: list[int], weight: list[int], attributes: dict[str, object]
) -> None:
    made = node("ConvTranspose", "x w", "y", "up", **attributes)
    graph = check_runtime(model([made], [value("x", source), value("w", weight)], ["y"]))
    (operator,) = graph.planned
    assert operator.expression.kernel == "conv"


def resize(
    source: list[int], mode: str, transformation: str, scales: list[float] | None = None,
    sizes: list[int] | None = None, opset: int = 19, **attributes: object,
) -> ModelProto:  # fmt: skip
    constants: dict[str, np.ndarray] = {}
    if scales is not None:
        constants["s"] = np.array(scales, np.float32)
    if sizes is not None:
        constants["n"] = np.array(sizes, np.int64)
    if "roi" in attributes:
        constants["r"] = np.array(attributes.pop("roi"), np.float32)
    names = ["x", *(name if name in constants else "_" for name in "rsn")]
    made = node(
        "Resize", " ".join(names), "y", "resize", mode=mode,
        coordinate_transformation_mode=transformation, **attributes,
    )  # fmt: skip
    return model([made], [value("x", source)], ["y"], constants, opset=opset, ir_version=9)


TRANSFORMATIONS = [
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
]  # fmt: skip


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("sizes", [[1, 2, 7, 9], [1, 2, 2, 3], [2, 2, 1, 10]])
def test_interpolation(mode: str, transformation: str, sizes: list[int]) -> None:
    made = resize([sizes[0], 2, 3, 4], mode, transformation, sizes=sizes)
    reference = transformation != "pytorch_half_pixel" or 1 not in sizes[2:]
    # the evaluator reads element -0.5 where the standard says 0
    graph = check(made) if reference else check_runtime(made)
    resized = sum(a != b for a, b in zip(sizes, (sizes[0], 2, 3, 4), strict=True))
    assert kinds(graph) == ["matmul"] * resized


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_smaller_axes_come_first(mode: str) -> None:
    graph = check(resize([1, 2, 4, 8], mode, "half_pixel", sizes=[1, 2, 12, 3]))
    assert [op.expression.points for op in graph.planned] == [2 * 4 * 8 * 3, 2 * 3 * 4 * 12]


@pytest.mark.parametrize("mode", ["linear", "cubic", "nearest"])
@pytest.mark.parametrize("transformation", ["half_pixel", "half_pixel_symmetric", "asymmetric"])
def test_scales_that_are_not_whole(mode: str, transformation: str) -> None:
    scales = [1.0, 1.0, 1.3, 0.6]
    check(resize([1, 2, 5, 7], mode, transformation, scales=scales))


def test_scale_that_does_not_change_the_size_still_moves_elements() -> None:
    graph = check(resize([1, 1, 3, 4], "linear", "half_pixel", scales=[1.0, 1.0, 1.1, 1.0]))
    assert kinds(graph) == ["matmul"]


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("excluded", [0, 1])
def test_antialias(mode: str, excluded: int) -> None:
    attributes = {"antialias": 1, "exclude_outside": excluded}
    check(resize([1, 2, 9, 7], mode, "half_pixel", sizes=[1, 2, 4, 10], **attributes))


def test_cubic_coefficient_and_exclude_outside() -> None:
    attributes = {"cubic_coeff_a": -0.5, "exclude_outside": 1}
    check(resize([1, 1, 4, 4], "cubic", "half_pixel", sizes=[1, 1, 9, 3], **attributes))


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_crop_and_resize(mode: str) -> None:
    region = [0.0, 0.0, 0.2, 0.1, 1.0, 1.0, 0.7, 0.9]
    check(resize([1, 2, 6, 8], mode, "tf_crop_and_resize", sizes=[1, 2, 3, 5], roi=region))


def test_crop_beyond_the_input() -> None:
    region = [0.0, 0.0, -0.2, 0.1, 1.0, 1.0, 1.3, 0.9]
    sizes = [1, 1, 5, 5]
    check(resize([1, 1, 4, 4], "linear", "tf_crop_and_resize", sizes=sizes, roi=region))


@pytest.mark.parametrize("mode", ["linear", "cubic", "nearest"])
@pytest.mark.parametrize("fill", [0.0, 3.0])
@pytest.mark.parametrize("region", [[-0.2, 0.1, 1.3, 0.9], [-0.3, -0.2, 1.3, 1.4], [0, 0, 1, 1]])
def test_extrapolation(mode: str, fill: float, region: list[float]) -> None:
    roi = [0.0, 0.0, *region[:2], 1.0, 1.0, *region[2:]]
    made = resize(
        [1, 2, 4, 4], mode, "tf_crop_and_resize", sizes=[1, 2, 5, 6], roi=roi,
        extrapolation_value=fill,
    )  # fmt: skip
    assert check(made).node_counts()["fallback"] == 0


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_aspect_ratio_policy_on_some_axes(policy: str) -> None:
    attributes = {"keep_aspect_ratio_policy": policy, "axes": [2, 3]}
    check(resize([1, 2, 4, 6], "linear", "half_pixel", sizes=[7, 8], **attributes))


ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("sizes", [[1, 2, 7, 9], [1, 2, 2, 3], [1, 2, 6, 2]])
def test_nearest(rounding: str, transformation: str, sizes: list[int]) -> None:
    made = resize([1, 2, 3, 4], "nearest", transformation, sizes=sizes, nearest_mode=rounding)
    check_runtime(made)


@pytest.mark.parametrize(
    ("transformation", "rounding"),
    [
        ("asymmetric", "floor"),
        ("half_pixel", "round_prefer_floor"),
        ("half_pixel", "round_prefer_ceil"),
        ("pytorch_half_pixel", "round_prefer_floor"),
        ("half_pixel_symmetric", "round_prefer_floor"),
    ],
)
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_nearest_by_whole_factors_is_a_repetition(
    transformation: str, rounding: str, factor: int
) -> None:
    scales = [1.0, 1.0, float(factor), 2.0]
    made = resize([1, 2, 3, 4], "nearest", transformation, scales=scales, nearest_mode=rounding)
    assert kinds(check(made)) == ["reshape", "expand", "reshape"]


def test_regular_and_irregular_nearest_selections() -> None:
    whole = resize([1, 2, 6, 8], "nearest", "asymmetric", sizes=[1, 2, 3, 2], nearest_mode="floor")
    assert kinds(check(whole)) == ["slice"]
    mixed = resize([1, 2, 6, 4], "nearest", "asymmetric", sizes=[1, 4, 4, 2], nearest_mode="floor")
    assert kinds(check(mixed)) == ["slice", "gather", "reshape", "expand", "reshape"]


def integers(mode: str, scales: list[float], element_type: int) -> ModelProto:
    nodes = [node("Resize", "x _ s", "y", "resize", mode=mode)]
    constants = {"s": np.array([1.0, 1.0, *scales], np.float32)}
    return model(nodes, [value("x", [1, 1, 3, 4], element_type)], ["y"], constants, opset=13)


def test_nearest_of_integers() -> None:
    made = integers("nearest", [1.7, 2.0], TensorProto.INT32)
    assert kinds(check(made)) == ["gather", "reshape", "expand", "reshape"]


@pytest.mark.parametrize("element_type", [TensorProto.INT32, TensorProto.INT8])
def test_integers_are_interpolated_as_floats(element_type: int) -> None:
    made = integers("linear", [2.0, 2.0], element_type)
    data = RNG.integers(-100, 100, (1, 1, 3, 4))
    feeds = {"x": data.astype(helper.tensor_dtype_to_np_dtype(element_type))}
    graph = check(made, feeds=feeds, expected=runtime_results(made, feeds))
    assert graph.node_counts()["fallback"] == 0


def test_integers_that_a_cubic_filter_overshoots_are_cut_off() -> None:
    made = integers("cubic", [2.0, 2.0], TensorProto.UINT8)
    floats = integers("cubic", [2.0, 2.0], TensorProto.FLOAT)
    data = np.array([[[[0, 255, 255, 0], [255, 0, 0, 255], [0, 0, 255, 255]]]])
    (exact,) = runtime_results(floats, {"x": data.astype(np.float32)})
    assert exact.min() < -1
    assert exact.max() > 256
    expected = np.trunc(np.clip(exact, 0, 255)).astype(np.uint8)
    check(made, feeds={"x": data.astype(np.uint8)}, expected=[expected])


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(("op_type", "opset"), [("Upsample", 7), ("Upsample", 9), ("Resize", 10)])
def test_old_operators(op_type: str, opset: int, mode: str) -> None:
    scales = [1.0, 1.0, 2.0, 3.0]
    if opset == 7:
        made = node(op_type, "x", "y", "up", mode=mode, scales=scales)
    else:
        made = node(op_type, "x s", "y", "up", mode=mode)
    constants = {} if opset == 7 else {"s": np.array(scales, np.float32)}
    built = model([made], [value("x", [1, 2, 3, 4])], ["y"], constants, opset=opset)
    expected = ["matmul", "matmul"] if mode == "linear" else ["reshape", "expand", "reshape"]
    assert kinds(check_runtime(built)) == expected


def test_resize_that_changes_nothing_is_a_renaming() -> None:
    made = resize([1, 2, 3, 4], "cubic", "half_pixel", sizes=[1, 2, 3, 4])
    assert kinds(check(made)) == ["reshape"]


def test_scales_that_depend_on_data() -> None:
    nodes = [
        node("Resize", "x _ s", "y", "resize", mode="linear"),
        node("Reshape", "y shape", "z", "fixed"),
    ]
    inputs = [value("x", [1, 4]), value("s", [2])]
    with pytest.raises(UnsupportedOperatorError) as caught:
        check(model(nodes, inputs, ["z"], {"shape": np.array([1, 8])}))
    assert len(str(caught.value).splitlines()) <= 3
