"""Ways through meshes and tori link by link, and how loaded the links become: the slow twin."""

from collections import Counter

from t10c.hardware.topology import Grid

Link = tuple[int, int, int, int]
"""From (x, y), a step of (dx, dy): on a torus of two cores these tell two links apart."""


def route(grid: Grid, x0: int, y0: int, x1: int, y1: int) -> list[Link]:
    """The links from (x0, y0) to (x1, y1): along x first."""
    found = []
    x, y = x0, y0
    for step in [_step(grid.width, grid.wraps, x0, x1)] * _far(grid.width, grid.wraps, x0, x1):
        found.append((x, y, step, 0))
        x = (x + step) % grid.width
    for step in [_step(grid.height, grid.wraps, y0, y1)] * _far(grid.height, grid.wraps, y0, y1):
        found.append((x, y, 0, step))
        y = (y + step) % grid.height
    assert (x, y) == (x1, y1)
    return found


def loads(grid: Grid, flows: list[tuple[int, int, int, int, int]]) -> Counter[Link]:
    """Bytes on every link for flows (x0, y0, x1, y1, bytes)."""
    found: Counter[Link] = Counter()
    for x0, y0, x1, y1, size in flows:
        for link in route(grid, x0, y0, x1, y1):
            found[link] += size
    return found


def _step(length: int, wraps: bool, begin: int, end: int) -> int:
    forward = sum(1 for _ in _walk(length, begin, end, 1))
    backward = sum(1 for _ in _walk(length, begin, end, -1))
    if not wraps:
        return 1 if end > begin else -1
    return 1 if forward <= backward else -1


def _far(length: int, wraps: bool, begin: int, end: int) -> int:
    if not wraps:
        return abs(end - begin)
    return sum(1 for _ in _walk(length, begin, end, _step(length, wraps, begin, end)))


def _walk(length: int, begin: int, end: int, step: int):
    """The cores left behind on the way round in one direction."""
    while begin != end:
        yield begin
        begin = (begin + step) % length
