"""Views in atoms: factors of dimensions that two tensors are both made of, as in `(a b) c`."""

from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class View:
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
    atoms = tuple(Atom(size, length=size) for size in shape)
    dims = tuple((i,) for i in range(len(shape)))
    return View(tensor, atoms, dims, dims, (0,) * len(shape))
