"""ONNX bytes to a model that is structurally sound, with functions inlined and nodes named."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import onnx

from t10c.errors import InvalidInputError
from t10c.files import MODEL_WANTED, unreadable
from t10c.onnx_import.external import external_ranges
from t10c.onnx_import.functions import inline_functions
from t10c.onnx_import.ranges import ExternalRange
from t10c.onnx_import.structure import attribute_graphs
from t10c.onnx_import.tensors import VALUE_LIMIT_BYTES

OLDEST_OPSET = 7
_LIMIT_BYTES = 2**31 - 1


class FileNode(NamedTuple):
    """A node of a file by its names, '' for those that are absent, and its attributes."""

    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Sequence[onnx.AttributeProto]
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model as it is read, and the directory external data would lie in (None for bytes).

    `nodes` are those of its graph; `nested` says whether any has a graph in an attribute.
    """

    model: onnx.ModelProto
    directory: Path | None
    nodes: Sequence[FileNode]
    nested: bool


def read_model(source: str | Path | bytes) -> ModelFile:
    """Read and parse a model; external data are not touched.

    Raises FileAccessError if the file cannot be read and InvalidInputError if it is not an ONNX
    model.
    """
    if isinstance(source, bytes):
        return parse_model(source)
    path = Path(source)
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise InvalidInputError(
                "the file is larger than 2 GiB, which no ONNX model file can be\n"
                "save the model with its weights as external data"
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise unreadable(path, error, MODEL_WANTED) from error
    return parse_model(data, path.parent)


def external_files(data: bytes) -> tuple[ExternalRange, ...]:
    """What importing a model may read from files beside it; nothing of what is not a model."""
    try:
        return external_ranges(parse_model(data).model, VALUE_LIMIT_BYTES)
    except InvalidInputError:
        return ()


def parse_model(data: bytes, directory: Path | None = None) -> ModelFile:
    """Decode an ONNX model and check that it is one; raises InvalidInputError."""
    if not data:
        raise InvalidInputError(
            "the file is empty, not an ONNX model\nexport or download the model again"
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:
        # DecodeError, of protobuf, which is onnx's dependency rather than ours
        raise InvalidInputError(_not_onnx(data)) from error
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise InvalidInputError(_not_onnx(data))
    texts = (model.producer_name, model.producer_version, *(o.domain for o in model.opset_import))
    nodes = _nodes(model.graph)
    inner: list[onnx.GraphProto] = []
    if not (all(isinstance(t, str) for t in texts) and _is_text(model.graph, nodes, inner)):
        raise InvalidInputError(_not_onnx(data))
    return ModelFile(model, directory, nodes, bool(inner))


def _nodes(graph: onnx.GraphProto) -> list[FileNode]:
    return [
        FileNode(
            node.name,
            node.op_type,
            node.domain,
            tuple(node.input),
            tuple(node.output),
            node.attribute,
        )
        for node in graph.node
    ]


def _is_text(
    graph: onnx.GraphProto, nodes: Sequence[FileNode], inner: list[onnx.GraphProto]
) -> bool:
    """Whether all names are text; protobuf hands out bytes for what is not UTF-8.

    `nodes` are the graph's; graphs within them are checked too, and added to `inner`.
    """
    names: list[object] = [tensor.name for tensor in graph.initializer]
    names.extend(chain.from_iterable([(*own[:3], *own.inputs, *own.outputs) for own in nodes]))
    names.extend(tensor.values.name for tensor in graph.sparse_initializer)
    for value in (*graph.input, *graph.output, *graph.value_info):
        names.append(value.name)
        names.extend(dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for own in nodes:
        for attribute in own.attributes:
            names.append(attribute.name)
            inner += attribute_graphs(attribute)
    texts = set(map(type, names)) <= {str}
    return texts and all(_is_text(graph, _nodes(graph), []) for graph in inner)


def _not_onnx(data: bytes) -> str:
    """Tell text from a damaged file."""
    head = data[:512]
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head):
        return "the file is text, not an ONNX model\nexport the model with a .onnx suffix"
    return (
        "the file is not an ONNX model, or it is damaged or cut short\n"
        "export or download it again; only ONNX protobuf files are read"
    )


def opset_versions(model: onnx.ModelProto) -> dict[str, int]:
    """The imported version of every operator domain; raises InvalidInputError if unusable."""
    versions = {_canonical(entry.domain): entry.version for entry in model.opset_import}
    newest = onnx.defs.onnx_opset_version()
    if "" not in versions:
        uses_standard = any(_canonical(node.domain) == "" for node in model.graph.node)
        if uses_standard or not versions:
            raise InvalidInputError(
                "the model does not say which opset it uses (no opset_import for ai.onnx)\n"
                "export it again, or set model.opset_import"
            )
        versions[""] = newest
    opset = versions[""]
    if opset > newest:
        raise InvalidInputError(
            f"the model uses opset {opset}; the installed onnx {onnx.__version__} knows up to "
            f"{newest}\nupgrade the onnx package, or export with opset {newest}"
        )
    if opset < OLDEST_OPSET:
        raise InvalidInputError(
            f"the model uses opset {opset}; t10c reads opset {OLDEST_OPSET} and newer\n"
            f"convert it with onnx.version_converter.convert_version(model, {OLDEST_OPSET + 6})"
        )
    return versions


def normalise(model: onnx.ModelProto) -> onnx.ModelProto:
    """Inline the model's functions, and spell domain `ai.onnx` as ''.

    Returns the model, changed in place where there was nothing to inline. Raises InvalidInputError
    for functions that cannot be inlined.
    """
    model = inline_functions(model)
    for node in model.graph.node:
        node.domain = _canonical(node.domain)
    return model


def _canonical(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain
