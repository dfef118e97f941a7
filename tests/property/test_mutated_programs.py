"""Wrong programs are seen: rejected by the checker, and by their numbers where it is bypassed.

T10C_MUTATED_PROGRAMS is the number of random programs that mutants are made of; `-s` prints the
tables of docs/verification.md.
"""

import os
import random
from functools import lru_cache

import graph_numpy
import numpy as np
import onnx_models
import planned_graphs
import pytest
from mutation_outcomes import (
    IDEMPOTENT,
    INFERENCES,
    LABELS,
    MEMORY,
    OTHER,
    ROOM,
    TRIALS,
    UNSEEN,
    Arrays,
    Report,
    Subject,
    outcome_of,
    subject_of,
)
from program_mutations import KINDS, Mutant, mutants
from random_plans import OUTPUT, Case, draw_case, equal, expected

import t10c

COUNT = int(os.environ.get("T10C_MUTATED_PROGRAMS", "14"))
SAMPLE = 2

CERTAIN = (
    "dropped shift",
    "doubled shift",
    "shifted another operand",
    "wrong neighbour",
    "wrong direction",
    "swapped loops",
    "missing reduction",
    "wrong group",
    "epilogue before reduction",
    "wrong offset",
    "missing move",
    "dropped keep",
    "missing store",
)
"""Kinds of which all but 1 % have to show: those that exchange cores without a block do not."""

CERTAIN_FOR_SUMS = ("missing clear", "loop count off by one")
"""The same where sums are made: of other reductions some parts may count twice, or not."""

REJECTED = (
    "dropped shift",
    "doubled shift",
    "wrong neighbour",
    "wrong direction",
    "swapped loops",
    "missing clear",
    "missing reduction",
    "wrong group",
    "epilogue before reduction",
    "wrong offset",
    "missing move",
    "dropped free",
    "dropped keep",
)
"""Kinds that the checker rejects without exception."""


def random_subjects() -> list[Subject]:
    """Programs of random plans that rotate, but every third."""
    found: list[Subject] = []
    seed = 0
    while len(found) < COUNT:
        seed += 19  # prime to the number of kinds
        case = draw_case(seed)
        if not case.plan.rotations and seed % 3:
            continue
        given = [random_trial(case, 100 * trial) for trial in range(TRIALS)]
        subject = subject_of(str(case), case.program(), given, equal)
        weights, inputs = given[0]
        want = expected(case.drawn, {**inputs[0], **weights})
        assert equal(subject.trials[0].outputs[0][OUTPUT], want), str(case)
        found.append(subject)
    return found


def random_trial(case: Case, base: int) -> tuple[Arrays, list[Arrays]]:
    """Weights, and inputs of some inferences."""
    weights = {n: x for n, x in case.drawn.data(base).items() if n in case.idle}
    return weights, [
        {n: x for n, x in case.drawn.data(base + number).items() if n not in weights}
        for number in range(INFERENCES)
    ]


@lru_cache(maxsize=1)
def random_report() -> Report:
    report = Report()
    for number, subject in enumerate(random_subjects()):
        report.add(subject, mutants(subject.program, random.Random(number)))
    return report


def model_weights(rng: np.random.Generator) -> Arrays:
    """Random weights of the small model."""
    return {
        "w": rng.standard_normal((24, 24)).astype(np.float32) / 4,
        "v": rng.standard_normal((24, 18)).astype(np.float32) / 4,
        "b": rng.standard_normal(24).astype(np.float32),
    }


def small_model(weights: Arrays) -> t10c.ModelPlan:
    """Several operators: a weight used twice, a residual, a transpose, a softmax.

    The chip is so small that plans rotate and reduce.
    """
    nodes = [
        onnx_models.node("MatMul", "x w", "h"),
        onnx_models.node("Add", "h b", "hb"),
        onnx_models.node("Relu", "hb", "r"),
        onnx_models.node("MatMul", "r w", "y"),
        onnx_models.node("Add", "x y", "z"),
        onnx_models.node("Transpose", "z", "t", perm=[1, 0]),
        onnx_models.node("MatMul", "z t", "s"),
        onnx_models.node("Softmax", "s", "p", axis=-1),
        onnx_models.node("MatMul", "p z", "a"),
        onnx_models.node("Sub", "a y", "d"),
        onnx_models.node("MatMul", "d v", "out"),
    ]
    inputs = [onnx_models.value("x", (20, 24))]
    outputs = [onnx_models.value("out", (20, 18)), onnx_models.value("p", (20, 20))]
    graph = graph_numpy.lower(onnx_models.model(nodes, inputs, outputs, weights))
    plan = t10c.schedule_model(graph, planned_graphs.chip(16, kib=0.65, buffer_bytes=64))
    assert isinstance(plan, t10c.ModelPlan)
    return plan


def close(got: np.ndarray, want: np.ndarray) -> bool:
    """Equal but for the order of summation in 32 bits."""
    return bool(np.allclose(got, want, rtol=1e-4, atol=1e-5))


@lru_cache(maxsize=1)
def model_subject() -> Subject:
    rng = np.random.default_rng(0)
    plan = small_model(model_weights(rng))
    given = [
        (
            model_weights(rng),
            [{"x": rng.standard_normal((20, 24)).astype(np.float32)} for _ in range(INFERENCES)],
        )
        for _ in range(TRIALS)
    ]
    subject = subject_of("a small model", t10c.lower_plan(plan), given, close)
    weights, inputs = given[0]
    values = graph_numpy.evaluate(plan.graph, {**weights, **inputs[0]})
    for name in plan.graph.outputs:
        assert close(subject.trials[0].outputs[0][name], values[name])
    return subject


@lru_cache(maxsize=1)
def model_report() -> Report:
    report = Report()
    subject = model_subject()
    report.add(subject, mutants(subject.program, random.Random(0), each=4))
    return report


REPORTS = {"random": random_report, "model": model_report}


@pytest.mark.parametrize("name", REPORTS)
def test_what_is_not_equivalent_is_seen_in_the_numbers(name, capsys):
    report = REPORTS[name]()
    outcomes = list(report.all())
    equivalent = report.equivalent()
    with capsys.disabled():
        print(f"\n{name} programs\n{report.table()}")
        for reason, found in report.explained().items():
            print(f"{len(found):>5} equal: {reason}")
            for outcome in found[:SAMPLE]:
                print(f"      {outcome.mutant.kind}: {outcome.mutant.detail[:150]}")
    late = [o for o in outcomes if o.inference is not None and o.inference >= 3]
    assert len(late) <= 0.01 * len(outcomes), "all but 1 % show within three inferences"
    assert len(equivalent) <= 0.35 * len(outcomes)
    certain = [o for o in outcomes if o.mutant.kind in CERTAIN]
    hidden = [o for o in certain if o.inference is None]
    assert len(hidden) <= 0.01 * len(certain), hidden
    for outcome in equivalent:
        kernel = outcome.mutant.kernel
        sums = kernel is not None and kernel.kernel != "gather" and kernel.reduce_op == "sum"
        assert not (sums and outcome.mutant.kind in CERTAIN_FOR_SUMS), outcome
    assert not [o for o in outcomes if o.how.startswith("a crash") and not o.rejection]


@pytest.mark.parametrize("name", REPORTS)
def test_why_equivalent_mutants_are_equivalent(name):
    reasons = REPORTS[name]().explained()
    assert set(reasons) <= {MEMORY, ROOM, LABELS, OTHER, IDEMPOTENT, UNSEEN}
    count = len(list(REPORTS[name]().all()))
    unseen = reasons.get(UNSEEN, [])
    assert len(unseen) <= 0.02 * count, unseen


@pytest.mark.parametrize("name", REPORTS)
def test_the_checker_alone_rejects_most_of_them(name):
    """It follows where data lie, not values: an operand for another is none of its business."""
    outcomes = list(REPORTS[name]().all())
    shown = [o for o in outcomes if o.inference is not None]
    rejected = sum(bool(o.rejection) for o in shown)
    assert rejected >= 0.9 * len(shown), f"{rejected} of {len(shown)}"
    for outcome in outcomes:
        assert outcome.rejection or outcome.mutant.kind not in REJECTED, outcome


def test_every_kind_of_mutation_is_made():
    made = set(random_report().outcomes) | set(model_report().outcomes)
    assert set(KINDS) <= made or COUNT < 14


def test_a_right_program_is_equivalent_to_itself():
    subject = model_subject()
    outcome = outcome_of(subject, Mutant("none", "", subject.program))
    assert (outcome.rejection, outcome.inference) == ("", None)
