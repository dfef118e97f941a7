"""LSTM, GRU and RNN, unrolled: one matmul for the input of all steps, then cells step by step.

    x = X * W + bias                     all steps and directions at once
    gates = h * R + x[step]              then, for every step,
    c = f(gates, c);  h = f(gates, c)

The two directions of a bidirectional operator are a batch of two: step s is time s forwards and
time steps - 1 - s backwards. Where sequences are shorter than the input, a mask keeps the state
beyond their end; going backwards that is the initial state, and so the reversal is of the sequence.
"""

from dataclasses import replace

import numpy as np

from t10c.onnx_import.attributes import LoweringError, argument, result
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import Shape, plain_dims
from t10c.onnx_import.lowering.dynamic_range import Codes
from t10c.onnx_import.lowering.elementwise import Argument, Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.recurrent_lane import Lane
from t10c.onnx_import.lowering.recurrent_node import (
    Recurrence,
    add_mask,
    check_operands,
    read_options,
    read_recurrence,
)
from t10c.onnx_import.lowering.recurrent_products import (
    Weights,
    input_expression,
    part,
    reshaped,
    with_gates,
)
from t10c.onnx_import.lowering.recurrent_quantised import (
    quantized_input,
    stored_weights,
    straightened,
)
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers("LSTM", "GRU", "RNN")
def lower_recurrent(builder: GraphBuilder, node: ResolvedNode) -> None:
    """One matmul for the input of all time steps, then each step a matmul and one or two cells."""
    _unroll(builder, node, node.op_type, Weights(node.inputs[1]), Weights(node.inputs[2]))


@lowers("DynamicQuantizeLSTM", domain=MICROSOFT)
def lower_quantized_lstm(builder: GraphBuilder, node: ResolvedNode) -> None:
    """An LSTM of 8-bit weights; its input, and its state before every step, are quantised."""
    _unroll(builder, node, "LSTM", *stored_weights(builder, node))


def _unroll(
    builder: GraphBuilder, node: ResolvedNode, kind: str, inputs: Weights, states: Weights
) -> None:
    """Lower a recurrent node of a kind with its weights for the input and for the state."""
    shape = builder.shape(states.tensor)
    if len(shape) != 3:
        raise LoweringError(f"its weights for the state are {list(shape)}: three dimensions needed")
    hidden = shape[1] if states.flipped else shape[2]
    sizes = read_recurrence(builder, node, kind, shape, hidden)
    check_operands(builder, node, sizes, states.flipped)
    inputs = with_gates(builder, "W", inputs, hidden)
    states = with_gates(builder, "R", states, hidden)
    options = read_options(node, sizes)
    linear = kind == "GRU" and options[0].linear_before_reset
    mask = add_mask(builder, node, sizes)
    source: str | Codes = node.inputs[0]
    order = ""
    if inputs.scale:
        source, order = quantized_input(builder, node, sizes, bool(mask))
        sizes = replace(sizes, turned=bool(order))
    projected = _project(builder, node, sizes, source, inputs, linear)
    alike = len(set(options)) == 1
    groups = [range(sizes.directions)] if alike else [range(d, d + 1) for d in (0, 1)]
    lanes = []
    for group in groups:
        lane = Lane(builder, sizes, options[group[0]], group, "" if alike else f"lane{group[0]}.")
        lane.prepare(node, states, linear)
        lane.run(projected, mask, bool(result(node, 0)))
        lanes.append(lane)
    times = [one for lane in lanes for one in lane.times]
    _deliver_sequence(builder, node, sizes, times, mask, order)
    for index, slot in ((1, "h"), (2, "c")):
        if result(node, index):
            finals = [lane.tensors[slot] for lane in lanes]
            _deliver_state(builder, result(node, index), finals, sizes, f"last_{slot}")


def _project(
    builder: GraphBuilder,
    node: ResolvedNode,
    sizes: Recurrence,
    source: str | Codes,
    weights: Weights,
    linear: bool,
) -> str:
    """X * W + bias of all steps [steps, directions, batch, gates, hidden], of X or its codes."""
    given, bias = node.inputs[0], argument(node, 3)
    shape = (sizes.steps, sizes.directions, sizes.batch, sizes.gates, sizes.hidden)
    projected = builder.temporary("x", shape, given)
    product = builder.temporary("product", shape, given) if bias else projected
    factors = weights.factors(source)
    expression = input_expression(builder, factors[0], weights, product, sizes.batchwise)
    builder.compute("", expression, factors, product)
    if bias:
        _, d, _, g, n = plain_dims(shape)
        terms = [Argument(t, (d, g, n)) for t in _biases(builder, bias, sizes, linear)]
        steps = [Step("Add", ("s0" if i else 0, i + 1)) for i in range(len(terms))]
        whole = broadcast(builder, product, projected)
        add_pointwise(builder, "bias", projected, [whole, *terms], steps)
    return projected


def _biases(builder: GraphBuilder, bias: str, sizes: Recurrence, linear: bool) -> list[str]:
    """What is added to the input's product: one weight, or two tensors where they are data.

    With `linear` the state's bias of the last gate is not part of it.
    """
    directions, gates, hidden = sizes.directions, sizes.gates, sizes.hidden
    kept, shape = (gates - 1 if linear else gates), (directions, gates, hidden)

    def total(value: np.ndarray) -> np.ndarray:
        summed = value[:, :gates].copy()
        summed[:, :kept] += value[:, gates : gates + kept]
        return summed

    split = reshaped(builder, "B", bias, (directions, 2 * gates, hidden))
    if builder.is_weight(bias):
        kind = builder.element_type(bias)
        return [builder.derived_weight("bias", shape, kind, total, (split,))]
    own = part(builder, "Wb", split, 1, 0, gates)
    other = part(builder, "Rb", split, 1, gates, kept)
    if linear:
        padded = builder.temporary("Rb.padded", shape, bias)
        builder.pad(other, padded, (0, 0, 0), "Rb.padded")
        other = padded
    return [own, other]


def _deliver_sequence(
    builder: GraphBuilder,
    node: ResolvedNode,
    sizes: Recurrence,
    times: list[list[str]],
    mask: str,
    order: str,
) -> None:
    """Y: the states of all times, joined; zero beyond the end of a sequence.

    `order` puts backward directions that are reversed sequence by sequence in the order of time.
    """
    output = result(node, 0)
    if not output:
        return
    shape = (sizes.steps, sizes.directions, sizes.batch, sizes.hidden)
    straight = builder.temporary("y", shape, output) if sizes.batchwise else output
    joined = builder.temporary("y.all", shape, output) if mask else straight
    turned = [bool(order) and away for away in sizes.backwards]
    if len(times) == 1 and not any(turned):
        builder.concat(times[0], joined, 0, "y.all")
    else:
        one = (sizes.steps, 1, sizes.batch, sizes.hidden)
        ways = [builder.temporary(f"y{d}", one, output) for d in range(len(times))]
        for direction, way in enumerate(ways):
            builder.concat(times[direction], way, 0, f"y{direction}")
            if turned[direction]:
                ways[direction] = straightened(builder, way, order, f"y{direction}")
        builder.concat(ways, joined, 1, "y.all")
    if mask:
        arguments = [broadcast(builder, tensor, straight) for tensor in (mask, joined)]
        add_pointwise(builder, "y.masked", straight, arguments, [Step("Where", (0, 1, "0.0"))])
    if sizes.batchwise:
        builder.transpose(straight, output, (2, 0, 1, 3), "y")


def _deliver_state(
    builder: GraphBuilder, output: str, finals: list[str], sizes: Recurrence, suffix: str
) -> None:
    """Y_h or Y_c: the last state of every direction."""
    shape: Shape = (sizes.directions, sizes.batch, sizes.hidden)
    state = finals[0]
    if len(finals) > 1:
        state = builder.temporary(f"{suffix}.all", (1, *shape), output)
        builder.concat(finals, state, 1, f"{suffix}.all")
    if not sizes.batchwise:
        return builder.reshape(state, output, suffix)
    straight = builder.temporary(suffix, shape, output)
    builder.reshape(state, straight, suffix)
    return builder.transpose(straight, output, (1, 0, 2), f"{suffix}.moved")
