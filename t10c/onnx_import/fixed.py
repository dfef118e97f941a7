"""Where the values of weights come from: the file's tensors, and the nodes that fold them.

Planning holds no value above 64 KiB, and reads no external data. Whoever executes a plan needs
them all, and evaluates the folded nodes once the file's own tensors are there.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import NodeProto, SparseTensorProto, TensorProto, helper

from t10c.errors import InvalidInputError
from t10c.onnx_import.evaluate import evaluate
from t10c.onnx_import.names import describe, operator_name

FileTensor = TensorProto | SparseTensorProto
"""A tensor as it stands in the file: an initializer, or the value of a Constant."""

Reader = Callable[[FileTensor], np.ndarray]
"""Reads the value of a tensor of the file."""


@dataclass(frozen=True)
class FixedValues:
    """What is the same in every inference, without the values of anything large.

    `tensors` are those of the file whose value was not read, `constants` the known values that
    `nodes` read beside them. `nodes` were folded, and are in topological order; `shapes` and
    `element_types` (ONNX's numbers) are those of all of these. `versions` are the model's opsets.
    """

    tensors: Mapping[str, FileTensor] = field(default_factory=dict)
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    nodes: tuple[NodeProto, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    element_types: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)

    def evaluate(
        self, names: Iterable[str], known: Mapping[str, np.ndarray], read: Reader | None = None
    ) -> dict[str, np.ndarray]:
        """Values of the named tensors; those that nothing here determines are left out.

        `known` are values to start from; `read` gives those of the file's tensors. Raises
        InvalidInputError naming a node that cannot be evaluated.
        """
        names = set(names)
        values: dict[str, np.ndarray] = {}
        needed, nodes = self._needed(names - known.keys(), known)
        for name in needed:
            if name in known:
                values[name] = known[name]
            elif name in self.constants:
                values[name] = self.constants[name]
            elif name in self.tensors and read is not None:
                # the value of an input may be given as one number for all elements
                values[name] = np.broadcast_to(read(self.tensors[name]), self.shapes[name])
        last_use = {name: index for index, node in enumerate(nodes) for name in node.input}
        for index, node in enumerate(nodes):
            if all(name in values for name in node.input if name):
                values |= self._outputs(node, values)
            for name in set(node.input) - names:
                if last_use.get(name) == index:
                    values.pop(name, None)  # large, and not needed any more
        return {name: values[name] for name in names & values.keys()}

    def renamed(self, rename: Callable[[str], str]) -> "FixedValues":
        """The same under other tensor names."""
        nodes = []
        for old in self.nodes:
            node = NodeProto()
            node.CopyFrom(old)
            for names in (node.input, node.output):
                names[:] = [rename(name) if name else "" for name in names]
            nodes.append(node)
        return FixedValues(
            {rename(name): tensor for name, tensor in self.tensors.items()},
            {rename(name): value for name, value in self.constants.items()},
            tuple(nodes),
            {rename(name): shape for name, shape in self.shapes.items()},
            {rename(name): kind for name, kind in self.element_types.items()},
            self.versions,
        )

    def _needed(
        self, names: Iterable[str], known: Mapping[str, np.ndarray]
    ) -> tuple[set[str], list[NodeProto]]:
        """All tensors that these follow from, and the nodes to evaluate in order."""
        wanted, nodes = set(names), []
        for node in reversed(self.nodes):
            made = wanted.intersection(filter(None, node.output))
            if made and not made <= known.keys() | self.constants.keys():
                nodes.append(node)
                wanted.update(filter(None, node.input))
        return wanted, nodes[::-1]

    def _outputs(self, node: NodeProto, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        inputs = [values[name] if name else None for name in node.input]
        found = evaluate(node, inputs, self.versions, sys.maxsize, patient=True)
        if found is None:
            raise InvalidInputError(
                f"{describe(node)}: onnx has no reference for {operator_name(node)} of constants\n"
                "simplify the model first, so that its weights are initializers"
            )
        outputs = {}
        for name, value in zip(filter(None, node.output), found, strict=False):
            if name in self.shapes:
                dtype = helper.tensor_dtype_to_np_dtype(self.element_types[name])
                value = value.reshape(self.shapes[name]).astype(dtype, copy=False)
            outputs[name] = value
        return outputs
