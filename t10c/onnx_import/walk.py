"""The walk over the nodes: control flow and sequences are taken apart, the rest is folded."""

from collections import deque
from collections.abc import Sequence

from onnx import NodeProto

from t10c.onnx_import import contrib
from t10c.onnx_import.build import Names
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.fold import Folder
from t10c.onnx_import.infer import UnknownOperatorError
from t10c.onnx_import.inline import Inliner, LoopRun, NotInlinableError
from t10c.onnx_import.names import NameScope, operator_name
from t10c.onnx_import.registry import EXPANSIONS
from t10c.onnx_import.sequences import SEQUENCE_OPERATORS, SequenceRewriter
from t10c.onnx_import.structure import needed_names, subgraphs

assert contrib  # imported for its expansions

Item = NodeProto | LoopRun
"""What is still to be done: a node, or the rest of a loop after some of its iterations."""

_BRANCH_REMEDY = "export only the branch that is taken, or fold the condition to a constant"
_LOOP_REMEDY = "export it with a fixed number of iterations, or one iteration by itself"


def fold_nodes(
    folder: Folder, nodes: Sequence[NodeProto], outputs: Sequence[str], node_names: NameScope
) -> None:
    """Process the topologically ordered nodes; the outcome is in the folder's fields.

    Raises InvalidInputError for a node that is wrong.
    """
    _Walk(folder, nodes, outputs, node_names).run(nodes, outputs)


class _Walk:
    """A queue of nodes in which a node may be replaced by what it does."""

    def __init__(
        self,
        folder: Folder,
        nodes: Sequence[NodeProto],
        outputs: Sequence[str],
        node_names: NameScope,
    ) -> None:
        self._folder = folder
        self._facts = folder.facts
        self._sequences: dict[str, tuple[str, ...]] = {}
        folder.wanted.update(outputs)
        folder.wanted.update(name for node in nodes for name in needed_names(node))
        taken = {*self._facts, *folder.wanted}
        taken.update(name for node in nodes for name in node.output)
        self._names = Names(node_names, NameScope(taken), folder.opset)
        self._inliner = Inliner(self._names)

    def run(self, nodes: Sequence[NodeProto], outputs: Sequence[str]) -> None:
        pending: deque[Item] = deque(nodes)
        while pending:
            item = pending.popleft()
            try:
                following = self._replacement(item)
            except (NotInlinableError, UnknownOperatorError) as error:
                node = item.node if isinstance(item, LoopRun) else item
                remedy = error.remedy if isinstance(error, NotInlinableError) else ""
                self._folder.refuse(node, str(error), remedy)
                continue
            for each in following:
                if isinstance(each, NodeProto):
                    self._folder.wanted.update(needed_names(each))
            pending.extendleft(reversed(following))
        for output in outputs:
            if output in self._sequences:
                self._folder.refuse_output(output, "it is a sequence, not a tensor")

    def _replacement(self, item: Item) -> list[Item]:
        """Fold or keep a node, or say what takes its place."""
        if isinstance(item, LoopRun):
            return self._advance(item)
        if subgraphs(item):
            return self._control(item)
        if (item.domain, item.op_type) in EXPANSIONS:
            return self._expand(item)
        if item.op_type in SEQUENCE_OPERATORS or self._sequences.keys() & item.input:
            return self._take_apart(item)
        self._folder.process(item)
        return []

    def _is_known(self, name: str) -> bool:
        return name in self._facts or name in self._sequences

    def _control(self, node: NodeProto) -> list[Item]:
        """What takes the place of an If or Loop; nothing if it depends on an unsupported node."""
        if not all(self._is_known(name) for name in needed_names(node)):
            return []
        if node.op_type == "If" and not node.domain:
            condition = self._scalar(_input(node, 0))
            if condition is None:
                raise NotInlinableError("its condition depends on data", _BRANCH_REMEDY)
            instance = self._inliner.branch(node, bool(condition), self._available())
            self._facts.update(instance.tensors)
            self._folder.record(node, f"took its {'then' if condition else 'else'} branch")
            return list(instance.nodes)
        if node.op_type == "Loop" and not node.domain:
            trips = self._scalar(_input(node, 0))
            if _input(node, 0) and trips is None:
                raise NotInlinableError("the number of iterations depends on data", _LOOP_REMEDY)
            return [self._inliner.start(node, trips)]
        raise NotInlinableError("operators with subgraphs are not supported")

    def _advance(self, run: LoopRun) -> list[Item]:
        """The next iteration of a loop, or its outputs if it ends here."""
        if run.condition and run.condition not in self._facts:
            return []  # depends on an unsupported node
        goes_on = self._scalar(run.condition) if run.condition else 1
        ended = run.trips is not None and run.done >= run.trips
        if goes_on is None and not ended:
            raise NotInlinableError("the number of iterations depends on data", _LOOP_REMEDY)
        if ended or not goes_on:
            instance = self._inliner.finish(run)
            self._facts.update(instance.tensors)
            self._folder.record(run.node, f"unrolled {run.done} times")
            return list(instance.nodes)
        instance, after = self._inliner.iterate(run, self._available())
        self._facts.update(instance.tensors)
        self._folder.wanted.update(instance.outputs)
        return [*instance.nodes, after]

    def _expand(self, node: NodeProto) -> list[Item]:
        """The standard's operators that take the place of one of another domain."""
        if not all(self._is_known(name) for name in node.input if name):
            return []
        expansion = Expansion(node, self._facts, self._names)
        EXPANSIONS[node.domain, node.op_type].function(expansion)
        self._facts.update(expansion.tensors)
        owner = self._folder.owners.get(node.name, (node.name, operator_name(node)))
        self._folder.owners.update((made.name, owner) for made in expansion.nodes)
        return list(expansion.nodes)

    def _take_apart(self, node: NodeProto) -> list[Item]:
        """The tensor operators that take the place of a sequence operator."""
        if not all(self._is_known(name) for name in node.input if name):
            return []
        self._folder.check_form(node)
        rewriter = SequenceRewriter(node, self._facts, self._sequences, self._names)
        self._facts.update(rewriter.tensors)
        self._sequences.update(rewriter.sequences)
        self._folder.record(node, "sequence of known length")
        for items in rewriter.sequences.values():
            self._folder.wanted.update(items)
        return list(rewriter.nodes)

    def _available(self) -> set[str]:
        return {*self._facts, *self._sequences}

    def _scalar(self, name: str) -> int | None:
        """The value of a tensor of one element, if it is known."""
        fact = self._facts.get(name)
        if fact is None or fact.value is None or fact.value.size != 1:
            return None
        return int(fact.value.reshape(()))


def _input(node: NodeProto, index: int) -> str:
    """The name of an input, '' if it is absent."""
    return node.input[index] if len(node.input) > index else ""
