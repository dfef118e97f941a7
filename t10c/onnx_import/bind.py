"""Sizes for symbolic dimensions: from `--dim name=size` and `--shape input:1x3x224x224`."""

import ast
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import GraphProto, TypeProto, ValueInfoProto

from t10c.errors import InvalidInputError, UnsupportedOperatorError, UsageError
from t10c.onnx_import.names import remedy_for
from t10c.onnx_import.structure import initializer_names
from t10c.onnx_import.tensors import TensorFact, check_size, shape_text

Dimension = int | str
"""A size, a symbol, or '' for a dimension without a name."""


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """A graph input as the file declares it; `dimensions` is None if not even the rank is known."""

    name: str
    element_type: int
    dimensions: tuple[Dimension, ...] | None


def bind_inputs(
    graph: GraphProto, dims: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, TensorFact]:
    """The graph's inputs (without initializers), every dimension bound, in the file's order.

    Raises UsageError for a name the model does not have or a size that is not positive,
    InvalidInputError for an unbound dimension or a shape that contradicts the model.
    """
    declared = declared_inputs(graph)
    sizes = _collect_sizes(declared, graph, dims, shapes)
    bound: dict[str, TensorFact] = {}
    unbound: list[tuple[DeclaredInput, int, Dimension]] = []
    for entry in declared:
        if entry.name in shapes:
            shape: tuple[Dimension, ...] = shapes[entry.name]
        elif entry.dimensions is None:
            raise InvalidInputError(
                f"input '{entry.name}' has no shape in the file\n"
                f"give it one, for instance --shape {entry.name}:1x3x224x224"
            )
        else:
            shape = tuple(_size_of(dimension, sizes) for dimension in entry.dimensions)
        unbound.extend((entry, i, size) for i, size in enumerate(shape) if isinstance(size, str))
        if not unbound:
            final = tuple(int(size) for size in shape)
            check_size(entry.name, final)
            bound[entry.name] = TensorFact(entry.element_type, final)
    if unbound:
        raise InvalidInputError(_unbound_message(unbound))
    return bound


def declared_inputs(graph: GraphProto) -> list[DeclaredInput]:
    """The graph's inputs that are not initializers; raises UnsupportedOperatorError for a
    sequence or optional, InvalidInputError for an input without a type.
    """
    initializers = initializer_names(graph)
    return [_declared(value) for value in graph.input if value.name not in initializers]


def _declared(value: ValueInfoProto) -> DeclaredInput:
    kind = value.type.WhichOneof("value")
    if kind not in (None, "tensor_type"):
        what = str(kind).removesuffix("_type")
        raise UnsupportedOperatorError(
            f"input '{value.name}' is a {what}, not a tensor\nexport the model with tensor inputs",
            ((value.name, f"input of type {what}"),),
        )
    if value.type.tensor_type.elem_type == 0:
        raise InvalidInputError(f"input '{value.name}' has no element type; export the model again")
    return DeclaredInput(
        value.name, value.type.tensor_type.elem_type, declared_dimensions(value.type)
    )


def declared_dimensions(type_proto: TypeProto) -> tuple[Dimension, ...] | None:
    """The dimensions of a tensor type; sizes below 1 are taken for anonymous dimensions."""
    tensor = type_proto.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.dim_value > 0 else dim.dim_param for dim in tensor.shape.dim)


def _collect_sizes(
    declared: Sequence[DeclaredInput],
    graph: GraphProto,
    dims: Mapping[str, int],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, int]:
    """Sizes of symbols by --dim and --shape together, checked for contradictions."""
    inputs = {entry.name: entry for entry in declared}
    symbols = {d for e in declared for d in e.dimensions or () if isinstance(d, str) and d}
    names = {name for symbol in symbols for name in _names_in(symbol)}
    for name, size in dims.items():
        if name not in symbols | names:
            raise UsageError(
                f"--dim {name}={size}: no input has a dimension '{name}'\n"
                + remedy_for(name, symbols)
            )
        _check_positive(f"--dim {name}={size}", (size,))
    sizes = dict(dims)
    origin = {name: f"--dim {name}={size}" for name, size in dims.items()}
    for name, shape in shapes.items():
        flag = f"--shape {name}:{shape_text(shape)}"
        if name in initializer_names(graph):
            raise UsageError(f"{flag}: '{name}' is a weight, whose shape is fixed")
        if name not in inputs:
            raise UsageError(
                f"{flag}: the model has no input '{name}'\n" + remedy_for(name, inputs)
            )
        _check_positive(flag, shape)
        _unify(inputs[name], shape, flag, sizes, origin)
    return sizes


def _check_positive(flag: str, shape: Sequence[int]) -> None:
    for size in shape:
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UsageError(f"{flag}: {size} is not a size; sizes are positive integers")


def _unify(
    entry: DeclaredInput,
    shape: tuple[int, ...],
    flag: str,
    sizes: dict[str, int],
    origin: dict[str, str],
) -> None:
    """Match a --shape with the declared dimensions, adding the symbols it binds to `sizes`."""
    if entry.dimensions is None:
        return
    in_file = ", ".join(str(d) if d else "?" for d in entry.dimensions)
    remedy = f"the model declares '{entry.name}' as [{in_file}]"
    if len(entry.dimensions) != len(shape):
        raise InvalidInputError(f"{flag} has {len(shape)} dimensions\n{remedy}")
    for index, (dimension, size) in enumerate(zip(entry.dimensions, shape, strict=True)):
        if isinstance(dimension, int):
            if dimension != size:
                raise InvalidInputError(
                    f"{flag}: dimension {index} is {dimension} in the model, not {size}\n{remedy}"
                )
        elif dimension and sizes.setdefault(dimension, size) != size:
            raise InvalidInputError(
                f"{flag} makes dimension '{dimension}' {size}, "
                f"but {origin[dimension]} makes it {sizes[dimension]}\n{remedy}"
            )
        elif dimension:
            origin.setdefault(dimension, flag)


def _size_of(dimension: Dimension, sizes: Mapping[str, int]) -> Dimension:
    """The bound size of a dimension, or the dimension as it was."""
    if isinstance(dimension, int):
        return dimension
    if dimension in sizes:
        return sizes[dimension]
    size = _evaluate(dimension, sizes)
    return dimension if size is None or size < 1 else size


_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def _parse(symbol: str) -> ast.expr | None:
    try:
        return ast.parse(symbol, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _names_in(symbol: str) -> set[str]:
    """The names in a dimension that is an expression: `past_length + 1` needs `past_length`."""
    tree = _parse(symbol)
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} if tree else set()


def _evaluate(symbol: str, sizes: Mapping[str, int]) -> int | None:
    """The value of a dimension expression of bound names, or None."""

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        if isinstance(node, ast.Name):
            return sizes[node.id]
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            result: int = _OPERATORS[type(node.op)](value(node.left), value(node.right))
            return result
        raise KeyError(symbol)

    tree = _parse(symbol)
    if tree is None:
        return None
    try:
        return value(tree)
    except (KeyError, ZeroDivisionError, RecursionError):
        return None


def _unbound_message(unbound: Sequence[tuple[DeclaredInput, int, Dimension]]) -> str:
    """Name the first unbound dimension, and the flags that bind all of them."""
    entry, index, dimension = unbound[0]
    named = f"dimension '{dimension}'" if dimension else f"dimension {index} (it has no name)"
    text = f"{named} of input '{entry.name}' has no size"
    others = {d or (e.name, i) for e, i, d in unbound} - {dimension}
    if dimension and others:
        text += f", nor have {len(others)} more"
    flags: dict[str, None] = {}
    for each, _, symbol in unbound:
        if symbol:
            needed = sorted(_names_in(str(symbol))) or [str(symbol)]
            flags.update((f"--dim {_quoted(f'{name}=1')}", None) for name in needed)
        else:
            guess = "x".join(str(d) if isinstance(d, int) else "1" for d in each.dimensions or ())
            flags.setdefault(f"--shape {_quoted(f'{each.name}:{guess}')}")
    shown = list(flags)
    more = f" and {len(shown) - 4} more" if len(shown) > 4 else ""
    return f"{text}\ngive it one, for instance: {' '.join(shown[:4])}{more}"


def _quoted(argument: str) -> str:
    """Quoted for a shell where a symbol needs it."""
    return f"'{argument}'" if any(c in argument for c in " ()*$&;'\"?[]<>|") else argument
