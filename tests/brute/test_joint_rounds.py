"""When a joint search ends: not before the rates of memory are as good as they get."""

from dataclasses import replace

import numpy as np
import pytest
from planned_graphs import GraphWriter, chip

from t10c.hardware.spec import HardwareSpec
from t10c.schedule import joint, joint_search, listings, shortlist
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


def test_nothing_is_left_when_all_is_said_to_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what is not listed seems best, readers' plans are opened that could go with others."""
    monkeypatch.setattr(joint_search, "can_finish", lambda setting: False)
    monkeypatch.setattr(joint_search, "_FIRST_OPENED", 1)
    monkeypatch.setattr(listings, "_OPEN_ALL", 4)
    monkeypatch.setattr(listings, "_OPENED_MORE", 4)
    monkeypatch.setattr(shortlist, "FEW_PLANS", 0)
    monkeypatch.setattr(shortlist, "MOST_PLANS", 12)
    w = GraphWriter()
    y = w.matmul("y", w.input("x", 12, 8), w.weight("w", 8, 12))
    for i in (0, 6):
        w.layout(f"row{i}", "slice", (y,), 3, 12, starts=(i, 0), steps=(1, 1))
        w.layout(f"column{i}", "slice", (y,), 12, 3, starts=(0, i), steps=(1, 1))
    slices = ("row0", "row6", "column0", "column6")
    graph = w.graph(*(w.relu(f"r_{name}", name) for name in slices))
    spec = chip(12, 16, 64, "fixed")
    setting = prepare(graph, spec, ScheduleOptions(time_limit_seconds=600))
    assert isinstance(setting, Setting)
    best = chosen_within(setting, spec)
    assert isinstance(best, Assignment)
    searches: list[joint_search.JointSearch] = []

    class Kept(joint_search.JointSearch):
        def __init__(self, setting: Setting, spec: HardwareSpec, best: Assignment | None) -> None:
            super().__init__(setting, spec, best)
            searches.append(self)

    monkeypatch.setattr(joint, "JointSearch", Kept)
    found = joint.improve(setting, spec, best, lambda status: "")
    assert found.record.stopped == "exhausted"
    (search,) = searches
    assert search._latest is not None
    solved = search._latest[0]
    for number, known in enumerate(search._listings._known):
        assert not (known.alive & ~known.opened & np.isfinite(solved.row_bounds(number))).any()
