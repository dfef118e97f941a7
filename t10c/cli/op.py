"""`t10c op`: search one operator and print its front."""

from typing import Literal

import click

from t10c.cli import options as shared
from t10c.cli.caching import cache_option, caching
from t10c.cli.group import examples

DOES_NOT_FIT = 7


@click.command(
    "op",
    epilog=examples(
        "t10c op matmul --axes m=128,n=4096,k=1024 --hw ipu-mk2",
        "t10c op conv --axes o=64,c=64,h=56,w=56,kh=3,kw=3,stride=1 --hw ipu-mk2",
        't10c op "C[m,n] += A[m,k] * B[k,n]" --axes m=8,n=8,k=8 --hw wse2 --format json',
    ),
)
@click.argument("expression", metavar="NAME|EXPRESSION")
@click.option(
    "--axes", required=True, metavar="A=N,...", help="Axis lengths, e.g. m=128,n=4096,k=1024."
)
@shared.hardware_options
@shared.search_option
@click.option(
    "--max-candidates",
    type=click.IntRange(min=1),
    metavar="N",
    help="End the search after so many plans; the result then says that it is not exhausted.",
)
@cache_option
@shared.format_option
@shared.verbosity_options
def op_command(
    expression: str,
    axes: str,
    hardware: str,
    overrides: tuple[str, ...],
    buffers: str | None,
    pruning: Literal["pruned", "exhaustive"],
    max_candidates: int | None,
    cache_place: str | None,
    form: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Search one operator: the exact Pareto front of memory per core against cycles.

    NAME is matmul, bmm, conv, pool, reduce, pointwise or gather; EXPRESSION is free, such as
    "C[m,n] += A[m,k] * B[k,n]". Exit 7: no plan fits.
    """
    from t10c import CachedSearches, SearchOptions, load_spec, named_expression, parse_expression
    from t10c.cli.output import emit, print_result
    from t10c.cli.progress import progress
    from t10c.report import front

    lengths = shared.read_axes(axes)
    read = parse_expression if "[" in expression else named_expression
    parsed = read(expression, lengths)
    overrides = shared.all_overrides(overrides, buffers)
    spec = load_spec(hardware, overrides)
    options = SearchOptions(pruning)
    if max_candidates is not None:
        options = SearchOptions(pruning, max_candidates)
    with caching(cache_place, quiet, verbose) as cache, progress(quiet) as shown:
        shown.stage("searching")
        result = CachedSearches(cache, spec, options).operator_front(parsed)
    print_result(
        form,
        quiet,
        lambda: {
            **front.front_document(parsed, spec, options, result),
            "hardware_overrides": list(overrides),
        },
        lambda: front.front_lines(parsed, spec, options, result),
    )
    if quiet and not result.front:
        emit(front.misfit_line(spec, result), err=True)
    return 0 if result.front else DOES_NOT_FIT
