"""The graph of a model: tensors, planned operators and layout-only moves, in execution order."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Literal

from t10c.ir.expression import NARROW_BITS, TensorExpression

TensorKind = Literal["input", "weight", "activation"]


class NodeClass(StrEnum):
    """What became of an ONNX node; every node is in exactly one class."""

    PLANNED = "planned"
    FUSED = "fused"
    LAYOUT_ONLY = "layout_only"
    FOLDED = "folded"
    FALLBACK = "fallback"
    UNSUPPORTED = "unsupported"

    @property
    def text(self) -> str:
        """As shown to users: `layout-only`."""
        return self.value.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the graph; `element_type` is the model's own (`float32`, `int64`, ...)."""

    name: str
    shape: tuple[int, ...]
    element_type: str
    kind: TensorKind

    @property
    def bits(self) -> int:
        """Stored width in bits of an element; 0 for the specification's element type."""
        return type_bits(self.element_type)

    @property
    def narrow(self) -> bool:
        """Whether it is stored in at most 8 bits per element."""
        return is_narrow(self.element_type)


@lru_cache(maxsize=64)
def type_bits(element_type: str) -> int:
    """Width in bits at which elements of a type are planned; 0 for the specification's own type.

    What quantised models store and sum in has a width of its own: types of at most 8 bits, and
    integers of 32 bits. All others are planned in the specification's element type: floats of 16
    bits and more, truth values, and other integers, which are indices.
    """
    if element_type in ("int32", "uint32"):
        return 32
    narrow = re.fullmatch(r"u?int(8|4|2)|float(8|4)\w*", element_type)
    return int(narrow[1] or narrow[2]) if narrow else 0


def is_narrow(element_type: str) -> bool:
    """Whether a type has at most 8 bits per element."""
    return 0 < type_bits(element_type) <= NARROW_BITS


@dataclass(frozen=True, slots=True)
class Operator:
    """A planned operator: an expression applied to tensors.

    `inputs` are tensor names parallel to `expression.inputs`; `nodes` are the ONNX nodes it stands
    for, the one that gave it its name first.
    """

    name: str
    op_type: str
    expression: TensorExpression
    inputs: tuple[str, ...]
    output: str
    nodes: tuple[str, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The produced tensors."""
        return (self.output,)


@dataclass(frozen=True, slots=True)
class LayoutOp:
    """A layout-only operator: moves or renames elements and computes nothing.

    - `reshape`: same elements in row-major order (also squeeze, unsqueeze, flatten, identity)
    - `transpose`: output dim i is input dim perm[i]
    - `slice`: output[j] = input[starts + j * steps], per dimension (steps may be negative)
    - `expand`: NumPy broadcasting to the output's shape
    - `concat`: inputs joined along `axis`
    - `pad`: input placed at `starts` in a background of `fill`, a literal (all starts >= 0)
    """

    name: str
    op_type: str
    kind: Literal["reshape", "transpose", "slice", "expand", "concat", "pad"]
    inputs: tuple[str, ...]
    output: str
    nodes: tuple[str, ...]
    perm: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    axis: int = 0
    fill: str = "0.0"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The produced tensors."""
        return (self.output,)


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One ONNX node's fate: its class and, where it has one, the operator that stands for it."""

    name: str
    op_type: str
    node_class: NodeClass
    operator: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bindings:
    """How a model was bound, beyond the shapes of the graph's inputs: it imports alike with both.

    `dims` are sizes of symbols that no input's shape tells. `shapes` are those of inputs that are
    none of the graph's, since they have no elements or the same `values` in every inference: these
    are JSON texts, one number for all elements or nested lists.
    """

    dims: tuple[tuple[str, int], ...] = ()
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    values: tuple[tuple[str, str], ...] = ()

    def numbers(self) -> dict[str, object]:
        """The values by name, as numbers and nested lists."""
        return {name: json.loads(text) for name, text in self.values}


@dataclass(frozen=True)
class Graph:
    """A model as planned: operators in execution order over named tensors.

    `flop_matmul_conv` is 2 x MAC of MatMul, Gemm and Conv nodes, integer ones included. `warnings`
    are for the user to read, and `bindings` say how the model was bound.
    """

    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: tuple[Operator | LayoutOp, ...]
    nodes: tuple[NodeRecord, ...]
    flop_matmul_conv: int
    opset: int
    producer: str
    warnings: tuple[str, ...] = ()
    bindings: Bindings = Bindings()

    @cached_property
    def tensor(self) -> dict[str, Tensor]:
        """Tensors by name."""
        return {tensor.name: tensor for tensor in self.tensors}

    @cached_property
    def planned(self) -> tuple[Operator, ...]:
        """The operators that compute, in execution order."""
        return tuple(op for op in self.operators if isinstance(op, Operator))

    def node_counts(self) -> dict[str, int]:
        """Number of ONNX nodes in each class; every class is present."""
        classes = [node.node_class for node in self.nodes]
        return {kind.value: classes.count(kind) for kind in NodeClass}


def with_widths(
    operators: Sequence[Operator | LayoutOp], tensors: Iterable[Tensor]
) -> tuple[Operator | LayoutOp, ...]:
    """The operators, the operands of their expressions as wide as the tensors they stand for.

    Operators that share an expression and have tensors of the same widths share the result too;
    an expression whose widths are right already is kept.
    """
    bits = {tensor.name: tensor.bits for tensor in tensors}
    made: dict[tuple[int, tuple[int, ...]], TensorExpression] = {}
    stamped: list[Operator | LayoutOp] = []
    for operator in operators:
        if isinstance(operator, LayoutOp):
            stamped.append(operator)
            continue
        old = operator.expression
        widths = tuple(bits[name] for name in (*operator.inputs, operator.output))
        key = (id(old), widths)
        if key not in made:
            made[key] = _with_bits(old, widths)
        new = made[key]
        stamped.append(operator if new is old else replace(operator, expression=new))
    return tuple(stamped)


def _with_bits(expression: TensorExpression, widths: tuple[int, ...]) -> TensorExpression:
    """The expression with these widths of its operands, inputs first; itself if it has them."""
    if widths == tuple(operand.bits for operand in expression.operands):
        return expression
    *inputs, output = (
        replace(operand, bits=bits)
        for operand, bits in zip(expression.operands, widths, strict=True)
    )
    return replace(expression, inputs=tuple(inputs), output=output)
