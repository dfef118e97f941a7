"""Options that several commands take, and how their texts are read."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from t10c import __version__
from t10c.errors import UsageError
from t10c.files import unreadable

_MOST_DIGITS = 30

Command = TypeVar("Command", bound=Callable[..., Any])


def verbosity_options(command: Command) -> Command:
    """`-q`, `-v` and `--version`, as they also stand before the command."""
    command = click.version_option(__version__, prog_name="t10c")(command)
    command = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        callback=_verbose,
        help="Say more, on standard error.",
    )(command)
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        callback=_here_or_before,
        help="Errors only, and JSON where asked for.",
    )(command)


def _here_or_before(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Whether a flag is given, here or to `t10c` itself."""
    assert param.name is not None
    return value or bool(ctx.find_root().params.get(param.name))


def _verbose(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    given = _here_or_before(ctx, param, value)
    if given:
        ctx.call_on_close(_print_resources)
    return given


def _print_resources() -> None:
    """Versions, and what this process and its children have used."""
    import platform
    import resource
    from importlib.metadata import version

    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in (own, children))
    peak = max(own.ru_maxrss, children.ru_maxrss) / 1024
    click.echo(
        f"t10c {__version__}, Python {platform.python_version()}, onnx {version('onnx')}, numpy"
        f" {version('numpy')}; {seconds:.2f} CPU s in all, peak {peak:.0f} MiB of a process",
        err=True,
    )


def one_standard_input(*arguments: str | None) -> None:
    """UsageError if more than one argument is standard input."""
    if arguments.count("-") > 1:
        raise UsageError("only one file can be standard input (-)")


def form_option(
    *forms: str, text: str = "Form of the result on standard output."
) -> Callable[[Command], Command]:
    """`--format`, one of these; the first is the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(forms),
        default=forms[0],
        show_default=True,
        help=text,
    )


def format_option(command: Command) -> Command:
    """`--format table|json`."""
    return form_option("table", "json")(command)


def report_options(*forms: str) -> Callable[[Command], Command]:
    """`--format`, one of these, and `-o`: of reports that are results and files alike."""

    def declared(command: Command) -> Command:
        command = click.option(
            "-o",
            "--output",
            metavar="FILE",
            default="-",
            help="File to write; - is standard output, the default.",
        )(command)
        return form_option(*forms, text="Form of the report.")(command)

    return declared


def hardware_options(command: Command) -> Command:
    """`--hw`, `--hw-set` and `--buffers`."""
    command = click.option(
        "--buffers",
        type=click.Choice(["fixed", "double"]),
        help="Shift buffers: one for the model, or every rotating piece twice.",
    )(command)
    command = override_option(command)
    return click.option(
        "--hw",
        "hardware",
        required=True,
        metavar="NAME|FILE",
        help="Hardware specification: a preset (t10c hw list) or a file.",
    )(command)


def override_option(command: Command) -> Command:
    """`--hw-set KEY=VALUE`, any number of times."""
    return click.option(
        "--hw-set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a key of the specification, e.g. cores.sram=1MiB; may be repeated.",
    )(command)


def search_option(command: Command) -> Command:
    """`--search pruned|exhaustive`."""
    return click.option(
        "--search",
        "pruning",
        type=click.Choice(["pruned", "exhaustive"]),
        default="pruned",
        show_default=True,
        help="With T10's utilisation and padding thresholds, or without.",
    )(command)


def place_options(result: str) -> Callable[[Command], Command]:
    """`--jobs N` and `--cluster ADDRESS`; `result` is the same wherever it is computed."""

    def declared(command: Command) -> Command:
        command = click.option(
            "--cluster",
            metavar="dask://HOST:PORT",
            help=f"Compute on the workers of a Dask scheduler; {result} is the same.",
        )(command)
        return click.option(
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            default=1,
            show_default=True,
            help=f"Processes to compute in; {result} is the same for any number.",
        )(command)

    return declared


def binding_options(command: Command) -> Command:
    """`--dim`, `--shape` and `--value`."""
    command = click.option(
        "--value",
        "values",
        multiple=True,
        metavar="TENSOR=JSON",
        help="Fix an input to numbers, e.g. k=5 or 'axes=[0,1]'; may be repeated.",
    )(command)
    command = click.option(
        "--shape",
        "shapes",
        multiple=True,
        metavar="TENSOR:AxBxC",
        help="Bind the shape of an input, e.g. input:1x3x224x224; may be repeated.",
    )(command)
    return click.option(
        "--dim",
        "dims",
        multiple=True,
        metavar="NAME=N",
        help="Bind a symbolic dimension, e.g. batch=1; may be repeated.",
    )(command)


def all_overrides(overrides: tuple[str, ...], buffers: str | None) -> tuple[str, ...]:
    """`--buffers` is short for one override."""
    return (*overrides, f"shift_buffer.policy={buffers}") if buffers else overrides


def read_dims(texts: tuple[str, ...]) -> dict[str, int]:
    """`name=value` texts as a mapping (UsageError)."""
    dims: dict[str, int] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        size = _size(value)
        if not equals or not name or size is None:
            raise UsageError(f"--dim {text}: write NAME=N with N at least 0, e.g. --dim batch=1")
        if dims.setdefault(name, size) != size:
            raise UsageError(f"--dim {name} is given twice: {dims[name]} and {value}")
    return dims


def read_shapes(texts: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """`tensor:1x3x224x224` texts as a mapping (UsageError); `tensor:` is a scalar."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, colon, sizes = text.rpartition(":")
        found = [_size(size) for size in sizes.lower().split("x")] if sizes else []
        shape = tuple(size for size in found if size is not None)
        if not colon or not name or len(shape) < len(found):
            raise UsageError(
                f"--shape {text}: write TENSOR:AxBxC with sizes of at least 0,"
                " e.g. --shape input:1x3x224x224"
            )
        if shapes.setdefault(name, shape) != shape:
            raise UsageError(f"--shape {name} is given twice, with different sizes")
    return shapes


def read_values(texts: tuple[str, ...]) -> dict[str, object]:
    """`k=5` and `axes=[0,1]` texts as a mapping to numbers and nested lists (UsageError)."""
    values: dict[str, object] = {}
    for text in texts:
        name, equals, written = text.rpartition("=")
        try:
            value = json.loads(written)
        except (ValueError, RecursionError):
            value = None
        if not equals or not name or not _is_numeric(value):
            raise UsageError(
                f"--value {text[:80]}: write TENSOR=NUMBER or TENSOR=LIST,"
                " e.g. --value k=5 or --value 'axes=[0,1]'"
            )
        if name in values and values[name] != value:
            raise UsageError(f"--value {name} is given twice, with different values")
        values[name] = value
    return values


def _is_numeric(value: object) -> bool:
    """Whether a JSON value is a number, a truth value, or lists of them."""
    if isinstance(value, list):
        return all(map(_is_numeric, value))
    return isinstance(value, int | float)


def read_axes(text: str) -> dict[str, int]:
    """`m=128,n=64` as a mapping (UsageError)."""
    lengths: dict[str, int] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        length = _size(value)
        if not equals or not name.isidentifier() or not length:
            raise UsageError(
                f"--axes {part}: write NAME=LENGTH with a length of at least 1, e.g. m=128,n=64"
            )
        if name in lengths:
            raise UsageError(f"--axes names {name} twice")
        lengths[name] = length
    return lengths


def _size(text: str) -> int | None:
    """The number that `text` is, None if it is none; of long ones, one that is too large too."""
    return int(text[:_MOST_DIGITS]) if text.isdecimal() else None


def read_bytes(path: str, wanted: str) -> bytes:
    """A file's bytes, or standard input for `-`; FileAccessError says what is `wanted`."""
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise unreadable(path, error, wanted) from error
