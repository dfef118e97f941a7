"""Operators that move or rename elements and compute nothing."""

from collections.abc import Sequence

import numpy as np

from t10c.ir.graph import NodeClass
from t10c.onnx_import.attributes import (
    LoweringError,
    argument,
    integer,
    integers,
    number,
    text,
)
from t10c.onnx_import.lowering.builder import GraphBuilder, literal_text
from t10c.onnx_import.lowering.dims import Shape
from t10c.onnx_import.lowering.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers(
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Dropout",
    node_class=NodeClass.LAYOUT_ONLY,
)
def lower_reshape(builder: GraphBuilder, node: ResolvedNode) -> None:
    """The same elements in row-major order; the shapes say the rest."""
    if node.op_type == "Dropout":
        check_inference_dropout(builder, node)
    builder.reshape(node.inputs[0], node.outputs[0])


def check_inference_dropout(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Raise LoweringError unless the Dropout passes its input through."""
    if any(node.outputs[1:]):
        raise LoweringError("its mask output is not supported")
    mode = argument(node, 2)
    if mode and bool(builder.constant(mode, "training mode").reshape(-1)[0]):
        raise LoweringError("training mode is not supported")


@lowers("Transpose", node_class=NodeClass.LAYOUT_ONLY)
def lower_transpose(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Dimension i of the output is dimension perm[i] of the input."""
    rank = len(builder.shape(node.inputs[0]))
    perm = integers(node, "perm") or tuple(reversed(range(rank)))
    builder.transpose(node.inputs[0], node.outputs[0], perm)


@lowers("Expand", node_class=NodeClass.LAYOUT_ONLY)
def lower_expand(builder: GraphBuilder, node: ResolvedNode) -> None:
    """NumPy broadcasting to the output's shape."""
    builder.expand(node.inputs[0], node.outputs[0])


@lowers("Concat", node_class=NodeClass.LAYOUT_ONLY)
def lower_concat(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Inputs joined along one axis."""
    rank = len(builder.shape(node.outputs[0]))
    axis = integer(node, "axis", 1) % rank
    builder.concat(node.inputs, node.outputs[0], axis)


@lowers("Slice", node_class=NodeClass.LAYOUT_ONLY)
def lower_slice(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A strided selection; limits are attributes before opset 10, then known inputs."""
    shape = builder.shape(node.inputs[0])
    begins = _limits(builder, node, "starts", 1)
    axes = _limits(builder, node, "axes", 3)
    pace = _limits(builder, node, "steps", 4)
    if begins is None:
        raise LoweringError("it has no starts")
    starts, steps = [0] * len(shape), [1] * len(shape)
    for index, begin in enumerate(begins):
        axis = (axes[index] if axes else index) % len(shape)
        step = pace[index] if pace else 1
        size = shape[axis]
        first = begin + size if begin < 0 else begin
        starts[axis] = min(max(first, 0), size if step > 0 else size - 1)
        steps[axis] = step
    builder.slice(node.inputs[0], node.outputs[0], starts, steps)


def _limits(
    builder: GraphBuilder, node: ResolvedNode, name: str, index: int
) -> tuple[int, ...] | None:
    tensor = argument(node, index)
    if tensor:
        return tuple(int(v) for v in builder.constant(tensor, name).reshape(-1))
    return integers(node, name)


@lowers("Split", node_class=NodeClass.LAYOUT_ONLY)
def lower_split(builder: GraphBuilder, node: ResolvedNode) -> None:
    """One slice per output; their shapes say where each begins."""
    shape = builder.shape(node.inputs[0])
    axis = integer(node, "axis", 0) % len(shape)
    starts, steps = [0] * len(shape), (1,) * len(shape)
    for index, output in enumerate(node.outputs):
        if output:
            builder.slice(node.inputs[0], output, starts, steps, str(index) if index else "")
            starts[axis] += builder.shape(output)[axis]


@lowers("Pad", node_class=NodeClass.LAYOUT_ONLY)
def lower_pad(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A constant around the input; `reflect`, `edge` and `wrap` as slices joined to it."""
    source, output = node.inputs[0], node.outputs[0]
    shape = builder.shape(source)
    begins, ends = _pad_widths(builder, node, len(shape))
    mode = text(node, "mode", "constant")
    if mode != "constant":
        return _pad_with_input(builder, node, begins, ends, mode)
    fill = _fill(builder, node)
    if min((*begins, *ends)) < 0:
        starts = [max(0, -pad) for pad in begins]
        kept = tuple(
            size + min(0, b) + min(0, e) for size, b, e in zip(shape, begins, ends, strict=True)
        )
        cropped = output
        if max((*begins, *ends)) > 0:
            cropped = builder.temporary("cropped", kept, source)
        builder.slice(
            source, cropped, starts, (1,) * len(shape), "" if cropped == output else "crop"
        )
        if cropped == output:
            return None
        source = cropped
    return builder.pad(source, output, [max(0, pad) for pad in begins], fill=fill)


def _fill(builder: GraphBuilder, node: ResolvedNode) -> str:
    """The value of the padding: an attribute before opset 11, then a known input."""
    value = argument(node, 2)
    known = builder.constant(value, "padding value").reshape(-1) if value else np.zeros(0)
    return literal_text(known[0]) if known.size else repr(number(node, "value", 0.0))


def _pad_widths(
    builder: GraphBuilder, node: ResolvedNode, rank: int
) -> tuple[list[int], list[int]]:
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


def _pad_with_input(
    builder: GraphBuilder, node: ResolvedNode, begins: list[int], ends: list[int], mode: str
) -> None:
    """One axis at a time: a piece of the input, the input, a piece of the input."""
    if mode not in ("reflect", "edge", "wrap") or min((*begins, *ends)) < 0:
        raise LoweringError(f"padding mode {mode!r} with these widths is not supported")
    current, shape = node.inputs[0], builder.shape(node.inputs[0])
    axes = [axis for axis in range(len(shape)) if begins[axis] or ends[axis]]
    for axis in axes:
        size = shape[axis]
        if max(begins[axis], ends[axis]) > (size - 1 if mode == "reflect" else size):
            raise LoweringError(f"padding mode {mode!r} is wider than the input")
        parts = [current]
        for before, width in ((True, begins[axis]), (False, ends[axis])):
            if width:
                piece = _border(builder, current, shape, axis, before, width, mode)
                parts = [piece, *parts] if before else [*parts, piece]
        shape = (*shape[:axis], size + begins[axis] + ends[axis], *shape[axis + 1 :])
        last = axis == axes[-1]
        joined = node.outputs[0] if last else builder.temporary(f"padded{axis}", shape, current)
        builder.concat(parts, joined, axis, "" if last else f"join{axis}")
        current = joined


def _border(
    builder: GraphBuilder,
    source: str,
    shape: Shape,
    axis: int,
    before: bool,
    width: int,
    mode: str,
) -> str:
    """The piece that continues the input beyond one end of an axis."""
    size = shape[axis]
    start, step = {
        "reflect": (width, -1) if before else (size - 2, -1),
        "wrap": (size - width, 1) if before else (0, 1),
        "edge": (0, 1) if before else (size - 1, 1),
    }[mode]
    side = f"{'before' if before else 'after'}{axis}"
    starts, steps = [0] * len(shape), [1] * len(shape)
    starts[axis], steps[axis] = start, step
    length = 1 if mode == "edge" else width
    piece = builder.temporary(side, (*shape[:axis], length, *shape[axis + 1 :]), source)
    builder.slice(source, piece, starts, steps, side)
    if mode != "edge" or width == 1:
        return piece
    wide = builder.temporary(f"{side}.wide", (*shape[:axis], width, *shape[axis + 1 :]), source)
    builder.expand(piece, wide, f"{side}.wide")
    return wide


@lowers("Tile", node_class=NodeClass.LAYOUT_ONLY)
def lower_tile(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Repetition: each dimension n becomes (1, n), expands to (r, n) and is joined to r * n."""
    source, output = node.inputs[0], node.outputs[0]
    shape, target = builder.shape(source), builder.shape(output)
    pairs = tuple(item for size in shape for item in (1, size))
    copies = tuple(
        item for size, n in zip(shape, target, strict=True) for item in (n // size, size)
    )
    split = builder.temporary("split", pairs, source)
    wide = builder.temporary("wide", copies, source)
    builder.reshape(source, split, "split")
    builder.expand(split, wide, "wide")
    builder.reshape(wide, output)


@lowers("DepthToSpace", "SpaceToDepth", node_class=NodeClass.LAYOUT_ONLY)
def lower_space(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Reshape, transposition, reshape between blocks of pixels and channels."""
    source, output = node.inputs[0], node.outputs[0]
    block = integer(node, "blocksize", 1)
    b, c, h, w = builder.shape(source)
    if node.op_type == "SpaceToDepth":
        shape = (b, c, h // block, block, w // block, block)
        perm: tuple[int, ...] = (0, 3, 5, 1, 2, 4)
    elif text(node, "mode", "DCR") == "DCR":
        shape, perm = (b, block, block, c // block**2, h, w), (0, 3, 4, 1, 5, 2)
    else:
        shape, perm = (b, c // block**2, block, block, h, w), (0, 1, 4, 2, 5, 3)
    blocks = builder.temporary("blocks", shape, source)
    moved = builder.temporary("moved", tuple(shape[axis] for axis in perm), source)
    builder.reshape(source, blocks, "blocks")
    builder.transpose(blocks, moved, perm)
    builder.reshape(moved, output, "join")
