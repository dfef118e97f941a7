"""`--cache` of commands that search, and what users are told of the cache."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from t10c import Cache

Command = TypeVar("Command", bound=Callable[..., Any])


def cache_option(command: Command) -> Command:
    """`--cache PATH|off`."""
    return click.option(
        "--cache",
        "cache_place",
        metavar="PATH|off",
        help="Directory of the cache of results, or none; else $T10C_CACHE, else the user's.",
    )(command)


@contextlib.contextmanager
def caching(place: str | None, quiet: bool, verbose: bool) -> "Iterator[Cache]":
    """The cache while a command plans; afterwards, once, what was wrong with it."""
    from t10c import cache_settings, open_cache
    from t10c.cli.output import emit

    with open_cache(cache_settings(place)) as cache:
        yield cache
    if cache.trouble and not quiet:
        emit(f"warning: {cache.trouble}; going on without it", err=True)
    if cache.damaged and verbose:
        count = "1 entry" if cache.damaged == 1 else f"{cache.damaged} entries"
        emit(f"note: {count} of the cache '{cache.directory}' were damaged, and dropped", err=True)
