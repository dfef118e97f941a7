"""Making nodes that take the place of others, under names that are unique in the model."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import NodeProto

from t10c.onnx_import.names import NameScope
from t10c.onnx_import.tensors import TensorFact, int64


@dataclass(frozen=True, slots=True)
class Names:
    """The names taken in a model, and the opset that new nodes must follow.

    `shared` are tensors made for one node that others may use too, by what they hold.
    """

    nodes: NameScope
    tensors: NameScope
    opset: int
    shared: dict[Hashable, str] = field(default_factory=dict)


class NodeBuilder:
    """Collects nodes, and the constants they read, in place of a node called `prefix`."""

    def __init__(self, prefix: str, names: Names, domain: str = "") -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, TensorFact] = {}
        self._prefix = prefix
        self._names = names
        self._domain = domain

    def constant(self, fact: TensorFact, wish: str) -> str:
        """A constant of the replacement; returns its name."""
        name = self._names.tensors.unique(f"{self._prefix}/{wish}")
        self.tensors[name] = fact
        return name

    def add(
        self,
        op_type: str,
        inputs: Sequence[str],
        outputs: Sequence[str] | None = None,
        **attributes: object,
    ) -> str:
        """A node; returns its first output, which gets a new name unless `outputs` are given."""
        name = self._names.nodes.unique(f"{self._prefix}/{op_type}")
        outputs = outputs or [self._names.tensors.unique(f"{name}/output")]
        node = onnx.helper.make_node(op_type, inputs, outputs, name, domain=self._domain)
        node.attribute.extend(onnx.helper.make_attribute(k, v) for k, v in attributes.items())
        self.nodes.append(node)
        return outputs[0]

    def with_list(
        self,
        op_type: str,
        source: str,
        attribute: str,
        values: list[int],
        outputs: Sequence[str] | None = None,
        **attributes: object,
    ) -> str:
        """Squeeze, Unsqueeze or Split, whose list of integers opset 13 made an input."""
        if self._names.opset < 13:
            attributes[attribute] = values
            return self.add(op_type, [source], outputs, **attributes)
        operand = self.constant(int64(values), attribute)
        return self.add(op_type, [source, operand], outputs, **attributes)

    def new_tensors(self, wish: str, count: int) -> list[str]:
        """Names for tensors."""
        return [self._names.tensors.unique(f"{self._prefix}/{wish}_{i}") for i in range(count)]

    def deliver(self, results: Sequence[str], targets: Sequence[str]) -> None:
        """Give results the names that the replaced node's outputs had ('' if it had none)."""
        for source, target in zip(results, targets, strict=False):
            if target:
                self.add("Identity", [source], [target])
