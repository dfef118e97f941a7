"""Hops and link loads against routes walked link by link."""

import random

import numpy as np
import pytest

from t10c.hardware import topology
from t10c.hardware.load import load_spec
from t10c.hardware.topology import Grid, LinkLoads, Links, grid_of, hops, link_loads

from .routes import loads, route

SHAPES = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (1, 5), (4, 3), (3, 4), (5, 6), (7, 2)]
GRIDS = [Grid(w, h, wraps) for w, h in SHAPES for wraps in (False, True)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_hops_of_all_pairs_are_the_links_of_their_routes(grid):
    cores = [(x, y) for y in range(grid.height) for x in range(grid.width)]
    for x0, y0 in cores:
        far = hops(grid, x0, y0, [x for x, _ in cores], [y for _, y in cores])
        assert far.tolist() == [len(route(grid, x0, y0, x, y)) for x, y in cores]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("chunk", [3, 1 << 19])
def test_loads_are_those_of_the_routes(grid, chunk, monkeypatch):
    monkeypatch.setattr(topology, "_CHUNK_FLOWS", chunk)
    for seed in range(20):
        rng = random.Random(seed)
        flows = [
            (
                rng.randrange(grid.width),
                rng.randrange(grid.height),
                rng.randrange(grid.width),
                rng.randrange(grid.height),
                rng.choice([0, 1, 5, 1000]),
            )
            for _ in range(rng.choice([0, 1, 4, 40]))
        ]
        by_link = loads(grid, flows)
        longest = max((len(route(grid, *flow[:4])) for flow in flows if flow[4]), default=0)
        expected = LinkLoads(max(by_link.values(), default=0), by_link.total(), longest)
        assert link_loads(grid, *np.array(flows, np.int64).reshape(-1, 5).T) == expected


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_number_of_links_is_that_of_steps_to_a_neighbour(grid):
    steps = 0
    for x in range(grid.width):
        for y in range(grid.height):
            for dx, dy in [(1, 0), (-1, 0), (0, 1), (0, -1)]:
                inside = 0 <= x + dx < grid.width and 0 <= y + dy < grid.height
                alone = (grid.width if dx else grid.height) == 1
                steps += inside or (grid.wraps and not alone)
    assert grid.links == steps


def test_one_size_stands_for_all_flows():
    grid = Grid(4, 1, False)
    assert link_loads(grid, [0, 1, 2], 0, [1, 2, 3], 0, 7) == LinkLoads(7, 21, 1)
    assert link_loads(grid, [0, 1, 2], 0, 3, 0, 7) == LinkLoads(21, 42, 3)


def test_a_torus_goes_round_its_end_and_forward_in_doubt():
    assert link_loads(Grid(4, 1, True), 3, 0, 0, 0, 9) == LinkLoads(9, 9, 1)
    assert link_loads(Grid(4, 1, False), 3, 0, 0, 0, 9) == LinkLoads(9, 27, 3)
    both = link_loads(Grid(4, 1, True), [0, 1], 0, [2, 2], 0, 9)
    assert both == LinkLoads(18, 27, 2)


def test_the_grid_of_a_specification():
    assert grid_of(load_spec("ipu-mk2")) is None
    assert grid_of(load_spec("tenstorrent-wormhole-like")) == Grid(10, 8, False)
    torus = load_spec("wse2", ["interconnect.kind=torus2d", "cores.grid=3x5"])
    assert grid_of(torus) == Grid(5, 3, True)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("chunk", [7, 1 << 19])
def test_spreads_are_flows_to_every_member(seed, chunk, monkeypatch):
    """Few and many sources and members on a row or column: tables and lists of flows both occur."""
    monkeypatch.setattr(topology, "_CHUNK_FLOWS", chunk)
    generator = np.random.default_rng(seed)
    grid = Grid(*(int(n) for n in generator.integers(1, 7, 2)), False)
    cores = grid.width * grid.height
    groups = int(generator.integers(1, 5))
    sizes = generator.integers(0, cores + 1, groups)
    members = np.concatenate([generator.permutation(cores)[:n] for n in sizes])
    begins = np.concatenate([[0], np.cumsum(sizes)])
    ways = int(generator.integers(1, 30))
    source, group = generator.integers(0, cores, ways), generator.integers(0, groups, ways)
    size = generator.integers(0, 50, ways)
    x, y = np.arange(cores) % grid.width, np.arange(cores) // grid.width
    links = Links(grid)
    links.add_spread((x[source], y[source]), group, size, (x[members], y[members]), begins)
    flows = [
        (s, member, b)
        for s, g, b in zip(source, group, size, strict=True)
        for member in members[begins[g] : begins[g + 1]]
    ]
    s, t, b = (
        (np.array(column, dtype=np.int64) for column in zip(*flows, strict=True))
        if flows
        else (np.zeros(0, np.int64),) * 3
    )
    wanted = link_loads(grid, x[s], y[s], x[t], y[t], b)
    assert links.loads() == wanted
