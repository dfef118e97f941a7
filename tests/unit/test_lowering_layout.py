"""Layout-only operators and gathers against the reference evaluator."""

import numpy as np
import pytest
from graph_numpy import check
from onnx import NodeProto, TensorProto
from onnx_models import model, node, value

from t10c.ir.graph import LayoutOp

RNG = np.random.default_rng(3)
DATA = RNG.standard_normal((4, 5, 6)).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def kinds(graph: object) -> list[str]:
    operators = graph.operators  # type: ignore[attr-defined]
    return [op.kind if isinstance(op, LayoutOp) else op.expression.kernel for op in operators]


LAYOUTS: list[tuple[NodeProto, dict[str, np.ndarray], list[str]]] = [
    (node("Transpose", "x", "y", "n", perm=[2, 0, 1]), {}, ["transpose"]),
    (node("Transpose", "x", "y", "n"), {}, ["transpose"]),
    (node("Reshape", "x s", "y", "n"), {"s": ints(2, -1)}, ["reshape"]),
    (node("Flatten", "x", "y", "n"), {}, ["reshape"]),
    (node("Unsqueeze", "x s", "y", "n"), {"s": ints(1)}, ["reshape"]),
    (node("Slice", "x a b c d", "y", "n"),
     {"a": ints(-1, 1), "b": ints(-100, 5), "c": ints(2, 0), "d": ints(-2, 2)}, ["slice"]),
    (node("Slice", "x a b", "y", "n"), {"a": ints(1), "b": ints(99)}, ["slice"]),
    (node("Slice", "x a b c", "y", "n"), {"a": ints(-99), "b": ints(2), "c": ints(1)}, ["slice"]),
    (node("Slice", "x a b c d", "y", "n"),
     {"a": ints(99), "b": ints(1), "c": ints(1), "d": ints(-1)}, ["slice"]),
    (node("Expand", "x s", "y", "n"), {"s": ints(3, 1, 1, 1)}, ["expand"]),
    (node("Tile", "x s", "y", "n"), {"s": ints(2, 1, 3)}, ["reshape", "expand", "reshape"]),
    (node("Pad", "x s", "y", "n"), {"s": ints(0, 1, 2, 3, 0, 1)}, ["pad"]),
    (node("Pad", "x s", "y", "n"), {"s": ints(0, 1, 0, 0, 0, 0)}, ["pad"]),
    (node("Pad", "x s", "y", "n", mode="reflect"), {"s": ints(0, 2, 0, 0, 1, 0)},
     ["slice", "slice", "concat"]),
    (node("Pad", "x s", "y", "n", mode="edge"), {"s": ints(0, 2, 0, 0, 1, 0)},
     ["slice", "expand", "slice", "concat"]),
    (node("Gather", "x s", "y", "n", axis=1), {"s": np.array(-2)}, ["slice", "reshape"]),
    (node("Gather", "x s", "y", "n", axis=1), {"s": ints(1, 3)}, ["slice"]),
    (node("Gather", "x s", "y", "n", axis=2), {"s": ints(5, 3, 1)}, ["slice"]),
    (node("Gather", "x s", "y", "n", axis=0), {"s": ints(0, 1, 2, 3)}, []),
    (node("Gather", "x s", "y", "n", axis=1), {"s": ints(1, 0, 3)}, ["gather"]),
    (node("Gather", "x s", "y", "n", axis=1), {"s": np.array([[1, 0], [3, -1]])}, ["gather"]),
    (node("GatherND", "x s", "y", "n"),
     {"s": np.stack(np.meshgrid(ints(0, 1, 2, 3), ints(0, 2, 4), indexing="ij"), -1)}, ["slice"]),
    (node("GatherND", "x s", "y", "n"), {"s": np.array([[0, 1], [2, 1], [3, 4]])}, ["gather"]),
    (node("GatherND", "x s", "y", "n"),
     {"s": np.stack(np.meshgrid(ints(0, 1, 2, 3), ints(0, 2, 4), indexing="xy"), -1)}, ["gather"]),
    (node("Gather", "x s", "y", "n", axis=1), {"s": np.array([[1, 2], [1, 2]])}, ["gather"]),
    (node("GatherND", "x s", "y", "n"), {"s": np.array([[[2, 1]]])}, ["slice"]),
]  # fmt: skip


@pytest.mark.parametrize(("made", "constants", "expected"), LAYOUTS)
def test_layout_operators(
    made: NodeProto, constants: dict[str, np.ndarray], expected: list[str]
) -> None:
    tail = node("Relu", "y", "z", "use")
    graph = check(model([made, tail], [value("x", DATA.shape)], ["z"], constants))
    found = kinds(graph)
    if expected == ["expand"]:
        assert found == ["pointwise"]
        return
    assert found[: len(expected)] == expected or found == [*expected, "pointwise"]
    if "gather" not in expected and expected:
        assert graph.nodes[0].node_class == "layout_only"


def test_identical_gather_is_a_renaming() -> None:
    gather = node("Gather", "x s", "y", "g", axis=0)
    graph = check(model([gather], [value("x", [4, 2])], ["y"], {"s": ints(0, 1, 2, 3)}))
    assert kinds(graph) == ["reshape"]


def test_negative_padding_crops() -> None:
    pad = node("Pad", "x s", "y", "n")
    made = model([pad], [value("x", [4, 5])], ["y"], {"s": ints(-1, 1, 0, -2)})
    x = RNG.standard_normal((4, 5)).astype(np.float32)
    expected = np.pad(x[1:, :3], ((0, 0), (1, 0)))  # the reference evaluator refuses these
    assert kinds(check(made, feeds={"x": x}, expected=[expected])) == ["slice", "pad"]


@pytest.mark.parametrize("opset", [9, 17])
def test_padding_with_a_constant(opset: int) -> None:
    widths = [0, 1, 2, -1]
    if opset == 9:
        pad, constants = node("Pad", "x", "y", "n", pads=widths, value=-2.5), {}
    else:
        pad = node("Pad", "x s v", "y", "n")
        constants = {"s": ints(*widths), "v": np.array(-2.5, np.float32)}
    x = RNG.standard_normal((4, 5)).astype(np.float32)
    expected = np.pad(x[:, :4], ((0, 2), (1, 0)), constant_values=-2.5)
    made = model([pad], [value("x", [4, 5])], ["y"], constants, opset=opset)
    assert kinds(check(made, feeds={"x": x}, expected=[expected])) == ["slice", "pad"]


def test_padding_with_infinity() -> None:
    pad = node("Pad", "x s v", "y", "n")
    constants = {"s": ints(0, 1, 0, 0), "v": np.array(-np.inf, np.float32)}
    assert kinds(check(model([pad], [value("x", [4, 5])], ["y"], constants))) == ["pad"]


def test_embedding_splits_the_table_and_keeps_the_index_as_data() -> None:
    table = RNG.standard_normal((7, 3)).astype(np.float32)
    made = model(
        [node("Gather", "t x", "y", "embed")],
        [value("x", [2, 4], TensorProto.INT64)],
        ["y"],
        {"t": table},
    )
    index = {"x": np.array([[0, 6, 3, -1], [2, 2, 5, 1]])}
    (operator,) = check(made, feeds=index).planned
    expression = operator.expression
    assert {a.name: (a.role, a.reduction) for a in expression.axes} == {
        "i0": ("index", False),
        "i1": ("index", False),
        "e1": ("element", False),
        "v": ("table", True),
    }
    assert expression.reduce_op == "sum"


def test_gather_nd_with_data_indices() -> None:
    made = model(
        [node("GatherND", "t x", "y", "g")],
        [value("t", [3, 4, 2]), value("x", [5, 2], TensorProto.INT64)],
        ["y"],
    )
    feeds = {
        "t": RNG.standard_normal((3, 4, 2)).astype(np.float32),
        "x": np.array([[0, 1], [2, 3], [1, 1], [0, 0], [2, 0]]),
    }
    assert check(made, feeds=feeds).planned[0].expression.kernel == "gather"


def test_gather_elements() -> None:
    made = model(
        [node("GatherElements", "t x", "y", "g", axis=1)],
        [value("t", [3, 4]), value("x", [3, 2], TensorProto.INT64)],
        ["y"],
    )
    feeds = {
        "t": RNG.standard_normal((3, 4)).astype(np.float32),
        "x": np.array([[0, 3], [1, 1], [2, 0]]),
    }
    check(made, feeds=feeds)


def test_split_and_concat() -> None:
    made = model(
        [
            node("Split", "x s", "a b c", "split", axis=1),
            node("Concat", "c a b", "y", "cat", axis=1),
        ],
        [value("x", [2, 6, 3])],
        ["y"],
        {"s": ints(1, 3, 2)},
    )
    graph = check(made)
    assert kinds(graph) == ["slice", "slice", "slice", "concat"]
    assert graph.node_counts()["layout_only"] == 2


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    made = model(
        [node("DepthToSpace", "x", "y", "d", blocksize=2, mode=mode)],
        [value("x", [1, 8, 2, 3])],
        ["y"],
    )
    check(made)


def test_space_to_depth() -> None:
    check(
        model([node("SpaceToDepth", "x", "y", "d", blocksize=2)], [value("x", [1, 2, 4, 6])], ["y"])
    )


def test_concat_leaves_out_inputs_without_elements() -> None:
    nodes = [node("Slice", "x one one", "none", "cut"), node("Concat", "none x", "y", axis=0)]
    graph = check(model(nodes, [value("x", [2, 3])], ["y"], {"one": ints(1)}))
    assert kinds(graph) == ["reshape"]


def test_moving_only_unit_dimensions_is_a_reshape() -> None:
    transpose = node("Transpose", "x", "y", "t", perm=[0, 2, 1, 3])
    graph = check(model([transpose], [value("x", [1, 1, 12, 64])], ["y"]))
    assert kinds(graph) == ["reshape"]


def test_renamings_leave_no_operator_but_outputs_exist() -> None:
    made = model(
        [
            node("Identity", "x", "a", "id"),
            node("Dropout", "a", "b", "drop"),
            node("Cast", "b", "h", "double", to=TensorProto.DOUBLE),
            node("CastLike", "h w", "c", "as w"),
            node("Relu", "c", "y", "relu"),
            node("Identity", "c", "z", "out"),
        ],
        [value("x", [2, 3]), value("w", [1], TensorProto.DOUBLE)],
        ["y", "z"],
    )
    feeds = {"x": np.array([[0.5, -1, 2], [4, -8, 0.25]], np.float32), "w": np.zeros(1)}
    graph = check(made, feeds=feeds)
    assert kinds(graph) == ["pointwise", "reshape"] or kinds(graph) == ["reshape", "pointwise"]
    assert graph.node_counts()["layout_only"] == 5


def test_casts_that_round_are_steps_of_what_comes_before() -> None:
    made = model(
        [
            node("Relu", "x", "a", "relu"),
            node("Cast", "a", "h", "half", to=TensorProto.FLOAT16),
            node("Cast", "h", "y", "single", to=TensorProto.FLOAT),
        ],
        [value("x", [2, 3])],
        ["y"],
    )
    feeds = {"x": np.array([[0.1, -1, 2.3], [1e3, -8, 1 / 3]], np.float32)}
    graph = check(made, feeds=feeds)
    assert kinds(graph)[0] == "pointwise"
    relu = graph.planned[0].expression
    assert [s.op for s in (*relu.body, *relu.epilogue)] == ["Relu", "Cast"]


def test_output_that_is_an_input_or_a_constant() -> None:
    made = model(
        [node("Identity", "x", "y", "id"), node("Shape", "x", "s", "shape")],
        [value("x", [2, 3])],
        [value("y", [2, 3]), value("s", [2], TensorProto.INT64)],
    )
    graph = check(made)
    assert graph.tensor["s"].kind == "weight"
