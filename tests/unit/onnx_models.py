"""Small ONNX models for the tests of the import."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from t10c.onnx_import.resolved import ResolvedModel

Shape = Sequence[int | str | None] | None


def value(name: str, shape: Shape, element_type: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type, shape)


def node(
    op_type: str, inputs: str, outputs: str, name: str = "", **attributes: object
) -> NodeProto:
    """A node from space-separated tensor names; `_` is an absent one."""
    names = [["" if n == "_" else n for n in text.split()] for text in (inputs, outputs)]
    return helper.make_node(op_type, *names, name=name, **attributes)


def graph(
    nodes: Sequence[NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto | str],
    constants: Mapping[str, object] | None = None,
    name: str = "graph",
) -> GraphProto:
    """A graph; an output given by name only is declared without a type."""
    infos = [helper.make_empty_tensor_value_info(o) if isinstance(o, str) else o for o in outputs]
    tensors = [
        numpy_helper.from_array(np.asarray(array), key) for key, array in (constants or {}).items()
    ]
    return helper.make_graph(nodes, name, inputs, infos, tensors)


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto | str],
    constants: Mapping[str, object] | None = None,
    opset: int = 17,
    ir_version: int = 8,
) -> ModelProto:
    made = helper.make_model(
        graph(nodes, inputs, outputs, constants), opset_imports=[helper.make_opsetid("", opset)]
    )
    made.ir_version = ir_version
    return made


def rebuilt(resolved: ResolvedModel) -> ModelProto:
    """What is left of a model without unknown weights, as a model again."""
    types = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}

    def info(name: str) -> onnx.ValueInfoProto:
        return value(name, resolved.shapes[name], types[resolved.element_types[name]])

    nodes = [
        helper.make_node(n.op_type, n.inputs, n.outputs, name=n.name, **n.attributes)
        for n in resolved.nodes
    ]
    return model(
        nodes,
        [info(name) for name in resolved.inputs],
        [info(name) for name in resolved.outputs],
        resolved.constants,
        opset=resolved.opset,
    )


def external(name: str, shape: Sequence[int], element_type: int = TensorProto.FLOAT) -> TensorProto:
    """An initializer whose data lie in a file."""
    tensor = TensorProto(name=name, data_type=element_type, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor
