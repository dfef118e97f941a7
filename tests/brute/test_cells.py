"""Sums over runs and boxes by cells and stretches, against looking at every element."""

import numpy as np
import pytest

from t10c.simulate import traffic
from t10c.simulate.boxes import Boxes, CellGrid, cell_grid

SHAPES = [(7,), (1, 5), (4, 6), (5, 1, 3), (3, 4, 5), (2, 3, 1, 4)]


def boxes(rng: np.random.Generator, shape: tuple[int, ...], cores: int) -> Boxes:
    """Boxes of a tensor that may be empty, equal, or overlap."""
    ends = np.sort(rng.integers(0, np.array(shape) + 1, (2, cores, len(shape))), axis=0)
    ends[:, (ends[0] == ends[1]).any(axis=1)] = 0
    return Boxes(shape, ends[0], ends[1])


def values_of_elements(grid: CellGrid, cells: np.ndarray) -> np.ndarray:
    for d, bounds in enumerate(grid.bounds):
        cells = np.repeat(cells, np.diff(bounds), axis=d)
    return cells


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_over_runs(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(shape))
    for cores in (1, 3, 8):
        grid = cell_grid(boxes(rng, shape, cores))
        cells = rng.integers(0, 9, grid.shape).astype(np.float64)
        flat = values_of_elements(grid, cells).reshape(-1)
        runs = boxes(rng, (flat.size,), 40)
        wanted = [flat[a:b].sum() for a, b in zip(runs.low[:, 0], runs.high[:, 0], strict=True)]
        assert grid.run_sums(cells, runs).tolist() == wanted


@pytest.mark.parametrize("many", [0, 1 << 30])
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_over_boxes(
    shape: tuple[int, ...], many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same by stretches and by elements."""
    monkeypatch.setattr(traffic, "_MANY_ELEMENTS", many)
    rng = np.random.default_rng(7)
    size = int(np.prod(shape))
    for cores in (1, 5):
        some = boxes(rng, shape, cores)
        (bounds,) = cell_grid(boxes(rng, (size,), cores)).bounds
        values = rng.integers(0, 9, len(bounds) - 1).astype(np.float64)
        elements = np.repeat(values, np.diff(bounds)).reshape(shape)
        wanted = [
            elements[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].sum()
            for low, high in zip(some.low, some.high, strict=True)
        ]
        assert traffic._stretch_sums(bounds, values, some).tolist() == wanted
