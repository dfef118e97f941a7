"""JSON text of documents of which many parts are alike: what they share is written once."""

import json
import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any

_LONE = "\ud800"
"""Half of a pair of UTF-16, which no text of a model has by itself."""

_MARK = re.compile(rf'"(?:{_LONE}|\\ud800)(\d+)"')

_LONE_HOLE = "\ud801"
"""Another half: where a form's own value stands in the JSON values that its kind shares."""

_HOLE = re.compile(rf'"(?:{_LONE_HOLE}|\\ud801)(\d+)"')


class Plain:
    """Parts of a document that are JSON values themselves: each is made where it stands."""

    def mark(self, value: Any) -> Any:
        """What stands in the document for a JSON value that may stand in it many times."""
        return value

    def form(self, kind: Hashable, make: Callable[..., Any], own: Sequence[str | int]) -> Any:
        """What stands for the JSON values `make(*own)`.

        Those of one kind must differ in nothing but their own texts and integers. Each of these is
        a value in them once, and no key.
        """
        return make(*own)

    def text(self, document: object, **style: Any) -> str:
        """What `json.dumps` makes of the document."""
        return json.dumps(document, **style)


class Commons(Plain):
    """Parts for which marks stand; what is common becomes text once, when `text` is asked for."""

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._kinds: dict[Hashable, int] = {}
        self._shared: list[Any] = []
        self._forms: list[int] = []
        self._own: list[str | int] = []
        self._lines: list[str] = []
        self._plain = False

    def mark(self, value: Any) -> str:
        """A mark for the value; even numbers are those of values, odd ones those of forms."""
        self._values.append(value)
        return f"{_LONE}{2 * len(self._values) - 2}"

    def form(self, kind: Hashable, make: Callable[..., Any], own: Sequence[str | int]) -> str:
        """A mark for the values; `make` is only called for the first of a kind."""
        number = self._kinds.get(kind)
        if number is None:
            number = self._kinds[kind] = len(self._shared)
            self._shared.append(make(*(f"{_LONE_HOLE}{n}" for n in range(len(own)))))
        self._forms.append(number)
        self._own += own
        return f"{_LONE}{2 * len(self._forms) - 1}"

    def text(self, document: object, **style: Any) -> str:
        """What `json.dumps` makes of the document with values in the place of marks."""
        values = [json.dumps(value, **style) for value in self._values]
        shared = [_template(_filled(json.dumps(s, **style), values, [])) for s in self._shared]
        quoted = self._quoted(style.get("ensure_ascii", True))
        forms: list[str] = []
        position = 0
        for number in self._forms:
            template, order = shared[number]
            forms.append(template % tuple([quoted[position + each] for each in order]))
            position += len(order)
        return _filled(json.dumps(document, **style), values, forms)

    def _quoted(self, ascii_only: bool) -> list[str]:
        """The forms' own values as JSON, which has no line breaks: all are made at once."""
        if len(self._lines) < len(self._own):
            self._lines = _lines(self._own, True)
            self._plain = not any("\\u" in line for line in self._lines)
        return self._lines if ascii_only or self._plain else _lines(self._own, False)


def _lines(values: Sequence[str | int], ascii_only: bool) -> list[str]:
    """Texts and integers as JSON."""
    lines = json.dumps(values, ensure_ascii=ascii_only, separators=("\n", ":"))
    return lines[1:-1].split("\n") if values else []


def _filled(text: str, values: Sequence[str], forms: Sequence[str]) -> str:
    """JSON text with values and forms in the place of their marks."""
    parts = _MARK.split(text)
    numbers = map(int, parts[1::2])
    parts[1::2] = [forms[n // 2] if n % 2 else values[n // 2] for n in numbers]
    return "".join(parts)


def _template(text: str) -> tuple[str, tuple[int, ...]]:
    """JSON text with holes as a format string, and the positions of the values that go into it."""
    parts = _HOLE.split(text.replace("%", "%%"))
    order = tuple(map(int, parts[1::2]))
    return "%s".join(parts[::2]), order
