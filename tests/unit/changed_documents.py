"""Documents (JSON values) that someone has changed: what must be refused, or read as it is."""

import copy
from collections.abc import Sequence
from random import Random


def all_paths(value: object, path: tuple = ()) -> list[tuple]:
    """Paths of everything in a document but itself."""
    items: list = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    below = [p for key, item in items for p in all_paths(item, (*path, key))]
    return [path, *below] if path else below


def at(document: object, path: tuple) -> object:
    """What stands at a path."""
    for key in path:
        document = document[key]
    return document


def changed(document: dict, path: tuple, value: object) -> dict:
    """A copy of the document with another value at a path."""
    other = copy.deepcopy(document)
    at(other, path[:-1])[path[-1]] = value
    return other


def mangled(
    document: dict,
    paths: list[tuple],
    draw: Random,
    junk: Sequence[object],
    deleted: float,
    replaced: float,
) -> dict:
    """A copy with one to three values deleted, replaced by junk or copied from elsewhere.

    `deleted` and `replaced` are the shares of the first two; the rest is copied.
    """
    other = copy.deepcopy(document)
    for _ in range(draw.randint(1, 3)):
        path = draw.choice(paths)
        try:
            parent = at(other, path[:-1])
            what = draw.random()
            if what < deleted:
                del parent[path[-1]]
            elif what < deleted + replaced:
                parent[path[-1]] = draw.choice(junk)
            else:
                parent[path[-1]] = copy.deepcopy(at(document, draw.choice(paths)))
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return other
