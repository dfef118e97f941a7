"""Text of documents whose alike parts are written once: that of the same JSON values."""

import json
from typing import Any

import pytest

from t10c.commons import Commons, Own, Plain

FILE = {"ensure_ascii": False, "separators": (",", ":")}
HASH = {"sort_keys": True, "separators": (",", ":")}

NAMES = ("plain", "100 %s %d", 'a "quote"\\u', "line\nbreak", "Größe", "\ud83d\ude00")


def document(parts: Plain, count: int) -> dict[str, Any]:
    """Two lists of `count` entries of three kinds, and a value that stands in many of them."""
    shared = parts.mark({"z": [1.5, "%"], "a": None})

    def make(number: int, own: Own) -> dict[str, Any]:
        if number % 3 == 0:
            return {"only": own[0]}
        return {"z": own[0], "kind": number % 3, "shared": shared, "a": [own[1], {"size": own[2]}]}

    numbers = range(count)
    own = [(NAMES[n % len(NAMES)], f"{n}", 10 * n) if n % 3 else (f"n{n}",) for n in numbers]
    kinds = [("kind", n % 3) for n in numbers]
    return {
        "b": parts.forms(kinds, own, make),
        "a": {"shared": shared, "list": parts.forms(kinds, own, make)},
        "none": parts.forms([], [], make),
    }


@pytest.mark.parametrize("style", [FILE, HASH, {}])
@pytest.mark.parametrize("count", [1, 7, 256, 257, 1000])
def test_the_text_is_that_of_the_values(style: dict[str, Any], count: int) -> None:
    commons = Commons()
    made = "".join(commons.text(document(commons, count), **style))
    assert made == json.dumps(document(Plain(), count), **style)


def test_one_form_of_a_kind_is_made() -> None:
    made: list[int] = []

    def make(number: int, own: Own) -> list[Any]:
        made.append(number)
        return list(own)

    commons = Commons()
    mark = commons.forms(["x", "y", "x", "y", "x"], [(n,) for n in range(5)], make)
    assert made == [0, 1]
    assert "".join(commons.text({"all": mark})) == '{"all": [[0], [1], [2], [3], [4]]}'
