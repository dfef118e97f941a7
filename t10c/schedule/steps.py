"""The model as a sequence of steps: what each reads, where that comes from, how long it lives."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

from t10c.ir.graph import Graph, LayoutOp, Operator
from t10c.schedule.atoms import View
from t10c.schedule.problem import FEW_READERS, MANY_READERS, Problem
from t10c.schedule.views import ViewTable, resolve_views

_READERS = (FEW_READERS, 8, MANY_READERS, 72, 1 << 30)
"""Numbers of reads are rounded up to one of these."""


class Source(NamedTuple):
    """Where an operand's data lies before it is moved: the home of tensor `tensor`.

    `step` is the producing planned step, or -1 for tensors spread evenly over all cores (graph
    inputs, copies); `weight_of` is the step whose idle plan holds a weight, or -1.
    """

    tensor: str
    step: int = -1
    weight_of: int = -1


class Read(NamedTuple):
    """One operand that has to be brought into place: views of sources (parallel tuples)."""

    operand: int
    tensor: str
    views: tuple[View, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A planned operator in execution order: its problem and the operands it must fetch."""

    index: int
    operator: Operator
    problem: Problem
    reads: tuple[Read, ...]
    consumers: tuple[tuple[int, int], ...] = ()
    """(step, position in its reads) of everyone who reads this step's output."""

    @property
    def is_fallback(self) -> bool:
        """Whether it has no tensor expression and runs whole, on one core."""
        return self.problem.expression.kernel == "fallback"


@dataclass(frozen=True, slots=True)
class Copy:
    """A layout-only operator that must really move its data: even spread to even spread."""

    operator: LayoutOp
    before_step: int
    elements: int
    bits: int
    """Stored width of an element, as in `Operand`."""


class Span(NamedTuple):
    """The home of a tensor that lives across steps: alive while `first_step` < step <= `last_step`.

    `producer` is the step that makes it, or -1; `last_step` reads it last, or is past the end.
    """

    tensor: str
    producer: int
    elements: int
    bits: int
    """Stored width of an element, as in `Operand`."""
    first_step: int
    last_step: int


@dataclass(frozen=True)
class Sequence:
    """Everything the schedule needs to know of the graph."""

    graph: Graph
    steps: tuple[Step, ...]
    copies: tuple[Copy, ...]
    spans: tuple[Span, ...]
    """Homes of graph inputs, produced tensors and copies; weights are accounted separately."""
    loose_weights: tuple[str, ...]
    """Weights that no step owns (read through a view, or whole): they lie evenly spread."""


def build_sequence(graph: Graph, persistent: tuple[str, ...] = ()) -> Sequence:
    """Order the graph's planned operators and find what each reads from where."""
    table = resolve_views(graph)
    producer = {op.output: i for i, op in enumerate(graph.planned)}
    owner = _owners(graph, table)
    steps = _steps(graph, table, producer, owner)
    copies = _copies(graph, table) if table.copies else ()
    unowned = [t.name for t in graph.tensors if t.kind == "weight" and t.name not in owner]
    if unowned:
        used = {view.tensor for views in table.views.values() for view in views}
        unowned = [name for name in unowned if name in used]
    loose = tuple(unowned)
    return Sequence(
        graph, tuple(steps), copies, _spans(graph, table, steps, copies, persistent), loose
    )


def with_readers(sequence: Sequence) -> Sequence:
    """The sequence with problems that say how often their outputs and weights are read.

    Problems that differ in that are searched apart, so numbers of reads are rounded up.
    """
    lent: dict[int, list[int]] = {}
    reads: Counter[int] = Counter()
    for step in sequence.steps:
        for read in step.reads:
            reads.update(source.step for source in read.sources)
            for source in read.sources:
                if source.weight_of >= 0:
                    owner = sequence.steps[source.weight_of].operator
                    lent.setdefault(source.weight_of, []).append(owner.inputs.index(source.tensor))
    known: dict[Problem, Problem] = {}
    steps = []
    for step in sequence.steps:
        readers = next(most for most in _READERS if reads[step.index] <= most)
        weights = tuple(sorted(lent.get(step.index, ())))
        if weights or readers != step.problem.readers:
            problem = replace(step.problem, lent=weights, readers=readers)
            step = replace(step, problem=known.setdefault(problem, problem))
        steps.append(step)
    return replace(sequence, steps=tuple(steps))


def _owners(graph: Graph, table: ViewTable) -> dict[str, int]:
    """The step that holds each weight: the first that reads it as it is, and all of it.

    A weight that is read once may be read in part. Fallback operators hold none: on one core, also
    when idle, their weights would fill that core.
    """
    read = [name for operator in graph.planned for name in operator.inputs]
    read += [name for copy in table.copies for name in copy.inputs]
    found = [table.views.get(name, ()) for name in (*read, *graph.outputs)]
    readers = Counter([views[0].tensor for views in found if len(views) == 1])
    for views in found:
        if len(views) > 1:
            readers.update({view.tensor for view in views})
    weights = {tensor.name for tensor in graph.tensors if tensor.kind == "weight"}
    owner: dict[str, int] = {}
    for index, operator in enumerate(graph.planned):
        if operator.expression.kernel == "fallback" or weights.isdisjoint(operator.inputs):
            continue
        for name, operand in zip(operator.inputs, operator.expression.inputs, strict=True):
            if name not in weights or name in owner:
                continue
            if readers[name] == 1 or operator.expression.reads_all(operand):
                owner[name] = index
    return owner


def _steps(
    graph: Graph, table: ViewTable, producer: dict[str, int], owner: dict[str, int]
) -> list[Step]:
    """The steps, each with everyone who reads its output; equal problems are one object."""
    parts = [
        _operands(index, operator, table, producer, owner)
        for index, operator in enumerate(graph.planned)
    ]
    consumers: dict[int, dict[tuple[int, int], None]] = {}
    for index, (_, reads) in enumerate(parts):
        for position, read in enumerate(reads):
            for source in read.sources:
                if source.step >= 0:
                    consumers.setdefault(source.step, {})[index, position] = None
    problems: dict[Problem, Problem] = {}
    # equal expressions are mostly one object already, which tells them without comparing
    known: dict[tuple[int, tuple[int, ...]], Problem] = {}
    steps = []
    for index, (operator, (weights, reads)) in enumerate(zip(graph.planned, parts, strict=True)):
        key = (id(operator.expression), weights)
        problem = known.get(key)
        if problem is None:
            problem = Problem(operator.expression, weights)
            problem = known[key] = problems.setdefault(problem, problem)
        steps.append(Step(index, operator, problem, reads, tuple(consumers.get(index, ()))))
    return steps


def _operands(
    index: int,
    operator: Operator,
    table: ViewTable,
    producer: dict[str, int],
    owner: dict[str, int],
) -> tuple[tuple[int, ...], tuple[Read, ...]]:
    """Split an operator's inputs into weights it owns and operands it must fetch."""
    weights: list[int] = []
    reads: list[Read] = []
    for position, name in enumerate(operator.inputs):
        first_use = name not in operator.inputs[:position]
        if owner.get(name) == index and first_use:
            weights.append(position)
            continue
        views = table.views[name]
        tensors = [view.tensor for view in views]
        sources = tuple([Source(t, producer.get(t, -1), owner.get(t, -1)) for t in tensors])
        reads.append(Read(position, name, views, sources))
    return tuple(weights), tuple(reads)


def _copies(graph: Graph, table: ViewTable) -> tuple[Copy, ...]:
    """Copies with the planned step before which they run."""
    position: dict[str, int] = {}
    planned = 0
    for operator in graph.operators:
        if isinstance(operator, Operator):
            planned += 1
        else:
            position[operator.name] = planned
    made = ((op, graph.tensor[op.output]) for op in table.copies)
    return tuple(
        Copy(op, position[op.name], math.prod(tensor.shape), tensor.bits) for op, tensor in made
    )


def _spans(
    graph: Graph,
    table: ViewTable,
    steps: list[Step],
    copies: tuple[Copy, ...],
    persistent: tuple[str, ...],
) -> tuple[Span, ...]:
    """Spans of graph inputs, produced tensors and copies (weights are accounted separately)."""
    end = len(steps)
    last: dict[str, int] = {}
    for step in steps:
        for read in step.reads:
            for source in read.sources:
                last[source.tensor] = step.index
    for copy in copies:
        for name in copy.operator.inputs:
            for view in table.views[name]:
                last[view.tensor] = max(last.get(view.tensor, -1), copy.before_step)
    for name in (*graph.outputs, *persistent):
        for view in table.views.get(name, ()):
            last[view.tensor] = end
    kept = {view.tensor for name in persistent for view in table.views.get(name, ())}
    inputs = frozenset(graph.inputs)
    spans: list[Span] = []
    produced = {step.operator.output: step.index for step in steps}
    copied = {copy.operator.output: copy.before_step for copy in copies}
    for tensor in graph.tensors:
        if tensor.kind == "weight" or tensor.name not in last:
            continue
        size = (math.prod(tensor.shape), tensor.bits)
        if tensor.name in produced:
            first = produced[tensor.name]
            born = -1 if tensor.name in kept else first
            spans.append(Span(tensor.name, first, *size, born, last[tensor.name]))
        elif tensor.name in inputs:
            spans.append(Span(tensor.name, -1, *size, -1, last[tensor.name]))
        elif tensor.name in copied:
            before = copied[tensor.name] - 1
            spans.append(Span(tensor.name, -1, *size, before, last[tensor.name]))
    return tuple(spans)
