"""Placeholders: weights that were taken out of a file and are made in it from one number.

Some files are published without their weights: the number of each, a few bytes, is spread over its
shape. The graph is right, but nothing can be seen in what it computes: all elements of a product
with such a matrix are the same, and behind a softmax they are rounding errors.

    ConstantOfShape(shape of 4096 x 9216) -> w        an initializer w, its data absent
    Gemm(x, w, b)                                 =>  Gemm(x, w, b)
"""

import math
from collections.abc import Container, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from t10c.errors import InvalidInputError, UnsupportedOperatorError
from t10c.onnx_import.names import NameScope, standard
from t10c.onnx_import.tensors import VALUE_LIMIT_BYTES, element_bits
from t10c.verify.model import LoadedModel, chained_alike, difference, load_model
from t10c.verify.roles import FlatGraph, Role, flat_graph
from t10c.verify.rules import tensor_roles
from t10c.verify.tensors import number_external

_LEARNED = frozenset({"table", "matrix", "gain", "offset", "positive"})
"""What weights are for. Masks, and what others are written into, are made from a number, too."""

_TABLE_READERS = frozenset({"Gather", "GatherND"})


@dataclass(frozen=True, slots=True)
class _Filled:
    """A tensor of floats, all the same, that a node makes of a shape which stands in the file."""

    name: str
    element_type: int
    shape: tuple[int, ...]
    number: float

    @property
    def is_large(self) -> bool:
        """Whether planning holds no value of it."""
        size_bytes = math.prod(self.shape) * element_bits(self.element_type) // 8
        return size_bytes > VALUE_LIMIT_BYTES


def without_placeholders(loaded: LoadedModel) -> LoadedModel:
    """The model with initializers whose data are absent in place of its placeholders.

    A tensor is one if ConstantOfShape makes it, in the main graph, of floats and of a shape that
    stands in the file; if it is read as a weight (roles.py); and if the same number fills a matrix
    or a table above 64 KiB, which no training leaves. Initializers never are, not even of equal
    elements: zeros and ones are usual in biases and scales, and the file states each of them. What
    is below 64 KiB stays where the plan depends on its value.
    """
    filled = list(_filled(loaded.proto.graph))
    large = {tensor.number for tensor in filled if tensor.is_large}
    candidates = [tensor for tensor in filled if tensor.number in large]
    if not candidates:
        return loaded
    chosen = _placeholders(loaded, candidates)
    for names in (chosen, chosen & {tensor.name for tensor in candidates if tensor.is_large}):
        found = _replaced(loaded, candidates, names)
        if found is not None and _same(loaded, found):
            return found
    return loaded


def _placeholders(loaded: LoadedModel, candidates: list[_Filled]) -> set[str]:
    """Names of those candidates that are placeholders."""
    found = _replaced(loaded, candidates, {tensor.name for tensor in candidates})
    graph = flat_graph((found or loaded).resolved)
    roles = tensor_roles(graph)
    uses = {
        tensor.name: "table"
        if _is_table(tensor.name, graph)
        else roles.get(tensor.name, Role()).kind
        for tensor in candidates
    }
    taken = {t.number for t in candidates if t.is_large and uses[t.name] in ("matrix", "table")}
    return {t.name for t in candidates if t.number in taken and uses[t.name] in _LEARNED}


def _is_table(name: str, graph: FlatGraph) -> bool:
    """Whether rows are selected from a tensor."""
    return any(
        node.op_type in _TABLE_READERS and node.inputs[0] == name
        for node in graph.readers.get(name, ())
    )


def _same(loaded: LoadedModel, found: LoadedModel) -> bool:
    """Whether the planned graph comes of the model still."""
    return not difference(loaded.graph, chained_alike(found.graph, loaded.graph))


def _replaced(
    loaded: LoadedModel, candidates: list[_Filled], names: Container[str]
) -> LoadedModel | None:
    """The model without the values of these tensors; None if it cannot be imported so."""
    absent = {tensor.name: tensor for tensor in candidates if tensor.name in names}
    proto = onnx.ModelProto()
    proto.CopyFrom(loaded.proto)
    _make_nothing(proto.graph, absent.keys())
    for tensor in absent.values():
        proto.graph.initializer.add(
            name=tensor.name,
            data_type=tensor.element_type,
            dims=tensor.shape,
            data_location=TensorProto.EXTERNAL,
        )
    number_external(proto)
    try:
        found = load_model(proto, loaded.directory, loaded.place, loaded.graph)
    except (InvalidInputError, UnsupportedOperatorError):
        return None
    return LoadedModel(proto, loaded.directory, loaded.place, found.resolved, found.graph)


def _make_nothing(graph: GraphProto, names: Container[str]) -> None:
    """Let the nodes that make these tensors make an unread number, in place.

    They do not go away, because nodes without a name are called by their number.
    """
    scope = NameScope(name for node in graph.node for name in (*node.input, *node.output))
    for node in graph.node:
        if node.output and node.output[0] in names:
            unread = helper.make_node(
                "Constant",
                [],
                [scope.unique(f"{node.output[0]}.absent")],
                node.name,
                value=numpy_helper.from_array(np.zeros((), np.float32)),
            )
            node.CopyFrom(unread)


def _filled(graph: GraphProto) -> Iterator[_Filled]:
    """The outputs of ConstantOfShape that have more than one element."""
    shapes = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and standard(node.domain):
            for tensor in (a.t for a in node.attribute if a.name == "value"):
                shapes[node.output[0]] = tensor
        elif node.op_type == "ConstantOfShape" and standard(node.domain):
            shape = shapes.get(node.input[0])
            found = None if shape is None else _output(node, shape)
            if found is not None:
                yield found


def _output(node: NodeProto, shape: TensorProto) -> _Filled | None:
    if shape.data_location == TensorProto.EXTERNAL:
        return None
    sizes = tuple(int(size) for size in numpy_helper.to_array(shape).reshape(-1))
    value = next((a.t for a in node.attribute if a.name == "value"), None)
    kind = TensorProto.FLOAT if value is None else value.data_type
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    if math.prod(sizes) < 2 or (dtype.kind != "f" and "float" not in dtype.name):
        return None
    number = 0.0 if value is None else float(numpy_helper.to_array(value).reshape(-1)[0])
    return _Filled(node.output[0], kind, sizes, number)
