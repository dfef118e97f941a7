"""What an exchange is a sum of: operands, where each may come from, and who has a say in it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import stored_bits
from t10c.schedule.listed_layouts import Lies
from t10c.schedule.setting import Setting
from t10c.schedule.steps import Read, Source, Step

_MOST_COPIES = 2
"""Operands of a step that may come from copies and are told apart; others are left out."""

Origin = Literal["home", "copy"]


@dataclass(frozen=True, slots=True)
class Fetch:
    """One operand of a step in the network: its read, and where it may come from."""

    position: int
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """What a step receives of one operand from what an earlier step holds.

    `sources` are those of the read's that the earlier step holds (none: its copy of the operand),
    `alone` says that no other step holds any, so that cores can be looked at one by one.
    """

    fetch: int
    origin: Origin
    lies: Lies
    sources: tuple[int, ...]
    alone: bool


class Terms:
    """The terms of every step's exchange."""

    def __init__(self, setting: Setting, spec: HardwareSpec) -> None:
        self._setting = setting
        self._spec = spec
        steps = setting.sequence.steps
        self.fetches = [self._fetches(step) for step in steps]
        """Per step, the operands whose exchange is a sum of functions of two steps."""
        self.by_step = [self._terms(step) for step in steps]
        """Per step and earlier step that has a say, the terms of what comes from it."""

    def constant(self, step: Step, fetch: Fetch) -> tuple[int, ...]:
        """The operand's sources that do not depend on a choice: they lie evenly spread."""
        sources = step.reads[fetch.position].sources
        return tuple(i for i, source in enumerate(sources) if owner_of(source) < 0)

    def counts_even(self, step: Step, number: int) -> bool:
        """Whether what lies evenly spread of an operand is the node's: no edge counts it."""
        fetch = self.fetches[step.index][number]
        alone = any(
            term.fetch == number and term.origin == "home" and term.alone
            for terms in self.by_step[step.index].values()
            for term in terms
        )
        return bool(self.constant(step, fetch)) and not alone

    @cached_property
    def looked_at(self) -> list[list[Lies]]:
        """Per choices, what is looked at of their plans."""
        choice_of = self._setting.choice_of
        looks: list[dict[Lies, None]] = [{} for _ in self._setting.choices]
        for step in self._setting.sequence.steps:
            for fetch in self.fetches[step.index]:
                operand = step.reads[fetch.position].operand
                looks[choice_of[step.index]]["in", operand] = None
            for first, terms in self.by_step[step.index].items():
                looks[choice_of[first]].update({term.lies: None for term in terms})
        return [list(own) for own in looks]

    def _fetches(self, step: Step) -> tuple[Fetch, ...]:
        """Operands whose exchange is a sum of functions of two steps."""
        fetches: list[Fetch] = []
        copies = 0
        for position, read in enumerate(step.reads):
            if any(source.weight_of >= step.index for source in read.sources):
                continue
            if len(read.sources) > 1 and not self._adds_up(read):
                continue
            reusable = self._setting.pricer.reuse_operand(step.index, position) >= 0
            copies += reusable
            if copies > _MOST_COPIES and reusable:
                continue
            fetches.append(Fetch(position, ("home", "copy") if reusable else ("home",)))
        return tuple(fetches)

    def _adds_up(self, read: Read) -> bool:
        """Whether bytes received of the read's sources are in proportion to elements."""
        tensors = self._setting.sequence.graph.tensor
        widths = {stored_bits(self._spec, tensors[source.tensor].bits) for source in read.sources}
        return len(widths) == 1 and not widths.pop() % 8

    def _terms(self, step: Step) -> dict[int, tuple[Term, ...]]:
        """Per earlier step that has a say, the terms of what comes from it."""
        terms: dict[int, list[Term]] = {}
        pricer = self._setting.pricer
        for number, fetch in enumerate(self.fetches[step.index]):
            sources = step.reads[fetch.position].sources
            held: dict[tuple[int, Lies], list[int]] = {}
            for index, source in enumerate(sources):
                if source.weight_of >= 0:
                    # idle pieces are parts of the active ones, in one copy or several
                    lies: Lies = ("in", pricer.weight_operand(source))
                else:
                    lies = ("out", 0)
                if owner_of(source) >= 0:
                    held.setdefault((owner_of(source), lies), []).append(index)
            for (first, lies), own in held.items():
                term = Term(number, "home", lies, tuple(own), len(held) == 1)
                terms.setdefault(first, []).append(term)
            if "copy" in fetch.origins:
                operand = pricer.reuse_operand(step.index, fetch.position)
                copy = Term(number, "copy", ("after", operand), (), True)
                terms.setdefault(step.index - 1, []).append(copy)
        return {first: tuple(found) for first, found in terms.items()}


def owner_of(source: Source) -> int:
    """The step that holds a source, -1 if none does: it lies evenly spread."""
    return max(source.step, source.weight_of)
