"""Sizes for symbolic dimensions, and values for inputs: from --dim, --shape and --value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, TensorProto, ValueInfoProto

from t10c.errors import InvalidInputError, UnsupportedOperatorError, UsageError
from t10c.ir.graph import Bindings
from t10c.onnx_import.names import remedy_for
from t10c.onnx_import.structure import initializer_names
from t10c.onnx_import.symbols import (
    Dimension,
    declared_dimensions,
    names_in,
    quoted,
    size_of,
    suggested_size,
    usual_shape,
    usual_size,
)
from t10c.onnx_import.tensors import TensorFact, check_size, empty, shape_text
from t10c.onnx_import.unify import Given, unify
from t10c.onnx_import.values import (
    as_array,
    fixed_input,
    value_flag,
    value_notes,
)


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """A graph input as the file declares it; `dimensions` is None if not even the rank is known."""

    name: str
    element_type: int
    dimensions: tuple[Dimension, ...] | None


@dataclass(frozen=True, slots=True)
class Bound:
    """The inputs with every dimension bound, in the file's order, and the sizes of symbols.

    An input without elements, or with a value, is a constant; `warnings` are on the former,
    `notes` on the latter. `record` is what binds the model alike, given the other inputs' shapes.
    """

    inputs: Mapping[str, TensorFact]
    sizes: Mapping[str, int]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    record: Bindings


def bind_inputs(
    graph: GraphProto,
    dims: Mapping[str, int],
    shapes: Mapping[str, tuple[int, ...]],
    values: Mapping[str, object] | None = None,
) -> Bound:
    """Bind every dimension of the graph's inputs (without initializers).

    Raises UsageError for a name the model does not have, a size that is negative or a value
    that its input cannot hold, InvalidInputError for an unbound dimension or a shape that
    contradicts the model.
    """
    declared = declared_inputs(graph)
    arrays = {name: as_array(name, value) for name, value in (values or {}).items()}
    given = _given_shapes(graph, declared, shapes, arrays)
    sizes = _collect_sizes(declared, graph, dims, given)
    bound: dict[str, TensorFact] = {}
    unbound: list[tuple[DeclaredInput, int, Dimension]] = []
    for entry in declared:
        if entry.name in given:
            shape: tuple[Dimension, ...] = given[entry.name][0]
        elif entry.dimensions is None:
            raise InvalidInputError(
                f"input '{entry.name}' has no shape in the file\n"
                f"give it one, for instance --shape {quoted(f'{entry.name}:1x3x224x224')}"
            )
        else:
            shape = tuple(size_of(dimension, sizes) for dimension in entry.dimensions)
        unbound.extend((entry, i, size) for i, size in enumerate(shape) if isinstance(size, str))
        if not unbound:
            final = tuple(int(size) for size in shape)
            check_size(entry.name, final)
            bound[entry.name] = _input_fact(entry, final, arrays)
    if unbound:
        raise InvalidInputError(_unbound_message(unbound, sizes))
    declared_empty = {entry.name for entry in declared if 0 in (entry.dimensions or ())} - {*given}
    warnings = tuple(
        _empty_warning(name, shape, name in declared_empty)
        for name, shape in _empty_inputs(bound, arrays)
    )
    record = _record(declared, graph, dims, bound, arrays)
    return Bound(bound, sizes, warnings, tuple(value_notes(arrays)), record)


def _record(
    declared: Sequence[DeclaredInput],
    graph: GraphProto,
    dims: Mapping[str, int],
    bound: Mapping[str, TensorFact],
    arrays: Mapping[str, np.ndarray],
) -> Bindings:
    """What the shapes of inputs that stay inputs do not tell."""
    shapes = {name: (fact.shape, "") for name, fact in bound.items()}
    told = _collect_sizes(declared, graph, {}, shapes)
    return Bindings(
        dims=tuple((name, size) for name, size in sorted(dims.items()) if name not in told),
        shapes=tuple((name, fact.shape) for name, fact in bound.items() if fact.fixed),
        values=tuple((name, json.dumps(array.tolist())) for name, array in sorted(arrays.items())),
    )


def _input_fact(
    entry: DeclaredInput, shape: tuple[int, ...], arrays: Mapping[str, np.ndarray]
) -> TensorFact:
    fact = TensorFact(entry.element_type, shape)
    if entry.name in arrays:
        return fixed_input(entry.name, arrays[entry.name], fact)
    return empty(fact) if 0 in shape else fact


def _empty_inputs(
    bound: Mapping[str, TensorFact], arrays: Mapping[str, np.ndarray]
) -> list[tuple[str, tuple[int, ...]]]:
    return [
        (name, fact.shape) for name, fact in bound.items() if 0 in fact.shape and name not in arrays
    ]


def _empty_warning(name: str, shape: tuple[int, ...], is_declared: bool) -> str:
    """Say that an input without elements makes what follows from it constant."""
    if not is_declared:
        return f"input '{name}' has 0 elements ({shape_text(shape)}): left out"
    flag = f"{name}:{shape_text([size or 1 for size in shape])}"
    return (
        f"input '{name}' is declared with 0 elements ({shape_text(shape)}): left out; "
        f"if that size is open, give it: --shape {quoted(flag)}"
    )


def declared_inputs(graph: GraphProto) -> list[DeclaredInput]:
    """The graph's inputs that are not initializers; raises UnsupportedOperatorError for a
    sequence or optional, InvalidInputError for an input without a type.
    """
    initializers = initializer_names(graph)
    return [_declared(value) for value in graph.input if value.name not in initializers]


def _declared(value: ValueInfoProto) -> DeclaredInput:
    kind = value.type.WhichOneof("value")
    if kind not in (None, "tensor_type"):
        what = str(kind).removesuffix("_type").replace("_", " ")
        article = "an" if what == "optional" else "a"
        raise UnsupportedOperatorError(
            f"input '{value.name}' is {article} {what}, not a tensor\n"
            "export the model with tensor inputs",
            ((value.name, f"input of type {what}"),),
        )
    element_type = value.type.tensor_type.elem_type
    if element_type == 0:
        raise InvalidInputError(f"input '{value.name}' has no element type; export the model again")
    if element_type not in TensorProto.DataType.values():
        raise InvalidInputError(
            f"input '{value.name}' has the element type {element_type}, which ONNX does not have\n"
            "export the model again"
        )
    return DeclaredInput(value.name, element_type, declared_dimensions(value.type))


_GivenShapes = Mapping[str, tuple[tuple[int, ...], str]]
"""Shapes of inputs that the user gave, by --shape or with a value, and the flag that did."""


def _given_shapes(
    graph: GraphProto,
    declared: Sequence[DeclaredInput],
    shapes: Mapping[str, tuple[int, ...]],
    arrays: Mapping[str, np.ndarray],
) -> _GivenShapes:
    """The shapes that flags give to inputs; raises UsageError for a name that is no input."""
    inputs = {entry.name: entry for entry in declared}
    given: dict[str, tuple[tuple[int, ...], str]] = {}
    for name, shape in shapes.items():
        flag = f"--shape {name}:{shape_text(shape)}"
        _check_input(name, flag, graph, inputs, "shape")
        _check_sizes(flag, shape)
        given[name] = tuple(shape), flag
    for name, array in arrays.items():
        flag = value_flag(name, array)
        _check_input(name, flag, graph, inputs, "value")
        if array.ndim == 0 and inputs[name].dimensions:
            continue  # fills whatever shape the input gets otherwise
        given.setdefault(name, (array.shape, flag))
    return given


def _check_input(
    name: str, flag: str, graph: GraphProto, inputs: Mapping[str, DeclaredInput], what: str
) -> None:
    if name in initializer_names(graph):
        raise UsageError(f"{flag}: '{name}' is a weight, whose {what} is fixed")
    if name not in inputs:
        raise UsageError(f"{flag}: the model has no input '{name}'\n" + remedy_for(name, inputs))


def _collect_sizes(
    declared: Sequence[DeclaredInput],
    graph: GraphProto,
    dims: Mapping[str, int],
    given: _GivenShapes,
) -> dict[str, int]:
    """Sizes of symbols by all flags together, checked for contradictions."""
    symbols = {d for e in declared for d in e.dimensions or () if isinstance(d, str) and d}
    names = symbols | {name for symbol in symbols for name in names_in(symbol)}
    for name, size in dims.items():
        flag = f"--dim {name}={size}"
        if name not in names:
            names |= _further_symbols(graph)
        if name not in names:
            raise UsageError(f"{flag}: no input has a dimension '{name}'\n{_known(name, names)}")
        _check_sizes(flag, (size,))
    sizes = dict(dims)
    origin = {name: f"--dim {name}={size}" for name, size in dims.items()}
    matched = [
        Given(entry.name, entry.dimensions, *given[entry.name])
        for entry in declared
        if entry.name in given and entry.dimensions is not None
    ]
    unify(matched, sizes, origin)
    return sizes


def _known(name: str, names: set[str]) -> str:
    """Which symbols there are, the nearest if one is near."""
    return remedy_for(name, names) if names else "the model has none"


def _further_symbols(graph: GraphProto) -> set[str]:
    """Symbols of outputs and of tensors in between: they may size what depends on data."""
    found: set[str] = set()
    for value in (*graph.output, *graph.value_info):
        for dimension in declared_dimensions(value.type) or ():
            if isinstance(dimension, str) and dimension:
                found |= {dimension, *names_in(dimension)}
    return found


def _check_sizes(flag: str, shape: Sequence[int]) -> None:
    for size in shape:
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise UsageError(f"{flag}: {size} is not a size; sizes are integers, not negative")


def _unbound_message(
    unbound: Sequence[tuple[DeclaredInput, int, Dimension]], sizes: Mapping[str, int]
) -> str:
    """Name the first unbound dimension, and the flags that bind all of them."""
    entry, index, dimension = unbound[0]
    named = f"dimension '{dimension}'" if dimension else f"dimension {index} (it has no name)"
    text = f"{named} of input '{entry.name}' has no size"
    others = {d or (e.name, i) for e, i, d in unbound} - {dimension}
    if dimension and others:
        text += f", nor have {len(others)} more"
    flags = _suggestions(unbound, dict(sizes))
    more = f" and {len(flags) - 4} more" if len(flags) > 4 else ""
    return f"{text}\ngive it one, for instance: {' '.join(flags[:4])}{more}"


def _suggestions(
    unbound: Sequence[tuple[DeclaredInput, int, Dimension]], chosen: dict[str, int]
) -> list[str]:
    """Flags that bind the dimensions: shapes where one has no name, else sizes of symbols.

    `chosen` has the sizes of symbols so far, which the flags together must not contradict.
    """
    flags: dict[str, None] = {}
    nameless = {each.name: each for each, _, symbol in unbound if not symbol}
    for name, each in nameless.items():
        declared = each.dimensions or ()
        pairs = zip(declared, usual_shape(declared), strict=True)
        shape = tuple(suggested_size(symbol, guess, chosen) for symbol, guess in pairs)
        flags[f"--shape {quoted(f'{name}:{shape_text(shape)}')}"] = None
    for each, _, symbol in unbound:
        if each.name in nameless:
            continue
        for name in sorted(names_in(str(symbol))) or [str(symbol)]:
            if name not in chosen:
                flags[f"--dim {quoted(f'{name}={usual_size(name)}')}"] = None
    return list(flags)
