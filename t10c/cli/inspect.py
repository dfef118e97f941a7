"""`t10c inspect`: what is in a model and how each node will be treated."""

import click

from t10c.cli import options as shared

UNSUPPORTED = 5


@click.command("inspect")
@click.argument("model", metavar="MODEL")
@shared.binding_options
@shared.format_option
@click.option("-v", "--verbose", is_flag=True, help="List every planned operator.")
def inspect_command(
    model: str, dims: tuple[str, ...], shapes: tuple[str, ...], form: str, verbose: bool
) -> int:
    """Show inputs, outputs, work and the class of every node of MODEL; no search.

    Exit 5 if operators are unsupported; with --format json they are listed all the same.
    """
    from t10c.cli.compile import import_graph
    from t10c.cli.output import emit_json
    from t10c.errors import UnsupportedOperatorError
    from t10c.report.inspection import graph_document, graph_lines

    try:
        graph = import_graph(model, dims, shapes)
    except UnsupportedOperatorError as error:
        if form != "json":
            raise
        unsupported = [{"node": node, "operator": op} for node, op in error.nodes]
        emit_json({"unsupported": unsupported})
        click.echo(f"error: {error}", err=True)
        return UNSUPPORTED
    if form == "json":
        emit_json(graph_document(graph))
    else:
        click.echo("\n".join(graph_lines(graph, verbose)))
    return 0
