"""Models without their weights, loaded as `t10c verify` loads them."""

from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto

from t10c.onnx_import.importer import import_model
from t10c.verify.model import LoadedModel, load_model
from t10c.verify.tensors import file_tensors, number_external


def without_data(model: ModelProto, *names: str) -> ModelProto:
    """The model with these tensors (all if none is named) in a file `weights.bin`, one by one."""
    copy = ModelProto()
    copy.CopyFrom(model)
    offset = 0
    for tensor in file_tensors(copy):
        if names and tensor.name not in names:
            continue
        size = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", offset), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
        offset += size
    return copy


def data_of(model: ModelProto, *names: str) -> bytes:
    """What `weights.bin` holds for `without_data` of the same names."""
    tensors = [t for t in file_tensors(model) if not names or t.name in names]
    return b"".join(tensor.raw_data for tensor in tensors)


def load(model: ModelProto, directory: Path | None = None, **bindings: object) -> LoadedModel:
    """The model as loaded for a plan of itself."""
    proto = onnx.ModelProto()
    proto.CopyFrom(model)
    number_external(proto)
    graph = import_model(proto.SerializeToString(), **bindings)
    return load_model(proto, directory, "test.onnx", graph)
