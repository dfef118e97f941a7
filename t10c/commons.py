"""JSON text of documents in which equal parts stand in many places: each part is written once."""

import json
import re
from typing import Any

_LONE = "\ud800"
"""Half of a pair of UTF-16, which no text of a model has by itself."""

_MARK = re.compile(rf'"(?:{_LONE}|\\ud800)(\d+)"')


class Commons:
    """Values that occur many times in a document, where a mark stands for each of them."""

    def __init__(self) -> None:
        self._values: list[Any] = []

    def mark(self, value: Any) -> str:
        """What stands in the document for a JSON value."""
        self._values.append(value)
        return f"{_LONE}{len(self._values) - 1}"

    def text(self, document: object, **style: Any) -> str:
        """What `json.dumps` makes of the document with values in the place of marks."""
        parts = _MARK.split(json.dumps(document, **style))
        values = [json.dumps(value, **style) for value in self._values]
        parts[1::2] = [values[int(number)] for number in parts[1::2]]
        return "".join(parts)
