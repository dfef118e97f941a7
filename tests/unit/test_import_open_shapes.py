"""Shapes that depend on data: declared, bounded, or refused with what to do."""

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto
from onnx_models import Shape, external, model, node, value
from resolving import failure, operators, resolve

from t10c.errors import InvalidInputError, UnsupportedOperatorError
from t10c.onnx_import.importer import import_model
from t10c.onnx_import.resolve import resolve_model

X = value("x", [2, 3, 4])
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL


def with_shape(
    op_type: str, operand: Shape, output: Shape, declared: bool = True, **attributes: object
) -> ModelProto:
    """One operator whose second input, which depends on data, decides the shape of the output."""
    return model(
        [node(op_type, "x s", "y", "n", **attributes)],
        [X, value("s", operand, INT64)],
        [value("y", output) if declared else "y"],
    )


@pytest.mark.parametrize(
    ("op_type", "operand", "output", "kind"),
    [
        ("Reshape", [2], [6, 4], "layout_only"),
        ("Reshape", [3], [6, -1, 4], "layout_only"),
        ("Squeeze", [1], [2, 3, 4], "layout_only"),
        ("Unsqueeze", [1], [2, 1, 3, 4], "layout_only"),
        ("Expand", [4], [5, 2, 3, 4], "layout_only"),
        ("Tile", [3], [2, 6, 4], "layout_only"),
        ("Pad", [6], [3, 4, 5], "fallback"),
        ("ReduceSum", [1], [2, 1, 4], "fallback"),
    ],
)
def test_declared_shape_is_taken(
    op_type: str, operand: list[int], output: list[int], kind: str
) -> None:
    made = with_shape(op_type, operand, output)
    resolved = resolve(made)
    shape = tuple(1 if size == -1 else size for size in output)
    assert resolved.shapes["y"] == shape
    (warning,) = [w for w in resolved.warnings if "depends on data" in w]
    assert warning == (
        "the shape of 'y' depends on data; planned as the file declares it: "
        f"{'x'.join(map(str, shape))} (node 'n' ({op_type}))"
    )
    assert import_model(made.SerializeToString()).nodes[0].node_class == kind


def test_declared_symbol_is_bound() -> None:
    made = with_shape("Reshape", [2], ["n", "m"]).SerializeToString()
    assert resolve_model(made, {"n": 8}).shapes["y"] == (8, 3)  # as many elements as before
    assert resolve_model(made, {"n": 8, "m": 3}).shapes["y"] == (8, 3)


@pytest.mark.parametrize(
    ("op_type", "output"),
    [
        ("Reshape", [5, 5]),
        ("Expand", [3, 4]),
        ("Tile", [2, 4, 4]),
        ("Unsqueeze", [2, 2, 3, 4]),
    ],
)
def test_declared_shape_that_cannot_be_is_ignored(op_type: str, output: list[int]) -> None:
    error = failure(
        with_shape(op_type, [4 if op_type == "Expand" else 3], output), UnsupportedOperatorError
    )
    assert f"node 'n' ({op_type}) is not supported: the shape of its output depends" in str(error)


def test_what_inference_knows_comes_before_the_declaration() -> None:
    resolved = resolve(with_shape("Expand", [4], [5, 2, 3, 9]))
    assert resolved.shapes["y"] == (5, 2, 3, 4)
    assert "output 'y' is declared as 5x2x3x9" in resolved.warnings[-1]


def test_parts_of_a_split_are_together_the_whole() -> None:
    def split(*sizes: int) -> ModelProto:
        outputs = [value(f"y{i}", [2, 3, size]) for i, size in enumerate(sizes)]
        names = " ".join(o.name for o in outputs)
        return model(
            [node("Split", "x s", names, "n", axis=2)],
            [X, value("s", [len(sizes)], INT64)],
            outputs,
        )

    assert resolve(split(1, 3)).shapes["y1"] == (2, 3, 3)
    assert "node 'n' (Split)" in str(failure(split(3, 3), UnsupportedOperatorError))


def test_declaration_of_a_later_tensor_counts_backwards() -> None:
    nodes = [
        node("ReduceSum", "x s", "r", "n"),
        node("Cast", "r", "c", to=TensorProto.DOUBLE),
        node("Sqrt", "c", "q"),
        node("CastLike", "q x", "y"),
    ]
    inputs = [X, value("s", [1], INT64)]
    resolved = resolve(model(nodes, inputs, [value("y", [2, 1, 4])]))
    assert resolved.shapes["r"] == (2, 1, 4)
    assert resolved.element_types["r"] == "float32"
    assert resolved.element_types["q"] == "float64"
    declared = model([*nodes, node("Neg", "y", "z")], inputs, ["z"])
    declared.graph.value_info.append(value("q", [1, 3, 4], TensorProto.DOUBLE))
    assert resolve(declared).shapes["z"] == (1, 3, 4)


CONDITION = value("s", [3], BOOL)


@pytest.mark.parametrize(
    ("made", "shapes"),
    [
        (node("NonZero", "x", "y", "n"), {"y": (3, 24)}),
        (node("Unique", "x", "y i j c", "n"), {"y": (24,), "i": (24,), "j": (24,), "c": (24,)}),
        (node("Unique", "x", "y _ _ c", "n", axis=1), {"y": (2, 3, 4), "c": (3,)}),
        (node("Compress", "x s", "y", "n"), {"y": (3,)}),
        (node("Compress", "x s", "y", "n", axis=-1), {"y": (2, 3, 3)}),
        (node("TopK", "x k", "y i", "n"), {"y": (2, 3, 4), "i": (2, 3, 4)}),
        (node("Slice", "x k k", "y", "n"), {"y": (2, 3, 4)}),
        (node("NonMaxSuppression", "b p k", "y", "n"), {"y": (2 * 5 * 7, 3)}),
        (node("NonMaxSuppression", "b p four", "y", "n"), {"y": (2 * 5 * 4, 3)}),
    ],
)
def test_largest_shape_is_planned(made: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
    inputs = [X, CONDITION, value("k", [1], INT64), value("b", [2, 7, 4]), value("p", [2, 5, 7])]
    read = [i for i in inputs if i.name in made.input]
    resolved = resolve(model([made], read, list(shapes), {"four": [4]}))
    for name, shape in shapes.items():
        assert resolved.shapes[name] == shape
        text = "x".join(map(str, shape))
        assert (
            f"the shape of '{name}' depends on data; planned for at most {text} "
            f"(node 'n' ({made.op_type}))" in resolved.warnings
        )


def test_declared_shape_comes_before_the_largest() -> None:
    made = model([node("NonZero", "x", "y", "n")], [X], [value("y", [3, 9], INT64)])
    assert resolve(made).shapes["y"] == (3, 9)
    wrong_rank = model([node("NonZero", "x", "y", "n")], [X], [value("y", [9], INT64)])
    resolved = resolve(wrong_rank)
    assert resolved.shapes["y"] == (3, 24)
    assert resolved.warnings[-1] == (
        "output 'y' is declared as 9 but has the shape 3x24; the declaration is ignored"
    )


def test_no_boxes_are_wanted() -> None:
    made = model(
        [node("NonMaxSuppression", "b p zero", "n"), node("Cast", "n", "y", to=TensorProto.FLOAT)],
        [value("b", [2, 7, 4]), value("p", [2, 5, 7])], ["y"], {"zero": [0]},
    )  # fmt: skip
    assert resolve(made).constants["y"].shape == (0, 3)


def test_what_follows_from_the_largest_shape_is_planned() -> None:
    nodes = [node("NonZero", "x", "nz", "n"), node("Cast", "nz", "c", to=TensorProto.FLOAT)]
    nodes.append(node("MatMul", "c w", "y"))
    resolved = resolve(model(nodes, [X], ["y"], {"w": np.ones((24, 5), np.float32)}))
    assert operators(resolved) == ["NonZero", "Cast", "MatMul"]
    assert resolved.shapes["y"] == (3, 5)


@pytest.mark.parametrize(
    ("nodes", "remedy"),
    [
        ([node("ConstantOfShape", "s", "y", "n")], "--value 's=[1,1]'"),
        ([node("Range", "a a b", "y", "n")], "--value a=1 --value b=1"),
        (
            [node("Mul", "s s", "t"), node("Add", "t s", "u"), node("Reshape", "x u", "y", "n")],
            "give the value that decides it, for instance: --value 's=[1,1]'",
        ),
        (
            [
                node("ReduceMax", "x", "m", keepdims=0),
                node("Cast", "m", "i", to=INT64),
                node("Range", "zero i one", "y", "n"),
            ],
            "it follows from the data of input 'x' (2x3x4): export the model with fixed shapes",
        ),
        ([node("Reshape", "x w", "y", "n")], "it follows from 'w', whose values are not in the"),
    ],
)
def test_refusal_names_what_decides_the_shape(nodes: list[onnx.NodeProto], remedy: str) -> None:
    inputs = [X, value("s", [2], INT64), value("a", [], INT64), value("b", [], INT64)]
    made = model(nodes, inputs, ["y"], {"zero": np.int64(0), "one": np.int64(1)})
    made.graph.initializer.append(external("w", [2], INT64))
    text = str(failure(made, UnsupportedOperatorError))
    assert f"node 'n' ({nodes[-1].op_type}) is not supported" in text
    assert "the shape of its output depends on data" in text
    assert text.splitlines()[-1].endswith(remedy) or remedy in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("output", "element_type", "says"),
    [
        ([2, 5], TensorProto.FLOAT, "declared as 2x5 but has the shape 2x3x4"),
        ([], TensorProto.FLOAT, "declared as scalar but has the shape 2x3x4"),
        (["b", 3, 9], TensorProto.FLOAT, "declared as ?x3x9 but has the shape 2x3x4"),
        ([2, 3, 4], TensorProto.DOUBLE, "declared as float64 but has the type float32"),
        ([2, 3, 4], 99, "declared as type 99 but has the type float32"),
    ],
)
def test_wrong_declarations_are_overruled(
    output: list[int | str], element_type: int, says: str
) -> None:
    made = model([node("Relu", "x", "y")], [X], [value("y", output, element_type)])
    resolved = resolve(made)
    assert resolved.warnings == (f"output 'y' is {says}; the declaration is ignored",)
    assert (resolved.shapes["y"], resolved.element_types["y"]) == ((2, 3, 4), "float32")


def test_symbol_whose_size_is_another_elsewhere() -> None:
    nodes = [node("Slice", "x zero one", "h"), node("Relu", "h", "y")]
    made = model(nodes, [value("x", ["n", 4])], [value("y", ["n", 4])], {"zero": [0], "one": [1]})
    made.graph.value_info.append(value("h", ["n", 4]))
    resolved = resolve_model(made.SerializeToString(), {"n": 6})
    assert resolved.warnings == (
        "output 'y' is declared as 6x4 but has the shape 1x4; the declaration is ignored",
        "tensor 'h' is declared as 6x4 but has the shape 1x4; the declaration is ignored",
    )
    assert resolve_model(made.SerializeToString(), {"n": 1}).warnings == ()


def test_empty_operands_and_results() -> None:
    nodes = [
        node("ReduceSum", "e axes", "zeros"),
        node("ReduceMax", "e", "lowest", axes=[1], keepdims=0),
        node("MatMul", "e w", "product"),
        node("Concat", "e x", "joined", axis=1),
        node("Relu", "e", "nothing"),
        node("Conv", "e2 k", "convolved"),
    ]
    inputs = [value("e", [2, 0, 4]), X, value("e2", [0, 3, 8]), value("axes", [1], INT64)]
    outputs = [value("zeros", [2, 1, 4]), "lowest", "product", "joined", "nothing", "convolved"]
    constants = {"w": np.ones((4, 5), np.float32), "k": np.ones((6, 3, 3), np.float32)}
    resolved = resolve(model(nodes, inputs, outputs, constants))
    assert operators(resolved) == ["Concat"]
    assert resolved.inputs == ("x", "axes")
    assert resolved.constants["zeros"].tolist() == [[[0.0] * 4]] * 2
    assert np.isneginf(resolved.constants["lowest"]).all()
    assert resolved.constants["lowest"].shape == (2, 4)
    assert resolved.constants["product"].shape == (2, 0, 5)
    assert resolved.constants["convolved"].shape == (0, 6, 6)
    assert resolved.shapes["joined"] == (2, 3, 4)


def test_window_over_nothing_and_over_too_little() -> None:
    nodes = [node("Conv", "x k", "y", "c", strides=[9])]
    inputs = [value("x", [0, 3, 8]), value("k", [6, 3, 3])]
    assert resolve(model(nodes, inputs, ["y"])).constants["y"].shape == (0, 6, 1)
    small = [value("x", [1, 3, 2]), value("k", [6, 3, 3])]
    del nodes[0].attribute[:]
    assert "node 'c' (Conv): tensor 'y' has no elements (1x6x0)" in str(
        failure(model(nodes, small, ["y"]), InvalidInputError)
    )


def test_product_over_nothing_is_zero() -> None:
    nodes = [node("MatMul", "a b", "p"), node("Add", "p x", "y")]
    inputs = [X, value("a", [2, 3, 0]), value("b", [0, 4])]
    resolved = resolve(model(nodes, inputs, ["y"]))
    assert operators(resolved) == ["Add"]
    assert not resolved.constants["p"].any()


@pytest.mark.parametrize("given", [True, False])
def test_compress_by_a_known_condition_depends_on_no_data(given: bool) -> None:
    condition = [True, False, True]
    inputs = [X, value("s", [3], BOOL)] if given else [X]
    made = model(
        [node("Compress", "x s", "y", "n", axis=1)],
        inputs,
        [value("y", [2, 2, 4])],
        {} if given else {"s": condition},
    )
    values = {"s": condition} if given else {}
    resolved = resolve_model(made.SerializeToString(), values=values)
    assert resolved.shapes["y"] == (2, 2, 4)
    assert not [warning for warning in resolved.warnings if "depends on data" in warning]


@pytest.mark.parametrize(
    ("op_type", "count", "outputs", "attributes", "suggested"),
    [
        ("Split", 2, "y z", {"axis": 1}, "[2,1]"),
        ("Split", 3, "y z w", {"axis": -1}, "[2,1,1]"),
        ("Squeeze", 1, "y", {}, "..."),
        ("Reshape", 3, "y", {}, "[-1,1,1]"),
        ("Unsqueeze", 2, "y", {}, "[0,1]"),
    ],
)
def test_suggested_values_fit_the_node(
    op_type: str, count: int, outputs: str, attributes: dict[str, object], suggested: str
) -> None:
    made = model(
        [node(op_type, "x s", outputs, "n", **attributes)],
        [X, value("s", [count], INT64)],
        outputs.split(),
    )
    error = failure(made, UnsupportedOperatorError)
    assert str(error).endswith(f"for instance: --value 's={suggested}'".replace("'s=...'", "s=..."))
    if suggested != "...":
        given = [int(number) for number in suggested.strip("[]").split(",")]
        resolve_model(made.SerializeToString(), values={"s": given})


def test_resize_to_nothing_is_no_matter_of_data() -> None:
    made = model(
        [node("Resize", "x _ _ s", "y", "n")], [X, value("s", [3], INT64)], ["y"]
    ).SerializeToString()
    with pytest.raises(InvalidInputError, match=r"'s' \[2,3,0\] does not give the size"):
        resolve_model(made, values={"s": [2, 3, 0]})
