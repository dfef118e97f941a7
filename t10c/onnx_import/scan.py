"""`Scan` as a loop of known length over slices of its inputs."""

from collections.abc import Mapping, Sequence

import onnx
from onnx import NodeProto

from t10c.onnx_import.build import Names, NodeBuilder
from t10c.onnx_import.inline import (
    ITERATION_LIMIT,
    LoopRun,
    NotInlinableError,
    body_of,
    too_many_iterations,
)
from t10c.onnx_import.names import NEWEST_DOMAIN
from t10c.onnx_import.tensors import TensorFact

_BATCHED_OPSET = 8
"""The opset whose Scan has a batch dimension, and an input of sequence lengths."""


def start_scan(
    node: NodeProto, facts: Mapping[str, TensorFact], names: Names
) -> tuple[NodeBuilder, LoopRun]:
    """A Scan of opset 9 or later before its first iteration, and the nodes that slice its inputs.

    Raises NotInlinableError if it is malformed.
    """
    body = body_of(node)
    count = _integer(node, "num_scan_inputs")
    states = len(node.input) - count
    scans = len(body.output) - states
    if count < 1 or states < 0 or scans < 0 or len(body.input) != len(node.input):
        raise NotInlinableError("its body does not match its inputs")
    if len(node.output) > len(body.output) or not all(node.input):
        raise NotInlinableError("its body does not match its outputs")
    builder = NodeBuilder(node.name, names)
    axes = _list(node, "scan_input_axes", count)
    directions = _list(node, "scan_input_directions", count)
    feeds = [
        _slices(builder, name, facts[name].shape, axis, bool(backward))
        for name, axis, backward in zip(node.input[states:], axes, directions, strict=True)
    ]
    lengths = {len(feed) for feed in feeds}
    if len(lengths) > 1:
        raise NotInlinableError(f"its scan inputs are of different lengths: {sorted(lengths)}")
    run = LoopRun(
        node,
        lengths.pop(),
        "",
        tuple(node.input[:states]),
        ((),) * scans,
        feeds=tuple(feeds),
        axes=_list(node, "scan_output_axes", scans),
        backward=tuple(map(bool, _list(node, "scan_output_directions", scans))),
    )
    return builder, run


def is_batched(node: NodeProto, opset: int) -> bool:
    """Whether a Scan is one of opset 8."""
    return opset == _BATCHED_OPSET and node.domain != NEWEST_DOMAIN


def split_batch(node: NodeProto, facts: Mapping[str, TensorFact], names: Names) -> NodeBuilder:
    """A Scan of opset 8 as one of opset 9 per element of the batch, their outputs stacked.

    Raises NotInlinableError if it is malformed, or its sequences are not all of full length.
    """
    lengths, *operands = node.input
    count = _integer(node, "num_scan_inputs")
    if not all(operands):
        raise NotInlinableError("one of its inputs is missing")
    shapes = [facts[name].shape for name in operands]
    scanned = shapes[len(operands) - count :]
    if not operands or not 1 <= count <= len(operands) or not all(shapes):
        raise NotInlinableError("its body does not match its inputs")
    if any(len(shape) < 2 for shape in scanned) or len({shape[0] for shape in shapes}) > 1:
        raise NotInlinableError("its inputs do not have the same batch dimension")
    if lengths:
        value = facts[lengths].value
        if value is None or any(int(n) != scanned[0][1] for n in value.reshape(-1)):
            raise NotInlinableError("its sequences are not all of the full length")
    builder = NodeBuilder(node.name, names)
    parts = [_slices(builder, o, s, 0, False) for o, s in zip(operands, shapes, strict=True)]
    results = [
        _element(builder, node, [part[index] for part in parts], count)
        for index in range(shapes[0][0])
    ]
    if not results:
        raise NotInlinableError("its batch is empty")
    stacks = [
        _stack(builder, [result[i] for result in results]) if node.output[i] else ""
        for i in range(len(node.output))
    ]
    builder.deliver(stacks, node.output)
    return builder


def _element(
    builder: NodeBuilder, node: NodeProto, operands: Sequence[str], count: int
) -> list[str]:
    """The Scan of one element of the batch; returns its outputs."""
    outputs = builder.new_tensors("element", len(node.output))
    attributes: dict[str, object] = {"body": body_of(node), "num_scan_inputs": count}
    directions = _list(node, "directions", count)
    builder.add("Scan", operands, outputs, scan_input_directions=list(directions), **attributes)
    builder.nodes[-1].domain = NEWEST_DOMAIN
    return outputs


def _stack(builder: NodeBuilder, items: Sequence[str]) -> str:
    rows = [builder.with_list("Unsqueeze", item, "axes", [0]) for item in items]
    return builder.add("Concat", rows, axis=0)


def _slices(
    builder: NodeBuilder, source: str, shape: tuple[int, ...], axis: int, backward: bool
) -> tuple[str, ...]:
    """The slices of a tensor along an axis, which they lack."""
    if not -len(shape) <= axis < len(shape):
        raise NotInlinableError(f"'{source}' does not have the axis {axis} to scan")
    length = shape[axis]
    if length > ITERATION_LIMIT:
        raise too_many_iterations(f"it runs {length} times")
    if length == 0:
        return ()
    parts = [source]
    if length > 1:
        parts = builder.new_tensors("slice", length)
        builder.with_list("Split", source, "split", [1] * length, parts, axis=axis)
    found = [builder.with_list("Squeeze", part, "axes", [axis]) for part in parts]
    return tuple(found[::-1] if backward else found)


def _integer(node: NodeProto, name: str) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), 0)


def _list(node: NodeProto, name: str, count: int) -> tuple[int, ...]:
    """A list attribute of `count` entries, all 0 if it is absent."""
    found = next((a for a in node.attribute if a.name == name), None)
    values = tuple(onnx.helper.get_attribute_value(found)) if found is not None else (0,) * count
    if len(values) != count or not all(isinstance(value, int) for value in values):
        raise NotInlinableError(f"its attribute '{name}' does not have {count} entries")
    return values
