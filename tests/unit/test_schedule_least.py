"""Less memory than a core has: what no choice can undercut, and what cannot be part of one."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
from planned_graphs import chip

from t10c.onnx_import.importer import import_model
from t10c.schedule.least import fitting, least_memory, least_needs, with_memory
from t10c.schedule.memory import fixed_demand_bytes
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.pareto import _front
from t10c.schedule.prepare import prepare
from t10c.schedule.setting import Setting
from t10c.zoo import build_model

SPEC = chip(cores=16, kib=64)
MODELS = {
    "nerf": {"layers": "3", "hidden": "16"},
    "bert-large": {"layers": "1", "hidden": "32", "heads": "2", "vocabulary": "50"},
}


@pytest.fixture(params=MODELS, scope="module")
def setting(request: pytest.FixtureRequest) -> Setting:
    name = request.param
    model = build_model(name, batch=1, seq=8, overrides=MODELS[name])
    graph = import_model(model.SerializeToString())
    found = prepare(graph, SPEC, ScheduleOptions(time_limit_seconds=1.0))
    assert isinstance(found, Setting)
    return found


def random_assignments(setting: Setting, count: int) -> list[tuple[list[int], int]]:
    """Plans of all steps and the peak that they have, small ones among them."""
    draw = random.Random(0)
    fixed = fixed_demand_bytes(setting.sequence, SPEC)
    found = []
    for _ in range(count):
        options = []
        for step in range(len(setting.choice_of)):
            sizes = setting.of_step(step).idle_bytes
            order = np.argsort(sizes, kind="stable")[: draw.choice([1, 3, len(sizes)])]
            options.append(int(draw.choice(order.tolist())))
        plans = setting.plans_of(options)
        memory = setting.memory(plans, options, setting.homes(plans, SPEC), fixed)
        found.append((plans, memory.most))
    return found


def test_no_choice_undercuts_the_bounds(setting: Setting) -> None:
    needs, least = least_needs(setting, SPEC), least_memory(setting, SPEC)
    assert least.bound_bytes <= least.peak_bytes
    for plans, peak in random_assignments(setting, 60):
        assert peak >= least.bound_bytes
        for step, plan in enumerate(plans):
            own = max(needs.own[step], setting.of_step(step).active_bytes[plan])
            assert own + needs.others[step] <= peak


def test_a_front_leaves_out_what_is_undercut_and_keeps_bounds_for_less_memory() -> None:
    def plan(sram: int, peak: int, latency: float, bound: float) -> SimpleNamespace:
        return SimpleNamespace(
            spec=with_memory(SPEC, sram),
            peak_core_bytes=peak,
            latency_cycles=latency,
            latency_seconds=latency / 1e9,
            lower_bound_cycles=bound,
            joint=None,
        )

    # most memory first, as they are planned; the second is faster in less memory than the first
    plans = [plan(90, 80, 15.0, 9.0), plan(70, 60, 12.0, 8.0), plan(50, 60, 13.0, 7.0)]
    points = _front([*plans, plan(30, 30, 20.0, 10.0)])
    assert [(p.peak_core_bytes, p.latency_cycles) for p in points] == [(30, 20.0), (60, 12.0)]
    assert [p.lower_bound_cycles for p in points] == [10.0, 9.0]
    assert [p.gap for p in points] == [0.5, 0.25]


def test_listed_plans_that_cannot_fit_are_left_out_and_no_others(setting: Setting) -> None:
    room = with_memory(SPEC, least_memory(setting, SPEC).peak_bytes)
    needs, kept = least_needs(setting, room), fitting(setting, room)
    reserve = SPEC.shift_buffer.reserved_bytes
    dropped = 0
    for number, (own, left) in enumerate(zip(setting.choices, kept.choices, strict=True)):
        steps = [s for s, choice in enumerate(setting.choice_of) if choice == number]
        most = max(room.usable_bytes - needs.others[step] for step in steps)
        fits = own.listed.costs.memory_bytes - reserve <= most
        assert len(left.listed) == int(fits.sum())
        assert np.array_equal(left.listed.execution, own.listed.execution[fits])
        assert np.array_equal(left.listed.candidates.splits, own.listed.candidates.splits[fits])
        assert (left.listed.rest.active_bytes <= most).all()
        kept = own.listed.rest.active_bytes <= most
        assert np.array_equal(left.listed.rest.cost, own.listed.rest.cost[kept])
        dropped += len(own.listed) - len(left.listed)
    assert dropped
