"""Operators that the standard took back and defined anew: the old form as nodes of the new one."""

import math

from onnx import NodeProto

from t10c.errors import InvalidInputError
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import describe
from t10c.onnx_import.tensors import shape_text

_FIRST, _SUPERSEDED = 18, 21


def is_superseded(node: NodeProto, opset: int) -> bool:
    """Whether onnx knows an operator of this opset as deprecated, and would not infer it."""
    if not _FIRST <= opset < _SUPERSEDED:
        return False
    return node.op_type == "GroupNormalization" and node.domain == ""


def expand_superseded(call: Expansion) -> None:
    """GroupNormalization before opset 21: its scale and bias are one number per group.

    Raises InvalidInputError where their shapes, or the groups, do not fit.
    """
    shape, groups = call.shape(0), call.attribute("num_groups", 0)
    if len(shape) < 2 or groups < 1 or shape[1] % groups:
        raise InvalidInputError(
            f"{describe(call.node)}: an input {shape_text(shape)} does not form {groups} groups "
            "of channels\ncorrect num_groups, or export the model again"
        )
    affine = [_per_channel(call, index, groups, shape[1]) for index in (1, 2)]
    options = {"num_groups": groups, "epsilon": call.attribute("epsilon", 1e-5)}
    call.result(0, call.add("GroupNormalization", [call.input(0), *affine], None, **options))


def _per_channel(call: Expansion, index: int, groups: int, channels: int) -> str:
    """Every number of input `index` as often as a group has channels."""
    shape, what = call.shape(index), ("scale", "bias")[index - 1]
    if math.prod(shape) != groups or len(shape) != 1:
        raise InvalidInputError(
            f"{describe(call.node)}: its {what} is {shape_text(shape)}, but before opset "
            f"{_SUPERSEDED} it has one number for each of the {groups} groups\n"
            f"export the model with opset {_SUPERSEDED} or newer, where it has one per channel"
        )
    column = call.add("Reshape", [call.input(index), call.array([groups, 1], "int64")])
    wide = call.add("Expand", [column, call.array([groups, channels // groups], "int64")])
    return call.add("Reshape", [wide, call.array([channels], "int64")])
