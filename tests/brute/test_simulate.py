"""Simulations of random programs and small models against the slow twin, figure by figure."""

import math
from collections import Counter
from functools import cache

import pytest
import zoo_models

import t10c
from t10c.baselines.program import lower_vgm
from t10c.baselines.result import VgmPlan
from t10c.hardware.spec import HardwareSpec
from t10c.ir.program import Loop, Program, Reduce, Shift
from t10c.program.check import check_program
from t10c.simulate import pairs, section
from t10c.simulate.result import OperatorTiming, Phase, Simulation
from t10c.simulate.walk import simulate_program

from .budget import FACTOR
from .simulated_programs import TOPOLOGIES, on_topology, shifting, through_views, tiled
from .simulator import Spent, Timing, every, simulated

RANDOM_PLANS = round(50 * FACTOR)
RANDOM_TILINGS = round(20 * FACTOR)

ON_LINKS = {"shift", "reduction", "contention", "hops", "overlap"}
"""Figures that depend on how pieces of unequal sizes meet on links, and on what hides shifts."""


def differences(found: Simulation, want: list[Timing], uneven: bool = False) -> list[str]:
    """Figures in which a simulation is not as the twin says.

    `uneven` leaves out what the twin knows better of pieces of unequal sizes on links.
    """
    told = []
    for operator, timing in zip(found.operators, want, strict=True):
        texts = _differences(operator, timing, uneven and timing.uneven)
        told += [f"{operator.name}: {text}" for text in texts]
    return told


def _differences(operator: OperatorTiming, timing: Timing, uneven: bool) -> list[str]:
    told = _unequal(operator.peak_core_bytes, timing.peak_bytes, "peak")
    if timing.gaps:
        return told
    told += _unequal(operator.flop, timing.flop, "flop")
    told += _parts(operator, timing, uneven, "")
    phases = [phase for phase in operator.phases if phase.count]
    told += _unequal(len(phases), len(timing.phases), "phases")
    for phase, spent in zip(phases, timing.phases.values(), strict=False):
        told += _parts(phase, spent, uneven, phase.text)
        for name in ("part", "count", "received_bytes", "sent_bytes", "moved_bytes", "hops"):
            mine, twin = getattr(phase, name), getattr(spent, name)
            if mine != twin and not (uneven and name == "hops" and phase.part in ON_LINKS):
                told.append(f"{phase.text} {name}: {mine}, twin {twin}")
    return told


def _parts(
    mine: OperatorTiming | Phase, twin: Timing | Spent, uneven: bool, text: str
) -> list[str]:
    """Parts of the breakdown and effects that differ; those on links do not count if `uneven`."""
    told = []
    for kind in ("breakdown", "effects"):
        yours = getattr(twin, kind).as_dict()
        for name, value in getattr(mine, kind).as_dict().items():
            if not (uneven and name in ON_LINKS):
                told += _unequal(value, yours[name], f"{text} {kind} {name}")
    return told


def _unequal(mine: float, twin: float, name: str) -> list[str]:
    alike = math.isclose(mine, twin, rel_tol=1e-9, abs_tol=1e-7)
    return [] if alike else [f"{name}: {mine}, twin {twin}"]


def compared(program: Program, spec: HardwareSpec, seen: Counter[str]) -> list[str]:
    """Simulate and compare; counts programs, and those of which the simulator knows less."""
    found, want = simulate_program(program, spec), simulated(program, spec)
    seen["programs"] += 1
    seen["gaps"] += any(timing.gaps for timing in want)
    if len(found.notes) > 1:  # it says so
        seen["unknown"] += 1
        return []
    told = differences(found, want)
    if told and any(timing.uneven for timing in want):
        seen["uneven"] += 1
        return differences(found, want, uneven=True)
    return told


@pytest.mark.parametrize(
    ("topology", "overlap"),
    [*((name, False) for name in TOPOLOGIES), ("all-to-all", True), ("torus2d", True)],
)
def test_random_plans_take_what_they_take_core_by_core(topology, overlap):
    seen: Counter[str] = Counter()
    first = 10_000 * list(TOPOLOGIES).index(topology) + 100_000 * overlap
    for seed in range(first, first + RANDOM_PLANS):
        made = shifting(seed, topology, overlap)
        if made is not None:
            assert compared(*made, seen) == [], seed
    assert seen["programs"] > RANDOM_PLANS / 2
    assert seen["unknown"] <= 0.15 * seen["programs"]
    assert seen["uneven"] <= 0.15 * seen["programs"]
    assert seen["gaps"] <= 0.05 * seen["programs"]


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_random_tilings_take_what_they_take_core_by_core(topology):
    seen: Counter[str] = Counter()
    first = 10_000 * list(TOPOLOGIES).index(topology)
    for seed in range(first, first + RANDOM_TILINGS):
        assert compared(*tiled(seed, topology), seen) == [], seed
    assert seen["unknown"] + seen["gaps"] <= 0.2 * seen["programs"]
    assert seen["uneven"] == 0


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_copies_through_random_views_take_what_they_take_core_by_core(topology):
    seen: Counter[str] = Counter()
    for seed in range(4 * RANDOM_TILINGS):
        program, spec = through_views(seed, topology)
        check_program(program)
        assert compared(program, spec, seen) == [], seed
    assert seen["unknown"] <= 0.05 * seen["programs"]


def test_flows_that_are_not_listed_load_the_same_links(monkeypatch):
    """Of very many cores that want one core's data, only the loads of links are worked out."""
    monkeypatch.setattr(pairs, "_MOST_LISTED", 0)
    seen: Counter[str] = Counter()
    for seed in range(RANDOM_PLANS, RANDOM_PLANS + RANDOM_TILINGS):
        made = shifting(seed, "mesh2d", False)
        if made is not None:
            assert compared(*made, seen) == [], seed
        assert compared(*tiled(seed, "mesh2d"), seen) == [], seed


def test_what_is_drawn_covers_the_space():
    """Loops in loops, reductions in and out of loops, second buffers, idle weights."""
    counts: Counter[str] = Counter()
    for seed in range(45):
        programs = [
            made for made in (shifting(seed, "mesh2d", True), tiled(seed, "mesh2d")) if made
        ]
        for program, spec in programs:
            instructions = program.sections[0].instructions
            inside = [i for loop in instructions if isinstance(loop, Loop) for i in every(loop)]
            counts["nested"] += any(isinstance(i, Loop) for i in inside)
            counts["shifts"] += any(isinstance(i, Shift) for i in inside)
            counts["reduces"] += any(isinstance(i, Reduce) for i in instructions)
            counts["reduces in loops"] += any(isinstance(i, Reduce) for i in inside)
            phases = simulate_program(program, spec).operators[0].phases
            for effect in ("overlap", "short_blocks", "contention", "hops"):
                counts[effect] += any(getattr(p.effects, effect) for p in phases)
            counts["setup"] += any(p.part == "setup" and p.moved_bytes for p in phases)
    for what, count in counts.items():
        assert count >= 2, what
    assert len(counts) == 9


# Models

MODELS = {"nerf": 12, "bert-large": 8, "lstm-ptb-large": 12, "sd-1.5-unet-block": 8}
"""Small models, and on how many cores."""


@cache
def programs(name: str, scheme: str) -> tuple[Program, HardwareSpec]:
    graph = t10c.import_model(zoo_models.small(name).SerializeToString())
    spec = t10c.load_spec(
        "ipu-mk2",
        (f"cores.count={MODELS[name]}", "cores.sram=64KiB", "shift_buffer.size=256B"),
    )
    if scheme == "vgm":
        tilings = t10c.plan_vgm(graph, spec)
        assert isinstance(tilings, VgmPlan)
        return lower_vgm(tilings), spec
    plan = t10c.schedule_model(graph, spec)
    assert isinstance(plan, t10c.ModelPlan)
    return t10c.lower_plan(plan), spec


CASES = [
    (name, scheme, topology)
    for number, name in enumerate(MODELS)
    for scheme in ("plan", "vgm")
    for turn, topology in enumerate(("all-to-all", "mesh2d", "three chips"))
    if turn in (0, 1 + (number + (scheme == "vgm")) % 2)
]


@pytest.mark.parametrize(
    ("name", "scheme", "topology"), CASES, ids=["-".join(case) for case in CASES]
)
def test_models_take_what_they_take_core_by_core(name, scheme, topology):
    program, spec = programs(name, scheme)
    assert compared(program, on_topology(spec, topology), Counter()) == []


def test_all_of_the_models_was_compared():
    """The simulator follows every exchange of all of these models."""
    for name, scheme, topology in CASES:
        program, spec = programs(name, scheme)
        assert len(simulate_program(program, on_topology(spec, topology)).notes) == 1


def test_rounds_that_stand_for_others_come_close(monkeypatch):
    """Of loops with exchanges in them the simulator looks at some rounds only, if they are many."""
    monkeypatch.setattr(section, "_STEPPED_ROUNDS", 3)
    seen: Counter[str] = Counter()
    errors = []
    for seed in range(RANDOM_TILINGS):
        program, spec = tiled(seed, "all-to-all")
        found, want = simulate_program(program, spec), simulated(program, spec)
        if len(found.notes) == 1:
            seen["exact"] += 1
            continue
        seen["sampled"] += 1
        (operator,), (timing,) = found.operators, want
        counts = [phase.count for phase in operator.phases if phase.count]
        assert counts == [spent.count for spent in timing.phases.values()]
        errors.append(found.latency_cycles / timing.breakdown.total - 1)
    assert seen["sampled"] > 5
    assert seen["exact"] > 5
    assert max(map(abs, errors)) < 0.3
    assert abs(sum(errors)) / len(errors) < 0.1
