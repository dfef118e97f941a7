"""Suggestions for names that do not exist."""

import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, if one is like it at all."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Text to append to an "unknown" message: the closest known name, or nothing."""
    found = closest(name, known)
    return f"; did you mean {found}?" if found else ""
