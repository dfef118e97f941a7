"""What cores lack for all pairs of plans of two pools, against one pair after the other."""

from random import Random

import numpy as np
import pytest

from t10c.schedule import received_matrix as module
from t10c.schedule.atoms import Atom, View, identity_view
from t10c.schedule.layout import Layout
from t10c.schedule.received import received_elements
from t10c.schedule.received_matrix import mean_received_matrix, received_matrix
from t10c.schedule.views import resolve_views
from t10c.schedule.windows import Window, clipped, windowed

from .chains import Chain, slow_layout

CORES = 5


def stacked(draw, shape: tuple[int, ...], plans: int, flat: bool) -> Layout:
    """Layouts of plans: some again, some alike along a dimension, cores without anything."""
    layouts: list[Layout] = []
    for _ in range(plans):
        layout = slow_layout(draw, shape, CORES, flat)
        if layouts and draw.random() < 0.3:
            layout = draw.choice(layouts)
        elif layouts and draw.random() < 0.4:
            dim = draw.randrange(layout.start.shape[1])
            other = draw.choice(layouts)
            layout.start[:, dim], layout.stop[:, dim] = other.start[:, dim], other.stop[:, dim]
        if draw.random() < 0.3:
            used = draw.randrange(CORES)
            start, stop = layout.start.copy(), layout.stop.copy()
            start[used:], stop[used:] = 0, 0
            layout = Layout(start, stop, layout.flat)
        layouts.append(layout)
    return Layout(
        np.concatenate([layout.start for layout in layouts]),
        np.concatenate([layout.stop for layout in layouts]),
        layouts[0].flat,
    )


def of_plan(layout: Layout, plan: int) -> Layout:
    """One plan's rows."""
    rows = slice(plan * CORES, (plan + 1) * CORES)
    return Layout(layout.start[rows], layout.stop[rows], layout.flat)


def missing(need: Layout, held: Layout, views: tuple[View, ...]) -> np.ndarray:
    """Elements that every core lacks, (source plans, reader's plans, cores), pair by pair."""
    sources, readers = (range(len(side.start) // CORES) for side in (held, need))
    pairs = [
        [
            received_elements(
                of_plan(need, reader), views, tuple(of_plan(held, source) for _ in views)
            )
            for reader in readers
        ]
        for source in sources
    ]
    return np.array(pairs)


def read_source(draw) -> tuple[tuple[int, ...], tuple[int, ...], tuple[View, ...]]:
    """Shape of a tensor at the end of a random chain, of one of its sources, and its views."""
    while True:
        chain = Chain(draw)
        for _ in range(draw.randint(1, 4)):
            chain.step()
        table = resolve_views(chain.graph())
        ids = chain.replay({copy.name for copy in table.copies})
        name = chain.operators[-1].output if chain.operators else list(ids)[-1]
        if table.views[name]:
            source = draw.choice(table.views[name]).tensor
            views = tuple(view for view in table.views[name] if view.tensor == source)
            return ids[name].shape, ids[source].shape, views


@pytest.fixture(params=[(1 << 20, 1 << 15, 1 << 31), (30, 20, 1 << 31), (100, 1, 0)])
def limits(request, monkeypatch):
    """One array for everything; few plans at a time, and one; integers of 64 bits."""
    names = ("_TABLE_ELEMENTS", "_CACHED_ELEMENTS", "_NARROW_LIMIT")
    for name, value in zip(names, request.param, strict=True):
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("runs", [0.0, 1.0])
def test_all_pairs_of_plans_lack_what_each_lacks(runs):
    kinds = dict.fromkeys(("merged", "several views", "broadcast", "nothing held", "all held"), 0)
    for seed in range(150):
        draw = Random(seed)
        shape, source_shape, views = read_source(draw)
        need = stacked(draw, shape, draw.randint(1, 5), flat=False)
        held = stacked(draw, source_shape, draw.randint(1, 6), draw.random() < runs)
        slow = missing(need, held, views)
        found = received_matrix(need, held, views, CORES)
        assert found.dtype == np.int64
        assert np.array_equal(found, slow.max(axis=2)), (seed, views)
        means = mean_received_matrix(need, held, views, CORES)
        assert np.array_equal(means, slow.sum(axis=2) / CORES), (seed, views)
        kinds["merged"] += any(len(dim) > 1 for view in views for dim in view.view_dims)
        kinds["several views"] += len(views) > 1
        kinds["broadcast"] += any(not atom.source for view in views for atom in view.atoms)
        kinds["nothing held"] += bool((slow.max(axis=2) == slow.max()).all() and slow.max())
        kinds["all held"] += bool((slow.min() == 0) and slow.max())
    assert min(kinds.values()) >= 5, kinds


def through(layout: Layout, window: Window | None) -> Layout:
    """A layout as it is seen through a window."""
    if window is None:
        return layout
    boxes = clipped(layout, window).astype(np.int64)
    dims = layout.start.shape[1]
    return Layout(boxes[:, :dims], boxes[:, dims:])


def test_a_view_without_its_place_tells_what_its_windows_lack():
    kinds = dict.fromkeys(("need", "held", "both", "fixed", "several views"), 0)
    for seed in range(1200):
        draw = Random(seed)
        shape, source_shape, views = read_source(draw)
        need = stacked(draw, shape, draw.randint(1, 5), flat=False)
        held = stacked(draw, source_shape, draw.randint(1, 6), flat=False)
        for view in views:
            own = windowed(view, shape, source_shape)
            seen = (through(need, own.need), through(held, own.held), (own.view,), CORES)
            whole = (need, held, (view,), CORES)
            assert np.array_equal(received_matrix(*seen), received_matrix(*whole)), (seed, view)
            assert np.array_equal(mean_received_matrix(*seen), mean_received_matrix(*whole))
            assert own.need is None or not any(own.view.region_start)
            kinds["need"] += own.need is not None
            kinds["held"] += own.held is not None
            kinds["both"] += own.need is not None and own.held is not None
            if own.held is not None:
                kinds["fixed"] += any(atom.fixed for atom in view.atoms)
        kinds["several views"] += len(views) > 1
    assert min(kinds.values()) >= 5, kinds


def test_slices_of_equal_length_are_one_view():
    """Along one dimension or two, with a fixed index or a run, wherever they begin."""
    for fixed in (True, False):
        seen = []
        for start in (0, 3, 7):
            row = Atom(1, start, fixed=fixed, length=9)
            view = View("x", (row, Atom(4, length=4)), ((0,), (1,)), ((1,),), (0,))
            if not fixed:
                view = View("x", (row, Atom(4, length=4)), ((0,), (1,)), ((0,), (1,)), (start, 0))
            seen.append(windowed(view, (4,) if fixed else (9, 4), (9, 4)))
        assert len({own.view for own in seen}) == len({own.extents for own in seen}) == 1
        assert len({own.held for own in seen}) == 3


def test_means_of_several_sources_bound_what_a_core_receives():
    """And sums of largest elements do not: different cores may lack most of each source."""
    beyond = 0
    for seed in range(100):
        draw = Random(seed)
        shape = (4, 6)
        need = stacked(draw, shape, 3, flat=False)
        views = [identity_view(name, shape) for name in "xy"]
        held = [stacked(draw, shape, 1, flat=False) for _ in views]
        means, largest = (
            sum(
                of_all(need, lying, (view,), CORES) for view, lying in zip(views, held, strict=True)
            )
            for of_all in (mean_received_matrix, received_matrix)
        )
        together = sum(
            missing(need, lying, (view,)) for view, lying in zip(views, held, strict=True)
        ).max(axis=2)
        assert (means <= together).all()
        beyond += bool((largest > together).any())
    assert beyond


def test_tensors_beyond_32_bits_are_counted():
    """2^34 elements, of which the source's first plan has all and its second one row less."""
    shape = (1 << 17, 1 << 17)
    need = Layout(np.zeros((2, 2), np.int64), np.array([shape, (1, 1)]))
    stop = np.array([shape, (1, 1), (shape[0] - 1, shape[1]), (1, 1)])
    held = Layout(np.zeros((4, 2), np.int64), stop)
    views = (identity_view("x", shape),)
    assert received_matrix(need, held, views, 2).tolist() == [[0], [1 << 17]]
    nothing = Layout(held.start, held.start)
    assert received_matrix(need, nothing, views, 2).tolist() == [[1 << 34], [1 << 34]]


def test_pools_without_plans_have_no_pairs():
    some = Layout(np.zeros((CORES, 2), np.int64), np.ones((CORES, 2), np.int64))
    none = Layout(np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64))
    views = (identity_view("x", (4, 4)),)
    assert received_matrix(some, none, views, CORES).shape == (0, 1)
    assert received_matrix(none, some, views, CORES).shape == (1, 0)
