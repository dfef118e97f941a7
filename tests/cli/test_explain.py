"""What `t10c explain --op` says of nodes that no planned operator stands for."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from t10c import import_model
from t10c.cli.explain import find_operator
from t10c.errors import UsageError


@pytest.fixture(scope="module")
def data() -> bytes:
    nodes = [
        helper.make_node("Add", ["c", "c"], ["d"], "sum"),
        helper.make_node("Transpose", ["x"], ["t"], "turn"),
        helper.make_node("Identity", ["t"], ["i"], "same"),
        helper.make_node("MatMul", ["i", "d"], ["m"], "product"),
        helper.make_node("Relu", ["m"], ["y"], "relu"),
        helper.make_node("Neg", ["x"], ["n"], "nobody"),
    ]
    info = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4, 3])]
    result = [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3, 5])]
    weight = numpy_helper.from_array(np.ones((4, 5), np.float32), "c")
    graph = helper.make_graph(nodes, "g", info, result, [weight])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


@pytest.mark.parametrize(
    ("name", "fate"),
    [
        ("sum", "this Add is not planned by itself: folded (constant)"),
        ("turn", "this Transpose is not planned by itself: layout-only"),
        ("same", "this Identity is not planned by itself: layout-only (renames its input)"),
        ("nobody", "this Neg is not planned by itself: folded (unused)"),
        ("produkt", "the plan has no such operator; did you mean product?"),
    ],
)
def test_the_fate_of_a_node_is_told(data: bytes, name: str, fate: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_operator(import_model(data), name)
    assert str(caught.value).splitlines()[0] == f"--op {name}: {fate}"


def test_a_fused_node_is_found_in_its_operator(data: bytes) -> None:
    assert find_operator(import_model(data), "relu").name == "product"
