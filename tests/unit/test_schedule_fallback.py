"""Fallback operators: no tensor expression, one core, all operands gathered there."""

import json
import math
from dataclasses import replace

import pytest
from planned_graphs import GraphWriter, chip, fallback

from t10c.hardware import kernels
from t10c.ir.graph import Graph, NodeClass, NodeRecord
from t10c.report.explain import operator_document, operator_lines
from t10c.report.summary import misfit_lines, plan_document, plan_lines
from t10c.schedule.document import dump_plan, load_plan
from t10c.schedule.model import schedule_model
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.result import DoesNotFit, ModelPlan
from t10c.search import SearchOptions, search_operator

EXACT, UNIFORM = ScheduleOptions(), ScheduleOptions(transitions="uniform")


def sandwich(passes: int = 0, width: int = 32, weight: bool = False) -> Graph:
    """A matmul, a fallback operator of one or two inputs, and a matmul that reads it."""
    w = GraphWriter()
    x = w.input("x", 16, width)
    h = w.matmul("h", x, w.weight("w", width, width))
    second = w.weight("t", width) if weight else x
    shapes = [w.tensors[name].shape for name in (h, second)]
    f = w.apply("f", fallback((16, width), *shapes, passes=passes), h, second)
    return w.graph(w.matmul("y", f, w.weight("v", width, width)))


def plan_of(graph: Graph, spec, options=EXACT) -> ModelPlan:
    made = schedule_model(graph, spec, options)
    assert isinstance(made, ModelPlan), made
    return made


@pytest.mark.parametrize("search", ["pruned", "exhaustive"])
@pytest.mark.parametrize("cores", [1, 16, 1472])
def test_there_is_exactly_one_plan(cores, search):
    spec = chip(cores, kib=64)
    expression = fallback((4, 5), (3,), (7, 2), (), passes=3)
    found = search_operator(expression, spec, SearchOptions(search))
    (entry,) = found.front
    assert found.record.legal_plans == found.record.feasible_plans == 1
    assert not found.record.thresholds_dropped
    assert set(entry.plan.split) == {1}
    assert entry.plan.rotations == ()
    assert entry.piece_bytes == (3 * 2, 14 * 2, 2, 20 * 2)
    assert entry.memory_bytes == sum(entry.piece_bytes) + 256
    scalar = 0.75 * 3 * (3 + 14 + 1 + 20) + 290
    assert entry.compute_cycles == pytest.approx(scalar)
    assert entry.compute_cycles <= found.record.lower_bound_cycles <= entry.cycles


def test_passes_default_to_one():
    spec = chip()
    cycles = [
        search_operator(fallback((40,), (60,), passes=passes), spec).front[0].compute_cycles
        for passes in (0, 1, 10)
    ]
    assert cycles[0] == cycles[1] == float(kernels.pointwise_cycles(spec, 100, 2))
    assert cycles[2] == float(kernels.pointwise_cycles(spec, 1000, 2))


def test_products_of_all_lengths_beyond_any_number_are_no_matter():
    """Axes are never combined, so only the operands count: here 40 of 2^30 elements."""
    shapes = [(2**10,) * 3] * 40
    assert math.prod(math.prod(shape) for shape in shapes) > 2**1024
    expression = fallback((2,), *shapes)
    huge = replace(chip(), sram_bytes=2**40)
    (entry,) = search_operator(expression, huge, SearchOptions("pruned")).front
    assert entry.memory_bytes == 40 * 2**31 + 4 + 256
    assert not search_operator(expression, chip()).front


@pytest.mark.parametrize("options", [EXACT, UNIFORM], ids=["exact", "uniform"])
def test_everything_is_gathered_to_one_core_and_fetched_from_it(options):
    spec = chip(kib=24)
    plan = plan_of(sandwich(), spec, options)
    before, whole, after = plan.operators
    assert set(whole.plan.split) == {1}
    assert whole.memory_bytes.active_pieces == 3 * 16 * 32 * 2
    assert plan.lower_bound_cycles <= plan.latency_cycles
    assert plan.fallback_operators() == (whole,)
    if options is UNIFORM:
        assert plan.fallback_cycles() == whole.cost_cycles.total
        return
    assert [t.tensor for t in whole.transitions] == ["h", "x"]
    assert all(0 < t.received_bytes < 16 * 32 * 2 for t in whole.transitions)
    assert after.memory_bytes.live_activations == 0
    own = plan.fallback_cycles() - whole.cost_cycles.total
    assert own == pytest.approx(after.cost_cycles.transition)
    assert own > 0
    assert before.memory_bytes.live_activations == 16 * 32 * 2 // 16  # x, spread evenly


def test_its_weights_lie_evenly_spread_and_are_gathered_each_time():
    plan = plan_of(sandwich(weight=True), chip(kib=24))
    whole = plan.operators[1]
    assert whole.idle == ()
    share = 32 * 2 // 16
    assert whole.memory_bytes.idle_weights >= share
    assert [t.tensor for t in whole.transitions] == ["h", "t"]
    assert whole.transitions[1].received_bytes == 32 * 2 - share


def test_more_passes_take_longer_and_nothing_else_changes():
    spec = chip(kib=24)
    few, many = plan_of(sandwich(2), spec), plan_of(sandwich(20), spec)
    elements = 3 * 16 * 32
    costs = [plan.operators[1].cost_cycles.compute for plan in (few, many)]
    assert costs == [float(kernels.pointwise_cycles(spec, n * elements, 2)) for n in (2, 20)]
    assert many.latency_cycles - few.latency_cycles == pytest.approx(costs[1] - costs[0])


@pytest.mark.parametrize("policy", ["fixed", "double"])
def test_plan_files_and_reports_show_it(policy):
    plan = plan_of(sandwich(3), chip(kib=24, policy=policy))
    assert load_plan(dump_plan(plan), "plan.json") == plan
    share = 100 * plan.fallback_cycles() / plan.latency_cycles
    (line,) = [line for line in plan_lines(plan) if line.startswith("fallback   ")]
    assert f"1 operator on one core (estimate), {share:.1f} % of cycles" in line
    assert "scalar code on one core (fallback)" in "\n".join(plan_lines(plan))
    document = plan_document(plan)
    assert document["fallback"]["operators"] == ["op_f"]
    assert document["fallback"]["cycles"] == plan.fallback_cycles()
    assert "estimate" in document["model_confidence"]["fallback"]
    operator, chosen = plan.graph.planned[1], plan.operators[1]
    assert "runs on one core" in "\n".join(operator_lines(plan, operator, chosen))
    assert operator_document(plan, operator, chosen)["fallback"] is True
    json.dumps(document)


def test_reports_of_other_plans_do_not_speak_of_it():
    w = GraphWriter()
    graph = w.graph(w.matmul("y", w.input("x", 16, 32), w.weight("w", 32, 32)))
    plan = plan_of(graph, chip(kib=24))
    assert "fallback" not in "\n".join(plan_lines(plan))
    assert plan.fallback_cycles() == 0
    assert plan_document(plan)["fallback"] == {"operators": [], "cycles": 0.0, "nodes": []}


def test_one_that_is_too_large_is_named_with_a_lever_that_helps():
    """All tensors fit the chip, but not one core."""
    spec = chip(kib=4)
    result = schedule_model(sandwich(width=64), spec)
    assert isinstance(result, DoesNotFit)
    assert result.operator == "op_f"
    assert result.proven
    assert result.demanded_bytes == 3 * 16 * 64 * 2 + 256
    levers = "\n".join(result.levers)
    assert "runs on one core" in levers
    assert "more cores" not in levers
    assert "more memory" in levers
    assert "runs on one core" in "\n".join(misfit_lines(result))
    enough = replace(spec, sram_bytes=result.demanded_bytes + 3 * 1024)
    assert isinstance(schedule_model(sandwich(width=64), enough), ModelPlan)


def test_more_cores_are_named_where_the_rest_is_what_does_not_fit():
    spec = chip(kib=4)
    demand = 3 * 16 * 64 * 2 + 256
    tight = replace(spec, sram_bytes=demand + 32)
    result = schedule_model(sandwich(width=64), tight)
    assert isinstance(result, DoesNotFit)
    assert result.operator == "op_f"
    assert any("more cores" in lever for lever in result.levers)
    assert any("runs on one core" in lever for lever in result.levers)


def test_reports_name_the_nodes_and_why() -> None:
    graph = sandwich(3)
    record = NodeRecord("f", "TopK", NodeClass.FALLBACK, "op_f", "its rows have too many pairs")
    plan = plan_of(replace(graph, nodes=(record,)), chip(kib=24))
    assert any("f: its rows have too many pairs" in line for line in plan_lines(plan))
    nodes = [{"node": "f", "operator": "TopK", "reason": "its rows have too many pairs"}]
    assert plan_document(plan)["fallback"]["nodes"] == nodes
