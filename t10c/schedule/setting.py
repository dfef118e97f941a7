"""The setting of a choice: what stays fixed while plans are chosen, and what a choice comes to."""

from collections.abc import Iterable
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.choices import Choices, Number
from t10c.schedule.memory import Homes, StepMemory, live_homes, step_memory
from t10c.schedule.neighbours import Neighbours
from t10c.schedule.steps import Sequence
from t10c.schedule.transition import TransitionPricer
from t10c.search.space import IntArray


@dataclass(frozen=True)
class Setting:
    """What stays fixed while plans are chosen: the sequence and every step's choices."""

    sequence: Sequence
    choices: tuple[Choices, ...]
    choice_of: tuple[int, ...]
    pricer: TransitionPricer
    exact: bool

    @cached_property
    def neighbours(self) -> Neighbours:
        """How the steps are connected."""
        return Neighbours(self.pricer)

    def of_step(self, step: int) -> Choices:
        """The choices of a step."""
        return self.choices[self.choice_of[step]]

    def plans_of(self, options: Iterable[int]) -> list[int]:
        """The plan of every step's option."""
        plans: list[int] = self.chosen([own.plan for own in self.choices], options).tolist()
        return plans

    def chosen(self, tables: Seq[NDArray[Number]], chosen: Iterable[int]) -> NDArray[Number]:
        """Of every step the entry of its plan or option, (steps,).

        `tables` have one array per choices, with an entry for each of their plans or options.
        """
        if not tables:
            raise ValueError("there are no steps to choose for")
        begins = np.cumsum([0, *map(len, tables)])[np.array(self.choice_of, dtype=np.int64)]
        rows = begins + np.fromiter(chosen, np.int64, len(begins))
        found: NDArray[Number] = np.concatenate(tables)[rows]
        return found

    def demand_bytes(self, plans: Seq[int], homes: Homes) -> IntArray:
        """What every step's plan demands of its own, (steps,), given the homes that die there."""
        dying: list[int] = homes.dying.tolist()
        keys = list(zip(self.choice_of, plans, dying, strict=True))
        demands = {
            (choice, plan, size): int(self.choices[choice].demand_bytes(size)[plan])
            for choice, plan, size in dict.fromkeys(keys)
        }
        return np.array([demands[key] for key in keys], dtype=np.int64)

    def homes(self, plans: Seq[int], spec: HardwareSpec) -> Homes:
        """Live bytes with every producer's real share per core under its plan."""
        keys = list(zip(self.choice_of, plans, strict=True))
        shares = {key: self.pricer.layouts.home_elements(*key) for key in dict.fromkeys(keys)}
        elements = np.array([shares[key] for key in keys], dtype=np.int64)
        return live_homes(self.sequence, spec, elements)

    def memory(
        self, plans: Seq[int], options: Seq[int], homes: Homes, fixed_bytes: int
    ) -> StepMemory:
        """Demand of every step under its plan and option."""
        return step_memory(
            self.chosen([own.idle_bytes for own in self.choices], options),
            self.chosen([own.active_bytes for own in self.choices], plans),
            self.chosen([own.input_bytes for own in self.choices], plans),
            homes,
            fixed_bytes,
        )
