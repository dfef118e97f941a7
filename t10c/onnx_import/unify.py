"""Given shapes matched with declared dimensions: sizes of symbols, without contradictions."""

from collections.abc import Sequence
from dataclasses import dataclass

from t10c.errors import InvalidInputError
from t10c.onnx_import.symbols import Dimension, evaluate, is_expression, names_in, solve


@dataclass(frozen=True, slots=True)
class Given:
    """An input whose shape is given: its name, declared dimensions, shape, and the flag."""

    name: str
    dimensions: tuple[Dimension, ...]
    shape: tuple[int, ...]
    flag: str

    @property
    def remedy(self) -> str:
        """What the file says."""
        in_file = ", ".join("?" if d == "" else str(d) for d in self.dimensions)
        return f"the model declares '{self.name}' as [{in_file}]"


_Equation = tuple[str, int, Given]
"""A dimension that is an expression, its size, and who says so."""


def unify(given: Sequence[Given], sizes: dict[str, int], origin: dict[str, str]) -> None:
    """Add to `sizes` the symbols that given shapes bind; `origin` says which flag bound each.

    A dimension that is declared as 0 may be given any size. An expression of one symbol that is
    not bound yet is solved for it, if it is linear; all others are checked. Raises
    InvalidInputError for a contradiction.
    """
    equations: list[_Equation] = []
    for each in given:
        if len(each.dimensions) != len(each.shape):
            raise InvalidInputError(f"{each.flag} has {len(each.shape)} dimensions\n{each.remedy}")
        for index, (dimension, size) in enumerate(zip(each.dimensions, each.shape, strict=True)):
            if isinstance(dimension, int):
                _check_number(each, index, dimension, size)
            elif dimension and is_expression(dimension):
                equations.append((dimension, size, each))
            elif dimension:
                _bind(dimension, size, each, sizes, origin)
    while _solve_one(equations, sizes, origin):
        pass
    for symbol, size, each in equations:
        _check_expression(symbol, size, each, sizes, origin)
        _bind(symbol, size, each, sizes, origin)


def _check_number(each: Given, index: int, declared: int, size: int) -> None:
    if declared not in (0, size):
        raise InvalidInputError(
            f"{each.flag}: dimension {index} is {declared} in the model, not {size}\n{each.remedy}"
        )


def _bind(
    symbol: str, size: int, each: Given, sizes: dict[str, int], origin: dict[str, str]
) -> None:
    if sizes.setdefault(symbol, size) != size:
        raise InvalidInputError(
            f"{each.flag} makes dimension '{symbol}' {size}, "
            f"but {origin[symbol]} makes it {sizes[symbol]}\n{each.remedy}"
        )
    origin.setdefault(symbol, each.flag)


def _solve_one(
    equations: Sequence[_Equation], sizes: dict[str, int], origin: dict[str, str]
) -> bool:
    """Bind one more symbol, if an expression says what it is."""
    for symbol, size, each in equations:
        unbound = names_in(symbol) - sizes.keys()
        if len(unbound) != 1:
            continue
        (name,) = unbound
        found = solve(symbol, name, size, sizes)
        if found is None:
            continue
        if found.denominator != 1 or found < 0:
            raise InvalidInputError(
                f"{each.flag} makes dimension '{symbol}' {size}, "
                f"but no size of '{name}' does\n{each.remedy}"
            )
        _bind(name, int(found), each, sizes, origin)
        return True
    return False


def _check_expression(
    symbol: str, size: int, each: Given, sizes: dict[str, int], origin: dict[str, str]
) -> None:
    value = evaluate(symbol, sizes)
    if value not in (None, size):
        names = sorted(names_in(symbol))
        bound = ", ".join(f"{name}={sizes[name]}" for name in names)
        flags = [flag for name in names if (flag := origin[name]) != each.flag]
        by = f" ({', '.join(dict.fromkeys(flags))})" if flags else ""
        raise InvalidInputError(
            f"{each.flag} makes dimension '{symbol}' {size}, "
            f"but {bound}{by} makes it {value}\n{each.remedy}"
        )
