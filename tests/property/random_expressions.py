"""Random expressions of every kernel as imports make them, with element types and data.

A `Drawn` is an expression with the element type of every operand and the numbers its inputs take.
Everything is drawn from a `random.Random`, so that a seed names a case for good.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from t10c.ir.expression import Axis, Dim, Operand, Role, ScalarStep, TensorExpression
from t10c.ir.graph import type_bits

MOST_POINTS = 6000
"""The reference visits every point of an iteration space at once."""

_LENGTHS = (1, 2, 2, 3, 3, 4, 4, 5, 6, 6, 7, 8, 9, 11, 12, 13, 16)

AS_INTEGER = (("as", "int32"),)


@dataclass(frozen=True)
class Drawn:
    """An expression, element types by operand, and per input the integers it takes if not any.

    `coarse` asks for few distinct values, so that there are ties.
    """

    kind: str
    expression: TensorExpression
    element_types: dict[str, str]
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    coarse: bool = False

    def data(self, seed: int) -> dict[str, np.ndarray]:
        """Random values of all inputs."""
        rng = np.random.default_rng(seed)
        found = {}
        for operand in self.expression.inputs:
            shape = tuple(dim.size for dim in operand.dims)
            kind = np.dtype(self.element_types[operand.name])
            if operand.name in self.ranges or kind.kind in "iu" or self.coarse:
                low, high = self.ranges.get(operand.name, (-9 if kind.kind != "u" else 0, 9))
                found[operand.name] = rng.integers(low, high, shape, endpoint=True).astype(kind)
            else:
                found[operand.name] = rng.standard_normal(shape).astype(kind)
        return found


def draw_expression(kind: str, rng: random.Random) -> Drawn:
    """A random expression of a kind of `KINDS`."""
    while True:
        drawn = _DRAW[kind](rng)
        points = math.prod(axis.length for axis in drawn.expression.axes)
        if drawn.expression.axes and points <= MOST_POINTS:
            return replace(drawn, kind=kind, expression=_stored(drawn))


def _stored(drawn: Drawn) -> TensorExpression:
    """The expression with operands as wide as their element types are stored."""
    expression, types = drawn.expression, drawn.element_types
    *inputs, output = (replace(o, bits=type_bits(types[o.name])) for o in expression.operands)
    return replace(expression, inputs=tuple(inputs), output=output)


# Pieces of expressions


def plain(axis: Axis) -> Dim:
    """A dimension that is one axis; an axis of length 1 may be left out, as imports do."""
    return Dim(((axis.name, 1),), axis.length)


def _operand(name: str, axes: list[Axis], fused: bool = False) -> Operand:
    return Operand(name, tuple(plain(axis) for axis in axes), fused)


def _length(rng: random.Random, most: int = 16) -> int:
    return rng.choice([n for n in _LENGTHS if n <= most])


def _some(rng: random.Random, items: list[Axis], share: float = 0.6) -> list[Axis]:
    return [item for item in items if rng.random() < share]


def _broadcast(rng: random.Random, dims: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """Some of the output's dimensions, others of size 1 or missing."""
    found = []
    for dim in dims:
        chance = rng.random()
        if chance < 0.55:
            found.append(dim)
        elif chance < 0.75:
            found.append(Dim((), 1))
    return tuple(found)


@dataclass
class _Epilogue:
    """Fused operands and steps behind a body of `first` steps."""

    operands: list[Operand]
    steps: list[ScalarStep]
    first: int
    value: str = "acc"

    def add(self, op: str, *others: str, attributes: tuple = ()) -> None:
        self.steps.append(ScalarStep(op, (self.value, *others), attributes))
        self.value = f"s{self.first + len(self.steps) - 1}"


def _epilogue(
    rng: random.Random, output: Operand, body_steps: int, floats: bool
) -> tuple[tuple[Operand, ...], tuple[ScalarStep, ...]]:
    """Nothing, or some of: scale, bias, residual, Relu; operands are broadcast or whole."""
    made = _Epilogue([], [], body_steps)
    if rng.random() < 0.5:
        return (), ()
    for name, op in (("scale", "Mul"), ("bias", "Add"), ("residual", "Add")):
        if rng.random() < 0.45:
            dims = output.dims if name == "residual" else _broadcast(rng, output.dims)
            made.operands.append(Operand(name, dims, fused=True))
            made.add(op, name)
    if rng.random() < 0.5:
        made.add("Relu" if floats or rng.random() < 0.5 else "Neg")
    return tuple(made.operands), tuple(made.steps)


def _number_type(rng: random.Random) -> str:
    return rng.choice(["float64", "float64", "int64", "int32"])


def _finished(
    rng: random.Random,
    expression: TensorExpression,
    kind: str | None = None,
    coarse: bool = False,
    ranges: dict[str, tuple[int, int]] | None = None,
) -> Drawn:
    """The expression with an epilogue and one element type throughout."""
    kind = kind or _number_type(rng)
    fused, steps = _epilogue(rng, expression.output, len(expression.body), kind == "float64")
    if steps:
        expression = replace(expression, inputs=(*expression.inputs, *fused), epilogue=steps)
    types = dict.fromkeys((operand.name for operand in expression.operands), kind)
    return Drawn("", expression, types, ranges or {}, coarse)


MULTIPLY = (ScalarStep("Mul", ("A", "B")),)


# Products


def _matmul(rng: random.Random) -> Drawn:
    m, n = Axis("m", _length(rng), "m"), Axis("n", _length(rng), "n")
    k = Axis("k", _length(rng), "k", reduction=True)
    a, b = [m, k], [k, n]
    if rng.random() < 0.3:
        a.reverse()
    if rng.random() < 0.3:
        b.reverse()
    inputs = (_operand("A", a), _operand("B", b))
    expression = TensorExpression(
        "matmul", (m, n, k), inputs, _operand("C", [m, n]), MULTIPLY, "sum"
    )
    return _finished(rng, expression)


def _batched(rng: random.Random) -> Drawn:
    batch = [Axis(f"b{i}", _length(rng, 6), "batch") for i in range(rng.randint(1, 2))]
    m, n = Axis("m", _length(rng, 9), "m"), Axis("n", _length(rng, 9), "n")
    k = Axis("k", _length(rng, 12), "k", reduction=True)
    in_a = _some(rng, batch)
    in_b = [axis for axis in batch if axis not in in_a or rng.random() < 0.6]
    inputs = (_operand("A", [*in_a, m, k]), _operand("B", [*in_b, k, n]))
    output = _operand("C", [*batch, m, n])
    axes = (*batch, m, n, k)
    return _finished(rng, TensorExpression("matmul", axes, inputs, output, MULTIPLY, "sum"))


def _contraction(rng: random.Random) -> Drawn:
    """Any product of two operands that some axes are summed over: an einsum."""
    roles: list[tuple[Role, bool]] = [("batch", False), ("m", False), ("n", False), ("k", True)]
    axes: list[Axis] = []
    for number in range(rng.randint(2, 5)):
        role, reduced = rng.choice(roles)
        axes.append(Axis(f"x{number}", _length(rng, 7), role, reduced))
    a = [axis for axis in axes if axis.role in ("batch", "m", "k")]
    b = [axis for axis in axes if axis.role in ("batch", "n", "k")]
    c = [axis for axis in axes if not axis.reduction]
    for order in (a, b, c):
        rng.shuffle(order)
    expression = TensorExpression(
        "matmul",
        tuple(axes),
        (_operand("A", a), _operand("B", b)),
        _operand("C", c),
        MULTIPLY,
        "sum",
    )
    return _finished(rng, expression)


def _products(rng: random.Random) -> Drawn:
    """A sum of products of two to four operands that have any of the axes: hard to place."""
    axes = []
    for number in range(rng.randint(2, 4)):
        reduced = rng.random() < 0.5
        role: Role = "reduced" if reduced else "parallel"
        axes.append(Axis(f"a{number}", _length(rng, 8), role, reduced))
    names = ("A", "B", "D", "E")[: rng.randint(2, 4)]
    inputs = tuple(_operand(name, _some(rng, axes)) for name in names)
    body = [ScalarStep("Mul", ("A", "B"))]
    body += [ScalarStep("Mul", (f"s{i}", name)) for i, name in enumerate(names[2:])]
    output = _operand("C", [axis for axis in axes if not axis.reduction])
    reduce_op = "sum" if any(axis.reduction for axis in axes) else None
    expression = TensorExpression(
        "reduce" if reduce_op else "pointwise", tuple(axes), inputs, output, tuple(body), reduce_op
    )
    return _finished(rng, expression)


def _window(rng: random.Random, name: str, most: int) -> tuple[Axis, Axis, Dim]:
    """An output axis, its kernel axis and the input dimension, padded on either side."""
    out = Axis(name, _length(rng, most), "out_spatial")
    kernel = Axis("k" + name, rng.choice([1, 2, 3, 3, 4, 5]), "kernel", reduction=True)
    stride, dilation = rng.choice([1, 1, 2, 3]), rng.choice([1, 1, 2, 3])
    reach = stride * (out.length - 1) + dilation * (kernel.length - 1) + 1
    inner = dilation * (kernel.length - 1)  # padding is less than a window
    before, after = rng.randint(0, inner), rng.randint(0, inner)
    if before + after >= reach or rng.random() < 0.3:
        before = after = 0
    unread = rng.choice([0, 0, 1])  # elements that no window reaches
    terms = ((name, stride), ("k" + name, dilation))
    return out, kernel, Dim(terms, reach - before - after + unread, -before)


def _conv_expression(rng: random.Random, dims: int, groups: int) -> TensorExpression:
    """A convolution; channels are `group * channels per group + channel`, as imports have them."""
    most = {1: 13, 2: 6, 3: 4}[dims]
    windows = [_window(rng, name, most) for name in "hwd"[:dims]]
    b = Axis("b", rng.choice([1, 1, 2, 3]), "batch")
    o = Axis("o", _length(rng, 6), "out_channel")
    c = Axis("c", _length(rng, 5), "in_channel", reduction=True)
    g = Axis("g", groups, "group")
    if groups > 1 and rng.random() < 0.5:  # depthwise
        o, c = replace(o, length=rng.choice([1, 2])), replace(c, length=1)
    out, kernel = [w[0] for w in windows], [w[1] for w in windows]

    def terms(axis: Axis, stride: int = 1) -> tuple[tuple[str, int], ...]:
        return ((axis.name, stride),) if axis.length > 1 else ()

    def dim(axis: Axis) -> Dim:
        return Dim(terms(axis), axis.length)

    image = tuple(_without_ones(w[2], w[:2]) for w in windows)
    channels = Dim(terms(g, o.length) + terms(o), groups * o.length)
    sources = Dim(terms(g, c.length) + terms(c), groups * c.length)
    return TensorExpression(
        "conv",
        tuple(axis for axis in (b, g, o, c, *out, *kernel) if axis.length > 1),
        (
            Operand("A", (dim(b), sources, *image)),
            Operand("B", (channels, dim(c), *(dim(axis) for axis in kernel))),
        ),
        Operand("C", (dim(b), channels, *(dim(axis) for axis in out))),
        MULTIPLY,
        "sum",
    )


def _without_ones(dim: Dim, axes: tuple[Axis, ...]) -> Dim:
    long = {axis.name for axis in axes if axis.length > 1}
    return replace(dim, terms=tuple(term for term in dim.terms if term[0] in long))


def _conv(rng: random.Random) -> Drawn:
    expression = _conv_expression(rng, rng.choice([1, 2, 2, 3]), 1)
    return _finished(rng, expression)


def _grouped(rng: random.Random) -> Drawn:
    expression = _conv_expression(rng, rng.choice([1, 1, 2]), rng.choice([2, 3, 4, 6]))
    return _finished(rng, expression)


def _quantised(rng: random.Random) -> Drawn:
    """Stored inputs of 8 bits with zero points; padding is zero, not the zero point's difference.

    The epilogue leaves the sums, or scales them down to 8 bits again.
    """
    base = _matmul(rng).expression if rng.random() < 0.4 else _conv_expression(rng, 2, 1)
    base = replace(base, inputs=base.inputs[:2], epilogue=())
    channels = [dim for dim in base.inputs[1].dims if {a for a, _ in dim.terms} & {"o", "n"}]
    zero = Operand("zero", tuple(channels), fused=True)
    body = (
        ScalarStep("Sub", ("A", "7"), AS_INTEGER),
        ScalarStep("Sub", ("B", "zero"), AS_INTEGER),
        ScalarStep("Mul", ("s0", "s1"), AS_INTEGER),
    )
    types = {"A": "uint8", "B": "int8", "zero": "int8", "C": "int32"}
    steps: tuple[ScalarStep, ...] = ()
    fused: tuple[Operand, ...] = ()
    if rng.random() < 0.6:
        fused = (Operand("bias", _broadcast(rng, base.output.dims), fused=True),)
        types["bias"] = "int32"
        steps = (ScalarStep("Add", ("acc", "bias")),)
    if rng.random() < 0.6:
        last = "s3" if steps else "acc"
        n = 3 + len(steps)
        steps += (
            ScalarStep("Mul", (last, "0.0625"), (("as", "float32"),)),
            ScalarStep("Round", (f"s{n}",)),
            ScalarStep("Add", (f"s{n + 1}", "3")),
            ScalarStep("Clip", (f"s{n + 2}", "0", "255")),
            ScalarStep("Cast", (f"s{n + 3}",), (("to", "uint8"),)),
        )
        types["C"] = "uint8"
    inputs = (*base.inputs, zero, *fused)
    expression = replace(base, inputs=inputs, body=body, epilogue=steps)
    ranges = {"A": (0, 255), "B": (-128, 127), "zero": (-20, 20), "bias": (-9000, 9000)}
    return Drawn("", expression, types, {n: r for n, r in ranges.items() if n in types})


# One operand


def _pool(rng: random.Random) -> Drawn:
    channels = [Axis("c", _length(rng, 6), "parallel")]
    if rng.random() < 0.4:
        channels.insert(0, Axis("b", _length(rng, 3), "parallel"))
    windows = [_window(rng, name, 7) for name in "hw"[: rng.randint(1, 2)]]
    operation = rng.choice(["max", "min", "sum", "mean", "mean"])
    dims = (*(plain(axis) for axis in channels), *(w[2] for w in windows))
    expression = TensorExpression(
        "pool",
        (*channels, *(w[0] for w in windows), *(w[1] for w in windows)),
        (Operand("A", dims),),
        _operand("C", [*channels, *(w[0] for w in windows)]),
        (ScalarStep("Identity", ("A",)),),
        operation,
    )
    if operation != "sum" and not _every_window_reads(expression):
        return _pool(rng)
    return _finished(rng, expression, "float64" if operation == "mean" else None)


def _every_window_reads(expression: TensorExpression) -> bool:
    """Whether each window has an element in the tensor: mean, max and min of none are undefined."""
    lengths = {axis.name: axis.length for axis in expression.axes}
    for dim in expression.inputs[0].dims:
        if len(dim.terms) == 2:
            (out, stride), (kernel, dilation) = dim.terms
            at = dim.offset + stride * np.arange(lengths[out])[:, None]
            at = at + dilation * np.arange(lengths[kernel])
            if not ((at >= 0) & (at < dim.size)).any(axis=1).all():
                return False
    return True


def _reduce(rng: random.Random) -> Drawn:
    axes = []
    for number in range(rng.randint(1, 4)):
        reduced = number == 0 or rng.random() < 0.4
        role: Role = "reduced" if reduced else "parallel"
        axes.append(Axis(f"d{number}", _length(rng, 13), role, reduced))
    rng.shuffle(axes)
    operation = rng.choice(["sum", "max", "min", "mean", "prod"])
    kept = rng.random() < 0.5
    output = tuple(
        Dim((), 1) if axis.reduction else plain(axis) for axis in axes if kept or not axis.reduction
    )
    square = operation == "sum" and rng.random() < 0.3
    body = ScalarStep("Mul", ("A", "A")) if square else ScalarStep("Identity", ("A",))
    expression = TensorExpression(
        "reduce", tuple(axes), (_operand("A", axes),), Operand("C", output), (body,), operation
    )
    ranges = {"A": (1, 3)} if operation == "prod" else {}
    return _finished(rng, expression, None, ranges=ranges)


def _argument(rng: random.Random) -> Drawn:
    """ArgMax and ArgMin, with ties."""
    kept = [Axis(f"p{i}", _length(rng, 8), "parallel") for i in range(rng.randint(0, 2))]
    gone = Axis("r", rng.choice([2, 3, 5, 7, 8, 12, 16, 24, 30]), "reduced", reduction=True)
    axes = [*kept, gone]
    rng.shuffle(axes)
    op = rng.choice(["ArgMax", "ArgMin"])
    step = ScalarStep(op, ("A",), (("select_last_index", rng.randint(0, 1)),))
    expression = TensorExpression(
        "reduce",
        tuple(axes),
        (_operand("A", axes),),
        _operand("C", [axis for axis in axes if not axis.reduction]),
        (step,),
        "max" if op == "ArgMax" else "min",
    )
    types = {"A": rng.choice(["float64", "int32"]), "C": "int64"}
    return Drawn("", expression, types, {"A": (-2, 2)}, coarse=True)


def _pointwise(rng: random.Random) -> Drawn:
    """One to four operands, any axis missing in any of them."""
    axes = [Axis(f"d{i}", _length(rng), "parallel") for i in range(rng.randint(1, 4))]
    names = ("A", "B", "D", "E")[: rng.randint(1, 4)]
    inputs = []
    for name in names:
        dims = [plain(axis) if rng.random() < 0.65 else Dim((), 1) for axis in axes]
        inputs.append(Operand(name, tuple(dims)))
    steps = [ScalarStep("Neg", ("A",))]
    for number, name in enumerate(names[1:]):
        steps.append(ScalarStep(rng.choice(["Add", "Sub", "Mul", "Max"]), (f"s{number}", name)))
    output = _operand("C", axes)
    expression = TensorExpression("pointwise", tuple(axes), tuple(inputs), output, tuple(steps))
    return _finished(rng, expression)


# Gathers


def _selected(
    rng: random.Random,
    axes: list[Axis],
    table: tuple[Dim, ...],
    index: tuple[Dim, ...],
    output: tuple[Dim, ...],
) -> Drawn:
    kind = _number_type(rng)
    expression = TensorExpression(
        "gather",
        tuple(axes),
        (Operand("T", table), Operand("X", index)),
        Operand("C", output),
        (ScalarStep("Gather", ("T", "X")),),
        "sum",
    )
    fused, steps = _epilogue(rng, expression.output, 1, kind == "float64")
    if steps:
        expression = replace(expression, inputs=(*expression.inputs, *fused), epilogue=steps)
    least = min(axis.length for axis in axes if axis.role == "table")
    types = dict.fromkeys((operand.name for operand in expression.operands), kind)
    types["X"] = rng.choice(["int64", "int32"])
    low = -least if rng.random() < 0.5 else 0
    return Drawn("", expression, types, {"X": (low, least - 1)})


def _gather(rng: random.Random) -> Drawn:
    """Gather along any axis of the table."""
    index = [Axis(f"i{n}", _length(rng, 12), "index") for n in range(rng.randint(1, 2))]
    copied = [Axis(f"e{n}", _length(rng, 9), "element") for n in range(rng.randint(0, 2))]
    table = Axis("v", rng.choice([2, 3, 5, 8, 12, 16, 21]), "table", reduction=True)
    at = rng.randint(0, len(copied))
    before, after = copied[:at], copied[at:]
    source = tuple(plain(axis) for axis in (*before, table, *after))
    target = tuple(plain(axis) for axis in (*before, *index, *after))
    axes = [*index, *copied, table]
    return _selected(rng, axes, source, tuple(plain(axis) for axis in index), target)


def _gather_elements(rng: random.Random) -> Drawn:
    """The other dimensions of the table are index axes; the index may be shorter than it."""
    index = [Axis(f"i{n}", _length(rng, 9), "index") for n in range(rng.randint(1, 3))]
    at = rng.randrange(len(index))
    table = Axis("v", rng.choice([2, 3, 5, 8, 12, 16]), "table", reduction=True)
    more = rng.choice([0, 0, 2])
    source = tuple(
        plain(table) if axis is index[at] else replace(plain(axis), size=axis.length + more)
        for axis in index
    )
    dims = tuple(plain(axis) for axis in index)
    return _selected(rng, [*index, table], source, dims, dims)


def _gather_tuples(rng: random.Random) -> Drawn:
    """GatherND: the last dimension of the index has one entry per selected axis."""
    index = [Axis(f"i{n}", _length(rng, 8), "index") for n in range(rng.randint(1, 2))]
    selected = [
        Axis(f"v{n}", rng.choice([2, 3, 5, 6, 8]), "table", reduction=True)
        for n in range(rng.randint(1, 2))
    ]
    copied = [Axis("e", _length(rng, 8), "element")] if rng.random() < 0.6 else []
    batch = index[: rng.randint(0, len(index) - 1)]
    source = tuple(plain(axis) for axis in (*batch, *selected, *copied))
    entries = Dim((), len(selected), entries=True)
    target = tuple(plain(axis) for axis in (*index, *copied))
    dims = (*(plain(axis) for axis in index), entries)
    return _selected(rng, [*index, *copied, *selected], source, dims, target)


# Row-wise operators

_SOFTMAX = (
    ScalarStep("ReduceMax", ("A",), rows=True),
    ScalarStep("Sub", ("A", "s0")),
    ScalarStep("Exp", ("s1",)),
    ScalarStep("ReduceSum", ("s2",), rows=True),
    ScalarStep("Div", ("s2", "s3")),
)
_LAYER_NORM = (
    ScalarStep("ReduceMean", ("A",), rows=True),
    ScalarStep("Sub", ("A", "s0")),
    ScalarStep("Mul", ("s1", "s1")),
    ScalarStep("ReduceMean", ("s2",), rows=True),
    ScalarStep("Add", ("s3", "1e-05"), rows=True),
    ScalarStep("Sqrt", ("s4",), rows=True),
    ScalarStep("Div", ("s1", "s5")),
)


def _rowwise(rng: random.Random) -> Drawn:
    rows = [Axis(f"p{i}", _length(rng, 13), "parallel") for i in range(rng.randint(1, 3))]
    count = rng.randint(1, 2)
    wide = [Axis(f"w{i}", rng.choice([2, 3, 5, 7, 8]), "normalised") for i in range(count)]
    axes = [*rows, *wide]
    rng.shuffle(axes)
    inputs = [_operand("A", axes)]
    body = rng.choice([_SOFTMAX, _LAYER_NORM])
    if rng.random() < 0.3:  # a second operand that is not fused
        inputs.append(_operand("B", _some(rng, axes, 0.7)))
        body = tuple(
            ScalarStep("Mul", ("A", "B"))
            if number < 0
            else replace(body[number], inputs=tuple(_behind(n) for n in body[number].inputs))
            for number in range(-1, len(body))
        )
    expression = TensorExpression(
        "rowwise", tuple(axes), tuple(inputs), _operand("C", axes), tuple(body)
    )
    return _finished(rng, expression, "float64")


def _behind(name: str) -> str:
    """A value's name behind one more step, which takes the place of A."""
    if name == "A":
        return "s0"
    return f"s{int(name[1:]) + 1}" if name[0] == "s" else name


def _running(rng: random.Random) -> Drawn:
    rows = [Axis(f"p{i}", _length(rng, 13), "parallel") for i in range(rng.randint(1, 2))]
    axes = [*rows, Axis("w", _length(rng, 9), "normalised")]
    rng.shuffle(axes)
    options = (("exclusive", rng.randint(0, 1)), ("reverse", rng.randint(0, 1)))
    body = (ScalarStep("CumSum", ("A",), options),)
    inputs, output = (_operand("A", axes),), _operand("C", axes)
    expression = TensorExpression("rowwise", tuple(axes), inputs, output, body)
    return _finished(rng, expression)


_DRAW: dict[str, Callable[[random.Random], Drawn]] = {
    "matmul": _matmul,
    "batched": _batched,
    "contraction": _contraction,
    "products": _products,
    "conv": _conv,
    "grouped": _grouped,
    "quantised": _quantised,
    "pool": _pool,
    "reduce": _reduce,
    "argument": _argument,
    "pointwise": _pointwise,
    "gather": _gather,
    "elements": _gather_elements,
    "tuples": _gather_tuples,
    "rowwise": _rowwise,
    "running": _running,
}

KINDS = tuple(_DRAW)
"""Kinds of expressions that can be drawn."""
