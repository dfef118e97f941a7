"""`t10c diff`: what changed between two plans or simulation reports, and whether it may."""

from typing import TYPE_CHECKING

import click

from t10c.cli import options as shared
from t10c.cli import programs
from t10c.cli.group import examples
from t10c.cli.limits import limits_exit

if TYPE_CHECKING:
    from t10c import ReportSource
    from t10c.cli.progress import Progress

_WANTED = (
    "give a plan file, which t10c compile writes, or a report of t10c simulate PLAN --format json"
)


@click.command(
    "diff",
    epilog=examples(
        "t10c diff main.plan.json new.plan.json",
        "t10c diff main.simulation.json new.plan.json --fail-on latency:+2%",
        "t10c diff a.plan.json b.plan.json --fail-on latency:+50us --fail-on peak_core_bytes:+4KiB",
        "t10c diff a.simulation.json b.simulation.json --format markdown > comment.md",
    ),
)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option(
    "--fail-on",
    "limits",
    multiple=True,
    metavar="METRIC:+N[%]",
    help="Exit 9 if a figure grew by more, or with - fell by more; may be repeated.",
)
@shared.form_option("table", "json", "markdown")
@shared.verbosity_options
def diff_command(
    before: str, after: str, limits: tuple[str, ...], form: str, quiet: bool, verbose: bool
) -> int:
    """Show what changed from A to B: totals, and operators by name.

    A and B are plans, which are simulated on their own chips, or reports of simulate --format json;
    either may be - for standard input. A METRIC is a figure such as latency, compute_cycles or
    peak_core_bytes, N a number in its unit or with one. Exit 9: a limit does not hold.
    """
    from t10c import diff_reports, read_allowance
    from t10c.cli.output import emit, print_result
    from t10c.cli.progress import progress
    from t10c.report import difference

    shared.one_standard_input(before, after)
    allowances = [read_allowance(text, "--fail-on") for text in limits]
    with progress(quiet) as shown:
        found = diff_reports(_read(before, shown), _read(after, shown))
    outcomes = tuple(a.outcome(found.before.report, found.after.report) for a in allowances)
    if form == "markdown":
        emit("\n".join(difference.difference_markdown(found, outcomes)))
    else:
        print_result(
            form,
            quiet,
            lambda: difference.difference_document(found, outcomes),
            lambda: difference.difference_lines(found, outcomes),
        )
    return limits_exit(outcomes, form, quiet)


def _read(path: str, shown: "Progress") -> "ReportSource":
    """A plan, simulated, or a simulation report."""
    from t10c import (
        ReportSource,
        load_plan,
        load_simulation,
        simulate_plan,
        simulation_report,
    )
    from t10c.errors import InvalidInputError
    from t10c.serialise import schema_of

    data = shared.read_bytes(path, _WANTED)
    place = "standard input" if path == "-" else path
    schema = schema_of(data)
    if schema == "t10c.simulation":
        return ReportSource(place, "report", load_simulation(data, place))
    if schema == programs.SCHEMA:
        raise InvalidInputError(
            f"{place}: a program file, which only names its chip\nsimulate it first:"
            " t10c simulate PROGRAM --hw NAME --format json -o REPORT.json"
        )
    if schema != "t10c.plan":
        raise InvalidInputError(f"{place}: neither a plan nor a simulation report\n{_WANTED}")
    plan = load_plan(data, place)
    shown.stage(f"simulating {place}", len(plan.operators))
    return ReportSource(
        place, "plan", simulation_report(simulate_plan(plan, advance=shown.advance))
    )
