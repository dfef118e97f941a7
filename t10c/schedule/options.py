"""What a schedule may do."""

from dataclasses import dataclass
from typing import Literal

from t10c.search.options import DEFAULT_SEARCH, SearchOptions


@dataclass(frozen=True, slots=True)
class ScheduleOptions:
    """Options of the whole-model schedule; recorded in the plan file.

    `transitions`: `exact` prices the bytes each core must receive between two layouts, `uniform`
    charges every operator the published price for moving its output. `persistent` tensors stay in
    memory for the whole inference.
    """

    search: SearchOptions = DEFAULT_SEARCH
    transitions: Literal["exact", "uniform"] = "exact"
    persistent: tuple[str, ...] = ()


DEFAULT_SCHEDULE = ScheduleOptions()
