"""Binding symbolic dimensions by --dim and --shape."""

import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import model, node, value

from t10c.errors import InvalidInputError, T10cError, UnsupportedOperatorError, UsageError
from t10c.onnx_import.resolve import resolve_model

Dims = dict[str, int]
Shapes = dict[str, tuple[int, ...]]


def two_inputs() -> bytes:
    made = model(
        [node("Add", "a b", "y", "add")],
        [value("a", ["batch", "seq", 4]), value("b", ["batch", "seq", 4])],
        [value("y", ["batch", "seq", 4])],
    )
    return made.SerializeToString()


def one_input(*shape: int | str | None) -> bytes:
    made = model([node("Relu", "x", "y", "r")], [value("x", shape)], ["y"])
    return made.SerializeToString()


def failure(data: bytes, dims: Dims, shapes: Shapes, kind: type[T10cError]) -> str:
    with pytest.raises(kind) as caught:
        resolve_model(data, dims, shapes)
    assert type(caught.value) is kind
    assert len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


@pytest.mark.parametrize(
    ("dims", "shapes"),
    [
        ({"batch": 2, "seq": 3}, {}),
        ({}, {"a": (2, 3, 4)}),
        ({"seq": 3}, {"b": (2, 3, 4)}),
        ({"batch": 2}, {"a": (2, 3, 4), "b": (2, 3, 4)}),
    ],
)
def test_symbols_are_bound_everywhere(dims: Dims, shapes: Shapes) -> None:
    resolved = resolve_model(two_inputs(), dims, shapes)
    assert resolved.shapes == dict.fromkeys("aby", (2, 3, 4))


def test_unbound_dimension_names_the_flag_to_type() -> None:
    text = failure(two_inputs(), {"batch": 2}, {}, InvalidInputError)
    assert "dimension 'seq' of input 'a'" in text
    assert "--dim seq=128" in text
    assert "--dim batch" not in text
    text = failure(two_inputs(), {}, {}, InvalidInputError)
    assert "1 more" in text
    assert text.endswith("give it one, for instance: --dim batch=1 --dim seq=128")


def test_suggested_sizes_follow_the_names() -> None:
    shape = ["N", "channels", "image_height", "W", "sequence_length", "past_seq", "num_tokens"]
    text = failure(one_input(*shape[:4]), {}, {}, InvalidInputError)
    assert text.endswith("--dim N=1 --dim channels=3 --dim image_height=224 --dim W=224")
    text = failure(one_input(*shape[4:]), {}, {}, InvalidInputError)
    assert text.endswith("--dim sequence_length=128 --dim past_seq=1 --dim num_tokens=128")
    text = failure(one_input(None, 3, None, None), {}, {}, InvalidInputError)
    assert text.endswith("--shape x:1x3x224x224")


@pytest.mark.parametrize("anonymous", [None, -1])
def test_unbound_dimension_without_a_name(anonymous: int | None) -> None:
    text = failure(one_input(anonymous, 3), {}, {}, InvalidInputError)
    assert "dimension 0 (it has no name) of input 'x'" in text
    assert "--shape x:1x3" in text
    assert resolve_model(one_input(anonymous, 3), {}, {"x": (7, 3)}).shapes["y"] == (7, 3)


def test_unknown_rank_needs_a_shape() -> None:
    made = model([node("Relu", "x", "y")], [value("x", None)], ["y"]).SerializeToString()
    assert "--shape x:" in failure(made, {}, {}, InvalidInputError)
    assert resolve_model(made, {}, {"x": (5, 6)}).shapes["y"] == (5, 6)


@pytest.mark.parametrize(
    ("dims", "shapes", "expected"),
    [
        ({}, {"a": (2, 3)}, "2 dimensions"),
        ({}, {"a": (2, 3, 5)}, "dimension 2 is 4 in the model, not 5"),
        ({"batch": 1}, {"a": (2, 3, 4)}, "--dim batch=1 makes it 1"),
        ({}, {"a": (2, 3, 4), "b": (2, 9, 4)}, "--shape a:2x3x4 makes it 3"),
    ],
)
def test_contradictory_shapes(dims: Dims, shapes: Shapes, expected: str) -> None:
    assert expected in failure(two_inputs(), dims, shapes, InvalidInputError)


@pytest.mark.parametrize(
    ("dims", "shapes", "expected"),
    [
        ({"bach": 1}, {}, "did you mean 'batch'?"),
        ({"x9": 1}, {}, "batch, seq"),
        ({}, {"aa": (1, 1, 4)}, "did you mean 'a'?"),
        ({"batch": -2}, {}, "-2 is not a size; sizes are integers, not negative"),
        ({}, {"a": (2, -1, 4)}, "-1 is not a size"),
    ],
)
def test_usage_errors(dims: Dims, shapes: Shapes, expected: str) -> None:
    assert expected in failure(two_inputs(), dims, shapes, UsageError)


def test_symbols_of_outputs_may_be_bound() -> None:
    made = model([node("Relu", "x", "y")], [value("x", [3])], [value("y", ["boxes"])])
    data = made.SerializeToString()
    assert "output 'y' is declared as 4" in resolve_model(data, {"boxes": 4}).warnings[0]
    assert "did you mean 'boxes'?" in failure(data, {"boxs": 4}, {}, UsageError)


def test_size_of_zero_is_an_empty_constant() -> None:
    resolved = resolve_model(one_input(0, 3))
    assert resolved.inputs == ()
    assert resolved.constants["y"].shape == (0, 3)
    empty, output = resolved.warnings
    assert empty.startswith("input 'x' is declared with 0 elements (0x3)")
    assert empty.endswith("--shape x:1x3")
    assert output == "output 'y' has no elements (0x3)"
    assert resolve_model(one_input(0, 3), {}, {"x": (7, 3)}).shapes["y"] == (7, 3)
    text = failure(one_input(0, 3), {}, {"x": (7, 4)}, InvalidInputError)
    assert "dimension 1 is 3 in the model, not 4" in text


@pytest.mark.parametrize(("dims", "shapes"), [({"past": 0}, {}), ({}, {"k": (1, 0)})])
def test_size_of_zero_may_be_given(dims: Dims, shapes: Shapes) -> None:
    made = model(
        [node("Concat", "k new", "y", axis=1)],
        [value("k", [1, "past"]), value("new", [1, "past + 3"])],
        ["y"],
    )
    resolved = resolve_model(made.SerializeToString(), dims, shapes)
    assert (resolved.shapes["new"], resolved.shapes["y"]) == ((1, 3), (1, 3))
    assert resolved.warnings == ("input 'k' has 0 elements (1x0): left out",)


def test_static_model_has_no_dimension_to_name() -> None:
    assert "the model has none" in failure(one_input(1, 3), {"batch": 1}, {}, UsageError)


def test_weights_have_no_shape_to_give() -> None:
    made = model([node("Add", "x w", "y")], [value("x", [1]), value("w", [1])], ["y"], {"w": [1.0]})
    text = failure(made.SerializeToString(), {}, {"w": (1,)}, UsageError)
    assert "'w' is a weight" in text


def test_dimension_that_is_an_expression() -> None:
    made = model(
        [node("Concat", "past mask", "y", axis=1)],
        [value("past", ["batch", "past_length"]), value("mask", ["batch", "past_length + 1"])],
        ["y"],
    ).SerializeToString()
    resolved = resolve_model(made, {"batch": 1, "past_length": 8})
    assert resolved.shapes["mask"] == (1, 9)
    assert resolved.shapes["y"] == (1, 17)
    assert "--dim past_length=1" in failure(made, {"batch": 1}, {}, InvalidInputError)


@pytest.mark.parametrize(
    ("shape", "dims", "expected"),
    [
        ((6, 1, 5), {}, "--shape x:6x1x5 makes dimension 'seq+1' 5, but seq=3 makes it 4"),
        ((6, 2, 4), {}, "makes dimension 'seq//2' 2, but seq=3 makes it 1"),
        ((5, 1, 4), {}, "makes dimension '2*seq' 5, but no size of 'seq' does"),
        ((6, 1, 0), {}, "makes dimension 'seq+1' 0"),
        ((6, 1, 4), {"seq": 2}, "'2*seq' 6, but seq=2 (--dim seq=2) makes it 4"),
    ],
)
def test_expressions_that_contradict(shape: tuple[int, ...], dims: Dims, expected: str) -> None:
    text = failure(one_input("2*seq", "seq//2", "seq+1"), dims, {"x": shape}, InvalidInputError)
    assert expected in text
    assert text.endswith("the model declares 'x' as [2*seq, seq//2, seq+1]")


def test_expressions_bind_their_symbol() -> None:
    made = model(
        [node("Relu", "x", "y"), node("Relu", "z", "w")],
        [value("x", ["batch * 2 + past", "past - 1"]), value("z", ["batch", "past"])],
        ["y", "w"],
    ).SerializeToString()
    assert resolve_model(made, {}, {"x": (10, 3)}).shapes["z"] == (3, 4)
    other = one_input("a * b", "a // 2")
    assert resolve_model(other, {}, {"x": (7, 3)}).shapes["y"] == (7, 3)
    assert resolve_model(other, {"b": 1}, {"x": (7, 3)}).shapes["y"] == (7, 3)
    assert "'a // 2' 4, but a=7" in failure(other, {"b": 1}, {"x": (7, 4)}, InvalidInputError)


def test_suggested_flags_do_not_contradict_one_another() -> None:
    text = failure(one_input(None, 3, None, "?"), {}, {}, InvalidInputError)
    assert text.endswith("for instance: --shape x:1x3x224x224")
    made = model(
        [node("Relu", "x", "y"), node("Relu", "z", "w")],
        [value("z", ["rows", "n"]), value("x", [None, 3, "rows", "2*rows"])],
        ["y", "w"],
    ).SerializeToString()
    text = failure(made, {}, {}, InvalidInputError)
    assert text.endswith("for instance: --shape x:1x3x224x448 --dim n=1")
    assert resolve_model(made, {"n": 1}, {"x": (1, 3, 224, 448)}).shapes["z"] == (224, 1)


def test_expression_is_never_executed() -> None:
    text = failure(one_input("__import__('os').getpid()"), {}, {}, InvalidInputError)
    assert "has no size" in text


def test_rank_zero_input() -> None:
    assert resolve_model(one_input()).shapes == {"x": (), "y": ()}


def test_huge_input() -> None:
    text = failure(one_input("n", 3), {"n": 2**62}, {}, InvalidInputError)
    assert "tensor 'x'" in text


def test_input_that_is_a_sequence_or_has_no_type() -> None:
    made = model([node("Relu", "x", "y")], [value("x", [1])], ["y"])
    made.graph.input[0].type.CopyFrom(
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [1]))
    )
    assert "'x' is a sequence" in failure(
        made.SerializeToString(), {}, {}, UnsupportedOperatorError
    )
    made.graph.input[0].type.CopyFrom(onnx.TypeProto())
    assert "no element type" in failure(made.SerializeToString(), {}, {}, InvalidInputError)
