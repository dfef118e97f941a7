"""What plan files say of many things that are alike: tensors, nodes, and operators as planned.

Those of repeated layers differ in their names only, and in memory where tensors are left behind by
every layer, so each is a form of its kind, its names and its bytes of memory.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from itertools import islice
from operator import attrgetter
from typing import Any

from t10c.commons import Plain
from t10c.ir.graph import LayoutOp, NodeRecord, Operator, Tensor
from t10c.ir.plan import Plan
from t10c.schedule.result import MemoryTerms, ModelPlan, OperatorPlan
from t10c.serialise import encode

_MEMORY_NAMES = tuple(field.name for field in fields(MemoryTerms))
_MEMORY_TERMS: Callable[[MemoryTerms], tuple[int, ...]] = attrgetter(*_MEMORY_NAMES)


class Entries:
    """Entries of a plan's document; `parts` says what stands in it for those that are alike.

    The kind of an entry is all that it says but for names and bytes of memory. A part of the plan
    that operators share counts as the object that it is, which lives as long as the entries are
    made.
    """

    def __init__(self, plan: ModelPlan, parts: Plain) -> None:
        self._parts = parts
        self._problems = plan.problems
        self._plans = {operator.name: operator for operator in plan.operators}
        self._known: dict[tuple[int, ...], Any] = {}

    def tensor(self, tensor: Tensor) -> Any:
        """One tensor of the graph."""
        kind = ("tensor", tensor.shape, tensor.element_type, tensor.kind)
        return self._parts.form(kind, lambda name: {**encode(tensor), "name": name}, (tensor.name,))

    def node(self, node: NodeRecord) -> Any:
        """The fate of one node."""
        kind = ("node", node.op_type, node.node_class, node.note)

        def make(name: str, operator: str) -> dict[str, Any]:
            return {**encode(node), "name": name, "operator": operator}

        return self._parts.form(kind, make, (node.name, node.operator))

    def layout(self, operator: LayoutOp) -> Any:
        """One operator that only moves or renames."""
        form = (operator.kind, operator.perm, operator.starts, operator.steps, operator.axis)
        counts = (len(operator.inputs), len(operator.nodes))
        kind = ("layout_only", operator.op_type, *counts, *form, operator.fill)

        def make(*names: str) -> dict[str, Any]:
            return {"class": "layout_only", **encode(operator), **_names(operator, iter(names))}

        texts = (operator.name, *operator.nodes, *operator.inputs, operator.output)
        return self._parts.form(kind, make, texts)

    def planned(self, operator: Operator) -> Any:
        """One planned operator: what it stands for and how it is planned, side by side."""
        planned = self._plans[operator.name]
        counts = (len(operator.nodes), len(operator.inputs))
        kind: list[object] = ["planned", operator.op_type, *counts]
        kind += (planned.problem, planned.placement)
        kind += map(id, (planned.plan, planned.rtensors, planned.piece_bytes))
        kind.append(id(planned.cost_cycles))
        own: list[str | int] = [*_MEMORY_TERMS(planned.memory_bytes), operator.name]
        own += (*operator.nodes, *operator.inputs, operator.output)
        for weight in planned.idle:
            kind += (weight.operand, weight.active_bytes, id(weight.cut))
            own.append(weight.tensor)
        for moved in planned.transitions:
            kind += (moved.operand, moved.received_bytes, moved.reused, moved.kept_bytes)
            kind.append(len(moved.sources))
            own += (moved.tensor, *moved.sources)

        def make(*others: Any) -> dict[str, Any]:
            memory = dict(zip(_MEMORY_NAMES, others, strict=False))
            return self._planned(operator, planned, memory, others[len(memory) :])

        return self._parts.form(tuple(kind), make, own)

    def _planned(
        self,
        operator: Operator,
        planned: OperatorPlan,
        memory: Mapping[str, Any],
        names: Iterable[str],
    ) -> dict[str, Any]:
        """The entry with this memory and these names in the place of its own."""
        taken = iter(names)
        own = _names(operator, taken)
        return {
            "class": "planned",
            "name": own["name"],
            "op_type": operator.op_type,
            "nodes": own["nodes"],
            "inputs": own["inputs"],
            "output": own["output"],
            "problem": planned.problem,
            "split": self._once(self._split, planned.plan, planned.problem),
            "rotations": self._once(encode, planned.plan.rotations),
            "placement": planned.placement,
            "rtensors": self._once(encode, planned.rtensors),
            "piece_bytes": self._once(encode, planned.piece_bytes),
            "idle": [{**encode(weight), "tensor": next(taken)} for weight in planned.idle],
            "transitions": [
                {
                    **encode(moved),
                    "tensor": next(taken),
                    "sources": list(islice(taken, len(moved.sources))),
                }
                for moved in planned.transitions
            ],
            "memory_bytes": memory,
            "cost_cycles": self._once(encode, planned.cost_cycles),
        }

    def _split(self, plan: Plan, problem: int) -> dict[str, int]:
        axes = self._problems[problem].expression.axes
        return {axis.name: factor for axis, factor in zip(axes, plan.split, strict=True)}

    def _once(self, make: Callable[..., Any], value: object, *further: int) -> Any:
        """What `make` makes of a part of the plan that operators share."""
        key = (id(value), *further)
        if key not in self._known:
            self._known[key] = self._parts.mark(make(value, *further))
        return self._known[key]


def _names(operator: Operator | LayoutOp, names: Iterable[str]) -> dict[str, Any]:
    """The first of `names` as those of an operator, its nodes and its tensors."""
    taken = iter(names)
    return {
        "name": next(taken),
        "nodes": list(islice(taken, len(operator.nodes))),
        "inputs": list(islice(taken, len(operator.inputs))),
        "output": next(taken),
    }
