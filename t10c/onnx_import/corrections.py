"""Shapes that onnx's inference gets wrong or does not check, after it has run."""

import math
from collections.abc import Sequence
from dataclasses import replace

import onnx
from onnx import NodeProto

from t10c.onnx_import.names import standard
from t10c.onnx_import.tensors import TensorFact, shape_text

_SAME_ELEMENTS = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
_POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})


def element_mismatch(node: NodeProto, source: TensorFact, result: TensorFact) -> str:
    """What is wrong with an operator that only relabels elements and has too many or too few; ''.

    onnx checks the count only where a size is left open.
    """
    if not standard(node.domain) or node.op_type not in _SAME_ELEMENTS:
        return ""
    if math.prod(source.shape) == math.prod(result.shape):
        return ""
    return (
        f"{shape_text(source.shape)} cannot become {shape_text(result.shape)}: "
        f"{math.prod(source.shape)} elements against {math.prod(result.shape)}"
    )


def without_windows_in_padding(
    node: NodeProto, source: TensorFact, result: TensorFact
) -> TensorFact:
    """The output of a pool without windows that begin behind the input and its leading padding.

    With ceil_mode the standard ignores them; onnx counts them before opset 22.
    """
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if not standard(node.domain) or node.op_type not in _POOLS or not attributes.get("ceil_mode"):
        return result
    rank = len(source.shape) - 2
    strides: Sequence[int] = attributes.get("strides") or (1,) * rank
    pads: Sequence[int] = attributes.get("pads") or (0,) * (2 * rank)
    if (
        len(strides) != rank
        or len(pads) != 2 * rank
        or attributes.get("auto_pad", b"NOTSET") != (b"NOTSET")
    ):
        return result
    spatial = tuple(
        n - 1 if n > 1 and (n - 1) * stride >= size + begin else n
        for n, size, stride, begin in zip(
            result.shape[2:], source.shape[2:], strides, pads[:rank], strict=True
        )
    )
    return replace(result, shape=(*result.shape[:2], *spatial))
