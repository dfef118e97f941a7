"""What t10c knows of each operator beyond the standard: how it is lowered, expanded, inferred.

Three tables, which `load_operators` fills by importing the modules that use the decorators: t10c's
own, and those that packages name under the entry point group `t10c.operators`
(docs/custom-operators.md).
Keys are (domain, operator type), the standard's domain being ''.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from t10c.errors import UsageError
from t10c.ir.graph import NodeClass

if TYPE_CHECKING:
    from t10c.onnx_import.expansion import Expansion
    from t10c.onnx_import.lowering.builder import GraphBuilder
    from t10c.onnx_import.resolved import ResolvedNode
    from t10c.onnx_import.tensors import TensorFact

LoweringFunction = Callable[["GraphBuilder", "ResolvedNode"], None]
ExpansionFunction = Callable[["Expansion"], None]
ShapeFunction = Callable[["Expansion"], Sequence["TensorFact | None"]]

ENTRY_POINT_GROUP = "t10c.operators"


@dataclass(frozen=True, slots=True)
class Lowering:
    """A lowering and what its operator usually becomes; the function's docstring says how."""

    function: LoweringFunction
    node_class: NodeClass


@dataclass(frozen=True, slots=True)
class Expanding:
    """An expansion and what the nodes of its operator usually become."""

    function: ExpansionFunction
    node_class: NodeClass


LOWERINGS: dict[tuple[str, str], Lowering] = {}
"""Functions that add a node's operators to a graph builder."""

EXPANSIONS: dict[tuple[str, str], Expanding] = {}
"""Functions that replace a node by nodes of the standard."""

SHAPES: dict[tuple[str, str], ShapeFunction] = {}
"""Types and shapes of the outputs of operators that are lowered but unknown to onnx."""


def lowers(
    *op_types: str, domain: str = "", node_class: NodeClass = NodeClass.PLANNED
) -> Callable[[LoweringFunction], LoweringFunction]:
    """Register the decorated function as the lowering of the given operator types."""

    def register(function: LoweringFunction) -> LoweringFunction:
        for op_type in op_types:
            _check_new(LOWERINGS, domain, op_type)
            LOWERINGS[domain, op_type] = Lowering(function, node_class)
        return function

    return register


def expands(
    *op_types: str, domain: str, node_class: NodeClass = NodeClass.PLANNED
) -> Callable[[ExpansionFunction], ExpansionFunction]:
    """Register the decorated function as what takes the place of the given operator types.

    One that always refuses its node says so with `node_class=NodeClass.UNSUPPORTED`.
    """

    def register(function: ExpansionFunction) -> ExpansionFunction:
        for op_type in op_types:
            _check_new(EXPANSIONS, domain, op_type)
            EXPANSIONS[domain, op_type] = Expanding(function, node_class)
        return function

    return register


def infers(*op_types: str, domain: str) -> Callable[[ShapeFunction], ShapeFunction]:
    """Register the decorated function as the shape inference of the given operator types."""

    def register(function: ShapeFunction) -> ShapeFunction:
        for op_type in op_types:
            _check_new(SHAPES, domain, op_type)
            SHAPES[domain, op_type] = function
        return function

    return register


def _check_new(table: Mapping[tuple[str, str], object], domain: str, op_type: str) -> None:
    if (domain, op_type) in table:
        raise ValueError(f"{domain + '.' if domain else ''}{op_type} is registered twice")


@lru_cache(maxsize=1)
def load_operators() -> tuple[str, ...]:
    """Fill the tables, once: with t10c's own operators, then with what installed packages add.

    Returns the names of the packages' entry points. Raises UsageError if one cannot be imported.
    """
    for own in ("contrib", "lowering"):
        import_module(f"t10c.onnx_import.{own}")
    names = []
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        try:
            entry.load()
        except Exception as error:
            # whatever a package of someone else raises
            raise UsageError(
                f"the operators of '{entry.name}' ({entry.value}) cannot be loaded: {error}\n"
                "repair or uninstall the package that provides them"
            ) from error
        names.append(entry.name)
    return tuple(names)


def note_of(function: Callable[..., object]) -> str:
    """What users read of a lowering or expansion: the first line of its docstring."""
    return (function.__doc__ or "").strip().partition("\n")[0]
