"""What a recurrent node says: sizes, directions, activation functions, lengths of sequences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from t10c.onnx_import.attributes import LoweringError, argument, integer, number, text
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import Shape, plain_dims
from t10c.onnx_import.lowering.elementwise import Argument, Step, add_pointwise
from t10c.onnx_import.lowering.recurrent_cells import (
    TAKE_ALPHA,
    TAKE_BETA,
    Activation,
    CellOptions,
)
from t10c.onnx_import.resolved import ResolvedNode

STEP_LIMIT = 1024
"""Most time steps that are unrolled: the operators of every step are planned one by one."""

_DEFAULTS = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
    "RNN": ("Tanh",),
}
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_BACKWARDS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Sizes of a recurrent node; `batchwise` is layout 1, `backwards` is per direction.

    With `turned` what a backward direction reads is reversed already, sequence by sequence.
    """

    kind: str
    steps: int
    batch: int
    hidden: int
    backwards: tuple[bool, ...]
    batchwise: bool
    turned: bool = False

    @property
    def directions(self) -> int:
        """Number of directions."""
        return len(self.backwards)

    @property
    def gates(self) -> int:
        """Number of gates."""
        return _GATES[self.kind]

    def time(self, step: int, direction: int) -> int:
        """The time that a direction is at in a step."""
        away = self.backwards[direction] and not self.turned
        return self.steps - 1 - step if away else step


def lstm_output_shapes(
    x: Sequence[int], hidden: int, directions: int, batchwise: bool = False
) -> tuple[Shape, Shape, Shape]:
    """Shapes of Y, Y_h and Y_c for an input of shape `x`; `batchwise` is layout 1."""
    if batchwise:
        batch, steps = x[0], x[1]
        state = (batch, directions, hidden)
        return (batch, steps, directions, hidden), state, state
    steps, batch = x[0], x[1]
    state = (directions, batch, hidden)
    return (steps, directions, batch, hidden), state, state


def read_recurrence(
    builder: GraphBuilder, node: ResolvedNode, kind: str, weights: Shape, hidden: int
) -> Recurrence:
    """The sizes of a node; LoweringError where they do not fit or are too many to unroll."""
    direction = text(node, "direction", "forward").lower()
    backwards = _BACKWARDS.get(direction)
    source = builder.shape(node.inputs[0])
    if backwards is None or len(source) != 3 or weights[0] != len(backwards) or hidden < 1:
        raise LoweringError(
            f"an input {list(source)} and weights {list(weights)} do not fit {direction!r}"
        )
    batchwise = bool(integer(node, "layout", 0))
    batch, steps = source[:2] if batchwise else source[1::-1]
    if 0 in source:
        raise LoweringError("its input has no elements")
    if steps > STEP_LIMIT:
        raise LoweringError(
            f"it has {steps} time steps, more than the {STEP_LIMIT} that are unrolled: "
            "bind a shorter sequence"
        )
    return Recurrence(kind, steps, batch, hidden, backwards, batchwise)


def check_operands(
    builder: GraphBuilder, node: ResolvedNode, sizes: Recurrence, flipped: bool
) -> None:
    """Raise LoweringError if an operand does not have the shape that the sizes ask for.

    `flipped` is for `DynamicQuantizeLSTM`, which has columns last and scales at the end.
    """
    directions, columns = sizes.directions, sizes.gates * sizes.hidden
    state: Shape = (directions, sizes.batch, sizes.hidden)
    if sizes.batchwise:
        state = (sizes.batch, directions, sizes.hidden)
    wanted: dict[int, Shape] = {
        3: (directions, 2 * columns),
        4: (sizes.batch,),
        5: state,
        6: state,
        7: (directions, 3 * sizes.hidden),
    }
    for index, depth in ((1, builder.shape(node.inputs[0])[2]), (2, sizes.hidden)):
        last = (depth, columns) if flipped else (columns, depth)
        wanted[index] = (directions, *last)
    for index, shape in wanted.items():
        tensor = argument(node, index)
        if tensor and builder.shape(tensor) != shape:
            raise LoweringError(
                f"its input {index} is {list(builder.shape(tensor))}, not {list(shape)}"
            )
    for tensor in node.inputs[8:]:
        found = builder.shape(tensor) if tensor else ()
        if found not in ((), (directions,), (directions, columns)):
            raise LoweringError(f"a scale or zero point is {list(found)}, not per gate column")


def read_options(node: ResolvedNode, sizes: Recurrence) -> tuple[CellOptions, ...]:
    """What the cells of each direction do."""
    count = len(_DEFAULTS[sizes.kind])
    given = cast(Sequence[str | bytes], node.attributes.get("activations") or ())
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in given]
    if not names:
        names = list(_DEFAULTS[sizes.kind]) * sizes.directions
    if len(names) != count * sizes.directions:
        raise LoweringError(f"{len(names)} activation functions do not fit its directions")
    alphas = _numbers(node, "activation_alpha")
    betas = _numbers(node, "activation_beta")
    found = [
        Activation(
            name,
            next(alphas, None) if name in TAKE_ALPHA else None,
            next(betas, None) if name in TAKE_BETA else None,
        )
        for name in map(str.lower, names)
    ]
    return tuple(
        CellOptions(
            activations=tuple(found[d * count : (d + 1) * count]),
            clip=number(node, "clip", 0.0),
            input_forget=bool(integer(node, "input_forget", 0)),
            linear_before_reset=bool(integer(node, "linear_before_reset", 0)),
        )
        for d in range(sizes.directions)
    )


def _numbers(node: ResolvedNode, name: str) -> Iterator[float]:
    """Values that the activation functions that need one take in turn."""
    return map(float, cast(Sequence[float], node.attributes.get(name) or ()))


def add_mask(builder: GraphBuilder, node: ResolvedNode, sizes: Recurrence) -> str:
    """Which times [steps, 1, batch, 1] belong to a sequence; '' where every sequence is full."""
    lengths, steps = argument(node, 4), sizes.steps
    known = builder.value(lengths)
    if not lengths or (known is not None and np.all(known >= steps)):
        return ""
    shape = (steps, 1, sizes.batch, 1)

    def mask(value: np.ndarray) -> np.ndarray:
        return np.arange(steps).reshape(-1, 1, 1, 1) < value.reshape(1, 1, -1, 1)

    if builder.is_weight(lengths):
        return builder.derived_weight("mask", shape, "bool", mask, (lengths,))
    kind = builder.element_type(lengths)
    times = builder.derived_weight("times", (steps,), kind, lambda: np.arange(steps, dtype=kind))
    found = builder.new_tensor(f"{builder.node}.mask", shape, "bool")
    t, _, b, _ = plain_dims(shape)
    arguments = [Argument(times, (t,)), Argument(lengths, (b,))]
    add_pointwise(builder, "mask", found, arguments, [Step("Less", (0, 1))])
    return found
