"""`t10c simulate`: a plan or program on the clock, as the report that is asked for."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from t10c.cli import options as shared
from t10c.cli import programs
from t10c.cli.group import examples

if TYPE_CHECKING:
    from t10c import HardwareSpec, ModelPlan, Simulation
    from t10c.cli.progress import Progress

_FOR_FILES = ("html", "perfetto")
"""Formats that nobody reads on a terminal."""


@click.command(
    "simulate",
    epilog=examples(
        "t10c simulate bert.plan.json",
        "t10c simulate bert.plan.json --hw-set interconnect.link_bandwidth=11GB/s",
        "t10c simulate bert.plan.json --format json -o bert.simulation.json",
        "t10c simulate bert.plan.json --format html -o bert.html",
        "t10c simulate bert.program.json --hw ipu-mk2 --format perfetto -o bert.trace.json",
    ),
)
@click.argument("plan", metavar="PLAN|PROGRAM")
@click.option(
    "--hw",
    "hardware",
    metavar="NAME|FILE",
    help="The chip; a plan holds its own, a program file needs this.",
)
@shared.override_option
@shared.report_options("table", "json", "csv", "html", "perfetto", "markdown")
@shared.verbosity_options
def simulate_command(
    plan: str,
    hardware: str | None,
    overrides: tuple[str, ...],
    form: str,
    output: str,
    quiet: bool,
    verbose: bool,
) -> None:
    """Simulate one inference of PLAN, event by event, and report where time and memory go.

    PLAN is a file that compile wrote, - is standard input; a program file needs --hw. With --hw-set
    or --hw, a plan is simulated as it is on another chip: what the plan's cost model and bound say
    of its own chip is left out then.
    """
    from t10c.cli.output import check_writable, write_report
    from t10c.cli.progress import progress
    from t10c.errors import UsageError
    from t10c.files import PROGRAM_WANTED

    check_writable(output, plan, *([hardware] if hardware else []))
    if form in _FOR_FILES and output == "-" and sys.stdout.isatty():
        raise UsageError(f"--format {form} is for a file: name it with -o")
    if form == "html":
        from t10c.report.html import html_modules

        html_modules()  # what is missing is said before the work, not after it
    data = shared.read_bytes(plan, PROGRAM_WANTED)
    place = "standard input" if plan == "-" else plan
    with progress(quiet) as shown:
        shown.stage("reading the plan")
        simulation, model_plan = simulate_file(data, place, hardware, overrides, quiet, shown)
        shown.stage("writing the report")
        text = _FORMS[form](simulation, model_plan)
    write_report(form, quiet, output, text)


def simulate_file(
    data: bytes,
    place: str,
    hardware: str | None,
    overrides: tuple[str, ...],
    quiet: bool,
    shown: "Progress",
) -> "tuple[Simulation, ModelPlan | None]":
    """The simulation of a plan or program file, and the plan if it is one.

    `hardware` and `overrides` change the chip; a program needs `hardware` (UsageError).
    """
    from t10c import check_program, load_plan, load_spec, lower_plan, simulate_plan
    from t10c.errors import UsageError
    from t10c.serialise import schema_of

    if schema_of(data) == programs.SCHEMA:
        if hardware is None:
            raise UsageError(
                f"{place} is a program file, which only names its chip: give it with --hw"
            )
        spec = load_spec(hardware, overrides)
        return _simulate_program(data, place, spec, overrides, quiet, shown), None
    plan = load_plan(data, place)
    chip = _chip(plan, hardware, overrides)
    program = lower_plan(plan)
    check_program(program)
    shown.stage("simulating", len(program.sections))
    found = simulate_plan(plan, chip, program, shown.advance)
    if chip is not None:
        own = () if hardware else plan.overrides
        found = replace(found, overrides=(*own, *overrides))
    return found, plan


def _simulate_program(
    data: bytes,
    place: str,
    spec: "HardwareSpec",
    overrides: tuple[str, ...],
    quiet: bool,
    shown: "Progress",
) -> "Simulation":
    from t10c import simulate_program, spec_hash

    program = programs.read_valid_program(data, place, quiet)
    shown.stage("simulating", len(program.sections))
    found = replace(simulate_program(program, spec, shown.advance), overrides=overrides)
    origin = program.origin
    if origin is not None and origin.hardware_hash != spec_hash(spec):
        said = f"the program was made for another chip than this: {origin.hardware}"
        found = replace(found, notes=(*found.notes, said))
    return found


def _chip(
    plan: "ModelPlan", hardware: str | None, overrides: tuple[str, ...]
) -> "HardwareSpec | None":
    """The chip that was asked for, None if it is the plan's."""
    from t10c import changed_spec, load_spec

    if hardware is not None:
        return load_spec(hardware, overrides)
    return changed_spec(plan.spec, overrides) if overrides else None


# Forms of the report


def _table(simulation: "Simulation", plan: "ModelPlan | None") -> str:
    from t10c import simulation_report
    from t10c.report.simulation import simulation_lines

    return _joined(simulation_lines(simulation_report(simulation), plan))


def _json(simulation: "Simulation", plan: "ModelPlan | None") -> str:
    from t10c import simulation_document, simulation_report
    from t10c.cli.output import json_text

    return json_text(simulation_document(simulation_report(simulation)))


def _csv(simulation: "Simulation", plan: "ModelPlan | None") -> str:
    from t10c import simulation_report
    from t10c.report.simulation_csv import simulation_csv

    return simulation_csv(simulation_report(simulation))


def _html(simulation: "Simulation", plan: "ModelPlan | None") -> str:
    from t10c.report.html import html_report

    return html_report(simulation, plan).rstrip() + "\n"


def _perfetto(simulation: "Simulation", plan: "ModelPlan | None") -> str:
    import json

    from t10c.report.perfetto import perfetto_trace

    text = json.dumps(perfetto_trace(simulation), ensure_ascii=False, separators=(",", ":"))
    return f"{text}\n"


def _markdown(simulation: "Simulation", plan: "ModelPlan | None") -> str:
    from t10c import simulation_report
    from t10c.report.simulation_markdown import simulation_markdown

    return _joined(simulation_markdown(simulation_report(simulation)))


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


_FORMS: dict[str, Callable[["Simulation", "ModelPlan | None"], str]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "html": _html,
    "perfetto": _perfetto,
    "markdown": _markdown,
}
