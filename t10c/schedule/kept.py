"""Plans that are kept of those that pass by in chunks, with what is known of each."""

from dataclasses import dataclass

import numpy as np

from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.space import FloatArray, IntArray


@dataclass(frozen=True)
class Kept:
    """Plans that may be listed: `priced` (prices, plans), and what others gain by each at most.

    `cuts` (plans,) are the dimensions of the output that are cut, where plans are told apart by it.
    """

    candidates: Candidates
    costs: Costs
    priced: FloatArray
    gain: FloatArray
    cuts: IntArray

    def __len__(self) -> int:
        return len(self.gain)

    def take(self, chosen: IntArray) -> "Kept":
        """The chosen plans."""
        return Kept(
            self.candidates.take(chosen),
            self.costs.take(chosen),
            self.priced[:, chosen],
            self.gain[chosen],
            self.cuts[chosen],
        )

    @classmethod
    def merged(cls, parts: list["Kept"]) -> "Kept":
        """All of them, in order."""
        return cls(
            merge_candidates([part.candidates for part in parts]),
            merge_costs([part.costs for part in parts]),
            np.concatenate([part.priced for part in parts], axis=1),
            np.concatenate([part.gain for part in parts]),
            np.concatenate([part.cuts for part in parts]),
        )


def merge_candidates(parts: list[Candidates]) -> Candidates:
    """Chunks of candidates as one."""
    names = Candidates.__dataclass_fields__
    return Candidates(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def merge_costs(parts: list[Costs]) -> Costs:
    """Chunks of costs as one."""
    names = Costs.__dataclass_fields__
    return Costs(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))
