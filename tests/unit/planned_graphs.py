"""Small graphs of planned operators, written without ONNX, and small chips to plan them for."""

import math
from dataclasses import replace

from t10c.hardware.load import load_spec
from t10c.hardware.spec import HardwareSpec, ShiftBuffer
from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.ir.graph import Graph, LayoutOp, Operator, Tensor, with_widths
from t10c.search.templates import named_expression


def chip(
    cores: int = 16, kib: float = 16, buffer_bytes: int = 256, policy: str = "fixed"
) -> HardwareSpec:
    """An IPU with few, small cores."""
    return replace(
        load_spec("ipu-mk2"),
        core_count=cores,
        sram_bytes=int(kib * 1024),
        shift_buffer=ShiftBuffer(policy, buffer_bytes),
    )


def relu(shape: tuple[int, ...]) -> TensorExpression:
    """One pointwise input."""
    axes = tuple(Axis(f"d{i}", n, "parallel") for i, n in enumerate(shape))
    dims = tuple(Dim(((a.name, 1),), a.length) for a in axes)
    inputs = (Operand("A", dims),)
    return TensorExpression(
        "pointwise", axes, inputs, Operand("C", dims), (ScalarStep("Relu", ("A",)),)
    )


def fallback(
    output: tuple[int, ...], *inputs: tuple[int, ...], passes: int = 0
) -> TensorExpression:
    """An operator with axes of its own for every dimension of every operand."""
    axes: list[Axis] = []

    def operand(name: str, shape: tuple[int, ...]) -> Operand:
        own = [Axis(f"{name}{i}", n, "whole") for i, n in enumerate(shape)]
        axes.extend(own)
        return Operand(name, tuple(Dim(((a.name, 1),), a.length) for a in own))

    operands = tuple(operand(f"I{i}", shape) for i, shape in enumerate(inputs))
    made = operand("C", output)
    attributes = (("passes", passes),) if passes else ()
    step = ScalarStep("NonZero", tuple(o.name for o in operands), attributes)
    return TensorExpression("fallback", tuple(axes), operands, made, (step,))


class GraphWriter:
    """Collects operators in execution order; every method returns the name of what it makes."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator | LayoutOp] = []

    def tensor(
        self, name: str, *shape: int, kind: str = "activation", element_type: str = "float32"
    ) -> str:
        """A tensor, once."""
        self.tensors.setdefault(name, Tensor(name, shape, element_type, kind))
        return name

    def input(self, name: str, *shape: int, element_type: str = "float32") -> str:
        """A graph input."""
        return self.tensor(name, *shape, kind="input", element_type=element_type)

    def weight(self, name: str, *shape: int, element_type: str = "float32") -> str:
        """A weight."""
        return self.tensor(name, *shape, kind="weight", element_type=element_type)

    def apply(self, output: str, expression: TensorExpression, *inputs: str) -> str:
        """An operator with a given expression."""
        shape = tuple(dim.size for dim in expression.output.dims)
        self.tensor(output, *shape)
        self.operators.append(
            Operator(f"op_{output}", expression.kernel, expression, inputs, output, ())
        )
        return output

    def matmul(self, output: str, a: str, b: str) -> str:
        """a @ b."""
        (m, k), (_, n) = self.tensors[a].shape, self.tensors[b].shape
        return self.apply(output, named_expression("matmul", {"m": m, "n": n, "k": k}), a, b)

    def add(self, output: str, a: str, b: str) -> str:
        """a + b."""
        lengths = {f"d{i}": n for i, n in enumerate(self.tensors[a].shape)}
        return self.apply(output, named_expression("pointwise", lengths), a, b)

    def relu(self, output: str, a: str) -> str:
        """max(a, 0)."""
        return self.apply(output, relu(self.tensors[a].shape), a)

    def layout(self, output: str, kind: str, inputs: tuple[str, ...], *shape: int, **fields) -> str:
        """A layout-only operator."""
        self.tensor(output, *shape, element_type=self.tensors[inputs[0]].element_type)
        self.operators.append(LayoutOp(f"op_{output}", kind, kind, inputs, output, (), **fields))
        return output

    def graph(self, *outputs: str) -> Graph:
        """The graph so far; operands are as wide as their tensors."""
        inputs = tuple(t.name for t in self.tensors.values() if t.kind == "input")
        planned = [op for op in self.operators if isinstance(op, Operator)]
        flop = sum(2 * op.expression.points for op in planned if op.op_type == "matmul")
        return Graph(
            "tiny",
            tuple(self.tensors.values()),
            inputs,
            outputs,
            with_widths(self.operators, self.tensors.values()),
            (),
            flop,
            17,
            "tests",
        )


def residual(width: int = 32, rows: int = 16, layers: int = 1) -> Graph:
    """x + relu(x W) V, `layers` times."""
    w = GraphWriter()
    x = w.input("x", rows, width)
    for i in range(layers):
        h = w.matmul(f"h{i}", x, w.weight(f"w{i}", width, 2 * width))
        r = w.relu(f"r{i}", h)
        y = w.matmul(f"y{i}", r, w.weight(f"v{i}", 2 * width, width))
        x = w.add(f"x{i}", x, y)
    return w.graph(x)


def elements(graph: Graph, name: str) -> int:
    """Number of elements of a tensor."""
    return math.prod(graph.tensor[name].shape)
