"""`t10c check`: a gate for CI: compile, simulate, compare with limits."""

from typing import TYPE_CHECKING, Literal

import click

from t10c.cli import options as shared
from t10c.cli.answer import report_misfit
from t10c.cli.caching import caching
from t10c.cli.group import examples
from t10c.cli.limits import limits_exit
from t10c.cli.planning import PlanRequest, plan_model, planning_options

if TYPE_CHECKING:
    from t10c import Limit

_LIMITS: tuple[tuple[str, str, Literal["at most", "at least"]], ...] = (
    ("--max-latency", "latency_ms", "at most"),
    ("--max-core-memory", "peak_core_bytes", "at most"),
    ("--min-utilisation", "utilisation", "at least"),
)


@click.command(
    "check",
    epilog=examples(
        "t10c check bert.onnx --hw ipu-mk2 --max-latency 5ms --max-core-memory 600KiB",
        "t10c check net.onnx --dim batch=1 --hw my-chip.yaml --min-utilisation 0.3 --format json",
    ),
)
@planning_options
@click.option(
    "--max-latency", metavar="TIME", help="Simulated latency, such as 5ms or 90000cycles."
)
@click.option("--max-core-memory", metavar="SIZE", help="Peak memory of a core, such as 600KiB.")
@click.option(
    "--min-utilisation",
    metavar="SHARE",
    help="Share of the latency that the average core computes, such as 0.3.",
)
@shared.format_option
@shared.verbosity_options
def check_command(
    request: PlanRequest,
    max_latency: str | None,
    max_core_memory: str | None,
    min_utilisation: str | None,
    form: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Compile MODEL (- is standard input), simulate the plan, and hold it against limits.

    Exit 9: a limit does not hold, which the report names. Exit 7: the model does not fit. Nothing
    is written.
    """
    from t10c import simulate_plan, simulation_document, simulation_report
    from t10c.cli.output import print_result
    from t10c.cli.progress import progress
    from t10c.report.metrics import outcome_document, outcome_lines
    from t10c.report.simulation import simulation_lines

    limits = _limits(max_latency, max_core_memory, min_utilisation)
    with caching(request.cache_place, quiet, verbose) as cache, progress(quiet) as shown:
        answer = plan_model(request, shown, cache)
        if not answer.fits:
            return report_misfit(answer, form, quiet)
        plan = answer.plan()
        shown.stage("simulating", len(plan.operators))
        found = simulate_plan(plan, advance=shown.advance)
    report = simulation_report(found)
    outcomes = tuple(limit.outcome(report) for limit in limits)
    print_result(
        form,
        quiet,
        lambda: {
            "status": "ok" if all(outcome.holds for outcome in outcomes) else "limit_exceeded",
            "limits": [outcome_document(outcome) for outcome in outcomes],
            "simulation": simulation_document(report),
        },
        lambda: [*simulation_lines(report, plan), *outcome_lines(outcomes)],
    )
    return limits_exit(outcomes, form, quiet)


def _limits(*given: str | None) -> "list[Limit]":
    """The limits that are given, of those in _LIMITS; UsageError for a wrong one, or none."""
    from t10c import Limit, metric_named
    from t10c.errors import UsageError

    limits = [
        Limit(option, metric_named(name, option), bound, text)
        for (option, name, bound), text in zip(_LIMITS, given, strict=True)
        if text is not None
    ]
    if not limits:
        options = ", ".join(option for option, _, _ in _LIMITS)
        raise UsageError(f"no limit to check: give one of {options}")
    for limit in limits:
        limit.check()
    return limits
