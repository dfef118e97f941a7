"""Values for inputs: `--value NAME=VALUE`."""

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import Shape, model, node, value

from t10c.errors import InvalidInputError, T10cError, UsageError
from t10c.onnx_import.importer import import_model
from t10c.onnx_import.resolve import resolve_model

INT64 = TensorProto.INT64


def top_k(k: Shape = (1,), element_type: int = INT64) -> bytes:
    inputs = [value("x", ["batch", 40]), value("k", k, element_type)]
    made = model([node("TopK", "x k", "y i", "n")], inputs, ["y", "i"])
    return made.SerializeToString()


def add(shape: Shape, element_type: int = TensorProto.FLOAT) -> bytes:
    inputs = [value("x", ["n", 3], element_type), value("a", shape, element_type)]
    return model([node("Add", "x a", "y")], inputs, ["y"]).SerializeToString()


def failure(
    data: bytes,
    values: dict[str, object],
    kind: type[T10cError],
    shapes: dict[str, tuple[int, ...]] | None = None,
) -> str:
    with pytest.raises(kind) as caught:
        resolve_model(data, {}, shapes, values=values)
    assert type(caught.value) is kind
    assert len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


@pytest.mark.parametrize("given", [5, [5], np.array([5], np.int32), 5.0])
def test_value_makes_an_input_a_constant(given: object) -> None:
    resolved = resolve_model(top_k(), {"batch": 2}, values={"k": given})
    assert resolved.shapes["y"] == (2, 5)
    assert resolved.inputs == ("x",)
    assert resolved.constants["k"].dtype == np.int64
    assert resolved.warnings[0].startswith("input 'k' is fixed: --value k=")
    assert resolved.warnings[0].endswith("the plan holds for this value only")


def test_graph_says_which_values_it_holds_for() -> None:
    graph = import_model(top_k(), {"batch": 2}, values={"k": [5]})
    assert graph.inputs == ("x",)
    assert graph.warnings[0].startswith("input 'k' is fixed: --value k=[5];")


def test_value_binds_the_dimensions_of_its_input() -> None:
    resolved = resolve_model(add(["n", 3]), values={"a": [[1, 2, 3]] * 4})
    assert resolved.shapes["y"] == (4, 3)
    assert resolved.constants["a"].dtype == np.float32
    text = failure(add(["n", 3]), {"a": [[1, 2, 3]] * 4}, InvalidInputError, {"x": (5, 3)})
    assert "--value a=[1,2,3,1,2,3,1,2,...] makes dimension 'n' 4" in text
    assert "but --shape x:5x3 makes it 5" in text


def test_one_number_fills_the_input() -> None:
    resolved = resolve_model(add(["n", 3]), {"n": 2}, values={"a": 7})
    assert resolved.constants["a"].tolist() == [[7.0] * 3] * 2
    shapes = {"a": (2, 3)}
    assert resolve_model(add(None), {"n": 2}, shapes, values={"a": 7}).shapes["a"] == (2, 3)
    assert resolve_model(add(None), {"n": 2}, values={"a": 7}).shapes["a"] == ()
    assert resolve_model(add([]), {"n": 2}, values={"a": True}).constants["a"] == 1.0


def test_large_filled_input_is_a_weight() -> None:
    resolved = resolve_model(add(["n", 3]), {"n": 10**6}, values={"a": 1})
    assert resolved.weights == {"a"}


@pytest.mark.parametrize(
    ("element_type", "given"),
    [
        (TensorProto.BOOL, [True, False, 1]),
        (TensorProto.FLOAT16, [0.1, 2, 3]),
        (TensorProto.BFLOAT16, [0.1, 2, 3]),
        (TensorProto.UINT8, [0, 255, 3]),
        (TensorProto.INT4, [-8, 7, 0]),
        (TensorProto.DOUBLE, [1e300, float("inf"), 0]),
    ],
)
def test_value_gets_the_inputs_type(element_type: int, given: list[float]) -> None:
    made = model([node("Identity", "a", "y")], [value("a", [3], element_type)], ["y"], opset=21)
    resolved = resolve_model(made.SerializeToString(), values={"a": given})
    assert np.allclose(resolved.constants["y"].astype(float), given, rtol=1e-2)


@pytest.mark.parametrize(
    ("element_type", "given", "says"),
    [
        (INT64, [1.5], "takes int64, which cannot hold this value"),
        (INT64, [float("nan")], "takes int64"),
        (INT64, [2**63], "takes int64"),
        (TensorProto.UINT8, [256], "takes uint8"),
        (TensorProto.UINT8, [-1], "takes uint8"),
        (TensorProto.INT4, [8], "takes int4"),
        (TensorProto.BOOL, [2], "takes bool"),
        (TensorProto.FLOAT16, [1e6], "takes float16"),
        (TensorProto.STRING, [1], "holds string, which cannot be given"),
        (INT64, ["a"], "not a number"),
        (INT64, [[1], [2, 3]], "not a number"),
        (INT64, None, "not a number"),
        (INT64, [10**30], "not a number"),
    ],
)
def test_value_that_the_type_cannot_hold(element_type: int, given: object, says: str) -> None:
    made = model([node("Identity", "k", "y")], [value("k", [1], element_type)], ["y"], opset=21)
    assert says in failure(made.SerializeToString(), {"k": given}, UsageError)


def test_names_and_shapes_are_checked() -> None:
    assert "did you mean 'k'?" in failure(top_k(), {"kk": 5}, UsageError)
    text = failure(top_k(), {"k": [5, 3]}, InvalidInputError)
    assert "--value k=[5,3]: dimension 0 is 1 in the model, not 2" in text
    assert "has 2 dimensions" in failure(top_k(), {"k": [[5]]}, InvalidInputError)
    text = failure(add(None), {"a": [1, 2]}, InvalidInputError, {"a": (3,), "x": (1, 3)})
    assert "--value a=[1,2] has the shape 2, but input 'a' is 3" in text
    made = model([node("Add", "x w", "y")], [value("x", [1])], ["y"], {"w": [1.0]})
    assert "'w' is a weight" in failure(made.SerializeToString(), {"w": 1}, UsageError)
