"""Views in atoms: factors of dimensions that two tensors are both made of, as in `(a b) c`."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Atom:
    """A factor of a dimension. Source index along it = start + step * own index.

    `fixed` atoms are read at `start` only and belong to no dimension of the view; `source` is False
    for broadcast atoms, which no dimension of the source has.
    """

    size: int
    start: int = 0
    step: int = 1
    fixed: bool = False
    source: bool = True
    length: int = 0
    """Length of the source's factor that the atom runs over (differs from `size` after a slice)."""


class View(NamedTuple):
    """One piece of an operand's tensor: a region of it that mirrors a source tensor.

    `atoms` are shared by `source_dims` (source tensor) and `view_dims` (operand's tensor), which
    list atom positions per dimension, most significant first. The region is `region_start <=
    index < region_start + extent` along each dimension of the operand's tensor.
    """

    tensor: str
    atoms: tuple[Atom, ...]
    source_dims: tuple[tuple[int, ...], ...]
    view_dims: tuple[tuple[int, ...], ...]
    region_start: tuple[int, ...]

    @property
    def form(self) -> tuple[object, ...]:
        """All that it says but of which tensor."""
        return self.atoms, self.source_dims, self.view_dims, self.region_start

    @property
    def extent(self) -> tuple[int, ...]:
        """Length of the region along each dimension."""
        lengths = []
        for dim in self.view_dims:
            length = 1
            for atom in dim:
                length *= self.atoms[atom].size
            lengths.append(length)
        return tuple(lengths)


def identity_view(tensor: str, shape: tuple[int, ...]) -> View:
    """The view of a tensor as itself."""
    atoms, dims, start = _identity(shape)
    return View(tensor, atoms, dims, dims, start)


@lru_cache(maxsize=1024)
def _identity(
    shape: tuple[int, ...],
) -> tuple[tuple[Atom, ...], tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """Atoms, dimensions and region start of such a view."""
    atoms = tuple(Atom(size, length=size) for size in shape)
    return atoms, tuple((i,) for i in range(len(shape))), (0,) * len(shape)
