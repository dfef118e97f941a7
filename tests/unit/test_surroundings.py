"""When it is known what neighbours save at most by a plan."""

from dataclasses import replace

import pytest
from planned_graphs import GraphWriter, chip

from t10c.ir.graph import Graph
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.prepare import prepare
from t10c.schedule.setting import Setting
from t10c.schedule.surroundings import Surroundings, find_surroundings

SPEC = chip(4, 64)


def of_first(graph: Graph) -> Surroundings:
    """The surroundings of a graph's first step."""
    setting = prepare(graph, SPEC, ScheduleOptions(time_limit_seconds=600))
    assert isinstance(setting, Setting)
    return find_surroundings(setting, SPEC)[setting.choice_of[0]]


def doubled(operands: int) -> Graph:
    """A product that sums read, each as two operands or with something else."""
    w = GraphWriter()
    y = w.matmul("y", w.input("x", 6, 4), w.weight("w", 4, 6))
    other = w.input("z", 6, 6)
    return w.graph(*(w.add(f"s{i}", y, y if i < operands else other) for i in range(3)))


@pytest.mark.parametrize("operands", [0, 1, 3])
def test_every_operand_counts_as_a_reader(operands: int) -> None:
    found = of_first(doubled(operands))
    assert (found.bounded, found.readers) == (True, 3 + operands)


def test_operands_from_one_copy_have_a_floor() -> None:
    w = GraphWriter()
    x = w.input("x", 6, 4)
    found = of_first(w.graph(w.matmul("y", x, w.weight("w", 4, 6))))
    assert found == Surroundings(floored=(0,), copied=(), readers=0, bounded=True)


def test_copies_for_the_next_step() -> None:
    w = GraphWriter()
    x = w.input("x", 6, 4)
    y = w.matmul("y", x, w.weight("w", 4, 6))
    assert of_first(w.graph(y, w.matmul("z", x, w.weight("v", 4, 2)))).copied == (0,)


def test_a_copy_that_is_used_twice() -> None:
    """What the next step saves would have to be counted twice."""
    w = GraphWriter()
    x = w.input("x", 6, 4)
    assert not of_first(w.graph(w.relu("y", x), w.add("z", x, x))).bounded


def test_readers_of_broadcast_elements() -> None:
    """They may need more of a piece than there is of it."""
    w = GraphWriter()
    y = w.matmul("y", w.input("x", 6, 4), w.weight("w", 4, 1))
    wide = w.layout("wide", "expand", (y,), 6, 5)
    assert not of_first(w.graph(w.relu("z", wide))).bounded


def test_wider_types_than_operands_have() -> None:
    w = GraphWriter()
    x = w.tensor("x", 6, 4, kind="input", element_type="int8")
    graph = w.graph(w.relu("y", x))
    wide = tuple(replace(t, element_type="float32") if t.name == "x" else t for t in graph.tensors)
    assert of_first(graph).bounded
    assert not of_first(replace(graph, tensors=wide)).bounded
