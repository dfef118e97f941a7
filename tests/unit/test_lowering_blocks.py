"""Col2Im, MaxUnpool, and tensors made of scalars or of nothing."""

import numpy as np
import pytest
from graph_numpy import check, lower, random_feeds, runtime_results
from onnx import ModelProto, TensorProto, helper
from onnx_models import model, node, value

from t10c.ir.graph import Graph, LayoutOp


def kinds(graph: Graph) -> list[str]:
    return [op.kind if isinstance(op, LayoutOp) else op.expression.kernel for op in graph.operators]


BLOCKS: list[tuple[list[int], list[int], dict[str, list[int]], int]] = [
    ([5, 5], [1, 5], {}, 0),
    ([6, 4], [3, 2], {"strides": [3, 2]}, 0),
    ([6, 4], [3, 2], {"strides": [3, 1]}, 1),
    ([5, 6], [2, 3], {"strides": [2, 2], "pads": [1, 0, 0, 2]}, 2),
    ([7, 8], [2, 3], {"dilations": [3, 2]}, 2),
    ([6, 6], [2, 2], {"dilations": [3, 1], "strides": [1, 2]}, 1),
    ([5, 5], [1, 1], {"strides": [2, 2]}, 2),
    ([9], [3], {"strides": [2]}, 1),
    ([3, 4, 5], [1, 2, 3], {"pads": [0, 1, 1, 0, 0, 1]}, 2),
]


@pytest.mark.parametrize(("image", "block", "attributes", "products"), BLOCKS)
def test_blocks(
    image: list[int], block: list[int], attributes: dict[str, list[int]], products: int
) -> None:
    rank = len(image)
    ones, pads = [1] * rank, attributes.get("pads", [0] * 2 * rank)
    strides, dilations = (attributes.get(name, ones) for name in ("strides", "dilations"))
    counts = [
        (image[d] + pads[d] + pads[rank + d] - dilations[d] * (block[d] - 1) - 1) // strides[d] + 1
        for d in range(rank)
    ]
    source = [2, 3 * int(np.prod(block)), int(np.prod(counts))]
    made = node("Col2Im", "x i b", "y", "blocks", **attributes)
    constants = {"i": np.array(image), "b": np.array(block)}
    graph = check(model([made], [value("x", source)], ["y"], constants, opset=18))
    assert kinds(graph).count("matmul") == products
    assert graph.node_counts()["fallback"] == 0


def test_blocks_of_known_image_and_unknown_size_run_on_one_core() -> None:
    made = node("Col2Im", "x i b", "y", "blocks")
    inputs = [value("x", [1, 5, 5]), value("b", [2], TensorProto.INT64)]
    built = model([made], inputs, [value("y", [1, 1, 5, 5])], {"i": np.array([5, 5])}, opset=18)
    assert "block size depends on data" in lower(built).nodes[-1].note


def unpool(shape: list[int], output: list[int] | None, **attributes: list[int]) -> ModelProto:
    made = node("MaxUnpool", "p i n" if output else "p i", "y", "unpool", **attributes)
    constants = {"n": np.array(output)} if output else {}
    inputs = [value("p", shape), value("i", shape, TensorProto.INT64)]
    outputs = [value("y", output)] if output else ["y"]
    return model([made], inputs, outputs, constants, opset=11)


@pytest.mark.parametrize("output", [None, [2, 3, 5, 8]])
def test_unpooling_what_a_pool_has_found(output: list[int] | None) -> None:
    window = {"kernel_shape": [2, 3], "strides": [2, 3]}
    pooled = model([node("MaxPool", "x", "p i", **window)], [value("x", [2, 3, 4, 6])], ["p", "i"])
    found = runtime_results(pooled, random_feeds(pooled, 2))
    made, feeds = unpool([2, 3, 2, 2], output, **window), dict(zip("pi", found, strict=True))
    # positions in a larger output: the runtime, other than the standard's case, counts anew
    graph = check(made, feeds=feeds, expected=None if output else runtime_results(made, feeds))
    assert graph.node_counts()["planned"] == 1


def test_unpooling_across_channels() -> None:
    made = unpool([1, 2, 1, 2], None, kernel_shape=[2, 2], strides=[2, 2])
    pooled = np.array([[[[1, 2]], [[3, 4]]]], np.float32)
    feeds = {"p": pooled, "i": np.array([15, 0, 3, 9]).reshape(1, 2, 1, 2)}
    check(made, feeds=feeds, expected=runtime_results(made, feeds))


@pytest.mark.parametrize("op_type", ["RandomNormal", "RandomUniform"])
def test_random_values_run_on_one_core(op_type: str) -> None:
    made = [node(op_type, "", "r", "draw", shape=[2, 3]), node("Add", "x r", "y", "add")]
    graph = lower(model(made, [value("x", [2, 3])], ["y"]))
    (note,) = [record.note for record in graph.nodes if record.name == "draw"]
    assert "random" in note
    assert graph.node_counts()["fallback"] == 1


def test_bernoulli_is_a_comparison_with_random_values() -> None:
    graph = lower(model([node("Bernoulli", "x", "y", "draw")], [value("x", [2, 3])], ["y"]))
    assert set(kinds(graph)) == {"fallback", "pointwise"}
    assert "random" in graph.nodes[-1].note


@pytest.mark.parametrize("op_type", ["HannWindow", "HammingWindow", "BlackmanWindow"])
@pytest.mark.parametrize("periodic", [0, 1])
@pytest.mark.parametrize("size", [2, 7])
def test_windows_of_declared_length(op_type: str, periodic: int, size: int) -> None:
    made = node(op_type, "n", "y", "window", periodic=periodic)
    inputs = [value("n", [], TensorProto.INT64)]
    graph = check(model([made], inputs, [value("y", [size])]), feeds={"n": np.array(size)})
    assert kinds(graph) == ["reshape"]


@pytest.mark.parametrize("element_type", [TensorProto.FLOAT, TensorProto.INT32])
def test_range_of_declared_length(element_type: int) -> None:
    kind = helper.tensor_dtype_to_np_dtype(element_type)
    made = node("Range", "a b c", "y", "range")
    inputs = [value(name, [], element_type) for name in "abc"]
    built = model([made], inputs, [value("y", [4], element_type)])
    feeds = {name: np.array(at, kind) for name, at in (("a", 9), ("b", -3), ("c", -3))}
    assert kinds(check(built, feeds=feeds)) == ["pointwise"]
