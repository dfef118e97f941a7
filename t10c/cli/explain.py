"""`t10c explain`: one operator of a plan in full, or the device program as text."""

from typing import TYPE_CHECKING

import click

from t10c.cli import options as shared
from t10c.cli.group import examples

if TYPE_CHECKING:
    from t10c import Graph, ModelPlan, NodeRecord, Operator, Program, Section


@click.command(
    "explain",
    epilog=examples(
        "t10c explain bert.plan.json",
        "t10c explain bert.plan.json --op /encoder/layer.0/intermediate/dense/MatMul",
        "t10c explain bert.plan.json --program",
    ),
)
@click.argument("plan", metavar="PLAN")
@click.option("--op", "name", metavar="NAME", help="Operator, or an ONNX node it stands for.")
@click.option("--program", "as_program", is_flag=True, help="Show the device program as text.")
@shared.format_option
@shared.verbosity_options
def explain_command(
    plan: str, name: str | None, as_program: bool, form: str, quiet: bool, verbose: bool
) -> None:
    """Explain an operator of PLAN: rTensors, rings, who holds what, its front, why this plan.

    PLAN is a file that compile wrote, - is standard input. Without --op, lists the plan's
    operators and repeats its report. With --program, or if PLAN is a program file, shows the
    instructions instead, of one operator or of all.
    """
    from t10c import load_plan
    from t10c.cli import programs
    from t10c.files import PROGRAM_WANTED
    from t10c.serialise import schema_of

    place = "standard input" if plan == "-" else plan
    data = shared.read_bytes(plan, PROGRAM_WANTED)
    if schema_of(data) == programs.SCHEMA:
        program = programs.read_valid_program(data, place, quiet)
        _explain_program(program, None, name, form, quiet)
        return
    loaded = load_plan(data, place)
    if as_program:
        from t10c import lower_plan

        _explain_program(lower_plan(loaded), loaded.graph, name, form, quiet)
    else:
        _explain_plan(loaded, name, form, quiet)


def _explain_plan(loaded: "ModelPlan", name: str | None, form: str, quiet: bool) -> None:
    from t10c.cli.output import emit, print_result
    from t10c.report import summary
    from t10c.report.explain import operator_document, operator_lines
    from t10c.report.positions import positions_document, positions_lines

    if name is None:
        print_result(
            form,
            quiet,
            lambda: {**summary.plan_document(loaded), **positions_document(loaded)},
            lambda: [
                *summary.plan_lines(loaded),
                *positions_lines(loaded),
                *summary.operator_table(loaded),
            ],
        )
        return
    operator = find_operator(loaded.graph, name)
    others = [o.name for o in loaded.graph.planned if name in o.nodes and o is not operator]
    if others and name != operator.name and not quiet:
        emit(f"note: {name} is also part of {', '.join(others)}", err=True)
    chosen = next(o for o in loaded.operators if o.name == operator.name)
    print_result(
        form,
        quiet,
        lambda: operator_document(loaded, operator, chosen),
        lambda: operator_lines(loaded, operator, chosen),
    )


def _explain_program(
    program: "Program", graph: "Graph | None", name: str | None, form: str, quiet: bool
) -> None:
    from t10c.cli.output import print_result
    from t10c.report.program import program_document, program_lines

    sections = None if name is None else find_sections(program, graph, name)
    print_result(
        form,
        quiet,
        lambda: program_document(program, sections),
        lambda: program_lines(program, sections),
    )


def find_sections(program: "Program", graph: "Graph | None", name: str) -> "list[Section]":
    """The sections called `name`, or those of the operator of the ONNX node `name` (UsageError).

    Nodes are known where the program was made from a plan, of which `graph` is the graph.
    """
    from t10c.errors import UsageError
    from t10c.suggest import did_you_mean

    known = list(program.all_sections())
    found = [section for section in known if section.name == name]
    if not found and graph is not None:
        wanted = find_operator(graph, name).name
        found = [section for section in known if section.name == wanted]
    if not found:
        hint = did_you_mean(name, [section.name for section in known])
        raise UsageError(
            f"--op {name}: the program has no such section{hint}\n"
            "without --op, t10c explain shows them all"
        )
    return found


def find_operator(graph: "Graph", name: str) -> "Operator":
    """The operator called `name`, or the main one of the ONNX node `name` (UsageError)."""
    from t10c.errors import UsageError
    from t10c.suggest import did_you_mean

    operators = {operator.name: operator for operator in graph.planned}
    records = {node.name: node for node in graph.nodes}
    record = records.get(name)
    for wanted in (name, record.operator if record else ""):
        if wanted in operators:
            return operators[wanted]
    moving = {operator.name: operator.op_type for operator in graph.operators}
    if record is not None or name in moving:
        what = record.op_type if record is not None else moving[name]
        fate = _fate(graph, record) if record is not None else "layout-only"
        raise UsageError(
            f"--op {name}: this {what} is not planned by itself: {fate}\n"
            "t10c explain PLAN lists the operators that are"
        )
    hint = did_you_mean(name, [*operators, *records])
    raise UsageError(
        f"--op {name}: the plan has no such operator{hint}\nt10c explain PLAN lists them all"
    )


def _fate(graph: "Graph", record: "NodeRecord") -> str:
    """What became of a node that no planned operator stands for: class, note and operator."""
    note = f" ({record.note})" if record.note else ""
    left = any(operator.name == record.operator for operator in graph.operators)
    part = f", in {record.operator}" if left and record.operator != record.name else ""
    return f"{record.node_class.text}{note}{part}"
