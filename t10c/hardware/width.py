"""Bytes of elements at the width they are stored in: the one place that knows what 0 bits mean."""

from typing import overload

import numpy as np
from numpy.typing import NDArray

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression

IntArray = NDArray[np.int64]


def stored_bits(spec: HardwareSpec, bits: int) -> int:
    """Width of an element in bits; 0 stands for the specification's element type."""
    return bits or 8 * spec.element_bytes


INTEGER_SUM_BITS = 32
"""Width of sums of products of narrow integers, in the standard (MatMulInteger) and in hardware."""


def partial_bits(spec: HardwareSpec, expression: TensorExpression) -> int:
    """Width in bits of partial sums of an expression's output: never below the accumulator.

    Products of narrow inputs are summed in 32 bits. The epilogue narrows the sum once it is
    complete.
    """
    least = INTEGER_SUM_BITS if expression.narrow_product else 0
    return max(expression.output.bits, 8 * spec.accumulator_bytes, least)


@overload
def size_bytes(spec: HardwareSpec, elements: int, bits: int) -> int: ...
@overload
def size_bytes(spec: HardwareSpec, elements: IntArray, bits: int) -> IntArray: ...
def size_bytes(spec: HardwareSpec, elements: int | IntArray, bits: int) -> int | IntArray:
    """Bytes of packed elements of a stored width: ceil(elements * bits / 8)."""
    width = stored_bits(spec, bits)
    if width % 8 == 0:
        return elements * (width // 8)
    return -(-elements * width // 8)
