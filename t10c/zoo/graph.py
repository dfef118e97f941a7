"""Writing ONNX graphs in the manner of an exporter: scoped node names, inline constants."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from t10c.zoo.weights import Fill, Weight

OPSET = 17
"""First opset with LayerNormalization; everything the zoo builds is unchanged in it."""

IR_VERSION = 8
"""The IR version that opset 17 came with."""

Attribute = int | float | Sequence[int] | GraphProto


class GraphBuilder:
    """Collects nodes, constants and weights of one graph; values are handled by name.

    Node names follow the current scope (`/encoder/layer.0/MatMul`), repeated ones are numbered,
    and a node's output is its name with `_output_0`, as PyTorch's exporter writes them.
    """

    def __init__(self) -> None:
        self.weights: list[Weight] = []
        self._nodes: list[NodeProto] = []
        self._touching: dict[str, list[NodeProto]] = {}
        self._constants: dict[str, TensorProto] = {}
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._scopes: list[str] = []
        self._uses: dict[str, int] = {}

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix the names of nodes and weights made inside."""
        self._scopes.append(name)
        yield
        self._scopes.pop()

    def path(self) -> str:
        """The current scope, as it begins the names of nodes."""
        return "/".join(["", *self._scopes])

    def input(self, name: str, shape: Sequence[int], element_type: int = TensorProto.FLOAT) -> str:
        """Declare a graph input."""
        self._inputs.append(helper.make_tensor_value_info(name, element_type, list(shape)))
        return name

    def output(self, value: str, name: str, shape: Sequence[int]) -> None:
        """Declare the float32 graph output `name`: the value's name from here on."""
        touching = self._touching.pop(value)
        for node in touching:
            for names in (node.output, node.input):
                for index, known in enumerate(names):
                    if known == value:
                        names[index] = name
        self._touching[name] = touching
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def op(self, op_type: str, *inputs: str, **attributes: Attribute) -> str:
        """Append a node with one output and return the output's name."""
        return self.ops(op_type, *inputs, outputs=1, **attributes)[0]

    def ops(
        self, op_type: str, *inputs: str, outputs: int, **attributes: Attribute
    ) -> tuple[str, ...]:
        """Append a node with several outputs and return their names; an input `""` is left out."""
        name = "/".join(["", *self._scopes, op_type])
        count = self._uses.get(name, 0)
        self._uses[name] = count + 1
        if count:
            name = f"{name}_{count}"
        produced = [f"{name}_output_{index}" for index in range(outputs)]
        node = helper.make_node(op_type, list(inputs), produced, name)
        node.attribute.extend(helper.make_attribute(k, v) for k, v in sorted(attributes.items()))
        self._nodes.append(node)
        for value in {*inputs, *produced}:
            self._touching.setdefault(value, []).append(node)
        return tuple(produced)

    def weight(
        self, name: str, shape: Sequence[int], fill: Fill = "matrix", fan_in: int = 1
    ) -> str:
        """Declare a learned float32 parameter, named within the scope."""
        full_name = ".".join([*self._scopes, name]).replace("/", ".")
        self.weights.append(Weight(full_name, tuple(shape), fill, fan_in))
        return full_name

    def table(self, name: str, values: NDArray[np.float32]) -> str:
        """Declare a large constant that is stored with the weights."""
        self.weights.append(Weight(name, values.shape, table=values))
        return name

    def constant(self, values: ArrayLike, element_type: type[np.generic]) -> str:
        """Inline a small constant; equal ones are shared."""
        array = np.asarray(values, element_type)
        text = "_".join(str(item) for item in array.ravel()[:8]) or "empty"
        name = f"const_{array.dtype}_{'x'.join(map(str, array.shape)) or 'scalar'}_{text}"
        tensor = numpy_helper.from_array(array, name)
        known = self._constants.setdefault(name, tensor)
        if known.raw_data != tensor.raw_data:
            raise ValueError(f"two constants would be named {name}")
        return name

    def ints(self, *values: int) -> str:
        """Inline a one-dimensional int64 constant: a shape, axes or bounds."""
        return self.constant(values, np.int64)

    def scalar(self, value: float) -> str:
        """Inline a float32 scalar."""
        return self.constant(value, np.float32)

    def body(self) -> "GraphBuilder":
        """A builder of a subgraph, which reads values, constants and weights of this graph.

        The values that it reads must not become outputs later, which would rename them.
        """
        inner = GraphBuilder()
        inner.weights, inner._constants = self.weights, self._constants
        inner._scopes, inner._uses = self._scopes, self._uses
        return inner

    def finish_body(self, name: str) -> GraphProto:
        """The subgraph; its constants and weights are the outer graph's."""
        return helper.make_graph(self._nodes, name, self._inputs, self._outputs)

    def finish(self, name: str, initializers: Sequence[TensorProto]) -> GraphProto:
        """The graph, with `initializers` standing for the declared weights."""
        return helper.make_graph(
            self._nodes,
            name,
            self._inputs,
            self._outputs,
            [*self._constants.values(), *initializers],
        )
