"""The model's own functions: how often they call one another."""

import onnx
import pytest
from onnx import helper
from onnx_models import model, node, value

from t10c.errors import InvalidInputError
from t10c.onnx_import.resolve import resolve_model

IMPORTS = [helper.make_opsetid("", 17), helper.make_opsetid("custom", 1)]


def function(name: str, *called: str) -> onnx.FunctionProto:
    """A function of one tensor that calls others one after the other, Relu where there are none."""
    chain = ["x", *(f"t{index}" for index in range(len(called) - 1)), "y"]
    nodes = [
        node(callee, source, target, domain="custom")
        for callee, source, target in zip(called, chain, chain[1:], strict=False)
    ]
    return helper.make_function(
        "custom", name, ["x"], ["y"], nodes or [node("Relu", "x", "y")], IMPORTS
    )


def calling(name: str, *functions: onnx.FunctionProto) -> onnx.ModelProto:
    call = node(name, "x", "y", domain="custom")
    made = model([call], [value("x", [2])], ["y"])
    made.opset_import.append(helper.make_opsetid("custom", 1))
    made.functions.extend(functions)
    return made


def doubling(levels: int) -> onnx.ModelProto:
    """Functions that each call the one below twice."""
    further = [function(f"F{n}", f"F{n - 1}", f"F{n - 1}") for n in range(levels, 0, -1)]
    return calling(f"F{levels}", *further, function("F0"))


def failure(made: onnx.ModelProto) -> str:
    with pytest.raises(InvalidInputError) as caught:
        resolve_model(made.SerializeToString())
    return str(caught.value)


def test_functions_that_call_functions_are_inlined() -> None:
    resolved = resolve_model(doubling(3).SerializeToString())
    assert [each.op_type for each in resolved.nodes] == ["Relu"] * 8


def test_nodes_are_counted_before_anything_is_inlined() -> None:
    text = failure(doubling(30))
    assert "makes 3,221,225,471 nodes\nat most 100,000 are read\n" in text
    assert len(text.splitlines()) <= 3
    assert "more than 10^15 nodes" in failure(doubling(2000))


def test_functions_that_call_themselves() -> None:
    text = failure(calling("F", function("F", "G"), function("G", "F")))
    assert "the model's function 'F' (domain 'custom') calls itself" in text
    assert "write the repetition as a Loop" in text
