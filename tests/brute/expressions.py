"""Random tiny expressions of every kernel, random plans of them and random data, for hypothesis."""

import math
import random
from dataclasses import replace

from hypothesis import strategies as st

from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.ir.plan import Plan, Rotation

from .enumerate import all_splits, all_temporal, canonical_rotations
from .scalars import Tensor, elements

KINDS = (
    "matmul",
    "bmm",
    "conv",
    "grouped_conv",
    "pool",
    "pointwise",
    "reduce",
    "product",
    "gather",
    "rowwise",
)
MAX_POINTS = 1500  # the executor visits every point of the iteration space in plain Python


def plain(axis: Axis) -> Dim:
    """A dimension that is one axis."""
    return Dim(((axis.name, 1),), axis.length)


def tensor_of(name: str, *axes: Axis, fused: bool = False) -> Operand:
    """An operand whose dimensions are plain axes."""
    return Operand(name, tuple(plain(axis) for axis in axes), fused)


def length(most: int = 6) -> st.SearchStrategy[int]:
    """Tiny axis lengths, those with many divisors more often."""
    return st.sampled_from([n for n in (1, 2, 3, 4, 5, 6, 2, 4, 6) if n <= most])


@st.composite
def epilogues(draw, output_axes: tuple[Axis, ...]) -> tuple[tuple[Operand, ...], tuple]:
    """Fused operands and the epilogue that uses them: nothing, a bias, or a bias and a Relu."""
    kind = draw(st.sampled_from(["none", "none", "bias", "bias_relu"]))
    if kind == "none":
        return (), ()
    axes = [axis for axis in output_axes if draw(st.booleans())]
    steps = [ScalarStep("Add", ("acc", "bias"))]
    if kind == "bias_relu":
        steps.append(ScalarStep("Relu", ("s1",)))
    return (tensor_of("bias", *axes, fused=True),), tuple(steps)


MULTIPLY = (ScalarStep("Mul", ("A", "B")),)
DEQUANTISED = (
    ScalarStep("Sub", ("B", "3")),
    ScalarStep("Mul", ("s0", "scale")),
    ScalarStep("Mul", ("A", "s1")),
)
"""B is stored with a zero point of 3 and scales of its own."""
SHIFTED = (
    ScalarStep("Sub", ("A", "2")),
    ScalarStep("Sub", ("B", "zero")),
    ScalarStep("Mul", ("s0", "s1")),
)
"""Both are stored, with a zero point of 2, which is what padding holds, and zero points."""


def behind(epilogue: tuple[ScalarStep, ...], body_steps: int) -> tuple[ScalarStep, ...]:
    """The epilogue of `epilogues` behind a body of so many steps instead of one."""
    names = {"s1": f"s{body_steps}"}
    return tuple(
        replace(step, inputs=tuple(names.get(name, name) for name in step.inputs))
        for step in epilogue
    )


@st.composite
def matmuls(draw, batched: bool = False) -> TensorExpression:
    """C[m,n] += A[m,k] * B[k,n], with a batch axis in some of the inputs if `batched`."""
    m = Axis("m", draw(length()), "m")
    n = Axis("n", draw(length()), "n")
    k = Axis("k", draw(length()), "k", reduction=True)
    batch: tuple[Axis, ...] = ()
    in_a, in_b = (), ()
    if batched:
        batch = (Axis("b", draw(length(4)), "batch"),)
        in_a, in_b = draw(st.sampled_from([(batch, batch), (batch, ()), ((), batch)]))
    fused, epilogue = draw(epilogues((*batch, m, n)))
    body = MULTIPLY
    if not batched and draw(st.sampled_from([False, False, True])):
        scale = tensor_of("scale", *(a for a in (k, n) if draw(st.booleans())), fused=True)
        fused, body = (*fused, scale), DEQUANTISED
        epilogue = behind(epilogue, len(body))
    return TensorExpression(
        "matmul",
        (*batch, m, n, k),
        (tensor_of("A", *in_a, m, k), tensor_of("B", *in_b, k, n), *fused),
        tensor_of("C", *batch, m, n),
        body,
        "sum",
        epilogue,
    )


@st.composite
def windows(draw, name: str, most: int) -> tuple[Axis, Axis, Dim]:
    """An output axis, its kernel axis and the input dimension they slide over."""
    out = Axis(name, draw(length(most)), "out_spatial")
    kernel = Axis("k" + name, draw(length(3)), "kernel", reduction=True)
    stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    reach = stride * (out.length - 1) + dilation * (kernel.length - 1) + 1
    before = draw(st.integers(0, min(1, reach - 1)))
    after = draw(st.integers(0, min(1, reach - 1 - before)))
    terms = ((out.name, stride), (kernel.name, dilation))
    return out, kernel, Dim(terms, reach - before - after, -before)


@st.composite
def convs(draw, grouped: bool = False) -> TensorExpression:
    """A convolution over one or two spatial dimensions, batched or not, grouped if asked."""
    batch = (Axis("b", draw(length(3)), "batch"),) if draw(st.booleans()) else ()
    group = (Axis("g", draw(length(4)), "group"),) if grouped else ()
    o = Axis("o", draw(length(4)), "out_channel")
    c = Axis("c", draw(length(4)), "in_channel", reduction=True)
    spatial = [draw(windows("h", 4))]
    if draw(st.booleans()):
        spatial.append(draw(windows("w", 3)))
    out = [window[0] for window in spatial]
    kernel = [window[1] for window in spatial]
    image = tensor_of("A", *batch, *group, c)
    fused, epilogue = draw(epilogues((*group, o)))
    body = MULTIPLY
    if draw(st.sampled_from([False, False, True])):
        zero = tensor_of("zero", *(a for a in (*group, o) if draw(st.booleans())), fused=True)
        fused, body = (*fused, zero), SHIFTED
        epilogue = behind(epilogue, len(body))
    return TensorExpression(
        "conv",
        (*batch, *group, o, c, *out, *kernel),
        (
            Operand("A", (*image.dims, *(window[2] for window in spatial))),
            tensor_of("B", *group, o, c, *kernel),
            *fused,
        ),
        tensor_of("C", *batch, *group, o, *out),
        body,
        "sum",
        epilogue,
    )


@st.composite
def pools(draw) -> TensorExpression:
    """Max, sum or mean over sliding windows."""
    channels = (Axis("c", draw(length(6)), "parallel"),)
    spatial = [draw(windows("h", 5))]
    if draw(st.booleans()):
        spatial.append(draw(windows("w", 3)))
    out = [window[0] for window in spatial]
    image = Operand("A", (*(plain(a) for a in channels), *(window[2] for window in spatial)))
    return TensorExpression(
        "pool",
        (*channels, *out, *(window[1] for window in spatial)),
        (image,),
        tensor_of("C", *channels, *out),
        (),
        draw(st.sampled_from(["max", "sum", "mean"])),
    )


@st.composite
def pointwises(draw) -> TensorExpression:
    """One to three operands over one to three axes, any of them missing in any operand."""
    axes = tuple(Axis(f"a{i}", draw(length()), "parallel") for i in range(draw(st.integers(1, 3))))
    count = draw(st.integers(1, 3))
    names = ("A", "B", "D")[:count]
    inputs = tuple(tensor_of(x, *(a for a in axes if draw(st.booleans()))) for x in names)
    if count == 1:
        body = (ScalarStep("Neg", ("A",)),)
    elif count == 2:
        body = (ScalarStep("Sub", ("A", "B")),)
    else:
        body = (ScalarStep("Mul", ("A", "B")), ScalarStep("Add", ("s0", "D")))
    return TensorExpression("pointwise", axes, inputs, tensor_of("C", *axes), body)


@st.composite
def reduces(draw) -> TensorExpression:
    """Sum, max or mean over one or two of up to four axes."""
    kept = [Axis(f"p{i}", draw(length()), "parallel") for i in range(draw(st.integers(0, 2)))]
    gone = [
        Axis(f"r{i}", draw(length()), "reduced", reduction=True)
        for i in range(draw(st.integers(1, 2)))
    ]
    axes = tuple(draw(st.permutations([*kept, *gone])))
    return TensorExpression(
        "reduce",
        axes,
        (tensor_of("A", *axes),),
        tensor_of("C", *kept),
        (ScalarStep("Identity", ("A",)),),
        draw(st.sampled_from(["sum", "max", "mean"])),
    )


@st.composite
def products(draw) -> TensorExpression:
    """A sum of products of two to four operands that have any of the axes: hard to place."""
    count, width = draw(st.integers(2, 4)), draw(st.integers(2, 4))
    kept = draw(st.lists(st.booleans(), min_size=width, max_size=width))
    axes = tuple(
        Axis(f"a{i}", draw(length(4)), "parallel" if keep else "reduced", reduction=not keep)
        for i, keep in enumerate(kept)
    )
    names = ("A", "B", "D", "E")[:count]
    inputs = tuple(tensor_of(x, *(a for a in axes if draw(st.booleans()))) for x in names)
    body = [ScalarStep("Mul", ("A", "B"))]
    body += [ScalarStep("Mul", (f"s{i}", name)) for i, name in enumerate(names[2:])]
    output = tensor_of("C", *(axis for axis in axes if not axis.reduction))
    return TensorExpression("reduce", axes, inputs, output, tuple(body), "sum")


@st.composite
def gathers(draw) -> TensorExpression:
    """O[i.., e] = T[idx[i..], e]; the table axis is reduced over: one row of it contributes."""
    index = [Axis(f"i{n}", draw(length()), "index") for n in range(draw(st.integers(1, 2)))]
    e = Axis("e", draw(length()), "element")
    table = Axis("v", draw(length()), "table", reduction=True)
    return TensorExpression(
        "gather",
        (*index, table, e),
        (tensor_of("T", table, e), tensor_of("I", *index)),
        tensor_of("C", *index, e),
        (),
        "sum",
    )


@st.composite
def rowwises(draw) -> TensorExpression:
    """Rows centred on their maximum, then scaled; the scale lacks the row axes."""
    rows = [Axis(f"p{i}", draw(length()), "parallel") for i in range(draw(st.integers(1, 2)))]
    width = Axis("w", draw(length()), "normalised")
    inputs = [tensor_of("A", *rows, width)]
    body = [
        ScalarStep("ReduceMax", ("A",)),
        ScalarStep("Sub", ("A", "s0")),
    ]
    if draw(st.booleans()):
        inputs.append(tensor_of("B", width, fused=draw(st.booleans())))
        body.append(ScalarStep("Mul", ("s1", "B")))
    elif draw(st.booleans()):
        inputs.append(tensor_of("B", rows[0], width))
        body.append(ScalarStep("Add", ("s1", "B")))
    return TensorExpression(
        "rowwise", (*rows, width), tuple(inputs), tensor_of("C", *rows, width), tuple(body)
    )


STRATEGIES = {
    "matmul": matmuls(),
    "bmm": matmuls(batched=True),
    "conv": convs(),
    "grouped_conv": convs(grouped=True),
    "pool": pools(),
    "pointwise": pointwises(),
    "reduce": reduces(),
    "product": products(),
    "gather": gathers(),
    "rowwise": rowwises(),
}


def expressions(kind: str, max_points: int = MAX_POINTS) -> st.SearchStrategy[TensorExpression]:
    """Random expressions of a kind, small enough to run in plain Python."""
    return STRATEGIES[kind].filter(lambda expression: expression.points <= max_points)


@st.composite
def stored(draw, expression: TensorExpression) -> TensorExpression:
    """The expression with operands stored at any width, often the chip's own."""
    widths = st.sampled_from([0, 0, 0, 8, 4, 2, 1, 3, 16, 32])
    *inputs, output = (replace(operand, bits=draw(widths)) for operand in expression.operands)
    return replace(expression, inputs=tuple(inputs), output=output)


@st.composite
def plans(draw, expression: TensorExpression, max_cores: int = 12) -> Plan:
    """A random legal plan with its loops in any order; plans that rotate are preferred."""
    splits = list(all_splits(expression, max_cores))
    # The more cores share something, the more there is to rotate.
    splits.sort(key=math.prod)
    for _ in range(4):
        split = splits[-1 - draw(st.integers(0, len(splits) - 1))]
        legal = [canonical_rotations(expression, t) for t in all_temporal(expression, split)]
        legal.sort(key=len)
        rotations = legal[-1 - draw(st.integers(0, len(legal) - 1))]
        if rotations:
            break
    return Plan(split, tuple(draw(st.permutations(rotations))))


def random_tensors(expression: TensorExpression, seed: int) -> dict[str, Tensor]:
    """Small integers for every input; indices of a gather stay within its table."""
    source = random.Random(seed)
    tensors = {}
    for operand in expression.inputs:
        low, high = -9, 9
        if expression.kernel == "gather" and operand is expression.inputs[1]:
            (rows,) = [axis.length for axis in expression.axes if axis.role == "table"]
            low, high = 0, rows - 1
        tensors[operand.name] = {c: source.randint(low, high) for c in elements(operand)}
    return tensors


def unplaceable() -> tuple[TensorExpression, Plan]:
    """A legal plan without a placement, on 2 x 2 cores.

    A and B make the first rotation's offsets a Latin square of two, D and E the second's; the two
    squares are then equal or opposite, and C never sees all four pairs.
    """
    a = Axis("a", 2, "reduced", reduction=True)
    b = Axis("b", 2, "reduced", reduction=True)
    x, y = Axis("x", 2, "parallel"), Axis("y", 2, "parallel")
    expression = TensorExpression(
        "reduce",
        (a, b, x, y),
        (tensor_of("A", b, x), tensor_of("B", a, x), tensor_of("D", b, y), tensor_of("E", a, y)),
        tensor_of("C", x, y),
        tuple(ScalarStep("Mul", pair) for pair in (("A", "B"), ("s0", "D"), ("s1", "E"))),
        "sum",
    )
    return expression, Plan((2, 2, 1, 1), (rotation("x", 2, "ABC"), rotation("y", 2, "DEC")))


def rotation(axis: str, radix: int, operands: str) -> Rotation:
    """A rotation of operands with one-letter names."""
    return Rotation(axis, radix, tuple(operands))
