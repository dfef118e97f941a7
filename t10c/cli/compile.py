"""`t10c compile`: model and hardware in, plan and latency report out."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from t10c.cli import options as shared

if TYPE_CHECKING:
    from t10c.ir.graph import Graph

DOES_NOT_FIT = 7


@click.command("compile")
@click.argument("model", metavar="MODEL")
@shared.hardware_options
@shared.binding_options
@click.option("-o", "--output", metavar="PLAN", help="Plan file to write; - is standard output.")
@click.option(
    "--transitions",
    type=click.Choice(["exact", "uniform"]),
    default="exact",
    show_default=True,
    help="Price moves between operators by the bytes each core lacks, or uniformly.",
)
@shared.search_option
@click.option(
    "--persistent", multiple=True, metavar="TENSOR", help="Keep a tensor (a KV cache) throughout."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes to search with; the plan is the same for any number.",
)
@shared.format_option
@click.option("-q", "--quiet", is_flag=True, help="No report, no progress; errors only.")
@click.option("-v", "--verbose", is_flag=True, help="List what every distinct search looked at.")
def compile_command(
    model: str,
    hardware: str,
    overrides: tuple[str, ...],
    buffers: str | None,
    dims: tuple[str, ...],
    shapes: tuple[str, ...],
    output: str | None,
    transitions: Literal["exact", "uniform"],
    pruning: Literal["pruned", "exhaustive"],
    persistent: tuple[str, ...],
    jobs: int,
    form: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Plan MODEL (an ONNX file, - is standard input) for a chip.

    Writes the plan to -o, if given, and prints a latency report. Exit 7: the model does not fit.
    """
    from t10c.cli.output import emit_json, write_atomic
    from t10c.cli.progress import searcher
    from t10c.hardware.load import load_spec
    from t10c.report import summary
    from t10c.schedule.document import dump_plan
    from t10c.schedule.model import schedule_model
    from t10c.schedule.options import ScheduleOptions
    from t10c.schedule.result import DoesNotFit
    from t10c.search.options import SearchOptions

    shared.check_writable(output)
    overrides = shared.all_overrides(overrides, buffers)
    spec = load_spec(hardware, overrides)
    graph = import_graph(model, dims, shapes)
    known_persistent(persistent, graph)
    options = ScheduleOptions(SearchOptions(pruning), transitions, tuple(sorted(set(persistent))))
    work = searcher(spec, options, jobs, quiet)
    plan = schedule_model(graph, spec, options, work, overrides)
    to_stderr = output == "-"
    if isinstance(plan, DoesNotFit):
        if form == "json" and not to_stderr:
            emit_json(summary.misfit_document(plan))
        else:
            click.echo("\n".join(summary.misfit_lines(plan)), err=to_stderr)
        return DOES_NOT_FIT
    if output is not None:
        write_atomic(output, dump_plan(plan))
    if not quiet:
        if form == "json" and not to_stderr:
            emit_json(summary.plan_document(plan))
        else:
            click.echo("\n".join(summary.plan_lines(plan)), err=to_stderr)
    if verbose:
        click.echo("\n".join(summary.search_lines(plan)), err=True)
    return 0


def import_graph(model: str, dims: tuple[str, ...], shapes: tuple[str, ...]) -> "Graph":
    """The graph of a model argument; `-` is standard input."""
    from t10c.onnx_import.importer import import_model

    source = shared.read_bytes("-") if model == "-" else Path(model)
    return import_model(source, shared.read_dims(dims), shared.read_shapes(shapes))


def known_persistent(names: tuple[str, ...], graph: "Graph") -> None:
    """UsageError if a name is no tensor of the graph."""
    import difflib

    from t10c.errors import UsageError

    for name in names:
        if name not in graph.tensor:
            close = difflib.get_close_matches(name, graph.tensor, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise UsageError(f"--persistent {name}: the model has no such tensor{hint}")
