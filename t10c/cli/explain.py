"""`t10c explain`: one operator of a plan in full."""

from typing import TYPE_CHECKING

import click

from t10c.cli import options as shared

if TYPE_CHECKING:
    from t10c.ir.graph import Operator


@click.command("explain")
@click.argument("plan", metavar="PLAN")
@click.option("--op", "name", metavar="NAME", help="Operator, or an ONNX node it stands for.")
@shared.format_option
def explain_command(plan: str, name: str | None, form: str) -> int:
    """Explain an operator of PLAN: rTensors, rings, who holds what, its front, why this plan.

    Without --op, lists the plan's operators and repeats its report.
    """
    from t10c.cli.output import emit_json
    from t10c.report.explain import operator_document, operator_lines
    from t10c.report.summary import operator_table, plan_document, plan_lines
    from t10c.schedule.document import load_plan

    place = "standard input" if plan == "-" else plan
    loaded = load_plan(shared.read_bytes(plan), place)
    if name is None:
        if form == "json":
            emit_json(plan_document(loaded))
        else:
            click.echo("\n".join([*plan_lines(loaded), *operator_table(loaded)]))
        return 0
    operator = find_operator(loaded.graph.planned, name)
    chosen = next(o for o in loaded.operators if o.name == operator.name)
    if form == "json":
        emit_json(operator_document(loaded, operator, chosen))
    else:
        click.echo("\n".join(operator_lines(loaded, operator, chosen)))
    return 0


def find_operator(operators: tuple["Operator", ...], name: str) -> "Operator":
    """The operator called `name`, or the one that stands for the ONNX node `name` (UsageError)."""
    import difflib

    from t10c.errors import UsageError

    for operator in operators:
        if operator.name == name:
            return operator
    for operator in operators:
        if name in operator.nodes:
            return operator
    names = [n for operator in operators for n in operator.nodes]
    close = difflib.get_close_matches(name, names, 1, cutoff=0.4)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"the plan has no operator {name!r}{hint}\nt10c explain PLAN lists them all")
