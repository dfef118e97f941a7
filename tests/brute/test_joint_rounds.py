"""When a joint search ends: not before the rates of memory are as good as they get."""

from dataclasses import replace

import pytest
from planned_graphs import chip

from t10c.schedule import joint, joint_search
from t10c.schedule.ascent import Ascent
from t10c.schedule.assignment import Assignment
from t10c.schedule.least import chosen_within, fitting
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.prepare import prepare
from t10c.schedule.setting import Setting
from t10c.search.space import FloatArray

from .joint_models import random_model


@pytest.mark.parametrize("seed", [25, 31, 42, 57])
def test_the_last_ascent_is_thorough(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all that is best is opened from the start, so that no plans are left to open."""
    thorough: list[bool] = []

    class Noted(Ascent):
        def step(self, bound_cycles: float, slopes: FloatArray, missing_cycles: float) -> bool:
            thorough.append(self._thorough)
            return super().step(bound_cycles, slopes, missing_cycles)

    monkeypatch.setattr(joint_search, "Ascent", Noted)
    monkeypatch.setattr(joint_search, "can_finish", lambda setting: False)
    spec = chip(4, 16, 64, "fixed")
    options = ScheduleOptions(time_limit_seconds=600)
    setting = prepare(random_model(seed, 5), spec, options)
    assert isinstance(setting, Setting)
    ample = chosen_within(setting, spec)
    assert isinstance(ample, Assignment)
    tight = replace(spec, sram_bytes=spec.reserved_bytes + int(0.8 * ample.memory.most))
    best = chosen_within(setting, tight)
    assert isinstance(best, Assignment)
    found = joint.improve(fitting(setting, tight), tight, best, lambda status: "")
    if found.record.stopped == "exhausted":
        assert thorough[-1]
    assert found.record.rounds > 1
