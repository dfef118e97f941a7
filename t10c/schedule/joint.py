"""Plans of all steps chosen together, transitions included, and a bound on what any choice can do.

Round by round: at rates of memory (rates.py) a network of kinds of plans (network.py) is solved by
messages; its bound, less the price of the memory there is, holds for every schedule. Classes of
plans that the network's best states fall back on are opened: their best members become single
plans. A schedule is read from the single plans' states, settled in the real memory and priced
exactly (docs/planning.md, "All steps together").
"""

from collections.abc import Callable
from dataclasses import dataclass

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.assignment import Assignment
from t10c.schedule.joint_search import JointSearch
from t10c.schedule.result import JointRecord
from t10c.schedule.setting import Setting

TARGET_GAP = 0.01
"""The search ends when no schedule can be faster by more than this share."""


@dataclass(frozen=True, slots=True)
class Status:
    """How far a joint search has come: the best latency and its bound, in cycles."""

    rounds: int
    cycles: float | None
    bound_cycles: float

    @property
    def gap(self) -> float:
        """Share of the latency above the bound; 1 without a schedule."""
        if not self.cycles:
            return 0.0 if self.cycles == 0.0 else 1.0
        return max(0.0, (self.cycles - self.bound_cycles) / self.cycles)


Watcher = Callable[[Status], str]
"""Asked after every round: empty to go on, or why to stop (`JointRecord.stopped`)."""


@dataclass(frozen=True)
class Joint:
    """The best assignment found, in a setting whose choices have grown, and the bound in cycles."""

    setting: Setting
    assignment: Assignment | None
    bound_cycles: float
    record: JointRecord


def improve(setting: Setting, spec: HardwareSpec, best: Assignment | None, watch: Watcher) -> Joint:
    """The best of `best` and all assignments found until the gap is small or `watch` says stop.

    Deterministic, however often `watch` is asked: a longer search goes through the rounds of a
    shorter one.
    """
    search = JointSearch(setting, spec, best)
    rounds, stopped = 0, ""
    thorough = False  # whether the rates tried last are the best for what is open now
    while not stopped:
        rounds += 1
        search.round()
        status = Status(rounds, search.cycles, search.bound_cycles)
        stopped = "gap" if status.gap <= TARGET_GAP else watch(status)
        if stopped or search.next_rates():
            continue
        search.try_between()
        if search.open_classes(every=thorough):
            thorough = False
        elif thorough:
            stopped = "exhausted"
        else:
            thorough = True  # the next ascent is
    if stopped in ("gap", "exhausted") and search.finish():
        stopped = "exhausted"
    record = JointRecord(rounds, search.opened_plans, stopped)
    return Joint(search.setting, search.best, search.bound_cycles, record)
