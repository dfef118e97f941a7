"""Views of arrays by windows and strides, for every element type that ONNX has.

NumPy makes such views by a type's letter and width, which it does not know for all 8-bit floats.
For types that are not its own the view is one of plain integers of the same width.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided, sliding_window_view

Array = npt.NDArray[Any]

_OWN = 1
"""What `dtype.isbuiltin` says of NumPy's own types."""


def sliding_windows(
    array: Array,
    shape: Sequence[int],
    axis: tuple[int, ...] | None = None,
    writeable: bool = False,
) -> Array:
    """All windows of a shape: (*positions, *shape), along `axis` if that is given."""
    plain = _plain(array)
    windows = sliding_window_view(plain, tuple(shape), axis, writeable=writeable)
    return np.asarray(windows if plain is array else windows.view(array.dtype))


def strided(
    array: Array, shape: Sequence[int], strides: Sequence[int], writeable: bool = True
) -> Array:
    """The array's memory with another shape and strides (bytes)."""
    plain = _plain(array)
    view = as_strided(plain, tuple(shape), tuple(strides), writeable=writeable)
    return view if plain is array else view.view(array.dtype)


def _plain(array: Array) -> Array:
    if array.dtype.isbuiltin == _OWN:
        return array
    return array.view(f"u{array.dtype.itemsize}")
