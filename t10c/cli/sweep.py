"""`t10c sweep`: models x chips x overrides, planned point by point, as one table."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from t10c.cli import options as shared
from t10c.cli.group import examples
from t10c.errors import FileAccessError, UsageError

if TYPE_CHECKING:
    from t10c import Place, Sweep, SweepRow, SweepTable
    from t10c.cli.progress import Progress

_FORMS = ("csv", "parquet", "html")
_JOURNAL = "journal"


@click.command(
    "sweep",
    epilog=examples(
        "t10c sweep sweep.yaml -o results",
        "t10c sweep sweep.yaml -o results.csv --jobs 8",
        "t10c sweep sweep.yaml --dry-run",
        "t10c sweep sweep.yaml -o results --cluster dask://10.0.0.1:8786",
    ),
)
@click.argument("file", metavar="FILE")
@click.option(
    "-o",
    "--output",
    metavar="DIR|FILE",
    help="Directory for all forms, or a .csv, .parquet or .html file; - is CSV on standard output.",
)
@shared.place_options("the table")
@click.option("--dry-run", is_flag=True, help="List the points and what is done; plan nothing.")
@shared.format_option
@shared.verbosity_options
def sweep_command(
    file: str,
    output: str | None,
    jobs: int,
    cluster: str | None,
    dry_run: bool,
    form: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Plan every model of FILE on every chip of it, under every override.

    A point that does not fit, or is no valid chip, is a row that says why. Points are kept in a
    journal beside the output as they are planned: after an interruption, or a change of FILE, the
    same command plans only what is missing.
    """
    from t10c import Place, open_sweep
    from t10c.cli.output import print_result
    from t10c.cli.progress import progress
    from t10c.report import sweep as report

    place = Place(jobs, cluster)
    target = None if output is None else _target(output, file)
    if target is None and not dry_run:
        raise UsageError("name a directory or a file to write with -o, or ask for --dry-run")
    with progress(quiet, long=not dry_run) as shown:
        shown.stage("reading models")
        sweep = open_sweep(Path(file))
        if dry_run or target is None:
            journal = None if target is None else target.journal
            done = sweep.done(journal) if journal is not None else (False,) * len(sweep.points)
        else:
            rows, planned = _run(sweep, target, place, shown)
    if dry_run or target is None:
        print_result(
            form,
            quiet,
            lambda: report.point_documents(sweep, done),
            lambda: report.point_lines(sweep, done),
        )
        return 0
    written = _write(sweep, rows, target, quiet)
    print_result(
        form,
        quiet,
        lambda: report.sweep_document(rows, planned, written),
        lambda: [*report.sweep_lines(rows, planned), *(f"wrote {name}" for name in written)],
        err=output == "-",
    )
    return 0


@dataclass(frozen=True)
class _Target:
    """Where results go: a path per form, and the journal; none of standard output."""

    paths: tuple[tuple[str, str], ...]
    journal: Path | None
    directory: Path | None = None


def _target(output: str, file: str) -> _Target:
    """What `-o` means; errors if it cannot or must not be written."""
    from t10c.cli.output import check_writable

    if output == "-":
        return _Target((("csv", "-"),), None)
    form = Path(output).suffix.removeprefix(".")
    if form in _FORMS and not Path(output).is_dir():
        check_writable(output, file)
        _require(form)
        return _Target(((form, output),), Path(f"{output}.{_JOURNAL}"))
    folder = Path(output)
    if folder.is_file() or not output:
        raise UsageError(
            f"-o {output}: name a directory, or a file that ends in .csv, .parquet or .html"
        )
    if not folder.is_dir():
        check_writable(output, file)
    paths = tuple((form, str(folder / f"sweep.{form}")) for form in _FORMS)
    return _Target(paths, folder / f"sweep.{_JOURNAL}", folder)


def _require(form: str) -> None:
    """UsageError if a form needs a package that is not installed."""
    from t10c import parquet_modules
    from t10c.report.html import html_modules

    if form == "parquet":
        parquet_modules()
    if form == "html":
        html_modules()


def _run(
    sweep: "Sweep", target: _Target, place: "Place", shown: "Progress"
) -> "tuple[tuple[SweepRow, ...], int]":
    """The rows, and how many points were planned; whatever ends it, says where the rest is kept."""
    from t10c.cli.output import emit

    if target.directory is not None:
        _make(target.directory)
    planned = 0

    def advance() -> None:
        nonlocal planned
        planned += 1
        shown.advance()

    def begun(count: int) -> None:
        shown.stage("planning points", count)

    try:
        rows = sweep.run(target.journal, place, begun, advance)
    except BaseException:
        if planned and target.journal is not None:
            emit(f"{planned} more points are kept in {target.journal}", err=True)
            emit("the same command goes on from there", err=True)
        raise
    return rows, planned


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise FileAccessError(
            f"cannot make the directory '{folder}': {error.strerror or error}\n"
            "choose another place with -o"
        ) from error


def _write(sweep: "Sweep", rows: "tuple[SweepRow, ...]", target: _Target, quiet: bool) -> list[str]:
    """Write every form; in a directory, one whose package is absent is left out, and said so."""
    from t10c import sweep_table
    from t10c.cli.output import emit, write_atomic

    table = sweep_table(sweep, rows)
    written = []
    for form, path in target.paths:
        try:
            data = _rendered(table, form)
        except UsageError as error:
            if target.directory is None:
                raise
            if not quiet:
                emit(f"{path} is left out: {error}", err=True)
            continue
        write_atomic(path, data)
        if path != "-":
            written.append(path)
    return written


def _rendered(table: "SweepTable", form: str) -> bytes:
    from t10c import sweep_csv, sweep_parquet
    from t10c.report.html import sweep_page

    if form == "html":
        return sweep_page(table).encode()
    return sweep_csv(table) if form == "csv" else sweep_parquet(table)
