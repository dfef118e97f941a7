"""Kernels on random tiles, tile results combined in random order, against the slow twin."""

from collections.abc import Sequence

import graph_numpy
import numpy as np
import pytest
from tiles_numpy import cut_window, run_tiled

from t10c.errors import UnsupportedOperatorError
from t10c.execute.element_types import dtype_of
from t10c.execute.kernels import Tile, combine, contribution, fallback, finish, identity
from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.onnx_import.lowering.conv import conv_expression
from t10c.onnx_import.lowering.gather import gather_expression
from t10c.onnx_import.lowering.matmul import matmul_expression
from t10c.onnx_import.lowering.pool import pool_expression
from t10c.onnx_import.lowering.rowwise import layer_norm_steps, softmax_steps
from t10c.onnx_import.lowering.window import Window

SEEDS = range(4)
FLOATS = ("float16", "float32", "float64")
TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 3e-6, "float64": 1e-13}


def shapes(expression: TensorExpression) -> list[tuple[int, ...]]:
    return [tuple(dim.size for dim in operand.dims) for operand in expression.inputs]


def data(dtype: str, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    kind = dtype_of(dtype)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return rng.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
    return rng.standard_normal(shape).astype(kind)


def agree(got: np.ndarray, want: np.ndarray) -> None:
    """Assert equality, of floats relative to the largest of them."""
    assert got.dtype == want.dtype
    if want.dtype.name not in TOLERANCE:
        np.testing.assert_array_equal(got, want)
        return
    got, unit, want = got.astype(float), TOLERANCE[want.dtype.name], want.astype(float)
    largest = np.max(np.abs(want[np.isfinite(want)]), initial=0)
    np.testing.assert_allclose(got, want, rtol=unit, atol=unit * largest)


def check(expression: TensorExpression, inputs: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """Assert that random tiles yield what the slow twin does; its result."""
    rng, shape = np.random.default_rng(seed), tuple(dim.size for dim in expression.output.dims)
    want = graph_numpy.compute(expression, list(inputs), shape)
    agree(run_tiled(expression, list(inputs), shape, rng, most=3), want)
    return want


def check_random(expression: TensorExpression, dtypes: Sequence[str], seed: int) -> None:
    rng = np.random.default_rng(seed + 100)
    pairs = zip(dtypes, shapes(expression), strict=True)
    check(expression, [data(dtype, shape, rng) for dtype, shape in pairs], seed)


def changed(expression: TensorExpression, **fields: object) -> TensorExpression:
    return TensorExpression(
        **{
            name: fields.get(name, getattr(expression, name))
            for name in ("kernel", "axes", "inputs", "output", "body", "reduce_op", "epilogue")
        }
    )


# Products


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [*FLOATS, "bfloat16"])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((7, 9), (9, 5)),
        ((2, 3, 7, 6), (2, 3, 6, 5)),
        ((3, 4, 6), (6, 5)),
        ((4, 6), (3, 6, 5)),
        ((2, 1, 4, 6), (3, 6, 2)),
        ((6,), (6, 4)),
        ((1, 11), (11, 1)),
    ],
)
def test_matmul(left, right, dtype, seed):
    expression = matmul_expression(left, right)
    rng = np.random.default_rng(seed)
    inputs = [data(dtype, shape, rng) for shape in (left, right)]
    shape = tuple(dim.size for dim in expression.output.dims)
    # the twin rounds products and sums of 16 bits as it goes, kernels do so at the end
    wide = [array.astype(np.float64) for array in inputs]
    want = graph_numpy.compute(expression, wide, shape).astype(dtype_of(dtype))
    agree(run_tiled(expression, inputs, shape, rng, most=3), want)


def transposed(expression: TensorExpression) -> TensorExpression:
    """Both inputs and the output with their dimensions the other way round."""
    inputs = tuple(Operand(o.name, o.dims[::-1]) for o in expression.inputs)
    return changed(expression, inputs=inputs, output=Operand("C", expression.output.dims[::-1]))


@pytest.mark.parametrize("seed", SEEDS)
def test_matmul_of_transposed_matrices(seed):
    expression = transposed(matmul_expression((2, 5, 8), (2, 8, 4)))
    check_random(expression, ("float32", "float32"), seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kinds", [("int32", "int32"), ("int64", "int64"), ("uint8", "uint8")])
def test_integer_products_wrap(kinds, seed):
    check_random(matmul_expression((5, 9), (9, 6)), kinds, seed)


def quantised(expression: TensorExpression, points: Sequence[str]) -> TensorExpression:
    """The product with zero points: literals, or names of operands along the first output axis."""
    first, second = expression.inputs
    axis = next(a for a in expression.axes if a.name in expression.output.axes)
    own = first if axis.name in first.axes else second
    named = {
        "F0": Operand("F0", (), True),
        "F1": Operand("F1", (Dim(((axis.name, 1),), axis.length),), True),
    }
    steps, factors, more = [], [], []
    for operand, point in zip((first, second), points, strict=True):
        if not point:
            factors.append(operand.name)
            continue
        factors.append(f"s{len(steps)}")
        steps.append(ScalarStep("Sub", (operand.name, point), (("as", "int32"),)))
        if point in named and named[point] not in more:
            assert point == "F0" or own is operand
            more.append(named[point])
    steps.append(ScalarStep("Mul", tuple(factors), (("as", "int32"),)))
    return changed(expression, inputs=(first, second, *more), body=tuple(steps))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("points", [("128", "3"), ("F0", ""), ("", "F0"), ("F1", "-7")])
def test_quantised_products(points, seed):
    expression = quantised(matmul_expression((6, 9), (9, 5)), points)
    check_random(expression, ("uint8", "int8", "uint8")[: len(expression.inputs)], seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_products_with_a_dequantised_factor(seed):
    plain = matmul_expression((6, 8), (8, 5))
    scale = Operand("F0", (Dim((("k", 1),), 8), Dim((("n", 1),), 5)), True)
    body = (
        ScalarStep("Cast", ("B",), (("to", "float32"),)),
        ScalarStep("Mul", ("s0", "F0")),
        ScalarStep("Mul", ("A", "s1")),
    )
    expression = changed(plain, inputs=(*plain.inputs, scale), body=body)
    check_random(expression, ("float32", "int8", "float32"), seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_products_over_axes_that_one_factor_has(seed):
    axes = [Axis("m", 5, "m"), Axis("k", 4, "k", True), Axis("l", 3, "k", True), Axis("n", 6, "n")]
    m, k, last, n = (Dim(((axis.name, 1),), axis.length) for axis in axes)
    expression = TensorExpression(
        "matmul",
        tuple(axes),
        (Operand("A", (m, last, k)), Operand("B", (k, n))),
        Operand("C", (n, m)),
        (ScalarStep("Mul", ("A", "B")),),
        "sum",
    )
    check_random(expression, ("float32", "float32"), seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_products_of_diagonals_and_backward_reads(seed):
    axes = (Axis("i", 6, "m"), Axis("k", 7, "k", True), Axis("j", 3, "n"))
    back = Dim((("k", -1),), 7, 6)
    expression = TensorExpression(
        "matmul",
        axes,
        (
            Operand("A", (Dim((("i", 1),), 6), Dim((("i", 1),), 6), back)),
            Operand("B", (Dim((("j", 2), ("k", -1)), 14, 6), Dim((), 4, 2))),
        ),
        Operand("C", (Dim((("i", 1),), 6), Dim((("j", 1),), 3))),
        (ScalarStep("Mul", ("A", "B")),),
        "sum",
    )
    check_random(expression, ("float64", "float64"), seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_factor_of_two_operands_is_no_factor(seed):
    body = [ScalarStep("Add", ("A", "B")), ScalarStep("Mul", ("s0", "D"))]
    expression = reduction("sum", body, ["abc", "bd", "d"])
    check_random(expression, ("float32",) * 3, seed)


# Convolutions and pools

WINDOWS = {
    "plain": Window((3, 3), (1, 1), (1, 1), (0, 0), (0, 0)),
    "padded": Window((3, 3), (1, 1), (1, 1), (1, 1), (1, 1)),
    "strided": Window((3, 2), (2, 3), (1, 1), (1, 0), (0, 1)),
    "dilated": Window((3, 2), (1, 2), (2, 3), (2, 1), (2, 2)),
    "far": Window((5, 5), (1, 1), (1, 1), (4, 4), (4, 4)),
}


def target(window: Window, sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(
        (size + begin + end - d * (k - 1) - 1) // s + 1
        for size, begin, end, d, k, s in zip(
            sizes, window.pads_begin, window.pads_end, window.dilations, window.kernel,
            window.strides, strict=True,
        )
    )  # fmt: skip


def convolution(name: str, groups: int = 1, depthwise: bool = False) -> TensorExpression:
    window, channels, outputs = WINDOWS[name], 4, 6
    if depthwise:
        groups, outputs = channels, channels
    source = (2, channels, 8, 9)
    weight = (outputs, channels // groups, *window.kernel)
    return conv_expression(
        source, weight, (2, outputs, *target(window, source[2:])), groups, window
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions(name, groups, seed):
    check_random(convolution(name, groups), ("float32", "float32"), seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_depthwise_convolutions(dtype, seed):
    check_random(convolution("dilated", depthwise=True), (dtype, dtype), seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["padded", "strided", "far"])
@pytest.mark.parametrize("points", [("128", "3"), ("F0", "7")])
def test_padding_of_quantised_convolutions_contributes_nothing(name, points, seed):
    expression = quantised(convolution(name), points)
    check_random(expression, ("uint8", "int8", "uint8")[: len(expression.inputs)], seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_padding_contributes_nothing_whatever_is_subtracted_per_channel(seed):
    plain = convolution("padded")
    point = Operand("F0", (Dim((("c", 1),), 4),), True)
    body = (
        ScalarStep("Sub", ("I", "F0"), (("as", "int32"),)),
        ScalarStep("Mul", ("s0", "K"), (("as", "int32"),)),
    )
    expression = changed(plain, inputs=(*plain.inputs, point), body=body)
    check_random(expression, ("uint8", "int8", "uint8"), seed)


def backwards(kernel: str, body: Sequence[ScalarStep], operation: str) -> TensorExpression:
    """C[h, w] over I[h - kh + 1, 2 w - kh] and K[kh, kw]; both dimensions leave the tensor."""
    axes = (
        Axis("h", 6, "out_spatial"),
        Axis("w", 5, "out_spatial"),
        Axis("kh", 4, "kernel", True),
        Axis("kw", 2, "kernel", True),
    )
    first = Dim((("h", 1), ("kh", -1)), 5, 1)
    second = Dim((("kh", -1), ("w", 2), ("kw", 1)), 8)
    kh, kw = Dim((("kh", 1),), 4), Dim((("kw", -1),), 2, 1)
    out = (Dim((("h", 1),), 6), Dim((("w", 1),), 5))
    inputs = (Operand("I", (first, second)), Operand("K", (kh, kw)))
    inputs = inputs if any("K" in step.inputs for step in body) else inputs[:1]
    return TensorExpression(kernel, axes, inputs, Operand("O", out), tuple(body), operation)


@pytest.mark.parametrize("seed", range(8))
def test_windows_that_run_backwards(seed):
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((5, 8))
    expression = backwards("conv", [ScalarStep("Mul", ("I", "K"))], "sum")
    check(expression, [image, rng.standard_normal((4, 2))], seed)
    expression = backwards("reduce", [ScalarStep("Exp", ("I",))], "max")
    check(expression, [image], seed)


@pytest.mark.parametrize("seed", range(8))
def test_the_points_of_a_mean_are_those_inside_in_all_dimensions(seed):
    image = np.random.default_rng(seed).standard_normal((5, 8))
    with np.errstate(all="ignore"):  # some windows have no point inside
        check(backwards("pool", [ScalarStep("Identity", ("I",))], "mean"), [image], seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("operation", ["max", "min", "mean", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_pools(name, operation, dtype, seed):
    window = WINDOWS["padded" if name == "far" else name]
    shape = (2, 3, 9, 10)
    pooled = (*shape[:2], *target(window, shape[2:]))
    expression = pool_expression(shape, pooled, window, operation)
    if dtype == "int8" and operation == "mean":
        dtype = "float64"  # a mean of integers is tested below, the twin's is not ONNX's
    rng = np.random.default_rng(seed)
    check(expression, [data(dtype, shape, rng)], seed)


def test_windows_that_lie_in_the_padding_as_a_whole():
    expression = pool_expression((1, 1, 4, 4), (1, 1, 8, 8), WINDOWS["far"], "max")
    far = Window((2, 2), (1, 1), (1, 1), (3, 3), (3, 3))
    expression = pool_expression((1, 1, 4, 4), (1, 1, 9, 9), far, "max")
    for dtype, lowest in (("float32", -np.inf), ("int8", -128)):
        array = np.full((1, 1, 4, 4), 5).astype(dtype)
        rng = np.random.default_rng(0)
        got = run_tiled(expression, [array], (1, 1, 9, 9), rng)
        assert got[0, 0, 0, 0] == lowest
        assert got[0, 0, 4, 4] == 5


# Reductions


def reduction(
    operation: str | None,
    body: Sequence[ScalarStep] = (ScalarStep("Identity", ("A",)),),
    operands: Sequence[str] = ("acbd",),
    lengths: Sequence[int] = (5, 4, 6, 3),
    reduced: str = "bd",
) -> TensorExpression:
    """Operands A, B, ... along the axes a, b, c, d their texts name; F0, ... after a space."""
    axes = tuple(
        Axis(name, length, "reduced" if name in reduced else "parallel", name in reduced)
        for name, length in zip("abcd", lengths, strict=True)
    )
    size = {axis.name: axis.length for axis in axes}

    def dims(names: str) -> tuple[Dim, ...]:
        return tuple(Dim(((name, 1),), size[name]) for name in names)

    inputs = tuple(Operand(n, dims(text)) for n, text in zip("ABDE", operands, strict=False))
    kept = "".join(name for name in "abcd" if name not in reduced)
    return TensorExpression(
        "reduce", axes, inputs, Operand("C", dims(kept)), tuple(body), operation
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("operation", ["sum", "max", "min", "mean", "prod"])
@pytest.mark.parametrize("dtype", [*FLOATS, "bfloat16"])
def test_reductions_of_floats(operation, dtype, seed):
    expression, rng = reduction(operation), np.random.default_rng(seed)
    array = data(dtype, shapes(expression)[0], rng)
    wide = graph_numpy.compute(expression, [array.astype(np.float64)], (5, 6))
    agree(run_tiled(expression, [array], (5, 6), rng, most=3), wide.astype(dtype_of(dtype)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("operation", ["sum", "max", "min", "prod"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
def test_reductions_of_integers(operation, dtype, seed):
    check_random(reduction(operation), (dtype,), seed)


@pytest.mark.parametrize("operation", ["sum", "max", "min"])
def test_reductions_of_truth_values(operation):
    rng = np.random.default_rng(0)
    array = np.asarray(rng.random((5, 6, 4, 3)) < (0.9 if operation == "min" else 0.1))
    expression = reduction(operation)
    for seed in SEEDS:
        want = (np.all if operation == "min" else np.any)(array, axis=(2, 3))
        agree(run_tiled(expression, [array], (5, 6), np.random.default_rng(seed)), want)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mean_of_integers_is_rounded_towards_zero(seed):
    rng = np.random.default_rng(seed)
    array = rng.integers(-(2**31), 2**31, (5, 6, 4, 3)).astype(np.int32)
    exact = np.array([[sum(map(int, row.ravel())) for row in rows] for rows in array])
    want = (np.sign(exact) * (np.abs(exact) // 12)).astype(np.int32)
    agree(run_tiled(reduction("mean"), [array], (5, 6), rng), want)


def test_nan_and_infinity_are_data():
    array = np.random.default_rng(0).standard_normal((5, 6, 4, 3)).astype(np.float32)
    array[0, 0, 0, 0], array[1, 1, 3, 2], array[2, 2] = np.nan, np.inf, -np.inf
    for operation in ("sum", "max", "min", "mean"):
        for seed in SEEDS:
            check(reduction(operation), [array], seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("operation", ["sum", "max", "mean"])
def test_reductions_of_what_several_operands_make(operation, seed):
    body = [
        ScalarStep("Greater", ("A", "B")),
        ScalarStep("Where", ("s0", "D", "0.5")),
        ScalarStep("Mul", ("s1", "A")),
    ]
    expression = reduction(operation, body, ["abc", "bd", "d"])
    check_random(expression, ("float32",) * 3, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_squares_are_not_taken_for_a_product_of_two_operands(seed):
    expression = reduction("sum", [ScalarStep("Mul", ("A", "A"))])
    check_random(expression, ("float32",), seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_value_that_lacks_a_reduced_axis_counts_once_per_point(seed):
    expression = reduction("sum", operands=["acb"])
    check_random(expression, ("int64",), seed)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "int8", "float16"])
def test_positions_of_extremes(op, last, dtype, seed):
    step = ScalarStep(op, ("A",), (("select_last_index", last),))
    expression = reduction("max" if op == "ArgMax" else "min", [step], reduced="b")
    rng = np.random.default_rng(seed)
    array = rng.integers(-1, 2, (5, 6, 4, 3)).astype(dtype)  # many ties
    if dtype != "int8":
        array[0, :, 1, :] = np.nan
        array[1, 0, :, :] = np.inf if op == "ArgMin" else -np.inf
        array[2, 0, 1:3, 0] = np.nan
    check(expression, [array], seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_finished_sum_is_rounded_before_its_epilogue(seed):
    plain = reduction("sum")
    steps = (ScalarStep("Sub", ("acc", "F0")), ScalarStep("Mul", ("s1", "s1")))
    bias = Operand("F0", (Dim((("c", 1),), 6),), True)
    expression = changed(plain, inputs=(*plain.inputs, bias), epilogue=steps)
    rng = np.random.default_rng(seed)
    array = (rng.standard_normal((5, 6, 4, 3)) * 3).astype(np.float16)
    scale = array.astype(np.float64).sum(axis=(2, 3)).astype(np.float16)
    want = np.square(scale - scale[0])
    got = run_tiled(expression, [array, scale[0]], (5, 6), rng)
    np.testing.assert_array_equal(got, want)


# Gathers


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "bool", "int8", "bfloat16"])
@pytest.mark.parametrize(("axis", "index"), [(0, (4, 3)), (1, (5,)), (2, ()), (1, (2, 1, 3))])
def test_gather(axis, index, dtype, seed):
    table, rng = (7, 6, 5), np.random.default_rng(seed)
    values = data(dtype, table, rng)
    places = rng.integers(-table[axis], table[axis], index)
    want = np.take(values, places, axis=axis)
    expression = gather_expression(table, index, axis)
    agree(run_tiled(expression, [values, places], want.shape, rng, most=4), want)


def test_gathered_bits_are_those_of_the_table():
    bits = np.array([0x7FC00001, 0xFFC12345, 0x80000000, 0x00000001, 0x7F800000], np.uint32)
    table, index = bits.view(np.float32).reshape(5, 1), np.array([4, 0, -3, 1, 2, 3])
    expression = gather_expression((5, 1), (6,), 0)
    for seed in range(8):
        got = run_tiled(expression, [table, index], (6, 1), np.random.default_rng(seed), most=4)
        np.testing.assert_array_equal(got.view(np.uint32)[:, 0], bits[index])


def gather_nd(batch: int, width: int, table: Sequence[int], index: Sequence[int]):
    """The expression of a GatherND: index tuples of `width` along the index's last dimension."""
    i = [Axis(f"i{d}", n, "index") for d, n in enumerate(index)]
    v = [Axis(f"v{d}", n, "table", True) for d, n in enumerate(table[batch : batch + width])]
    e = [Axis(f"e{d}", n, "element") for d, n in enumerate(table[batch + width :])]

    def dims(axes: Sequence[Axis]) -> tuple[Dim, ...]:
        return tuple(Dim(((axis.name, 1),), axis.length) for axis in axes)

    entry = Dim((), width, 0, True)
    return TensorExpression(
        "gather",
        (*i, *v, *e),
        (Operand("T", dims((*i[:batch], *v, *e))), Operand("X", (*dims(i), entry))),
        Operand("C", dims((*i, *e))),
        (ScalarStep("Gather", ("T", "X")),),
        "sum",
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("batch", "width"), [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1)])
def test_gather_of_index_tuples(batch, width, seed):
    table, rng = (3, 4, 5, 2), np.random.default_rng(seed)
    index = (*table[:batch], 4)
    values = data("float32", table, rng)
    selected = table[batch : batch + width]
    places = np.stack([rng.integers(-n, n, index) for n in selected], axis=-1)
    grids = np.ix_(*(np.arange(n) for n in index[:batch])) if batch else ()
    parts = tuple(places[..., d] for d in range(width))
    grids = tuple(g.reshape(*g.shape, 1) for g in grids)
    want = values[(*grids, *parts)]
    expression = gather_nd(batch, width, table, index)
    agree(run_tiled(expression, [values, places], want.shape, rng, most=3), want)


@pytest.mark.parametrize("seed", range(8))
def test_gather_of_single_elements(seed):
    axes = (Axis("i0", 4, "index"), Axis("i1", 3, "index"), Axis("v", 6, "table", True))
    i, j, v = Dim((("i0", 1),), 4), Dim((("i1", 1),), 3), Dim((("v", 1),), 6)
    rng = np.random.default_rng(seed)
    expression = TensorExpression(
        "gather", axes, (Operand("T", (v, j)), Operand("X", (i, j))), Operand("C", (i, j)),
        (ScalarStep("Gather", ("T", "X")),), "sum",
        (ScalarStep("Add", ("acc", "0.5")),),
    )  # fmt: skip
    table, places = data("float32", (6, 3), rng), rng.integers(0, 6, (4, 3))
    want = np.take_along_axis(table, places, axis=0) + np.float32(0.5)
    agree(run_tiled(expression, [table, places], (4, 3), rng, most=3), want)


# Row-wise and pointwise operators, fallbacks


def over_rows(body: Sequence[ScalarStep], kernel: str = "rowwise") -> TensorExpression:
    """C[a, c, n] from A[a, n, c], scaled by F0[n] and moved by F1[a] after the body."""
    role = "normalised" if kernel == "rowwise" else "parallel"
    axes = (Axis("a", 5, "parallel"), Axis("n", 7, role), Axis("c", 6, "parallel"))
    a, n, c = (Dim(((axis.name, 1),), axis.length) for axis in axes)
    inputs = (Operand("A", (a, n, c)), Operand("F0", (n,), True), Operand("F1", (a,), True))
    after = (
        ScalarStep("Mul", ("acc", "F0")),
        ScalarStep("Add", (f"s{len(body)}", "F1")),
    )
    return TensorExpression(kernel, axes, inputs, Operand("C", (a, c, n)), tuple(body), None, after)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("steps", [softmax_steps(), layer_norm_steps("1e-05")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows(steps, dtype, seed):
    check_random(over_rows(steps), (dtype,) * 3, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_running_sums_along_rows(seed):
    steps = [ScalarStep("CumSum", ("A",), (("exclusive", 1), ("reverse", 1)))]
    check_random(over_rows(steps), ("float64",) * 3, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_pointwise_steps(seed):
    steps = [ScalarStep("Exp", ("A",)), ScalarStep("Div", ("A", "s0"))]
    check_random(over_rows(steps, "pointwise"), ("float32",) * 3, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_epilogue_may_read_values_of_the_body(seed):
    steps = [ScalarStep("Exp", ("A",)), ScalarStep("Div", ("A", "s0"))]
    plain = over_rows(steps, "pointwise")
    after = (ScalarStep("Mul", ("acc", "s0")), ScalarStep("Sub", ("s2", "A")))
    check_random(changed(plain, epilogue=after), ("float32",) * 3, seed)


def test_an_operator_without_dimensions():
    expression = TensorExpression(
        "pointwise", (), (Operand("A", ()),), Operand("C", ()), (ScalarStep("Neg", ("A",)),)
    )
    windows = {"A": np.float32([2, 3])}
    (value,) = contribution(Tile(expression, {}, {}, {}), windows)
    assert value.tolist() == [-2, -3]
    assert finish(Tile(expression, {}, {}, {}), (value,), {}).tolist() == [-2, -3]


def falling_back(
    op: str, attributes: dict[str, object], shape: Sequence[int], result: Sequence[int]
):
    """A fallback operator of one input."""
    sizes = [*shape, *result]
    axes = tuple(Axis(f"w{d}", n, "whole") for d, n in enumerate(sizes))
    dims = tuple(Dim(((axis.name, 1),), axis.length) for axis in axes)
    items = tuple(sorted({"output": 0, "opset": 20, "passes": 1, **attributes}.items()))
    return TensorExpression(
        "fallback", axes, (Operand("A", dims[: len(shape)]),), Operand("C", dims[len(shape) :]),
        (ScalarStep(op, ("A",), items),),
    )  # fmt: skip


def test_fallbacks_are_evaluated_by_onnx():
    matrix = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    expression = falling_back("Det", {}, (3, 3), ())
    np.testing.assert_allclose(fallback(expression, {"A": matrix}), np.linalg.det(matrix), 1e-5)
    expression = falling_back("Flatten", {"attribute.axis": 0}, (3, 3), (1, 9))
    assert fallback(expression, {"A": matrix}).shape == (1, 9)
    expression = falling_back("ReduceSum", {"opset": 11, "attribute.axes": "[1]"}, (3, 3), (3, 1))
    got = fallback(expression, {"A": matrix})
    np.testing.assert_allclose(got, matrix.sum(axis=1, keepdims=True), rtol=1e-6)


def test_a_fallback_that_cannot_be_evaluated_is_an_error():
    array = {"A": np.array([1, 0, 2, 0], np.float32)}
    with pytest.raises(UnsupportedOperatorError, match=r"NoSuchThing(.|\n)*not verified"):
        fallback(falling_back("NoSuchThing", {}, (4,), (4,)), array)
    with pytest.raises(UnsupportedOperatorError, match=r"\[1, 2\].*\[1, 4\] was planned"):
        fallback(falling_back("NonZero", {}, (4,), (1, 4)), array)


# Tiles


def test_cores_in_parts_yield_the_same(monkeypatch):
    cases = [
        (convolution("padded"), ("float32", "float32")),
        (reduction("mean", [ScalarStep("Mul", ("A", "A"))]), ("float32",)),
        (reduction("max", [ScalarStep("ArgMax", ("A",))], reduced="b"), ("float32",)),
    ]
    for expression, dtypes in cases:
        rng = np.random.default_rng(0)
        tile = whole(expression, 5)
        pairs = zip(dtypes, shapes(expression), strict=True)
        arrays = [data(dtype, shape, rng) for dtype, shape in pairs]
        windows = {
            operand.name: cut_window(operand, array, tile, rng) * np.arange(1, 6).reshape(
                -1, *[1] * array.ndim
            ).astype(array.dtype)
            for operand, array in zip(expression.inputs, arrays, strict=True)
        }  # fmt: skip
        want = contribution(tile, windows)
        with monkeypatch.context() as patch:
            patch.setattr("t10c.execute.products.CHUNK_BYTES", 1)
            patch.setattr("t10c.execute.kernels.CHUNK_BYTES", 1)
            got = contribution(tile, windows)
        for one, other in zip(got, want, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


def whole(expression: TensorExpression, cores: int) -> Tile:
    """The whole iteration space, on every core."""
    length = {axis.name: axis.length for axis in expression.axes}
    return Tile(
        expression,
        {name: np.zeros(cores, np.int64) for name in length},
        length,
        {name: np.full(cores, n) for name, n in length.items()},
    )


def test_a_core_whose_share_is_empty_adds_nothing():
    for operation, start in (("sum", 0), ("max", -np.inf), ("min", np.inf), ("prod", 1)):
        expression = reduction(operation)
        tile = whole(expression, 2)
        stop = {**tile.stop, "b": np.array([4, 0])}
        tile = Tile(expression, tile.start, tile.length, stop)
        array = np.ones((2, 5, 6, 4, 3), np.float32)
        array[1] = np.nan
        (value,) = contribution(tile, {"A": array})
        (neutral,) = identity(expression, value.shape, value.dtype)
        assert np.all(neutral == start)
        np.testing.assert_array_equal(value[1], neutral[1])
        np.testing.assert_array_equal(combine(expression, (neutral,), (value,))[0], value)


def test_a_tile_at_the_wrong_place_changes_the_result():
    rng = np.random.default_rng(0)
    expression = convolution("padded")
    arrays = [data("float32", shape, rng) for shape in shapes(expression)]
    tile = whole(expression, 1)
    windows = {
        operand.name: cut_window(operand, array, tile, rng)
        for operand, array in zip(expression.inputs, arrays, strict=True)
    }
    (right,) = contribution(tile, windows)
    assert np.all(np.isfinite(right))
    for axis in ("h", "kw"):
        moved = {**tile.start, axis: tile.start[axis] + 1}
        (wrong,) = contribution(Tile(expression, moved, tile.length, tile.stop), windows)
        assert not np.allclose(right, wrong)
