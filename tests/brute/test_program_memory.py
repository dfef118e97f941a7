"""Random models in the least memory that plans are found for: their programs fit as well."""

from dataclasses import replace

import pytest
from planned_graphs import chip

from t10c.lower.model import lower_plan
from t10c.program.check import check_program
from t10c.schedule.model import schedule_model
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.result import ModelPlan

from .joint_models import random_model


@pytest.mark.parametrize("policy", ["fixed", "double"])
@pytest.mark.parametrize("seed", range(48))
def test_programs_take_no_more_than_their_plans_say(seed: int, policy: str) -> None:
    graph, spec = random_model(seed), chip(4, 64, 64, policy)
    least = schedule_model(graph, spec, ScheduleOptions(objective="memory"))
    assert isinstance(least, ModelPlan)
    for room in (least.peak_core_bytes, int(1.3 * least.peak_core_bytes)):
        tight = replace(spec, sram_bytes=spec.reserved_bytes + room)
        for plan in (least, schedule_model(graph, tight)):
            if isinstance(plan, ModelPlan):
                assert check_program(lower_plan(plan)) <= plan.peak_core_bytes
