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

    def text(self, document: object, **style: Any) -> str:
        """What `json.dumps` makes of the document."""
        return json.dumps(document, **style)


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

    def text(self, document: object, **style: Any) -> str:
        """What `json.dumps` makes of the document with values and lists in the place of marks."""
        values = [json.dumps(value, **style) for value in self._values]
        quoted = self._quoted(style.get("ensure_ascii", True))
        lists = [self._list_text(forms, values, quoted, style) for forms in self._lists]
        return _filled(json.dumps(document, **style), values, lists)

    def _list_text(
        self, forms: _Forms, values: Sequence[str], quoted: list[str], style: dict[str, Any]
    ) -> str:
        """The text of a list: that of its forms one after the other, filled all at once."""
        shared = [_template(_filled(json.dumps(s, **style), values, [])) for s in forms.shared]
        own = quoted[forms.own]
        orders = [order for _, order in shared]
        if any(order != tuple(range(len(order))) for order in orders):
            own = list(_reordered(own, map(orders.__getitem__, forms.kinds)))
        between = json.dumps([0, 0], **style)[2:-2]
        texts = [template for template, _ in shared]
        return f"[{between.join([texts[kind] for kind in forms.kinds])}]" % tuple(own)

    def _quoted(self, ascii_only: bool) -> list[str]:
        """The forms' own values as JSON: all are made at once."""
        if len(self._lines) < len(self._own):
            self._lines = _lines(self._own, encode_basestring_ascii)
            self._plain = "\\u" not in "".join(self._lines)
        return self._lines if ascii_only or self._plain else _lines(self._own, encode_basestring)


def _lines(values: Sequence[str | int], quote: Callable[[str], str]) -> list[str]:
    """Texts and integers as JSON."""
    return [quote(value) if isinstance(value, str) else int.__repr__(value) for value in values]


def _reordered(own: Sequence[str], orders: Iterator[tuple[int, ...]]) -> Iterator[str]:
    """The forms' own values, each form's in the order in which its text has them."""
    begin = 0
    for order in orders:
        for place in order:
            yield own[begin + place]
        begin += len(order)


def _filled(text: str, values: Sequence[str], lists: Sequence[str]) -> str:
    """JSON text with values and lists in the place of their marks."""
    parts = _MARK.split(text)
    numbers = map(int, parts[1::2])
    parts[1::2] = [lists[n // 2] if n % 2 else values[n // 2] for n in numbers]
    return "".join(parts)


def _template(text: str) -> tuple[str, tuple[int, ...]]:
    """JSON text with holes as a format string, and the positions of the values that go into it."""
    parts = _HOLE.split(text.replace("%", "%%"))
    order = tuple(map(int, parts[1::2]))
    return "%s".join(parts[::2]), order
