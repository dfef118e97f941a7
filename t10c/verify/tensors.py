"""The tensors that stand in an ONNX file, and which of them have their data elsewhere."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from t10c.onnx_import.tensors import element_bits

_NUMBER = "t10c.number"
"""Key among the entries of external data that tells which tensor of the file it is."""


def file_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """All tensors of a model: initializers and attributes, of subgraphs and functions too.

    The order is the same for every copy of the model.
    """
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Sequence[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("sparse_tensor"):
                yield attribute.sparse_tensor.values
                yield attribute.sparse_tensor.indices
            if attribute.HasField("g"):
                yield from _of_graph(attribute.g)
            for graph in attribute.graphs:
                yield from _of_graph(graph)


def number_external(model: ModelProto) -> None:
    """Number the tensors with external data, in place, so that copies of them can be told.

    Numbers that they had before are gone.
    """
    for number, tensor in enumerate(file_tensors(model)):
        if tensor.data_location == TensorProto.EXTERNAL:
            for index, entry in reversed(list(enumerate(tensor.external_data))):
                if entry.key == _NUMBER:
                    del tensor.external_data[index]
            tensor.external_data.add(key=_NUMBER, value=str(number))


def number_of(tensor: TensorProto) -> int | None:
    """The number that `number_external` gave a tensor, None where it had its data with it."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return None
    return next((int(e.value) for e in tensor.external_data if e.key == _NUMBER), None)


def read_external(tensor: TensorProto, directory: Path | None) -> TensorProto | None:
    """The tensor with its data inline; None if the file is absent, too short or elsewhere.

    The location must lie below the model's own directory.
    """
    if directory is None:
        return None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    root = directory.resolve()
    size = -(-int(np.prod(tensor.dims, dtype=np.int64)) * element_bits(tensor.data_type) // 8)
    try:
        path = (root / entries.get("location", "")).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return None
        with path.open("rb") as file:
            file.seek(int(entries.get("offset", "0")))
            data = file.read(size)
    except (OSError, ValueError):
        return None
    return with_data(tensor, data) if len(data) == size else None


def with_data(tensor: TensorProto, data: bytes) -> TensorProto:
    """The tensor holding these bytes itself."""
    return TensorProto(
        name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=data
    )


def replace_data(tensor: TensorProto, array: np.ndarray) -> None:
    """Let a tensor hold an array of its type and shape itself, in place."""
    made = numpy_helper.from_array(np.ascontiguousarray(array), tensor.name)
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    tensor.raw_data = made.raw_data


def array_of(tensor: TensorProto) -> np.ndarray:
    """The value of a tensor that has its data with it."""
    return np.asarray(numpy_helper.to_array(tensor))
