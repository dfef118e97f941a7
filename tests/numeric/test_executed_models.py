"""Chosen plans of every zoo model, shrunken, executed on simulated cores against ONNX Runtime.

Chips differ in cores and memory, so that plans rotate, replicate and cut in different ways; the
smallest memory that still fits is where the plans are most involved.
"""

from dataclasses import replace

import pytest
import zoo_models
from onnx import ModelProto

from t10c.hardware.load import load_spec
from t10c.hardware.spec import HardwareSpec, ShiftBuffer
from t10c.onnx_import.importer import import_model
from t10c.schedule.model import schedule_model
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.result import ModelPlan
from t10c.verify.run import VerifyOptions, verify_plan

TRACED = VerifyOptions(seed=1, trace=True)


def chip(cores: int, kib: float, policy: str = "fixed") -> HardwareSpec:
    """An IPU with fewer, smaller cores."""
    return replace(
        load_spec("ipu-mk2"),
        core_count=cores,
        sram_bytes=int(kib * 1024),
        shift_buffer=ShiftBuffer(policy, 256),
    )


def plan_on(model: ModelProto, spec: HardwareSpec) -> ModelPlan:
    made = schedule_model(import_model(model.SerializeToString()), spec)
    assert isinstance(made, ModelPlan), made
    return made


def agrees(plan: ModelPlan, model: ModelProto) -> None:
    found = verify_plan(plan, model.SerializeToString(), TRACED)
    assert found.passed, (found.first_wrong, found.inferences)
    assert found.peak_core_bytes <= plan.peak_core_bytes
    assert found.largest is not None
    assert found.largest.relative_error < 1e-4


@pytest.mark.parametrize("name", zoo_models.NAMES)
def test_zoo_models_compute_what_they_should(name):
    """On an odd number of cores, with what memory there is."""
    model = zoo_models.small(name)
    agrees(plan_on(model, chip(46, 256)), model)


@pytest.mark.parametrize(
    ("name", "kib", "policy"),
    [
        ("bert-large", 6.5, "fixed"),
        ("llama-3-8b", 7, "fixed"),
        ("bert-large", 9, "double"),
        ("llama-3-8b", 9, "double"),
        ("mobilenet-v2", 32, "fixed"),
        ("resnet-18", 18, "fixed"),
    ],
)
def test_tight_plans_compute_what_they_should(name, kib, policy):
    """With memory that just suffices, pieces rotate or weights lie cut further while idle."""
    model = zoo_models.small(name)
    plan = plan_on(model, chip(24, kib, policy))
    rotating = [o for o in plan.operators if o.plan.rotations]
    cut = [w for o in plan.operators for w in o.idle if w.cut.ratio > 1]
    assert rotating or cut or policy == "double"  # which holds what rotates twice
    agrees(plan, model)


def test_uniform_transitions_change_the_price_only():
    model = zoo_models.small("opt-1.3b")
    graph = import_model(model.SerializeToString())
    plan = schedule_model(graph, chip(32, 64), ScheduleOptions(transitions="uniform"))
    assert isinstance(plan, ModelPlan)
    agrees(plan, model)


@pytest.mark.parametrize("name", ["opt-1.3b", "gemma-2-27b"])
def test_decoding_steps_compute_what_they_should(name):
    model = zoo_models.small(name, phase="decode", seq=1, past=7)
    graph = import_model(model.SerializeToString())
    kept = tuple(n for n in graph.inputs if n.startswith("past"))
    plan = schedule_model(graph, chip(40, 128), ScheduleOptions(persistent=kept))
    assert isinstance(plan, ModelPlan)
    agrees(plan, model)
