"""Attention (opset 23): scores = Q * K^T, scale, mask, softmax, times V."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from t10c.ir.expression import Dim
from t10c.onnx_import.attributes import (
    LoweringError,
    argument,
    integer,
    number,
    result,
)
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.elementwise import Argument, Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.matmul import matmul_expression, product_expression
from t10c.onnx_import.lowering.rowwise import add_rowwise, softmax_steps
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@dataclass(frozen=True, slots=True)
class AttentionLengths:
    """Number of query positions, of key positions in all, and of keys from the cache."""

    queries: int
    keys: int
    past: int


def attention_lengths(
    node: ResolvedNode, shapes: Mapping[str, tuple[int, ...]]
) -> AttentionLengths:
    """The lengths of an Attention node from the shapes of its inputs."""
    queries, keys = shapes[node.inputs[0]][-2], shapes[node.inputs[1]][-2]
    cache = node.inputs[4] if len(node.inputs) > 4 else ""
    past = shapes[cache][-2] if cache else 0
    return AttentionLengths(queries, keys + past, past)


@lowers("Attention")
def lower_attention(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Scaled dot-product attention, with grouped queries and a key-value cache where present."""
    if result(node, 3) or argument(node, 6):
        raise LoweringError("qk_matmul_output and nonpad_kv_seqlen are not supported")
    if max(integer(node, f"{side}_window_size", -1) for side in ("left", "right")) >= 0:
        raise LoweringError("sliding windows are not supported")
    output = node.outputs[0]
    queries = _heads(builder, node.inputs[0], integer(node, "q_num_heads", 0), "q")
    keys, values = (_with_past(builder, node, index, name) for index, name in ((1, "k"), (2, "v")))
    groups = builder.shape(queries)[1] // builder.shape(keys)[1]
    scores = _scores(builder, node, _grouped(builder, queries, groups, "q"), keys)
    scores = _ungrouped(builder, scores, groups, "scores")
    weights = _weights(builder, node, scores)
    weights = _grouped(builder, weights, groups, "weights")
    left, right = builder.shape(weights), builder.shape(values)
    target = (*left[:-1], right[-1])
    packed = len(builder.shape(output)) == 3
    direct = groups == 1 and not packed
    mixed = output if direct else builder.temporary("mixed", target, output)
    builder.compute("mix", matmul_expression(left, right), (weights, values), mixed)
    if not direct:
        _deliver(builder, mixed, output, groups, packed)


def _heads(builder: GraphBuilder, tensor: str, heads: int, name: str) -> str:
    """The tensor as [batch, heads, positions, size]; 3-D inputs hold heads * size together."""
    shape = builder.shape(tensor)
    if len(shape) == 4:
        return tensor
    if not heads or shape[2] % heads:
        raise LoweringError(f"{heads} heads do not fit its {name} input {list(shape)}")
    batch, positions, hidden = shape
    size = hidden // heads
    split = builder.temporary(f"{name}.split", (batch, positions, heads, size), tensor)
    moved = builder.temporary(f"{name}.heads", (batch, heads, positions, size), tensor)
    builder.reshape(tensor, split, f"{name}.split")
    builder.transpose(split, moved, (0, 2, 1, 3), f"{name}.heads")
    return moved


def _with_past(builder: GraphBuilder, node: ResolvedNode, index: int, name: str) -> str:
    """Keys or values as heads, behind the cached ones; also delivered as `present_...`."""
    new = _heads(builder, node.inputs[index], integer(node, "kv_num_heads", 0), name)
    past, present = argument(node, index + 3), result(node, index)
    if past:
        batch, heads, positions, size = builder.shape(new)
        total = (batch, heads, positions + builder.shape(past)[2], size)
        joined = present or builder.temporary(f"{name}.all", total, new)
        builder.concat((past, new), joined, 2, f"{name}.all")
        return joined
    if present:
        builder.reshape(new, present, f"{name}.present")
    return new


def _grouped(builder: GraphBuilder, tensor: str, groups: int, name: str) -> str:
    """Query heads that share a key head become rows of one matmul: a relabelling."""
    if groups == 1:
        return tensor
    batch, heads, rows, columns = builder.shape(tensor)
    shape = (batch, heads // groups, groups * rows, columns)
    joined = builder.temporary(f"{name}.grouped", shape, tensor)
    builder.reshape(tensor, joined, f"{name}.grouped")
    return joined


def _ungrouped(builder: GraphBuilder, tensor: str, groups: int, name: str) -> str:
    if groups == 1:
        return tensor
    batch, heads, rows, columns = builder.shape(tensor)
    shape = (batch, heads * groups, rows // groups, columns)
    split = builder.temporary(f"{name}.heads", shape, tensor)
    builder.reshape(tensor, split, f"{name}.heads")
    return split


def _scores(builder: GraphBuilder, node: ResolvedNode, queries: str, keys: str) -> str:
    """Q * K^T (K is read transposed by its dimensions), scaled, then capped if asked."""
    left, right = builder.shape(queries), builder.shape(keys)
    batch, heads, rows, depth = left
    columns = right[2]
    axes = AxisList()
    b = Dim(axes.add("b0", batch, "batch"), batch)
    h = Dim(axes.add("b1", heads, "batch"), heads)
    m = Dim(axes.add("m", rows, "m"), rows)
    n = Dim(axes.add("n", columns, "n"), columns)
    k = Dim(axes.add("k", depth, "k", reduction=True), depth)
    expression = product_expression(axes, (b, h, m, k), (b, h, n, k), (b, h, m, n))
    shape: Shape = (batch, heads, rows, columns)
    product = builder.temporary("product", shape, queries)
    builder.compute("", expression, (queries, keys), product)
    steps = [Step("Mul", (0, repr(number(node, "scale", 1.0 / math.sqrt(depth)))))]
    cap = number(node, "softcap", 0.0)
    if cap > 0:
        steps += [
            Step("Div", ("s0", repr(cap))),
            Step("Tanh", ("s1",)),
            Step("Mul", ("s2", repr(cap))),
        ]
    scores = builder.temporary("scores", shape, queries)
    add_pointwise(builder, "scale", scores, [broadcast(builder, product, scores)], steps)
    return scores


def _weights(builder: GraphBuilder, node: ResolvedNode, scores: str) -> str:
    """Masked softmax over the keys; a row without any key yields zeros."""
    shape = builder.shape(scores)
    mask, causal = argument(node, 3), bool(integer(node, "is_causal", 0))
    if mask and builder.shape(mask)[-1] not in (1, shape[-1]):
        raise LoweringError("a mask shorter than the keys is not supported")
    current = scores
    if mask:
        masked = builder.temporary("masked", shape, scores)
        arguments = [broadcast(builder, current, masked), broadcast(builder, mask, masked)]
        select = Step("Where", (1, 0, "-inf"))
        step = select if builder.element_type(mask) == "bool" else Step("Add", (0, 1))
        add_pointwise(builder, "mask", masked, arguments, [step])
        current = masked
    if causal:
        current = _causal(builder, node, current)
    softmax = builder.temporary("softmax", shape, scores)
    add_rowwise(builder, "softmax", current, softmax, (3,), softmax_steps())
    if not mask and not causal:
        return softmax
    weights = builder.temporary("weights", shape, scores)
    steps = [Step("IsNaN", (0,)), Step("Where", ("s0", "0", 0))]
    add_pointwise(builder, "guard", weights, [broadcast(builder, softmax, weights)], steps)
    return weights


def _causal(builder: GraphBuilder, node: ResolvedNode, scores: str) -> str:
    """Scores plus a constant mask of 0 and -inf."""
    shape = builder.shape(scores)
    inputs = {name: builder.shape(name) for name in node.inputs if name}
    lengths = attention_lengths(node, inputs)
    extent = (lengths.queries, lengths.keys)
    kind = builder.element_type(scores)
    mask = builder.derived_weight(
        "causal_mask", extent, kind, lambda: _causal_mask(lengths).astype(kind)
    )
    masked = builder.temporary("causal", shape, scores)
    arguments: list[Argument] = [
        broadcast(builder, scores, masked),
        broadcast(builder, mask, masked),
    ]
    add_pointwise(builder, "causal", masked, arguments, [Step("Add", (0, 1))])
    return masked


def _causal_mask(lengths: AttentionLengths) -> np.ndarray:
    """0 where query q may see key k (k <= q + past), else -inf."""
    visible = np.tri(lengths.queries, lengths.keys, lengths.past, dtype=bool)
    return np.where(visible, 0.0, -np.inf)


def _deliver(builder: GraphBuilder, mixed: str, output: str, groups: int, packed: bool) -> None:
    """[batch, key heads, rows, size] to the output's shape."""
    batch, heads, rows, size = builder.shape(mixed)
    full = (batch, heads * groups, rows // groups, size)
    if groups > 1:
        split = builder.temporary("mixed.heads", full, mixed) if packed else output
        builder.reshape(mixed, split, "mixed.heads")
        mixed = split
    if packed:
        moved = (full[0], full[2], full[1], full[3])
        joined = builder.temporary("mixed.moved", moved, mixed)
        builder.transpose(mixed, joined, (0, 2, 1, 3), "mixed.moved")
        builder.reshape(joined, output, "mixed.join")
