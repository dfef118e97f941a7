"""The whole program: homes of inputs and weights, one section per operator or copy, outputs."""

import math
from collections.abc import Mapping

from t10c.hardware.document import spec_hash
from t10c.hardware.width import stored_bits
from t10c.ir.expression import Operand
from t10c.ir.graph import LayoutOp
from t10c.ir.plan import Plan
from t10c.ir.program import (
    Allocate,
    Buffer,
    ExchangeKind,
    Instruction,
    Load,
    Origin,
    Program,
    Section,
)
from t10c.lower.ends import Ends
from t10c.lower.frame import Frame
from t10c.lower.homes import Uses, find_uses, home_name
from t10c.lower.pieces import idle_piece
from t10c.lower.section import Work, copy_name, lower_operator
from t10c.schedule.document import to_document
from t10c.schedule.result import ModelPlan, OperatorPlan
from t10c.schedule.steps import Read, Sequence, Step, build_sequence


def lower_plan(plan: ModelPlan) -> Program:
    """The device program of a model plan."""
    return _ModelLowering(plan).program()


class _ModelLowering:
    """Builds the program of one plan."""

    def __init__(self, plan: ModelPlan) -> None:
        self.plan, self.spec, self.graph = plan, plan.spec, plan.graph
        self.sequence: Sequence = build_sequence(plan.graph, plan.options.persistent)
        self.uses: Uses = find_uses(self.sequence)
        self.ends = Ends(self.graph, self.uses, self.spec)
        self.fallback = {step.operator.output for step in self.sequence.steps if step.is_fallback}

    def program(self) -> Program:
        sections = tuple(
            self._step(number, event) if isinstance(event, Step) else self.ends.copy(number, event)
            for number, event in enumerate(self.uses.events)
        )
        layout_ops = tuple(op for op in self.graph.operators if isinstance(op, LayoutOp))
        return Program(
            name=self.graph.name,
            core_count=self.spec.core_count,
            core_bytes=self.spec.usable_bytes,
            reserved_bytes=self.spec.shift_buffer.reserved_bytes,
            element_bits=stored_bits(self.spec, 0),
            tensors=self.graph.tensors,
            inputs=self.ends.inputs(),
            outputs=self.graph.outputs,
            kernels=tuple(problem.expression for problem in self.plan.problems),
            views=layout_ops,
            load=self._load(),
            begin=self.ends.begin(),
            sections=sections,
            end=self.ends.end(),
            origin=self._origin(),
            positions=self.plan.positions.formulas() if self.plan.positions else None,
        )

    def _origin(self) -> Origin:
        return Origin(to_document(self.plan)["plan_hash"], self.spec.name, spec_hash(self.spec))

    # Weights

    def _load(self) -> Section:
        """Weights in their homes, once and for all."""
        made: list[Instruction] = []
        for step in self.sequence.steps:
            chosen = self.plan.operators[step.index]
            frame = self._frame(step, inline=True)
            for weight in chosen.idle:
                operand = _operand(step, weight.operand)
                piece, _ = idle_piece(frame, operand, weight.cut.factors, after_loops=False)
                bits = stored_bits(self.spec, operand.bits)
                name = home_name(weight.tensor)
                home = Buffer(name, weight.tensor, piece, math.prod(piece.shape), bits)
                made += [Allocate(home), Load(name)]
        made += self.ends.spread(self.sequence.loose_weights)
        return Section("load", "", (), tuple(made))

    # Events

    def _step(self, number: int, step: Step) -> Section:
        chosen = self.plan.operators[step.index]
        reused = self._reused(step)
        fetched = {
            read.operand: self._sources(read, reused.get(read.operand)) for read in step.reads
        }
        copies = tuple(dict.fromkeys(reused.values()))
        work = Work(
            operator=step.operator,
            kernel=chosen.problem,
            frame=self._frame(step),
            kind=self._kind(step),
            fetched=fetched,
            taken=self._taken(step, reused),
            idle={weight.operand: weight.cut for weight in chosen.idle},
            dying=(*(home_name(name) for name in self.uses.dying[number]), *copies),
            copied=self._copied(step),
            unread=step.operator.output in self.uses.unread,
        )
        return lower_operator(work, self.spec)

    def _frame(self, step: Step, inline: bool = False) -> Frame:
        chosen: OperatorPlan = self.plan.operators[step.index]
        plan: Plan = chosen.plan
        kept = frozenset(weight.operand for weight in chosen.idle)
        return Frame(step.operator.expression, plan, kept, inline)

    def _kind(self, step: Step) -> ExchangeKind:
        if step.is_fallback:
            return "gather"
        read = {source.tensor for read in step.reads for source in read.sources}
        return "scatter" if read & self.fallback else "transition"

    def _sources(self, read: Read, copy: str | None) -> tuple[str, ...]:
        homes = self.ends.homes(read.tensor)
        return homes if copy is None else (copy, *homes)

    def _reused(self, step: Step) -> Mapping[int, str]:
        """Copies of the operator before that a step's reads take, by operand position."""
        if step.index == 0:
            return {}
        before = self.sequence.steps[step.index - 1]
        inputs = step.operator.expression.inputs
        by_operand = {t.operand: t for t in self.plan.operators[step.index].transitions}
        found = {}
        for read in step.reads:
            transition = by_operand.get(inputs[read.operand].name)
            if transition is not None and transition.reused:
                source = next(r for r in before.reads if r.tensor == read.tensor)
                operand = before.operator.expression.inputs[source.operand]
                found[read.operand] = copy_name(before.operator.name, operand.name)
        return found

    def _taken(self, step: Step, reused: Mapping[int, str]) -> dict[int, str]:
        """Of the reused copies those that become an operand as they lie, each for one operand."""
        beside = {t.operand: t.kept_bytes for t in self.plan.operators[step.index].transitions}
        found: dict[int, str] = {}
        for position, name in reused.items():
            operand = step.operator.expression.inputs[position]
            if not beside[operand.name] and name not in found.values():
                found[position] = name
        return found

    def _copied(self, step: Step) -> frozenset[str]:
        """Operands of a step whose copies the next step takes."""
        if step.index + 1 >= len(self.sequence.steps):
            return frozenset()
        names = set(self._reused(self.sequence.steps[step.index + 1]).values())
        return frozenset(
            operand.name
            for operand in step.operator.expression.inputs
            if copy_name(step.operator.name, operand.name) in names
        )


def _operand(step: Step, name: str) -> Operand:
    return next(o for o in step.operator.expression.inputs if o.name == name)
