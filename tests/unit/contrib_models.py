"""Models of one com.microsoft node, and their graphs against ONNX Runtime or NumPy."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from graph_numpy import Arrays, evaluate, runtime_results
from onnx import helper, numpy_helper

from t10c.ir.graph import Graph, NodeClass
from t10c.onnx_import.derived import derive_weights
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolve import resolve_model

RNG = np.random.default_rng(5)

OPSETS = (11, 17, min(onnx.defs.onnx_opset_version(), 26))
"""An old, a usual and a new version of the standard around com.microsoft's operators."""


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def contrib_model(
    op_type: str,
    inputs: Mapping[str, np.ndarray | None],
    outputs: Sequence[str] = ("y",),
    weights: Sequence[str] = (),
    opset: int = 17,
    domain: str = "com.microsoft",
    declared: Mapping[str, Sequence[int]] | None = None,
    **attributes: object,
) -> tuple[onnx.ModelProto, Arrays]:
    """A model of one node, whose inputs are data but for those in `weights`; None is absent.

    Returns the model and its feeds. An output called '' is absent; `declared` gives the shapes of
    those of whose types ONNX Runtime is not sure.
    """
    present = {name: value for name, value in inputs.items() if value is not None}
    names = [name if inputs[name] is not None else "" for name in inputs]
    node = helper.make_node(op_type, names, list(outputs), "one", domain=domain, **attributes)
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in present.items()
        if name not in weights
    ]
    tensors = [numpy_helper.from_array(present[name], name) for name in weights]
    results = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, declared[name])
        if declared and name in declared
        else helper.make_empty_tensor_value_info(name)
        for name in outputs
        if name
    ]
    graph = helper.make_graph([node], "g", infos, results, tensors)
    opsets = [helper.make_opsetid("", opset)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model, {name: present[name] for name in present if name not in weights}


def check_contrib(
    op_type: str,
    inputs: Mapping[str, np.ndarray | None],
    outputs: Sequence[str] = ("y",),
    weights: Sequence[str] = (),
    opset: int = 17,
    domain: str = "com.microsoft",
    expected: Sequence[np.ndarray] | None = None,
    node_class: NodeClass | None = NodeClass.PLANNED,
    declared: Mapping[str, Sequence[int]] | None = None,
    **attributes: object,
) -> Graph:
    """Assert that the graph computes what ONNX Runtime does, or `expected`.

    The node must end in `node_class`, if given.
    """
    model, feeds = contrib_model(
        op_type, inputs, outputs, weights, opset, domain, declared, **attributes
    )
    expected = expected if expected is not None else runtime_results(model, feeds)
    return compare(model, feeds, expected, node_class)


def compare(
    model: onnx.ModelProto,
    feeds: Arrays,
    expected: Sequence[np.ndarray],
    node_class: NodeClass | None = NodeClass.PLANNED,
    atol: float = 2e-5,
) -> Graph:
    """Assert that the graph of a model of one node computes `expected`.

    `atol` is for elements that are small beside the sums they are differences of.
    """
    resolved = resolve_model(model.SerializeToString())
    assert not resolved.weights, "test models keep their weights below 64 KiB"
    graph = lower_model(resolved)
    assert [record.name for record in graph.nodes] == ["one"]
    assert node_class in (None, graph.nodes[0].node_class)
    assert graph.nodes[0].op_type.endswith(model.graph.node[0].op_type)
    values = {**resolved.constants, **feeds}
    actual = evaluate(graph, {**values, **derive_weights(resolved, values)})
    for name, want in zip(graph.outputs, expected, strict=True):
        assert actual[name].shape == want.shape == graph.tensor[name].shape, name
        assert graph.tensor[name].element_type == want.dtype.name
        np.testing.assert_allclose(actual[name], want, rtol=2e-4, atol=atol, err_msg=name)
    return graph
