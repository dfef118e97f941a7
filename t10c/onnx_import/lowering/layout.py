"""Operators that move or rename elements and compute nothing."""

from collections.abc import Sequence

import numpy as np

from t10c.ir.graph import NodeClass
from t10c.onnx_import.attributes import (
    LoweringError,
    argument,
    integer,
    integers,
    result,
    text,
)
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers(
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "BitCast",
    node_class=NodeClass.LAYOUT_ONLY,
)
def lower_reshape(builder: GraphBuilder, node: ResolvedNode) -> None:
    """The same elements in row-major order; the shapes say the rest."""
    builder.reshape(node.inputs[0], node.outputs[0])


@lowers("Dropout", node_class=NodeClass.LAYOUT_ONLY)
def lower_dropout(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Its input, and a mask of ones: nothing is dropped in inference."""
    mode, ratio, mask = argument(node, 2), argument(node, 1), result(node, 1)
    if mode and builder.constant(mode, "training mode").reshape(-1)[0]:
        known = builder.value(ratio) if ratio else None
        if known is None or known.reshape(-1)[0]:
            raise LoweringError("training mode is not supported: what it drops is random")
    if node.outputs[0]:
        builder.reshape(node.inputs[0], node.outputs[0])
    if mask:
        shape, kind = builder.shape(mask), builder.element_type(mask)
        ones = builder.derived_weight("ones", shape, kind, lambda: np.ones(shape, kind))
        builder.reshape(ones, mask, "mask")


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
    """One slice per output that is read."""
    shape = builder.shape(node.inputs[0])
    axis = integer(node, "axis", 0) % len(shape)
    starts, steps = [0] * len(shape), (1,) * len(shape)
    parts = _parts(builder, node, axis, shape[axis])
    for index, (output, part) in enumerate(zip(node.outputs, parts, strict=False)):
        if output:
            builder.slice(node.inputs[0], output, starts, steps, str(index) if index else "")
        starts[axis] += part


def _parts(builder: GraphBuilder, node: ResolvedNode, axis: int, length: int) -> Sequence[int]:
    """How long each output is, those that nobody reads too: given, else equal but for the last."""
    given, operand = integers(node, "split"), argument(node, 1)
    if given is not None:
        return given
    if operand and builder.value(operand) is not None:
        return [int(part) for part in builder.constant(operand, "split").reshape(-1)]
    if operand and not all(node.outputs):
        raise LoweringError("the value of its split depends on data")
    if operand:
        return [builder.shape(output)[axis] for output in node.outputs]
    count = integer(node, "num_outputs", len(node.outputs))
    return [-(-length // count)] * count


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
    depth_first = text(node, "mode", "DCR") == "DCR"
    if node.op_type == "SpaceToDepth":
        shape = (b, c, h // block, block, w // block, block)
        perm: tuple[int, ...] = (0, 3, 5, 1, 2, 4) if depth_first else (0, 1, 3, 5, 2, 4)
    elif depth_first:
        shape, perm = (b, block, block, c // block**2, h, w), (0, 3, 4, 1, 5, 2)
    else:
        shape, perm = (b, c // block**2, block, block, h, w), (0, 1, 4, 2, 5, 3)
    blocks = builder.temporary("blocks", shape, source)
    moved = builder.temporary("moved", tuple(shape[axis] for axis in perm), source)
    builder.reshape(source, blocks, "blocks")
    builder.transpose(blocks, moved, perm)
    builder.reshape(moved, output, "join")
