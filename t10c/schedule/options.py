"""What a schedule may do."""

from dataclasses import dataclass, field
from typing import Literal

from t10c.search.options import DEFAULT_SEARCH, SearchOptions


@dataclass(frozen=True, slots=True)
class ScheduleOptions:
    """Options of the whole-model schedule; recorded in the plan file.

    `transitions`: `exact` prices the bytes each core must receive between two layouts, `uniform`
    charges every operator the published price for moving its output. `persistent` tensors stay in
    memory for the whole inference. With a `time_limit_seconds` plans of all steps are chosen
    together until the gap is small or so much time has passed; it takes exact transitions. The
    `objective` `memory` takes the least memory per core for which plans are found, and then the
    fastest plans in it.
    """

    search: SearchOptions = DEFAULT_SEARCH
    transitions: Literal["exact", "uniform"] = "exact"
    persistent: tuple[str, ...] = ()
    time_limit_seconds: float | None = field(default=None, metadata={"omit_default": True})
    objective: Literal["latency", "memory"] = field(
        default="latency", metadata={"omit_default": True}
    )

    def __post_init__(self) -> None:
        if self.time_limit_seconds is not None and not self.time_limit_seconds >= 0:
            raise ValueError("time_limit_seconds is at least 0, or None for none")

    @property
    def joint(self) -> bool:
        """Whether plans of all steps are chosen together."""
        return self.time_limit_seconds is not None and self.transitions == "exact"


DEFAULT_SCHEDULE = ScheduleOptions()
