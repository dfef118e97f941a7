"""Folding: shapes, constants, weights, control flow and sequences."""

import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx_models import external, graph, model, node, rebuilt, value
from onnxruntime import InferenceSession

from t10c.errors import InvalidInputError, T10cError, UnsupportedOperatorError
from t10c.onnx_import.resolve import resolve_model
from t10c.onnx_import.resolved import ResolvedModel

X = value("x", [2, 3, 4])
DATA = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL


def resolve(made: ModelProto) -> ResolvedModel:
    return resolve_model(made.SerializeToString())


def same_numbers(made: ModelProto, **feeds: np.ndarray) -> ResolvedModel:
    """Resolve, and see that what is left computes what the model did."""
    resolved = resolve(made)
    expected = InferenceSession(made.SerializeToString()).run(None, feeds)
    actual = InferenceSession(rebuilt(resolved).SerializeToString()).run(None, feeds)
    for name, left, right in zip(resolved.outputs, expected, actual, strict=True):
        np.testing.assert_allclose(right, left, err_msg=name)
        assert np.shape(right) == resolved.shapes[name]
    return resolved


def failure(made: ModelProto, kind: type[T10cError]) -> T10cError:
    with pytest.raises(kind) as caught:
        resolve(made)
    assert type(caught.value) is kind
    assert len(str(caught.value).splitlines()) <= 3
    return caught.value


def operators(resolved: ResolvedModel) -> list[str]:
    return [n.op_type for n in resolved.nodes]


def notes(resolved: ResolvedModel) -> dict[str, str]:
    return {record.name: record.note for record in resolved.folded}


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
    monkeypatch.setattr("t10c.onnx_import.fold.evaluate", lambda *_: [wrong])
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
    pool = [node("MaxPool", "x", "y", "p", kernel_shape=[5])]
    assert "'y' has no elements" in str(failure(model(pool, [X], ["y"]), InvalidInputError))


def test_constant_index_out_of_range() -> None:
    nodes = [node("Shape", "x", "s"), node("Gather", "s nine", "y", "g")]
    error = failure(model(nodes, [X], ["y"], {"nine": np.int64(9)}), InvalidInputError)
    assert "node 'g' (Gather)" in str(error)


def test_group_normalization_has_its_inputs_shape() -> None:
    nodes = [node("GroupNormalization", "x s s", "y", num_groups=1)]
    constants = {"s": np.ones(3, np.float32)}
    assert resolve(model(nodes, [X], ["y"], constants, opset=21)).shapes["y"] == (2, 3, 4)


def test_shape_that_depends_on_data() -> None:
    nodes = [node("NonZero", "x", "nz", "n"), node("Cast", "nz", "y", to=TensorProto.FLOAT)]
    error = failure(model(nodes, [X], ["y"]), UnsupportedOperatorError)
    assert "node 'n' (NonZero)" in str(error)
    assert "depends on data" in str(error)
    assert error.nodes == (("n", "NonZero"),)


def test_nonzero_of_a_constant_is_folded() -> None:
    nodes = [node("NonZero", "c", "nz"), node("Gather", "x nz", "y", axis=2)]
    resolved = resolve(model(nodes, [X], ["y"], {"c": [0.0, 1.0, 1.0]}))
    assert resolved.shapes["y"] == (2, 3, 1, 2)


def test_all_unsupported_nodes_are_listed() -> None:
    nodes = [
        node("FusedConv", "x", "a", "one", domain="com.microsoft"),
        node("Relu", "a", "b", "fine"),
        node("Gelu", "b", "c", "two"),
        node("Frobnicate", "c", "d", "three"),
        node("Other", "d", "y", "four", domain="nowhere"),
    ]
    made = model(nodes, [X], ["y"], opset=17)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    error = failure(made, UnsupportedOperatorError)
    assert error.nodes == (
        ("one", "com.microsoft.FusedConv"),
        ("two", "Gelu"),
        ("three", "Frobnicate"),
        ("four", "nowhere.Other"),
    )
    assert "node 'one' (com.microsoft.FusedConv)" in str(error)
    only_gelu = model([node("Gelu", "x", "y", "g")], [X], ["y"], opset=17)
    assert "from opset 20 on" in str(failure(only_gelu, UnsupportedOperatorError))


def branches() -> dict[str, onnx.GraphProto]:
    """Two branches that use the same inner names, a constant of their own and a captured tensor."""
    return {
        "then_branch": graph(
            [node("Add", "x c", "t", "inner"), node("Relu", "t", "o")], [], ["o"],
            {"c": np.float32(1)},
        ),
        "else_branch": graph([node("Identity", "x", "t", "inner")], [], ["t"]),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("size", "expected"), [(2, ["Add", "Relu", "Identity"]), (5, ["Identity", "Identity"])]
)
def test_if_of_known_condition_takes_its_branch(size: int, expected: list[str]) -> None:
    nodes = [
        node("Shape", "x", "s", "shape", end=1),
        node("Equal", "s two", "e", "equal"),
        node("If", "e", "r", "if", **branches()),
        node("Identity", "r", "t", "user"),
    ]
    made = model(nodes, [value("x", [size, 3])], ["t"], {"two": [2]})
    resolved = same_numbers(made, x=np.arange(size * 3, dtype=np.float32).reshape(size, 3))
    assert operators(resolved) == [*expected, "Identity"]
    assert resolved.shapes["t"] == (size, 3)
    assert notes(resolved)["if"] == f"took its {'then' if size == 2 else 'else'} branch"
    assert len({n.name for n in resolved.nodes}) == len(resolved.nodes)


def test_if_that_depends_on_data() -> None:
    nodes = [node("If", "c", "y", "if", **branches())]
    error = failure(model(nodes, [X, value("c", [], BOOL)], ["y"]), UnsupportedOperatorError)
    assert "node 'if' (If)" in str(error)
    assert "condition depends on data" in str(error)
    assert "the branch that is taken" in str(error)
    assert "standard ONNX operators" not in str(error)


def loop(body_nodes: list[onnx.NodeProto], **constants: object) -> onnx.NodeProto:
    body = graph(
        body_nodes,
        [value("i", [], INT64), value("go", [], BOOL), value("v", None)],
        ["go_on", "w", "scan"],
        constants,
    )
    return node("Loop", "trips start x", "last rows", "loop", body=body)


BODY = [
    node("Identity", "go", "go_on"),
    node("Relu", "v", "w", "inner"),
    node("ReduceMax", "w", "scan", keepdims=0),
]


@pytest.mark.parametrize("opset", [11, 17])
def test_loop_of_known_trip_count_is_unrolled(opset: int) -> None:
    constants = {"trips": np.int64(3), "start": np.bool_(True)}
    made = model([loop(BODY)], [X], ["last", "rows"], constants, opset=opset)
    resolved = same_numbers(made, x=DATA)
    assert operators(resolved).count("Relu") == 3
    assert operators(resolved).count("ReduceMax") == 3
    assert resolved.shapes["last"] == (2, 3, 4)
    assert resolved.shapes["rows"] == (3,)
    assert notes(resolved)["loop"] == "unrolled 3 times"
    chain = [n for n in resolved.nodes if n.op_type == "Relu"]
    assert chain[0].inputs == ("x",)
    assert chain[1].inputs == chain[0].outputs
    assert chain[2].inputs == chain[1].outputs


def test_loop_ends_when_its_condition_is_known_to() -> None:
    body = [node("Less", "i limit", "go_on"), *BODY[1:]]
    constants = {"trips": np.int64(9), "start": np.bool_(True)}
    made = model([loop(body, limit=np.int64(1))], [X], ["last", "rows"], constants)
    resolved = same_numbers(made, x=DATA)
    assert operators(resolved).count("Relu") == 2


def test_loop_that_depends_on_data_or_is_long() -> None:
    start = {"start": np.bool_(True)}
    unknown = model([loop(BODY)], [X, value("trips", [], INT64)], ["last"], start)
    error = failure(unknown, UnsupportedOperatorError)
    assert "depends on data" in str(error)
    assert "fixed number of iterations" in str(error)
    long = model([loop(BODY)], [X], ["last"], {**start, "trips": np.int64(10**6)})
    assert "too long to unroll" in str(failure(long, UnsupportedOperatorError))
    unsure = [
        node("ReduceMax", "v", "m", keepdims=0),
        node("Cast", "m", "go_on", to=BOOL),
        *BODY[1:],
    ]
    early = model([loop(unsure)], [X], ["last"], {**start, "trips": np.int64(2)})
    assert "depends on data" in str(failure(early, UnsupportedOperatorError))


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
    nodes = [node("Shape", "x", "s"), node("If", "c", "r", "if", **branches())]
    made = model(nodes, [X], ["r", "s"], {"c": np.bool_(True)})
    first, second = resolve(made), resolve(made)
    assert first.nodes == second.nodes
    assert first.folded == second.folded
    assert list(first.shapes.items()) == list(second.shapes.items())
