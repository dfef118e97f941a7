"""A node of another domain while the standard's operators take its place."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn, TypeVar, cast

import numpy as np
import onnx
from onnx import NodeProto, helper

from t10c.onnx_import.build import Names, NodeBuilder
from t10c.onnx_import.inline import NotInlinableError, rename_tensors
from t10c.onnx_import.names import NEWEST_DOMAIN
from t10c.onnx_import.tensors import TensorFact, element_type_name, known

_T = TypeVar("_T")


class Expansion(NodeBuilder):
    """What an expansion reads of its node, and where it puts the nodes that take its place.

    Nodes that are added follow the newest opset that onnx knows, whatever the model's. After the
    expansion, `nodes` and `tensors` hold what was added.
    """

    def __init__(self, node: NodeProto, facts: Mapping[str, TensorFact], names: Names) -> None:
        newest = replace(names, opset=onnx.defs.onnx_opset_version())
        super().__init__(node.name, newest, NEWEST_DOMAIN)
        self.node = node
        self._facts = facts
        self._attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def input(self, index: int) -> str:
        """The name of an input, '' where it is absent."""
        return self.node.input[index] if index < len(self.node.input) else ""

    def output(self, index: int) -> str:
        """The name of an output, '' where nobody wants it."""
        return self.node.output[index] if index < len(self.node.output) else ""

    def fact(self, index: int) -> TensorFact:
        """Type, shape and perhaps value of an input; refuses the node where it is absent."""
        name = self.input(index)
        if not name:
            self.refuse(f"its input {index} is missing")
        return self._facts[name]

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of an input."""
        return self.fact(index).shape

    def element_type(self, index: int) -> str:
        """The element type of an input: `float32`, `int8`, ..."""
        return element_type_name(self.fact(index).element_type)

    def value(self, index: int) -> np.ndarray | None:
        """The value of an input, None where it is absent or depends on data."""
        name = self.input(index)
        return self._facts[name].value if name else None

    def given(self, name: str) -> bool:
        """Whether the node has an attribute."""
        return name in self._attributes

    def attribute(self, name: str, default: _T) -> _T:
        """An attribute in the type of its default (texts are decoded)."""
        value = self._attributes.get(name, default)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, type(default)) and not isinstance(default, Sequence):
            self.refuse(f"its attribute '{name}' is of the wrong type")
        return cast(_T, value)

    def array(self, value: object, dtype: str = "", wish: str = "constant") -> str:
        """A constant of the replacement from numbers; returns its name."""
        array = np.asarray(value, dtype or None)
        return self.constant(known(array, helper.np_dtype_to_tensor_dtype(array.dtype)), wish)

    def shared(self, key: Hashable, make: Callable[[], str]) -> str:
        """A tensor that further nodes of the model use too: made once for each key.

        The key must say all that the tensor depends on; masks of every layer are one weight.
        """
        name = self._names.shared.get(key)
        if name is None:
            name = self._names.shared[key] = make()
        return name

    def result(self, index: int, source: str) -> None:
        """Say which tensor output `index` of the node is."""
        if self.output(index):
            self.deliver([source], [self.output(index)])

    def insert(self, nodes: Iterable[NodeProto], given: Mapping[str, str]) -> None:
        """Copies of nodes that follow the model's own opset; `given` renames tensors of outside."""
        names = dict(given)
        for node in nodes:
            made = [name for name in node.output if name and name not in names]
            names.update(zip(made, self.new_tensors(node.op_type, len(made)), strict=True))
            copy = NodeProto()
            copy.CopyFrom(node)
            copy.name = self._names.nodes.unique(f"{self._prefix}/{node.op_type}")
            rename_tensors(copy, names)
            self.nodes.append(copy)

    def refuse(self, reason: str) -> NoReturn:
        """Give up: the node is reported as unsupported with this reason."""
        raise NotInlinableError(reason)
