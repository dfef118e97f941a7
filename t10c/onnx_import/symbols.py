"""Symbolic dimensions: their sizes, also as expressions of others, and which sizes to suggest."""

import ast
import operator
from collections.abc import Mapping, Sequence
from fractions import Fraction

from onnx import TypeProto

Dimension = int | str
"""A size, a symbol, or '' for a dimension without a name."""

_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}

_LARGEST = 2**63 - 1

_USUAL_SIZES = (
    (224, ("height", "width")),
    (128, ("seq", "length", "token", "time", "frame")),
    (3, ("channel",)),
)
"""What to suggest for a symbol whose name contains one of the words; 1 for all others."""

_USUAL_NAMES = {"h": 224, "w": 224, "c": 3, "l": 128, "t": 128, "s": 128}


def declared_dimensions(type_proto: TypeProto) -> tuple[Dimension, ...] | None:
    """The dimensions of a tensor type, None if not even the rank is known.

    A dimension that is set to 0 is one of size 0; a negative one is taken for one without a name.
    """
    tensor = type_proto.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else dim.dim_param
        for dim in tensor.shape.dim
    )


def size_of(dimension: Dimension, sizes: Mapping[str, int]) -> Dimension:
    """The bound size of a dimension, or the dimension as it was."""
    if isinstance(dimension, int):
        return dimension
    if dimension in sizes:
        return sizes[dimension]
    size = evaluate(dimension, sizes)
    return dimension if size is None or not 0 <= size <= _LARGEST else size


def _parse(symbol: str) -> ast.expr | None:
    try:
        return ast.parse(symbol, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def names_in(symbol: str) -> set[str]:
    """The names in a dimension that is an expression: `past_length + 1` needs `past_length`."""
    tree = _parse(symbol)
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} if tree else set()


def evaluate(symbol: str, sizes: Mapping[str, int]) -> int | None:
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


def is_expression(symbol: str) -> bool:
    """Whether a dimension is a formula of names, rather than a name."""
    names = names_in(symbol)
    return bool(names) and symbol not in names


def solve(symbol: str, name: str, size: int, sizes: Mapping[str, int]) -> Fraction | None:
    """What `name` must be for an expression to be `size`; None if it is not linear in it."""

    def linear(node: ast.expr) -> tuple[int, int]:
        """Factor of the name, and what is added to it."""
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return 0, node.value
        if isinstance(node, ast.Name):
            return (1, 0) if node.id == name else (0, sizes[node.id])
        if not isinstance(node, ast.BinOp):
            raise KeyError(symbol)
        (a, b), (c, d) = linear(node.left), linear(node.right)
        if isinstance(node.op, ast.Add | ast.Sub):
            sign = 1 if isinstance(node.op, ast.Add) else -1
            return a + sign * c, b + sign * d
        if isinstance(node.op, ast.Mult) and 0 in (a, c):
            return a * d + c * b, b * d
        raise KeyError(symbol)

    tree = _parse(symbol)
    try:
        factor, rest = linear(tree) if tree else (0, 0)
    except (KeyError, RecursionError):
        return None
    return Fraction(size - rest, factor) if factor else None


def usual_size(symbol: str) -> int:
    """A size to suggest for a symbol, from its name; nothing but a suggestion."""
    name = symbol.lower()
    if "batch" in name or "past" in name:
        return 1
    for size, words in _USUAL_SIZES:
        if any(word in name for word in words):
            return size
    return _USUAL_NAMES.get(name, 1)


def usual_shape(dimensions: Sequence[Dimension]) -> tuple[int, ...]:
    """A shape to suggest: the known sizes, usual ones for symbols, and 224 for pixels."""
    image = len(dimensions) == 4 and dimensions[1] in (1, 3)
    return tuple(
        d if isinstance(d, int) and d else 224 if image and i > 1 else usual_size(str(d or ""))
        for i, d in enumerate(dimensions)
    )


def suggested_size(dimension: Dimension, guess: int, chosen: dict[str, int]) -> int:
    """A size to suggest that agrees with those chosen before; what it chooses itself it adds."""
    if not isinstance(dimension, str) or not dimension:
        return guess
    if not is_expression(dimension):
        return chosen.setdefault(dimension, guess)
    for name in names_in(dimension):
        chosen.setdefault(name, usual_size(name))
    size = size_of(dimension, chosen)
    return size if isinstance(size, int) else guess


def quoted(argument: str) -> str:
    """Quoted for a shell where a symbol needs it."""
    return f"'{argument}'" if any(c in argument for c in " ()*$&;'\"?[]<>|") else argument
