"""Weights for both sides of a comparison: for ONNX Runtime, and for the planned graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

from t10c.errors import InvalidInputError
from t10c.onnx_import.derived import derive_weights
from t10c.onnx_import.fixed import FileTensor
from t10c.onnx_import.resolved import ResolvedModel
from t10c.verify.draw import draw
from t10c.verify.model import LoadedModel
from t10c.verify.placeholders import without_placeholders
from t10c.verify.roles import Role, flat_graph, stricter
from t10c.verify.rules import tensor_roles
from t10c.verify.tensors import array_of, file_tensors, number_of, read_external, replace_data

WeightSource = Literal["model", "random"]
"""`model`: what the file says, and nothing else; `random`: what the file lacks is drawn.

It lacks external data that are not there, and the weights that placeholders stand for
(placeholders.py)."""


@dataclass(frozen=True)
class FilledModel:
    """A model of which every tensor has a value.

    `proto` is for ONNX Runtime: inputs that the plan fixes are initializers, so that its feeds are
    the inputs of the planned graph, and so are placeholders that were drawn. `resolved` is what was
    imported of it; the planned graph comes of that, too. `external` are the tensors whose data were
    not in the file, by their number (tensors.py), and `drawn` the names of those that are random.
    """

    proto: onnx.ModelProto
    resolved: ResolvedModel
    external: Mapping[int, TensorProto]
    drawn: tuple[str, ...]

    def read(self, tensor: FileTensor) -> np.ndarray:
        """The value of a tensor of the file, or of a copy of it."""
        if isinstance(tensor, SparseTensorProto):
            return self._dense(tensor)
        number = number_of(tensor)
        return array_of(tensor if number is None else self.external[number])

    def _dense(self, tensor: SparseTensorProto) -> np.ndarray:
        values, indices = self.read(tensor.values), self.read(tensor.indices)
        dense = np.zeros(tuple(tensor.dims), values.dtype)
        if indices.ndim == 1:
            dense.reshape(-1)[indices] = values
        else:
            dense[tuple(indices.T)] = values
        return dense


def fill_weights(loaded: LoadedModel, source: WeightSource = "model", seed: int = 0) -> FilledModel:
    """Read the weights of a model, and draw those that are absent if `source` is `random`.

    What the file and its external data have is never replaced, other than placeholders, which are
    absent if `source` is `random` (placeholders.py). A drawn value depends on the seed, the
    tensor's name and what reads it (roles.py), in whatever order tensors are drawn. Raises
    InvalidInputError naming an absent tensor if nothing is to be drawn.
    """
    if source == "random":
        loaded = without_placeholders(loaded)
    proto = onnx.ModelProto()
    proto.CopyFrom(loaded.proto)
    roles: dict[int, Role] | None = None
    external: dict[int, TensorProto] = {}
    drawn: list[str] = []
    for number, tensor in enumerate(file_tensors(proto)):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        present = read_external(tensor, loaded.directory)
        if present is not None:
            tensor.CopyFrom(present)
        elif source == "model":
            raise InvalidInputError(_absent(loaded, tensor))
        else:
            roles = _roles_by_number(loaded) if roles is None else roles
            name = tensor.name or f"#{number}"
            dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
            replace_data(tensor, draw(seed, name, tuple(tensor.dims), dtype, roles.get(number)))
            drawn.append(name)
        external[number] = tensor
    _fix_inputs(proto, loaded)
    return FilledModel(proto, loaded.resolved, external, tuple(drawn))


def graph_weights(loaded: LoadedModel, filled: FilledModel) -> dict[str, np.ndarray]:
    """The value of every tensor of the planned graph that is a weight, in its type and shape.

    Raises InvalidInputError for folded nodes that cannot be evaluated.
    """
    weights = {tensor.name for tensor in loaded.graph.tensors if tensor.kind == "weight"}
    constants = filled.resolved.constants
    derived = derive_weights(filled.resolved, {}, filled.read, weights)
    known = {**constants, **derived}
    return {name: known[name] for name in sorted(weights)}


def _absent(loaded: LoadedModel, tensor: TensorProto) -> str:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    where = entries.get("location", "")
    return (
        f"{loaded.place}: the values of '{tensor.name}' are not in the file, nor in "
        f"'{where}' beside it\nput the weights there, or verify with --weights random"
    )


def _roles_by_number(loaded: LoadedModel) -> dict[int, Role]:
    """Roles of the file's tensors that have external data."""
    roles = tensor_roles(flat_graph(loaded.resolved))
    found: dict[int, Role] = {}
    for name, tensor in loaded.resolved.fixed.tensors.items():
        number = number_of(tensor) if isinstance(tensor, TensorProto) else None
        if number is not None and name in roles:
            found[number] = stricter(roles[name], found.get(number, Role()))
    return found


def _fix_inputs(proto: onnx.ModelProto, loaded: LoadedModel) -> None:
    """Make initializers of the inputs that have a value, or no elements, in the plan."""
    given = loaded.graph.bindings.numbers()
    kinds = {value.name: value.type.tensor_type.elem_type for value in proto.graph.input}
    for name, shape in loaded.graph.bindings.shapes:
        dtype = helper.tensor_dtype_to_np_dtype(kinds[name])
        value = np.asarray(given.get(name, 0)).astype(dtype)
        value = np.broadcast_to(value, shape) if value.size == 1 else value.reshape(shape)
        proto.graph.initializer.append(
            numpy_helper.from_array(np.ascontiguousarray(value).reshape(shape), name)
        )
