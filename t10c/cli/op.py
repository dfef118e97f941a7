"""`t10c op`: search one operator and print its front."""

from typing import Literal

import click

from t10c.cli import options as shared

DOES_NOT_FIT = 7


@click.command("op")
@click.argument("expression", metavar="NAME|EXPRESSION")
@click.option(
    "--axes", required=True, metavar="A=N,...", help="Axis lengths, e.g. m=128,n=4096,k=1024."
)
@shared.hardware_options
@shared.search_option
@click.option(
    "--max-candidates",
    type=click.IntRange(min=1),
    help="End the search after so many plans; the result then says that it is not exhausted.",
)
@shared.format_option
def op_command(
    expression: str,
    axes: str,
    hardware: str,
    overrides: tuple[str, ...],
    buffers: str | None,
    pruning: Literal["pruned", "exhaustive"],
    max_candidates: int | None,
    form: str,
) -> int:
    """Search one operator: the exact Pareto front of memory per core against cycles.

    NAME is matmul, bmm, conv, pool, reduce, pointwise or gather; EXPRESSION is free, such as
    "C[m,n] += A[m,k] * B[k,n]". Exit 7: no plan fits.
    """
    from t10c.cli.output import emit_json
    from t10c.hardware.load import load_spec
    from t10c.report.front import front_document, front_lines
    from t10c.search import SearchOptions, search_operator
    from t10c.search.templates import named_expression, parse_expression

    lengths = shared.read_axes(axes)
    read = parse_expression if "[" in expression else named_expression
    parsed = read(expression, lengths)
    spec = load_spec(hardware, shared.all_overrides(overrides, buffers))
    options = SearchOptions(pruning)
    if max_candidates is not None:
        options = SearchOptions(pruning, max_candidates)
    result = search_operator(parsed, spec, options)
    if form == "json":
        emit_json(front_document(parsed, spec, options, result))
    else:
        click.echo("\n".join(front_lines(parsed, spec, options, result)))
    return 0 if result.front else DOES_NOT_FIT
