"""Unrolling: directions of a recurrent node that run side by side, step by step."""

from collections.abc import Callable

import numpy as np

from t10c.ir.expression import TensorExpression
from t10c.onnx_import.attributes import argument
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dynamic_range import Codes, add_dynamic_codes
from t10c.onnx_import.lowering.elementwise import Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.recurrent_cells import (
    Cell,
    CellFunction,
    CellOptions,
    CellWriter,
    gru_hidden,
    gru_linear_hidden,
    gru_reset,
    lstm_hidden,
    lstm_memory,
    rnn_hidden,
)
from t10c.onnx_import.lowering.recurrent_node import Recurrence
from t10c.onnx_import.lowering.recurrent_products import Weights, part, state_expression
from t10c.onnx_import.resolved import ResolvedNode


class Lane:
    """Directions that run side by side, step by step; `tensors` has their state by slot."""

    def __init__(
        self,
        builder: GraphBuilder,
        sizes: Recurrence,
        options: CellOptions,
        group: range,
        prefix: str,
    ) -> None:
        self._builder = builder
        self._sizes = sizes
        self._options = options
        self._group = group
        self._prefix = prefix
        self._shape = (1, len(group), sizes.batch, sizes.hidden)
        self._weights: dict[str, Weights] = {}
        self._cells: dict[object, Cell] = {}
        self._products: dict[object, TensorExpression] = {}
        self._step = 0
        self._quantised = False
        self._live = ""
        self.tensors: dict[str, str] = {}
        self.times: list[list[str]] = [[""] * sizes.steps for _ in group]
        """Per direction, its h [1, 1, batch, hidden] by time."""

    def prepare(self, node: ResolvedNode, states: Weights, linear: bool) -> None:
        """Initial states and the weights that steps read."""
        builder = self._builder
        for index, slot in ((5, "h"), (6, "c")):
            if (index == 5 or self._sizes.kind == "LSTM") and argument(node, index):
                self._begin(argument(node, index), slot)
        first, count = self._group[0], len(self._group)

        def cut(tensor: str, label: str) -> str:
            return part(builder, f"{self._prefix}R.own{label}", tensor, 0, first, count)

        own = self._weights["R"] = states.mapped(cut)
        self._quantised = bool(own.scale)
        if self._sizes.kind == "GRU" and not linear:
            for slot, gate, length in (("R.zr", 0, 2), ("R.h", 2, 1)):
                name = part(builder, f"{self._prefix}{slot}", own.tensor, 1, gate, length)
                self._weights[slot] = Weights(name)
        if linear and argument(node, 3):
            self._columns("bias", argument(node, 3), 5)
        if self._sizes.kind == "LSTM" and argument(node, 7):
            for position, slot in enumerate(("peephole_i", "peephole_o", "peephole_f")):
                self._columns(slot, argument(node, 7), position)

    def _begin(self, tensor: str, slot: str) -> None:
        """The initial state as [1, directions, batch, hidden]; zero is none at all."""
        builder, sizes = self._builder, self._sizes
        known = builder.value(tensor)
        if known is not None and not np.any(known):
            return
        suffix = f"{self._prefix}initial_{slot}"
        shape = (sizes.directions, sizes.batch, sizes.hidden)
        if sizes.batchwise:
            moved = builder.temporary(f"{suffix}.moved", shape, tensor)
            builder.transpose(tensor, moved, (1, 0, 2), f"{suffix}.moved")
            tensor = moved
        state = builder.temporary(suffix, (1, *shape), tensor)
        builder.reshape(tensor, state, suffix)
        self.tensors[slot] = part(
            builder, f"{suffix}.own", state, 1, self._group[0], len(self._group)
        )

    def _columns(self, slot: str, tensor: str, position: int) -> None:
        """Columns number `position` of a tensor [directions, n * hidden], of this lane."""
        builder, hidden, suffix = self._builder, self._sizes.hidden, f"{self._prefix}{slot}"
        own = part(builder, f"{suffix}.own", tensor, 0, self._group[0], len(self._group))
        self.tensors[slot] = part(builder, suffix, own, 1, position * hidden, hidden)

    def run(self, projected: str, mask: str, wanted: bool) -> None:
        """Add all steps; `times` is filled if it is `wanted`.

        Where states are quantised together, a sequence that has ended counts as 0 if Y is wanted,
        and otherwise with its last state: this is what ONNX Runtime's kernel finds in its memory.
        """
        advance = _STEPS[self._sizes.kind]
        together = wanted and self._quantised and self._sizes.batch > 1
        for step in range(self._sizes.steps):
            self._step = step
            self.tensors["x"] = self._now("x", projected)
            if mask:
                self._live = self.tensors.get("mask", "") if together else ""
                self.tensors["mask"] = self._now("mask", mask)
            advance(self)
            if wanted:
                self._record()

    def _name(self, what: str) -> str:
        return f"{self._prefix}step{self._step}.{what}"

    def _now(self, what: str, source: str) -> str:
        """What each direction reads in this step of a tensor [steps, directions, ...].

        A tensor of one direction serves all.
        """
        builder = self._builder
        _, directions, *rest = builder.shape(source)
        parts = []
        for direction in self._group:
            suffix = self._name(what if len(self._group) == 1 else f"{what}{direction}")
            target = builder.temporary(suffix, (1, 1, *rest), source)
            starts = [self._sizes.time(self._step, direction), min(direction, directions - 1)]
            starts += [0] * len(rest)
            builder.slice(source, target, starts, (1,) * len(starts), suffix)
            parts.append(target)
        if len(parts) == 1:
            return parts[0]
        joined = builder.temporary(self._name(what), (1, len(parts), *rest), source)
        builder.concat(parts, joined, 1, self._name(what))
        return joined

    def _record(self) -> None:
        """Note the state as the output of each direction's time."""
        builder, state = self._builder, self.tensors["h"]
        for lane, direction in enumerate(self._group):
            piece = state
            if len(self._group) > 1:
                suffix = self._name(f"y{direction}")
                piece = builder.temporary(suffix, (1, 1, *self._shape[2:]), state)
                builder.slice(state, piece, (0, lane, 0, 0), (1, 1, 1, 1), suffix)
            self.times[lane][self._sizes.time(self._step, direction)] = piece

    def has(self, slot: str) -> bool:
        """Whether there is such a tensor: an initial state may be absent."""
        return slot in self.tensors

    def product(self, slot: str, state: str, weights: str, first: int | None = None) -> None:
        """slot = state * weights, plus this step's x from gate `first` on (None: without it)."""
        builder, own = self._builder, self._weights[weights]
        if weights not in self._products:
            gates = 0 if first is None else self._sizes.gates
            self._products[weights] = state_expression(builder, self._shape, own, first or 0, gates)
        expression = self._products[weights]
        left = self._codes(state) if own.scale else self.tensors[state]
        inputs = list(own.factors(left))
        if first is not None:
            inputs.append(self.tensors["x"])
        target = builder.temporary(
            self._name(slot), tuple(dim.size for dim in expression.output.dims), self.tensors["x"]
        )
        builder.compute(self._name(slot), expression, inputs, target)
        self.tensors[slot] = target

    def _codes(self, slot: str) -> Codes:
        """A state quantised by its range, each direction on its own."""
        builder, source = self._builder, self.tensors[slot]
        prefix = self._name(f"{slot}.")
        if self._live:
            kept = builder.temporary(f"{prefix}live", self._shape, source)
            arguments = [broadcast(builder, tensor, kept) for tensor in (self._live, source)]
            add_pointwise(builder, f"{prefix}live", kept, arguments, [Step("Where", (0, 1, "0.0"))])
            source = kept
        return add_dynamic_codes(builder, prefix, source, axis=1)

    def cell(self, slot: str, function: CellFunction) -> None:
        """slot = the cell, from the tensors at hand."""
        builder = self._builder
        shapes = {name: builder.shape(tensor) for name, tensor in self.tensors.items()}
        key = (slot, tuple(sorted(shapes.items())))
        if key not in self._cells:
            writer = CellWriter(self._shape, shapes)
            function(writer, self._options)
            self._cells[key] = writer.cell()
        made = self._cells[key]
        target = builder.temporary(self._name(slot), self._shape, self.tensors["x"])
        inputs = [self.tensors[name] for name in made.slots]
        builder.compute(self._name(slot), made.expression, inputs, target)
        self.tensors[slot] = target

    def alias(self, *slots: str) -> None:
        """Gates of a step without a state: the input's part is all there is."""
        for slot in slots:
            self.tensors[slot] = self.tensors["x"]

    @property
    def linear(self) -> bool:
        """Whether the reset gate works after the matmul."""
        return self._options.linear_before_reset


def _lstm_step(lane: Lane) -> None:
    if lane.has("h"):
        lane.product("gates", "h", "R", 0)
    else:
        lane.alias("gates")
    lane.cell("c", lstm_memory)
    lane.cell("h", lstm_hidden)


def _rnn_step(lane: Lane) -> None:
    if lane.has("h"):
        lane.product("gates", "h", "R", 0)
    else:
        lane.alias("gates")
    lane.cell("h", rnn_hidden)


def _gru_step(lane: Lane) -> None:
    if lane.linear:
        if lane.has("h"):
            lane.product("recurrent", "h", "R")
        return lane.cell("h", gru_linear_hidden)
    if lane.has("h"):
        lane.product("gates", "h", "R.zr", 0)
        lane.cell("reset", gru_reset)
        lane.product("candidate", "reset", "R.h", 2)
    else:
        lane.alias("gates", "candidate")
    return lane.cell("h", gru_hidden)


_STEPS: dict[str, Callable[[Lane], None]] = {
    "LSTM": _lstm_step,
    "GRU": _gru_step,
    "RNN": _rnn_step,
}
