"""A model argument and the options beside it to a plan, as several commands need it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from t10c.cli import options as shared
from t10c.cli.progress import Progress, searcher
from t10c.errors import DoesNotFitError

if TYPE_CHECKING:
    from t10c import DoesNotFit, Graph, HardwareSpec, ModelPlan

DOES_NOT_FIT = DoesNotFitError.exit_code
"""Exit code of a model for which there is no room."""

Command = TypeVar("Command", bound=Callable[..., Any])


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
    jobs: int
    cluster: str | None

    @property
    def all_overrides(self) -> tuple[str, ...]:
        """What is changed about the chip, `--buffers` included."""
        return shared.all_overrides(self.overrides, self.buffers)


def planning_options(command: Callable[..., int]) -> Callable[..., int]:
    """MODEL and all options that decide a plan; the command gets them as one `request`."""
    names = [field.name for field in fields(PlanRequest)]

    @functools.wraps(command)
    def packed(**given: Any) -> int:
        request = PlanRequest(**{name: given.pop(name) for name in names})
        return command(request=request, **given)

    return _declared(packed)


def _declared(command: Command) -> Command:
    command = shared.place_options("the plan")(command)
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


def plan_model(request: PlanRequest, shown: Progress) -> "ModelPlan | DoesNotFit":
    """The plan of a model on a chip, or why it does not fit."""
    from t10c import load_spec

    spec = load_spec(request.hardware, request.all_overrides)
    shown.stage("reading the model")
    graph = import_graph(request.model, request.dims, request.shapes, request.values)
    return plan_graph(graph, spec, request, shown)


def plan_graph(
    graph: "Graph", spec: "HardwareSpec", request: PlanRequest, shown: Progress
) -> "ModelPlan | DoesNotFit":
    """The same of a model that has been imported, with the options of the request."""
    from t10c import Place, ScheduleOptions, SearchOptions, schedule_model

    place = Place(request.jobs, request.cluster)
    _check_persistent(request.persistent, graph)
    persistent = tuple(sorted(set(request.persistent)))
    options = ScheduleOptions(SearchOptions(request.pruning), request.transitions, persistent)
    work = searcher(spec, options, place, shown)
    return schedule_model(graph, spec, options, work, request.all_overrides)


def report_misfit(value: "DoesNotFit", form: str, quiet: bool, err: bool = False) -> int:
    """Say why a model does not fit; returns the exit code."""
    from t10c.cli.output import emit, print_result
    from t10c.report import summary

    lines = summary.misfit_lines(value)
    print_result(form, quiet, lambda: summary.misfit_document(value), lambda: lines, err)
    if quiet:
        emit(lines[0], err=True)
    return DOES_NOT_FIT


def import_graph(
    model: str,
    dims: tuple[str, ...],
    shapes: tuple[str, ...],
    values: tuple[str, ...] = (),
    data: bytes | None = None,
) -> "Graph":
    """The graph of a model argument; `-` is standard input, or `data` if that has been read."""
    from t10c import import_model
    from t10c.errors import UnsupportedOperatorError, UsageError
    from t10c.files import MODEL_WANTED

    if not model:
        raise UsageError("MODEL is empty: name an ONNX file, or - for standard input")
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
