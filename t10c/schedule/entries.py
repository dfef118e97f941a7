"""What plan files say of many things that are alike: tensors, nodes, and operators as planned.

Those of repeated layers differ in their names only, and in memory where tensors are left behind by
every layer, so each is a form of its kind, its names and its bytes of memory.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import fields
from itertools import islice
from operator import attrgetter
from typing import Any

from t10c.commons import Own, Plain
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

    def tensors(self, tensors: Sequence[Tensor]) -> Any:
        """The tensors of the graph."""

        def make(number: int, own: Own) -> dict[str, Any]:
            return {**encode(tensors[number]), "name": own[0]}

        kinds = [(t.shape, t.element_type, t.kind) for t in tensors]
        return self._parts.forms(kinds, [(tensor.name,) for tensor in tensors], make)

    def nodes(self, nodes: Sequence[NodeRecord]) -> Any:
        """The fates of all nodes."""

        def make(number: int, own: Own) -> dict[str, Any]:
            return {**encode(nodes[number]), "name": own[0], "operator": own[1]}

        # members of an enumeration are one object each, which tells them faster than their hash
        kinds = [(node.op_type, id(node.node_class), node.note) for node in nodes]
        return self._parts.forms(kinds, [(node.name, node.operator) for node in nodes], make)

    def operators(self, operators: Sequence[Operator | LayoutOp]) -> Any:
        """The operators in execution order, those that compute as they are planned."""

        def make(number: int, own: Own) -> dict[str, Any]:
            operator = operators[number]
            if isinstance(operator, Operator):
                return self._planned(operator, self._plans[operator.name], own)
            return _moved(operator, own)

        described = [
            self._as_planned(operator) if isinstance(operator, Operator) else _as_moved(operator)
            for operator in operators
        ]
        return self._parts.forms([kind for kind, _ in described], [o for _, o in described], make)

    def _as_planned(self, operator: Operator) -> tuple[Hashable, Own]:
        """The kind of a planned operator, and what it has for itself."""
        planned = self._plans[operator.name]
        nodes, inputs = operator.nodes, operator.inputs
        kind: list[object] = [
            operator.op_type,
            len(nodes),
            len(inputs),
            planned.problem,
            planned.placement,
            id(planned.plan),
            id(planned.rtensors),
            id(planned.piece_bytes),
            id(planned.cost_cycles),
        ]
        own: list[str | int] = [operator.name, *nodes, *inputs, operator.output]
        for weight in planned.idle:
            kind += (weight.operand, weight.active_bytes, id(weight.cut))
            own.append(weight.tensor)
        for moved in planned.transitions:
            sources = moved.sources
            kind += (moved.operand, moved.received_bytes, moved.reused, moved.kept_bytes)
            kind.append(len(sources))
            own += (moved.tensor, *sources)
        own += _MEMORY_TERMS(planned.memory_bytes)
        return tuple(kind), own

    def _planned(self, operator: Operator, planned: OperatorPlan, own: Own) -> dict[str, Any]:
        """One planned operator with these names and bytes of memory in the place of its own.

        What it stands for and how it is planned are side by side.
        """
        taken = iter(own[: -len(_MEMORY_NAMES)])
        return {
            "class": "planned",
            "name": next(taken),
            "op_type": operator.op_type,
            "nodes": list(islice(taken, len(operator.nodes))),
            "inputs": list(islice(taken, len(operator.inputs))),
            "output": next(taken),
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
            "memory_bytes": dict(zip(_MEMORY_NAMES, own[-len(_MEMORY_NAMES) :], strict=True)),
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


def _as_moved(operator: LayoutOp) -> tuple[Hashable, Own]:
    """The kind of an operator that only moves or renames, and what it has for itself."""
    form = (operator.kind, operator.perm, operator.starts, operator.steps, operator.axis)
    counts = (len(operator.inputs), len(operator.nodes))
    texts = (operator.name, *operator.inputs, operator.output, *operator.nodes)
    return ("layout_only", operator.op_type, *counts, *form, operator.fill), texts


def _moved(operator: LayoutOp, own: Own) -> dict[str, Any]:
    """One operator that only moves or renames, with these names in the place of its own."""
    last = 1 + len(operator.inputs)
    return {
        "class": "layout_only",
        **encode(operator),
        "name": own[0],
        "inputs": list(own[1:last]),
        "output": own[last],
        "nodes": list(own[last + 1 :]),
    }
