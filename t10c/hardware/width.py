"""Bytes of elements at the width they are stored in: the one place that knows what 0 bits mean."""

from typing import overload

import numpy as np
from numpy.typing import NDArray

from t10c.hardware.spec import HardwareSpec

IntArray = NDArray[np.int64]


def stored_bits(spec: HardwareSpec, bits: int) -> int:
    """Width of an element in bits; 0 stands for the specification's element type."""
    return bits or 8 * spec.element_bytes


def partial_bits(spec: HardwareSpec, bits: int) -> int:
    """Width in bits of a partial sum of an output that is `bits` wide: never below the accumulator.

    The epilogue narrows the sum once it is complete.
    """
    return max(bits, 8 * spec.accumulator_bytes)


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
