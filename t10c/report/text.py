"""Numbers as people read them, and plain text tables."""

import math
import textwrap
from collections.abc import Container, Sequence

LINE_WIDTH = 120
"""Columns that a report may take."""


def size_text(size_bytes: float) -> str:
    """Bytes with a binary unit."""
    if abs(size_bytes) < 1024:
        return f"{size_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size_bytes /= 1024
        if abs(size_bytes) < 1024 or unit == "GiB":
            return f"{size_bytes:,.1f} {unit}"
    raise AssertionError("unreachable")


def size_texts(*sizes_bytes: int) -> tuple[str, ...]:
    """Sizes that are compared: rounded, or exact if rounding would make different ones equal."""
    rounded = tuple(map(size_text, sizes_bytes))
    if len(set(rounded)) == len(set(sizes_bytes)):
        return rounded
    return tuple(f"{size:,} B" for size in sizes_bytes)


def time_text(seconds: float) -> str:
    """A duration in milliseconds with four significant digits."""
    milliseconds = seconds * 1e3
    if milliseconds <= 0:
        return "0 ms"
    decimals = max(0, 3 - math.floor(math.log10(milliseconds)))
    return f"{milliseconds:,.{decimals}f} ms"


def cycles_text(cycles: float) -> str:
    """Cycles with thousands separators."""
    return f"{cycles:,.0f}"


def percent_text(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.1f} %"


def table_lines(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: Container[int] = (0,)
) -> list[str]:
    """Columns padded to their widest cell; those numbered in `left` to the left."""
    shown = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in shown) for i in range(len(header))]
    lines = []
    for row in shown:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def printable(text: str) -> str:
    r"""The text on one line: what does not print stands as an escape, such as `\n` or `\x1b`.

    Names of models may hold anything, and must not break lines of a table or steer a terminal.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def wrapped(head: str, text: str) -> list[str]:
    """Lines of at most LINE_WIDTH columns: a head, and the text to the right of it."""
    line = f"{head:10} {printable(text)}"
    return textwrap.wrap(line, LINE_WIDTH, subsequent_indent=" " * 11)


def shorten(text: str, most: int) -> str:
    """At most `most` printable characters, cut in the middle."""
    text = printable(text)
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return text[: most - half - 1] + "…" + text[-half:]
