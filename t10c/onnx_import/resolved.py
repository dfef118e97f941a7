"""What folding leaves: nodes in topological order, every shape known, small constants known."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from t10c.ir.graph import Bindings, NodeRecord
from t10c.onnx_import.fixed import FixedValues

AttributeValue = object
"""int, float, str, tuple of these, or numpy array (tensor attributes)."""


@dataclass(frozen=True, slots=True)
class ResolvedNode:
    """A node that still computes: unique name, ONNX operator, tensor names ('' = absent input).

    `opset` is the version it follows where that is not the model's (0). `owner` is the node of the
    file that it stands for where that was expanded ('' for a node of the file itself).
    """

    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue]
    opset: int = 0
    owner: str = ""


@dataclass(frozen=True)
class ResolvedModel:
    """A model with all dimensions bound and everything foldable folded.

    `constants` are known values of at most 64 KiB (a read initializer or a folded result);
    `weights` are tensors fixed before inference whose value is unknown or too large to hold
    (initializers with external or large data, and folded results derived from them).
    A graph output that is constant stays in `constants`. `folded` records the nodes that are gone,
    and `inputs` are graph inputs without those that are initializers, empty or given a value.
    `expanded` maps the nodes of the file that others stand for to their operators, and `fixed` says
    where the values of `weights` come from. `bindings` binds the model alike a second time.
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
    expanded: Mapping[str, str] = field(default_factory=dict)
    fixed: FixedValues = field(default_factory=FixedValues)
    bindings: Bindings = field(default_factory=Bindings)
