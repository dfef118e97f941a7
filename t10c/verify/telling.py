"""Whether agreement tells something: outputs that are no numbers, or the same for any input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from t10c.verify.compare import Tolerance, compare


@dataclass(frozen=True, slots=True)
class Telling:
    """What takes from the meaning of a comparison that passes.

    `nowhere_finite` are the outputs that have elements, but none that is finite in some inference.
    `unchanged` is whether all outputs are the same, within the tolerance, for different inputs.
    """

    nowhere_finite: tuple[str, ...] = ()
    unchanged: bool = False


def telling(
    expected: Sequence[Mapping[str, np.ndarray]],
    feeds: Sequence[Mapping[str, np.ndarray]],
    outputs: tuple[str, ...],
    tolerance: Tolerance,
) -> Telling:
    """Look at what is expected of all inferences, each with its inputs."""
    nowhere = tuple(
        name for name in outputs if any(_has_no_finite(values[name]) for values in expected)
    )
    first, last = expected[0], expected[-1]
    sized = [name for name in outputs if first[name].size]
    unchanged = bool(sized) and _differ(feeds[0], feeds[-1])
    unchanged &= all(compare(name, last[name], first[name], tolerance).passed for name in sized)
    return Telling(nowhere, unchanged)


def _differ(first: Mapping[str, np.ndarray], last: Mapping[str, np.ndarray]) -> bool:
    """Whether any input has other bytes in the last inference: NaN is not another than itself."""
    return any(first[name].tobytes() != last[name].tobytes() for name in first)


def _has_no_finite(array: np.ndarray) -> bool:
    """Whether a tensor has elements, and none of them is finite."""
    is_float = array.dtype.kind in "fc" or "float" in array.dtype.name
    return is_float and array.size > 0 and not np.isfinite(array).any()
