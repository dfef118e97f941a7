"""Concatenations of many tensors: views up to a limit, then one copy."""

import math

import pytest
from planned_graphs import GraphWriter, chip

from t10c.ir.graph import Graph, LayoutOp
from t10c.schedule.model import schedule_model
from t10c.schedule.result import ModelPlan
from t10c.schedule.steps import build_sequence
from t10c.schedule.views import PART_LIMIT, SOURCE_LIMIT, resolve_views


def joined(count: int, *, read: bool = True, twice: bool = False) -> Graph:
    """`count` rows computed one by one, joined and transposed, then read as a whole or not."""
    w = GraphWriter()
    rows = []
    for i in range(count):
        rows.append(w.relu(f"y{i}", w.input(f"x{i}", 1, 8)))
    half = count // 2 if twice else count
    parts = [rows[:half], rows[half:]] if twice else [rows]
    names = [
        w.layout(f"part{i}", "concat", tuple(part), len(part), 8, axis=0)
        for i, part in enumerate(parts)
    ]
    whole = names[0]
    if twice:
        whole = w.layout("whole", "concat", tuple(names), count, 8, axis=0)
    moved = w.layout("moved", "transpose", (whole,), 8, count, perm=(1, 0))
    return w.graph(w.relu("z", moved) if read else moved)


def doubled(times: int, *, read: bool = False) -> Graph:
    """A row joined to itself, and the result to itself, `times` times; an output is one row."""
    w = GraphWriter()
    whole = w.input("x", 1, 8)
    for i in range(1, times + 1):
        whole = w.layout(f"double{i}", "concat", (whole, whole), 2**i, 8, axis=0)
    row = w.layout("row", "slice", (whole,), 1, 8, starts=(1, 0), steps=(1, 1))
    return w.graph(w.relu("z", whole) if read else row)


def copied(graph: Graph) -> list[str]:
    """Outputs of the layout operators that copy."""
    return [copy.output for copy in resolve_views(graph).copies]


def test_few_pieces_are_read_where_they_lie() -> None:
    graph = joined(SOURCE_LIMIT)
    assert copied(graph) == []
    assert len(build_sequence(graph).steps[-1].reads[0].sources) == SOURCE_LIMIT


def test_many_pieces_are_copied_together_first() -> None:
    graph = joined(SOURCE_LIMIT + 1)
    assert copied(graph) == ["part0"]
    (source,) = build_sequence(graph).steps[-1].reads[0].sources
    assert (source.tensor, source.step, source.weight_of) == ("part0", -1, -1)


def test_only_the_last_of_several_concatenations_is_a_copy() -> None:
    assert copied(joined(2 * SOURCE_LIMIT, twice=True)) == ["whole"]


def test_pieces_that_no_operator_reads_stay_where_they_are() -> None:
    assert copied(joined(SOURCE_LIMIT + 1, read=False)) == []


def test_an_output_that_repeats_its_source_has_to_be_made() -> None:
    w = GraphWriter()
    x = w.input("x", 4, 8)
    once = w.layout("once", "concat", (x,), 4, 8, axis=0)
    twice = w.layout("twice", "concat", (x, x), 8, 8, axis=0)
    assert copied(w.graph(once, twice)) == ["twice"]


def test_a_slice_of_many_pieces_reads_its_own() -> None:
    graph = joined(SOURCE_LIMIT + 1, read=False)
    w = GraphWriter()
    w.tensors, w.operators = dict(graph.tensor), list(graph.operators)
    w.layout("row", "slice", ("part0",), 1, 8, starts=(3, 0), steps=(1, 1))
    graph = w.graph(w.relu("z", "row"))
    assert copied(graph) == []
    assert [s.tensor for s in build_sequence(graph).steps[-1].reads[0].sources] == ["y3"]


def test_doubled_views_stay_up_to_the_limit() -> None:
    times = PART_LIMIT.bit_length() - 1
    assert 2**times == PART_LIMIT
    assert copied(doubled(times)) == []
    assert copied(doubled(times + 1)) == [f"double{times + 1}"]


@pytest.mark.parametrize("read", [False, True])
def test_parts_grow_with_the_graph_and_not_with_its_power(read: bool) -> None:
    times = 18
    graph = doubled(times, read=read)
    parts = [len(views) for views in resolve_views(graph).views.values()]
    assert max(parts) <= PART_LIMIT
    assert sum(parts) <= 2 * PART_LIMIT * math.ceil(times / (PART_LIMIT.bit_length() - 1))
    for step in build_sequence(graph).steps:
        assert all(len(r.sources) <= SOURCE_LIMIT for r in step.reads)


def test_a_copy_made_for_its_parts_stays_one_when_its_input_is_copied_too() -> None:
    w = GraphWriter()
    rows = tuple(w.input(f"x{i}", 1, 8) for i in range(PART_LIMIT * 3 // 4))
    first = w.layout("first", "concat", rows, len(rows), 8, axis=0)
    second = w.layout("second", "concat", rows, len(rows), 8, axis=0)
    both = w.layout("both", "concat", (first, second), 2 * len(rows), 8, axis=0)
    graph = w.graph(w.relu("y", first), w.relu("z", both))
    assert copied(graph) == ["first", "both"]


@pytest.mark.parametrize("extra", [0, 1])
def test_a_copy_has_its_price(extra: int) -> None:
    plan = schedule_model(joined(SOURCE_LIMIT + extra), chip())
    assert isinstance(plan, ModelPlan)
    assert [copy.name for copy in plan.copies] == ["op_part0"][:extra]
    assert all(copy.cycles > 0 for copy in plan.copies)
    assert any(isinstance(op, LayoutOp) for op in plan.graph.operators)


def test_a_bound_counts_what_is_copied_whatever_is_chosen() -> None:
    w = GraphWriter()
    wide = w.layout("wide", "expand", (w.input("x", 64, 1),), 64, 256)
    plan = schedule_model(w.graph(wide), chip())
    assert isinstance(plan, ModelPlan)
    assert plan.latency_cycles == plan.copies[0].cycles > 0
    assert plan.gap == 0
