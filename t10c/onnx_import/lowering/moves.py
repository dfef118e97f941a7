"""Selections, paddings and broadcasts along several dimensions that return the tensor they make.

An operator that would change nothing is not added: the tensor itself is returned.
"""

from collections.abc import Sequence

from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import Shape


def sliced(
    builder: GraphBuilder,
    source: str,
    shape: Shape,
    starts: Sequence[int],
    suffix: str,
    steps: Sequence[int] = (),
) -> str:
    """The part of the given shape that begins at `starts`, at strides of `steps` (default 1)."""
    paces = tuple(steps) or (1,) * len(shape)
    if builder.shape(source) == shape and not any(starts) and set(paces) <= {1}:
        return source
    target = builder.temporary(suffix, shape, source)
    builder.slice(source, target, starts, paces, suffix)
    return target


def padded(
    builder: GraphBuilder,
    source: str,
    shape: Shape,
    starts: Sequence[int],
    suffix: str,
    fill: str = "0.0",
) -> str:
    """The source at `starts` in a background of the given shape."""
    if builder.shape(source) == shape:
        return source
    target = builder.temporary(suffix, shape, source)
    builder.pad(source, target, starts, suffix, fill)
    return target


def expanded(builder: GraphBuilder, source: str, shape: Shape, suffix: str) -> str:
    """The source broadcast to the shape as in NumPy."""
    if builder.shape(source) == shape:
        return source
    target = builder.temporary(suffix, shape, source)
    builder.expand(source, target, suffix)
    return target
