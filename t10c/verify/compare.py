"""How far a computed tensor is from the one that is expected."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

RTOL = 1e-3
"""Largest error of floats by default, relative to the largest expected magnitude of the tensor."""

ATOL = 1e-6
"""Errors up to this are taken for none by default: tensors of which all should be 0."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a tensor may be off: `max|got - want| <= atol + rtol * max|want|`.

    `integer_steps` is what integers may be off, which are exact otherwise: quantised values round
    by one step where two computations differ by next to nothing.
    """

    rtol: float = RTOL
    atol: float = ATOL
    integer_steps: int = 0


DEFAULT_TOLERANCE = Tolerance()


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a tensor compares; `passed` sums it up, and `problem` says in words what is wrong.

    `error` is max|got - want| over the elements that are finite on both sides, and `relative_error`
    that divided by `scale`, the largest finite |want| (0 where nothing is off). `worst` is the
    index of the largest error, with both values there as text, or of the first element of which
    only one side is finite. `off` counts the integers (or truth values) that differ at all, and
    `not_finite` the elements that are NaN or infinite where the other side is not the same.
    """

    name: str
    passed: bool
    problem: str
    elements: int
    error: float
    relative_error: float
    scale: float
    worst: tuple[int, ...]
    got: str
    want: str
    off: int
    not_finite: int


def compare(
    name: str, got: np.ndarray, want: np.ndarray, tolerance: Tolerance = DEFAULT_TOLERANCE
) -> Comparison:
    """Compare a tensor with what is expected of it: shape, element type, and every element.

    NaN agrees with NaN and an infinity with the same infinity.
    """
    mismatch = _mismatch(got, want)
    if mismatch:
        return Comparison(name, False, mismatch, want.size, 0.0, 0.0, 0.0, (), "", "", 0, 0)
    if want.size == 0:
        return Comparison(name, True, "", 0, 0.0, 0.0, 0.0, (), "", "", 0, 0)
    exact = _is_exact(want)
    difference, same = distances(got, want)
    comparable = np.isfinite(difference)
    strange = ~comparable & ~same
    sizes = np.where(comparable, difference, 0.0)
    error = float(sizes.max())
    scale = _scale(want)
    off = int(np.count_nonzero(~same)) if exact else 0
    flat = int(strange.argmax()) if strange.any() else int(sizes.argmax())
    worst = tuple(int(i) for i in np.unravel_index(flat, want.shape))
    limit = allowed(want, tolerance)
    problem = _problem(int(strange.sum()), error, limit, exact)
    return Comparison(
        name=name,
        passed=not problem,
        problem=problem,
        elements=want.size,
        error=error,
        relative_error=_ratio(error, scale),
        scale=scale,
        worst=worst,
        got=str(got[worst]),
        want=str(want[worst]),
        off=off,
        not_finite=int(strange.sum()),
    )


def compare_all(
    got: Mapping[str, np.ndarray],
    want: Mapping[str, np.ndarray],
    tolerance: Tolerance = DEFAULT_TOLERANCE,
) -> tuple[Comparison, ...]:
    """Compare every tensor that is expected, in that order; each must have been computed."""
    return tuple(compare(name, got[name], array, tolerance) for name, array in want.items())


def _mismatch(got: np.ndarray, want: np.ndarray) -> str:
    if got.shape != want.shape:
        return f"shape {shape_text(got.shape)} instead of {shape_text(want.shape)}"
    if got.dtype != want.dtype:
        return f"element type {got.dtype} instead of {want.dtype}"
    return ""


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as messages show it: `2x3`, or `scalar`."""
    return "x".join(map(str, shape)) if shape else "scalar"


def _is_exact(array: np.ndarray) -> bool:
    """Whether a tensor holds integers, truth values or texts, the narrow integers included."""
    return array.dtype.kind in "biuSUO" or "int" in array.dtype.name


def _wide(array: np.ndarray) -> np.ndarray:
    """Floats (also those that NumPy lacks) as numbers to subtract."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def allowed(want: np.ndarray, tolerance: Tolerance) -> float:
    """What an element may be off, of a tensor of which this is expected."""
    if _is_exact(want):
        return tolerance.integer_steps
    return tolerance.atol + tolerance.rtol * _scale(want)


def _scale(want: np.ndarray) -> float:
    """The largest magnitude of a tensor's finite elements, 0 without any."""
    expected = want if _is_exact(want) else _wide(want)
    if want.size == 0 or want.dtype.kind in "SUO":
        return 0.0
    return float(np.abs(np.where(np.isfinite(expected), expected, 0)).astype(np.float64).max())


def distances(got: np.ndarray, want: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|got - want| of every element as float64, and which elements are the same.

    Both have one shape and type.
    """
    if not _is_exact(want):
        got, want = _wide(got), _wide(want)
    if got.dtype.kind in "SUO":
        same = np.asarray(got == want)
        return np.where(same, 0.0, np.inf), same
    if _is_exact(got):
        if "int4" in got.dtype.name or "int2" in got.dtype.name:
            got, want = got.astype(np.int8), want.astype(np.int8)
        # float64 can hide a difference of two large integers, but not that there is one
        same = got == want
        apart = np.abs(got.astype(np.float64) - want.astype(np.float64))
        return np.where(same, 0.0, np.maximum(apart, 1.0)), same
    with np.errstate(invalid="ignore", over="ignore"):
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        return np.where(same, 0.0, np.abs(got - want)), same


def _ratio(error: float, scale: float) -> float:
    if error == 0:
        return 0.0
    return error / scale if scale else float("inf")


def _problem(strange: int, error: float, limit: float, exact: bool) -> str:
    if strange:
        return f"{strange} element{'s are' if strange > 1 else ' is'} NaN or infinite on one side"
    if error <= limit:
        return ""
    if exact:
        return f"integers are off by up to {error:.0f}"
    return f"off by up to {error:.3g}, which is more than {limit:.3g}"
