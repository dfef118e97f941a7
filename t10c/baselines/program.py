"""A plan for a virtual global memory as a device program, in the instructions of all programs."""

from t10c.baselines.frame import TileFrame, tiling_plan
from t10c.baselines.model import used_weights
from t10c.baselines.result import VgmPlan
from t10c.baselines.section import TiledWork, lower_tiled
from t10c.hardware.width import stored_bits
from t10c.ir.graph import LayoutOp
from t10c.ir.program import ExchangeKind, Program, Section
from t10c.lower.ends import Ends
from t10c.lower.homes import even_home, find_uses, home_name
from t10c.schedule.steps import Copy, Step, build_sequence


def lower_vgm(plan: VgmPlan) -> Program:
    """The device program of a plan: all tensors evenly spread, tiles loaded and stored in loops."""
    return _ModelLowering(plan).program()


class _ModelLowering:
    """Builds the program of one plan."""

    def __init__(self, plan: VgmPlan) -> None:
        self.plan, self.spec, self.graph = plan, plan.spec, plan.graph
        sequence = build_sequence(plan.graph)
        self.uses = find_uses(sequence)
        self.ends = Ends(self.graph, self.uses, self.spec)
        self.fallback = {step.operator.output for step in sequence.steps if step.is_fallback}

    def program(self) -> Program:
        weights = used_weights(self.graph, self.uses)
        return Program(
            name=self.graph.name,
            core_count=self.spec.core_count,
            core_bytes=self.spec.usable_bytes,
            reserved_bytes=0,
            element_bits=stored_bits(self.spec, 0),
            tensors=self.graph.tensors,
            inputs=self.ends.inputs(),
            outputs=self.graph.outputs,
            kernels=self.plan.problems,
            views=tuple(op for op in self.graph.operators if isinstance(op, LayoutOp)),
            load=Section("load", "", (), self.ends.spread(weights)),
            begin=self.ends.begin(),
            sections=tuple(
                self.ends.copy(number, event)
                if isinstance(event, Copy)
                else self._step(number, event)
                for number, event in enumerate(self.uses.events)
            ),
            end=self.ends.end(),
        )

    def _step(self, number: int, step: Step) -> Section:
        chosen, operator = self.plan.operators[step.index], step.operator
        expression = operator.expression
        work = TiledWork(
            operator=operator,
            kernel=chosen.problem,
            frame=TileFrame(expression, tiling_plan(expression, chosen.tiling)),
            kinds=self._kinds(step),
            sources=tuple(map(self.ends.homes, operator.inputs)),
            home=even_home(self.graph, operator.output, self.spec),
            dying=tuple(home_name(name) for name in self.uses.dying[number]),
            unread=operator.output in self.uses.unread,
        )
        return lower_tiled(work, self.spec)

    def _kinds(self, step: Step) -> tuple[ExchangeKind, ExchangeKind]:
        """Kinds of exchanges that load, and that store."""
        return ("gather", "scatter") if step.is_fallback else ("transition", "transition")
