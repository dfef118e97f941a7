"""Prices of transitions: copies that serve again, and sources of different widths."""

import itertools

import numpy as np
from planned_graphs import GraphWriter, chip, fallback

from t10c.ir.graph import Graph
from t10c.schedule.atoms import identity_view
from t10c.schedule.choices import find_choices
from t10c.schedule.descent import _bytes_in, _cycles_out, transition_costs
from t10c.schedule.layout import operand_layout, place
from t10c.schedule.model import schedule_model
from t10c.schedule.options import DEFAULT_SCHEDULE
from t10c.schedule.prepare import prepare
from t10c.schedule.received import received_elements
from t10c.schedule.result import ModelPlan
from t10c.schedule.setting import Setting
from t10c.schedule.steps import build_sequence
from t10c.schedule.transition import TransitionPricer
from t10c.search import SearchOptions


def test_a_copy_is_reused_only_where_no_core_lacks_anything():
    """Over all pairs of plans of two operators that read the same tensor."""
    w = GraphWriter()
    x = w.input("x", 8, 12)
    y, z = w.matmul("y", x, w.weight("a", 12, 10)), w.matmul("z", x, w.weight("b", 12, 6))
    graph, spec = w.graph(y, z), chip(cores=6, kib=24)
    sequence = build_sequence(graph)
    choices = tuple(
        find_choices(step.problem, spec, SearchOptions(), uniform=False) for step in sequence.steps
    )
    pricer = TransitionPricer(sequence, choices, (0, 1), spec)
    view = (identity_view("x", (8, 12)),)
    seen = set()
    for before, after in itertools.product(*(range(len(c.plans)) for c in choices)):
        kept, need = (
            operand_layout(place(op.expression, c.plans[plan].plan), op.expression.inputs[0], done)
            for op, c, plan, done in zip(
                graph.planned, choices, (before, after), (True, False), strict=True
            )
        )
        missing = received_elements(need, view, (kept,))
        assert pricer.reuses_copy(1, 0, [before, after]) == (not missing.any())
        seen.add((bool(missing[0]), bool(missing.any())))
    assert seen == {(False, False), (False, True), (True, True)}


def test_readers_that_are_alike_cost_what_each_of_them_does():
    """Over many choices of plans; the readers differ in which operand is what another makes."""
    w = GraphWriter()
    x = w.input("x", 12, 12)
    a, b = w.matmul("a", x, w.weight("v", 12, 12)), w.matmul("b", x, w.weight("w", 12, 12))
    readers = [(a, b), (b, a), (a, a), (a, b), (b, b)]
    made = []
    for number, (left, right) in enumerate(readers):
        # between them, so that none finds a copy with the one before
        made.append(w.relu(f"s{number}", w.input(f"x{number}", 12, 12)))
        made.append(w.matmul(f"r{number}", left, right))
    setting = prepare(w.graph(*made), chip(cores=6, kib=24), DEFAULT_SCHEDULE)
    assert isinstance(setting, Setting)
    random = np.random.default_rng(0)
    pricer, steps = setting.pricer, setting.sequence.steps
    for _ in range(50):
        plans = [int(random.integers(len(setting.of_step(s.index).plans))) for s in steps]
        for step in steps:
            cost = pricer.cycles(_bytes_in(setting, plans, step.index))
            for consumer in dict.fromkeys(reader for reader, _ in step.consumers):
                cost = cost + _cycles_out(setting, plans, step.index, consumer)
            assert transition_costs(setting, plans, step.index).tolist() == cost.tolist()


def fetched(graph: Graph) -> list[int]:
    """Bytes that every operator fetches on two cores."""
    plan = schedule_model(graph, chip(cores=2, kib=24))
    assert isinstance(plan, ModelPlan)
    return [sum(t.received_bytes for t in o.transitions) for o in plan.operators]


def test_sources_are_moved_at_the_width_they_are_stored_in():
    """What only renames tensors, a cast among them, says nothing of the bytes behind it.

    All operators run on one core, which holds half of every graph input.
    """
    w = GraphWriter()
    x, f = w.input("x", 15, 16, element_type="int8"), w.input("f", 15, 16)
    made = []
    for name, source in (("a", x), ("b", f)):
        w.tensor(f"{name}_renamed", 15, 16)
        renamed = w.layout(f"{name}_renamed", "reshape", (source,), 15, 16)
        made.append(w.apply(name, fallback((3,), (15, 16)), renamed))
    both = w.layout("both", "concat", (x, f), 30, 16, axis=0)
    made.append(w.apply("c", fallback((3,), (30, 16)), both))
    assert fetched(w.graph(*made)) == [120, 240, 360]
