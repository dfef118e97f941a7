"""A model as ONNX Runtime takes it: with further outputs, and in a file where it is large."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnx import GraphProto, ModelProto, TensorProto, helper

from t10c.onnx_import.tensors import element_bits

SERIALISED_LIMIT_BYTES = 2**31 - 2**26
"""Most bytes of initializers in a model handed over as bytes: it ends at 2 GiB, and has nodes."""

_INLINE_BYTES = 4096
"""Tensors up to this stay in the model: shapes, axes and constants that inference reads."""

_DATA_FILE = "weights.bin"


def data_bytes(model: ModelProto) -> int:
    """Bytes of the model's initializers."""
    return sum(
        math.prod(tensor.dims) * element_bits(tensor.data_type) // 8
        for tensor in model.graph.initializer
    )


def with_outputs(model: ModelProto, wanted: Sequence[str]) -> ModelProto:
    """A copy of the model that has further values as outputs.

    Their types are left to be inferred. Values of subgraphs cannot be outputs of the model.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    _add_outputs(copy.graph, wanted)
    return copy


def write_external(model: ModelProto, wanted: Sequence[str], directory: Path) -> Path:
    """Write a model with such outputs into a directory, its initializers beside it.

    Returns the model's path. The model itself is not copied as a whole.
    """
    copy = ModelProto()
    _copy_fields(model, copy, {"graph"})
    _copy_fields(model.graph, copy.graph, {"initializer"})
    _add_outputs(copy.graph, wanted)
    with (directory / _DATA_FILE).open("wb") as file:
        for tensor in model.graph.initializer:
            if len(tensor.raw_data) <= _INLINE_BYTES:
                copy.graph.initializer.append(tensor)
            else:
                offset = file.tell()
                file.write(tensor.raw_data)
                copy.graph.initializer.append(_reference(tensor, offset))
    path = directory / "model.onnx"
    path.write_bytes(copy.SerializeToString())
    return path


def _add_outputs(graph: GraphProto, wanted: Sequence[str]) -> None:
    present = {value.name for value in graph.output}
    known = {value.name: value for value in (*graph.value_info, *graph.input)}
    for name in wanted:
        if name not in present:
            graph.output.append(known.get(name) or helper.make_empty_tensor_value_info(name))


def _reference(tensor: TensorProto, offset: int) -> TensorProto:
    """The tensor with its data at an offset of the data file."""
    made = TensorProto(
        name=tensor.name,
        data_type=tensor.data_type,
        dims=tensor.dims,
        data_location=TensorProto.EXTERNAL,
    )
    entries = {"location": _DATA_FILE, "offset": offset, "length": len(tensor.raw_data)}
    for key, value in entries.items():
        made.external_data.add(key=key, value=str(value))
    return made


def _copy_fields(source: Any, target: Any, without: set[str]) -> None:
    """Copy what is set in a protobuf message, except for these fields."""
    for field, value in source.ListFields():
        if field.name in without:
            continue
        if hasattr(value, "CopyFrom"):
            getattr(target, field.name).CopyFrom(value)
        elif isinstance(value, str | bytes | int | float):
            setattr(target, field.name, value)
        else:
            getattr(target, field.name).extend(value)
