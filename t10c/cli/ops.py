"""`t10c ops`: the operators t10c knows and what becomes of each."""

from typing import TYPE_CHECKING

import click

from t10c.cli import options as shared
from t10c.cli.group import examples

if TYPE_CHECKING:
    from t10c import CatalogueEntry


@click.command(
    "ops",
    epilog=examples("t10c ops", "t10c ops Conv LSTM TopK", "t10c ops --format json"),
)
@click.argument("names", metavar="[OPERATOR]...", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    show_default=True,
    help="Form of the result on standard output.",
)
@shared.verbosity_options
def ops_command(names: tuple[str, ...], form: str, quiet: bool, verbose: bool) -> None:
    """List operators with their opsets, the class their nodes end in, and how.

    All of them, or those named. What installed packages add is listed too.
    """
    import json

    from t10c import operator_catalogue
    from t10c.report.operators import catalogue_document, catalogue_lines, catalogue_markdown

    entries = operator_catalogue()
    if names:
        entries = _named(entries, names)
    if form == "json":
        click.echo(json.dumps(catalogue_document(entries), indent=1))
    elif not quiet:
        lines = catalogue_lines if form == "table" else catalogue_markdown
        click.echo("\n".join(lines(entries)))


def _named(
    entries: "tuple[CatalogueEntry, ...]", names: tuple[str, ...]
) -> "tuple[CatalogueEntry, ...]":
    """The entries with the given names, with or without their domain; UsageError if unknown."""
    from t10c.errors import UsageError
    from t10c.suggest import closest

    known: dict[str, list[CatalogueEntry]] = {}
    for entry in entries:
        spellings = {entry.op_type, f"{entry.domain or 'ai.onnx'}.{entry.op_type}"}
        for spelling in spellings:
            known.setdefault(spelling, []).append(entry)
    for name in names:
        if name not in known:
            close = closest(name, sorted(known))
            remedy = f"did you mean '{close}'?" if close else "t10c ops lists all"
            raise UsageError(f"t10c knows no operator '{name}'\n{remedy}")
    return tuple(dict.fromkeys(entry for name in names for entry in known[name]))
