"""`t10c compile`: model and hardware in, plan and latency report out."""

from typing import Literal

import click

from t10c.cli import options as shared
from t10c.cli.group import examples
from t10c.cli.planning import PlanRequest, plan_model, planning_options, report_misfit


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
    says why, and nothing is written.
    """
    from t10c import DoesNotFit, dump_plan, dump_program, lower_plan
    from t10c.cli.output import check_writable, emit, print_result, write_atomic
    from t10c.cli.progress import progress
    from t10c.errors import UsageError
    from t10c.report import summary

    if emitted == "program" and output is None:
        raise UsageError("--emit program writes a file: name it with -o, or - for standard output")
    check_writable(output, request.model, request.hardware)
    with progress(quiet) as shown:
        plan = plan_model(request, shown)
    err = output == "-"
    if isinstance(plan, DoesNotFit):
        return report_misfit(plan, form, quiet, err)
    if output is not None:
        data = dump_program(lower_plan(plan)) if emitted == "program" else dump_plan(plan)
        write_atomic(output, data)
    print_result(
        form, quiet, lambda: summary.plan_document(plan), lambda: summary.plan_lines(plan), err
    )
    if verbose:
        emit("\n".join(summary.search_lines(plan)), err=True)
    return 0
