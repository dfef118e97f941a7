"""What folding leaves: nodes in topological order, every shape known, small constants known."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from t10c.ir.graph import NodeRecord

AttributeValue = object
"""int, float, str, tuple of these, or numpy array (tensor attributes)."""


@dataclass(frozen=True, slots=True)
class ResolvedNode:
    """A node that still computes: unique name, ONNX operator, tensor names ('' = absent input)."""

    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True)
class ResolvedModel:
    """A model with all dimensions bound and everything foldable folded.

    `constants` are known values of at most 64 KiB (a read initializer or a folded result);
    `weights` are tensors fixed before inference whose value is unknown or too large to hold
    (initializers with external or large data, and folded results derived from them).
    A graph output that is constant stays in `constants`. `folded` records the nodes that are gone,
    and `inputs` are graph inputs without those that are initializers.
    """

    name: str
    opset: int
    producer: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[ResolvedNode, ...]
    shapes: Mapping[str, tuple[int, ...]]
    element_types: Mapping[str, str]
    constants: Mapping[str, np.ndarray]
    weights: frozenset[str]
    folded: tuple[NodeRecord, ...]
    warnings: tuple[str, ...] = ()
