"""What a tensor is for, found from what reads it.

Roles flow against the direction of data: nodes are visited last first, and each says what it needs
its inputs to be, knowing what its outputs are needed as.

    ids -> Cast -> Gather(table of 100 rows)     ids are indices from 0 to 99
    w -> Transpose -> MatMul                     w is a matrix with a deviation of 1/sqrt(fan-in)
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from onnx import NodeProto, helper

from t10c.onnx_import.names import standard
from t10c.onnx_import.resolved import ResolvedModel
from t10c.onnx_import.tensors import element_type_name

Kind = Literal[
    "number",  # integers that are computed with: of either sign
    "plain",  # data
    "offset",  # added: small
    "matrix",  # multiplied and summed: as small as its sums are long
    "gain",  # multiplied: near one
    "stored",  # quantised: over the whole range
    "positive",  # variance, divisor, argument of a logarithm
    "divisor",  # integers other than 0, of either sign
    "count",  # integers computed with as floats: positions, lengths
    "scale",  # of a quantisation
    "zero_point",
    "mask",  # mostly ones
    "index",
]

_RANK: dict[Kind, int] = {
    "number": -1,
    "plain": 0,
    "offset": 1,
    "matrix": 2,
    "gain": 3,
    "stored": 3,
    "count": 4,
    "positive": 5,
    "divisor": 5,
    "scale": 5,
    "zero_point": 5,
    "mask": 6,
    "index": 7,
}
"""Where readers disagree, the stricter need is met; an unknown one says `plain`."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a tensor is for: the range its numbers lie in (`high` is not reached), or deviation.

    `distinct` indices must not repeat.
    """

    kind: Kind = "plain"
    low: float | None = None
    high: float | None = None
    std: float = 1.0
    distinct: bool = False


GAIN = Role("gain", 0.5, 1.5)
OFFSET = Role("offset", std=0.1)
POSITIVE = Role("positive", 0.5, 1.5)
MASK = Role("mask")
NUMBER = Role("number")
DIVISOR = Role("divisor", -9, 10)
COUNT = Role("count", 0, 100)


def index(size: int, distinct: bool = False) -> Role:
    """Indices below a size."""
    return Role("index", 0, max(1, size), distinct=distinct)


def matrix(fan_in: int, size: float = 1.0) -> Role:
    """Weights of which `fan_in` are summed: results are `size` times as large as the inputs."""
    return Role("matrix", std=size / math.sqrt(max(1, fan_in)))


@dataclass(frozen=True, slots=True)
class FlatNode:
    """A node of the flat graph, folded or not; `domain` is '' for the standard's operators."""

    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, object]


@dataclass(frozen=True)
class FlatGraph:
    """A resolved model together with what was folded from weights: nodes in topological order."""

    nodes: tuple[FlatNode, ...]
    shapes: Mapping[str, tuple[int, ...]]
    element_types: Mapping[str, str]
    constants: Mapping[str, np.ndarray]
    producers: Mapping[str, FlatNode] = field(default_factory=dict)
    readers: Mapping[str, tuple[FlatNode, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A node whose inputs are asked for their roles; `wanted` is the role of its first output."""

    node: FlatNode
    graph: FlatGraph
    wanted: Role

    def name(self, index: int) -> str:
        """The name of an input, '' if it is absent."""
        return self.node.inputs[index] if index < len(self.node.inputs) else ""

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of an input."""
        return self.graph.shapes.get(self.name(index), ())

    def element_type(self, index: int) -> str:
        """The element type of an input."""
        return self.graph.element_types.get(self.name(index), "float32")

    def constant(self, index: int) -> np.ndarray | None:
        """The value of an input, if it is known."""
        return self.graph.constants.get(self.name(index))

    def number(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.node.attributes.get(name, default)
        return value if isinstance(value, int) else default


Needs = Iterator[tuple[str, Role]]
"""Inputs of a node by name, and what they are needed as."""

Rule = Callable[[Call], Needs]


def flat_graph(model: ResolvedModel) -> FlatGraph:
    """All nodes of a resolved model in one list, those that folding left unevaluated first."""
    fixed = [_flat(node) for node in model.fixed.nodes]
    made = {name for node in fixed for name in node.outputs}
    further = [
        FlatNode(node.op_type, node.domain, node.inputs, node.outputs, node.attributes)
        for node in model.nodes
        if not made.issuperset(node.outputs)
    ]
    nodes = (*fixed, *further)
    kinds = {name: element_type_name(kind) for name, kind in model.fixed.element_types.items()}
    readers: dict[str, tuple[FlatNode, ...]] = {}
    for node in nodes:
        for name in dict.fromkeys(node.inputs):
            readers[name] = (*readers.get(name, ()), node)
    return FlatGraph(
        nodes,
        {**model.fixed.shapes, **model.shapes},
        {**kinds, **model.element_types},
        {**model.fixed.constants, **model.constants},
        {name: node for node in nodes for name in node.outputs if name},
        readers,
    )


def stricter(first: Role, second: Role) -> Role:
    """The role that meets both needs: indices lie in both ranges, else the stricter kind counts."""
    if first.kind == second.kind == "index":
        lows = [role.low for role in (first, second) if role.low is not None]
        highs = [role.high for role in (first, second) if role.high is not None]
        distinct = first.distinct or second.distinct
        return replace(
            first, low=max(lows, default=None), high=min(highs, default=None), distinct=distinct
        )
    return first if _RANK[first.kind] >= _RANK[second.kind] else second


def _flat(node: NodeProto) -> FlatNode:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    domain = "" if standard(node.domain) else node.domain
    return FlatNode(node.op_type, domain, tuple(node.input), tuple(node.output), attributes)
