"""Views: how an operand's tensor relates to the tensors that really exist.

Layout-only operators compute nothing. A chain of them is followed back to the tensors that some
operator produced (or that entered the graph), and written as *atoms*: factors of dimensions that
both sides are made of, as in `(a b) c -> b (a c)`. What cannot be written so (a slice through the
middle of a merged dimension, say) is a copy that has to be made: `resolve_views` names it.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from t10c.ir.graph import Graph, LayoutOp
from t10c.schedule.atoms import Atom, View, identity_view
from t10c.schedule.reshape import reshape_view

SOURCE_LIMIT = 64
"""Most pieces of a tensor that an operator reads as a view; more are copied together first."""

PART_LIMIT = 1024
"""Most parts of any tensor's view, read or not, so that following views costs time and memory in
proportion to the graph: a tensor joined to itself again and again doubles its parts each time."""


@dataclass(frozen=True)
class ViewTable:
    """Views of every tensor of a graph, and the layout operators that must copy."""

    views: dict[str, tuple[View, ...]]
    copies: tuple[LayoutOp, ...]


def resolve_views(graph: Graph) -> ViewTable:
    """Follow layout-only operators back to tensors that exist; what has no atoms is a copy.

    So is a concatenation of which an operator would read more than `SOURCE_LIMIT` pieces, and one
    of more than `PART_LIMIT` parts, whoever reads it.
    """
    table = _followed(graph, frozenset())
    joined = _long_concats(graph, table.views)
    if not joined:
        return table
    # What was copied for its parts stays a copy: as a view it could be too long for its reader.
    crowded = {op.output for op in table.copies if _is_crowded(op, table.views)}
    return _followed(graph, joined | crowded)


def _followed(graph: Graph, copied: frozenset[str]) -> ViewTable:
    """Views of all tensors where those named in `copied` are copies in any case."""
    views: dict[str, tuple[View, ...]] = {}
    copies: list[LayoutOp] = []
    outputs = frozenset(graph.outputs)
    moves = _Moves()
    moved = {operator.output for operator in graph.operators if isinstance(operator, LayoutOp)}
    for tensor in graph.tensors:
        if tensor.name not in moved:
            views[tensor.name] = (identity_view(tensor.name, tensor.shape),)
    for operator in graph.operators:
        if isinstance(operator, LayoutOp):
            result = None if operator.output in copied else _apply(operator, views, graph, moves)
            if result is None or (
                operator.output in outputs and _grown(operator.output, result, graph)
            ):
                copies.append(operator)
                tensor = graph.tensor[operator.output]
                views[operator.output] = (identity_view(tensor.name, tensor.shape),)
            else:
                views[operator.output] = result
    return ViewTable(views, tuple(copies))


def _long_concats(graph: Graph, views: dict[str, tuple[View, ...]]) -> frozenset[str]:
    """The last concatenation before every operator that would read too many pieces."""
    long = {
        name
        for operator in graph.planned
        for name in operator.inputs
        if len(views[name]) > SOURCE_LIMIT
    }
    copied = set()
    for operator in reversed(graph.operators):
        if isinstance(operator, LayoutOp) and operator.output in long:
            if operator.kind == "concat":
                copied.add(operator.output)
            else:
                long.update(operator.inputs)
    return frozenset(copied)


def _is_crowded(operator: LayoutOp, views: dict[str, tuple[View, ...]]) -> bool:
    """Whether it is a concatenation whose view would have more than `PART_LIMIT` parts."""
    parts = sum(len(views[name]) for name in operator.inputs)
    return operator.kind == "concat" and parts > PART_LIMIT


def _grown(name: str, views: tuple[View, ...], graph: Graph) -> bool:
    """Whether a tensor has more elements than its views mirror: broadcast, repeated or padded.

    Nobody holds the elements it has more, so as a graph output it has to be made.
    """
    mirrored: dict[str, int] = {}
    for view in views:
        sizes = [a.size for a in view.atoms if a.source and not a.fixed]
        mirrored[view.tensor] = mirrored.get(view.tensor, 0) + math.prod(sizes)
    held = sum(min(n, math.prod(graph.tensor[t].shape)) for t, n in mirrored.items())
    return held < math.prod(graph.tensor[name].shape)


def _apply(
    operator: LayoutOp, views: dict[str, tuple[View, ...]], graph: Graph, moves: "_Moves"
) -> tuple[View, ...] | None:
    """Views of the operator's output, or None if it has to be copied."""
    shape = graph.tensor[operator.output].shape
    if 0 in shape:
        return ()
    if operator.kind == "concat":
        return None if _is_crowded(operator, views) else _concat(operator, views, graph)
    source = operator.inputs[0]
    result = []
    for view in views[source]:
        changed = moves.moved(operator, view, graph.tensor[source].shape, shape)
        if changed is None:
            return None
        if isinstance(changed, View):
            result.append(changed)
    return tuple(result)


class _Moves:
    """Views behind moves, those of repeated layers found by what their parts are as objects."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[View, View | str | None]] = {}

    def moved(
        self, operator: LayoutOp, view: View, old: tuple[int, ...], new: tuple[int, ...]
    ) -> "View | str | None":
        """The view behind a layout operator of one input; otherwise as `_moved`."""
        move = (operator.kind, operator.perm, operator.starts, operator.steps)
        parts = (id(view.atoms), id(view.source_dims), id(view.view_dims), view.region_start)
        known = self._known.get((move, parts, old, new))
        if known is None:
            changed = _moved(_Move(*move), view._replace(tensor=""), old, new)
            # the view is kept, so that no other part can be the same object
            known = self._known[move, parts, old, new] = (view, changed)
        found = known[1]
        if not isinstance(found, View):
            return found
        return View(
            view.tensor, found.atoms, found.source_dims, found.view_dims, found.region_start
        )


@dataclass(frozen=True, slots=True)
class _Move:
    """What a layout operator of one input does, as in `LayoutOp`."""

    kind: str
    perm: tuple[int, ...]
    starts: tuple[int, ...]
    steps: tuple[int, ...]


@lru_cache(maxsize=1024)
def _moved(
    move: _Move, view: View, old: tuple[int, ...], new: tuple[int, ...]
) -> "View | str | None":
    """The view behind a move from shape `old` to `new`; None (copy), or "outside" of a slice."""
    if move.kind == "transpose":
        return _transpose(view, move.perm)
    if move.kind == "reshape":
        return reshape_view(view, old, new)
    if move.kind == "slice":
        return _slice(view, move, new)
    if move.kind == "expand":
        return _expand(view, old, new)
    shifted = zip(view.region_start, move.starts, strict=True)
    return view._replace(region_start=tuple(a + b for a, b in shifted))


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
            result.append(view._replace(region_start=tuple(start)))
        position += graph.tensor[name].shape[operator.axis]
    return tuple(result)


def _transpose(view: View, perm: tuple[int, ...]) -> View:
    return view._replace(
        view_dims=tuple(view.view_dims[p] for p in perm),
        region_start=tuple(view.region_start[p] for p in perm),
    )


def _slice(view: View, move: _Move, shape: tuple[int, ...]) -> "View | str | None":
    """The part of the view that the slice keeps: a View, None (copy), or "outside"."""
    atoms = list(view.atoms)
    starts = list(view.region_start)
    for dim, (begin, step, size) in enumerate(zip(move.starts, move.steps, shape, strict=True)):
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
    return view._replace(atoms=tuple(atoms), region_start=tuple(starts))


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
    return view._replace(atoms=tuple(atoms), view_dims=tuple(dims), region_start=tuple(starts))
