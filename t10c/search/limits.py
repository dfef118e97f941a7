"""What an operator given in text may be at most, so that all sizes and counts stay in 64 bits."""

import math
from collections.abc import Iterable

from t10c.errors import UsageError
from t10c.ir.expression import ELEMENT_LIMIT, TensorExpression

_LIMIT_TEXT = f"{ELEMENT_LIMIT:,} (2^{ELEMENT_LIMIT.bit_length() - 1})"


def check_numbers(numbers: Iterable[tuple[str, int]]) -> None:
    """Lengths, strides and dilations by name: UsageError if one is not in 1 to the limit."""
    for name, value in numbers:
        if value < 1:
            raise UsageError(f"axis {name}={value}: a length is at least 1")
        if value > ELEMENT_LIMIT:
            raise UsageError(f"{name} is too large: a length or stride is at most {_LIMIT_TEXT}")


def within_limits(expression: TensorExpression) -> TensorExpression:
    """The expression itself; UsageError names the tensor or the axes that are too large."""
    for operand in expression.operands:
        if math.prod(dim.size for dim in operand.dims) > ELEMENT_LIMIT:
            raise UsageError(
                f"{operand.name} is too large: a tensor has at most {_LIMIT_TEXT} elements\n"
                f"shorten its axes {', '.join(operand.axes)}, or a stride"
            )
    if expression.points > ELEMENT_LIMIT:
        raise UsageError(
            f"the product of all axes is too large: it is at most {_LIMIT_TEXT}\n"
            f"shorten {', '.join(axis.name for axis in expression.axes)}"
        )
    return expression
