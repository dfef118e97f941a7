"""Laws that every simulation keeps: random plans, and small models of the zoo on small chips."""

import json
import math
import os
from dataclasses import replace
from functools import cache

import pytest
import zoo_models
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_plans import Case, draw_case

import t10c
from t10c.hardware.load import changed_spec
from t10c.hardware.spec import HardwareSpec, ShiftBuffer
from t10c.ir.program import Exchange, Instruction, Loop, Program, Shift
from t10c.program.check import check_program
from t10c.simulate.document import simulation_document, simulation_report
from t10c.simulate.result import Breakdown, Simulation
from t10c.simulate.walk import simulate_program

SLACK = 1 + 1e-9
"""What rounding may add to a sum."""

KINDS = ("all-to-all", "mesh2d", "torus2d")

laws = settings(
    max_examples=round(30 * float(os.environ.get("T10C_BRUTE_FACTOR", "1"))),
    deadline=None,
    derandomize=True,
)


def chip_of(case: Case, kind: str, chips: int = 1, overlap: bool = False) -> HardwareSpec:
    """The case's cores as one network, in as square a grid as there is."""
    cores = case.spec.core_count
    rows = max(r for r in range(1, math.isqrt(cores) + 1) if cores % r == 0)
    return replace(
        case.spec,
        core_grid=None if kind == "all-to-all" else (rows, cores // rows),
        interconnect=replace(case.spec.interconnect, kind=kind, hop_latency_cycles=4.0),
        chips=replace(case.spec.chips, count=chips, link_bandwidth_bytes_per_second=5e9),
        overlap_shift_compute=overlap,
    )


@st.composite
def drawn(draw: st.DrawFn) -> tuple[Program, HardwareSpec]:
    """The program of a random plan, and the chip it is for."""
    case = draw_case(draw(st.integers(0, 20_000)))
    kind = draw(st.sampled_from(KINDS))
    chips = draw(st.sampled_from([1, 1, 2])) if kind == "all-to-all" else 1
    spec = chip_of(case, kind, chips, draw(st.booleans()))
    return replace(case, spec=spec).program(), spec


def small_chip(cores: int, kib: float, policy: str = "fixed") -> HardwareSpec:
    """An IPU with few, small cores."""
    return replace(
        t10c.load_spec("ipu-mk2"),
        core_count=cores,
        sram_bytes=int(kib * 1024),
        shift_buffer=ShiftBuffer(policy, 256),  # type: ignore[arg-type]
    )


MODELS = {
    "bert-large": small_chip(24, 9, "double"),
    "llama-3-8b": small_chip(24, 7),
    "lstm-ptb-large": small_chip(12, 64),
    "nerf": t10c.load_spec("ipu-mk2", ("cores.count=12", "cores.sram=9011B")),
    "sd-1.5-unet-block": replace(
        small_chip(24, 64),
        core_grid=(4, 6),
        interconnect=replace(small_chip(1, 1).interconnect, kind="mesh2d", hop_latency_cycles=2.0),
    ),
}


@cache
def model(name: str) -> tuple[t10c.ModelPlan, Program]:
    sizes = {"hidden": "32"} if name == "nerf" else {}
    built = zoo_models.small(name, overrides=sizes)
    graph = t10c.import_model(built.SerializeToString())
    plan = t10c.schedule_model(graph, MODELS[name])
    assert isinstance(plan, t10c.ModelPlan)
    return plan, t10c.lower_plan(plan)


@cache
def model_simulation(name: str) -> Simulation:
    plan, program = model(name)
    return t10c.simulate_plan(plan, program=program)


def all_close(mine: Breakdown, other: Breakdown) -> bool:
    pairs = zip(mine.as_dict().values(), other.as_dict().values(), strict=True)
    return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-6) for a, b in pairs)


# Parts and phases


def assert_sums(found: Simulation) -> None:
    """Parts are not negative and sum up, phases lie in their sections, which follow each other."""
    begin = 0.0
    for operator in found.operators:
        assert math.isclose(operator.begin_cycles, begin, rel_tol=1e-9, abs_tol=1e-6)
        begin = operator.end_cycles
        phases = operator.phases
        total = sum((p.breakdown for p in phases), Breakdown())
        assert all_close(total, operator.breakdown)
        effects = sum(p.effects.total for p in phases) + operator.effects.held
        assert math.isclose(effects, operator.effects.total, rel_tol=1e-9, abs_tol=1e-6)
        assert sum(p.moved_bytes for p in phases) == operator.moved_bytes
        for phase in phases:
            assert min(phase.breakdown.as_dict().values()) >= -1e-6
            assert phase.begin_cycles >= operator.begin_cycles - 1e-6
            assert phase.end_cycles <= operator.end_cycles * SLACK + 1e-6
            span = phase.end_cycles - phase.begin_cycles
            assert phase.breakdown.total <= span * SLACK + 1e-6
            assert 0 <= phase.received_bytes <= phase.moved_bytes
            assert phase.count * found.spec.core_count * phase.received_bytes >= phase.moved_bytes
        assert operator.effects.overlap <= 0
        assert operator.effects.hops >= 0
        assert operator.effects.contention >= 0
    assert math.isclose(found.latency_cycles, begin, rel_tol=1e-9, abs_tol=1e-6)
    parts = found.breakdown.as_dict()
    assert math.isclose(sum(parts.values()), found.latency_cycles, rel_tol=1e-9)
    assert 0 <= found.utilisation <= 1
    assert 0 <= found.transfer_share <= 1


def assert_memory(found: Simulation, program: Program) -> None:
    """The peak is the checker's and fits; points are in order, each of another size."""
    assert found.peak_core_bytes == check_program(program) <= found.spec.usable_bytes
    times = [point.begin_cycles for point in found.memory]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] <= found.latency_cycles * SLACK
    assert max(o.peak_core_bytes for o in found.operators) <= found.peak_core_bytes


@laws
@given(drawn())
def test_parts_sum_up_and_memory_fits(made):
    program, spec = made
    found = simulate_program(program, spec)
    assert_sums(found)
    assert_memory(found, program)


@pytest.mark.parametrize("name", MODELS)
def test_parts_of_models_sum_up_and_memory_fits(name):
    _, program = model(name)
    found = model_simulation(name)
    assert_sums(found)
    assert_memory(found, program)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_faster_than_the_bound(name):
    plan, program = model(name)
    found = model_simulation(name)
    assert found.lower_bound_cycles == plan.lower_bound_cycles
    assert plan.lower_bound_cycles <= found.latency_cycles * SLACK
    assert simulate_program(program, plan.spec).breakdown == found.breakdown


@laws
@given(st.integers(0, 20_000))
def test_every_point_is_computed_once(seed):
    """Operations are those of the iteration space, and of the epilogue on every result."""
    case = draw_case(seed)
    kernel = case.drawn.expression
    assume(not any(len(dim.terms) > 1 for dim in kernel.output.dims))  # may lie with gaps
    found = simulate_program(case.program(), case.spec).operators[0]
    each = 2 if kernel.kernel in ("matmul", "conv") else max(1, len(kernel.body))
    results = math.prod(dim.size for dim in kernel.output.dims)
    assert found.flop == pytest.approx(each * kernel.points + len(kernel.epilogue) * results)


# Changed chips


def faster(spec: HardwareSpec, what: str) -> HardwareSpec:
    """The chip with one thing better."""
    net, chips = spec.interconnect, spec.chips
    match what:
        case "link":
            net = replace(
                net,
                cycles_per_byte=net.cycles_per_byte / 2,
                link_bandwidth_bytes_per_second=net.link_bandwidth_bytes_per_second * 2,
            )
        case "sync":
            net = replace(net, sync_cycles=net.sync_cycles / 2)
        case "hop":
            net = replace(net, hop_latency_cycles=net.hop_latency_cycles / 2)
        case "chips":
            rate = chips.link_bandwidth_bytes_per_second or 1.0
            chips = replace(chips, link_bandwidth_bytes_per_second=2 * rate)
        case "buffer":
            buffer = replace(spec.shift_buffer, size_bytes=2 * spec.shift_buffer.size_bytes)
            return replace(spec, shift_buffer=buffer)
        case "overlap":
            return replace(spec, overlap_shift_compute=True)
        case "torus":
            kind = "torus2d" if net.kind == "mesh2d" else net.kind
            net = replace(net, kind=kind)
        case "neighbours":
            net, spec = replace(net, kind="all-to-all"), replace(spec, core_grid=None)
    return replace(spec, interconnect=net, chips=chips)


BETTER = ("link", "sync", "hop", "chips", "buffer", "overlap", "neighbours")


@pytest.mark.parametrize("what", BETTER)
@laws
@given(drawn())
def test_a_better_chip_is_never_slower(what, made):
    program, spec = made
    before = simulate_program(program, spec)
    after = simulate_program(program, faster(spec, what))
    assert after.latency_cycles <= before.latency_cycles * SLACK
    changed = {
        "link": ("shift", "transition", "setup", "reduction"),
        "sync": ("sync",),
        "buffer": ("sync",),
        "overlap": ("shift",),
    }.get(what, ("shift", "transition", "setup", "reduction"))
    mine, other = before.breakdown.as_dict(), after.breakdown.as_dict()
    for part, value in mine.items():
        if part not in changed:
            assert math.isclose(value, other[part], rel_tol=1e-9, abs_tol=1e-6), part


@pytest.mark.parametrize(
    ("name", "what"),
    [
        *((name, what) for name in MODELS for what in ("link", "sync")),
        *(("sd-1.5-unet-block", what) for what in ("hop", "neighbours")),
    ],
)
def test_models_are_faster_where_what_they_wait_for_is(name, what):
    plan, program = model(name)
    after = simulate_program(program, faster(plan.spec, what))
    assert after.latency_cycles < model_simulation(name).latency_cycles


@pytest.mark.parametrize("name", ["bert-large", "lstm-ptb-large"])
def test_a_faster_clock_is_never_slower_in_seconds(name):
    """Links keep their bytes per second, so that moves take more cycles, and as long as before."""
    plan, program = model(name)
    spec = changed_spec(plan.spec, ("clock=2.65GHz",))
    assert spec.clock_hz == 2 * plan.spec.clock_hz
    before, after = model_simulation(name), simulate_program(program, spec)
    assert after.latency_seconds < before.latency_seconds
    moved = (before.breakdown.transfer, after.breakdown.transfer)
    assert moved[1] == pytest.approx(2 * moved[0])


@laws
@given(st.integers(0, 20_000))
def test_topologies_differ_where_something_moves(seed):
    """A move between cores has a hop at least, which costs on a grid and not among neighbours.

    On a torus no way is longer than on a mesh, and links round the end only take load off others.
    """
    case = draw_case(seed)
    case = replace(case, spec=chip_of(case, "mesh2d"))
    program = case.program()
    mesh = simulate_program(program, case.spec)
    torus = simulate_program(program, faster(case.spec, "torus"))
    near = simulate_program(program, faster(case.spec, "neighbours"))
    assume(len(mesh.notes) == 1)
    moves = mesh.operators[0].moved_bytes > 0
    assert (mesh.latency_cycles > near.latency_cycles * SLACK) == moves
    assert (torus.latency_cycles > near.latency_cycles * SLACK) == moves
    assert torus.operators[0].effects.hops <= mesh.operators[0].effects.hops
    for simulation in (mesh, torus, near):
        assert simulation.operators[0].moved_bytes == mesh.operators[0].moved_bytes
        assert math.isclose(simulation.breakdown.sync, mesh.breakdown.sync, abs_tol=1e-6)


def instructions(body: tuple[Instruction, ...]) -> list[Instruction]:
    found = []
    for instruction in body:
        found.append(instruction)
        if isinstance(instruction, Loop):
            found += instructions((*instruction.body, *instruction.between))
    return found


@laws
@given(drawn())
def test_every_transfer_is_a_phase(made):
    program, spec = made
    found = simulate_program(program, spec).operators[0]
    inside = instructions(program.sections[0].instructions)
    texts = [phase.part for phase in found.phases]
    assert texts.count("shift") == sum(isinstance(i, Shift) for i in inside)
    moves = texts.count("setup") + texts.count("transition")
    assert moves == sum(isinstance(i, Exchange) for i in inside)


# The same again


@laws
@given(drawn())
def test_the_same_program_gives_the_same_bytes(made):
    program, spec = made
    reports = [simulation_report(simulate_program(program, spec)) for _ in range(2)]
    texts = [json.dumps(simulation_document(report)) for report in reports]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["nerf", "bert-large"])
def test_a_value_that_is_the_plans_own_changes_nothing(name):
    plan, program = model(name)
    same = changed_spec(
        plan.spec,
        (
            f"cores.count={plan.spec.core_count}",
            f"interconnect.sync={plan.spec.interconnect.sync_cycles:g}cycles",
        ),
    )
    again = t10c.simulate_plan(plan, same, program)
    assert same.notes != plan.spec.notes
    assert again == model_simulation(name)


def test_another_value_than_the_plans_leaves_its_costs_out():
    plan, program = model("nerf")
    other = changed_spec(plan.spec, ("interconnect.sync=119cycles",))
    found = t10c.simulate_plan(plan, other, program)
    assert found.cost_model_cycles is found.lower_bound_cycles is None
    assert found.breakdown.sync == pytest.approx(
        119 / 118 * model_simulation("nerf").breakdown.sync
    )
