"""Pad: what negative widths cut off goes first, then one axis after the other is continued.

`reflect`, `edge` and `wrap` read the input at positions that NumPy's padding of 0, 1, 2, ... names.
Runs of them are slices and repetitions joined to the input; where the padding is so wide that there
are many, the axis is gathered by a constant index.
"""

from collections.abc import Sequence

import numpy as np

from t10c.ir.graph import NodeClass
from t10c.onnx_import.attributes import (
    LoweringError,
    argument,
    check_enumerable,
    integers,
    number,
    text,
)
from t10c.onnx_import.lowering.builder import GraphBuilder, literal_text
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import Shape
from t10c.onnx_import.lowering.elementwise import Argument, Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.gather import gather_expression
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode

_MOST_PIECES = 8
"""Runs of positions beyond which an axis is gathered instead of joined from slices."""


@lowers("Pad", node_class=NodeClass.LAYOUT_ONLY)
def lower_pad(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A constant around the input; `reflect`, `edge` and `wrap` as slices joined to it."""
    source, output = node.inputs[0], node.outputs[0]
    shape, target = builder.shape(source), builder.shape(output)
    begins, ends = _widths(builder, node, len(shape))
    mode = text(node, "mode", "constant")
    kept = tuple(n + min(0, b) + min(0, e) for n, b, e in zip(shape, begins, ends, strict=True))
    if min(kept) < 1:
        raise LoweringError("its widths cut off the whole input")
    starts = [max(0, -b) for b in begins]
    begins = [max(0, b) for b in begins]
    if kept == target:
        return builder.slice(source, output, starts, (1,) * len(shape))
    inner = Composer(builder).slice("crop", source, kept, starts)
    if mode == "constant":
        return _add_constant(builder, node, inner, begins)
    return _add_continued(builder, inner, output, begins, mode)


@lowers("CenterCropPad", node_class=NodeClass.LAYOUT_ONLY)
def lower_center_crop_pad(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A slice of the middle and a padding around; the shapes say how much of either."""
    source, output = node.inputs[0], node.outputs[0]
    shape, target = builder.shape(source), builder.shape(output)
    kept = tuple(min(n, m) for n, m in zip(shape, target, strict=True))
    starts = [(n - k) // 2 for n, k in zip(shape, kept, strict=True)]
    begins = [(n - k) // 2 for n, k in zip(target, kept, strict=True)]
    if kept == target:
        return builder.slice(source, output, starts, (1,) * len(shape))
    inner = Composer(builder).slice("crop", source, kept, starts)
    return builder.pad(inner, output, begins)


def _widths(builder: GraphBuilder, node: ResolvedNode, rank: int) -> tuple[list[int], list[int]]:
    """Widths before and after every dimension: an attribute before opset 11, then an input."""
    pads = integers(node, "pads")
    if pads is None:
        pads = tuple(int(v) for v in builder.constant(node.inputs[1], "padding").reshape(-1))
    axes: Sequence[int] = range(rank)
    if argument(node, 3):
        axes = [int(a) % rank for a in builder.constant(node.inputs[3], "axes").reshape(-1)]
    begins, ends = [0] * rank, [0] * rank
    for index, axis in enumerate(axes):
        begins[axis], ends[axis] = pads[index], pads[len(axes) + index]
    return begins, ends


def _add_constant(
    builder: GraphBuilder, node: ResolvedNode, inner: str, begins: Sequence[int]
) -> None:
    """A constant: an attribute before opset 11, then an input, which may be data."""
    output, fill = node.outputs[0], argument(node, 2)
    if not fill:
        return builder.pad(inner, output, begins, fill=repr(number(node, "value", 0.0)))
    known = builder.value(fill)
    if known is not None:
        value = known.reshape(-1)
        text_of = literal_text(value[0]) if value.size else "0.0"
        return builder.pad(inner, output, begins, fill=text_of)
    target = builder.shape(output)
    wide = Composer(builder).pad("around", inner, target, begins)
    arguments = [broadcast(builder, wide, output), broadcast(builder, fill, output)]
    steps: list[Step] = []
    shapes = zip(builder.shape(inner), target, begins, strict=True)
    for axis, (size, length, begin) in enumerate(shapes):
        if size != length:
            mask = _inside(builder, axis, size, length, begin)
            dims = broadcast(builder, mask, output, first=axis).dims
            value_so_far: int | str = f"s{len(steps) - 1}" if steps else 0
            steps.append(Step("Where", (len(arguments), value_so_far, 1)))
            arguments.append(Argument(mask, dims))
    return add_pointwise(builder, "fill", output, arguments, steps)


def _inside(builder: GraphBuilder, axis: int, size: int, length: int, begin: int) -> str:
    """Which positions along an axis are the input's."""
    check_enumerable(length, "positions")
    at = np.arange(length)
    return Composer(builder).weight(f"inside{axis}", (at >= begin) & (at < begin + size))


def _add_continued(
    builder: GraphBuilder, source: str, output: str, begins: Sequence[int], mode: str
) -> None:
    """One axis at a time: a piece of the input, the input, a piece of the input."""
    if mode not in ("reflect", "edge", "wrap"):
        raise LoweringError(f"padding mode {mode!r} is unknown")
    target = builder.shape(output)
    axes = [d for d, n in enumerate(builder.shape(source)) if n != target[d]]
    for axis in axes:
        shape = builder.shape(source)
        size, before = shape[axis], begins[axis]
        after = target[axis] - size - before
        width = (before, after)
        check_enumerable(target[axis], "positions")
        positions = np.pad(np.arange(size), width, mode=mode)  # type: ignore[call-overload]
        pieces = [*_runs(positions[:before]), (0, 1, size), *_runs(positions[before + size :])]
        last = axis == axes[-1]
        wide = (*shape[:axis], target[axis], *shape[axis + 1 :])
        joined = output if last else builder.temporary(f"padded{axis}", wide, source)
        suffix = "" if last else f"join{axis}"
        if len(pieces) > _MOST_PIECES:
            index = Composer(builder).weight(f"positions{axis}", positions)
            expression = gather_expression(shape, (target[axis],), axis)
            builder.compute(suffix, expression, (source, index), joined)
        else:
            parts = [
                _piece(builder, source, axis, run, f"piece{axis}_{number}")
                for number, run in enumerate(pieces)
            ]
            builder.concat(parts, joined, axis, suffix)
        source = joined


def _runs(positions: np.ndarray) -> list[tuple[int, int, int]]:
    """The positions as runs (start, step, length) of steps -1, 0 or 1."""
    runs: list[tuple[int, int, int]] = []
    for position in positions.tolist():
        if runs:
            start, step, length = runs[-1]
            gap = position - (start + step * (length - 1))
            if abs(gap) <= 1 and (length == 1 or gap == step):
                runs[-1] = (start, gap, length + 1)
                continue
        runs.append((position, 1, 1))
    return runs


def _piece(
    builder: GraphBuilder, source: str, axis: int, run: tuple[int, int, int], suffix: str
) -> str:
    """A run of positions along one axis as a slice, or as one position repeated."""
    compose, shape = Composer(builder), builder.shape(source)
    start, step, length = run

    def along(size: int) -> Shape:
        return (*shape[:axis], size, *shape[axis + 1 :])

    starts, steps = [0] * len(shape), [1] * len(shape)
    starts[axis], steps[axis] = start, step or 1
    if step or length == 1:
        return compose.slice(suffix, source, along(length), starts, steps)
    one = compose.slice(suffix, source, along(1), starts, steps)
    return compose.expand(f"{suffix}.wide", one, along(length))
