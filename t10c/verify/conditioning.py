"""How far a model amplifies rounding: what the last bits of its weights do to its own results.

Where a quantised value lies half-way between two codes, or a recurrence is chaotic, two correct
computations differ by far more than rounding. No comparison can tell a wrong plan from a right one
there, but ONNX Runtime with its weights moved by one unit in the last place may round as the plan
does: then the plan computes what the model says for weights that nobody can tell from the given.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from t10c.verify.compare import Comparison, Tolerance, compare
from t10c.verify.session import Session
from t10c.verify.tensors import array_of, file_tensors, replace_data

NUDGES = 8
"""Runs with weights moved in other directions: a value half-way is tipped over in half of them."""

_MARGIN = 2
"""An error of up to this many times what the last bits do is put down to them."""


@dataclass(frozen=True)
class Conditioning:
    """What the last bits of the weights do to ONNX Runtime's own values.

    `changes` is the largest change of a value, by inference and name; integers count in steps.
    `agreeing` has, by inference, the comparisons of all outputs with a run whose weights were moved
    by their last bits, where all of them pass.
    """

    changes: Mapping[tuple[int, str], float]
    agreeing: Mapping[int, tuple[Comparison, ...]]

    def explains(self, inference: int, comparison: Comparison) -> bool:
        """Whether an error is no larger than what the last bits of the weights do."""
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
    """Run ONNX Runtime with weights moved by their last bits, again and again.

    `proto` has all weights; they are moved in place. `wanted` are values whose change is of
    interest, `outputs` what the plan made of inferences (by number) in which any of them differ.
    """
    inputs = list(feeds)
    names = tuple(dict.fromkeys((*wanted, *(n for made in outputs.values() for n in made))))
    expected = _results(proto, inputs, names, file_from_bytes)
    original = [(t, array_of(t)) for t in file_tensors(proto) if _is_float(t)]
    changes = {(number, name): 0.0 for number in range(len(inputs)) for name in wanted}
    agreeing: dict[int, tuple[Comparison, ...]] = {}
    for seed in range(NUDGES):
        for number, (tensor, values) in enumerate(original):
            replace_data(tensor, _nudged(values, np.random.default_rng([seed, number])))
        for number, moved in enumerate(_results(proto, inputs, names, file_from_bytes)):
            for name in wanted:
                error = compare(name, moved[name], expected[number][name]).error
                changes[number, name] = max(changes[number, name], error)
            if number in outputs and number not in agreeing:
                made = outputs[number]
                compared = tuple(compare(n, made[n], moved[n], tolerance) for n in made)
                if all(comparison.passed for comparison in compared):
                    agreeing[number] = compared
    return Conditioning(changes, agreeing)


def _results(
    proto: onnx.ModelProto,
    inputs: list[Mapping[str, np.ndarray]],
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


def _nudged(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every number moved to one of its neighbours; infinities, NaN and zeros stay."""
    ends = np.where(generator.random(values.shape) < 0.5, -np.inf, np.inf).astype(values.dtype)
    stays = ~np.isfinite(values) | (values == 0)
    return np.where(stays, values, np.nextafter(values, ends)).astype(values.dtype)
