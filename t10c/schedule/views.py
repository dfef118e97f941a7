"""Views: how an operand's tensor relates to the tensors that really exist.

Layout-only operators compute nothing. A chain of them is followed back to the tensors that some
operator produced (or that entered the graph), and written as *atoms*: factors of dimensions that
both sides are made of, as in `(a b) c -> b (a c)`. What cannot be written so (a slice through the
middle of a merged dimension, say) is a copy that has to be made: `resolve_views` names it.
"""

from dataclasses import dataclass, replace

from t10c.ir.graph import Graph, LayoutOp


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


@dataclass(frozen=True)
class ViewTable:
    """Views of every tensor of a graph, and the layout operators that must copy."""

    views: dict[str, tuple[View, ...]]
    copies: tuple[LayoutOp, ...]


def resolve_views(graph: Graph) -> ViewTable:
    """Follow layout-only operators back to tensors that exist; what has no atoms is a copy."""
    views: dict[str, tuple[View, ...]] = {}
    copies: list[LayoutOp] = []
    for tensor in graph.tensors:
        views[tensor.name] = (identity_view(tensor.name, tensor.shape),)
    for operator in graph.operators:
        if isinstance(operator, LayoutOp):
            result = _apply(operator, views, graph)
            if result is None:
                copies.append(operator)
            else:
                views[operator.output] = result
    return ViewTable(views, tuple(copies))


def _apply(
    operator: LayoutOp, views: dict[str, tuple[View, ...]], graph: Graph
) -> tuple[View, ...] | None:
    """Views of the operator's output, or None if it has to be copied."""
    shape = graph.tensor[operator.output].shape
    if 0 in shape:
        return ()
    if operator.kind == "concat":
        return _concat(operator, views, graph)
    result = []
    for view in views[operator.inputs[0]]:
        if operator.kind == "transpose":
            changed: View | None = _transpose(view, operator.perm)
        elif operator.kind == "reshape":
            changed = _reshape(view, graph.tensor[operator.inputs[0]].shape, shape)
        elif operator.kind == "slice":
            sliced = _slice(view, operator, shape)
            if sliced == "outside":
                continue
            changed = sliced if isinstance(sliced, View) else None
        elif operator.kind == "expand":
            changed = _expand(view, graph.tensor[operator.inputs[0]].shape, shape)
        else:
            shifted = zip(view.region_start, operator.starts, strict=True)
            changed = replace(view, region_start=tuple(a + b for a, b in shifted))
        if changed is None:
            return None
        result.append(changed)
    return tuple(result)


def _concat(
    operator: LayoutOp, views: dict[str, tuple[View, ...]], graph: Graph
) -> tuple[View, ...]:
    """Each input's regions, shifted along the axis."""
    result = []
    position = 0
    for name in operator.inputs:
        for view in views[name]:
            start = list(view.region_start)
            start[operator.axis] += position
            result.append(replace(view, region_start=tuple(start)))
        position += graph.tensor[name].shape[operator.axis]
    return tuple(result)


def _transpose(view: View, perm: tuple[int, ...]) -> View:
    return replace(
        view,
        view_dims=tuple(view.view_dims[p] for p in perm),
        region_start=tuple(view.region_start[p] for p in perm),
    )


def _slice(view: View, operator: LayoutOp, shape: tuple[int, ...]) -> "View | str | None":
    """The part of the view that the slice keeps: a View, None (copy), or "outside"."""
    atoms = list(view.atoms)
    starts = list(view.region_start)
    for dim, (begin, step, size) in enumerate(
        zip(operator.starts, operator.steps, shape, strict=True)
    ):
        extent = view.extent[dim]
        first = begin - starts[dim]
        if first == 0 and step == 1 and size == extent:
            starts[dim] = 0
            continue
        if step == 1:
            low, high = max(0, first), min(extent, first + size)
            if low >= high:
                return "outside"
            starts[dim] = max(0, -first)
            size = high - low
            first = low
        elif first < 0 or first + step * (size - 1) >= extent or step < 1:
            return None
        else:
            starts[dim] = 0
        if size == extent and first == 0 and step == 1:
            continue
        if len(view.view_dims[dim]) != 1:
            return None
        position = view.view_dims[dim][0]
        atom = atoms[position]
        atoms[position] = replace(
            atom, size=size, start=atom.start + atom.step * first, step=atom.step * step
        )
    return replace(view, atoms=tuple(atoms), region_start=tuple(starts))


def _expand(view: View, old: tuple[int, ...], new: tuple[int, ...]) -> View | None:
    """Broadcast dimensions become atoms that the source does not have."""
    atoms = list(view.atoms)
    lead = len(new) - len(old)
    dims: list[tuple[int, ...]] = []
    starts: list[int] = []
    for position, size in enumerate(new):
        if position >= lead and old[position - lead] == size:
            dims.append(view.view_dims[position - lead])
            starts.append(view.region_start[position - lead])
            continue
        if position >= lead:
            for index in view.view_dims[position - lead]:
                atoms[index] = replace(atoms[index], fixed=True)
        atoms.append(Atom(size, source=False, length=size))
        dims.append((len(atoms) - 1,))
        starts.append(0)
    return replace(view, atoms=tuple(atoms), view_dims=tuple(dims), region_start=tuple(starts))


def _reshape(view: View, old: tuple[int, ...], new: tuple[int, ...]) -> View | None:
    """Regroup atoms, splitting them where the new shape cuts through; None if it cannot be."""
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
            need = new[target]
            taken: list[int] = []
            while need > 1:
                if not pool:
                    return None
                atom = current.atoms[pool[0]]
                if need % atom.size == 0:
                    taken.append(pool.pop(0))
                    need //= atom.size
                elif atom.size % need == 0:
                    parts = _split_atom(current, pool[0], need)
                    if parts is None:
                        return None
                    current, high, low = parts
                    taken.append(high)
                    pool[0] = low
                    need = 1
                else:
                    return None
            dims[target] = tuple(taken)
        leftover = [a for a in pool if current.atoms[a].size > 1]
        if leftover:
            return None
    return replace(current, view_dims=tuple(dims), region_start=tuple(starts))


def _fix(view: View, dims: list[int]) -> View:
    """Dimensions of length 1 that go away leave their atoms read at one index."""
    atoms = list(view.atoms)
    for dim in dims:
        for index in view.view_dims[dim]:
            if atoms[index].source:
                atoms[index] = replace(atoms[index], fixed=True)
    return replace(view, atoms=tuple(atoms))


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

    changed = replace(
        view, atoms=tuple(atoms), source_dims=cut(view.source_dims), view_dims=cut(view.view_dims)
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
