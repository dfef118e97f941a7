"""com.microsoft: activations and sums with a bias, softmax with a mask, dropout at inference."""

import math

import numpy as np
from onnx import numpy_helper

from t10c.ir.graph import NodeClass
from t10c.onnx_import.contrib.pieces import (
    reshape,
    scaled,
    silu,
    split,
    total,
)
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands


@expands("BiasGelu", domain=MICROSOFT)
def expand_bias_gelu(call: Expansion) -> None:
    """Gelu(a + bias)."""
    added = call.add("Add", [call.input(0), call.input(1)])
    call.result(0, call.add("Gelu", [added]))


@expands("Gelu", domain=MICROSOFT)
def expand_gelu(call: Expansion) -> None:
    """The standard's Gelu, by the error function."""
    call.result(0, call.add("Gelu", [call.input(0)]))


@expands("FastGelu", domain=MICROSOFT)
def expand_fast_gelu(call: Expansion) -> None:
    """Gelu(x + bias) in its approximation by tanh; the bias may be absent."""
    added = total(call, call.input(0), call.input(1))
    call.result(0, call.add("Gelu", [added], approximate="tanh"))


@expands("QuickGelu", domain=MICROSOFT)
def expand_quick_gelu(call: Expansion) -> None:
    """x * sigmoid(alpha * x), alpha being 1.702 unless given."""
    call.result(0, silu(call, call.input(0), call.attribute("alpha", 1.702)))


@expands("ScaledSiLU", domain=MICROSOFT)
def expand_scaled_silu(call: Expansion) -> None:
    """z * sigmoid(z) of z = scale * x."""
    source = call.input(0)
    if call.input(1):
        source = call.add("Mul", [source, call.add("CastLike", [call.input(1), source])])
    else:
        source = scaled(call, source, call.attribute("alpha", 1.0))
    call.result(0, silu(call, source))


@expands("BiasSplitGelu", domain=MICROSOFT)
def expand_bias_split_gelu(call: Expansion) -> None:
    """left * Gelu(right), the halves of x + bias along the last dimension."""
    width = call.shape(0)[-1]
    if width % 2:
        call.refuse(f"its last dimension {width} has no halves")
    added = call.add("Add", [call.input(0), call.input(1)])
    left, right = split(call, added, -1, [width // 2] * 2)
    call.result(0, call.add("Mul", [left, call.add("Gelu", [right])]))


@expands("BiasAdd", domain=MICROSOFT)
def expand_bias_add(call: Expansion) -> None:
    """x + bias + skip."""
    call.result(0, total(call, call.input(0), call.input(1), call.input(2)))


@expands("BiasSoftmax", domain=MICROSOFT)
def expand_bias_softmax(call: Expansion) -> None:
    """Softmax of data + bias over the dimensions from `axis` on, together."""
    shape = call.shape(0)
    rank, bias = len(shape), call.shape(1)
    axis = call.attribute("axis", 1) % rank
    if len(bias) < rank and call.attribute("is_inner_broadcast", 0):
        call.refuse("its bias must have as many dimensions as the data to broadcast inside")
    added = call.add("Add", [call.input(0), call.input(1)])
    if axis == rank - 1:
        call.result(0, call.add("Softmax", [added], axis=-1))
        return
    rows = reshape(call, added, math.prod(shape[:axis]), math.prod(shape[axis:]))
    call.result(0, reshape(call, call.add("Softmax", [rows], axis=-1), *shape))


@expands("BiasDropout", "BitmaskBiasDropout", domain=MICROSOFT)
def expand_bias_dropout(call: Expansion) -> None:
    """data + bias + residual: at inference nothing is dropped."""
    _check_inference(call, 4)
    call.result(0, total(call, call.input(0), call.input(1), call.input(2)))
    _deliver_mask(call)


@expands("BitmaskDropout", domain=MICROSOFT, node_class=NodeClass.LAYOUT_ONLY)
def expand_bitmask_dropout(call: Expansion) -> None:
    """Its input: at inference nothing is dropped."""
    _check_inference(call, 2)
    call.result(0, call.input(0))
    _deliver_mask(call)


def _check_inference(call: Expansion, index: int) -> None:
    """Refuse training, of which input `index` tells."""
    value = call.value(index)
    if call.input(index) and (value is None or value.any()):
        call.refuse("it drops elements at random (training_mode); export the model for inference")


def _deliver_mask(call: Expansion) -> None:
    """The mask of dropout: true for every element."""
    if not call.output(1):
        return
    if call.node.op_type.startswith("Bitmask"):
        call.refuse("its mask of packed bits is not supported")
    shape = call.array(call.shape(0), "int64", "shape")
    value = numpy_helper.from_array(np.array([True]))
    call.result(1, call.add("ConstantOfShape", [shape], value=value))
