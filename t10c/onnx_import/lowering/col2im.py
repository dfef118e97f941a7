"""Col2Im: blocks of a sliding window added up where they overlap, one spatial dimension at a time.

Along a dimension, element k of block l falls on position s * l + d * k - p of the image: a product
with a constant matrix of ones and zeros over both. Blocks that lie side by side, without gaps,
overlaps and padding, only change places.

    A[..k..,..l..] -> C[..y..] += A[..k..,..l..] * M[k,l,y]
"""

import math

import numpy as np

from t10c.ir.expression import Dim, TensorExpression
from t10c.onnx_import.attributes import LoweringError, check_enumerable, integers
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.matmul import product_expression
from t10c.onnx_import.lowering.window import Window
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers("Col2Im")
def lower_col2im(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A matmul with a constant matrix of ones per dimension; blocks side by side only move."""
    compose, output = Composer(builder), node.outputs[0]
    batch, columns, blocks = builder.shape(node.inputs[0])
    image = builder.shape(output)[2:]
    kernel = tuple(int(n) for n in builder.constant(node.inputs[2], "block size").reshape(-1))
    window, rank = _window(node, kernel), len(image)
    counts = _counts(window, image)
    channels = columns // math.prod(kernel)
    if columns != channels * math.prod(kernel) or blocks != math.prod(counts):
        raise LoweringError(f"{columns} x {blocks} columns are no blocks of {list(kernel)}")
    split = (batch * channels, *kernel, *counts)
    current = compose.reshape("blocks", node.inputs[0], split)
    done: Shape = ()
    for d in range(rank):
        # [rows, images done.., this k, later k.., this l, later l..]
        shape = builder.shape(current)
        made = (shape[0], *done, image[d], *kernel[d + 1 :], *counts[d + 1 :])
        positions = _positions(window, d, counts[d])
        if np.array_equal(positions.T.reshape(-1), np.arange(image[d])):
            current = _side_by_side(builder, current, d, made)
        else:
            current = _added(builder, current, d, made, positions)
        done = (*done, image[d])
    builder.reshape(current, output, "image")


def _window(node: ResolvedNode, kernel: Shape) -> Window:
    rank = len(kernel)
    pads = integers(node, "pads") or (0,) * (2 * rank)
    strides = integers(node, "strides") or (1,) * rank
    dilations = integers(node, "dilations") or (1,) * rank
    if {len(strides), len(dilations), len(pads) // 2} != {rank}:
        raise LoweringError(f"its window attributes do not fit {rank} spatial dimensions")
    return Window(kernel, strides, dilations, pads[:rank], pads[rank:])


def _counts(window: Window, image: Shape) -> Shape:
    """Number of blocks along every dimension."""
    if len(window.kernel) != len(image):
        raise LoweringError(f"blocks of {list(window.kernel)} do not fit an image {list(image)}")
    return tuple(
        (n + begin + end - d * (k - 1) - 1) // s + 1
        for n, begin, end, d, k, s in zip(
            image, window.pads_begin, window.pads_end, window.dilations, window.kernel,
            window.strides, strict=True,
        )
    )  # fmt: skip


def _positions(window: Window, d: int, count: int) -> np.ndarray:
    """Where element k of block l falls: [k, l]; outside the image where the padding is."""
    check_enumerable(window.kernel[d] * count, "elements of blocks")
    taps = window.dilations[d] * np.arange(window.kernel[d])[:, None]
    positions: np.ndarray = taps + window.strides[d] * np.arange(count) - window.pads_begin[d]
    return positions


def _side_by_side(builder: GraphBuilder, source: str, d: int, made: Shape) -> str:
    """(.. k .. l ..) to (.. (l k) ..)."""
    compose, rank = Composer(builder), len(builder.shape(source))
    k, block = 1 + d, 1 + d + (rank - 1 - d) // 2
    others = [axis for axis in range(k + 1, rank) if axis != block]
    moved = compose.transpose(f"moved{d}", source, (*range(k), block, k, *others))
    return compose.reshape(f"joined{d}", moved, made)


def _added(builder: GraphBuilder, source: str, d: int, made: Shape, positions: np.ndarray) -> str:
    """The product with the matrix of ones."""
    kind, shape = builder.element_type(source), (*positions.shape, made[1 + d])
    weight = builder.derived_weight(
        f"matrix{d}",
        shape,
        kind,
        lambda: (positions[..., None] == np.arange(made[1 + d])).astype(kind),
    )
    target = builder.temporary(f"added{d}", made, source)
    expression = _product(builder.shape(source), d, shape)
    builder.compute(f"add{d}", expression, (source, weight), target)
    return target


def _product(shape: Shape, d: int, matrix: Shape) -> TensorExpression:
    """All but this dimension's k and l are rows."""
    axes, rank = AxisList(), len(shape)
    first, block = 1 + d, 1 + d + (rank - 1 - d) // 2
    k = Dim(axes.add("k0", matrix[0], "k", reduction=True), matrix[0])
    m = Dim(axes.add("k1", matrix[1], "k", reduction=True), matrix[1])
    n = Dim(axes.add("n", matrix[2], "n"), matrix[2])
    dims = [
        {first: k, block: m}.get(axis) or Dim(axes.add(f"m{axis}", size, "m"), size)
        for axis, size in enumerate(shape)
    ]
    rows = [dim for axis, dim in enumerate(dims) if axis not in (first, block)]
    return product_expression(axes, tuple(dims), (k, m, n), (*rows[:first], n, *rows[first:]))
