"""What messages say of names and texts: suggestions for those that do not exist, short forms."""

import difflib
from collections.abc import Iterable

_LONGEST_TEXT = 60


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, if one is like it at all."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return close[0]
    return next((other for other in names if other.casefold() == name.casefold()), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Text to append to an "unknown" message: the closest known name, or nothing."""
    found = closest(name, known)
    return f"; did you mean {found}?" if found else ""


def shorten(text: str) -> str:
    """Text for a message: one line, printable, at most 60 characters."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= _LONGEST_TEXT else clean[: _LONGEST_TEXT - 3] + "..."
