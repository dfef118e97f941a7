"""Execute a plan on simulated cores, and compare every output with ONNX Runtime's."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from t10c.errors import InvalidInputError
from t10c.execute.machine import Finished, Machine
from t10c.ir.program import Program
from t10c.lower.model import lower_plan
from t10c.program.check import check_program
from t10c.schedule.result import ModelPlan
from t10c.verify.compare import DEFAULT_TOLERANCE, Comparison, Tolerance, compare
from t10c.verify.feeds import random_feeds, read_feeds
from t10c.verify.model import LoadedModel, load_for
from t10c.verify.session import Session
from t10c.verify.weights import FilledModel, WeightSource, fill_weights, graph_weights

INFERENCES = 2
"""In the second one pieces that have rotated begin elsewhere."""

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


@dataclass(frozen=True, slots=True)
class WrongOperator:
    """The first operator whose output differs, and the core that has the worst element."""

    operator: str
    inference: int
    core: int
    comparison: Comparison


@dataclass(frozen=True)
class Verification:
    """What came of it: every graph output of every inference, compared.

    `drawn` names the weights that were drawn. `traced` counts the operators compared; `untraced`
    those whose values the model does not have, because they were fused or rewritten. Seconds are
    of processor time, for all inferences.
    """

    model: str
    chip: str
    core_count: int
    peak_core_bytes: int
    options: VerifyOptions
    drawn: tuple[str, ...]
    inferences: tuple[tuple[Comparison, ...], ...]
    traced: int
    untraced: int
    first_wrong: WrongOperator | None
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


def verify_plan(
    plan: ModelPlan,
    source: str | Path | bytes,
    options: VerifyOptions | None = None,
    program: Program | None = None,
    place: str = "",
    stage: Stage = lambda text, total: None,
    advance: Callable[[], None] = lambda: None,
) -> Verification:
    """Execute a plan, or a program made from it, for two inferences in a row.

    Raises InvalidInputError if plan, model, program and inputs do not belong together,
    VerificationError if the program cannot be executed, UsageError without ONNX Runtime.
    """
    options = options or VerifyOptions()
    stage("reading the model", None)
    loaded = load_for(plan, source, place)
    if program is None:
        program = lower_plan(plan)
    elif not _belongs(program, plan):
        raise InvalidInputError(
            "the program was not made from this plan\n"
            "make one with: t10c compile MODEL --hw NAME --emit program -o FILE"
        )
    peak = check_program(program)
    feeds = list(_feeds(loaded, options))
    stage("reading or drawing weights", None)
    filled = fill_weights(loaded, options.weights, options.seed)
    tracer = _Tracer(loaded, filled, program, options, advance)
    with Session(filled.proto, (*plan.graph.outputs, *tracer.wanted)) as session:
        machine = Machine(program, graph_weights(loaded, filled))
        inferences = []
        for number, given in enumerate(feeds):
            stage(f"inference {number + 1}: ONNX Runtime", None)
            tracer.begin(number, session, given)
            stage(f"inference {number + 1}: simulated cores", len(program.sections))
            inferences.append(tracer.run(machine, given))
    return Verification(
        model=plan.graph.name,
        chip=plan.spec.name,
        core_count=plan.spec.core_count,
        peak_core_bytes=peak,
        options=options,
        drawn=filled.drawn,
        inferences=tuple(inferences),
        traced=len(tracer.compared),
        untraced=len(program.sections) - len(tracer.compared) if options.trace else 0,
        first_wrong=tracer.first_wrong,
        machine_cpu_seconds=tracer.machine_seconds,
        runtime_cpu_seconds=tracer.runtime_seconds,
    )


def _belongs(program: Program, plan: ModelPlan) -> bool:
    """Whether a program is about the tensors of the plan's graph."""
    graph = plan.graph
    return program.tensors == graph.tensors and program.outputs == graph.outputs


def _feeds(loaded: LoadedModel, options: VerifyOptions) -> Iterator[dict[str, np.ndarray]]:
    given = read_feeds(loaded.graph, options.inputs) if options.inputs is not None else None
    for number in range(INFERENCES):
        yield given if given is not None else random_feeds(loaded, options.seed, number)


class _Tracer:
    """Runs both sides, and compares what the simulated cores make as soon as it is there."""

    def __init__(
        self,
        loaded: LoadedModel,
        filled: FilledModel,
        program: Program,
        options: VerifyOptions,
        advance: Callable[[], None],
    ) -> None:
        self.tolerance, self.advance = options.tolerance, advance
        self.outputs = loaded.graph.outputs
        self.wanted = _model_values(loaded, filled) if options.trace else ()
        self.first_wrong: WrongOperator | None = None
        self.machine_seconds = self.runtime_seconds = 0.0
        self.compared: set[str] = set()
        self._expected: dict[str, np.ndarray] = {}
        self._inference = 0
        self._comparing = 0.0

    def begin(self, number: int, session: Session, given: Mapping[str, np.ndarray]) -> None:
        """Let ONNX Runtime compute what is expected of an inference."""
        begun = time.process_time()
        self._expected = session.run(given)
        self._inference, self._comparing = number, 0.0
        self.runtime_seconds += time.process_time() - begun

    def run(self, machine: Machine, given: Mapping[str, np.ndarray]) -> tuple[Comparison, ...]:
        """Let the simulated cores compute it; the graph outputs compared."""
        begun = time.process_time()
        got = machine.run(given, self._observe)
        self.machine_seconds += time.process_time() - begun - self._comparing
        return tuple(
            compare(name, got[name], self._expected[name], self.tolerance) for name in self.outputs
        )

    def _observe(self, finished: Finished) -> None:
        """Compare an operator's output, if the model has that value."""
        begun = time.process_time()
        self.advance()
        tensor = finished.tensor
        if tensor in self.wanted and self.first_wrong is None:
            self.compared.add(finished.section)
            want = self._expected[tensor]
            found = compare(tensor, finished.value().astype(want.dtype), want, self.tolerance)
            if not found.passed:
                core = finished.core_of(found.worst) if found.worst else 0
                self.first_wrong = WrongOperator(finished.section, self._inference, core, found)
        self._comparing += time.process_time() - begun


def _model_values(loaded: LoadedModel, filled: FilledModel) -> tuple[str, ...]:
    """Outputs of planned operators that are values of the model, by name."""
    made = {name for node in filled.proto.graph.node for name in node.output}
    return tuple(operator.output for operator in loaded.graph.operators if operator.output in made)
