"""The largest shapes that outputs can have where their shape depends on data."""

import math
from collections.abc import Sequence

import numpy as np
from onnx import NodeProto

from t10c.onnx_import.names import standard
from t10c.onnx_import.tensors import OpenFact, TensorFact

Facts = Sequence[TensorFact | None]


def largest_outputs(node: NodeProto, facts: Facts) -> list[OpenFact]:
    """The largest shape of each output, in order; fewer entries where there is no bound.

    The facts are those of the node's inputs. Element types are left open.
    """
    if not standard(node.domain) or not facts or facts[0] is None:
        return []
    first = facts[0].shape
    match node.op_type:
        case "NonZero":
            return [OpenFact(0, (len(first), math.prod(first)))]
        case "NonMaxSuppression":
            return _boxes(facts)
        case "Unique":
            return _unique(node, first)
        case "Compress":
            return [OpenFact(0, _compressed(node, facts))]
        case "TopK":
            return [OpenFact(0, first), OpenFact(0, first)]
        case "Slice":
            return [OpenFact(0, first)]
    return []


def is_exact(node: NodeProto, facts: Facts) -> bool:
    """Whether the largest output is the only one: a known condition says what Compress keeps."""
    condition = facts[1] if node.op_type == "Compress" and len(facts) > 1 else None
    return standard(node.domain) and condition is not None and condition.value is not None


def _boxes(facts: Facts) -> list[OpenFact]:
    """Every class of every batch may keep all boxes, or as many as it is allowed."""
    scores, allowed = (facts[i] if i < len(facts) else None for i in (1, 2))
    if scores is None or len(scores.shape) != 3:
        return []
    batches, classes, boxes = scores.shape
    if allowed is not None and allowed.value is not None and allowed.value.size == 1:
        boxes = min(boxes, max(0, int(allowed.value.reshape(()))))
    return [OpenFact(0, (batches * classes * boxes, 3))]


def _unique(node: NodeProto, shape: tuple[int, ...]) -> list[OpenFact]:
    """All elements, or all slices along the axis, may differ."""
    axis = _axis(node, len(shape))
    if axis is None:
        return [OpenFact(0, (math.prod(shape),))] * 4
    return [OpenFact(0, shape), *[OpenFact(0, (shape[axis],))] * 3]


def _compressed(node: NodeProto, facts: Facts) -> tuple[int, ...] | None:
    """At most as many slices as the condition has entries."""
    source, condition = facts[0], facts[1] if len(facts) > 1 else None
    if source is None or condition is None:
        return None
    entries = math.prod(condition.shape)
    if condition.value is not None:
        entries = int(np.count_nonzero(condition.value))
    axis = _axis(node, len(source.shape))
    if axis is None:
        return (min(entries, math.prod(source.shape)),)
    kept = min(entries, source.shape[axis])
    return (*source.shape[:axis], kept, *source.shape[axis + 1 :])


def _axis(node: NodeProto, rank: int) -> int | None:
    """The node's axis from the front; None if it has none that exists."""
    axis = next((a.i for a in node.attribute if a.name == "axis"), None)
    return axis % rank if axis is not None and -rank <= axis < rank else None
