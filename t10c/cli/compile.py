"""`t10c compile`: model and hardware in, plan and latency report out."""

from typing import Literal

import click

from t10c.cli import options as shared
from t10c.cli.answer import Answer, report_misfit
from t10c.cli.caching import caching
from t10c.cli.front import INTERRUPTED, find_front, report_front
from t10c.cli.group import examples
from t10c.cli.planning import PlanRequest, front_options, plan_model


@click.command(
    "compile",
    epilog=examples(
        "t10c compile bert.onnx --hw ipu-mk2 -o bert.plan.json",
        "t10c compile net.onnx --dim batch=1 --hw ipu-mk2 --hw-set cores.sram=1MiB",
        "t10c compile net.onnx --hw my-chip.yaml --format json > report.json",
        "t10c compile net.onnx --hw ipu-mk2 --emit program -o net.program.json",
        "t10c compile bert.onnx --hw ipu-mk2 --time-limit 60 -o bert.plan.json",
        "t10c compile bert.onnx --hw ipu-mk2 --objective pareto --format csv > bert.csv",
        "t10c zoo build nerf -o - | t10c compile - --hw wse2 -o - > nerf.plan.json",
    ),
)
@front_options
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
    "--points",
    type=click.IntRange(min=2, max=1000),
    metavar="N",
    help="Sizes of memory to plan with, for --objective pareto.  [default: 12]",
)
@shared.form_option("table", "json", "csv")
@shared.verbosity_options
def compile_command(
    request: PlanRequest,
    output: str | None,
    emitted: Literal["plan", "program"],
    points: int | None,
    form: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Plan MODEL (an ONNX file, - is standard input) for a chip.

    Writes the plan, or its device program, to -o, if given, and prints a latency report, to
    standard error if the file goes to standard output; with --objective pareto, the front in their
    place. Exit 7: the model does not fit; the report says why, and nothing is written. Exit 8:
    --time-limit passed before there was a plan. Ctrl-C while a plan is being improved ends that:
    the best so far is the result, marked truncated, with exit 130; a second Ctrl-C aborts.
    """
    from t10c.cli.output import check_writable, emit, print_result, write_atomic
    from t10c.cli.progress import progress

    _check_options(request, output, emitted, points, form)
    check_writable(output, request.model, request.hardware)
    with caching(request.cache_place, quiet, verbose) as cache, progress(quiet) as shown:
        if request.objective == "pareto":
            from t10c import DEFAULT_POINTS

            front, interrupted = find_front(request, points or DEFAULT_POINTS, shown, cache)
        else:
            answer = plan_model(request, shown, cache, keep_best=True)
    if request.objective == "pareto":
        return report_front(front, interrupted, output, form, quiet)
    err = output == "-"
    if not answer.fits:
        return report_misfit(answer, form, quiet, err)
    if output is not None:
        write_atomic(output, answer.file() if emitted == "plan" else _program_file(answer))
    print_result(form, quiet, lambda: answer.document, lambda: answer.lines, err)
    if verbose:
        emit("\n".join(answer.details), err=True)
    if answer.interrupted:
        emit("interrupted; the result is the best so far", err=True)
        return INTERRUPTED
    return 0


def _check_options(
    request: PlanRequest, output: str | None, emitted: str, points: int | None, form: str
) -> None:
    """UsageError for options that do not go together."""
    from t10c.errors import UsageError

    front = request.objective == "pareto"
    if emitted == "program" and front:
        raise UsageError("--emit program is for one plan; --objective pareto has many")
    if emitted == "program" and output is None:
        raise UsageError("--emit program writes a file: name it with -o, or - for standard output")
    for option, given in (("--points", points is not None), ("--format csv", form == "csv")):
        if given and not front:
            raise UsageError(f"{option} is for --objective pareto")


def _program_file(answer: Answer) -> bytes:
    from t10c import dump_program, lower_plan

    return dump_program(lower_plan(answer.plan()))
