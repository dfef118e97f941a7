"""Optionals are taken apart: what they hold is known before inference."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import graph, model, node, value

from t10c.errors import UnsupportedOperatorError
from t10c.onnx_import.resolve import resolve_model

X = value("x", [2, 3])
TENSOR = helper.make_tensor_type_proto(TensorProto.FLOAT, [2, 3])


def failure(made: onnx.ModelProto) -> str:
    with pytest.raises(UnsupportedOperatorError) as caught:
        resolve_model(made.SerializeToString())
    return str(caught.value)


def test_optional_of_a_tensor_is_the_tensor() -> None:
    nodes = [
        node("Optional", "x", "o"),
        node("Identity", "o", "p"),
        node("OptionalGetElement", "p", "e"),
        node("OptionalHasElement", "p", "has"),
        node("Relu", "e", "y"),
    ]
    resolved = resolve_model(model(nodes, [X], ["y", "has"], opset=18).SerializeToString())
    assert [each.op_type for each in resolved.nodes] == ["Identity", "Relu"]
    assert resolved.constants["has"].tolist() is True


def test_optional_of_a_sequence_is_the_sequence() -> None:
    nodes = [
        node("SequenceConstruct", "x x", "s"),
        node("Optional", "s", "o"),
        node("OptionalGetElement", "o", "t"),
        node("ConcatFromSequence", "t", "y", axis=0),
    ]
    resolved = resolve_model(model(nodes, [X], ["y"], opset=18).SerializeToString())
    assert resolved.shapes["y"] == (4, 3)


def test_optional_without_an_element() -> None:
    empty = helper.make_node("Optional", [], ["o"], type=TENSOR)
    branches = {
        "then_branch": graph([node("OptionalGetElement", "o", "t")], [], ["t"]),
        "else_branch": graph([node("Neg", "x", "e")], [], ["e"]),
    }
    nodes = [empty, node("OptionalHasElement", "o", "has"), node("If", "has", "y", **branches)]
    resolved = resolve_model(model(nodes, [X], ["y"], opset=18).SerializeToString())
    assert "Neg" in [each.op_type for each in resolved.nodes]
    get = node("OptionalGetElement", "o", "y")
    assert "its optional is empty" in failure(model([empty, get], [X], ["y"], opset=18))


def test_tensors_have_an_element() -> None:
    nodes = [
        node("OptionalHasElement", "x", "has"),
        node("OptionalHasElement", "_", "none"),
        node("OptionalGetElement", "x", "y"),
    ]
    resolved = resolve_model(model(nodes, [X], ["y", "has", "none"], opset=18).SerializeToString())
    assert np.array_equal([resolved.constants[name] for name in ("has", "none")], [True, False])


def test_optionals_where_tensors_belong_are_refused() -> None:
    optional = node("Optional", "x", "o")
    assert "takes an optional, not a tensor" in failure(
        model([optional, node("Relu", "o", "y")], [X], ["y"], opset=18)
    )
    output = helper.make_value_info("o", helper.make_optional_type_proto(TENSOR))
    assert "it is an optional, not a tensor" in failure(model([optional], [X], [output], opset=18))
