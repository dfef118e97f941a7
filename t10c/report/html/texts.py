"""Names of models as text that is safe to show anywhere, and what keeps a page small."""

from collections.abc import Mapping, Sequence

from t10c.report.text import shorten

_MOST_CHARACTERS = 200


def shown(text: str, most: int = _MOST_CHARACTERS) -> str:
    """One line of at most `most` characters, without any that is not visible.

    Control characters, marks that turn the direction of text, and halves of surrogate pairs,
    which no file can have, become '?'. Escaping is up to whoever writes it into a page.
    """
    return shorten("".join(c if c.isprintable() else "?" for c in text), most)


class Table:
    """Distinct values by the number of their first occurrence: what is repeated is told once."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}

    def number(self, value: object) -> int:
        """The number of a hashable value."""
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[object]:
        """All values by number."""
        return list(self._numbers)


def longest(cycles: Mapping[int, float], sizes: Sequence[int], room: int) -> set[int]:
    """Numbers of what takes most cycles, for as long as their sizes fit into the room."""
    kept: set[int] = set()
    for number in sorted(cycles, key=lambda n: (-cycles[n], n)):
        room -= sizes[number]
        if room < 0:
            break
        kept.add(number)
    return kept


def compact(value: float, digits: int = 1) -> float | int:
    """A number as short as JSON can tell it, rounded to `digits` decimals."""
    rounded = round(float(value), digits)
    return int(rounded) if rounded == int(rounded) else rounded
