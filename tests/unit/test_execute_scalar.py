"""Scalar steps on arrays: the numbers and types of ONNX, as its reference evaluator has them."""

import math
import warnings

import graph_numpy
import numpy as np
import pytest

from t10c.errors import UnsupportedOperatorError
from t10c.execute.element_types import dtype_of
from t10c.execute.functions import FUNCTIONS
from t10c.execute.scalar import apply_steps
from t10c.ir.expression import Axis, Operand, ScalarStep, TensorExpression

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "uint8", "int32", "int64", "uint64")
SPECIAL = (0.0, -0.0, math.nan, math.inf, -math.inf, 1e-3, -1e-3, 0.5, -0.5, 1.5, 2.5, -2.5, 90.0)

ALPHA = (("alpha", 0.3125),)
OF_FLOATS = {
    **dict.fromkeys(
        ("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp"), ()
    ),
    **dict.fromkeys(("Floor", "IsNaN", "Log", "Reciprocal", "Relu", "Round", "Sigmoid"), ()),
    **dict.fromkeys(("Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh"), ()),
    **dict.fromkeys(("HardSwish", "Mish", "Abs", "Neg", "Sign"), ()),
    **dict.fromkeys(("Celu", "Elu", "LeakyRelu", "ThresholdedRelu"), ALPHA),
    "HardSigmoid": (("alpha", 0.1875), ("beta", 0.5)),
    "Selu": (("alpha", 1.6875), ("gamma", 1.0625)),
    "Shrink": (("bias", 0.25), ("lambd", 0.5)),
    "Gelu": (("approximate", "none"),),
    "IsInf": (("detect_negative", 1), ("detect_positive", 0)),
}
OF_PAIRS = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Equal", "Greater", "GreaterOrEqual", "Less")


@pytest.fixture(autouse=True)
def no_warnings():
    """Steps print nothing; the slow twin does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def flat_expression(rank: int, normalised: tuple[int, ...] = ()) -> TensorExpression:
    axes = tuple(
        Axis(f"d{d}", 1, "normalised" if d in normalised else "parallel") for d in range(rank)
    )
    return TensorExpression("pointwise", axes, (), Operand("C", ()), ())


def twin(step: ScalarStep, arrays: list[np.ndarray], normalised: tuple[int, ...] = ()):
    env = dict(zip("ABDE", arrays, strict=False))
    inputs = [graph_numpy._input(step, name, env) for name in step.inputs]
    return graph_numpy._step(flat_expression(arrays[0].ndim, normalised), step, inputs)


def ours(step: ScalarStep, arrays: list[np.ndarray], normalised: tuple[int, ...] = ()):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return apply_steps([step], dict(zip("ABDE", arrays, strict=False)), 0, normalised)


def same(step: ScalarStep, arrays: list[np.ndarray], normalised: tuple[int, ...] = (), ulps=4.0):
    """Assert that both yield the same type and the same numbers, floats within some ulps."""
    want, got = twin(step, arrays, normalised), ours(step, arrays, normalised)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    unit = float(np.finfo(want.dtype).eps)
    np.testing.assert_allclose(
        got.astype(np.float64), want.astype(np.float64), rtol=ulps * unit, atol=ulps * unit
    )


def values(dtype: str, seed: int, *shape: int) -> np.ndarray:
    """Numbers with the special ones among them; integers of the whole range."""
    rng, kind = np.random.default_rng(seed), np.dtype(dtype)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        found = rng.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
        small = rng.integers(0, 5, shape).astype(kind)
        return np.where(rng.integers(0, 2, shape) == 1, found, small).astype(kind)
    found = rng.standard_normal(shape).astype(kind) * 3
    at = rng.integers(0, found.size, len(SPECIAL))
    found.reshape(-1)[at] = SPECIAL
    return found


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", OF_FLOATS)
def test_functions_of_floats(op, dtype):
    arrays = [values(dtype, 3, 6, 40)]
    # the twin composes some functions in 16 bits, and its Erf and HardSwish have numbers of 32
    single = op in ("Erf", "HardSwish")
    rough = {"float16": 40.0, "float32": 8.0, "float64": 1e9 if single else 16.0}
    same(ScalarStep(op, ("A",), OF_FLOATS[op]), arrays, ulps=rough[dtype])


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("op", OF_PAIRS)
def test_functions_of_two_values_that_broadcast(op, dtype):
    first, second = values(dtype, 1, 7, 1, 30), values(dtype, 2, 9, 30)
    same(ScalarStep(op, ("A", "B")), [first, second], ulps=1)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders(dtype, fmod):
    arrays = [values(dtype, 1, 50), values(dtype, 2, 50)]
    same(ScalarStep("Mod", ("A", "B"), (("fmod", fmod),)), arrays)


def test_remainders_of_floats():
    arrays = [values("float32", 1, 50), values("float32", 2, 50)]
    same(ScalarStep("Mod", ("A", "B"), (("fmod", 1),)), arrays)


def test_integers_divide_towards_zero_and_wrap():
    x, y = np.array([-7, 7, -128, 5], np.int8), np.array([2, -2, -1, 0], np.int8)
    assert ours(ScalarStep("Div", ("A", "B")), [x, y])[:3].tolist() == [-3, -3, -128]
    assert ours(ScalarStep("Add", ("A", "A")), [x]).tolist() == [-14, 14, 0, 10]
    assert ours(ScalarStep("Neg", ("A",)), [x]).tolist() == [7, -7, -128, -5]


@pytest.mark.parametrize("exponent", ["2", "3", "0.75", "-1", "1.7", "B"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_powers(dtype, exponent):
    arrays = [values(dtype, 1, 80), values(dtype, 2, 80)]
    same(ScalarStep("Pow", ("A", exponent)), arrays, ulps=2)


def test_powers_of_integers():
    x = np.array([2, -3, 7, 1], np.int32)
    same(ScalarStep("Pow", ("A", "B")), [x, np.array([10, 3, 2, 0], np.int32)])
    same(ScalarStep("Pow", ("A", "B")), [x, np.array([0.5, 2, 1.5, 9], np.float32)])
    negative = ours(ScalarStep("Pow", ("A", "B")), [x, np.array([-1, -1, 1, -5], np.int32)])
    assert negative.tolist() == [0, 0, 7, 1]


@pytest.mark.parametrize("op", ["Max", "Min", "Sum", "Mean"])
def test_any_number_of_inputs(op):
    arrays = [values("float32", seed, 4, 1, 20) for seed in range(3)]
    if op != "Mean":  # where the twin cannot broadcast
        arrays[1] = arrays[1].reshape(4, 20)
    same(ScalarStep(op, ("A", "B", "D")), arrays, ulps=2)
    same(ScalarStep(op, ("A",)), arrays, ulps=2)


@pytest.mark.parametrize("op", ["And", "Or", "Xor", "Equal"])
def test_truth_values(op):
    same(ScalarStep(op, ("A", "B")), [values("bool", 1, 20), values("bool", 2, 20)])
    same(ScalarStep("Not", ("A",)), [values("bool", 1, 20)])


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_bits(dtype):
    arrays = [values(dtype, 1, 60), values(dtype, 2, 60)]
    for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
        same(ScalarStep(op, ("A", "B")), arrays)
    same(ScalarStep("BitwiseNot", ("A",)), arrays[:1])
    arrays[1] = np.random.default_rng(0).integers(0, 40, 60).astype(dtype)
    for direction in ("LEFT", "RIGHT"):
        same(ScalarStep("BitShift", ("A", "B"), (("direction", direction),)), arrays)


@pytest.mark.parametrize(
    ("dtype", "limits"),
    [("float32", ("-0.5", "1.5")), ("float16", ("-inf", "0.1")), ("int8", ("-100", "3"))],
)
def test_limits(dtype, limits):
    same(ScalarStep("Clip", ("A", *limits)), [values(dtype, 5, 70)])
    same(ScalarStep("Clip", ("A", limits[1], limits[0])), [values(dtype, 5, 70)])


def test_choices_read_literals_in_the_type_of_the_others():
    condition, x = values("bool", 1, 30), values("float16", 2, 30)
    same(ScalarStep("Where", ("A", "B", "0.1")), [condition, x])
    same(ScalarStep("Where", ("A", "1", "0")), [condition])
    same(ScalarStep("PRelu", ("A", "B")), [x, values("float16", 3, 30)], ulps=1)


def test_literals_are_exact_in_integers():
    big = np.array([2**62 + 1], np.int64)
    step = ScalarStep("Sub", ("A", str(2**62 + 3)))
    assert ours(step, [big]).tolist() == [-2]


def test_inputs_are_read_in_the_type_a_step_names():
    arrays = [np.array([200, 255], np.uint8), np.array([100, -128], np.int8)]
    step = ScalarStep("Mul", ("A", "B"), (("as", "int32"),))
    assert ours(step, arrays).tolist() == [20000, -32640]
    same(step, arrays)
    same(ScalarStep("Sub", ("A", "128"), (("as", "float32"),)), arrays)


def test_floats_of_two_widths_meet_in_the_wider():
    arrays = [values("float16", 1, 30), values("float32", 2, 30)]
    assert ours(ScalarStep("Add", ("A", "B")), arrays).dtype == np.float32
    same(ScalarStep("Add", ("A", "B")), arrays)
    arrays[0] = arrays[0].astype(dtype_of("bfloat16"))
    same(ScalarStep("Mul", ("A", "B")), arrays)


def test_every_step_rounds_to_its_narrow_type():
    x = np.array([2048], np.float16)
    steps = [ScalarStep("Add", ("A", "1")), ScalarStep("Sub", ("s0", "A"))]
    assert apply_steps(steps, {"A": x}).tolist() == [0.0]
    kind = dtype_of("bfloat16")
    wide = np.random.default_rng(0).standard_normal(200)
    x = wide.astype(kind)
    got = ours(ScalarStep("Exp", ("A",)), [x])
    assert got.dtype == kind
    want = np.exp(x.astype(np.float64)).astype(kind)
    np.testing.assert_array_equal(got.astype(np.float32), want.astype(np.float32))


@pytest.mark.parametrize("target", ["int8", "uint8", "int64", "float16", "float32", "bool", "int4"])
def test_casts(target):
    x = np.random.default_rng(0).integers(0, 8, 40) - (0 if target[0] == "u" else 3)
    for source in ("float32", "int32", "int8", "float16"):
        same(ScalarStep("Cast", ("A",), (("to", target),)), [x.astype(source)])


@pytest.mark.parametrize("saturate", [0, 1])
def test_casts_to_8_bit_floats(saturate):
    x = np.array([1e6, -1e6, 0.3, 447.0, math.nan], np.float32)
    step = ScalarStep("Cast", ("A",), (("saturate", saturate), ("to", "float8e4m3fn")))
    want, got = twin(step, [x]), ours(step, [x])
    np.testing.assert_array_equal(got.astype(np.float32), want.astype(np.float32))
    assert np.isnan(got.astype(np.float32)[0]) == (not saturate)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_error_function_is_accurate(dtype):
    parts = [np.linspace(-7, 7, 20001), np.logspace(-30, 0, 500), -np.logspace(-300, 0, 500)]
    x = np.concatenate(parts).astype(dtype)
    want = np.array([math.erf(v) for v in x.astype(np.float64)])
    got = ours(ScalarStep("Erf", ("A",)), [x]).astype(np.float64)
    within = 1 if dtype == np.float32 else 4  # ulps; 1e-15 of 64 bits
    assert np.all(np.abs(got - want) <= within * np.spacing(np.abs(want).astype(dtype)))
    special = np.array([math.nan, math.inf, -math.inf, -0.0], dtype)
    got = ours(ScalarStep("Erf", ("A",)), [special])
    assert np.isnan(got[0])
    assert got[1:3].tolist() == [1.0, -1.0]
    assert np.signbit(got[3])


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_keeps_its_tail(approximate):
    x = np.linspace(-6, 6, 4001, dtype=np.float32)
    step = ScalarStep("Gelu", ("A",), (("approximate", approximate),))
    same(step, [x], ulps=8)
    if approximate == "none":
        want = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x.astype(np.float64)])
        got = ours(step, [x])
        np.testing.assert_allclose(got[x > -4], want[x > -4], rtol=3e-6)


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceSum", "ReduceMean"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_one_value_per_row(op, dtype):
    x = np.random.default_rng(1).standard_normal((3, 4, 5, 6)).astype(dtype)
    same(ScalarStep(op, ("A",), rows=True), [x], (1, 3))


def test_rows_keep_their_integers():
    x = np.array([[-7, 2, 2]], np.int32)
    steps = {"ReduceSum": -3, "ReduceMin": -7, "ReduceProd": -28, "ReduceMean": -1}
    for op, want in steps.items():
        got = ours(ScalarStep(op, ("A",), rows=True), [x], (1,))
        assert got.dtype == np.int32
        assert got.tolist() == [[want]]
    largest = np.full((1, 3), 2**31 - 1, np.int32)
    got = ours(ScalarStep("ReduceMean", ("A",), rows=True), [largest], (1,))
    assert got.tolist() == [[2**31 - 1]]


@pytest.mark.parametrize("op", ["CumSum", "CumProd"])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "int64", "float16"])
def test_running_totals(op, exclusive, reverse, dtype):
    x = np.random.default_rng(1).integers(-3, 4, (3, 6, 2)).astype(dtype)
    step = ScalarStep(op, ("A",), (("exclusive", exclusive), ("reverse", reverse)))
    same(step, [x], (1,))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 15])
def test_sums_of_neighbours(size):
    x = np.random.default_rng(1).standard_normal((3, 6, 2)).astype(np.float32)
    same(ScalarStep("WindowSum", ("A",), (("size", size),)), [x], (1,))


def test_steps_follow_one_another_and_count_on():
    env = {"acc": np.float32([1, 4, 9]), "F0": np.float32([1])}
    steps = [ScalarStep("Sqrt", ("acc",)), ScalarStep("Add", ("s2", "F0"))]
    assert apply_steps(steps, env, 2).tolist() == [2, 3, 4]
    assert env["s3"].tolist() == [2, 3, 4]
    assert apply_steps([], {"acc": np.float32([5])}).tolist() == [5]


def test_other_operators_are_evaluated_by_onnx():
    assert "Erf" not in FUNCTIONS
    step = ScalarStep("Erf", ("A",))
    same(step, [np.arange(-3, 4, dtype=np.int32)])
    same(ScalarStep("Swish", ("A",), ALPHA), [values("float32", 1, 30)])


def test_an_unknown_operator_is_an_error():
    with pytest.raises(UnsupportedOperatorError, match="NoSuchThing"):
        ours(ScalarStep("NoSuchThing", ("A",)), [np.ones(3)])
