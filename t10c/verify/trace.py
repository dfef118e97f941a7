"""Following an inference operator by operator: which is the first that computes something wrong."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from t10c.execute.machine import Machine
from t10c.execute.section import Finished
from t10c.verify.compare import Comparison, Tolerance, compare

SUSPECTS = 200
"""Values that differ are compared further up to so many, since the first may be well explained."""


@dataclass(frozen=True, slots=True)
class WrongOperator:
    """The first value that differs, and the operators that may be at fault.

    `operator` makes the value; it is '' for a graph output that no operator makes under its own
    name, and `view_of` then the operator, input or weight that it is a view of ('' if none). `core`
    has the worst element (None where no operator makes it). `after` is the last operator before
    that was compared and right ('' if there is none), and `between` are those since whose values
    the model does not have.
    """

    operator: str
    inference: int
    core: int | None
    after: str
    between: tuple[str, ...]
    comparison: Comparison
    view_of: str = ""


class Tracer:
    """Lets simulated cores run inferences, and compares what they make as soon as it is there.

    `wanted` are the tensors to compare beside the graph's `outputs`; `suspects` those that differ,
    in the order in which they were made, and `differing` the outputs of inferences in which any
    differs. Seconds are of processor time, without that of comparing.
    """

    def __init__(
        self,
        machine: Machine,
        outputs: tuple[str, ...],
        wanted: Iterable[str],
        tolerance: Tolerance,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        self.machine, self.outputs, self.tolerance = machine, outputs, tolerance
        self.advance = advance
        self.seconds = 0.0
        self.suspects: list[WrongOperator] = []
        self.differing: dict[int, dict[str, np.ndarray]] = {}
        self.compared: set[str] = set()
        self.untraced: set[str] = set()
        self._wanted = frozenset(wanted)
        self._traces = bool(self._wanted)
        self._expected: dict[str, np.ndarray] = {}
        self._inference, self._found = 0, False
        self._comparing = 0.0
        self._after = ""
        self._between: list[str] = []
        self._makers: dict[str, str] = {}
        self._views = {view.output: view.inputs[0] for view in machine.program.views}

    def run(
        self,
        inference: int,
        given: Mapping[str, np.ndarray],
        expected: dict[str, np.ndarray],
    ) -> tuple[Comparison, ...]:
        """Run one inference; the graph outputs compared.

        `expected` loses values that are not needed any more.
        """
        self._inference, self._expected, self._comparing = inference, expected, 0.0
        self._found = False
        self._after, self._between = "", []
        begun = time.process_time()
        got = self.machine.run(given, self._observe)
        self.seconds += time.process_time() - begun - self._comparing
        compared = tuple(
            compare(name, got[name], expected[name], self.tolerance) for name in self.outputs
        )
        wrong = next((found for found in compared if not found.passed), None)
        if wrong is not None:
            self.differing[inference] = got
        if self._traces and not self._found and wrong is not None:
            self._note_wrong("", None, wrong, self._viewed(wrong.name))
        return compared

    def _observe(self, finished: Finished) -> None:
        """Compare an operator's output, if the model has that value."""
        begun = time.process_time()
        self.advance()
        tensor, section = finished.tensor, finished.section
        self._makers[tensor] = section
        if self._traces and tensor not in self._wanted:
            self.untraced.add(section)
            self._between.append(section)
        elif self._traces and len(self.suspects) < SUSPECTS:
            self.compared.add(section)
            kept = tensor in self.outputs
            want = self._expected[tensor] if kept else self._expected.pop(tensor)
            found = compare(tensor, finished.value().astype(want.dtype), want, self.tolerance)
            if found.passed:
                self._after, self._between = section, []
            else:
                core = finished.core_of(found.worst) if found.worst else None
                self._note_wrong(section, core, found)
        self._comparing += time.process_time() - begun

    def _viewed(self, name: str) -> str:
        """The operator, input or weight that a tensor is a view of, '' if none."""
        tensor = name
        while tensor in self._views and tensor not in self._makers:
            tensor = self._views[tensor]
        return "" if tensor == name else self._makers.get(tensor, tensor)

    def _note_wrong(
        self, operator: str, core: int | None, comparison: Comparison, view_of: str = ""
    ) -> None:
        self._found = True
        self.suspects.append(
            WrongOperator(
                operator,
                self._inference,
                core,
                self._after,
                tuple(self._between),
                comparison,
                view_of,
            )
        )
