"""Execute a plan on simulated cores, and compare every output with ONNX Runtime's."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx

from t10c.errors import InvalidInputError, T10cError, VerificationError
from t10c.execute.element_types import dtype_of
from t10c.execute.machine import Machine
from t10c.ir.program import Program
from t10c.lower.model import lower_plan
from t10c.program.check import check_program
from t10c.schedule.document import to_document
from t10c.schedule.result import ModelPlan
from t10c.verify.compare import DEFAULT_TOLERANCE, Comparison, Tolerance
from t10c.verify.conditioning import NOTHING_MOVED, condition
from t10c.verify.feeds import random_feeds, read_feeds
from t10c.verify.model import LoadedModel, load_for
from t10c.verify.session import Session, runtime
from t10c.verify.telling import Telling, telling
from t10c.verify.trace import Tracer, WrongOperator
from t10c.verify.weights import FilledModel, WeightSource, fill_weights, graph_weights

INFERENCES = 2
"""In the second one pieces that have rotated begin elsewhere."""

_FILE_FROM_BYTES = 2**26
"""Weights of more bytes go to ONNX Runtime in a temporary file, which it maps: fewer copies."""

_REMEDY = "compare it with the one that t10c compile MODEL --emit program writes"

Stage = Callable[[str, int | None], None]
"""Called when a part of the work begins, with the number of its steps if that is known."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What to execute with: where weights come from, inputs, tolerance, and how much to compare.

    `inputs` is an .npz file for both inferences; without it inputs are drawn. `trace` compares
    the output of every operator of which the model has the value.
    """

    weights: WeightSource = "model"
    seed: int = 0
    inputs: str | None = None
    tolerance: Tolerance = DEFAULT_TOLERANCE
    trace: bool = False


@dataclass(frozen=True)
class Verification:
    """What came of it: every graph output of every inference, compared.

    `drawn` names the weights that were drawn, `operators` counts the operators and copies executed,
    and `warnings` are those of the graph: what was assumed as the model was read, which may be why
    outputs differ. `traced` counts the operators compared; `untraced` those whose values the model
    does not have, because they were fused or rewritten.

    Inferences in `nudged` agree with ONNX Runtime for numbers moved by their last bits only
    (conditioning.py): their comparisons are with such runs. `own_changes` gives, of outputs that
    differ otherwise, inference, name and how far ONNX Runtime's own result moves as those bits do.
    `telling` says what takes from the meaning of an agreement (telling.py).
    Seconds are of processor time, for all inferences.
    """

    model: str
    chip: str
    core_count: int
    peak_core_bytes: int
    options: VerifyOptions
    drawn: tuple[str, ...]
    operators: int
    warnings: tuple[str, ...]
    inferences: tuple[tuple[Comparison, ...], ...]
    nudged: tuple[int, ...]
    traced: int
    untraced: int
    telling: Telling
    first_wrong: WrongOperator | None
    own_changes: tuple[tuple[int, str, float], ...]
    machine_cpu_seconds: float = field(compare=False)
    runtime_cpu_seconds: float = field(compare=False)

    @property
    def passed(self) -> bool:
        """Whether all that was compared agrees."""
        outputs = all(c.passed for comparisons in self.inferences for c in comparisons)
        return outputs and self.first_wrong is None

    @property
    def largest(self) -> Comparison | None:
        """The comparison with the largest relative error."""
        found = [c for comparisons in self.inferences for c in comparisons]
        return max(found, key=lambda c: c.relative_error) if found else None

    @property
    def elements(self) -> int:
        """Number of elements compared, over all outputs and inferences."""
        return sum(c.elements for comparisons in self.inferences for c in comparisons)


def verify_plan(
    plan: ModelPlan,
    source: str | Path | bytes,
    options: VerifyOptions | None = None,
    program: Program | None = None,
    place: str = "",
    stage: Stage = lambda text, total: None,
    advance: Callable[[], None] = lambda: None,
    program_place: str = "program",
) -> Verification:
    """Execute a plan, or a program made from it, for two inferences in a row.

    `place` names a model of bytes in errors, `program_place` the program. `stage` and `advance` are
    told how far the work is.

    Raises InvalidInputError if plan, model, program and inputs do not belong together,
    VerificationError if the program cannot be executed, UsageError without ONNX Runtime.
    """
    options = options or VerifyOptions()
    runtime()
    stage("reading the model", None)
    loaded = load_for(plan, source, place)
    feeds = list(_feeds(loaded, options))
    stage("checking the program", None)
    made = program or lower_plan(plan)
    given = program_place if program is not None else ""
    peak = _check(made, plan, given)
    stage("reading or drawing weights", None)
    filled = fill_weights(loaded, options.weights, options.seed)
    # The file, what was imported of it, and ONNX Runtime each hold all weights: not longer than
    # needed, since simulated cores may hold them several times.
    loaded = replace(loaded, proto=onnx.ModelProto())
    wanted = _model_values(loaded, filled) if options.trace else ()
    expected, runtime_seconds = _expected(filled, (*plan.graph.outputs, *wanted), feeds, stage)
    told = telling(expected, feeds, plan.graph.outputs, options.tolerance)
    weights, drawn = graph_weights(loaded, filled), filled.drawn
    del loaded, filled
    with _executing(made, given):
        stage("bringing weights onto the cores", None)
        machine = Machine(made, weights)
        del weights
        tracer = Tracer(machine, plan.graph.outputs, wanted, options.tolerance, advance)
        inferences = []
        for number, inputs in enumerate(feeds):
            stage(f"inference {number + 1} on simulated cores", len(made.sections))
            inferences.append(tracer.run(number, inputs, expected.pop(0)))
        del machine
    conditioning = NOTHING_MOVED
    doubtful = _doubtful(inferences, tracer)
    if doubtful:
        stage("ONNX Runtime compared with itself", None)
        again = fill_weights(load_for(plan, source, place), options.weights, options.seed)
        conditioning = condition(
            again.proto, feeds, doubtful, tracer.differing, options.tolerance, _FILE_FROM_BYTES
        )
    suspects = (s for s in tracer.suspects if not conditioning.explains(s.inference, s.comparison))
    return Verification(
        model=plan.graph.name,
        chip=plan.spec.name,
        core_count=plan.spec.core_count,
        peak_core_bytes=peak,
        options=options,
        drawn=drawn,
        operators=len(made.sections),
        warnings=plan.graph.warnings,
        inferences=tuple(
            conditioning.agreeing.get(number, compared)
            for number, compared in enumerate(inferences)
        ),
        nudged=tuple(sorted(conditioning.agreeing)),
        traced=len(tracer.compared),
        untraced=len(tracer.untraced),
        telling=told,
        first_wrong=next(suspects, None),
        own_changes=tuple(
            (number, c.name, change)
            for number, compared in enumerate(inferences)
            for c in compared
            if not c.passed and (change := conditioning.changes.get((number, c.name), 0.0))
        ),
        machine_cpu_seconds=tracer.seconds,
        runtime_cpu_seconds=runtime_seconds,
    )


def _doubtful(inferences: list[tuple[Comparison, ...]], tracer: Tracer) -> tuple[str, ...]:
    """Values that differ, but as numbers do: not in shape, type or where they are finite."""
    compared = [c for comparisons in inferences for c in comparisons]
    compared += [suspect.comparison for suspect in tracer.suspects]
    names = (c.name for c in compared if not c.passed and c.error and not c.not_finite)
    return tuple(dict.fromkeys(names))


def _expected(
    filled: FilledModel,
    wanted: tuple[str, ...],
    feeds: list[dict[str, np.ndarray]],
    stage: Stage,
) -> tuple[list[dict[str, np.ndarray]], float]:
    """What ONNX Runtime computes of every inference's inputs, and its processor time."""
    stage("ONNX Runtime", None)
    with Session(filled.proto, wanted, _FILE_FROM_BYTES) as session:
        begun = time.process_time()
        expected = [session.run(inputs) for inputs in feeds]
        return expected, time.process_time() - begun


@contextmanager
def _executing(program: Program, given: str) -> Iterator[None]:
    """Say what cannot be executed: of a program that was given, whatever it is that fails."""
    try:
        yield
    except MemoryError as error:
        raise T10cError(
            f"there is not enough memory for what {program.core_count:,} cores hold\n"
            "verify a model with fewer layers, or a plan for fewer cores"
        ) from error
    except Exception as error:
        if isinstance(error, T10cError) or not given:
            raise
        # a program may be well-formed and still ask for what no array has
        reason = " ".join(str(error).split())[:160]
        raise VerificationError(
            f"{given}: the program cannot be executed: {type(error).__name__}: {reason}\n{_REMEDY}"
        ) from error


def _check(program: Program, plan: ModelPlan, given: str) -> int:
    """Peak bytes of any core; InvalidInputError for a program, `given` by its name, that is wrong.

    A program that t10c made itself ('') cannot be wrong without that being a bug.
    """
    if not given:
        return check_program(program)
    reason = _difference(program, plan)
    if reason:
        raise InvalidInputError(
            f"{given}: the program was not made from this plan: {reason}\n"
            "make one with: t10c compile MODEL --hw NAME --emit program -o FILE"
        )
    try:
        return check_program(program, from_file=True)
    except InvalidInputError as error:
        raise InvalidInputError(f"{given}: {error}\n{_REMEDY}") from error


def _difference(program: Program, plan: ModelPlan) -> str:
    """What shows that a program was not made from the plan, '' if nothing does."""
    graph, spec, origin = plan.graph, plan.spec, program.origin
    if (program.inputs, program.outputs) != (graph.inputs, graph.outputs):
        return "its inputs or outputs are others"
    if program.tensors != graph.tensors:
        return "its tensors are others"
    if (program.core_count, program.core_bytes) != (spec.core_count, spec.usable_bytes):
        return f"it is for {program.core_count:,} cores of {program.core_bytes:,} bytes"
    if origin is not None and origin.plan_hash != to_document(plan)["plan_hash"]:
        return f"its origin is another plan, for {origin.hardware}"
    return ""


def _feeds(loaded: LoadedModel, options: VerifyOptions) -> Iterator[dict[str, np.ndarray]]:
    given = read_feeds(loaded.graph, options.inputs) if options.inputs is not None else None
    for number in range(INFERENCES):
        yield given if given is not None else random_feeds(loaded, options.seed, number)


def _plain(element_type: str) -> bool:
    """Whether it is one of NumPy's own types."""
    return dtype_of(element_type).isbuiltin == 1


def _model_values(loaded: LoadedModel, filled: FilledModel) -> tuple[str, ...]:
    """Outputs of planned operators that are values of the model, by name.

    ONNX Runtime hands out no values of types that NumPy does not have, such as bfloat16.
    """
    graph = loaded.graph
    made = {name for node in filled.proto.graph.node for name in node.output}
    foreign = {t.name for t in graph.tensors if not _plain(t.element_type)}
    return tuple(
        operator.output
        for operator in graph.operators
        if operator.output in made and operator.output not in foreign
    )
