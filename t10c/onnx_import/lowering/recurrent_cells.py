"""Cells of recurrent operators: what a time step computes besides its matmuls.

A cell is one pointwise expression per tensor it produces. It reads gates out of tensors that hold
several, and leaves out what an absent state, bias or peephole would contribute.
States are [1, directions, batch, hidden], gates [1, directions, batch, gates, hidden].
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from t10c.ir.expression import Dim, Operand, Role, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import LoweringError
from t10c.onnx_import.lowering.dims import Shape, plain_axes, plain_dims
from t10c.onnx_import.lowering.elementwise import operand_letter

_PLAIN = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "tanh": "Tanh",
}
_SCALED = {
    "elu": ("Elu", 1.0),
    "leakyrelu": ("LeakyRelu", 0.01),
    "thresholdedrelu": ("ThresholdedRelu", 1.0),
}
"""Operators with an `alpha`, and its default."""

TAKE_ALPHA = frozenset({*_SCALED, "affine", "hardsigmoid", "scaledtanh"})
TAKE_BETA = frozenset({"affine", "hardsigmoid", "scaledtanh"})


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation function by its lower-case name; `alpha` and `beta` None where not given."""

    name: str
    alpha: float | None = None
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class CellOptions:
    """The attributes of a recurrent node that its cells depend on; `clip` 0 is none."""

    activations: tuple[Activation, ...]
    clip: float = 0.0
    input_forget: bool = False
    linear_before_reset: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A pointwise expression; `slots` says what each of its inputs is (`h`, `gates`, ...)."""

    expression: TensorExpression
    slots: tuple[str, ...]


CellFunction = Callable[["CellWriter", CellOptions], None]

Value = str | None
"""An operand, the result of a step, or a literal; None is zero and takes no step."""


class CellWriter:
    """Collects operands and steps of a cell; the last step's result is what it produces.

    `shapes` has the shape of every tensor at hand by slot; a slot that is not there is zero.
    """

    def __init__(self, output: Shape, shapes: Mapping[str, Shape]) -> None:
        self._output = output
        self._dims = plain_dims(output)
        self._shapes = shapes
        self._names: dict[tuple[str, tuple[Dim, ...]], str] = {}
        self._steps: list[ScalarStep] = []

    def state(self, slot: str) -> Value:
        """A tensor that broadcasts to the output."""
        return self._operand(slot, plain_dims(self._shapes[slot])) if self._has(slot) else None

    def weight(self, slot: str) -> Value:
        """A tensor [directions, hidden]."""
        return self._operand(slot, (self._dims[1], self._dims[3])) if self._has(slot) else None

    def gate(self, slot: str, index: int) -> Value:
        """Gate number `index`, from the end where negative."""
        if not self._has(slot):
            return None
        gates = self._shapes[slot][3]
        chosen = Dim((), gates, index % gates)
        return self._operand(slot, (*self._dims[:3], chosen, self._dims[3]))

    def step(self, op: str, *inputs: str, **attributes: float) -> str:
        """A scalar step; returns the name of its result."""
        self._steps.append(ScalarStep(op, inputs, tuple(sorted(attributes.items()))))
        return f"s{len(self._steps) - 1}"

    def add(self, left: Value, right: Value) -> Value:
        """left + right."""
        if left is None or right is None:
            return right if left is None else left
        return self.step("Add", left, right)

    def multiply(self, left: Value, right: Value) -> Value:
        """left * right."""
        return None if left is None or right is None else self.step("Mul", left, right)

    def activate(self, options: CellOptions, index: int, value: Value) -> str:
        """An activation function of a clipped gate."""
        inner = "0.0" if value is None else value
        if options.clip > 0:
            inner = self.step("Clip", inner, repr(-options.clip), repr(options.clip))
        return self.function(options.activations[index], inner)

    def function(self, activation: Activation, value: str) -> str:
        """An activation function; where not given, alpha and beta are those of its operator."""
        name, alpha, beta = activation.name, activation.alpha, activation.beta
        if name in _PLAIN:
            return self.step(_PLAIN[name], value)
        if name in _SCALED:
            op, default = _SCALED[name]
            return self.step(op, value, alpha=default if alpha is None else alpha)
        if name == "hardsigmoid":
            slope, shift = 0.2 if alpha is None else alpha, 0.5 if beta is None else beta
            return self.step("HardSigmoid", value, alpha=slope, beta=shift)
        if name == "affine":
            scaled = self.step("Mul", value, repr(1.0 if alpha is None else alpha))
            return self.step("Add", scaled, repr(beta)) if beta else scaled
        if name == "scaledtanh":
            inner = self.step("Mul", value, repr(1.0 if beta is None else beta))
            return self.step("Mul", self.step("Tanh", inner), repr(1.0 if alpha is None else alpha))
        raise LoweringError(f"the activation function {name} is not known")

    def keep(self, new: Value, old: Value) -> None:
        """End with the new state, or the old one where a sequence has ended."""
        if self._has("mask"):
            mask = self.state("mask")
            assert mask is not None
            assert new is not None
            self.step("Where", mask, new, "0.0" if old is None else old)

    def cell(self) -> Cell:
        """The finished expression."""
        roles: list[Role] = ["parallel"] * len(self._output)
        expression = TensorExpression(
            kernel="pointwise",
            axes=plain_axes(self._output, roles),
            inputs=tuple(Operand(name, dims) for (_, dims), name in self._names.items()),
            output=Operand("C", self._dims),
            body=tuple(self._steps),
        )
        return Cell(expression, tuple(slot for slot, _ in self._names))

    def _has(self, slot: str) -> bool:
        return slot in self._shapes

    def _operand(self, slot: str, dims: tuple[Dim, ...]) -> str:
        return self._names.setdefault((slot, dims), operand_letter(len(self._names)))


def lstm_memory(cell: CellWriter, options: CellOptions) -> None:
    """c = f * c + i * g of the gates i, o, f, g."""
    old = cell.state("c")
    peephole = cell.multiply(cell.weight("peephole_i"), old)
    entry = cell.activate(options, 0, cell.add(cell.gate("gates", 0), peephole))
    kept: Value = None
    if old is not None and options.input_forget:
        kept = cell.multiply(cell.step("Sub", "1.0", entry), old)
    elif old is not None:
        peephole = cell.multiply(cell.weight("peephole_f"), old)
        forget = cell.activate(options, 0, cell.add(cell.gate("gates", 2), peephole))
        kept = cell.multiply(forget, old)
    candidate = cell.activate(options, 1, cell.gate("gates", 3))
    cell.keep(cell.add(kept, cell.multiply(entry, candidate)), old)


def lstm_hidden(cell: CellWriter, options: CellOptions) -> None:
    """h = o * activation(c); runtimes clip gates only, so c is not clipped."""
    memory = cell.state("c")
    assert memory is not None
    peephole = cell.multiply(cell.weight("peephole_o"), memory)
    exit_gate = cell.activate(options, 0, cell.add(cell.gate("gates", 1), peephole))
    new = cell.multiply(exit_gate, cell.function(options.activations[2], memory))
    cell.keep(new, cell.state("h"))


def gru_reset(cell: CellWriter, options: CellOptions) -> None:
    """r * h, what the candidate's matmul reads."""
    reset = cell.activate(options, 0, cell.gate("gates", 1))
    cell.multiply(reset, cell.state("h"))


def gru_hidden(cell: CellWriter, options: CellOptions) -> None:
    """h = (1 - z) * candidate + z * h."""
    update = cell.activate(options, 0, cell.gate("gates", 0))
    _blend(cell, update, cell.activate(options, 1, cell.gate("candidate", -1)))


def gru_linear_hidden(cell: CellWriter, options: CellOptions) -> None:
    """The same where the reset gate scales the state's part of the candidate, after its matmul."""

    def gate(index: int) -> str:
        total = cell.add(cell.gate("x", index), cell.gate("recurrent", index))
        return cell.activate(options, 0, total)

    update = gate(0)
    inner = cell.add(cell.gate("recurrent", 2), cell.weight("bias"))
    inner = None if inner is None else cell.multiply(gate(1), inner)
    _blend(cell, update, cell.activate(options, 1, cell.add(cell.gate("x", 2), inner)))


def _blend(cell: CellWriter, update: str, candidate: str) -> None:
    old = cell.state("h")
    kept = cell.multiply(update, old)
    entering = cell.multiply(cell.step("Sub", "1.0", update), candidate)
    cell.keep(cell.add(entering, kept), old)


def rnn_hidden(cell: CellWriter, options: CellOptions) -> None:
    """h = activation(gates)."""
    cell.keep(cell.activate(options, 0, cell.gate("gates", 0)), cell.state("h"))
