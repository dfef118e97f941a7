"""Formulas of a device program: whole-number arithmetic over names, one value per core.

A formula is text such as `core//64%23*16 + (c_m + i0)%3`: names, whole numbers, `+ - *`, and
`//` and `%` by a positive number. So a program states what differs from core to core and from step
to step without listing cores or steps. `Terms` builds such text and simplifies the obvious.
"""

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Value = int | IntArray

NUMBER_LIMIT = 2**40
"""Largest number in a formula; products of a few of them stay within 64 bits."""

_LENGTH_LIMIT = 20_000
_DEPTH_LIMIT = 400
_LOOSE, _TIGHT, _ATOM = 1, 2, 3  # sums, products, names and numbers


class FormulaError(ValueError):
    """A text that is no formula, or one that uses an unknown name."""


@lru_cache(maxsize=65536)
def parse(text: str) -> ast.expr:
    """The syntax tree of a formula; FormulaError says what is not allowed in it."""
    if len(text) > _LENGTH_LIMIT:
        raise FormulaError(f"a formula of {len(text)} characters is too long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's own, of what is refused below
            tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormulaError(f"'{_shown(text, 60)}' is not a formula") from error
    _check(tree, text, 0)
    return tree


def _shown(text: str, most: int) -> str:
    """The beginning of a text on one line."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])


def _check(node: ast.expr, text: str, depth: int) -> None:
    """FormulaError unless the tree is made of what formulas may have."""
    if depth > _DEPTH_LIMIT:
        raise FormulaError(f"'{_shown(text, 60)}' is nested more than {_DEPTH_LIMIT} deep")
    match node:
        case ast.Constant(value=value) if type(value) is int and value <= NUMBER_LIMIT:
            return
        case ast.Name():
            return
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check(operand, text, depth + 1)
            return
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult(), right=right):
            _check(left, text, depth + 1)
            _check(right, text, depth + 1)
            return
        case ast.BinOp(left=left, op=ast.FloorDiv() | ast.Mod(), right=ast.Constant(value=value)):
            if type(value) is int and 1 <= value <= NUMBER_LIMIT:
                _check(left, text, depth + 1)
                return
    raise FormulaError(
        f"'{_shown(text, 60)}' has '{_shown(_source(node, text), 40)}': formulas have names, whole"
        " numbers, + - *, and // and % by a positive number"
    )


def _source(node: ast.expr, text: str) -> str:
    """The part of a text that a node stands for."""
    return ast.get_source_segment(text, node) or text


def names(text: str) -> frozenset[str]:
    """Names that a formula uses."""
    return frozenset(n.id for n in ast.walk(parse(text)) if isinstance(n, ast.Name))


def evaluate(text: str, values: Mapping[str, Value]) -> Value:
    """The formula's value, a number or one per core; FormulaError names an unknown name."""
    return _value(parse(text), values)


def _value(node: ast.expr, values: Mapping[str, Value]) -> Value:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            if name not in values:
                raise FormulaError(f"unknown name '{name}'; known are {', '.join(sorted(values))}")
            return values[name]
        case ast.UnaryOp(operand=operand):
            return -_value(operand, values)
        case ast.BinOp(left=left_node, op=operation, right=right_node):
            left, right = _value(left_node, values), _value(right_node, values)
            match operation:
                case ast.Add():
                    return left + right
                case ast.Sub():
                    return left - right
                case ast.Mult():
                    return left * right
                case ast.FloorDiv():
                    return left // right
                case ast.Mod():
                    return left % right
    raise FormulaError(f"'{ast.unparse(node)}' is not a formula")


@dataclass(frozen=True, slots=True)
class Terms:
    """A formula under construction; `bound` is the largest value plus one, 0 if not known.

    Values are never negative where `bound` is known, so that `% m` and `// m` simplify.
    """

    text: str
    rank: int = _ATOM
    bound: int = 0

    @property
    def number(self) -> int | None:
        """The value of a formula that is a number."""
        return int(self.text) if self.text.isdigit() else None

    def __add__(self, other: "Terms | int") -> "Terms":
        """The sum."""
        other = _terms(other)
        if self.number is not None and other.number is not None:
            return whole(self.number + other.number)
        if self.number == 0:
            return other
        if other.number == 0:
            return self
        bound = self.bound + other.bound - 1 if self.bound and other.bound else 0
        return Terms(f"{self.text} + {other.text}", _LOOSE, bound)

    def __mul__(self, factor: int) -> "Terms":
        """The product with a number that is not negative."""
        if self.number is not None:
            return whole(self.number * factor)
        if factor == 0:
            return whole(0)
        if factor == 1:
            return self
        bound = (self.bound - 1) * factor + 1 if self.bound else 0
        return Terms(f"{self._within(_TIGHT)}*{factor}", _TIGHT, bound)

    def __floordiv__(self, divisor: int) -> "Terms":
        """The quotient, rounded down."""
        if self.number is not None:
            return whole(self.number // divisor)
        if divisor == 1:
            return self
        if 0 < self.bound <= divisor:
            return whole(0)
        bound = (self.bound - 1) // divisor + 1 if self.bound else 0
        return Terms(f"{self._within(_TIGHT)}//{divisor}", _TIGHT, bound)

    def __mod__(self, modulus: int) -> "Terms":
        """The remainder."""
        if self.number is not None:
            return whole(self.number % modulus)
        if modulus == 1:
            return whole(0)
        if 0 < self.bound <= modulus:
            return self
        return Terms(f"{self._within(_TIGHT)}%{modulus}", _TIGHT, modulus)

    def _within(self, rank: int) -> str:
        return self.text if self.rank >= rank else f"({self.text})"

    def __str__(self) -> str:
        """The formula's text."""
        return self.text


def whole(number: int) -> Terms:
    """A number that is not negative."""
    return Terms(str(number), _ATOM, number + 1)


def named(name: str, bound: int = 0) -> Terms:
    """A name; its values are below `bound` if that is given."""
    return Terms(name, _ATOM, bound)


def total(terms: "list[Terms]") -> Terms:
    """The sum of formulas."""
    result = whole(0)
    for term in terms:
        result = result + term
    return result


def _terms(value: Terms | int) -> Terms:
    return whole(value) if isinstance(value, int) else value
