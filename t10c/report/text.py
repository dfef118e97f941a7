"""Numbers as people read them, and plain text tables."""

from collections.abc import Sequence


def size_text(size_bytes: float) -> str:
    """Bytes with a binary unit."""
    if abs(size_bytes) < 1024:
        return f"{size_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size_bytes /= 1024
        if abs(size_bytes) < 1024 or unit == "GiB":
            return f"{size_bytes:,.1f} {unit}"
    raise AssertionError("unreachable")


def cycles_text(cycles: float) -> str:
    """Cycles with thousands separators."""
    return f"{cycles:,.0f}"


def percent_text(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.1f} %"


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded to their widest cell; the first is left-aligned, the others right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for row in (header, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def shorten(text: str, most: int) -> str:
    """At most `most` characters, cut in the middle."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return text[: most - half - 1] + "…" + text[-half:]
