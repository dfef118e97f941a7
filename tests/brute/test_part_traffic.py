"""Traffic of moves that fill a part of a buffer, against counting element by element."""

import numpy as np
import pytest

from t10c.ir.expression import Dim
from t10c.ir.program import Buffer, Piece, Range
from t10c.lower.pieces import even_piece
from t10c.program.placed import place_piece
from t10c.simulate.boxes import boxes_of
from t10c.simulate.geometry import Geometry
from t10c.simulate.store import Lying
from t10c.simulate.traffic import part_traffic

SHAPE = (6, 10)
CORES = 8


def lying(piece: Piece) -> Lying:
    placed = place_piece(piece, {"core": np.arange(CORES)})
    buffer = Buffer("b", "t", piece, 60, 16)
    return Lying(buffer, boxes_of(placed, SHAPE), placed.counts(), b"")


def box(rows: str, height: int, columns: str, width: int, cores: int = CORES) -> Piece:
    dims = tuple(Dim(((axis, 1),), size) for axis, size in zip("ij", SHAPE, strict=True))
    ranges = (Range("i", rows, height, ("6",)), Range("j", columns, width, ("10",)))
    return Piece(cores, dims, ranges)


def holders(piece: Lying) -> np.ndarray:
    """Which core has which element, (cores, elements)."""
    found = np.zeros((CORES, *SHAPE), dtype=bool)
    flat = piece.boxes.shape != SHAPE
    for core, (low, high) in enumerate(zip(piece.boxes.low, piece.boxes.high, strict=True)):
        own = found[core].reshape(-1) if flat else found[core]
        own[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return found.reshape(CORES, -1)


@pytest.mark.parametrize(
    "source",
    [
        box("core//2*2", 2, "core%2*5", 5),
        box("core%4", 1, "core//4*5 + 1", 3),
        box("core", 1, "2", 8, cores=5),
        box("core//4*3", 3, "core%4//2*5", 5),
        box("core", 1, "0", 1, cores=1),
    ],
    ids=["tiles", "strips", "few cores", "in two copies", "one element"],
)
@pytest.mark.parametrize(
    "into", [even_piece(60, CORES), box("core", 1, "0", 10)], ids=["run", "box"]
)
@pytest.mark.parametrize("chips", [1, 2])
def test_every_element_that_is_held_goes_where_it_is_kept(source, into, chips):
    held, wanted = lying(source), lying(into)
    found = part_traffic(
        wanted, [held], SHAPE, Geometry(CORES, chips, np.arange(CORES) * chips // CORES)
    )
    has, keeps = holders(held), holders(wanted)
    arriving = keeps & has.any(axis=0) & ~has
    assert found.received.tolist() == arriving.sum(axis=1).tolist()
    for chip in range(chips):
        here = slice(chip * CORES // chips, (chip + 1) * CORES // chips)
        wants = arriving[here].sum(axis=0)
        if has.sum(axis=0).max() == 1:  # copies share the work, each what the others do not hold
            assert found.to_chip[:, chip].tolist() == (has * wants).sum(axis=1).tolist()
