"""A model argument and the options beside it to a plan, as several commands need it."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from t10c.cli import options as shared
from t10c.cli.answer import Answer, fresh_answer, keep_answer, recalled_answer
from t10c.cli.caching import cache_option
from t10c.cli.clock import Clock, clock, read_duration
from t10c.cli.progress import Progress, searcher

if TYPE_CHECKING:
    from t10c import (
        Cache,
        Choices,
        DoesNotFit,
        Graph,
        HardwareSpec,
        ModelPlan,
        Problem,
        ScheduleOptions,
        SearchResult,
        TensorExpression,
    )

    Searcher = Callable[[list[Problem]], list[Choices]]
    FrontSearcher = Callable[[TensorExpression], SearchResult]

Command = TypeVar("Command", bound=Callable[..., Any])


_NOT_ASKED = frozenset(
    {"model", "hardware", "buffers", "jobs", "cluster", "cache_place", "begun_seconds"}
)
"""Options that decide an answer by what they name, or not at all."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What `planning_options` declares: MODEL, and options by the names of their parameters."""

    model: str
    hardware: str
    overrides: tuple[str, ...]
    buffers: Literal["fixed", "double"] | None
    dims: tuple[str, ...]
    shapes: tuple[str, ...]
    values: tuple[str, ...]
    transitions: Literal["exact", "uniform"]
    pruning: Literal["pruned", "exhaustive"]
    persistent: tuple[str, ...]
    objective: Literal["latency", "memory", "pareto"]
    time_limit: str | None
    jobs: int
    cluster: str | None
    cache_place: str | None
    begun_seconds: float
    """When the command began, on the monotonic clock."""

    @property
    def all_overrides(self) -> tuple[str, ...]:
        """What is changed about the chip, `--buffers` included."""
        return shared.all_overrides(self.overrides, self.buffers)

    @property
    def asked(self) -> dict[str, Any]:
        """What decides the answer beside the model and the chip, as JSON values (UsageError).

        Every option counts but those that are named here, so that a new one cannot be forgotten.
        """
        counts = {field.name for field in fields(self)} - _NOT_ASKED
        return {
            **{name: getattr(self, name) for name in counts},
            "overrides": self.all_overrides,
            "dims": shared.read_dims(self.dims),
            "shapes": shared.read_shapes(self.shapes),
            "values": shared.read_values(self.values),
            "persistent": sorted(set(self.persistent)),
            # of answers that are kept, no limit cut the choice short: any limit finds them
            "time_limit": self.limit_seconds is not None,
        }

    @property
    def limit_seconds(self) -> float | None:
        """The time limit, None without one (UsageError)."""
        if self.time_limit is None:
            return None
        from t10c.errors import UsageError

        if self.transitions == "uniform":
            raise UsageError(
                "--time-limit chooses plans together by what moves between them, which"
                " --transitions uniform does not price: leave one of them out"
            )
        return read_duration(self.time_limit, "--time-limit")


def planning_options(command: Callable[..., int]) -> Callable[..., int]:
    """MODEL and all options that decide a plan; the command gets them as one `request`."""
    return _packed(command, ("latency", "memory"))


def front_options(command: Callable[..., int]) -> Callable[..., int]:
    """The same where the objective may be a front of plans, too."""
    return _packed(command, ("latency", "memory", "pareto"))


def _packed(command: Callable[..., int], objectives: tuple[str, ...]) -> Callable[..., int]:
    names = [field.name for field in fields(PlanRequest) if field.name != "begun_seconds"]

    @functools.wraps(command)
    def packed(**given: Any) -> int:
        options = {name: given.pop(name) for name in names}
        request = PlanRequest(**options, begun_seconds=time.monotonic())
        return command(request=request, **given)

    return _declared(packed, objectives)


_OBJECTIVES = {
    "latency": "The fastest plans",
    "memory": "those with the lowest peak of memory per core",
    "pareto": "or instead of a plan the front of latency against memory",
}


def _declared(command: Command, objectives: tuple[str, ...]) -> Command:
    command = cache_option(command)
    command = shared.place_options("the plan")(command)
    command = click.option(
        "--time-limit",
        metavar="SECONDS",
        help="Choose plans of all steps together, until none can be faster by more than 1 % or"
        " so much time (or 500ms, 2min) has passed since the start; the best so far, with its gap,"
        " is the answer. Without it they are chosen step by step, which takes little time.",
    )(command)
    texts = [_OBJECTIVES[name] for name in objectives]
    command = click.option(
        "--objective",
        type=click.Choice(objectives),
        default="latency",
        show_default=True,
        help=", ".join(texts[:2]) + "".join(f"; {text}" for text in texts[2:]) + ".",
    )(command)
    command = click.option(
        "--persistent",
        multiple=True,
        metavar="TENSOR",
        help="Keep a tensor (a KV cache) throughout.",
    )(command)
    command = shared.search_option(command)
    command = click.option(
        "--transitions",
        type=click.Choice(["exact", "uniform"]),
        default="exact",
        show_default=True,
        help="Price moves between operators by the bytes each core lacks, or uniformly.",
    )(command)
    command = shared.hardware_options(shared.binding_options(command))
    return click.argument("model", metavar="MODEL")(command)


def plan_model(
    request: PlanRequest, shown: Progress, cache: "Cache", keep_best: bool = False
) -> Answer:
    """The answer to a request: found in the cache, or planned and kept there.

    With `keep_best`, Ctrl-C while a plan is being improved makes the best so far the answer.
    TimeLimitError if the limit passes before there is a plan.
    """
    from t10c import CachedAnswers, load_spec
    from t10c.files import MODEL_WANTED

    asked = request.asked
    spec = load_spec(request.hardware, request.all_overrides)
    shown.stage("reading the model")
    check_model_name(request.model)
    data = shared.read_bytes("-", MODEL_WANTED) if request.model == "-" else None
    source = Path(request.model) if data is None else data
    answers = CachedAnswers(cache, source, spec, asked)
    known = recalled_answer(answers)
    if known is not None:
        return known
    with clock(request.time_limit, request.begun_seconds, shown, keep_best) as limit:
        graph = import_graph(request.model, request.dims, request.shapes, request.values, data)
        answer = fresh_answer(_planned(graph, spec, request, shown, cache, limit))
    if cache.in_use:
        answer = keep_answer(answers, answer)
    return replace(answer, interrupted=limit.interrupted)


def plan_graph(
    graph: "Graph", spec: "HardwareSpec", request: PlanRequest, shown: Progress, cache: "Cache"
) -> "ModelPlan | DoesNotFit":
    """The plan of a model that has been imported, or why it does not fit.

    A time limit counts from now on; TimeLimitError if it passes before there is a plan.
    """
    with clock(request.time_limit, time.monotonic(), shown, keep_best=False) as limit:
        return _planned(graph, spec, request, shown, cache, limit)


def _planned(
    graph: "Graph",
    spec: "HardwareSpec",
    request: PlanRequest,
    shown: Progress,
    cache: "Cache",
    limit: Clock,
) -> "ModelPlan | DoesNotFit":
    from t10c import schedule_model

    options, work, fronts = searching(graph, spec, request, shown, cache)
    return schedule_model(graph, spec, options, work, request.all_overrides, fronts, limit)


def searching(
    graph: "Graph", spec: "HardwareSpec", request: PlanRequest, shown: Progress, cache: "Cache"
) -> "tuple[ScheduleOptions, Searcher, FrontSearcher]":
    """What was asked of a schedule, and what searches operators for it (UsageError)."""
    from t10c import CachedSearches, Place, ScheduleOptions, SearchOptions

    place = Place(request.jobs, request.cluster)
    _check_persistent(request.persistent, graph)
    persistent = tuple(sorted(set(request.persistent)))
    options = ScheduleOptions(
        SearchOptions(request.pruning),
        request.transitions,
        persistent,
        request.limit_seconds,
        "memory" if request.objective == "memory" else "latency",
    )
    uniform = request.transitions == "uniform"
    searches = CachedSearches(cache, spec, options.search, uniform, options.joint)
    shown.stage("searching operators")
    return options, searcher(spec, options, place, shown, searches), searches.problem_front


def import_graph(
    model: str,
    dims: tuple[str, ...],
    shapes: tuple[str, ...],
    values: tuple[str, ...] = (),
    data: bytes | None = None,
) -> "Graph":
    """The graph of a model argument; `-` is standard input, or `data` if that has been read."""
    from t10c import import_model
    from t10c.errors import UnsupportedOperatorError
    from t10c.files import MODEL_WANTED

    check_model_name(model)
    source: bytes | Path = Path(model)
    if model == "-":
        source = shared.read_bytes("-", MODEL_WANTED) if data is None else data
    try:
        return import_model(
            source,
            shared.read_dims(dims),
            shared.read_shapes(shapes),
            values=shared.read_values(values),
        )
    except UnsupportedOperatorError as error:
        place = "standard input" if model == "-" else model
        if str(error).startswith(f"{place}: "):
            raise
        raise UnsupportedOperatorError(f"{place}: {error}", error.nodes) from error


def check_model_name(model: str) -> None:
    """UsageError if MODEL is empty."""
    from t10c.errors import UsageError

    if not model:
        raise UsageError("MODEL is empty: name an ONNX file, or - for standard input")


def _check_persistent(names: tuple[str, ...], graph: "Graph") -> None:
    """UsageError if a name is no tensor of the graph."""
    from t10c.errors import UsageError
    from t10c.suggest import did_you_mean

    for name in names:
        if name not in graph.tensor:
            hint = did_you_mean(name, graph.tensor)
            raise UsageError(
                f"--persistent {name}: the planned graph has no such tensor{hint}\n"
                "t10c inspect MODEL lists inputs and outputs"
            )
