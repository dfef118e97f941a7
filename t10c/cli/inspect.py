"""`t10c inspect`: what is in a model and how each node will be treated."""

import click

from t10c.cli import options as shared
from t10c.cli.group import examples


@click.command(
    "inspect",
    epilog=examples(
        "t10c inspect resnet.onnx --shape input:1x3x224x224",
        "t10c inspect bert.onnx --dim batch=1 --dim sequence=128 --format json",
    ),
)
@click.argument("model", metavar="MODEL")
@shared.binding_options
@shared.format_option
@shared.verbosity_options
def inspect_command(
    model: str,
    dims: tuple[str, ...],
    shapes: tuple[str, ...],
    values: tuple[str, ...],
    form: str,
    quiet: bool,
    verbose: bool,
) -> None:
    """Show inputs, outputs, work and the class of every node of MODEL; no search.

    MODEL is an ONNX file, - is standard input. With -v, every planned operator is listed too.
    Exit 5 if operators are unsupported; with --format json they are listed all the same.
    """
    from t10c.cli.output import print_result
    from t10c.cli.planning import import_graph
    from t10c.cli.progress import progress
    from t10c.errors import UnsupportedOperatorError
    from t10c.report.inspection import graph_document, graph_lines, unsupported_document

    try:
        with progress(quiet) as shown:
            shown.stage("reading the model")
            graph = import_graph(model, dims, shapes, values)
    except UnsupportedOperatorError as error:
        nodes = error.nodes
        print_result(form, True, lambda: unsupported_document(nodes), list)
        raise
    print_result(form, quiet, lambda: graph_document(graph), lambda: graph_lines(graph, verbose))
