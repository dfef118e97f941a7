"""DynamicQuantizeLSTM: weights of 8 bits, and an input and states that are quantised on the way.

X is quantised as a whole, before the first step, and h before every step, all samples of a
direction together: so does ONNX Runtime with one thread (several share out the samples, and each
quantises its own). Products are of integers; biases and cells are computed in floats.

Sequences that are shorter than the input end together with their batch: what lies beyond the
longest does not count for the range of X, and a backward direction begins with the last element of
every sequence. Its input and output are therefore reversed sequence by sequence.
"""

from dataclasses import replace

import numpy as np

from t10c.onnx_import.attributes import LoweringError, argument
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.lowering.builder import GraphBuilder, literal_text
from t10c.onnx_import.lowering.compose import Composer, Placed
from t10c.onnx_import.lowering.dynamic_range import Codes, add_dynamic_codes
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.lowering.recurrent_node import Recurrence, lstm_output_shapes
from t10c.onnx_import.lowering.recurrent_products import Weights
from t10c.onnx_import.lowering.reverse import add_reversal, reversing_order
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import infers
from t10c.onnx_import.resolved import ResolvedNode
from t10c.onnx_import.tensors import TensorFact

_WEIGHTS = ((1, 8), (2, 10))
"""Inputs of the weights and of their scales, which their zero points follow."""


@infers("DynamicQuantizeLSTM", domain=MICROSOFT)
def infer_quantized_lstm(call: Expansion) -> list[TensorFact]:
    """Y, Y_h and Y_c; the weights for the state are [directions, hidden, 4 * hidden]."""
    if len(call.shape(0)) != 3 or len(call.shape(2)) != 3:
        call.refuse("its input and its weights must have three dimensions")
    directions, hidden, _ = call.shape(2)
    kind = call.fact(0).element_type
    return [TensorFact(kind, s) for s in lstm_output_shapes(call.shape(0), hidden, directions)]


def stored_weights(builder: GraphBuilder, node: ResolvedNode) -> tuple[Weights, Weights]:
    """The weights for the input and for the state; LoweringError where a scale is missing."""
    if not (argument(node, 8) and argument(node, 10)):
        raise LoweringError("a scale of its weights is missing")
    inputs, states = (
        _with_zero_point(
            builder,
            Weights(node.inputs[index], flipped=True, scale=node.inputs[scale]),
            argument(node, scale + 1),
        )
        for index, scale in _WEIGHTS
    )
    return inputs, states


def _with_zero_point(builder: GraphBuilder, weights: Weights, point: str) -> Weights:
    """The weights with a zero point: a literal where it is known and the same everywhere."""
    known = builder.value(point)
    if not point:
        return weights
    if known is None or np.any(known != known.reshape(-1)[0]):
        return replace(weights, zero_point=point)
    return replace(weights, zero=literal_text(known.reshape(-1)[:1]))


def quantized_input(
    builder: GraphBuilder, node: ResolvedNode, sizes: Recurrence, masked: bool
) -> tuple[Codes, str]:
    """X quantised by its range, and which element a reversal of it reads, [steps, batch].

    `masked` says that sequences may be shorter than the input. Where backward directions are
    reversed, sequence by sequence, the codes are [directions, steps, batch, k]; else the second
    result is ''.
    """
    compose, source = Composer(builder), node.inputs[0]
    time = 1 if sizes.batchwise else 0
    if not masked:
        return add_dynamic_codes(builder, "x.", source), ""
    lengths = argument(node, 4)
    codes = add_dynamic_codes(builder, "x.", _within(builder, source, lengths, time))
    if sizes.batch == 1 or not any(sizes.backwards):
        return codes, ""
    plain = codes.tensor
    if sizes.batchwise:
        plain = compose.transpose("x.plain", plain, (1, 0, 2))
    shape = builder.shape(plain)
    order = reversing_order(builder, lengths, shape[:2], 0)
    turned = builder.temporary("x.turned", shape, plain)
    add_reversal(builder, plain, order, turned, 0, "x.turned")
    parts = [
        compose.reshape(f"x.direction{d}", turned if away else plain, (1, *shape))
        for d, away in enumerate(sizes.backwards)
    ]
    both = compose.concat("x.directions", parts, 0) if len(parts) > 1 else parts[0]
    return replace(codes, tensor=both), order


def straightened(builder: GraphBuilder, states: str, order: str, suffix: str) -> str:
    """States of a reversed direction [steps, 1, batch, hidden] in the order of time."""
    compose = Composer(builder)
    steps, _, batch, hidden = builder.shape(states)
    flat = compose.reshape(f"{suffix}.flat", states, (steps, batch, hidden))
    turned = builder.temporary(f"{suffix}.turned", (steps, batch, hidden), states)
    add_reversal(builder, flat, order, turned, 0, f"{suffix}.turned")
    return compose.reshape(f"{suffix}.straight", turned, (steps, 1, batch, hidden))


def _within(builder: GraphBuilder, source: str, lengths: str, time: int) -> str:
    """The input with zeros beyond the end of the longest sequence."""
    shape, steps = builder.shape(source), builder.shape(source)[time]
    known = builder.value(lengths)
    if known is not None and int(known.max(initial=0)) >= steps:
        return source
    compose, kind = Composer(builder), builder.element_type(lengths)
    times = compose.iota("x.times", steps, kind)
    if builder.is_weight(lengths):
        longest = builder.derived_weight(
            "x.longest", (1,), kind, lambda v: v.max(keepdims=True), (lengths,)
        )
    else:
        count = builder.shape(lengths)
        found = [Step("Identity", (0,))]
        longest = compose.reduce("x.longest", count, (0,), kind, [(lengths, (0,))], found, "max")
    within = [Step("Less", (0, 1)), Step("Where", ("s0", 2, "0.0"))]
    tensors: list[str | Placed] = [(times, (time,)), longest, source]
    return compose.pointwise("x.within", shape, builder.element_type(source), tensors, within)
