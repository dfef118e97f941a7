"""What the user reads where nodes have no lowering."""

import pytest
from onnx import TensorProto
from onnx_models import model, node, value

from t10c.errors import UnsupportedOperatorError
from t10c.onnx_import.importer import import_model


def failure(count: int) -> UnsupportedOperatorError:
    nodes = [node("StringConcat", f"x{i} x{i}", f"y{i}", f"join{i}") for i in range(count)]
    inputs = [value(f"x{i}", [3, 3], TensorProto.STRING) for i in range(count)]
    outputs = [value(f"y{i}", [3, 3], TensorProto.STRING) for i in range(count)]
    with pytest.raises(UnsupportedOperatorError) as caught:
        import_model(model(nodes, inputs, outputs, opset=20).SerializeToString())
    return caught.value


def test_one_node_is_named_with_its_reason_and_a_remedy() -> None:
    lines = str(failure(1)).splitlines()
    assert lines[0] == "unsupported operators: 1 StringConcat"
    assert lines[1] == ("'join0' (StringConcat): it has no tensor expression; 'x0' holds text")
    assert lines[2].startswith("export the model with other standard operators")
    assert len(lines) == 3


def test_many_nodes_are_counted_and_the_error_lists_them_all() -> None:
    error = failure(9)
    lines = str(error).splitlines()
    assert lines[0] == "unsupported operators: 9 StringConcat"
    assert lines[1].endswith("; and 5 more")
    assert len(lines) == 3
    assert error.nodes == tuple((f"join{i}", "StringConcat") for i in range(9))
