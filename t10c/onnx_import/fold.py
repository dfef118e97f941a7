"""Folding of one node after the other: learn its shapes, fold it if it is fixed before inference.

Since each node sees all shapes and known values of its inputs, a single pass in topological order
is the fixed point of alternating shape inference and constant folding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnx import NodeProto

from t10c.errors import InvalidInputError
from t10c.ir.graph import NodeClass, NodeRecord
from t10c.onnx_import.constants import Constants
from t10c.onnx_import.declared import extend_backwards
from t10c.onnx_import.infer import Inferred, NotATensorError, ShapeInference, UnknownOperatorError
from t10c.onnx_import.names import describe, operator_name, standard
from t10c.onnx_import.open_shapes import close_outputs
from t10c.onnx_import.origins import shape_remedy, value_remedy
from t10c.onnx_import.recurring import RecurringNodes
from t10c.onnx_import.registry import SHAPES
from t10c.onnx_import.tensors import (
    OpenFact,
    TensorFact,
    from_proto,
)
from t10c.onnx_import.widening import widens

# Operators whose output is the same elements in another shape or order.
RELABELLING = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True, slots=True)
class UnsupportedNode:
    """A node that cannot be resolved, and why."""

    name: str
    operator: str
    reason: str
    remedy: str = ""


class Folder:
    """What is known after the nodes processed so far, which must come in topological order.

    - `facts`: every tensor whose shape is known
    - `kept`: the nodes that still compute, or widen a weight, in topological order
    - `records`: the nodes that are gone
    - `unsupported`: nodes that cannot be resolved; what depends on them is not in `facts`
    - `wanted`: tensors that something reads; to be filled before the nodes are processed
    - `owners`: for nodes that t10c made, the node of the file they stand for and its operator
    - `folded`: nodes of weights, whose values are not known, in topological order
    - `relabelled`: folded nodes whose output is a weight's elements in another shape or order
    - `declared`: what the file says of tensors whose shape inference may not find
    - `warnings`: what was assumed, for the user to read
    - `versions`: the model's opsets
    """

    def __init__(
        self,
        facts: Mapping[str, TensorFact],
        inference: ShapeInference,
        versions: Mapping[str, int],
        directory: Path | None,
    ) -> None:
        self.facts = dict(facts)
        self.kept: list[NodeProto] = []
        self.records: list[NodeRecord] = []
        self.unsupported: list[UnsupportedNode] = []
        self.wanted: set[str] = set()
        self.owners: dict[str, tuple[str, str]] = {}
        self.folded: list[NodeProto] = []
        self.relabelled: list[NodeProto] = []
        self.declared: dict[str, OpenFact] = {}
        self.warnings: list[str] = []
        self._producers: dict[str, NodeProto] = {}
        self._widened: set[str] = set()
        self._inference = inference
        self.versions = dict(versions)
        self._directory = directory
        self._constants = Constants(versions)
        self._recurring = RecurringNodes()

    @property
    def opset(self) -> int:
        """The version of the standard operators."""
        return self.versions[""]

    def fork(self) -> "Folder":
        """A folder that goes on from here by itself; `absorb` takes over what it did."""
        other = Folder(self.facts, self._inference, self.versions, self._directory)
        other.wanted, other.declared = self.wanted, self.declared
        other.owners = dict(self.owners)
        other._producers = dict(self._producers)
        other._widened = set(self._widened)
        other._constants = self._constants
        other._recurring = self._recurring
        return other

    def absorb(self, other: "Folder") -> None:
        """Go on from where a forked folder has ended."""
        self.facts.update(other.facts)
        self.owners.update(other.owners)
        self._producers.update(other._producers)
        self._widened |= other._widened
        for mine, further in (
            (self.kept, other.kept),
            (self.folded, other.folded),
            (self.relabelled, other.relabelled),
        ):
            mine.extend(further)
        self.records.extend(other.records)
        self.warnings.extend(other.warnings)
        self.unsupported.extend(other.unsupported)

    def declare(self, declared: Mapping[str, OpenFact], nodes: Sequence[NodeProto]) -> None:
        """Take in what the file declares of the tensors of these nodes, in topological order."""
        self.declared.update(declared)
        extend_backwards(nodes, self.declared)

    def recall(self, node: NodeProto) -> bool:
        """Keep a node that is like one that was processed and kept; False if there was none."""
        facts = self._operands(node)
        known = self._recurring.outputs(self._recurring.key(node, facts)) if facts else None
        if known is None:
            return False
        self._keep(node, known)
        return True

    def _operands(self, node: NodeProto) -> list[TensorFact | None] | None:
        """What is known of a node's inputs, None for an absent one; None if one is not known."""
        names = list(node.input)
        facts = [self.facts.get(name) if name else None for name in names]
        if None in facts and any(n and f is None for n, f in zip(names, facts, strict=True)):
            return None
        return facts

    def process(self, node: NodeProto) -> None:
        """Fold a node or keep it, and learn the shapes of its outputs."""
        facts = self._operands(node)
        if facts is None:
            self._check_known_operator(node)
            return
        alike = self._recurring.key(node, facts)
        if node.op_type == "Range" and standard(node.domain):
            facts = [fact and _as_scalar(fact) for fact in facts]
        if node.op_type == "Constant" and standard(node.domain) and node.output:
            tensor = next((a.t for a in node.attribute if a.name == "value"), None)
            if tensor is not None:
                self._inference.check_form(node)
                fact = from_proto(tensor, node.output[0], self._directory)
                self._fold(node, [fact])
                return
        try:
            inferred = self._inference.infer(node, facts)
        except UnknownOperatorError as error:
            self.refuse(node, str(error))
            return
        except NotATensorError as error:
            article = "an" if str(error) == "optional" else "a"
            self.refuse(node, f"its output is {article} {error}, not a tensor")
            return
        inferred = [_of_its_own(fact) for fact in inferred]
        found = [fact if isinstance(fact, TensorFact) else None for fact in inferred]
        outputs = self._constants.fixed_outputs(node, facts, found)
        fixed = outputs is not None
        if outputs is None or any(
            fact is None and name in self.wanted
            for name, fact in zip(node.output, outputs, strict=True)
        ):
            merged = [o or i for o, i in zip(outputs or found, inferred, strict=True)]
            outputs, warnings = close_outputs(node, facts, merged, self.declared, self.wanted)
            self.warnings.extend(warnings)
        if not self._all_known(node, outputs):
            return
        if not fixed:
            outputs = self._constants.of_empty(node, facts, outputs, self.wanted)
        present = [fact for fact in outputs if fact is not None]
        if present and (fixed or all(fact.fixed for fact in present)):
            folded = [fact and replace(fact, fixed=True) for fact in outputs]
            if widens(node, facts, folded, self._widened, RELABELLING):
                self._widen(node, folded)
            else:
                self._fold(node, folded)
        else:
            self._recurring.learn(alike, inferred, outputs)
            self._keep(node, outputs)

    def _check_known_operator(self, node: NodeProto) -> None:
        """Of a node behind an unsupported one only this can be said: whether it is one itself."""
        if (node.domain, node.op_type) in SHAPES:
            return
        try:
            self._inference.schema(node)
        except UnknownOperatorError as error:
            self.refuse(node, str(error))

    def _all_known(self, node: NodeProto, inferred: list[TensorFact | None]) -> bool:
        """Whether all outputs have shapes; outputs nobody reads are dropped."""
        for index, name in enumerate(node.output):
            if inferred[index] is None and name:
                if name in self.wanted:
                    self._check_sizes(node)
                    remedy = shape_remedy(node, self.facts, self._producers)
                    self.refuse(node, "the shape of its output depends on data", remedy)
                    return False
                node.output[index] = ""
        return True

    def _check_sizes(self, node: NodeProto) -> None:
        """Raise InvalidInputError for a Resize that is told everything and has no size after it."""
        operands = [name for name in node.input[1:] if name]
        if node.op_type != "Resize" or not operands or not standard(node.domain):
            return
        given = self.facts[operands[-1]].value
        if given is not None:
            shown = ",".join(map(str, given.reshape(-1)[:8].tolist()))
            raise InvalidInputError(
                f"{describe(node)}: its '{operands[-1]}' [{shown}] does not give the size of an "
                "output\nits sizes and scales are positive, one per dimension or axis"
            )

    def _fold(self, node: NodeProto, facts: Sequence[TensorFact | None]) -> None:
        constant = all(fact is None or fact.value is not None for fact in facts)
        for name, fact in zip(node.output, facts, strict=True):
            if name and fact is not None:
                self.facts[name] = fact
        if not constant:
            if any(fact is not None and fact.source is None for fact in facts):
                self.folded.append(node)
            if standard(node.domain) and node.op_type in RELABELLING:
                self.relabelled.append(node)
        self.record(node, "constant" if constant else "weight")

    def _widen(self, node: NodeProto, facts: Sequence[TensorFact | None]) -> None:
        """Keep a node whose output, a weight, is known all the same."""
        for name, fact in zip(node.output, facts, strict=True):
            if name and fact is not None:
                self.facts[name] = fact
                self._widened.add(name)
        self.kept.append(node)
        self.folded.append(node)

    def _keep(self, node: NodeProto, facts: Sequence[TensorFact | None]) -> None:
        for index, (name, fact) in enumerate(zip(list(node.output), facts, strict=True)):
            if not name or fact is None:
                continue
            self.facts[name] = fact
            if fact.fixed:
                node.output[index] = ""  # a constant that the node need not make
            else:
                self._producers[name] = node
        self.kept.append(node)

    def check_form(self, node: NodeProto) -> None:
        """Raise InvalidInputError if a node that is not inferred has the wrong form."""
        self._inference.check_form(node)

    def record(self, node: NodeProto, note: str) -> None:
        """Note that a node is gone; of nodes that t10c made there is no note."""
        if node.name in self.owners:
            return
        self.records.append(NodeRecord(node.name, operator_name(node), NodeClass.FOLDED, note=note))

    def refuse(self, node: NodeProto, reason: str, remedy: str = "") -> None:
        """Note that a node is not supported; its outputs stay unknown."""
        name, operator = self.owners.get(node.name, (node.name, operator_name(node)))
        self.unsupported.append(UnsupportedNode(name, operator, reason, remedy))

    def value_remedy(self, names: Sequence[str]) -> str:
        """What makes the values of these tensors known, '' if nothing does."""
        return value_remedy(names, self.facts, self._producers)

    def refuse_output(self, name: str, reason: str) -> None:
        """Note that an output of the model is not supported."""
        self.unsupported.append(UnsupportedNode(name, "model output", reason))


def _of_its_own(fact: Inferred) -> Inferred:
    """An output, which is no tensor of the file even where its type and shape are an input's."""
    return replace(fact, source=None) if isinstance(fact, TensorFact) and fact.source else fact


def _as_scalar(fact: TensorFact) -> TensorFact:
    """A list of one number as the number: the standard's own function bodies need it for Range."""
    if fact.shape != (1,):
        return fact
    value = None if fact.value is None else fact.value.reshape(())
    return replace(fact, shape=(), value=value)
