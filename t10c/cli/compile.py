"""`t10c compile`: model and hardware in, plan and latency report out."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from t10c.cli import options as shared
from t10c.cli.group import examples

if TYPE_CHECKING:
    from t10c import Graph

DOES_NOT_FIT = 7


@click.command(
    "compile",
    epilog=examples(
        "t10c compile bert.onnx --hw ipu-mk2 -o bert.plan.json",
        "t10c compile net.onnx --dim batch=1 --hw ipu-mk2 --hw-set cores.sram=1MiB",
        "t10c compile net.onnx --hw my-chip.yaml --format json > report.json",
        "t10c compile net.onnx --hw ipu-mk2 --emit program -o net.program.json",
        "t10c zoo build nerf -o - | t10c compile - --hw wse2 -o - > nerf.plan.json",
    ),
)
@click.argument("model", metavar="MODEL")
@shared.hardware_options
@shared.binding_options
@click.option("-o", "--output", metavar="FILE", help="File to write; - is standard output.")
@click.option(
    "--emit",
    "emitted",
    type=click.Choice(["plan", "program"]),
    default="plan",
    show_default=True,
    help="Write the plan, or the device program that it becomes.",
)
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
    metavar="N",
    default=1,
    show_default=True,
    help="Processes to search with; the plan is the same for any number.",
)
@shared.format_option
@shared.verbosity_options
def compile_command(
    model: str,
    hardware: str,
    overrides: tuple[str, ...],
    buffers: str | None,
    dims: tuple[str, ...],
    shapes: tuple[str, ...],
    values: tuple[str, ...],
    output: str | None,
    emitted: Literal["plan", "program"],
    transitions: Literal["exact", "uniform"],
    pruning: Literal["pruned", "exhaustive"],
    persistent: tuple[str, ...],
    jobs: int,
    form: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Plan MODEL (an ONNX file, - is standard input) for a chip.

    Writes the plan, or its device program, to -o, if given, and prints a latency report, to
    standard error if the file goes to standard output. Exit 7: the model does not fit; the report
    says why, and nothing is written.
    """
    from t10c import (
        DoesNotFit,
        ScheduleOptions,
        SearchOptions,
        dump_plan,
        dump_program,
        load_spec,
        lower_plan,
        schedule_model,
    )
    from t10c.cli.output import check_writable, emit, print_result, write_atomic
    from t10c.cli.progress import progress, searcher
    from t10c.errors import UsageError
    from t10c.report import summary

    if emitted == "program" and output is None:
        raise UsageError("--emit program writes a file: name it with -o, or - for standard output")
    check_writable(output, model, hardware)
    overrides = shared.all_overrides(overrides, buffers)
    spec = load_spec(hardware, overrides)
    options = ScheduleOptions(SearchOptions(pruning), transitions, tuple(sorted(set(persistent))))
    with progress(quiet) as shown:
        shown.stage("reading the model")
        graph = import_graph(model, dims, shapes, values)
        known_persistent(persistent, graph)
        work = searcher(spec, options, jobs, shown)
        plan = schedule_model(graph, spec, options, work, overrides)
    err = output == "-"
    if isinstance(plan, DoesNotFit):
        lines = summary.misfit_lines(plan)
        print_result(form, quiet, lambda: summary.misfit_document(plan), lambda: lines, err)
        if quiet:
            emit(lines[0], err=True)
        return DOES_NOT_FIT
    if output is not None:
        data = dump_program(lower_plan(plan)) if emitted == "program" else dump_plan(plan)
        write_atomic(output, data)
    print_result(
        form, quiet, lambda: summary.plan_document(plan), lambda: summary.plan_lines(plan), err
    )
    if verbose:
        emit("\n".join(summary.search_lines(plan)), err=True)
    return 0


def import_graph(
    model: str, dims: tuple[str, ...], shapes: tuple[str, ...], values: tuple[str, ...] = ()
) -> "Graph":
    """The graph of a model argument; `-` is standard input."""
    from t10c import import_model
    from t10c.errors import UnsupportedOperatorError, UsageError
    from t10c.files import MODEL_WANTED

    if not model:
        raise UsageError("MODEL is empty: name an ONNX file, or - for standard input")
    source = shared.read_bytes("-", MODEL_WANTED) if model == "-" else Path(model)
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


def known_persistent(names: tuple[str, ...], graph: "Graph") -> None:
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
