"""JSON text of documents of which many parts are alike: what they share is written once."""

import json
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

_LONE = "\ud800"
"""Half of a pair of UTF-16, which no text of a model has by itself."""

_MARK = re.compile(rf'"(?:{_LONE}|\\ud800)(\d+)"')

_LONE_HOLE = "\ud801"
"""Another half: where a form's own value stands in the JSON values that its kind shares."""

_HOLE = re.compile(rf'"(?:{_LONE_HOLE}|\\ud801)(\d+)"')

_FILLED_AT_ONCE = 256
"""Forms of a list that become text together."""

Own = Sequence[str | int]
"""What an item of a list of forms has for itself."""

Make = Callable[[int, Own], Any]
"""The JSON values of an item of such a list, by its number, with these values as its own."""


class Plain:
    """Parts of a document that are JSON values themselves: each is made where it stands."""

    def mark(self, value: Any) -> Any:
        """What stands in the document for a JSON value that may stand in it many times."""
        return value

    def forms(self, kinds: Sequence[Hashable], own: Sequence[Own], make: Make) -> Any:
        """What stands for the list of the JSON values `make(number, own[number])`, one per kind.

        Those of one kind must differ in nothing but their own texts and integers. Each of these is
        a value in them once, and no key.
        """
        return [make(number, values) for number, values in enumerate(own)]

    def text(self, document: object, **style: Any) -> Iterator[str]:
        """What `json.dumps` makes of the document, piece by piece."""
        yield json.dumps(document, **style)


@dataclass(frozen=True, slots=True)
class _Forms:
    """A list of forms: which of `shared` each has, and its own values among those of all lists."""

    shared: list[Any]
    kinds: list[int]
    own: slice


class Commons(Plain):
    """Parts for which marks stand; what is common becomes text once, when `text` is asked for."""

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._lists: list[_Forms] = []
        self._own: list[str | int] = []
        self._lines: list[str] = []
        self._plain = False

    def mark(self, value: Any) -> str:
        """A mark for the value; even numbers are those of values, odd ones those of lists."""
        self._values.append(value)
        return f"{_LONE}{2 * len(self._values) - 2}"

    def forms(self, kinds: Sequence[Hashable], own: Sequence[Own], make: Make) -> str:
        """A mark for the list; `make` is only called for the first of a kind."""
        numbers: dict[Hashable, int] = {}
        found = [numbers.setdefault(kind, len(numbers)) for kind in kinds]
        last = len(found) - 1
        first = dict(zip(reversed(found), range(last, -1, -1), strict=True))
        shared = []
        for number in range(len(numbers)):
            item = first[number]
            holes = [f"{_LONE_HOLE}{n}" for n in range(len(own[item]))]
            shared.append(make(item, holes))
        begin = len(self._own)
        self._own += chain.from_iterable(own)
        places = slice(begin, len(self._own))
        self._lists.append(_Forms(shared, found, places))
        return f"{_LONE}{2 * len(self._lists) - 1}"

    def text(self, document: object, **style: Any) -> Iterator[str]:
        """What `json.dumps` makes of the document with values and lists in the place of marks.

        In pieces, since texts of many megabytes take time for their memory alone.
        """
        values = [json.dumps(value, **style) for value in self._values]
        quoted = self._quoted(style.get("ensure_ascii", True))
        parts = _MARK.split(json.dumps(document, **style))
        for index, part in enumerate(parts):
            if not index % 2:
                yield part
            elif int(part) % 2:
                forms = self._lists[int(part) // 2]
                yield from _list_text(forms, values, quoted[forms.own], style)
            else:
                yield values[int(part) // 2]

    def _quoted(self, ascii_only: bool) -> list[str]:
        """The forms' own values as JSON: all are made at once."""
        if len(self._lines) < len(self._own):
            self._lines = _lines(self._own, encode_basestring_ascii)
            self._plain = "\\u" not in "".join(self._lines)
        return self._lines if ascii_only or self._plain else _lines(self._own, encode_basestring)


def _lines(values: Sequence[str | int], quote: Callable[[str], str]) -> list[str]:
    """Texts and integers as JSON."""
    return [quote(value) if isinstance(value, str) else int.__repr__(value) for value in values]


def _list_text(
    forms: _Forms, values: Sequence[str], own: Sequence[str], style: dict[str, Any]
) -> Iterator[str]:
    """The text of a list: those of its forms one after the other, many filled at once."""
    shared = [_template(_filled(json.dumps(form, **style), values)) for form in forms.shared]
    between = json.dumps([0, 0], **style)[2:-2]
    texts = [template for template, _ in shared]
    orders = [order for _, order in shared]
    moved = any(order != tuple(range(len(order))) for order in orders)
    begin = 0
    yield "["
    for first in range(0, len(forms.kinds), _FILLED_AT_ONCE):
        kinds = forms.kinds[first : first + _FILLED_AT_ONCE]
        end = begin + sum([len(orders[kind]) for kind in kinds])
        filled = own[begin:end]
        if moved:
            filled = _reordered(filled, [orders[kind] for kind in kinds])
        yield between if first else ""
        yield between.join([texts[kind] for kind in kinds]) % tuple(filled)
        begin = end
    yield "]"


def _reordered(own: Sequence[str], orders: Sequence[tuple[int, ...]]) -> list[str]:
    """The forms' own values, each form's in the order in which its text has them."""
    found: list[str] = []
    begin = 0
    for order in orders:
        end = begin + len(order)
        found += map(own[begin:end].__getitem__, order)
        begin = end
    return found


def _filled(text: str, values: Sequence[str]) -> str:
    """JSON text with values in the place of their marks."""
    parts = _MARK.split(text)
    parts[1::2] = [values[int(number) // 2] for number in parts[1::2]]
    return "".join(parts)


def _template(text: str) -> tuple[str, tuple[int, ...]]:
    """JSON text with holes as a format string, and the positions of the values that go into it."""
    parts = _HOLE.split(text.replace("%", "%%"))
    order = tuple(map(int, parts[1::2]))
    return "%s".join(parts[::2]), order
