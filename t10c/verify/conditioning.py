"""How far a model amplifies rounding: what the last bits of its numbers do to its own results.

Where a quantised value lies half-way between two codes, or a recurrence is chaotic, two correct
computations differ by far more than rounding. No comparison can tell a wrong plan from a right one
there, but ONNX Runtime with its weights and inputs moved by one unit in the last place may round as
the plan does: then the plan computes what the model says for numbers that nobody can tell from the
given.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from t10c.verify.compare import Comparison, Tolerance, allowed, compare, distances
from t10c.verify.session import Session
from t10c.verify.tensors import array_of, file_tensors, replace_data

NUDGES = 8
"""Runs with numbers moved in other directions: a value half-way is tipped over in half of them."""

_FAR = 4
"""Neighbours that numbers are moved by at most: their last two bits."""

_UNDECIDED = 0.1
"""Share of an output's elements that the last bits may decide, each for itself."""

_MARGIN = 2
"""An error of up to this many times what the last bits do is put down to them."""


@dataclass(frozen=True)
class Conditioning:
    """What the last bits of weights and inputs do to ONNX Runtime's own values.

    `changes` is the largest change of a value, by inference and name; integers count in steps.
    `agreeing` has, by inference, the comparisons of all outputs with runs whose numbers were moved
    by their last bits, where all of them pass: with one run, or each element with the nearest of
    what the runs have there.
    """

    changes: Mapping[tuple[int, str], float]
    agreeing: Mapping[int, tuple[Comparison, ...]]

    def explains(self, inference: int, comparison: Comparison) -> bool:
        """Whether an error is no larger than what those last bits do."""
        change = self.changes.get((inference, comparison.name), 0.0)
        return 0 < comparison.error <= _MARGIN * change


NOTHING_MOVED = Conditioning({}, {})


def condition(
    proto: onnx.ModelProto,
    feeds: Iterable[Mapping[str, np.ndarray]],
    wanted: tuple[str, ...],
    outputs: Mapping[int, Mapping[str, np.ndarray]],
    tolerance: Tolerance,
    file_from_bytes: int,
) -> Conditioning:
    """Run ONNX Runtime with weights and inputs moved by their last bits, again and again.

    `proto` has all weights; they are moved in place. `wanted` are values whose change is of
    interest, `outputs` what the plan made of inferences (by number) in which any of them differ.
    """
    inputs = list(feeds)
    names = tuple(dict.fromkeys((*wanted, *(n for made in outputs.values() for n in made))))
    expected = _results(proto, inputs, names, file_from_bytes)
    original = [(t, array_of(t)) for t in file_tensors(proto) if _is_float(t)]
    changes = {(number, name): 0.0 for number in range(len(inputs)) for name in wanted}
    agreeing: dict[int, tuple[Comparison, ...]] = {}
    ties = {number: _Ties(made, expected[number], tolerance) for number, made in outputs.items()}
    for seed in range(NUDGES):
        for count, (tensor, values) in enumerate(original):
            replace_data(tensor, _nudged(values, seed, count))
        given = [_nudged_inputs(feed, seed) for feed in inputs]
        for number, moved in enumerate(_results(proto, given, names, file_from_bytes)):
            for name in wanted:
                error = compare(name, moved[name], expected[number][name]).error
                changes[number, name] = max(changes[number, name], error)
            if number in outputs and number not in agreeing:
                ties[number].add(moved)
                made = outputs[number]
                compared = tuple(compare(n, made[n], moved[n], tolerance) for n in made)
                if all(comparison.passed for comparison in compared):
                    agreeing[number] = compared
    for number in outputs.keys() - agreeing.keys():
        compared = ties[number].compared()
        if all(comparison.passed for comparison in compared):
            agreeing[number] = compared
    return Conditioning(changes, agreeing)


class _Ties:
    """The outputs of an inference, each element beside the nearest of what the runs have there.

    Values half-way that do not meet are tipped over independently: no run may have all of them on
    the plan's side. That tells something as long as they are few; where more of an output's
    elements move than `_UNDECIDED`, what is expected of it is the unmoved run.
    """

    def __init__(
        self,
        made: Mapping[str, np.ndarray],
        expected: Mapping[str, np.ndarray],
        tolerance: Tolerance,
    ) -> None:
        self._made, self._expected, self._tolerance = made, expected, tolerance
        self._nearest = {name: expected[name].copy() for name in made}
        self._moving = {name: np.zeros(expected[name].shape, bool) for name in made}

    def add(self, moved: Mapping[str, np.ndarray]) -> None:
        """Take what one more run has."""
        for name, got in self._made.items():
            want, nearest, run = self._expected[name], self._nearest[name], moved[name]
            if not got.shape == want.shape == run.shape or got.dtype != want.dtype:
                continue
            closer = distances(got, run)[0] < distances(got, nearest)[0]
            self._nearest[name] = np.where(closer, run, nearest)
            self._moving[name] |= ~(distances(run, want)[0] <= allowed(want, self._tolerance))

    def compared(self) -> tuple[Comparison, ...]:
        """The outputs compared with what is nearest, where few elements move."""
        return tuple(
            compare(name, got, self._reference(name), self._tolerance)
            for name, got in self._made.items()
        )

    def _reference(self, name: str) -> np.ndarray:
        moving = self._moving[name]
        few = np.count_nonzero(moving) <= max(1, _UNDECIDED * moving.size)
        return self._nearest[name] if few else self._expected[name]


def _results(
    proto: onnx.ModelProto,
    inputs: Sequence[Mapping[str, np.ndarray]],
    wanted: tuple[str, ...],
    file_from_bytes: int,
) -> list[dict[str, np.ndarray]]:
    with Session(proto, wanted, file_from_bytes) as session:
        return [session.run(given) for given in inputs]


def _is_float(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor has numbers with last bits to change."""
    return tensor.data_type in (
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.FLOAT16,
    )


def _nudged(values: np.ndarray, seed: int, *key: int) -> np.ndarray:
    """Every number moved to a neighbour of its own; infinities, NaN and zeros stay.

    In every other run it is moved `_FAR` times that way: what a long sum rounds may be more than
    one last bit of a scale. Narrow floats have no bits to spare for this.
    """
    generator = np.random.default_rng([seed, *key])
    ends = np.where(generator.random(values.shape) < 0.5, -np.inf, np.inf).astype(values.dtype)
    stays = ~np.isfinite(values) | (values == 0)
    moved = values
    for _ in range(_FAR if seed % 2 and values.dtype.itemsize > 2 else 1):
        moved = np.nextafter(moved, ends)
    return np.where(stays, values, moved).astype(values.dtype)


def _nudged_inputs(feeds: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Inputs moved likewise; whole numbers stay, which are masks, positions and counts."""
    moved = {}
    for number, (name, values) in enumerate(feeds.items()):
        moved[name] = values
        if values.dtype.kind == "f":
            nudged = _nudged(values, seed, number, 1)
            moved[name] = np.where(values == np.floor(values), values, nudged)
    return moved
