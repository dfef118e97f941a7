"""Fits the cost models of conv and pool to measured samples, with cross-validated error.

Least absolute relative error, coefficients at least 0: the fit is positive and monotone wherever
its features (fits.py) are. Samples that no core can have produced, or that contradict others, are
removed by a stated rule first.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t10c.errors import InvalidInputError
from t10c.hardware import fits
from t10c.hardware.samples import FEWEST_SAMPLES, Samples

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CONTRADICTION_MARGIN = 0.10
FOLDS = 5
SEEDS = (0, 1, 2, 3, 4)

CLEANING_RULE = (
    "removed: samples above the peak rate; then, one at a time, the sample in most contradictions "
    f"(slower by more than {CONTRADICTION_MARGIN:.0%} than a sample with at least as much of "
    "everything) until none is left"
)
FOLD_RULE = (
    f"{FOLDS} folds of the remaining samples shuffled by numpy default_rng(seed), sample i of the "
    f"shuffle in fold i mod {FOLDS}; mean over seeds {SEEDS[0]}-{SEEDS[-1]}"
)

_REWEIGHTINGS = 15
_SMALLEST_ERROR = 0.02  # errors below are weighted alike: keeps the reweighting finite
_DIGITS = 6


@dataclass(frozen=True)
class Calibration:
    """A fit and how good it is; errors are mean absolute percentage errors (MAPE)."""

    kernel: str
    coefficients: tuple[tuple[str, float], ...]
    sample_count: int
    impossible_count: int
    contradictory_count: int
    fitted_mape: float
    cross_validated_mape: float
    all_samples_mape: float


def calibrate(samples: Samples, peak_macs_per_cycle: float = 64.0) -> Calibration:
    """Clean the samples, fit the kernel's features and cross-validate the fit.

    Raises InvalidInputError if too few samples are left by the cleaning.
    """
    possible = _possible(samples, peak_macs_per_cycle)
    kept = _without_contradictions(samples.tiles, samples.cycles, possible)
    if kept.sum() < FEWEST_SAMPLES:
        raise InvalidInputError(
            f"only {kept.sum()} of {len(kept)} samples are consistent; at least "
            f"{FEWEST_SAMPLES} are needed\nmeasure more tiles, and those of the others again"
            f" ({CLEANING_RULE})"
        )
    names, features = _features(samples)
    floor = np.zeros_like(samples.cycles)
    fixed: tuple[tuple[str, float], ...] = ()
    if samples.kernel == "conv":
        floor = samples.tiles.prod(axis=1) / peak_macs_per_cycle
        fixed = (("peak_macs_per_cycle", peak_macs_per_cycle),)
    cycles = samples.cycles
    solution = np.array([float(f"{x:.{_DIGITS}g}") for x in _fit(features[kept], cycles[kept])])
    predicted = np.maximum(features @ solution, floor)
    errors = np.abs(predicted / cycles - 1)
    validated = [_fold_errors(features[kept], cycles[kept], floor[kept], seed) for seed in SEEDS]
    return Calibration(
        kernel=samples.kernel,
        coefficients=fixed + tuple((n, float(x)) for n, x in zip(names, solution, strict=True)),
        sample_count=len(cycles),
        impossible_count=int((~possible).sum()),
        contradictory_count=int((possible & ~kept).sum()),
        fitted_mape=100 * float(errors[kept].mean()),
        cross_validated_mape=100 * float(np.mean(validated)),
        all_samples_mape=100 * float(errors.mean()),
    )


def _features(samples: Samples) -> tuple[list[str], Array]:
    columns = samples.tiles.T
    table = (
        fits.conv_features(*columns) if samples.kernel == "conv" else fits.pool_features(*columns)
    )
    return list(table), np.stack(list(table.values()), axis=1)


def _possible(samples: Samples, peak_macs_per_cycle: float) -> Mask:
    """Whether each sample's rate is one that the core can reach; pooling has no MAC."""
    if samples.kernel != "conv":
        return np.ones(len(samples.cycles), dtype=bool)
    possible: Mask = samples.tiles.prod(axis=1) <= peak_macs_per_cycle * samples.cycles
    return possible


def _without_contradictions(tiles: Array, cycles: Array, possible: Mask) -> Mask:
    """The samples left when no two contradict each other; ties go to the earlier line."""
    less_work = np.ones((len(cycles), len(cycles)), dtype=bool)
    for column in tiles.T:
        less_work &= column[:, None] <= column[None, :]
    slower = cycles[:, None] > (1 + CONTRADICTION_MARGIN) * cycles[None, :]
    contradiction = less_work & slower & possible[:, None] & possible[None, :]
    contradiction |= contradiction.T
    counts = contradiction.sum(axis=1)
    kept = possible.copy()
    while counts.max() > 0:
        worst = int(counts.argmax())
        kept[worst] = False
        counts -= contradiction[worst]
        counts[worst] = 0
        contradiction[worst, :] = contradiction[:, worst] = False
    return kept


def _fold_errors(features: Array, cycles: Array, floor: Array, seed: int) -> float:
    """MAPE (as a fraction) of samples predicted by a fit to the other folds."""
    fold = np.empty(len(cycles), dtype=int)
    fold[np.random.default_rng(seed).permutation(len(cycles))] = np.arange(len(cycles)) % FOLDS
    predicted = np.empty_like(cycles)
    for k in range(FOLDS):
        inside = fold == k
        solution = _fit(features[~inside], cycles[~inside])
        predicted[inside] = np.maximum(features[inside] @ solution, floor[inside])
    return float(np.abs(predicted / cycles - 1).mean())


def _fit(features: Array, cycles: Array) -> Array:
    """Coefficients >= 0 of least absolute relative error, by iterative reweighting."""
    relative = features / cycles[:, None]
    weights = np.ones_like(cycles)
    solution = np.zeros(features.shape[1])
    for _ in range(_REWEIGHTINGS):
        solution = nonnegative_least_squares(relative * weights[:, None], weights)
        errors = np.abs(relative @ solution - 1)
        weights = 1 / np.sqrt(np.maximum(errors, _SMALLEST_ERROR))
    return solution


def nonnegative_least_squares(matrix: Array, target: Array) -> Array:
    """x >= 0 of least |matrix x - target| (Lawson and Hanson 1974, algorithm NNLS)."""
    scale = np.sqrt((matrix * matrix).sum(axis=0))
    scale[scale == 0] = 1.0
    scaled = matrix / scale
    x = np.zeros(scaled.shape[1])
    active = np.zeros(len(x), dtype=bool)  # the coefficients that may be positive
    tolerance = 1e-12 * float(np.abs(scaled.T @ target).max(initial=1.0))
    for _ in range(10 * len(x)):
        gradient = np.where(active, -np.inf, scaled.T @ (target - scaled @ x))
        entering = int(gradient.argmax())
        if gradient[entering] <= tolerance:
            break
        active[entering] = True
        x = _solve_active(scaled, target, x, active)
    return np.asarray(x / scale, dtype=np.float64)


def _solve_active(matrix: Array, target: Array, x: Array, active: Mask) -> Array:
    """Least squares over `active` (shrunk in place), stepping back where x would turn negative."""
    while True:
        candidate = np.zeros_like(x)
        candidate[active] = np.linalg.lstsq(matrix[:, active], target, rcond=None)[0]
        negative = active & (candidate <= 0)
        if not negative.any():
            return candidate
        step = float((x[negative] / (x[negative] - candidate[negative])).min())
        x = x + step * (candidate - x)
        active &= x > 1e-15
        x[~active] = 0.0
