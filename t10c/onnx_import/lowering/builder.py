"""What lowerings write to: collects operators, new tensors and their names."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from t10c.ir.expression import TensorExpression
from t10c.ir.graph import LayoutOp, Operator, Tensor, TensorKind
from t10c.onnx_import.attributes import LoweringError
from t10c.onnx_import.fixed import FixedValues
from t10c.onnx_import.lowering.dims import Shape, squeezed
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """A node to lower and the ONNX nodes it stands for, the one that gives its name first."""

    node: ResolvedNode
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a derived weight follows from other weights: `formula(*values of inputs)`."""

    name: str
    inputs: tuple[str, ...]
    formula: Callable[..., np.ndarray]


class GraphBuilder:
    """Operators and tensors of a graph in the making.

    `begin` says which node is being lowered; all that follows carries its name and its ONNX nodes,
    and `opset` is the version it follows. `fallbacks` says why nodes became fallback operators,
    `moved_weights` which layout operator makes a derived weight of another weight, and `bodies`
    where the weights of function bodies come from.
    Tensors keep their ONNX names; a lowering that needs more makes them with `temporary` and
    `derived_weight`, named after the node.
    """

    def __init__(self, model: ResolvedModel) -> None:
        self.opset = model.opset
        self.fallbacks: dict[str, str] = {}
        self.operators: list[Operator | LayoutOp] = []
        self.derivations: list[Derivation] = []
        self.bodies: list[FixedValues] = []
        self.moved_weights: dict[str, LayoutOp] = {}
        self._shapes: dict[str, Shape] = {n: _whole(s) for n, s in model.shapes.items()}
        self._element_types: dict[str, str] = dict(model.element_types)
        self._constants: dict[str, np.ndarray] = dict(model.constants)
        self._inputs = frozenset(model.inputs)
        self._weights = set(model.weights) | set(model.constants)
        self._names = {node.name for node in model.nodes}
        self._expanded: dict[str, str] = {}
        self._expressions: dict[TensorExpression, TensorExpression] = {}
        self._used: set[str] = set()
        self._op_type = ""
        self._nodes: tuple[str, ...] = ()
        self._model_opset = model.opset
        self._start = (0, 0)
        self._made: list[str] = []

    @property
    def node(self) -> str:
        """Name of the ONNX node that is being lowered."""
        return self._nodes[0]

    def begin(self, group: NodeGroup) -> None:
        """Start lowering a node."""
        self.opset = group.node.opset or self._model_opset
        self._op_type = group.node.op_type
        self._nodes = group.nodes
        self._start = (len(self.operators), len(self.derivations))
        self._made = []

    def undo(self) -> None:
        """Forget what was added since `begin`."""
        operators, derivations = self._start
        for operator in self.operators[operators:]:
            self._used.discard(operator.name)
            self._expanded.pop(operator.output, None)
        del self.operators[operators:], self.derivations[derivations:]
        for tensor in self._made:
            del self._shapes[tensor], self._element_types[tensor]
            self._weights.discard(tensor)
        self._made = []

    def adopt(self, body: ResolvedModel) -> None:
        """Know the tensors of a function body; what the model knows already stays."""
        for name, shape in body.shapes.items():
            self._shapes.setdefault(name, _whole(shape))
            self._element_types.setdefault(name, body.element_types[name])
        for name, value in body.constants.items():
            self._constants.setdefault(name, value)
        self._weights |= {*body.weights, *body.constants}
        if body.weights:
            self.bodies.append(body.fixed)

    # Tensors

    def shape(self, tensor: str) -> Shape:
        """Shape of a tensor; LoweringError where it is not known."""
        shape = self._shapes.get(tensor)
        if shape is None:
            raise LoweringError(f"the shape of {tensor!r} is not known")
        return shape

    def element_type(self, tensor: str) -> str:
        """Element type of a tensor."""
        return self._element_types.get(tensor, "float32")

    def is_weight(self, tensor: str) -> bool:
        """Whether the tensor is fixed before inference."""
        return tensor in self._weights

    def value(self, tensor: str) -> np.ndarray | None:
        """The value of a known constant, else None."""
        return self._constants.get(tensor)

    def constants(self) -> Mapping[str, np.ndarray]:
        """All known constants, those of function bodies too."""
        return self._constants

    def constant(self, tensor: str, meaning: str) -> np.ndarray:
        """The value of an operand that must be known; LoweringError where it is not."""
        value = self._constants.get(tensor)
        if value is None:
            raise LoweringError(f"the value of its {meaning} depends on data")
        return value

    def literal(self, tensor: str) -> str | None:
        """A known constant of one element as text, else None."""
        value = self._constants.get(tensor)
        return literal_text(value) if value is not None and value.size == 1 else None

    def temporary(self, suffix: str, shape: Shape, like: str) -> str:
        """A new activation of the element type of `like`."""
        return self.new_tensor(f"{self._nodes[0]}.{suffix}", shape, self.element_type(like))

    def derived_weight(
        self,
        suffix: str,
        shape: Shape,
        element_type: str,
        formula: Callable[..., np.ndarray],
        inputs: Sequence[str] = (),
    ) -> str:
        """A new weight, computed before inference as `formula(*values of inputs)`.

        The inputs are weights themselves; LoweringError where one is not.
        """
        return self.weight_from(f"{self._nodes[0]}.{suffix}", shape, element_type, formula, inputs)

    def weight_from(
        self,
        wanted: str,
        shape: Shape,
        element_type: str,
        formula: Callable[..., np.ndarray],
        inputs: Sequence[str] = (),
    ) -> str:
        """A derived weight of any name, also after all nodes are lowered."""
        for tensor in inputs:
            if not self.is_weight(tensor):
                raise LoweringError(f"{tensor!r} is no weight: it depends on data")
        name = self.new_tensor(wanted, shape, element_type)
        self._weights.add(name)
        self.derivations.append(Derivation(name, tuple(inputs), formula))
        return name

    def forget_weight(self, name: str) -> None:
        """Let a derived weight be an activation, which an operator makes."""
        self._weights.discard(name)
        self.derivations = [made for made in self.derivations if made.name != name]

    def tensor(self, name: str) -> Tensor:
        """The tensor as the graph lists it."""
        kind: TensorKind = "activation"
        if name in self._inputs:
            kind = "input"
        elif name in self._weights:
            kind = "weight"
        return Tensor(name, self.shape(name), self.element_type(name), kind)

    def unexpanded(self, tensor: str) -> str:
        """What an Expand read, for a consumer that broadcasts by itself; else the tensor."""
        return self._expanded.get(tensor, tensor)

    def new_tensor(self, wanted: str, shape: Shape, element_type: str) -> str:
        """A new activation, named as wanted or nearly so."""
        name = self._unique(wanted, self._shapes)
        self._shapes[name] = _whole(shape)
        self._element_types[name] = element_type
        self._made.append(name)
        return name

    # Operators

    def compute(
        self, suffix: str, expression: TensorExpression, inputs: Sequence[str], output: str
    ) -> None:
        """Add a planned operator; `suffix` names the further operators of one node.

        Equal expressions become one object.
        """
        self._add(
            Operator(
                name=self._operator_name(suffix),
                op_type=self._op_type,
                expression=self._expressions.setdefault(expression, expression),
                inputs=tuple(inputs),
                output=output,
                nodes=self._nodes,
            )
        )

    def reshape(self, source: str, target: str, suffix: str = "") -> None:
        """Add a relabelling of the same elements."""
        name = self._operator_name(suffix)
        self._add(LayoutOp(name, self._op_type, "reshape", (source,), target, self._nodes))

    def transpose(self, source: str, target: str, perm: Sequence[int], suffix: str = "") -> None:
        """Add a transposition; a reshape where it only moves dimensions of size 1."""
        shape = self.shape(source)
        moved = [axis for axis in perm if shape[axis] != 1]
        if moved == sorted(moved):
            return self.reshape(source, target, suffix)
        name = self._operator_name(suffix)
        return self._add(
            LayoutOp(
                name, self._op_type, "transpose", (source,), target, self._nodes, perm=tuple(perm)
            )
        )

    def slice(
        self,
        source: str,
        target: str,
        starts: Sequence[int],
        steps: Sequence[int],
        suffix: str = "",
    ) -> None:
        """Add a strided selection; `starts` and `steps` have one entry per dimension."""
        name = self._operator_name(suffix)
        self._add(
            LayoutOp(
                name,
                self._op_type,
                "slice",
                (source,),
                target,
                self._nodes,
                starts=tuple(starts),
                steps=tuple(steps),
            )
        )

    def expand(self, source: str, target: str, suffix: str = "") -> None:
        """Add a broadcast; consumers that broadcast by themselves read its source instead."""
        if squeezed(self.shape(source)) == squeezed(self.shape(target)):
            return self.reshape(source, target, suffix)
        self._expanded[target] = self.unexpanded(source)
        name = self._operator_name(suffix)
        return self._add(LayoutOp(name, self._op_type, "expand", (source,), target, self._nodes))

    def concat(self, sources: Sequence[str], target: str, axis: int, suffix: str = "") -> None:
        """Add a concatenation; inputs without elements are left out."""
        inputs = tuple(source for source in sources if 0 not in self.shape(source))
        if len(inputs) == 1:
            return self.reshape(inputs[0], target, suffix)
        name = self._operator_name(suffix)
        return self._add(
            LayoutOp(name, self._op_type, "concat", inputs, target, self._nodes, axis=axis)
        )

    def pad(
        self,
        source: str,
        target: str,
        starts: Sequence[int],
        suffix: str = "",
        fill: str = "0.0",
    ) -> None:
        """Add a padding with a constant."""
        name = self._operator_name(suffix)
        self._add(
            LayoutOp(
                name,
                self._op_type,
                "pad",
                (source,),
                target,
                self._nodes,
                starts=tuple(starts),
                fill=fill,
            )
        )

    def _add(self, operator: Operator | LayoutOp) -> None:
        self.operators.append(operator)

    def _operator_name(self, suffix: str) -> str:
        own = self._nodes[0]
        wanted = f"{own}.{suffix}" if suffix else own
        taken = (self._used,) if wanted == own else (self._used, self._names)
        name = self._unique(wanted, *taken)
        self._used.add(name)
        return name

    def _unique(self, wanted: str, *taken: Container[str]) -> str:
        name, count = wanted, 1
        while any(name in names for names in taken):
            count += 1
            name = f"{wanted}.{count}"
        return name


def _whole(shape: Sequence[int]) -> Shape:
    """The sizes as plain integers, whatever computed them."""
    return tuple(map(int, shape))


def literal_text(value: np.ndarray) -> str:
    """A one-element array as the literal of a scalar step; shortest text that reads back equal."""
    scalar = value.reshape(())[()]
    if value.dtype.kind in "biu":
        return str(int(scalar))
    if value.dtype.kind != "f":
        return repr(float(scalar))
    return str(scalar) if np.isfinite(scalar) else repr(float(scalar))
