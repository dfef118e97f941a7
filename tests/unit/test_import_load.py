"""Reading a file, and what is wrong with it: every error has a place, a remedy and three lines."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import model, node, value

from t10c.errors import FileAccessError, InvalidInputError, T10cError
from t10c.onnx_import.resolve import resolve_model

X = value("x", [2, 3])


def relu(**changes: object) -> onnx.ModelProto:
    return model([node("Relu", "x", "y", "r")], [X], [value("y", [2, 3])], **changes)


def failure(source: object, kind: type[T10cError] = InvalidInputError) -> str:
    """The message of the error that resolving the source raises."""
    if isinstance(source, onnx.ModelProto):
        source = source.SerializeToString()
    with pytest.raises(kind) as caught:
        resolve_model(source)
    text = str(caught.value)
    assert type(caught.value) is kind
    assert len(text.splitlines()) <= 3
    return text


def test_resolves_from_path_text_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    onnx.save(relu(), path)
    by_path, by_text = resolve_model(path), resolve_model(str(path))
    by_bytes = resolve_model(path.read_bytes(), name="tiny")
    assert by_path.name == by_text.name == by_bytes.name == "tiny"
    assert by_path.shapes == {"x": (2, 3), "y": (2, 3)}
    assert by_path.nodes == by_text.nodes == by_bytes.nodes
    assert resolve_model(path.read_bytes()).name == "graph"


def test_unreadable_files_are_file_errors(tmp_path: Path) -> None:
    assert "No such file" in failure(tmp_path / "absent.onnx", FileAccessError)
    assert "directory" in failure(tmp_path, FileAccessError)
    assert "null" in failure("a\0b.onnx", FileAccessError)


def test_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.touch()
    assert failure(path).startswith(f"{path}: the file is empty")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"import torch\n" * 40, "text"),
        (bytes(range(1, 256)) * 3, "damaged"),
        (relu().SerializeToString()[:-20], "damaged"),
        (onnx.ModelProto(ir_version=8, producer_name="x").SerializeToString(), "not an ONNX"),
    ],
)
def test_what_is_not_onnx(data: bytes, expected: str) -> None:
    assert expected in failure(data)


def test_names_that_are_not_utf8_are_damage() -> None:
    data = relu().SerializeToString().replace(b"Relu", b"R\xe9lu")
    assert "damaged" in failure(data)


def test_opset_must_be_given_and_known() -> None:
    newest = onnx.defs.onnx_opset_version()
    assert f"knows up to {newest}" in failure(relu(opset=newest + 1))
    assert "version_converter" in failure(relu(opset=6))
    assert resolve_model(relu(opset=7).SerializeToString()).opset == 7
    without = relu()
    del without.opset_import[:]
    assert "opset_import" in failure(without)


def test_domain_may_be_spelled_out() -> None:
    spelled = relu()
    spelled.opset_import[0].domain = "ai.onnx"
    spelled.graph.node[0].domain = "ai.onnx"
    assert resolve_model(spelled.SerializeToString()).nodes[0].domain == ""


def test_input_nobody_produces() -> None:
    text = failure(model([node("Add", "x hiden", "y", "a")], [X, value("hidden", [3])], ["y"]))
    assert "node 'a' (Add)" in text
    assert "'hiden'" in text
    assert "did you mean 'hidden'?" in text


def test_output_nobody_produces() -> None:
    assert "'z'" in failure(model([node("Relu", "x", "y")], [X], ["z"]))


def test_cycle_names_a_node_on_it() -> None:
    nodes = [
        node("Relu", "b", "after", "downstream"),
        node("Add", "x b", "a", "first"),
        node("Relu", "a", "b", "second"),
    ]
    text = failure(model(nodes, [X], ["after"]))
    assert "own output" in text
    assert "'downstream'" not in text
    assert "first" in text
    assert "second" in text


def test_nodes_out_of_order_are_sorted() -> None:
    nodes = [node("Relu", "a", "y", "late"), node("Neg", "x", "a", "early")]
    resolved = resolve_model(model(nodes, [X], ["y"]).SerializeToString())
    assert [n.name for n in resolved.nodes] == ["early", "late"]


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("Relu", "x", "y", "one"), node("Neg", "x", "y", "two")], {}),
        ([node("Relu", "x", "x", "two")], {}),
        ([node("Relu", "x", "w", "two"), node("Relu", "w", "y")], {"w": np.zeros(3)}),
    ],
)
def test_tensor_with_two_producers(
    nodes: list[onnx.NodeProto], constants: dict[str, object]
) -> None:
    assert "node 'two'" in failure(model(nodes, [X], ["y"], constants))


def test_duplicate_initializers_inputs_and_no_outputs() -> None:
    twice = relu()
    for _ in range(2):
        twice.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0]))
    assert "two initializers" in failure(twice)
    assert "two inputs" in failure(model([node("Relu", "x", "y")], [X, X], ["y"]))
    assert "no outputs" in failure(model([node("Relu", "x", "y")], [X], []))


def test_initializer_data_must_fill_its_shape() -> None:
    short = relu()
    short.graph.initializer.append(
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], raw_data=b"1234")
    )
    assert "tensor 'w'" in failure(short)


def test_wrong_nodes_are_named_with_their_inputs() -> None:
    add = model([node("Add", "x b", "y", "a")], [X, value("b", [5])], ["y"])
    text = failure(add)
    assert "node 'a' (Add): Incompatible dimensions" in text
    assert "x float32 2x3, b float32 5" in text
    count = model([node("Add", "x", "y", "a")], [X], ["y"])
    assert "input size 1" in failure(count)
    attribute = model([node("Relu", "x", "y", "a", alpha=1.0)], [X], ["y"])
    assert "alpha" in failure(attribute)
    types = model([node("Add", "x b", "y", "a")], [X, value("b", [3], TensorProto.INT64)], ["y"])
    assert "inconsistent type" in failure(types)


@pytest.mark.parametrize(
    ("size", "expected"), [(2, "no elements"), (1, "node 'c' (Conv): its inputs are too small")]
)
def test_input_too_small_for_the_kernel(size: int, expected: str) -> None:
    weight = {"w": np.zeros((4, 3, 3, 3), np.float32)}
    conv = model([node("Conv", "x w", "y", "c")], [value("x", [1, 3, size, size])], ["y"], weight)
    assert expected in failure(conv)


def test_node_names_become_unique() -> None:
    nodes = [
        node("Relu", "x", "a"),
        node("Relu", "a", "b", "same"),
        node("Relu", "b", "c", "same"),
        node("Relu", "c", "y", "same_2"),
    ]
    resolved = resolve_model(model(nodes, [X], ["y"]).SerializeToString())
    assert [n.name for n in resolved.nodes] == ["Relu_0", "same", "same_3", "same_2"]


def test_initializers_listed_as_inputs_are_no_inputs() -> None:
    old = model(
        [node("Add", "x w", "y")], [X, value("w", [3])], ["y"], {"w": np.ones(3, np.float32)},
        opset=9, ir_version=3,
    )  # fmt: skip
    resolved = resolve_model(old.SerializeToString())
    assert resolved.inputs == ("x",)
    assert resolved.constants["w"].tolist() == [1, 1, 1]


def test_functions_are_inlined() -> None:
    double = helper.make_function(
        "local", "Double", ["a"], ["b"], [node("Add", "a a", "b")],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    calling = helper.make_node("Double", ["x"], ["y"], domain="local")
    made = model([calling], [X], [value("y", [2, 3])])
    made.opset_import.append(helper.make_opsetid("local", 1))
    made.functions.append(double)
    resolved = resolve_model(made.SerializeToString())
    assert [n.op_type for n in resolved.nodes] == ["Add"]


def test_attributes_become_plain_values() -> None:
    made = model(
        [node("MaxPool", "x", "y", "p", kernel_shape=[2, 2], auto_pad="VALID", ceil_mode=1)],
        [value("x", [1, 1, 4, 4])],
        ["y"],
    )
    attributes = resolve_model(made.SerializeToString()).nodes[0].attributes
    assert attributes == {"kernel_shape": (2, 2), "auto_pad": "VALID", "ceil_mode": 1}


def test_wrong_declared_output_is_overruled_with_a_warning() -> None:
    for declared in ([], [2, 4], [2, 3, 1]):
        made = model([node("Relu", "x", "y")], [X], [value("y", declared)])
        resolved = resolve_model(made.SerializeToString())
        assert resolved.shapes["y"] == (2, 3)
        assert len(resolved.warnings) == 1
        assert "'y'" in resolved.warnings[0]
    named = model([node("Relu", "x", "y")], [X], [value("y", ["batch", 3])])
    assert resolve_model(named.SerializeToString()).warnings == ()


@pytest.mark.parametrize(
    ("split", "outputs"),
    [
        (node("Split", "x", "y a b", "s", axis=1, num_outputs=2), "but splits into 2"),
        (node("Split", "x lengths", "y a b", "s", axis=1), "but splits into 2"),
    ],
)
def test_split_into_other_parts_than_it_has_outputs(split: onnx.NodeProto, outputs: str) -> None:
    made = model([split], [X], ["y"], {"lengths": [1, 2]}, opset=18)
    assert "node 's' (Split): it has 3 outputs, " + outputs in failure(made)


def test_attribute_of_another_type_is_named() -> None:
    made = model([node("Transpose", "x", "y", "t", perm=1.5)], [X], ["y"])
    assert "node 't' (Transpose): the attribute 'perm' is of type FLOAT, not INTS" in failure(made)
    referring = model([node("Transpose", "x", "y", "t", perm=[1, 0])], [X], ["y"])
    referring.graph.node[0].attribute[0].ref_attr_name = "order"
    assert "refers to one of a function" in failure(referring)


def test_more_outputs_than_the_operator_has() -> None:
    made = model([node("Relu", "x", "y z", "r")], [X], ["y"])
    assert "output size 2 do not fit the operator" in failure(made)
    constant = model([node("Constant", "", "y z", "c", value_int=3)], [X], ["y"])
    assert "node 'c' (Constant)" in failure(constant)


def test_tensors_without_a_name() -> None:
    made = model([node("Relu", "x", "y")], [X], ["y"])
    made.graph.output[0].name = ""
    assert "has no name" in failure(made)
