"""Options that several commands take, and how their texts are read."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from t10c.errors import FileAccessError, UsageError

Command = TypeVar("Command", bound=Callable[..., Any])


def format_option(command: Command) -> Command:
    """`--format table|json`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="Form of the result on standard output.",
    )(command)


def hardware_options(command: Command) -> Command:
    """`--hw`, `--hw-set` and `--buffers`."""
    command = click.option(
        "--buffers",
        type=click.Choice(["fixed", "double"]),
        help="Shift buffers: one for the model, or every rotating piece twice.",
    )(command)
    command = click.option(
        "--hw-set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a key of the specification, e.g. cores.sram=1MiB.",
    )(command)
    return click.option(
        "--hw",
        "hardware",
        required=True,
        metavar="NAME|FILE",
        help="Hardware specification: a preset (t10c hw list) or a file.",
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


def binding_options(command: Command) -> Command:
    """`--dim` and `--shape`."""
    command = click.option(
        "--shape",
        "shapes",
        multiple=True,
        metavar="TENSOR:AxBxC",
        help="Bind the shape of an input, e.g. input:1x3x224x224.",
    )(command)
    return click.option(
        "--dim",
        "dims",
        multiple=True,
        metavar="NAME=N",
        help="Bind a symbolic dimension, e.g. batch=1.",
    )(command)


def all_overrides(overrides: tuple[str, ...], buffers: str | None) -> tuple[str, ...]:
    """`--buffers` is short for one override."""
    return (*overrides, f"shift_buffer.policy={buffers}") if buffers else overrides


def read_dims(texts: tuple[str, ...]) -> dict[str, int]:
    """`name=value` texts as a mapping (UsageError)."""
    dims: dict[str, int] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name or not value.isdecimal() or int(value) < 1:
            raise UsageError(f"--dim {text}: write NAME=N with N at least 1, e.g. --dim batch=1")
        if dims.setdefault(name, int(value)) != int(value):
            raise UsageError(f"--dim {name} is given twice: {dims[name]} and {value}")
    return dims


def read_shapes(texts: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """`tensor:1x3x224x224` texts as a mapping (UsageError); `tensor:` is a scalar."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, colon, sizes = text.rpartition(":")
        parts = sizes.lower().split("x") if sizes else []
        if not colon or not name or not all(p.isdecimal() and int(p) >= 1 for p in parts):
            raise UsageError(
                f"--shape {text}: write TENSOR:AxBxC with sizes of at least 1,"
                " e.g. --shape input:1x3x224x224"
            )
        shape = tuple(int(p) for p in parts)
        if shapes.setdefault(name, shape) != shape:
            raise UsageError(f"--shape {name} is given twice, with different sizes")
    return shapes


def read_axes(text: str) -> dict[str, int]:
    """`m=128,n=64` as a mapping (UsageError)."""
    lengths: dict[str, int] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name.isidentifier() or not value.isdecimal() or int(value) < 1:
            raise UsageError(
                f"--axes {part}: write NAME=LENGTH with a length of at least 1, e.g. m=128,n=64"
            )
        if name in lengths:
            raise UsageError(f"--axes names {name} twice")
        lengths[name] = int(value)
    return lengths


def read_bytes(path: str) -> bytes:
    """A file's bytes, or standard input for `-` (FileAccessError)."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FileAccessError(f"cannot read '{path}': {error.strerror or error}") from error


def check_writable(path: str | None) -> None:
    """Fail before the work, not after it, if `-o` cannot be written (FileAccessError)."""
    import os

    if path is None or path == "-":
        return
    target = Path(path)
    if target.is_dir():
        raise FileAccessError(f"cannot write '{path}': it is a directory; name a file in it")
    if not target.parent.is_dir():
        raise FileAccessError(
            f"cannot write '{path}': there is no directory '{target.parent}'\n"
            f"create it first: mkdir -p '{target.parent}'"
        )
    if not os.access(target.parent, os.W_OK) or (target.exists() and not os.access(target, os.W_OK)):
        raise FileAccessError(
            f"cannot write '{path}': permission denied; choose another place with -o"
        )
