"""Which chip every core is on, and where on a grid."""

from dataclasses import dataclass

import numpy as np

from t10c.errors import InvalidInputError
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.topology import Grid, grid_of, hops
from t10c.ir.formula import IntArray
from t10c.ir.program import Program
from t10c.program.placed import per_core


@dataclass(frozen=True)
class Geometry:
    """The cores of a system: `chip` of each, (cores,); x and y on the grid of a mesh or torus.

    Without a grid all cores of a chip are neighbours, and x and y are None.
    """

    cores: int
    chips: int
    chip: IntArray
    grid: Grid | None = None
    x: IntArray | None = None
    y: IntArray | None = None

    def hops(self, source: IntArray, target: IntArray) -> IntArray:
        """Links between cores, of the shape of the arguments; 0 without a grid."""
        if self.grid is None or self.x is None or self.y is None:
            return np.zeros(np.broadcast_shapes(source.shape, target.shape), dtype=np.int64)
        return hops(self.grid, self.x[source], self.y[source], self.x[target], self.y[target])


def geometry_of(program: Program, spec: HardwareSpec) -> Geometry:
    """The geometry of a chip, with the program's cores where it says, or row by row.

    The chip may have more cores than the program. Consecutive cores are on one chip. Raises
    InvalidInputError for positions outside of the grid.
    """
    cores, chips = spec.core_count, spec.chips.count
    chip = np.arange(cores, dtype=np.int64) // -(-cores // chips)
    grid = grid_of(spec)
    if grid is None:
        return Geometry(cores, chips, chip)
    number = np.arange(cores, dtype=np.int64)
    x, y = number % grid.width, number // grid.width
    if program.positions is not None:
        used = program.core_count  # cores beyond are idle: it does not matter where they are
        values = {"core": number[:used]}
        x[:used], y[:used] = (per_core(text, used, values) for text in program.positions)
    if np.any(x >= grid.width) or np.any(y >= grid.height):
        raise InvalidInputError(
            f"the program places cores outside of the grid of {spec.name}, which has "
            f"{grid.height} rows and {grid.width} columns\ncompile the model for this chip"
        )
    return Geometry(cores, chips, chip, grid, x, y)
