"""Models under a virtual global memory, executed on simulated cores against ONNX Runtime."""

from dataclasses import replace

import numpy as np
import pytest
import zoo_models
from test_executed_models import TRACED, chip, plan_on

import t10c
from t10c.baselines.model import plan_graph
from t10c.baselines.program import lower_vgm
from t10c.baselines.result import VgmPlan
from t10c.ir.program import Exchange, Loop, Program, Reduce
from t10c.program.check import check_program
from t10c.verify.run import verify_plan

ROOMY = chip(46, 256)


def executed(plan: VgmPlan, model) -> Program:
    """Check and execute a plan's program; it must agree, and take the memory that was planned."""
    program = lower_vgm(plan)
    assert check_program(program) == plan.peak_core_bytes
    own = plan_on(model, replace(plan.spec, sram_bytes=2**28))
    stand_in = replace(own, graph=plan.graph, spec=plan.spec)
    found = verify_plan(stand_in, model.SerializeToString(), TRACED, program=program)
    assert found.passed, (found.first_wrong, found.inferences)
    assert found.traced > 0
    return program


def instructions(program: Program):
    """All instructions of all sections, those in loops included."""
    waiting = [i for section in program.sections for i in section.instructions]
    while waiting:
        instruction = waiting.pop()
        yield instruction
        if isinstance(instruction, Loop):
            waiting += [*instruction.body, *instruction.between]


@pytest.mark.parametrize("name", zoo_models.NAMES)
def test_zoo_models_compute_what_they_should(name):
    model = zoo_models.small(name)
    plan = t10c.plan_vgm(t10c.import_model(model.SerializeToString()), ROOMY)
    assert isinstance(plan, VgmPlan)
    executed(plan, model)


@pytest.mark.parametrize(
    ("name", "cores", "kib"),
    [("bert-large", 24, 5.9), ("resnet-18", 24, 14.5), ("nerf", 5, 7), ("opt-1.3b", 24, 6)],
)
def test_tight_memory_loads_tile_by_tile(name, cores, kib):
    """Loops over parallel and over reduction axes, results stored from within loops."""
    model = zoo_models.small(name)
    plan = t10c.plan_vgm(t10c.import_model(model.SerializeToString()), chip(cores, kib))
    assert isinstance(plan, VgmPlan), plan
    assert any(operator.tiling.steps > 1 for operator in plan.operators)
    executed(plan, model)


def test_every_kind_of_loop_is_executed():
    """The models above loop over both kinds of axes, several deep, and reduce among cores."""
    kinds, deepest, reduces = set(), 0, 0
    for name, cores, kib in (("bert-large", 24, 5.9), ("resnet-18", 24, 14.5)):
        graph = t10c.import_model(zoo_models.small(name).SerializeToString())
        plan = t10c.plan_vgm(graph, chip(cores, kib))
        assert isinstance(plan, VgmPlan)
        for operator in plan.operators:
            axes = plan.problems[operator.problem].axes
            kinds |= {axes[index].reduction for index in operator.tiling.loops}
            deepest = max(deepest, len(operator.tiling.loops))
        program = lower_vgm(plan)
        reduces += sum(isinstance(i, Reduce) for i in instructions(program))
    assert kinds == {False, True}
    assert deepest >= 2
    assert reduces > 0


def test_predicted_cycles_are_near_the_simulated():
    """Within 5 %: hot spots are estimated, and short blocks priced as full ones."""
    model = zoo_models.small("bert-large")
    plan = t10c.plan_vgm(t10c.import_model(model.SerializeToString()), ROOMY)
    assert isinstance(plan, VgmPlan)
    simulation = t10c.simulate_vgm(plan)
    assert simulation.latency_cycles == pytest.approx(plan.latency_cycles, rel=0.05)
    assert simulation.peak_core_bytes == plan.peak_core_bytes


def without_a_store(program: Program) -> Program:
    """The same with the last exchange of the first section that stores in parts left out."""
    sections = list(program.sections)
    for number, section in enumerate(sections):
        kept = list(section.instructions)
        at = [i for i, x in enumerate(kept) if isinstance(x, Exchange) and x.moves[0].partial]
        if at:
            del kept[at[-1]]
            sections[number] = replace(section, instructions=tuple(kept))
            return replace(program, sections=tuple(sections))
    raise AssertionError("nothing is stored in parts")


def test_a_result_that_lacks_a_part_is_seen():
    model = zoo_models.small("nerf")
    plan = t10c.plan_vgm(t10c.import_model(model.SerializeToString()), chip(5, 7))
    assert isinstance(plan, VgmPlan)
    wrong = without_a_store(lower_vgm(plan))
    with pytest.raises(t10c.errors.InvalidInputError, match="read before"):
        check_program(wrong)
    machine = _machine(wrong, model)
    feed = {name: np.ones(plan.graph.tensor[name].shape, np.float32) for name in wrong.inputs}
    with pytest.raises(t10c.errors.VerificationError, match="read before it is written"):
        machine.run(feed)


def _machine(program, model):
    from onnx import numpy_helper

    from t10c.execute.machine import Machine

    weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return Machine(program, {name: weights[name] for name in weights})


def test_identical_plans_for_identical_input():
    graph = t10c.import_model(zoo_models.small("nerf").SerializeToString())
    first, second = (plan_graph(graph, ROOMY) for _ in range(2))
    assert isinstance(first, VgmPlan)
    assert first == second
    assert t10c.dump_program(lower_vgm(first)) == t10c.dump_program(lower_vgm(second))


def test_programs_survive_their_file():
    model = zoo_models.small("bert-large")
    plan = t10c.plan_vgm(t10c.import_model(model.SerializeToString()), chip(24, 5.9))
    assert isinstance(plan, VgmPlan)
    program = lower_vgm(plan)
    assert t10c.load_program(t10c.dump_program(program), "p.json") == program


def test_what_does_not_fit_is_a_value():
    graph = t10c.import_model(zoo_models.small("bert-large").SerializeToString())
    found = t10c.plan_vgm(graph, chip(24, 4))
    assert isinstance(found, t10c.DoesNotFit)
    assert found.demanded_bytes > found.available_bytes
    assert sum(size for _, size in found.terms) == found.demanded_bytes


def test_what_does_not_fit_is_known_before_any_search(monkeypatch):
    """In the room that such a model leaves, the search of one operator can take minutes."""
    graph = t10c.import_model(zoo_models.small("bert-large").SerializeToString())

    def search(*_: object) -> None:
        pytest.fail("an operator was searched")

    monkeypatch.setattr("t10c.baselines.model.find_tiling", search)
    assert isinstance(plan_graph(graph, chip(24, 4)), t10c.DoesNotFit)
