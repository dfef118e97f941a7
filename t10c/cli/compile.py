"""`t10c compile`: model and hardware in, plan and latency report out."""

from typing import Literal

import click

from t10c.cli import options as shared
from t10c.cli.answer import Answer, report_misfit
from t10c.cli.caching import caching
from t10c.cli.group import examples
from t10c.cli.planning import PlanRequest, plan_model, planning_options

INTERRUPTED = 130


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
@planning_options
@click.option("-o", "--output", metavar="FILE", help="File to write; - is standard output.")
@click.option(
    "--emit",
    "emitted",
    type=click.Choice(["plan", "program"]),
    default="plan",
    show_default=True,
    help="Write the plan, or the device program that it becomes.",
)
@shared.format_option
@shared.verbosity_options
def compile_command(
    request: PlanRequest,
    output: str | None,
    emitted: Literal["plan", "program"],
    form: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Plan MODEL (an ONNX file, - is standard input) for a chip.

    Writes the plan, or its device program, to -o, if given, and prints a latency report, to
    standard error if the file goes to standard output. Exit 7: the model does not fit; the report
    says why, and nothing is written. Exit 8: --time-limit passed before there was a plan. Ctrl-C
    while a plan is being improved ends that: the best so far is the result, marked truncated, with
    exit 130; a second Ctrl-C aborts.
    """
    from t10c.cli.output import check_writable, emit, print_result, write_atomic
    from t10c.cli.progress import progress
    from t10c.errors import UsageError

    if emitted == "program" and output is None:
        raise UsageError("--emit program writes a file: name it with -o, or - for standard output")
    check_writable(output, request.model, request.hardware)
    with caching(request.cache_place, quiet, verbose) as cache, progress(quiet) as shown:
        answer = plan_model(request, shown, cache, keep_best=True)
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


def _program_file(answer: Answer) -> bytes:
    from t10c import dump_program, lower_plan

    return dump_program(lower_plan(answer.plan()))
