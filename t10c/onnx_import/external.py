"""External data: absent for planning, but small integers are read where the file is at hand."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from t10c.onnx_import.ranges import ExternalRange, read_range

INTEGERS = frozenset(
    {TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.UINT8, TensorProto.INT8}
)
"""Types of the external data that are read."""


def read_small_external(
    tensor: TensorProto, size_bytes: int, directory: Path | None
) -> TensorProto | None:
    """The tensor with its data inline, or None if it is to stay unknown.

    Only integers are read, since they may be shapes or indices; floating-point data stay unknown,
    so that a model plans alike with and without its weights. The location must lie below the
    model's own directory. A file that is missing or too short leaves the tensor unknown.
    """
    if directory is None:
        return None
    wanted = _range_of(tensor, size_bytes)
    data = read_range(directory, wanted) if wanted is not None else None
    if data is None:
        return None
    return TensorProto(
        name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=data
    )


def _range_of(tensor: TensorProto, size_bytes: int) -> ExternalRange | None:
    """Where the data of an external tensor of integers lie; None for others, and for nonsense."""
    if tensor.data_type not in INTEGERS:
        return None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    try:
        offset = int(entries.get("offset", "0"))
    except ValueError:
        return None
    return ExternalRange(entries.get("location", ""), offset, size_bytes)


def external_ranges(model: ModelProto, limit_bytes: int) -> tuple[ExternalRange, ...]:
    """Every range that importing the model may read, of tensors of at most `limit_bytes`."""
    found: dict[ExternalRange, None] = {}
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        size_bytes = _ITEM_BYTES.get(tensor.data_type, 1)
        for size in tensor.dims:
            size_bytes *= size
        wanted = _range_of(tensor, size_bytes) if 0 < size_bytes <= limit_bytes else None
        if wanted is not None:
            found[wanted] = None
    return tuple(found)


_ITEM_BYTES: dict[int, int] = {TensorProto.INT64: 8, TensorProto.INT32: 4}


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """All tensors of a model: initializers and attributes, of subgraphs and functions too."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == AttributeProto.TENSORS:
                yield from attribute.tensors
            elif attribute.type == AttributeProto.GRAPH:
                yield from _graph_tensors(attribute.g)
            elif attribute.type == AttributeProto.GRAPHS:
                for graph in attribute.graphs:
                    yield from _graph_tensors(graph)
