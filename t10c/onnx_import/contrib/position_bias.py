"""com.microsoft: biases of attention scores by the distance of query and key."""

import math

import numpy as np

from t10c.onnx_import.contrib.heads import head_size, split_heads
from t10c.onnx_import.contrib.pieces import (
    positions,
    reduce,
    reshape,
    scalar,
    split,
    unsqueeze,
)
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands


@expands("RelativePositionBias", domain=MICROSOFT)
def expand_relative_position_bias(call: Expansion) -> None:
    """T5's bias: a row of a table for each bucket of distances; the distances are constants."""
    lengths = [call.value(index) for index in (1, 2)]
    if lengths[0] is None or lengths[1] is None:
        call.refuse("its lengths depend on data; make them constants")
    queries, keys = (int(length.reshape(-1)[0]) for length in lengths if length is not None)
    buckets, heads = call.shape(0)
    number = _buckets(
        np.arange(1 - queries, keys),
        bool(call.attribute("is_bidirectional", 0)),
        buckets,
        call.attribute("max_distance", 128),
    )
    columns = reshape(call, positions(call, keys, queries - 1), 1, keys)
    distance = call.add("Sub", [columns, reshape(call, positions(call, queries), queries, 1)])
    chosen = call.add("Gather", [call.array(number, "int64"), distance], axis=0)
    # the table's elements lie head by head, whatever its shape says
    table = reshape(call, call.input(0), heads, buckets)
    call.result(0, unsqueeze(call, call.add("Gather", [table, chosen], axis=1), 0))


def _buckets(distance: np.ndarray, both: bool, count: int, longest: int) -> np.ndarray:
    """The bucket of key position - query position: exact while near, then logarithmic."""
    first = np.zeros_like(distance)
    if both:
        count //= 2
        first = np.where(distance > 0, count, 0)
        distance = np.abs(distance)
    else:
        distance = np.maximum(-distance, 0)
    exact = count // 2
    octaves = np.log(np.maximum(distance, 1) / exact) / math.log(longest / exact)
    far = exact + (octaves.astype(np.float32) * (count - exact)).astype(np.int64)
    return first + np.where(distance < exact, distance, np.minimum(far, count - 1))


@expands("GatedRelativePositionBias", domain=MICROSOFT)
def expand_gated_relative_position_bias(call: Expansion) -> None:
    """A bias of positions times a gate that is computed from the queries."""
    if call.input(6):
        call.refuse("packed sequences (token_offset) are not supported")
    batch, length, hidden = call.shape(0)
    heads, width = call.attribute("num_heads", 0), call.shape(3)[1]
    size = head_size(call, hidden, heads)
    query = call.add("Add", [call.input(0), call.input(1)])
    query = split_heads(call, query, batch, heads, size)
    gates = call.add("MatMul", [query, call.input(3)])
    gates = call.add("Add", [gates, call.input(4)])
    pairs = reshape(call, gates, batch, heads, length, 2, width // 2)
    opened = call.add("Sigmoid", [reduce(call, "ReduceSum", pairs, 4, keepdims=0)])
    update, reset = split(call, opened, -1, [1, 1])
    one, two = scalar(call, 1.0), scalar(call, 2.0)
    gate = call.add("Sub", [call.add("Mul", [reset, call.input(5)]), one])
    gate = call.add("Add", [call.add("Mul", [update, gate]), two])
    call.result(0, call.add("Mul", [gate, call.input(2)]))
