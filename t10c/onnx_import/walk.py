"""The walk over the nodes: control flow and sequences are taken apart, the rest is folded."""

import copy
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from onnx import NodeProto

from t10c.onnx_import.attributes import DAMAGED
from t10c.onnx_import.build import Names
from t10c.onnx_import.cost import operations
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.fold import Folder
from t10c.onnx_import.infer import UnknownOperatorError
from t10c.onnx_import.inline import Inliner, Instance, LoopRun, NotInlinableError, branch_name
from t10c.onnx_import.modified import expand_modified, is_modified
from t10c.onnx_import.names import NameScope, describe, operator_name, standard
from t10c.onnx_import.optionals import OPTIONAL_OPERATORS, OptionalRewriter
from t10c.onnx_import.registry import EXPANSIONS, ExpansionFunction
from t10c.onnx_import.scan import is_batched, split_batch, start_scan
from t10c.onnx_import.sequences import SEQUENCE_OPERATORS, SequenceRewriter
from t10c.onnx_import.structure import Needs, Union, needed_names, subgraphs
from t10c.onnx_import.superseded import expand_superseded, is_superseded

Item = NodeProto | LoopRun
"""What is still to be done: a node, or the rest of a loop after some of its iterations."""

_LOOP_REMEDY = "export it with a fixed number of iterations, or one iteration by itself"


def fold_nodes(
    folder: Folder,
    nodes: Sequence[NodeProto],
    outputs: Sequence[str],
    needs: Needs,
    node_names: NameScope,
    sizes: Mapping[str, int],
) -> None:
    """Process the topologically ordered nodes; the outcome is in the folder's fields.

    `needs` says what each of them reads, `sizes` are those of symbolic dimensions. Raises
    InvalidInputError for a node that is wrong.
    """
    folder.wanted.update(outputs, *needs)
    _Walk(folder, nodes, node_names, sizes).run(nodes, outputs)


class _Walk:
    """A queue of nodes in which a node may be replaced by what it does."""

    def __init__(
        self,
        folder: Folder,
        nodes: Sequence[NodeProto],
        node_names: NameScope,
        sizes: Mapping[str, int],
    ) -> None:
        self._folder = folder
        self._facts = folder.facts
        self._sequences: dict[str, tuple[str, ...]] = {}
        self._optionals: dict[str, str] = {}
        taken = {*self._facts, *folder.wanted}
        taken.update(*(node.output for node in nodes))
        self._names = Names(node_names, NameScope(taken), folder.opset)
        self._inliner = Inliner(self._names, sizes)

    def run(self, nodes: Sequence[NodeProto], outputs: Sequence[str]) -> None:
        pending: deque[Item] = deque(nodes)
        while pending:
            item = pending.popleft()
            if isinstance(item, NodeProto) and self._folder.recall(item):
                continue
            try:
                following = self._replacement(item)
            except (NotInlinableError, UnknownOperatorError) as error:
                node = item.node if isinstance(item, LoopRun) else item
                remedy = error.remedy if isinstance(error, NotInlinableError) else ""
                self._folder.refuse(node, str(error), remedy)
                continue
            self._want(following)
            pending.extendleft(reversed(following))
        for output in outputs:
            for what, made in (("a sequence", self._sequences), ("an optional", self._optionals)):
                if output in made:
                    self._folder.refuse_output(output, f"it is {what}, not a tensor")

    def _want(self, items: Iterable[Item]) -> None:
        for each in items:
            if isinstance(each, NodeProto):
                self._folder.wanted.update(needed_names(each))

    def _replacement(self, item: Item) -> list[Item]:
        """Fold or keep a node, or say what takes its place."""
        if isinstance(item, LoopRun):
            return self._advance(item)
        if subgraphs(item):
            return self._control(item)
        op_type = item.op_type
        if (item.domain, op_type) in EXPANSIONS:
            return self._expand(item, EXPANSIONS[item.domain, op_type].function)
        if is_superseded(item, self._folder.opset):
            self._folder.check_form(item)
            return self._expand(item, expand_superseded)
        if op_type in OPTIONAL_OPERATORS or _any_of(self._optionals, item):
            return self._take_apart(item, optional=True)
        if op_type in SEQUENCE_OPERATORS or _any_of(self._sequences, item):
            return self._take_apart(item)
        self._folder.process(item)
        return []

    def _is_known(self, name: str) -> bool:
        return name in self._available()

    def _control(self, node: NodeProto) -> list[Item]:
        """What takes the place of control flow; nothing if it depends on an unsupported node."""
        if not all(self._is_known(name) for name in needed_names(node)):
            return []
        if standard(node.domain):
            if node.op_type in ("If", "Loop", "Scan"):
                self._folder.check_form(node)
            if node.op_type == "If":
                return self._branch(node)
            if node.op_type == "Loop":
                return self._loop(node)
            if node.op_type == "Scan":
                return self._scan(node)
        if is_modified(node) and all(name in self._facts for name in node.input if name):
            return self._expand(node, expand_modified)
        raise NotInlinableError("operators with subgraphs are not supported")

    def _branch(self, node: NodeProto) -> list[Item]:
        """The branch that is taken; where data decide that, the costlier one."""
        condition = self._scalar(_input(node, 0))
        if condition is None:
            return self._costlier_branch(node)
        instance = self._inliner.branch(node, bool(condition), self._available())
        self._folder.record(node, f"took its {branch_name(bool(condition))} branch")
        return self._insert(instance)

    def _costlier_branch(self, node: NodeProto) -> list[Item]:
        """Take both branches apart and go on from the end of the one of more operations."""
        trials = [self._trial(node, condition) for condition in (True, False)]
        for trial in trials:
            if trial._folder.unsupported:
                self._folder.unsupported.extend(trial._folder.unsupported)
                return []
        costs = [operations(trial._folder.kept, trial._facts) for trial in trials]
        taken = costs[0] >= costs[1]
        trial = trials[0 if taken else 1]
        self._folder.absorb(trial._folder)
        self._sequences.update(trial._sequences)
        self._optionals.update(trial._optionals)
        name, other = branch_name(taken), branch_name(not taken)
        if costs[0] == costs[1]:
            why = f"both branches cost {costs[0]} operations"
        else:
            why = f"the costlier of the two ({max(costs)} against {min(costs)} operations)"
        self._folder.record(node, f"planned as its {name} branch")
        self._folder.warnings.append(
            f"{describe(node)} chooses by data: planned as its {name} branch, {why}; "
            f"its {other} branch is left out"
        )
        return []

    def _trial(self, node: NodeProto, condition: bool) -> "_Walk":
        """A walk that has gone through one branch of an If."""
        walk = copy.copy(self)
        walk._folder = self._folder.fork()
        walk._facts = walk._folder.facts
        walk._sequences = dict(self._sequences)
        walk._optionals = dict(self._optionals)
        instance = self._inliner.branch(node, condition, self._available())
        nodes = [item for item in walk._insert(instance) if isinstance(item, NodeProto)]
        walk._want(nodes)
        walk.run(nodes, ())
        return walk

    def _loop(self, node: NodeProto) -> list[Item]:
        trips, goes_on = self._scalar(_input(node, 0)), self._scalar(_input(node, 1))
        if not _input(node, 0) and not _input(node, 1):
            raise NotInlinableError("it has neither a trip count nor a condition, and never ends")
        if _input(node, 0) and trips is None and (goes_on or not _input(node, 1)):
            raise self._endless([_input(node, 0)])
        if _input(node, 0) and trips is None and goes_on is None:
            raise self._endless([_input(node, 0), _input(node, 1)])
        return [self._inliner.start(node, max(trips, 0) if trips is not None else None)]

    def _scan(self, node: NodeProto) -> list[Item]:
        if is_batched(node, self._folder.opset):
            builder = split_batch(node, self._facts, self._names)
            self._facts.update(builder.tensors)
            owner = self._folder.owners.get(node.name, (node.name, operator_name(node)))
            self._folder.owners.update((made.name, owner) for made in builder.nodes)
            return list(builder.nodes)
        builder, run = start_scan(node, self._facts, self._names)
        self._inliner.check_length(run, run.trips or 0)
        self._facts.update(builder.tensors)
        return [*builder.nodes, run]

    def _endless(self, names: Sequence[str]) -> NotInlinableError:
        """How to refuse a loop whose number of iterations follows from these tensors."""
        further = self._folder.value_remedy(names)
        remedy = f"{_LOOP_REMEDY}; or {further}" if further else _LOOP_REMEDY
        return NotInlinableError("the number of iterations depends on data", remedy)

    def _advance(self, run: LoopRun) -> list[Item]:
        """The next iteration of a loop, or its outputs if it ends here."""
        if run.condition and run.condition not in self._facts:
            return []  # depends on an unsupported node
        goes_on = self._scalar(run.condition) if run.condition else 1
        ended = run.trips is not None and run.done >= run.trips
        if goes_on is None and not ended:
            if run.trips is None:
                raise self._endless([run.condition])
            if not run.unsure:
                self._inliner.check_length(run, run.trips)
            run = replace(run, unsure=True)
            goes_on = 1
        if ended or not goes_on:
            return self._insert(self._finished(run))
        instance, after = self._inliner.iterate(run, self._available())
        self._folder.wanted.update(instance.outputs)
        return [*self._insert(instance), after]

    def _finished(self, run: LoopRun) -> Instance:
        instance = self._inliner.finish(run)
        self._folder.record(run.node, f"unrolled {run.done} times")
        if run.unsure:
            self._folder.warnings.append(
                f"{describe(run.node)} may end early, which depends on data; "
                f"planned for all {run.done} iterations"
            )
        return instance

    def _insert(self, instance: Instance) -> list[Item]:
        """Know the constants and declarations of what takes the place of a node."""
        self._facts.update(instance.tensors)
        self._folder.declare(instance.declared, instance.nodes)
        return list(instance.nodes)

    def _expand(self, node: NodeProto, function: ExpansionFunction) -> list[Item]:
        """The standard's operators that take the place of one of another domain."""
        if not all(self._is_known(name) for name in node.input if name):
            return []
        expansion = Expansion(node, self._facts, self._names)
        try:
            function(expansion)
        except DAMAGED as error:
            reason = f"its operands do not fit its definition ({error})"
            raise NotInlinableError(reason, "check the node's inputs and attributes") from error
        self._facts.update(expansion.tensors)
        owner = self._folder.owners.get(node.name, (node.name, operator_name(node)))
        self._folder.owners.update((made.name, owner) for made in expansion.nodes)
        return list(expansion.nodes)

    def _take_apart(self, node: NodeProto, optional: bool = False) -> list[Item]:
        """The tensor operators that take the place of one of sequences or optionals."""
        if not all(self._is_known(name) for name in node.input if name):
            return []
        self._folder.check_form(node)
        if optional:
            made = OptionalRewriter(node, self._sequences, self._optionals, self._names)
            self._optionals.update(made.optionals)
            self._folder.wanted.update(made.optionals.values())
            rewriter: OptionalRewriter | SequenceRewriter = made
        else:
            rewriter = SequenceRewriter(node, self._facts, self._sequences, self._names)
        self._facts.update(rewriter.tensors)
        self._sequences.update(rewriter.sequences)
        what = "optional that is known" if optional else "sequence of known length"
        self._folder.record(node, what)
        for items in rewriter.sequences.values():
            self._folder.wanted.update(items)
        return list(rewriter.nodes)

    def _available(self) -> Union:
        """The tensors, sequences and optionals that exist so far."""
        return Union(self._facts, self._sequences, self._optionals)

    def _scalar(self, name: str) -> int | None:
        """The value of a tensor of one element, if it is known."""
        fact = self._facts.get(name)
        if fact is None or fact.value is None or fact.value.size != 1:
            return None
        value = fact.value.reshape(())
        return int(value) if value.dtype.kind in "biuf" and np.isfinite(value) else None


def _any_of(names: Mapping[str, object], node: NodeProto) -> bool:
    """Whether a node reads one of the names."""
    return bool(names) and any(name in names for name in node.input)


def _input(node: NodeProto, index: int) -> str:
    """The name of an input, '' if it is absent."""
    return node.input[index] if len(node.input) > index else ""
