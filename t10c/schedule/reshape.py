"""Reshapes of views: `(a b) c -> a (b c)`, where atoms allow it."""

from dataclasses import replace

from t10c.schedule.atoms import View


def reshape_view(view: View, old: tuple[int, ...], new: tuple[int, ...]) -> View | None:
    """The view after a reshape of the operand's tensor from shape `old` to `new`.

    Atoms are regrouped, and split where the new shape cuts through; None if that cannot be.
    """
    groups = _matching_groups(old, new)
    if groups is None:
        return None
    current = view
    dims: list[tuple[int, ...]] = [()] * len(new)
    starts = [0] * len(new)
    for old_dims, new_dims in groups:
        whole = all(current.region_start[d] == 0 and current.extent[d] == old[d] for d in old_dims)
        real_old = [d for d in old_dims if old[d] != 1]
        real_new = [d for d in new_dims if new[d] != 1]
        if not whole:
            # a partial region survives only where its dimension is carried over as it is
            if len(real_old) > 1 or len(real_new) > 1:
                return None
            for source, target in zip(real_old, real_new, strict=True):
                dims[target] = current.view_dims[source]
                starts[target] = current.region_start[source]
            current = _fix(current, [d for d in old_dims if old[d] == 1])
            continue
        current = _fix(current, [d for d in old_dims if old[d] == 1])
        pool = [atom for d in real_old for atom in current.view_dims[d]]
        for target in real_new:
            found = _take_atoms(current, pool, new[target])
            if found is None:
                return None
            current, dims[target], pool = found
        leftover = [a for a in pool if current.atoms[a].size > 1]
        if leftover:
            return None
    return current._replace(view_dims=tuple(dims), region_start=tuple(starts))


def _take_atoms(
    view: View, pool: list[int], size: int
) -> tuple[View, tuple[int, ...], list[int]] | None:
    """The first atoms of `pool` whose sizes multiply to `size`; the last may have to be split.

    Returns the view with it split, the atoms taken and those that remain; None if it cannot be.
    """
    rest = list(pool)
    taken: list[int] = []
    while size > 1:
        if not rest:
            return None
        atom = view.atoms[rest[0]]
        if size % atom.size == 0:
            taken.append(rest.pop(0))
            size //= atom.size
        elif atom.size % size == 0:
            parts = _split_atom(view, rest[0], size)
            if parts is None:
                return None
            view, high, rest[0] = parts
            taken.append(high)
            size = 1
        else:
            return None
    return view, tuple(taken), rest


def _fix(view: View, dims: list[int]) -> View:
    """Dimensions of length 1 that go away leave their atoms read at one index."""
    atoms = list(view.atoms)
    for dim in dims:
        for index in view.view_dims[dim]:
            if atoms[index].source:
                atoms[index] = replace(atoms[index], fixed=True)
    return view._replace(atoms=tuple(atoms))


def _split_atom(view: View, position: int, high_size: int) -> tuple[View, int, int] | None:
    """Cut an atom into a high and a low factor, on both sides; None if it is sliced."""
    atom = view.atoms[position]
    if atom.source and (atom.start or atom.step != 1 or atom.length != atom.size):
        return None
    low_size = atom.size // high_size
    atoms = list(view.atoms)
    atoms[position] = replace(atom, size=high_size, length=high_size)
    atoms.append(replace(atom, size=low_size, length=low_size))
    low = len(atoms) - 1

    def cut(dims: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        return tuple(
            tuple(a for p in dim for a in ((position, low) if p == position else (p,)))
            for dim in dims
        )

    changed = view._replace(
        atoms=tuple(atoms), source_dims=cut(view.source_dims), view_dims=cut(view.view_dims)
    )
    return changed, position, low


def _matching_groups(
    old: tuple[int, ...], new: tuple[int, ...]
) -> list[tuple[list[int], list[int]]] | None:
    """Split both shapes into runs of equal product, the shortest possible ones."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        left: list[int] = []
        right: list[int] = []
        a = b = 1
        if i < len(old):
            left.append(i)
            a = old[i]
            i += 1
        if j < len(new):
            right.append(j)
            b = new[j]
            j += 1
        while a != b:
            if a < b and i < len(old):
                left.append(i)
                a *= old[i]
                i += 1
            elif b < a and j < len(new):
                right.append(j)
                b *= new[j]
                j += 1
            else:
                return None
        groups.append((left, right))
    return groups
