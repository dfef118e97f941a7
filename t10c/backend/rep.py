"""A model that can be run: planned when its inputs' shapes, and values that decide, are known."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.backend.base import BackendRep, namedtupledict

from t10c.backend.prepare import Prepared, prepare
from t10c.errors import InvalidInputError, UnsupportedOperatorError, UsageError
from t10c.ir.graph import Graph, NodeClass
from t10c.onnx_import.bind import DeclaredInput, declared_inputs
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolve import resolve_with_facts
from t10c.onnx_import.resolved import ResolvedModel
from t10c.onnx_import.structure import subgraphs
from t10c.verify.tensors import number_external

_PARAMETER_ELEMENTS = 16
"""An input with more elements is data, rather than a parameter that may decide a shape."""

_KEPT = 8
"""Programs that are kept for other shapes or values of the inputs."""


class T10cBackendRep(BackendRep):
    """A model that can be run; `prepared` is what its last inputs needed (None before any).

    Where its inputs' sizes are open, or their values decide shapes, a model is planned when it is
    run: small inputs that decide are constants of the plan, made anew for other values.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.prepared: Prepared | None = None
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        number_external(self._model)
        self._inputs = {entry.name: entry for entry in declared_inputs(model.graph)}
        self._kept: dict[object, Prepared] = {}
        self._fixed: dict[object, tuple[str, ...]] = {}
        shapes = {name: _closed_shape(entry) for name, entry in self._inputs.items()}
        if all(shape is not None for shape in shapes.values()):
            self._prepare_early({name: shape or () for name, shape in shapes.items()})

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        """The graph outputs, in order and by name, of one inference on the simulated cores.

        `inputs` are arrays in the order of the graph's inputs, or by name. Raises UsageError if
        they are not those of the model, and what `T10cBackend.prepare` raises.
        """
        arrays = self._named(inputs)
        shapes = {name: array.shape for name, array in arrays.items()}
        fixed = self._decisive(shapes, arrays)
        values = {name: arrays[name] for name in fixed}
        self.prepared = self._prepared(shapes, values)
        found = self.prepared.machine.run(arrays)
        names = [value.name for value in self._model.graph.output]
        return namedtupledict("Outputs", names)(*(found[name] for name in names))

    def _named(self, inputs: Any) -> dict[str, np.ndarray]:
        """The given arrays by input, checked."""
        if not isinstance(inputs, Mapping):
            given = _listed(inputs)
            if len(given) != len(self._inputs):
                raise UsageError(
                    f"{len(given)} inputs are given, the model has {len(self._inputs)}: "
                    f"{', '.join(self._inputs) or 'none'}"
                )
            inputs = dict(zip(self._inputs, given, strict=True))
        if set(inputs) != set(self._inputs):
            raise UsageError(
                f"inputs are given for {', '.join(map(str, inputs)) or 'none'}, the model has "
                f"{', '.join(self._inputs) or 'none'}"
            )
        return {name: _checked(entry, inputs[name]) for name, entry in self._inputs.items()}

    def _prepare_early(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Prepare what does not wait for values; raises what they would not mend."""
        names = self._parameters(shapes)
        graph = self._graph(shapes)
        settled = graph is not None and not _fallbacks(graph) and not _unread(graph, names)
        if settled or not names:
            self._fixed[_key(shapes)] = ()
            self.prepared = self._prepared(shapes, {})

    def _decisive(
        self, shapes: Mapping[str, tuple[int, ...]], arrays: Mapping[str, np.ndarray]
    ) -> tuple[str, ...]:
        """Inputs whose values are constants of the plan for inputs of these shapes.

        None, if every operator can be planned without. Else the small inputs that no operator
        reads, and those that no node reads as its first; all small ones only if there is no plan
        otherwise, since that may fold what was to be run.
        """
        key = _key(shapes)
        if key not in self._fixed:
            self._fixed[key] = self._fewest(shapes, arrays, self._parameters(shapes))
        return self._fixed[key]

    def _fewest(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        arrays: Mapping[str, np.ndarray],
        names: tuple[str, ...],
    ) -> tuple[str, ...]:
        """`_decisive`, of these small inputs."""
        plain = self._graph(shapes)
        unread = _unread(plain, names) if plain is not None else set()
        if plain is not None and not unread and not _fallbacks(plain):
            return ()
        first = _read_first(self._model.graph)
        later = tuple(name for name in names if name not in first or name in unread)
        graph = self._graph(shapes, {name: arrays[name] for name in later})
        if graph is None:
            return () if plain is not None and not unread else names
        if plain is None or unread or _fallbacks(graph) < _fallbacks(plain):
            return later
        return ()

    def _graph(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        values: Mapping[str, np.ndarray] | None = None,
    ) -> Graph | None:
        """The graph for these shapes and values, None if there is none."""
        try:
            return lower_model(self._resolve(shapes, values or {}))
        except (InvalidInputError, UnsupportedOperatorError):
            return None

    def _parameters(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
        """Inputs small enough to decide a shape rather than to be data."""
        return tuple(
            name
            for name, entry in self._inputs.items()
            if len(shapes[name]) <= 1
            and 0 < int(np.prod(shapes[name])) <= _PARAMETER_ELEMENTS
            and helper.tensor_dtype_to_np_dtype(entry.element_type).kind in "biuf"
        )

    def _resolve(
        self, shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, np.ndarray]
    ) -> ResolvedModel:
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        return resolve_with_facts(model, None, shapes=dict(shapes), values=values)[0]

    def _prepared(
        self, shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, np.ndarray]
    ) -> Prepared:
        """The program for these shapes and values, made or kept from before."""
        key = (_key(shapes), tuple((name, array.tobytes()) for name, array in values.items()))
        if key not in self._kept:
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            resolved = self._resolve(shapes, values)
            self._kept[key] = prepare(self._model, resolved, tuple(values))
        return self._kept[key]


def _listed(inputs: Any) -> list[Any]:
    """Inputs that are given in order: several, or one array without a list around it."""
    if isinstance(inputs, Sequence) and not isinstance(inputs, str | bytes):
        return list(inputs)
    if isinstance(inputs, np.ndarray | np.generic):
        return [inputs]
    try:
        return list(inputs)
    except TypeError as error:
        raise UsageError(
            f"inputs are {type(inputs).__name__}\ngive a list of arrays, or a mapping by name"
        ) from error


def _closed_shape(entry: DeclaredInput) -> tuple[int, ...] | None:
    """The shape that the file declares; None if any of it is open."""
    sizes = entry.dimensions
    if sizes is None or not all(isinstance(size, int) for size in sizes):
        return None
    return tuple(int(size) for size in sizes)


def _checked(entry: DeclaredInput, value: Any) -> np.ndarray:
    """A given input as an array of the type that the model declares."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise UsageError(f"input '{entry.name}' is no array: {error}") from error
    wanted = helper.tensor_dtype_to_np_dtype(entry.element_type)
    if array.dtype != wanted:
        raise UsageError(f"input '{entry.name}' is of {array.dtype}, the model takes {wanted}")
    return array


def _key(shapes: Mapping[str, tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    return tuple(shapes.values())


def _fallbacks(graph: Graph) -> int:
    return sum(node.node_class is NodeClass.FALLBACK for node in graph.nodes)


def _unread(graph: Graph, names: Sequence[str]) -> set[str]:
    """Inputs that no operator reads: what they decide was taken as the file declares it."""
    read = {name for operator in graph.operators for name in operator.inputs}
    return {name for name in names if name in graph.inputs} - read - {*graph.outputs}


def _read_first(graph: onnx.GraphProto) -> set[str]:
    """Tensors that a node reads as its first input: what it works on, as a rule."""
    return {node.input[0] for node in _nodes(graph) if node.input}


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from _nodes(inner)
