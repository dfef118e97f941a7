"""Cost model and simulator on plans of every zoo model, shrunken: each difference is named."""

from functools import cache

import pytest
import zoo_models
from test_executed_models import chip

import t10c
from t10c.schedule.result import ModelPlan
from t10c.simulate.result import OperatorTiming, Simulation

ROUGHLY = 0.01
"""What may be left between model and simulation where no effect is at work."""


@cache
def simulated(name: str) -> Simulation:
    graph = t10c.import_model(zoo_models.small(name).SerializeToString())
    plan = t10c.schedule_model(graph, chip(24, 64))
    assert isinstance(plan, ModelPlan)
    return t10c.simulate_plan(plan)


def undisturbed(operator: OperatorTiming) -> bool:
    """Whether an operator has full blocks only, and nobody waits for ports and links."""
    return not any(operator.effects.as_dict().values())


@pytest.mark.parametrize("name", zoo_models.NAMES)
def test_effects_sum_up_to_the_difference(name):
    found = simulated(name)
    assert len(found.notes) == 1  # everything was followed
    for operator in found.operators:
        assert operator.cost_model_cycles is not None
        explained = operator.cost_model_cycles + operator.effects.total
        assert explained == pytest.approx(operator.cycles, rel=1e-6), operator.name
    assert found.cost_model_cycles is not None
    total = found.cost_model_cycles + sum(o.effects.total for o in found.operators)
    assert total == pytest.approx(found.latency_cycles, rel=1e-6)


@pytest.mark.parametrize("name", zoo_models.NAMES)
def test_no_core_receives_more_than_was_planned(name):
    for operator in simulated(name).operators:
        assert operator.effects.held <= 1e-6, operator.name


def test_full_blocks_take_what_the_model_says():
    operators = [o for name in zoo_models.NAMES for o in simulated(name).operators]
    plain = [o for o in operators if undisturbed(o)]
    for operator in plain:
        assert operator.cost_model_cycles == pytest.approx(operator.cycles, rel=ROUGHLY)
    assert len(plain) > 0.1 * len(operators)


def test_every_effect_is_at_work_somewhere():
    operators = [o for name in zoo_models.NAMES for o in simulated(name).operators]
    for effect in ("short_blocks", "contention", "held"):
        assert sum(bool(getattr(o.effects, effect)) for o in operators) > 10, effect
