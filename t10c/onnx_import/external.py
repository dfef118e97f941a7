"""External data: absent for planning, but small integers are read where the file is at hand."""

from pathlib import Path

from onnx import TensorProto

_INTEGERS = frozenset(
    {TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.UINT8, TensorProto.INT8}
)


def read_small_external(
    tensor: TensorProto, size_bytes: int, directory: Path | None
) -> TensorProto | None:
    """The tensor with its data inline, or None if it is to stay unknown.

    Only integers are read, since they may be shapes or indices; floating-point data stay unknown,
    so that a model plans alike with and without its weights. The location must lie below the
    model's own directory. A file that is missing or too short leaves the tensor unknown.
    """
    if directory is None or tensor.data_type not in _INTEGERS:
        return None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    root = directory.resolve()
    path = (root / entries.get("location", "")).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            file.seek(int(entries.get("offset", "0")))
            data = file.read(size_bytes)
    except (OSError, ValueError):
        return None
    if len(data) != size_bytes:
        return None
    return TensorProto(
        name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=data
    )
