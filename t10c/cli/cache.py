"""`t10c cache`: the store of results that commands find again."""

from typing import TYPE_CHECKING, Any

import click

from t10c.cli import options as shared
from t10c.cli.caching import cache_option
from t10c.cli.group import HelpfulGroup, examples

if TYPE_CHECKING:
    from t10c import CacheUsage


@click.group(cls=HelpfulGroup, epilog=examples("t10c cache info", "t10c cache clear"))
def cache() -> None:
    """Results that were found earlier: searches of operators, plans of models."""


@cache.command(
    "info", epilog=examples("t10c cache info", "t10c cache info --cache build/cache --format json")
)
@cache_option
@shared.format_option
@shared.verbosity_options
def info_command(cache_place: str | None, form: str, quiet: bool, verbose: bool) -> None:
    """Show where the cache is, what it holds, and how often it was of use."""
    from t10c import cache_settings, cache_usage
    from t10c.cli.output import print_result

    usage = cache_usage(cache_settings(cache_place))
    print_result(form, quiet, lambda: _document(usage), lambda: _lines(usage))


@cache.command("clear", epilog=examples("t10c cache clear", "t10c cache clear --cache build/cache"))
@cache_option
@shared.format_option
@shared.verbosity_options
def clear_command(cache_place: str | None, form: str, quiet: bool, verbose: bool) -> None:
    """Empty the cache. Commands that run meanwhile go on, and search again what they need."""
    from t10c import cache_settings, clear_cache
    from t10c.cli.output import print_result

    count = clear_cache(cache_settings(cache_place))
    print_result(form, quiet, lambda: {"removed_entries": count}, lambda: [f"{count:,} removed"])


def _document(usage: "CacheUsage | None") -> dict[str, Any]:
    if usage is None:
        return {"status": "off"}
    return {
        "status": "on",
        "path": str(usage.path),
        "limit_bytes": usage.limit_bytes,
        "file_bytes": usage.file_bytes,
        "entries": usage.entries,
        "entry_bytes": usage.size_bytes,
        "kinds": {
            kind.kind: {
                "entries": kind.entries,
                "entry_bytes": kind.size_bytes,
                "hits": kind.hits,
                "misses": kind.misses,
            }
            for kind in usage.kinds
        },
    }


def _lines(usage: "CacheUsage | None") -> list[str]:
    from t10c.report.text import size_text, table_lines

    if usage is None:
        return ["the cache is off"]
    rows = [
        [k.kind, f"{k.entries:,}", size_text(k.size_bytes), f"{k.hits:,}", f"{k.misses:,}"]
        for k in usage.kinds
    ]
    lines = [
        f"path       {usage.path}",
        f"size       {size_text(usage.file_bytes)} on disk",
        f"entries    {usage.entries:,} with {size_text(usage.size_bytes)}"
        f" of at most {size_text(usage.limit_bytes)}",
    ]
    header = ["kind", "entries", "size", "hits", "misses"]
    return lines + (table_lines(header, rows) if rows else [])
