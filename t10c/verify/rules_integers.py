"""What operators need integers to be that are numbers: computed with, compared, or divided by.

a -> Add -> Mod(divisor b) -> y     a is a number on either side of zero, b one that is not 0
n -> Reshape's shape                n is nothing of that: it stays 0 or 1
"""

import math
from collections.abc import Iterator, Mapping

from t10c.ir.graph import is_narrow
from t10c.verify.roles import DIVISOR, NUMBER, POSITIVE, Call, FlatGraph, Needs, Role, Rule

_ARITHMETIC = frozenset(
    {
        "Abs", "Add", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Clip", "CumSum",
        "Div", "Einsum", "Gather", "GatherElements", "GatherND", "Gemm", "MatMul", "Max", "Mean",
        "Min", "Mod", "Mul", "Neg", "Pow", "ReduceL1", "ReduceMax", "ReduceMean", "ReduceMin",
        "ReduceSum", "ReduceSumSquare", "Relu", "Sub", "Sum", "TopK",
    }
)  # fmt: skip
"""Operators whose integers may be any numbers if their result may."""

_OF_THE_FIRST = frozenset({"CumSum", "TopK"})
"""Those of them, beside reductions, whose further inputs are axes and counts."""

_UNCERTAIN = frozenset({"plain", "offset", "gain", "matrix"})
"""What is said of data without asking for integers of a certain range."""

_MOST_FACTORS = 30
"""A product of so many ones and twos fits into 32 bits."""


def is_integer(element_type: str) -> bool:
    """Whether a type is of signed or unsigned integers, of any width."""
    return element_type.startswith(("int", "uint"))


def is_wide(element_type: str) -> bool:
    """Whether a type is of integers above 8 bits, which are no quantised values."""
    return is_integer(element_type) and not is_narrow(element_type)


def wanted_unread(graph: FlatGraph, name: str) -> Role:
    """What a tensor that nothing reads is needed as: integers that come out may be any numbers."""
    return NUMBER if is_wide(graph.element_types.get(name, "")) else Role()


def as_number(call: Call, name: str, role: Role) -> Role:
    """A need of an operator, more exactly where the tensor is of integers that may be any."""
    numbers = call.wanted.kind == "number" and call.node.op_type in _ARITHMETIC
    if not numbers or role.kind not in _UNCERTAIN:
        return role
    return NUMBER if is_wide(call.graph.element_types.get(name, "")) else role


def integer_needs(call: Call) -> Needs:
    """Needs of an operator without a rule of its own: of wide integers, numbers or unknown ones."""
    kind = call.node.op_type
    first_only = kind.startswith("Reduce") or kind in _OF_THE_FIRST
    for position, name in enumerate(call.node.inputs):
        if is_wide(call.graph.element_types.get(name, "")):
            yield name, Role() if first_only and position else as_number(call, name, Role())


def _integers(call: Call, role: Role) -> Iterator[tuple[str, Role]]:
    for name in call.node.inputs:
        if is_wide(call.graph.element_types.get(name, "")):
            yield name, role


def _numbers(call: Call) -> Needs:
    """What is found out about numbers is small, whatever they are: signs, positions."""
    yield from _integers(call, NUMBER)


def ratio(call: Call) -> Needs:
    """Div: a divisor is never 0."""
    yield call.name(0), call.wanted
    yield call.name(1), DIVISOR if is_integer(call.element_type(1)) else POSITIVE


def _remainder(call: Call) -> Needs:
    """Mod: the remainders of any integers are less than the divisors."""
    if is_integer(call.element_type(1)):
        known = call.constant(1) is not None
        yield call.name(0), NUMBER if known and call.wanted.kind != "index" else call.wanted
        yield call.name(1), DIVISOR


def _shift(call: Call) -> Needs:
    """BitShift: by less than the bits that there are."""
    yield call.name(0), call.wanted if call.wanted.kind != "plain" else NUMBER
    yield call.name(1), Role("index", 0, 8)


def _factors(call: Call) -> Needs:
    """ReduceProd: ones and twos where their product can be stored."""
    count = math.prod(call.shape(0))
    made = math.prod(call.graph.shapes.get(call.node.outputs[0], ()))
    if is_wide(call.element_type(0)) and count <= _MOST_FACTORS * made:
        yield call.name(0), Role("number", 1, 3)


INTEGERS: Mapping[str, Rule] = {
    **dict.fromkeys(("ArgMax", "ArgMin", "Sign"), _numbers),
    "Div": ratio,
    "Mod": _remainder,
    "BitShift": _shift,
    "ReduceProd": _factors,
}
