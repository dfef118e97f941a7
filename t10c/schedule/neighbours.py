"""What a step's plan depends on of its neighbours, so that one answer serves steps that are alike.

Steps are of one kind if they have the same choices and are connected in the same way to steps that
have the same choices. Steps of one kind whose neighbours have the same plans get the same answer.
"""

from collections.abc import Callable
from collections.abc import Sequence as Seq
from operator import itemgetter
from typing import NamedTuple

from t10c.schedule.steps import Step
from t10c.schedule.transition import TransitionPricer

Key = tuple[object, ...]
"""Equal keys, equal answers."""

Getter = Callable[[Seq[int]], object]
"""Picks the entries of some steps out of a list with one for every step."""


class Group(NamedTuple):
    """Steps that a step is connected to in some way: which kind of connection, and how to get them.

    `steps` may name a step twice.
    """

    kind: int
    steps: tuple[int, ...]
    of: Getter


class Neighbours:
    """How all steps of a pricer's sequence are connected.

    `reading`: the steps that decide what a step's operands come to under each of its plans;
    `deciding`: all that a step's choice depends on, itself, what it reads, and what its readers
    read. Steps of groups of one kind whose members have the same plans get the same answer.
    """

    def __init__(self, pricer: TransitionPricer) -> None:
        self._pricer = pricer
        self._kinds: dict[Key, int] = {}
        steps = pricer.sequence.steps
        self._lenders: list[Getter] = []
        self.reading = [self._group(*self._read_by(step)) for step in steps]
        self.deciding = [self._group(*self._around(step)) for step in steps]

    def fetching(self, step: int, plans: Seq[int], options: Seq[int]) -> Key:
        """Key of all that decides what a step fetches; weights of others lie in their options."""
        group = self.reading[step]
        return group.kind, group.of(plans), plans[step], self._lenders[step](options)

    def _group(self, kind: Key, steps: tuple[int, ...]) -> Group:
        of = _getter(steps)
        key = (*kind, of(self._pricer.choice_of))
        return Group(self._kinds.setdefault(key, len(self._kinds)), steps, of)

    def _read_by(self, step: Step) -> tuple[Key, tuple[int, ...]]:
        """How the step's operands are read, and the steps that they are read from.

        The steps whose idle weights it reads are noted.
        """
        pricer, index = self._pricer, step.index
        found: list[int] = []
        lenders: list[int] = []
        kind: list[object] = ["reading", pricer.choice_of[index]]
        for position, read in enumerate(step.reads):
            key = pricer.read_key(index, position)
            kind.append(key)
            for _, maker, lender in read.sources:
                if maker >= 0:
                    found.append(maker)
                elif lender >= 0:
                    found.append(lender)
                if lender >= 0:
                    lenders.append(lender)
            if pricer.copied(key):
                found.append(index - 1)
        self._lenders.append(_getter(tuple(lenders)))
        return tuple(kind), tuple(found)

    def _around(self, step: Step) -> tuple[Key, tuple[int, ...]]:
        """The same of the step and of all that read its output, itself included."""
        index = step.index
        own = self.reading[index]
        found = [index, *own.steps]
        kinds: list[object] = ["deciding", own.kind]
        for reader in dict.fromkeys([reader for reader, _ in step.consumers]):
            other = self.reading[reader]
            found.append(reader)
            found += other.steps
            kinds += (other.kind, tuple([owner == index for owner in other.steps]))
        return tuple(kinds), tuple(found)


def _getter(steps: tuple[int, ...]) -> Getter:
    return itemgetter(*steps) if steps else _nothing


def _nothing(_: Seq[int]) -> None:
    """The entries of no steps."""
