"""A sweep from its file to its rows: what is done already is taken, the rest planned."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from t10c.hardware.document import spec_hash
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.jobs.identity import identity
from t10c.jobs.place import HERE, Place
from t10c.jobs.run import run_jobs
from t10c.schedule.options import ScheduleOptions
from t10c.search.options import SearchOptions
from t10c.serialise import encode
from t10c.sweep.document import SweepFile, read_sweep
from t10c.sweep.grid import Point, points_of
from t10c.sweep.journal import open_journal, read_journal
from t10c.sweep.models import ImportedModel, import_models
from t10c.sweep.point import PointTask, pack, plan_points
from t10c.sweep.result import PointResult


@dataclass(frozen=True)
class SweepRow:
    """A point and its figures."""

    point: Point
    result: PointResult


@dataclass(frozen=True)
class Sweep:
    """A sweep that can be run: its file, its models, its points, and a key per point.

    The key is a hash of all that a point's figures depend on, t10c itself included; None for a
    point without a valid specification. Points of equal key are one piece of work.
    """

    file: SweepFile
    models: tuple[ImportedModel, ...]
    points: tuple[Point, ...]
    keys: tuple[str | None, ...]

    def done(self, journal: Path) -> tuple[bool, ...]:
        """Which points need no work, by what a journal knows."""
        known = read_journal(journal)
        return tuple(key is None or key in known for key in self.keys)

    def run(
        self,
        journal: Path | None = None,
        place: Place = HERE,
        begun: Callable[[int], None] = lambda count: None,
        advance: Callable[[], None] = lambda: None,
    ) -> tuple[SweepRow, ...]:
        """The figures of all points, in the order of the points, wherever they are planned.

        `begun` is told how many points have to be planned, `advance` is called for each. Every
        point is kept in `journal` as soon as it is planned, and never planned again.
        """
        with open_journal(journal) as kept:
            first: dict[str, int] = {}
            for number, key in enumerate(self.keys):
                if key is not None and key not in kept.known:
                    first.setdefault(key, number)
            begun(len(first))
            groups = self._groups(list(first.values()))
            tasks = self._tasks(groups)

            def arrived(index: int, results: tuple[PointResult, ...]) -> None:
                for number, result in zip(groups[index], results, strict=True):
                    key = self.keys[number]
                    assert key is not None, "only points with a specification are planned"
                    kept.add(key, result)
                    advance()

            run_jobs(plan_points, tasks, ["; ".join(t.titles) for t in tasks], place, arrived)
            return tuple(
                SweepRow(
                    point,
                    PointResult("invalid_spec", point.reason) if key is None else kept.known[key],
                )
                for point, key in zip(self.points, self.keys, strict=True)
            )

    def _groups(self, numbers: Sequence[int]) -> list[list[int]]:
        """Points to plan together: on one chip, models that have operators in common."""
        kin = _kin([_expressions(model) for model in self.models])
        groups: dict[tuple[str, int], list[int]] = {}
        for number in numbers:
            point = self.points[number]
            assert point.spec is not None, "only points with a specification are planned"
            groups.setdefault((_figures_hash(point.spec), kin[point.model]), []).append(number)
        return list(groups.values())

    def _tasks(self, groups: Sequence[Sequence[int]]) -> list[PointTask]:
        packed = [pack(model.graph) for model in self.models]
        options = [_schedule_options(self.file, model) for model in self.models]
        tasks = []
        for group in groups:
            points = [self.points[number] for number in group]
            spec = points[0].spec
            assert spec is not None, "only points with a specification are planned"
            tasks.append(
                PointTask(
                    titles=tuple(point.title for point in points),
                    graphs=tuple(packed[point.model] for point in points),
                    options=tuple(options[point.model] for point in points),
                    spec=spec,
                    simulate=self.file.options.simulate,
                )
            )
        return tasks


def open_sweep(path: Path) -> Sweep:
    """The sweep of a file, its models imported and its chips resolved; nothing is planned.

    Errors say where in the file their cause stands, and are those of models and specifications.
    """
    file = read_sweep(path)
    points = points_of(file)
    models = import_models(file, str(path))
    return Sweep(file, models, points, tuple(_keys(file, models, points)))


def _keys(
    file: SweepFile, models: Sequence[ImportedModel], points: Sequence[Point]
) -> Iterator[str | None]:
    chips: dict[int, str] = {}
    for point in points:
        if point.spec is None:
            yield None
            continue
        model = models[point.model]
        if id(point.spec) not in chips:
            chips[id(point.spec)] = _figures_hash(point.spec)
        content = {
            "identity": dict(identity()),
            "graph": model.digest,
            "chip": chips[id(point.spec)],
            "options": encode(_schedule_options(file, model)),
            "simulate": file.options.simulate,
        }
        yield hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _figures_hash(spec: HardwareSpec) -> str:
    """Hash of what a chip can do; not of what it is called, nor of where its numbers are from."""
    kernels = tuple((name, replace(model, source="")) for name, model in spec.kernels)
    return spec_hash(replace(spec, name="", description="", kernels=kernels, sources=(), notes=()))


def _schedule_options(file: SweepFile, model: ImportedModel) -> ScheduleOptions:
    options = file.options
    return ScheduleOptions(SearchOptions(options.search), options.transitions, model.persistent)


def _expressions(model: ImportedModel) -> set[TensorExpression]:
    return {operator.expression for operator in model.graph.planned}


def _kin(sets: Sequence[set[TensorExpression]]) -> list[int]:
    """A number per set, equal where sets overlap, directly or through others."""
    numbers = list(range(len(sets)))
    for one in range(len(sets)):
        for other in range(one):
            if numbers[one] != numbers[other] and sets[one] & sets[other]:
                old, new = numbers[one], numbers[other]
                numbers = [new if number == old else number for number in numbers]
    return numbers
