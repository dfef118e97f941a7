"""What becomes of a wrong program: rejected by the checker, other numbers, or neither."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from program_deeds import deeds
from program_mutations import Mutant

from t10c.errors import InvalidInputError, VerificationError
from t10c.execute.machine import Machine
from t10c.ir.program import Program
from t10c.program.check import check_program

TRIALS, INFERENCES = 4, 5
"""A mutant that gives equal results on 20 random inputs is taken to be equivalent: 5 inferences
with each of 4 sets of random weights."""

SOON = 3
"""Inferences after which nearly all others are caught."""

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Trial:
    """Weights, the inputs of some inferences and what comes out of them."""

    weights: Arrays
    inputs: tuple[Arrays, ...]
    outputs: tuple[Arrays, ...]


@dataclass(frozen=True)
class Subject:
    """A right program with what it gives in every trial, and when results agree."""

    name: str
    program: Program
    trials: tuple[Trial, ...]
    agree: Callable[[np.ndarray, np.ndarray], bool]


def subject_of(
    name: str,
    program: Program,
    given: Iterable[tuple[Arrays, Iterable[Arrays]]],
    agree: Callable[[np.ndarray, np.ndarray], bool],
) -> Subject:
    """A right program, which the checker accepts, and what it gives for weights and inputs."""
    check_program(program)
    trials = []
    for weights, several in given:
        machine, inputs = Machine(program, weights), tuple(several)
        outputs = tuple(machine.run(values) for values in inputs)
        trials.append(Trial(weights, inputs, outputs))
    return Subject(name, program, tuple(trials), agree)


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: `inference` shows it first, None if 20 do not; `how` it shows."""

    mutant: Mutant
    subject: str
    rejection: str
    inference: int | None
    how: str
    right: Program

    @property
    def right_deeds(self) -> list[object]:
        """What the program does that the mutant was made of."""
        return deeds(self.right)


def outcome_of(subject: Subject, mutant: Mutant) -> Outcome:
    """Check the mutant, then run it all the same until it shows."""
    rejection = ""
    try:
        check_program(mutant.program)
    except InvalidInputError as error:
        rejection = str(error)
    inference, how = _run(subject, mutant)
    return Outcome(mutant, subject.name, rejection, inference, how, subject.program)


def _run(subject: Subject, mutant: Mutant) -> tuple[int | None, str]:
    number = 0
    try:
        for trial in subject.trials:
            machine = Machine(mutant.program, trial.weights)
            for given, wanted in zip(trial.inputs, trial.outputs, strict=True):
                got = machine.run(given)
                if set(got) != set(wanted):
                    return number, "no output"
                if not all(subject.agree(got[name], want) for name, want in wanted.items()):
                    return number, "other numbers"
                number += 1
    except VerificationError:
        return number, "an error"
    except (IndexError, ValueError, KeyError) as error:
        return number, f"a crash: {type(error).__name__}"
    return None, ""


MEMORY = "memory is given back late: the values are right, a core may run full"
ROOM = "a buffer is too short: simulated memory grows, only the checker counts"
LABELS = "only labels differ: every core does the same with the same data"
OTHER = "another right program: the checker finds all data where they are needed"
IDEMPOTENT = "nothing is summed: what is computed twice, or over rubbish, is the same"
UNSEEN = "the wrong data count for nothing in the result"


def _reason(outcome: Outcome) -> str:
    """Why a mutant gives right results: UNSEEN is for what no other reason holds for."""
    mutant = outcome.mutant
    if mutant.kind in ("dropped free", "stale buffer") and "already" in outcome.rejection:
        return MEMORY
    if not outcome.rejection:
        return OTHER
    if deeds(mutant.program) == outcome.right_deeds:
        return LABELS
    if mutant.kind == "piece too short" and "is read beyond" in outcome.rejection:
        return ROOM
    kernel = mutant.kernel
    if kernel and (kernel.reduce_op in (None, "max", "min") or kernel.kernel == "gather"):
        return IDEMPOTENT
    return UNSEEN


@dataclass
class Report:
    """Outcomes by kind of mutation."""

    outcomes: dict[str, list[Outcome]] = field(default_factory=lambda: defaultdict(list))

    def add(self, subject: Subject, mutants: Iterable[Mutant]) -> None:
        """Run mutants of a program."""
        for mutant in mutants:
            self.outcomes[mutant.kind].append(outcome_of(subject, mutant))

    def all(self) -> Iterator[Outcome]:
        """All outcomes."""
        for found in self.outcomes.values():
            yield from found

    def equivalent(self) -> list[Outcome]:
        """Mutants that show in no inference."""
        return [outcome for outcome in self.all() if outcome.inference is None]

    def explained(self) -> dict[str, list[Outcome]]:
        """Why mutants that show in no inference do not."""
        reasons: dict[str, list[Outcome]] = defaultdict(list)
        for outcome in self.equivalent():
            reasons[_reason(outcome)].append(outcome)
        return reasons

    def table(self) -> str:
        """Shares by kind: rejected, shown by numbers within 3 inferences, later, equivalent."""
        head = ("mutation", "programs", "rejected", "numbers", "later", "equal")
        lines = [f"{head[0]:<26}" + "".join(f"{word:>10}" for word in head[1:])]
        everything = {**self.outcomes, "all": list(self.all())}
        for kind, found in everything.items():
            soon = sum(o.inference is not None and o.inference < SOON for o in found)
            late = sum(o.inference is not None and o.inference >= SOON for o in found)
            rejected = sum(bool(o.rejection) for o in found)
            counts = (len(found), rejected, soon, late, len(found) - soon - late)
            lines.append(f"{kind:<26}" + "".join(f"{count:>10}" for count in counts))
        shown = Counter(o.how for o in self.all() if o.how)
        lines.append(", ".join(f"{how} {count}" for how, count in shown.most_common()))
        return "\n".join(lines)
