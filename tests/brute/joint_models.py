"""Random small models whose steps read each other in all the ways that imports make."""

import math
import random

from planned_graphs import GraphWriter, fallback
from random_expressions import KINDS, draw_expression

from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.ir.graph import Graph

_TYPES = ("float32", "float32", "float32", "int8", "int4")


class RandomModel:
    """A graph of random operators that grows at its end.

    Operands are tensors made before, whole or through views, weights that others may own, graph
    inputs, or several of these joined.
    """

    def __init__(self, rng: random.Random, most_points: int) -> None:
        self.rng = rng
        self.most_points = most_points
        self.writer = GraphWriter()
        self._count = 0
        self.live: list[str] = [self._fresh((4, 6), "float32", "input")]

    def grow(self) -> None:
        """One more operator."""
        expression, types = self._expression()
        inputs = [
            self._operand(tuple(dim.size for dim in operand.dims), types[operand.name])
            for operand in expression.inputs
        ]
        output = self.writer.apply(self._name("y"), expression, *inputs)
        self.live.append(output)

    def graph(self) -> Graph:
        """The graph so far; what nobody read is an output."""
        read = {name for op in self.writer.operators for name in op.inputs}
        made = [op.output for op in self.writer.operators]
        outputs = [name for name in made if name not in read]
        return self.writer.graph(*(outputs or made[-1:]))

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def _fresh(self, shape: tuple[int, ...], element_type: str, kind: str) -> str:
        return self.writer.tensor(self._name(kind[0]), *shape, kind=kind, element_type=element_type)

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.writer.tensors[name].shape

    # Operators

    def _expression(self) -> tuple[TensorExpression, dict[str, str]]:
        rng = self.rng
        chance = rng.random()
        if chance < 0.55:
            return self._matching(rng.choice(self.live))
        if chance < 0.65:
            expression = rng.choice([self._strided, self._diagonal])()
            return expression, dict.fromkeys("ABC", "float32")
        if chance < 0.68:
            shape = self._shape(rng.choice(self.live))
            return fallback((3,), shape or (1,)), {"I0": "float32", "C": "float32"}
        while True:
            drawn = draw_expression(rng.choice(KINDS), rng)
            if drawn.expression.points <= self.most_points:
                return drawn.expression, drawn.element_types

    def _matching(self, name: str) -> tuple[TensorExpression, dict[str, str]]:
        """An operator that reads a tensor as it is: a product, a sum, a reduction, rows."""
        rng, shape = self.rng, self._shape(name) or (1,)
        kind = self.writer.tensors[name].element_type
        axes = tuple(Axis(f"d{i}", n, "parallel") for i, n in enumerate(shape))
        dims = tuple(Dim(((axis.name, 1),), axis.length) for axis in axes)
        types = {"A": kind, "B": rng.choice(_TYPES), "C": rng.choice(_TYPES)}
        form = rng.choice(["matmul", "matmul", "add", "relu", "reduce", "rows"])
        if form == "matmul":
            n = Axis("n", rng.choice([2, 3, 4, 6, 8]), "n")
            k = Axis("k", shape[-1], "k", reduction=True)
            rows = tuple(Axis(f"m{i}", n, "m") for i, n in enumerate(shape[:-1]))
            m = tuple(Dim(((axis.name, 1),), axis.length) for axis in rows)
            down, across = Dim((("k", 1),), k.length), Dim((("n", 1),), n.length)
            inputs = (Operand("A", (*m, down)), Operand("B", (down, across)))
            body = (ScalarStep("Mul", ("A", "B")),)
            output = Operand("C", (*m, across))
            expression = TensorExpression("matmul", (*rows, n, k), inputs, output, body, "sum")
            if expression.points <= self.most_points:
                return expression, types
        if form == "add":
            inputs = (Operand("A", dims), Operand("B", dims))
            step = ScalarStep("Add", ("A", "B"))
            return TensorExpression("pointwise", axes, inputs, Operand("C", dims), (step,)), types
        if form == "reduce":
            gone = Axis(axes[-1].name, shape[-1], "reduced", reduction=True)
            step, output = ScalarStep("Identity", ("A",)), Operand("C", dims[:-1])
            axes, inputs = (*axes[:-1], gone), (Operand("A", dims),)
            return TensorExpression("reduce", axes, inputs, output, (step,), "sum"), types
        step = ScalarStep("Relu", ("A",))
        inputs = (Operand("A", dims),)
        return TensorExpression("pointwise", axes, inputs, Operand("C", dims), (step,)), types

    def _strided(self) -> TensorExpression:
        """A product whose second operand has holes: rows are skipped."""
        m, k, n = (self.rng.choice([2, 3, 4, 6]) for _ in range(3))
        stride = self.rng.choice([2, 3])
        axes = (Axis("m", m, "m"), Axis("n", n, "n"), Axis("k", k, "k", reduction=True))
        skipping = Dim((("k", stride),), stride * (k - 1) + 1)
        inputs = (
            Operand("A", (Dim((("m", 1),), m), Dim((("k", 1),), k))),
            Operand("B", (skipping, Dim((("n", 1),), n))),
        )
        output = Operand("C", (Dim((("m", 1),), m), Dim((("n", 1),), n)))
        return TensorExpression(
            "matmul", axes, inputs, output, (ScalarStep("Mul", ("A", "B")),), "sum"
        )

    def _diagonal(self) -> TensorExpression:
        """Rows scaled by the diagonal of a square."""
        rows, length = self.rng.choice([3, 4, 8]), self.rng.choice([3, 4, 6])
        axes = (Axis("r", rows, "parallel"), Axis("d", length, "parallel"))
        row, along = Dim((("r", 1),), rows), Dim((("d", 1),), length)
        inputs = (Operand("A", (row, along)), Operand("B", (along, along)))
        step = ScalarStep("Mul", ("A", "B"))
        return TensorExpression("pointwise", axes, inputs, Operand("C", (row, along)), (step,))

    # Operands

    def _operand(self, shape: tuple[int, ...], element_type: str) -> str:
        rng = self.rng
        same = [name for name in self.live if self._shape(name) == shape]
        weights = [name for name in same if self.writer.tensors[name].kind == "weight"]
        if weights and rng.random() < 0.4:
            return rng.choice(weights)
        if same and rng.random() < 0.85:
            return rng.choice(same[-3:])
        chance = rng.random()
        if chance < 0.3:
            name = self._fresh(shape, element_type, "weight")
            if rng.random() < 0.6:
                self.live.append(name)  # somebody else may read it too
            return name
        if chance < 0.4:
            name = self._fresh(shape, element_type, "input")
            self.live.append(name)
            return name
        if chance < 0.5 and shape and shape[0] > 1:
            first = rng.randint(1, shape[0] - 1)
            parts = (first, *shape[1:]), (shape[0] - first, *shape[1:])
            joined = tuple(self._viewed(part, element_type) for part in parts)
            return self._layout("concat", joined, shape, element_type, axis=0)
        return self._viewed(shape, element_type)

    def _viewed(self, shape: tuple[int, ...], element_type: str) -> str:
        """A view of these lengths of some tensor."""
        rng, size = self.rng, math.prod(shape)
        name = rng.choice(self.live[-4:] + self.live[:1])
        own = self._shape(name)
        kind = self.writer.tensors[name].element_type
        if sorted(own) == sorted(shape) and own != shape:
            perm, left = [], list(range(len(own)))
            for length in shape:
                perm.append(next(i for i in left if own[i] == length))
                left.remove(perm[-1])
            return self._layout("transpose", (name,), shape, kind, perm=tuple(perm))
        if len(own) == len(shape) and all(a >= b for a, b in zip(own, shape, strict=True)):
            starts = tuple(rng.randint(0, a - b) for a, b in zip(own, shape, strict=True))
            steps = (1,) * len(own)
            return self._layout("slice", (name,), shape, kind, starts=starts, steps=steps)
        if math.prod(own) > size:
            flat = self._layout("reshape", (name,), (math.prod(own),), kind)
            start = rng.randint(0, math.prod(own) - size)
            few = self._layout("slice", (flat,), (size,), kind, starts=(start,), steps=(1,))
            return self._layout("reshape", (few,), shape, element_type)
        if math.prod(own) == size:
            return self._layout("reshape", (name,), shape, element_type)
        if own and shape[-1:] == own[-1:] and len(own) <= len(shape) and rng.random() < 0.5:
            ones = (1,) * (len(shape) - 1)
            row = self._layout(
                "slice",
                (name,),
                (*(1 for _ in own[:-1]), own[-1]),
                kind,
                starts=(0,) * len(own),
                steps=(1,) * len(own),
            )
            row = self._layout("reshape", (row,), (*ones, own[-1]), kind)
            return self._layout("expand", (row,), shape, kind)
        if len(own) == len(shape) and all(a <= b for a, b in zip(own, shape, strict=True)):
            starts = tuple(rng.randint(0, b - a) for a, b in zip(own, shape, strict=True))
            return self._layout("pad", (name,), shape, kind, starts=starts)
        return self._fresh(shape, element_type, rng.choice(["input", "weight"]))

    def _layout(
        self,
        kind: str,
        inputs: tuple[str, ...],
        shape: tuple[int, ...],
        element_type: str,
        **fields,
    ) -> str:
        name = self._name("v")
        self.writer.tensor(name, *shape, element_type=element_type)
        return self.writer.layout(name, kind, inputs, *shape, **fields)


def random_model(seed: int, operators: int = 0, most_points: int = 600) -> Graph:
    """The model of a seed: so many operators, or 1 to 6."""
    rng = random.Random(seed)
    model = RandomModel(rng, most_points)
    for _ in range(operators or rng.randint(1, 6)):
        model.grow()
    return model.graph()
