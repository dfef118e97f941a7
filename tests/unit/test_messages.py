"""Messages over small networks, against trying all assignments."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from t10c.schedule.messages import NO_TABLE, Edge, Messages, Node, Ways, narrow

FORBIDDEN = 1e9

ROUNDING = 2.0**-10
"""What a message may lose by rounding, in cycles."""


def random_network(
    rng: random.Random, shape: str, dearest: float = FORBIDDEN
) -> tuple[list[Node], list[Edge]]:
    """Two to five nodes of one to three blocks; edges to earlier nodes, one each in a tree.

    Some pairs of states cost as much as `dearest`.
    """
    count = rng.randint(2, 5)
    scale = rng.choice([1.0, 1e3, 1e6])

    def numbers(*size: int) -> np.ndarray:
        flat = [rng.choice([rng.randint(0, 30) * scale, rng.random() * scale]) for _ in range(1000)]
        return np.array(rng.choices(flat, k=int(np.prod(size)))).reshape(size)

    def flags(*size: int) -> np.ndarray:
        return np.array([rng.random() < 0.15 for _ in range(int(np.prod(size)))]).reshape(size)

    nodes = [Node(numbers(rng.randint(1, 3), rng.randint(1, 4))) for _ in range(count)]
    edges = []
    for second in range(1, count):
        earlier = [rng.randrange(second)]
        if shape == "loops":
            earlier = [first for first in range(second) if rng.random() < 0.7]
        for first in earlier:
            before, after = (
                random_ways(rng, nodes[index].costs.shape[1]) for index in (first, second)
            )
            size = (before.count, after.count)
            tables = tuple(
                np.where(flags(*size), dearest, numbers(*size)) for _ in range(rng.randint(1, 2))
            )
            blocks = len(nodes[second].costs)
            table_of = tuple(rng.randint(NO_TABLE, len(tables) - 1) for _ in range(blocks))
            edges.append(Edge(first, second, tables, table_of, before, after))
    return nodes, edges


def random_ways(rng: random.Random, kinds: int) -> Ways:
    """So many kinds, some of them alike."""
    drawn = [rng.randrange(kinds) for _ in range(kinds)]
    return Ways(np.unique(drawn, return_inverse=True)[1].ravel())


def all_states(nodes: list[Node]) -> list[tuple[tuple[int, int], ...]]:
    """All assignments of (block, kind)."""
    sizes = [node.costs.shape for node in nodes]
    states = [list(itertools.product(range(blocks), range(kinds))) for blocks, kinds in sizes]
    return list(itertools.product(*states))


def slow_total(nodes: list[Node], edges: list[Edge], states: tuple[tuple[int, int], ...]) -> float:
    """Cost of an assignment, added up one by one."""
    total = sum(float(node.costs[state]) for node, state in zip(nodes, states, strict=True))
    for edge in edges:
        table = edge.table_of[states[edge.second][0]]
        if table != NO_TABLE:
            row = edge.first_ways.of[states[edge.first][1]]
            column = edge.second_ways.of[states[edge.second][1]]
            total += float(edge.tables[table][row, column])
    return total


@pytest.mark.parametrize("shape", ["tree", "loops"])
@pytest.mark.parametrize("seed", range(120))
def test_bound_of_all_assignments(seed: int, shape: str) -> None:
    """Never above the least total, never falling by more than rounding, tight on trees."""
    rng = random.Random(seed)
    nodes, edges = random_network(rng, shape)
    messages = Messages(nodes, edges)
    least = min(slow_total(nodes, edges, states) for states in all_states(nodes))
    slack = ROUNDING * 2 * len(edges) + 1e-6
    bounds = []
    for _ in range(12):
        bounds.append(messages.sweep())
        assert bounds[-1] <= least
        assert bounds[-1] >= max(bounds) - slack
    chosen = messages.assignment()
    total = slow_total(nodes, edges, tuple(chosen))
    assert total >= least
    if shape == "tree":
        assert least - bounds[-1] <= 2 * slack
        assert total <= least + 2 * slack


@pytest.mark.parametrize("seed", range(120))
def test_tables_of_half_the_space_bound_nearly_as_well(seed: int) -> None:
    """What networks with them say holds for the real costs, and is little less."""
    rng = random.Random(seed)
    nodes, edges = random_network(rng, "tree", dearest=1e3)
    short = [replace(edge, tables=tuple(map(narrow, edge.tables))) for edge in edges]
    for edge, own in zip(edges, short, strict=True):
        for table, narrowed in zip(edge.tables, own.tables, strict=True):
            assert narrowed.dtype == np.float32
            assert (narrowed <= table).all()
            assert (narrowed >= table * (1 - 1e-6)).all()
    messages = Messages(nodes, short)
    totals = [(states, slow_total(nodes, edges, states)) for states in all_states(nodes)]
    least = min(total for _, total in totals)
    for _ in range(12):
        bound = messages.sweep()
        assert bound <= least
    assert bound >= least - 1e-5 * abs(least) - ROUNDING * 4 * len(edges) - 1e-6
    for index, found in enumerate(messages.kind_bounds()):
        for kind, own_bound in enumerate(found):
            assert own_bound <= min(t for states, t in totals if states[index][1] == kind)


@pytest.mark.parametrize("seed", range(60))
def test_sweeps_go_on_from_any_messages(seed: int) -> None:
    """Bounds hold whatever messages begin as; a network's own are where its sweeps ended."""
    rng = random.Random(seed)
    nodes, edges = random_network(rng, "loops")
    least = min(slow_total(nodes, edges, states) for states in all_states(nodes))
    messages = Messages(nodes, edges)
    messages.begin(
        [
            np.array([rng.uniform(-9, 9) for _ in range(nodes[edge.first].costs.shape[1])])
            for edge in edges
        ]
    )
    bounds = [messages.sweep() for _ in range(12)]
    assert max(bounds) <= least
    again = Messages(nodes, edges)
    again.begin(messages.backward)
    slack = ROUNDING * 2 * len(edges) + 1e-6
    assert max(bounds) - slack <= again.sweep() <= least


def test_loops_may_leave_a_gap_but_most_do_not() -> None:
    """The bound is worth something where it need not be tight."""
    tight = 0
    for seed in range(60):
        nodes, edges = random_network(random.Random(seed), "loops")
        messages = Messages(nodes, edges)
        bound = max(messages.sweep() for _ in range(12))
        least = min(slow_total(nodes, edges, states) for states in all_states(nodes))
        tight += least - bound <= 1e-6 * abs(least) + ROUNDING * 4 * len(edges)
    assert tight > 40


@pytest.mark.parametrize("shape", ["tree", "loops"])
@pytest.mark.parametrize("seed", range(80))
def test_bounds_of_kinds(seed: int, shape: str) -> None:
    """No assignment with a kind costs less than its bound; the least of a node's is the bound."""
    nodes, edges = random_network(random.Random(seed), shape)
    messages = Messages(nodes, edges)
    totals = [(states, slow_total(nodes, edges, states)) for states in all_states(nodes)]
    for _ in range(3):
        bound = messages.sweep()
        for index, found in enumerate(messages.kind_bounds()):
            for kind, own in enumerate(found):
                assert own <= min(t for states, t in totals if states[index][1] == kind)
            assert found.min() >= bound - ROUNDING * 4 * len(edges) - 1e-6


def test_bounds_of_kinds_tell_them_apart() -> None:
    """Where messages end, a kind's bound is nearly what it costs at least."""
    apart = 0
    for seed in range(60):
        nodes, edges = random_network(random.Random(seed), "tree")
        messages = Messages(nodes, edges)
        for _ in range(6):
            messages.sweep()
        totals = [(states, slow_total(nodes, edges, states)) for states in all_states(nodes)]
        least = min(total for _, total in totals)
        found = messages.kind_bounds()[0]
        of_kind = [
            min(total for states, total in totals if states[0][1] == kind)
            for kind in range(len(found))
        ]
        apart += np.sum(found - least) > 0.5 * np.sum(np.array(of_kind) - least) - 1e-3
    assert apart > 40


def test_kinds_that_are_not_allowed_are_not_assigned() -> None:
    for seed in range(40):
        rng = random.Random(seed)
        nodes, edges = random_network(rng, "loops")
        messages = Messages(nodes, edges)
        messages.sweep()
        only = [rng.randrange(node.costs.shape[1]) for node in nodes]
        allowed = [np.full(node.costs.shape[1], np.inf) for node in nodes]
        for cost, kind in zip(allowed, only, strict=True):
            cost[kind] = 0.0
        assert [kind for _, kind in messages.assignment(allowed)] == only


def test_edges_lead_forward() -> None:
    node, ways = Node(np.zeros((1, 1))), Ways(np.zeros(1, dtype=np.int64))
    with pytest.raises(ValueError, match="earlier node to a later"):
        Messages([node, node], [Edge(1, 0, (np.zeros((1, 1)),), (0,), ways, ways)])
