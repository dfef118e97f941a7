"""Folding: shapes, constants, weights, control flow and sequences."""

import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import external, model, node, value
from resolving import failure, notes, operators, resolve, same_numbers

from t10c.errors import InvalidInputError, UnsupportedOperatorError
from t10c.onnx_import.resolve import resolve_model

X = value("x", [2, 3, 4])
DATA = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL


def test_shape_arithmetic_folds_into_reshape() -> None:
    nodes = [
        node("Shape", "x", "s", "shape"),
        node("Gather", "s zero", "b", "gather"),
        node("Mul", "b two", "b2", "mul"),
        node("Unsqueeze", "b2 axes", "u", "unsqueeze"),
        node("Concat", "u minus", "target", "concat", axis=0),
        node("Reshape", "x target", "y", "reshape"),
    ]
    constants = {"zero": np.int64(0), "two": np.int64(2), "axes": [0], "minus": [-1]}
    resolved = same_numbers(model(nodes, [X], ["y"], constants), x=DATA)
    assert operators(resolved) == ["Reshape"]
    assert resolved.shapes["y"] == (4, 6)
    assert resolved.constants["target"].tolist() == [4, -1]
    assert set(resolved.shapes) == {"x", "target", "y"}
    assert set(notes(resolved)) == {"shape", "gather", "mul", "unsqueeze", "concat"}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, [2, 3, 4]),
        ({"start": 1}, [3, 4]),
        ({"start": -2, "end": -1}, [3]),
        ({"end": 9}, [2, 3, 4]),
    ],
)
def test_shape_with_bounds(attributes: dict[str, int], expected: list[int]) -> None:
    resolved = resolve(model([node("Shape", "x", "y", **attributes)], [X], ["y"]))
    assert resolved.nodes == ()
    assert resolved.constants["y"].tolist() == expected


def test_size_and_constant_of_shape() -> None:
    nodes = [
        node("Size", "x", "n"),
        node("Reshape", "n one", "n1"),
        node(
            "ConstantOfShape", "n1", "y", value=numpy_helper.from_array(np.array([7.0], np.float32))
        ),
    ]
    resolved = resolve(model(nodes, [X], ["y"], {"one": [1]}))
    assert resolved.constants["y"].tolist() == [7.0] * 24
    assert resolved.element_types["y"] == "float32"


def test_folded_values_keep_the_models_element_type() -> None:
    nodes = [node("Cast", "c", "h", to=TensorProto.FLOAT16), node("Add", "h h", "y")]
    resolved = resolve(model(nodes, [], ["y"], {"c": np.arange(3, dtype=np.float32)}))
    assert resolved.constants["y"].dtype == np.float16
    assert resolved.element_types["y"] == "float16"


def test_external_weights_and_what_is_derived_from_them_stay_unknown() -> None:
    nodes = [
        node("Transpose", "w", "wt", "transpose"),
        node("Mul", "wt half", "ws", "scale"),
        node("MatMul", "x ws", "y", "matmul"),
    ]
    made = model(nodes, [X], ["y"], {"half": np.float32(0.5)})
    made.graph.initializer.append(external("w", [8, 4]))
    resolved = resolve(made)
    assert operators(resolved) == ["MatMul"]
    assert resolved.weights == {"ws"}
    assert resolved.shapes["ws"] == (4, 8)
    assert notes(resolved) == {"transpose": "weight", "scale": "weight"}
    assert resolved.constants == {}


def test_large_initializers_are_weights_and_small_ones_constants() -> None:
    made = model(
        [node("MatMul", "x w", "a"), node("Add", "a b", "y")], [X], ["y"],
        {"w": np.zeros((4, 5000), np.float32), "b": np.ones(5000, np.float32)},
    )  # fmt: skip
    resolved = resolve(made)
    assert resolved.weights == {"w"}
    assert set(resolved.constants) == {"b"}


def test_large_results_are_never_held() -> None:
    """Old graphs make hundreds of megabytes of weights by ConstantOfShape."""
    constant = numpy_helper.from_array(np.array([2**12, 2**12], np.int64))
    nodes = [
        node("Constant", "", "shape", value=constant),
        node("ConstantOfShape", "shape", "w", "made"),
        node("MatMul", "x w", "y"),
    ]
    made = model(nodes, [value("x", [1, 2**12])], ["y"])
    resolve(made)  # imports what it needs
    tracemalloc.start()
    resolved = resolve(made)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2**20
    assert resolved.weights == {"w"}
    assert resolved.shapes["w"] == (2**12, 2**12)
    assert notes(resolved)["made"] == "weight"


@pytest.mark.parametrize(("computed", "value_known"), [((1, 6), True), ((5,), False)])
def test_inference_decides_type_and_shape_of_folded_values(
    monkeypatch: pytest.MonkeyPatch, computed: tuple[int, ...], value_known: bool
) -> None:
    wrong = np.ones(computed, np.float64)
    monkeypatch.setattr("t10c.onnx_import.constants.evaluate", lambda *_: [wrong])
    resolved = resolve(model([node("Neg", "c", "y")], [], ["y"], {"c": np.ones(6, np.float32)}))
    assert resolved.shapes["y"] == (6,)
    assert resolved.element_types["y"] == "float32"
    assert ("y" in resolved.constants) == value_known
    assert ("y" in resolved.weights) != value_known
    if value_known:
        assert resolved.constants["y"].dtype == np.float32
        assert resolved.constants["y"].shape == (6,)


def test_external_integers_are_read_where_the_file_is_at_hand(tmp_path) -> None:  # type: ignore[no-untyped-def]
    made = model([node("Reshape", "x target", "y", "r")], [X], ["y"])
    made.graph.initializer.append(external("target", [2], INT64))
    path = tmp_path / "model.onnx"
    onnx.save(made, path)
    with pytest.raises(UnsupportedOperatorError, match="'r'"):
        resolve_model(path)
    (tmp_path / "weights.bin").write_bytes(np.array([6, 4], np.int64).tobytes())
    assert resolve_model(path).shapes["y"] == (6, 4)
    made.graph.initializer[0].external_data[0].value = "../weights.bin"
    (tmp_path / "below").mkdir()
    onnx.save(made, tmp_path / "below" / "model.onnx")
    with pytest.raises(UnsupportedOperatorError):
        resolve_model(tmp_path / "below" / "model.onnx")


def test_random_operators_and_training_dropout_are_not_constant() -> None:
    nodes = [node("RandomNormal", "", "r", "random", shape=[2, 3, 4]), node("Add", "x r", "y")]
    resolved = resolve(model(nodes, [X], ["y"]))
    assert operators(resolved) == ["RandomNormal", "Add"]
    assert resolved.weights == frozenset()
    dropout = [node("Dropout", "c _ yes", "d"), node("Add", "x d", "y")]
    constants = {"c": np.ones(4, np.float32), "yes": np.bool_(True)}
    assert operators(resolve(model(dropout, [X], ["y"], constants))) == ["Dropout", "Add"]
    constants["yes"] = np.bool_(False)
    assert operators(resolve(model(dropout, [X], ["y"], constants))) == ["Add"]


def test_cast_like_of_a_constant_needs_only_the_type() -> None:
    nodes = [node("CastLike", "c x", "f"), node("Add", "x f", "y")]
    resolved = resolve(model(nodes, [X], ["y"], {"c": np.int64(3)}))
    assert operators(resolved) == ["Add"]
    assert resolved.constants["f"].dtype == np.float32


def test_identity_dropout_and_cast_of_activations_stay() -> None:
    nodes = [
        node("Identity", "x", "a"),
        node("Dropout", "a", "b"),
        node("Cast", "b", "y", to=TensorProto.FLOAT16),
    ]
    assert operators(resolve(model(nodes, [X], ["y"]))) == ["Identity", "Dropout", "Cast"]


def test_outputs_that_are_constant_or_inputs() -> None:
    resolved = resolve(model([node("Neg", "c", "n")], [X], ["n", "c", "x"], {"c": [1.0, 2.0]}))
    assert resolved.outputs == ("n", "c", "x")
    assert resolved.constants["n"].tolist() == [-1.0, -2.0]
    assert set(resolved.constants) == {"n", "c"}


def test_nodes_that_reach_no_output_are_unused() -> None:
    nodes = [
        node("NonZero", "x", "nz", "dead"),
        node("Exp", "x", "e", "only_its_shape"),
        node("Shape", "e", "s", "shape"),
        node("Reshape", "x s", "y", "r"),
    ]
    resolved = resolve(model(nodes, [X], ["y"]))
    assert operators(resolved) == ["Reshape"]
    assert notes(resolved) == {"dead": "unused", "only_its_shape": "unused", "shape": "constant"}


def test_optional_outputs_without_a_shape_are_dropped_if_unread() -> None:
    nodes = [node("BatchNormalization", "x s s s s", "y mean v sm sv", "bn")]
    constants = {"s": np.ones(3, np.float32)}
    resolved = resolve(model(nodes, [X], ["y"], constants, opset=9))
    assert resolved.nodes[0].outputs == ("y", "", "", "", "")
    assert "mean" not in resolved.shapes
    read = model(nodes, [X], ["y", "mean"], constants, opset=9)
    assert failure(read, UnsupportedOperatorError).nodes == (("bn", "BatchNormalization"),)


def test_empty_slices_are_constants_and_empty_results_errors() -> None:
    nodes = [node("Slice", "x zero zero zero", "none"), node("Concat", "none x", "y", axis=0)]
    resolved = resolve(model(nodes, [X], ["y"], {"zero": [0]}))
    assert resolved.shapes["none"] == (0, 3, 4)
    assert resolved.shapes["y"] == (2, 3, 4)
    assert resolved.warnings == ()
    pool = [node("MaxPool", "x", "y", "p", kernel_shape=[5])]
    assert "'y' has no elements" in str(failure(model(pool, [X], ["y"]), InvalidInputError))


def test_constant_index_out_of_range() -> None:
    nodes = [node("Shape", "x", "s"), node("Gather", "s nine", "y", "g")]
    error = failure(model(nodes, [X], ["y"], {"nine": np.int64(9)}), InvalidInputError)
    assert "node 'g' (Gather)" in str(error)


def test_range_of_lists_of_one_number() -> None:
    made = model([node("Range", "a b c", "y")], [], ["y"], {"a": 1, "b": [7], "c": 2})
    assert resolve(made).constants["y"].tolist() == [1, 3, 5]


def test_group_normalization_has_its_inputs_shape() -> None:
    nodes = [node("GroupNormalization", "x s s", "y", num_groups=1)]
    constants = {"s": np.ones(3, np.float32)}
    assert resolve(model(nodes, [X], ["y"], constants, opset=21)).shapes["y"] == (2, 3, 4)


def test_nonzero_of_a_constant_is_folded() -> None:
    nodes = [node("NonZero", "c", "nz"), node("Gather", "x nz", "y", axis=2)]
    resolved = resolve(model(nodes, [X], ["y"], {"c": [0.0, 1.0, 1.0]}))
    assert resolved.shapes["y"] == (2, 3, 1, 2)


def test_all_unsupported_nodes_are_listed() -> None:
    nodes = [
        node("FusedFoo", "x", "a", "one", domain="com.microsoft"),
        node("Relu", "a", "b", "fine"),
        node("Gelu", "b", "c", "two"),
        node("Frobnicate", "c", "d", "three"),
        node("Other", "d", "y", "four", domain="nowhere"),
    ]
    made = model(nodes, [X], ["y"], opset=17)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    error = failure(made, UnsupportedOperatorError)
    assert error.nodes == (
        ("one", "com.microsoft.FusedFoo"),
        ("two", "Gelu"),
        ("three", "Frobnicate"),
        ("four", "nowhere.Other"),
    )
    assert "node 'one' (com.microsoft.FusedFoo)" in str(error)
    only_gelu = model([node("Gelu", "x", "y", "g")], [X], ["y"], opset=17)
    assert "from opset 20 on" in str(failure(only_gelu, UnsupportedOperatorError))


@pytest.mark.parametrize("opset", [11, 17])
def test_sequences_of_known_length_are_taken_apart(opset: int) -> None:
    nodes = [
        node("SplitToSequence", "x", "parts", "split", axis=1, keepdims=0),
        node("SequenceAt", "parts last", "p", "at"),
        node("SequenceInsert", "parts p zero", "more", "insert"),
        node("SequenceErase", "more one", "fewer", "erase"),
        node("ConcatFromSequence", "fewer", "y", "concat", axis=0, new_axis=1),
        node("SequenceLength", "more", "n", "length"),
    ]
    constants = {"last": np.int64(-1), "zero": np.int64(0), "one": np.int64(1)}
    made = model(nodes, [X], ["y", "n"], constants, opset=opset)
    resolved = same_numbers(made, x=DATA)
    assert resolved.shapes["y"] == (3, 2, 4)
    assert resolved.constants["n"] == 4
    assert set(notes(resolved)) >= {"split", "at", "insert", "erase", "concat", "length"}
    assert operators(resolved).count("Split") == 1
    assert operators(resolved).count("Squeeze") == 2  # the erased part is gone


def test_split_into_chunks_of_a_size() -> None:
    nodes = [
        node("SplitToSequence", "x two", "parts", "split", axis=1),
        node("SequenceAt", "parts one", "y", "at"),
    ]
    made = model(nodes, [X], ["y"], {"two": np.int64(2), "one": np.int64(1)})
    resolved = same_numbers(made, x=DATA)
    assert resolved.shapes["y"] == (2, 1, 4)


@pytest.mark.parametrize("op_type", ["ConcatFromSequence", "SequenceAt", "SequenceInsert"])
def test_malformed_sequence_operators_are_named(op_type: str) -> None:
    nodes = [node("SequenceConstruct", "x x", "s"), node(op_type, "s", "y", "bad")]
    assert "node 'bad'" in str(failure(model(nodes, [X], ["y"]), InvalidInputError))


def test_sequence_as_output_or_at_an_unknown_place() -> None:
    made = model([node("SequenceConstruct", "x x", "y", "s")], [X], ["y"])
    error = failure(made, UnsupportedOperatorError)
    assert error.nodes == (("y", "model output"),)
    nodes = [node("SequenceConstruct", "x x", "s"), node("SequenceAt", "s i", "y", "at")]
    made = model(nodes, [X, value("i", [], INT64)], ["y"])
    assert failure(made, UnsupportedOperatorError).nodes == (("at", "SequenceAt"),)


def test_same_model_resolves_alike() -> None:
    nodes = [node("Shape", "x", "s"), node("SplitToSequence", "x", "parts", axis=1)]
    nodes.append(node("ConcatFromSequence", "parts", "r", axis=0))
    made = model(nodes, [X], ["r", "s"])
    first, second = resolve(made), resolve(made)
    assert first.nodes == second.nodes
    assert first.folded == second.folded
    assert list(first.shapes.items()) == list(second.shapes.items())
