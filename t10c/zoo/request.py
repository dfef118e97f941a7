"""What a caller may choose about a model besides its hyper-parameters."""

from dataclasses import dataclass
from typing import Literal

Phase = Literal["prefill", "decode"]
WeightMode = Literal["absent", "random"]


@dataclass(frozen=True, slots=True)
class Workload:
    """Sizes of one run: `seq` new positions per sequence after `past` cached ones.

    Families without a sequence ignore `seq`; only decoders know `past` and `phase`. `past` is 0 in
    decode too if the model keeps a state instead of past positions.
    """

    batch: int
    seq: int = 1
    past: int = 0
    phase: Phase = "prefill"

    @property
    def total(self) -> int:
        """Positions that attention sees: cached and new."""
        return self.past + self.seq
