"""Tables and text in GitHub's Markdown, as comments on pull requests show it."""

from collections.abc import Container, Sequence

from t10c.report.text import printable


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line and within a cell."""
    one_line = printable(" ".join(text.split()))
    special = "\\`*_{}[]<>#|~&"
    return "".join(f"\\{c}" if c in special else c for c in one_line)


def code(text: str) -> str:
    """A name as code; pipes would end a cell, backquotes the code."""
    one_line = printable(" ".join(text.split()))
    return f"`{one_line.replace('`', chr(39)).replace('|', '/')}`" if text else ""


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: Container[int] = (0,)
) -> list[str]:
    """A table whose columns numbered in `left` are aligned to the left; cells are Markdown."""
    rule = ["---" if column in left else "---:" for column in range(len(header))]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]
