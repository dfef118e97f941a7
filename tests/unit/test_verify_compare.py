"""Comparing computed with expected tensors: what counts as equal, and what is said if not."""

import ml_dtypes
import numpy as np
import pytest

from t10c.verify.compare import Tolerance, compare, compare_all

WANT = np.array([[1.0, -4.0], [0.5, 2.0]], np.float32)


def changed(value: float, at: tuple[int, ...] = (1, 0), array: np.ndarray = WANT) -> np.ndarray:
    copy = array.copy()
    copy[at] = value
    return copy


def test_equal_tensors():
    found = compare("y", WANT.copy(), WANT)
    assert (found.passed, found.error, found.relative_error, found.scale) == (True, 0, 0, 4)
    assert found.problem == ""


def test_error_is_relative_to_the_largest_magnitude():
    found = compare("y", changed(0.5 + 0.002), WANT)
    assert found.passed
    assert found.relative_error == pytest.approx(0.002 / 4, rel=1e-4)
    found = compare("y", changed(0.5 + 0.008), WANT)
    assert not found.passed
    assert (found.worst, found.want) == ((1, 0), "0.5")
    assert float(found.got) == pytest.approx(0.508)
    assert "off by up to 0.008, which is more than 0.004" in found.problem


def test_tolerances_are_the_callers():
    assert not compare("y", changed(0.502), WANT, Tolerance(rtol=1e-4)).passed
    assert compare("y", changed(0.6), WANT, Tolerance(rtol=0, atol=0.11)).passed


def test_a_tensor_that_should_be_zero():
    zero = np.zeros(3, np.float32)
    assert not compare("y", np.full(3, 1e-3, np.float32), zero).passed
    assert compare("y", np.full(3, 1e-7, np.float32), zero).passed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_on_one_side(value):
    for got, want in ((changed(value), WANT), (WANT, changed(value))):
        found = compare("y", got, want, Tolerance(rtol=1e9, atol=1e9))
        assert not found.passed
        assert (found.not_finite, found.worst) == (1, (1, 0))
        assert found.problem == "1 element is NaN or infinite on one side"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_same_on_both_sides_agrees(value):
    found = compare("y", changed(value), changed(value))
    assert (found.passed, found.not_finite, found.scale) == (True, 0, 4)


def test_infinities_of_other_sign_and_nan_differ():
    assert not compare("y", changed(np.inf), changed(-np.inf)).passed
    assert not compare("y", changed(np.inf), changed(np.nan)).passed


def test_shape_and_type():
    assert "shape 4 instead of 2x2" in compare("y", WANT.reshape(4), WANT).problem
    found = compare("y", WANT.astype(np.float64), WANT)
    assert (found.passed, found.problem) == (False, "element type float64 instead of float32")


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, ml_dtypes.int4])
def test_integers_are_exact_unless_a_step_is_allowed(dtype):
    want = np.array([1, 2, 3], dtype)
    got = np.array([1, 3, 3], dtype)
    found = compare("y", got, want)
    assert (found.passed, found.off, found.error) == (False, 1, 1)
    assert "integers are off by up to 1" in found.problem
    found = compare("y", got, want, Tolerance(integer_steps=1))
    assert (found.passed, found.off) == (True, 1)
    assert not compare("y", np.array([1, 4, 3], dtype), want, Tolerance(integer_steps=1)).passed


def test_unsigned_integers_do_not_wrap():
    found = compare("y", np.array([0], np.uint8), np.array([255], np.uint8))
    assert (found.passed, found.error) == (False, 255)


def test_neighbouring_large_integers_differ():
    want = np.array([2**60], np.int64)
    assert not compare("y", want + 1, want).passed


def test_truth_values():
    want = np.array([True, False])
    assert compare("y", want.copy(), want).passed
    found = compare("y", ~want, want)
    assert (found.passed, found.off) == (False, 2)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_short_floats(dtype):
    want = np.array([1.0, 2.0], dtype)
    assert compare("y", want.copy(), want).passed
    assert not compare("y", np.array([1.0, 2.5], dtype), want).passed


def test_empty_tensors_and_scalars():
    assert compare("y", np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)).passed
    found = compare("y", np.float32(1) * np.ones(()), np.float32(2) * np.ones(()))
    assert (found.passed, found.worst) == (False, ())


def test_all_expected_tensors_are_compared():
    found = compare_all({"b": WANT, "a": WANT, "c": WANT}, {"a": WANT, "b": changed(9.0)})
    assert [(each.name, each.passed) for each in found] == [("a", True), ("b", False)]
