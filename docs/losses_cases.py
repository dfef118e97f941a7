"""What docs/search.md is about: the operators of the zoo, searched with thresholds and without."""

import math
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import FrameType

from measured import Record

import t10c
from t10c.report.expression import main_text
from t10c.schedule.problem import problem_search
from t10c.schedule.rowwise import split_rowwise
from t10c.zoo.families import FAMILIES
from t10c.zoo.request import Phase

CHIP, POD = "ipu-mk2", "ipu-pod4"
FOR_POD = frozenset({"gemma-2-27b", "llama-2-70b", "mixtral-8x7b", "opt-30b"})
"""Models of which not even one layer leaves room for much on one chip."""

LIMIT_SECONDS = 60.0
"""CPU seconds after which an exhaustive search is given up, and listed as such."""

_SLOW = ("gather", "conv")
"""Kernels of which an exhaustive search takes long."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the zoo at its default sizes, and the chip that its operators are searched for."""

    name: str
    phase: Phase

    @property
    def hardware(self) -> str:
        """The preset of its chip."""
        return POD if self.name in FOR_POD else CHIP

    @property
    def key(self) -> str:
        """Its name in search.json."""
        return self.name if self.phase == "prefill" else f"{self.name} {self.phase}"


@dataclass(frozen=True, slots=True)
class Case:
    """An expression on a chip; `text` is it for people."""

    expression: t10c.TensorExpression
    hardware: str

    @property
    def key(self) -> str:
        """Its name in search.json."""
        return f"{self.hardware} {self.expression.digest}"


def all_models() -> list[Model]:
    """Every model of the zoo, decoders in both phases."""
    phases: tuple[Phase, ...] = ("prefill", "decode")
    return [
        Model(recipe.name, phase)
        for recipe in t10c.list_recipes()
        for phase in (phases if FAMILIES[recipe.family].cache is not None else phases[:1])
    ]


@cache
def chip(hardware: str) -> t10c.HardwareSpec:
    """The specification of a preset."""
    return t10c.load_spec(hardware)


def operators(model: Model) -> Counter[Case]:
    """The distinct operators that `t10c compile` searches for the model, and how many of each."""
    built = t10c.build_model(model.name, phase=model.phase)
    graph = t10c.import_model(built.SerializeToString())
    graph = split_rowwise(graph, chip(model.hardware), t10c.SearchOptions())
    planned = (operator.expression for operator in graph.planned)
    return Counter(Case(e, model.hardware) for e in planned if e.kernel != "fallback")


def model_record(model: Model, counts: Mapping[Case, int]) -> Record:
    """A model in search.json: its operators as (count, key), in order of first use."""
    listed = [[count, case.key] for case, count in counts.items()]
    return {"key": model.key, "hardware": model.hardware, "operators": listed}


def distinct(counts: Iterable[Mapping[Case, int]]) -> list[Case]:
    """Operators of all models, each once; those of quick kernels first, so that most come early."""
    cases = list(dict.fromkeys(case for found in counts for case in found))
    return sorted(cases, key=lambda case: (case.expression.kernel in _SLOW, case.hardware))


# One operator


class OverLimitError(Exception):
    """The search took more CPU time than it may."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """OverLimitError inside the block once this process has used so many CPU seconds in it."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise OverLimitError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def measure(case: Case, limit_seconds: float = LIMIT_SECONDS) -> Record:
    """Both searches of an operator as JSON values, and what the thresholds lose.

    `over_limit` stands in place of the exhaustive search if it takes more than `limit_seconds` of
    CPU time. `kept` says that `t10c compile` does not drop the thresholds for this operator.
    """
    expression, spec = case.expression, chip(case.hardware)
    pruned = t10c.search_operator(expression, spec, t10c.SearchOptions("pruned"))
    record: Record = {
        "key": case.key,
        "kernel": expression.kernel,
        "text": main_text(expression),
        "axes": {axis.name: axis.length for axis in expression.axes},
        "kept": problem_search(expression, spec, t10c.SearchOptions()).pruning == "pruned",
        "pruned": _found(pruned),
    }
    try:
        with cpu_limit(limit_seconds):
            whole = t10c.search_operator(expression, spec, t10c.SearchOptions("exhaustive"))
    except OverLimitError:
        return {**record, "over_limit": limit_seconds}
    record["exhaustive"] = _found(whole)
    if whole.front:
        record["hypervolumes"] = [
            round(volume, 6) for volume in hypervolumes(pruned, whole, spec.usable_bytes)
        ]
    return record


def _found(result: t10c.SearchResult) -> Record:
    """What a search found, and in what."""
    record, front = result.record, result.front
    assert record.exhausted, "half a front is no figure"
    return {
        "splits": record.splits,
        "plans": record.legal_plans,
        "uncounted": record.uncounted_plans,
        "thresholds_dropped": record.thresholds_dropped,
        "front": len(front),
        "best_cycles": round(front[-1].cycles, 2) if front else None,
        "least_bytes": front[0].memory_bytes if front else None,
    }


Point = tuple[float, float]


def hypervolumes(
    pruned: t10c.SearchResult, whole: t10c.SearchResult, usable_bytes: int
) -> tuple[float, float]:
    """Hypervolumes of both fronts, log bytes by log cycles, to one reference point.

    That is the usable memory of a core, and the cycles of the slowest plan on either front.
    """
    fronts = [[(e.memory_bytes, e.cycles) for e in result.front] for result in (pruned, whole)]
    slowest = max(cycles for front in fronts for _, cycles in front)
    reference = (float(usable_bytes), slowest)
    return hypervolume(fronts[0], reference), hypervolume(fronts[1], reference)


def hypervolume(front: Sequence[Point], reference: Point) -> float:
    """Area between a front, by rising first coordinate, and the reference, both axes logarithmic.

    No point exceeds the reference in either coordinate.
    """
    ends = [first for first, _ in front[1:]] + [reference[0]]
    return math.fsum(
        math.log(end / first) * math.log(reference[1] / second)
        for (first, second), end in zip(front, ends, strict=True)
    )
