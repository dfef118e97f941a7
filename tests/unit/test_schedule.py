"""Plans of whole models: memory recomputed from scratch, costs, bounds, and what does not fit."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import pytest
from planned_graphs import GraphWriter, chip, elements, relu, residual

from t10c.hardware.load import load_spec
from t10c.hardware.spec import HardwareSpec
from t10c.ir.graph import Graph, LayoutOp
from t10c.schedule.atoms import identity_view
from t10c.schedule.choices import Choices, find_choices
from t10c.schedule.layout import (
    even_layout,
    operand_layout,
    output_layout,
    place,
)
from t10c.schedule.model import schedule_model
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.problem import Problem
from t10c.schedule.received import received_elements
from t10c.schedule.result import DoesNotFit, ModelPlan
from t10c.search.options import SearchOptions

EXHAUSTIVE = SearchOptions("exhaustive")
EXACT = ScheduleOptions()
UNIFORM = ScheduleOptions(transitions="uniform")


def plan_of(graph: Graph, spec: HardwareSpec, options=EXACT) -> ModelPlan:
    result = schedule_model(graph, spec, options)
    assert isinstance(result, ModelPlan), result
    return result


def roots(graph: Graph) -> dict[str, str]:
    """The tensor that each tensor is a view of (graphs here have views of one tensor only)."""
    root = {t.name: t.name for t in graph.tensors}
    for op in graph.operators:
        if isinstance(op, LayoutOp):
            root[op.output] = root[op.inputs[0]]
    return root


def stored_bytes(graph: Graph, name: str, count: int, spec: HardwareSpec) -> int:
    """Bytes of so many elements of a tensor as it is stored."""
    narrow = {"int8": 8, "uint8": 8, "int4": 4, "uint4": 4}
    bits = narrow.get(graph.tensor[name].element_type, 8 * spec.element_bytes)
    return math.ceil(Fraction(count * bits, 8))


def slow_memory(plan: ModelPlan, persistent: tuple[str, ...] = ()) -> list[dict[str, int]]:
    """Every operator's memory terms, from the plan's pieces and the graph alone."""
    graph, spec = plan.graph, plan.spec
    root = roots(graph)
    steps = graph.planned
    owned: set[str] = set()
    idle = []
    for step, chosen in zip(steps, plan.operators, strict=True):
        mine = {n for n in step.inputs if graph.tensor[n].kind == "weight"} - owned
        assert {w.tensor for w in chosen.idle} == mine
        owned |= mine
        idle.append(sum(w.cut.idle_bytes for w in chosen.idle))
    fixed = spec.shift_buffer.size_bytes if spec.shift_buffer.policy == "fixed" else 0
    read_through_views = {root[n] for step in steps for n in step.inputs}
    loose = sum(
        stored_bytes(graph, n, -(-elements(graph, n) // spec.core_count), spec)
        for n in read_through_views
        if graph.tensor[n].kind == "weight" and n not in owned
    )
    terms = []
    for i, (step, chosen) in enumerate(zip(steps, plan.operators, strict=True)):
        active = inputs = doubled = 0
        for operand, size in zip(step.expression.operands, chosen.piece_bytes, strict=True):
            moves = any(operand.name in r.operands for r in chosen.plan.rotations)
            again = size if moves and spec.shift_buffer.policy == "double" else 0
            active += size
            doubled += again
            inputs += size + again if operand is not step.expression.output else 0
        live = dying = 0
        for tensor in graph.tensors:
            if tensor.kind == "weight":
                continue
            made = [j for j, s in enumerate(steps) if s.output == tensor.name]
            readers = [j for j, s in enumerate(steps) if tensor.name in {root[n] for n in s.inputs}]
            if tensor.name in {root[n] for n in (*graph.outputs, *persistent)}:
                readers.append(len(steps))
            born = made[0] if made else -1
            if not readers or not (made or tensor.kind == "input") or born >= i:
                continue
            share = -(-elements(graph, tensor.name) // spec.core_count)
            if made:
                layout = output_layout(place(steps[born].expression, plan.operators[born].plan))
                share = int(layout.elements.max())
            size = stored_bytes(graph, tensor.name, share, spec)
            if max(readers) > i:
                live += size
            elif max(readers) == i:
                dying += size
        others = sum(idle) - idle[i] + loose
        terms.append(
            {
                "idle_weights": others,
                "active_pieces": active,
                "live_activations": live,
                "shift_buffer": fixed + doubled,
                "fetch_total": others + inputs + live + dying + fixed,
                "total": others + active + live + fixed + doubled,
            }
        )
    return terms


def check_memory(plan: ModelPlan, persistent: tuple[str, ...] = ()) -> None:
    for slow, chosen in zip(slow_memory(plan, persistent), plan.operators, strict=True):
        found = {name: getattr(chosen.memory_bytes, name) for name in slow}
        assert found == slow, chosen.name
        assert max(slow["total"], slow["fetch_total"]) <= plan.spec.usable_bytes
    assert plan.peak_core_bytes <= plan.spec.usable_bytes


def exchange_cycles(size_bytes: int, spec: HardwareSpec) -> float:
    """One exchange before an operator: a move and six syncs, or nothing."""
    network = spec.interconnect
    return size_bytes * network.cycles_per_byte + 6 * network.sync_cycles * (size_bytes > 0)


def check_costs(plan: ModelPlan) -> None:
    parts = [
        value
        for o in plan.operators
        for value in (
            o.cost_cycles.setup,
            o.cost_cycles.transition,
            o.cost_cycles.compute,
            o.cost_cycles.epilogue,
            o.cost_cycles.shift,
            o.cost_cycles.reduction,
            o.cost_cycles.sync,
        )
    ]
    assert all(part >= 0 for part in parts)
    parts += [c.cycles for c in plan.copies]
    assert plan.latency_cycles == pytest.approx(sum(parts))
    assert sum(plan.breakdown_cycles().values()) == pytest.approx(sum(parts))
    for o in plan.operators:
        assert o.cost_cycles.setup == pytest.approx(sum(w.cut.setup_cycles for w in o.idle))
        if plan.options.transitions == "exact":
            size = sum(t.received_bytes for t in o.transitions)
            assert o.cost_cycles.transition == pytest.approx(exchange_cycles(size, plan.spec))
    assert plan.lower_bound_cycles <= plan.latency_cycles * (1 + 1e-12)
    assert 0 <= plan.gap <= 1
    if plan.options.transitions == "uniform":
        assert plan.uniform_cycles == pytest.approx(plan.latency_cycles)


def attention() -> Graph:
    """Views, a fork, and a tensor that lives on over several operators."""
    w = GraphWriter()
    x = w.input("x", 8, 32)
    q = w.matmul("q", x, w.weight("wq", 32, 32))
    k = w.matmul("k", x, w.weight("wk", 32, 32))
    kt = w.layout("kt", "transpose", (k,), 32, 8, perm=(1, 0))
    s = w.matmul("s", q, kt)
    p = w.relu("p", s)
    y = w.matmul("y", p, x)
    flat = w.layout("flat", "reshape", (y,), 4, 64)
    z = w.matmul("z", flat, w.weight("wz", 64, 16))
    return w.graph(z, q)


def quantised() -> Graph:
    """Integer matmuls, a 4-bit weight, one read through a view, and a fork between widths."""
    w = GraphWriter()
    x = w.input("x", 15, 32, element_type="int8")
    w.tensor("h", 15, 32, element_type="uint8")
    h = w.matmul("h", x, w.weight("a", 32, 32, element_type="int8"))
    turned = w.layout(
        "turned", "transpose", (w.weight("b", 33, 32, element_type="int4"),), 32, 33, perm=(1, 0)
    )
    y = w.matmul("y", h, turned)
    z = w.matmul("z", y, w.weight("c", 33, 32, element_type="uint4"))
    w.tensor("s", 15, 32, element_type="int8")
    s = w.add("s", z, h)
    return w.graph(w.relu("out", s), h)


GRAPHS = {
    "residual": residual,
    "two_layers": lambda: residual(24, 8, 2),
    "attention": attention,
    "quantised": quantised,
}


@pytest.mark.parametrize("transitions", ["exact", "uniform"])
@pytest.mark.parametrize("policy", ["fixed", "double"])
@pytest.mark.parametrize("name", GRAPHS)
def test_memory_and_costs_add_up_at_every_size(name, policy, transitions):
    fitted = 0
    for kib in (1.2, 1.6, 2, 3, 5, 24):
        spec = chip(kib=kib, policy=policy)
        result = schedule_model(GRAPHS[name](), spec, ScheduleOptions(transitions=transitions))
        if isinstance(result, ModelPlan):
            fitted += 1
            check_memory(result)
            check_costs(result)
        else:
            check_misfit(result, spec)
    assert fitted >= 3


def check_misfit(value: DoesNotFit, spec: HardwareSpec) -> None:
    assert sum(size for _, size in value.terms) == value.demanded_bytes
    assert all(size >= 0 for _, size in value.terms)
    assert value.available_bytes == spec.usable_bytes
    assert value.demanded_bytes > value.available_bytes
    assert value.operator
    assert any("more cores" in lever for lever in value.levers)
    assert any("more memory" in lever for lever in value.levers)


def test_a_misfit_never_demands_what_there_is():
    """At this size the smallest pieces of every operator would fit, but not all at once."""
    for size in range(720, 800, 10):
        result = schedule_model(attention(), chip(kib=size / 1024))
        if isinstance(result, DoesNotFit):
            check_misfit(result, chip(kib=size / 1024))
        else:
            check_memory(result)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_memory_that_a_misfit_asks_for_is_enough(name):
    graph = GRAPHS[name]()
    spec = chip(kib=0.5)
    result = schedule_model(graph, spec)
    assert isinstance(result, DoesNotFit)
    enough = replace(spec, sram_bytes=result.demanded_bytes)
    for _ in range(3):  # one operator that is too big hides what the others demand
        result = schedule_model(graph, enough)
        if isinstance(result, ModelPlan):
            break
        assert result.demanded_bytes > enough.sram_bytes
        enough = replace(spec, sram_bytes=result.demanded_bytes)
    assert isinstance(result, ModelPlan)
    check_memory(result)


def test_too_many_weights_are_known_before_the_search():
    w = GraphWriter()
    y = w.matmul("y", w.input("x", 4, 64), w.weight("w", 64, 64))
    graph = w.graph(w.matmul("z", y, w.weight("v", 64, 64)))
    spec = chip(kib=1)

    def searcher(problems):
        raise AssertionError("searched")

    result = schedule_model(graph, spec, searcher=searcher)
    assert isinstance(result, DoesNotFit)
    check_misfit(result, spec)
    assert result.proven
    assert dict(result.terms) == {"idle_weights": 2 * 64 * 64 * 2 // 16, "shift_buffer": 256}


def test_one_operator_too_big_is_named():
    w = GraphWriter()
    y = w.relu("y", w.input("x", 4, 4))
    z = w.matmul("z", y, w.weight("w", 4, 4))
    w.tensor("b", 4, 4, kind="input")
    big = w.apply("big", relu((64, 128)), w.layout("wide", "expand", (z,), 64, 128))
    spec = chip(kib=1)
    result = schedule_model(w.graph(big), spec)
    assert isinstance(result, DoesNotFit)
    check_misfit(result, spec)
    assert result.operator == "op_big"
    assert result.proven
    assert dict(result.terms)["active_pieces"] == 2 * 2 * 64 * 128 // 16


def test_identical_operators_are_one_problem():
    searched = []

    def searcher(problems: list[Problem]) -> list[Choices]:
        searched.extend(problems)
        return [find_choices(p, spec, SearchOptions(), uniform=False) for p in problems]

    spec = chip(kib=24)
    graph = residual(32, 16, layers=3)
    plan = schedule_model(graph, spec, searcher=searcher)
    assert len(searched) == len(plan.problems) == 4
    assert [p.operators for p in plan.problems] == [3, 3, 3, 3]
    assert [o.problem for o in plan.operators] == [0, 1, 2, 3] * 3
    assert plan == plan_of(graph, spec)


def test_a_weight_used_twice_counts_once():
    w = GraphWriter()
    x = w.input("x", 16, 32)
    shared = w.weight("w", 32, 32)
    y = w.matmul("y", x, shared)
    z = w.matmul("z", y, shared)
    plan = plan_of(w.graph(z), chip(kib=24))
    check_memory(plan)
    assert [len(o.idle) for o in plan.operators] == [1, 0]
    assert plan.operators[0].memory_bytes.idle_weights == 0
    assert plan.operators[1].memory_bytes.idle_weights == plan.operators[0].idle[0].cut.idle_bytes
    assert {t.tensor for t in plan.operators[1].transitions} == {"y", "w"}


def test_a_weight_read_through_a_view_lies_evenly_spread():
    w = GraphWriter()
    x = w.input("x", 16, 32)
    turned = w.layout("turned", "transpose", (w.weight("w", 48, 32),), 32, 48, perm=(1, 0))
    plan = plan_of(w.graph(w.matmul("y", x, turned)), chip(kib=24))
    check_memory(plan)
    assert plan.operators[0].memory_bytes.idle_weights == 48 * 32 * 2 // 16
    assert plan.operators[0].transitions[1].sources == ("w",)


def test_persistent_tensors_live_to_the_end():
    w = GraphWriter()
    x = w.input("x", 16, 32)
    cache = w.input("cache", 16, 32)
    y = w.add("y", x, cache)
    z = w.relu("z", y)
    graph = w.graph(w.relu("last", z))
    spec = chip(kib=24)
    kept, free = plan_of(graph, spec, ScheduleOptions(persistent=("cache",))), plan_of(graph, spec)
    check_memory(kept, ("cache",))
    check_memory(free)
    share = 16 * 32 * 2 // 16
    for a, b in zip(kept.operators[1:], free.operators[1:], strict=True):
        assert a.memory_bytes.live_activations == b.memory_bytes.live_activations + share


def test_a_persistent_tensor_that_is_written_has_its_memory_before_it_is_produced():
    w = GraphWriter()
    y = w.relu("y", w.input("x", 16, 32))
    z = w.relu("z", y)
    graph = w.graph(w.relu("last", z))
    spec = chip(kib=24)
    kept, free = plan_of(graph, spec, ScheduleOptions(persistent=("z",))), plan_of(graph, spec)
    share = 16 * 32 * 2 // 16
    before, after = kept.operators[0].memory_bytes, free.operators[0].memory_bytes
    assert before.live_activations == after.live_activations + share


@pytest.mark.parametrize("name", GRAPHS)
def test_the_same_input_gives_the_same_plan(name):
    spec = chip(kib=2)
    assert plan_of(GRAPHS[name](), spec) == plan_of(GRAPHS[name](), spec)


@pytest.mark.parametrize("options", [EXACT, UNIFORM], ids=["exact", "uniform"])
@pytest.mark.parametrize("name", GRAPHS)
def test_more_memory_is_no_disadvantage(name, options):
    graph = GRAPHS[name]()
    plans = [plan_of(graph, chip(kib=kib), options) for kib in (1.2, 1.4, 1.7, 2, 3, 6, 24)]
    for small, large in itertools.pairwise(plans):
        assert large.lower_bound_cycles <= small.lower_bound_cycles * (1 + 1e-12)
        assert large.latency_cycles * (1 - large.gap) <= small.latency_cycles * (1 + 1e-12)
    assert plans[-1].latency_cycles <= plans[0].latency_cycles


def slow_price(graph: Graph, spec: HardwareSpec, choices: list[Choices], picked: tuple[int, ...]):
    """Cycles of one option per operator with exact transitions, or None if it does not fit.

    For graphs in which no two operators read the same tensor.
    """
    cycles, demand = 0.0, []
    entries = [c.plans[c.plan[o]] for c, o in zip(choices, picked, strict=True)]
    idles = [int(c.idle_bytes[o]) for c, o in zip(choices, picked, strict=True)]
    outputs = {}
    for step, c, o, entry in zip(graph.planned, choices, picked, entries, strict=True):
        placed = place(step.expression, entry.plan)
        size = 0
        for operand, name in zip(step.expression.inputs, step.inputs, strict=True):
            if graph.tensor[name].kind == "weight":
                continue
            shape = graph.tensor[name].shape
            held = outputs.get(name) or even_layout(shape, spec.core_count)
            need = operand_layout(placed, operand)
            missing = received_elements(need, (identity_view(name, shape),), (held,))
            size += int(missing.max()) * spec.element_bytes
        own_sync = step.expression.kernel in ("pointwise", "pool")
        cycles += entry.cycles - (0 if own_sync else entry.end_cycles) + float(c.setup[o])
        cycles += exchange_cycles(size, spec)
        outputs[step.output] = output_layout(placed)
    for i, entry in enumerate(entries):
        reserve = spec.shift_buffer.size_bytes
        living = dying = 0
        for tensor in graph.tensors:
            readers = [j for j, s in enumerate(graph.planned) if tensor.name in s.inputs]
            readers += [len(graph.planned)] * (tensor.name in graph.outputs)
            born = [j for j, s in enumerate(graph.planned) if tensor.name == s.output] or [-1]
            if tensor.kind == "weight" or not born[0] < i <= max(readers):
                continue
            share = -(-elements(graph, tensor.name) // spec.core_count)
            if tensor.name in outputs:
                share = int(outputs[tensor.name].elements.max())
            living += share * (max(readers) > i)
            dying += share * (max(readers) == i)
        others = sum(idles) - idles[i] + living * spec.element_bytes
        fetch = others + sum(entry.piece_bytes[:-1]) + dying * spec.element_bytes + reserve
        demand += [fetch, others + entry.memory_bytes]
    return cycles if max(demand) <= spec.usable_bytes else None


def small_products(*sizes: int) -> Graph:
    """x W0 W1 ..., with one size per dimension."""
    w = GraphWriter()
    x = w.input("x", *sizes[:2])
    for i, n in enumerate(sizes[2:]):
        x = w.matmul(f"y{i}", x, w.weight(f"w{i}", sizes[i + 1], n))
    return w.graph(x)


@pytest.mark.parametrize(
    ("sizes", "sram_bytes"),
    [((4, 4, 4, 6), size) for size in (84, 90, 104, 130, 400)]
    + [((2, 6, 3, 4), size) for size in (64, 72, 90, 130)]
    + [((2, 3, 2, 3, 2), size) for size in (56, 200)],
)
def test_no_combination_of_the_pool_beats_the_plan_by_more_than_the_gap(sizes, sram_bytes):
    graph = small_products(*sizes)
    spec = chip(cores=4, kib=sram_bytes / 1024, buffer_bytes=16)
    choices = [
        find_choices(Problem(op.expression, (1,)), spec, EXHAUSTIVE, uniform=False)
        for op in graph.planned
    ]
    picks = itertools.product(*(range(len(c.plan)) for c in choices))
    prices = [p for pick in picks if (p := slow_price(graph, spec, choices, pick)) is not None]
    result = schedule_model(graph, spec, ScheduleOptions(EXHAUSTIVE))
    if not prices:
        assert isinstance(result, DoesNotFit)
        check_misfit(result, spec)
        return
    assert isinstance(result, ModelPlan), (min(prices), result.terms, result.demanded_bytes)
    check_memory(result)
    assert min(prices) <= result.latency_cycles * (1 + 1e-12)
    assert result.lower_bound_cycles <= min(prices)


@pytest.mark.parametrize(
    ("shape", "latency"), [((64, 64, 64), 2366.0), ((64, 56, 56), 1886.0)], ids=str
)
def test_a_plan_in_the_layout_of_its_input_is_found_among_its_equals(shape, latency):
    """Dozens of splits of a pointwise operator cost the same; one of them moves nothing."""
    w = GraphWriter()
    graph = w.graph(w.relu("y", w.input("x", *shape)))
    plan = plan_of(graph, load_spec("ipu-mk2", ["cores.count=64"]))
    assert [t.received_bytes for t in plan.operators[0].transitions] == [0]
    assert plan.latency_cycles == latency


def test_a_broadcast_output_is_made_and_takes_its_memory():
    w = GraphWriter()
    y = w.relu("y", w.input("x", 64, 1))
    graph = w.graph(w.layout("wide", "expand", (y,), 64, 4096))
    plan = plan_of(graph, chip(kib=64))
    share = 64 * 4096 * 2 // 16
    assert [copy.received_bytes for copy in plan.copies] == [share]
    assert plan.end_bytes >= share
    assert plan.peak_core_bytes >= share
    misfit = schedule_model(graph, chip(kib=24))
    assert isinstance(misfit, DoesNotFit)
    assert misfit.operator == "(graph outputs)"
    assert dict(misfit.terms)["live_activations"] >= share


def test_a_model_that_only_moves_data_has_to_fit_too():
    w = GraphWriter()
    graph = w.graph(w.layout("y", "transpose", (w.input("x", 256, 512),), 512, 256, perm=(1, 0)))
    share = 256 * 512 * 2 // 16
    assert plan_of(graph, chip(kib=32)).end_bytes == share + 256
    misfit = schedule_model(graph, chip(kib=16))
    assert isinstance(misfit, DoesNotFit)
    assert misfit.proven
    assert misfit.demanded_bytes == share + 256


def test_the_bound_never_exceeds_the_latency_it_equals():
    """Every operator gets its best plan, and the two sums differ in their order only."""
    for name in GRAPHS:
        plan = plan_of(GRAPHS[name](), chip(kib=24), UNIFORM)
        assert plan.lower_bound_cycles <= plan.latency_cycles
        assert plan.gap >= 0
