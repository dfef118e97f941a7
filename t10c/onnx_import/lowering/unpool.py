"""MaxUnpool: a scatter into zeros, at positions that count elements of the whole tensor."""

import math

import numpy as np

from t10c.onnx_import.attributes import LoweringError, integers
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.scatter_rows import Places, Rows, scatter_rows
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers("MaxUnpool")
def lower_max_unpool(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A scatter into zeros; each place of the output looks for the element that goes there."""
    compose, (data, indices), output = Composer(builder), node.inputs[:2], node.outputs[0]
    shape, target = builder.shape(data), builder.shape(output)
    kernel = integers(node, "kernel_shape") or ()
    rank = len(kernel)
    strides = integers(node, "strides") or (1,) * rank
    pads = integers(node, "pads") or (0,) * (2 * rank)
    spatial = (
        s * (n - 1) - begin - end + k
        for n, s, begin, end, k in zip(
            shape[2:], strides, pads[:rank], pads[rank:], kernel, strict=True
        )
    )
    # positions count elements of the smallest output, whatever larger one is asked for
    inner = (*shape[:2], *spatial)
    if any(size > n for size, n in zip(inner, target, strict=True)):
        raise LoweringError(f"its output {list(target)} is smaller than {list(inner)}")
    count, places = math.prod(shape), math.prod(inner)
    zero = compose.weight("zero", np.zeros((1, 1, 1), builder.element_type(data)))
    updates = compose.reshape("updates", data, (1, count, 1))
    at = compose.reshape("places", indices, (1, count, 1))
    background = builder.temporary("background", (1, places, 1), data)
    builder.expand(zero, background, "background")
    found = scatter_rows(builder, Rows(background, updates, Places((1, count, 1), at)), "none")
    whole = compose.reshape("inner", found, inner)
    around = compose.pad("around", whole, target)
    builder.reshape(around, output, "join")
