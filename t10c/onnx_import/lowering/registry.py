"""The one table of lowerings: ONNX operator -> function that adds it to a graph builder."""

from collections.abc import Callable
from dataclasses import dataclass

from t10c.ir.graph import NodeClass
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.resolved import ResolvedNode

LoweringFunction = Callable[[GraphBuilder, ResolvedNode], None]


@dataclass(frozen=True, slots=True)
class Lowering:
    """A lowering and what its operator usually becomes; the function's docstring says how."""

    function: LoweringFunction
    node_class: NodeClass

    @property
    def note(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]


LOWERINGS: dict[tuple[str, str], Lowering] = {}
"""By (domain, operator type), the standard's domain being ''. Filled once, by the imports in this
package's `__init__`."""


def lowers(
    *op_types: str, domain: str = "", node_class: NodeClass = NodeClass.PLANNED
) -> Callable[[LoweringFunction], LoweringFunction]:
    """Register the decorated function as the lowering of the given operator types."""

    def register(function: LoweringFunction) -> LoweringFunction:
        for op_type in op_types:
            if (domain, op_type) in LOWERINGS:
                raise ValueError(f"{op_type} has two lowerings")
            LOWERINGS[domain, op_type] = Lowering(function, node_class)
        return function

    return register


def find_lowering(node: ResolvedNode) -> Lowering | None:
    """The lowering of a node's operator, if it has one."""
    return LOWERINGS.get((node.domain, node.op_type))
