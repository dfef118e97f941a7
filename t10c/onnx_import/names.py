"""Unique names for nodes and tensors, and how they are quoted in messages."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from onnx import NodeProto

from t10c.suggest import closest

if TYPE_CHECKING:
    from t10c.onnx_import.resolved import ResolvedNode

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""

NEWEST_DOMAIN = "t10c.newest"
"""The domain of nodes made by t10c: the standard's operators in the newest version onnx knows."""


def standard(domain: str) -> bool:
    """Whether a domain's operators are the standard's."""
    return domain in ("", NEWEST_DOMAIN)


class NameScope:
    """Hands out names that were not taken before."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """Take `name`, or `name_2`, `name_3`, ... if it is gone."""
        candidate = name
        number = self._next.get(name, 2)
        while candidate in self._taken:
            candidate = f"{name}_{number}"
            number += 1
        self._next[name] = number
        self._taken.add(candidate)
        return candidate


def name_nodes(nodes: Iterable[NodeProto]) -> NameScope:
    """Give every node a unique name in place: `Op_12` if it has none, `name_2` if it is taken."""
    nodes = list(nodes)
    given: set[str] = set()
    renamed: list[tuple[NodeProto, str]] = []
    for index, node in enumerate(nodes):
        if not node.name:
            renamed.append((node, f"{node.op_type}_{index}"))
        elif node.name in given:
            renamed.append((node, node.name))
        else:
            given.add(node.name)
    scope = NameScope(given)
    for node, wish in renamed:
        node.name = scope.unique(wish)
    return scope


def operator_name(node: "NodeProto | ResolvedNode") -> str:
    """The operator as shown to users: `Conv`, or `com.microsoft.FusedConv`."""
    return node.op_type if standard(node.domain) else f"{node.domain}.{node.op_type}"


def describe(node: NodeProto) -> str:
    """The place of an error: node and operator."""
    return f"node '{node.name}' ({operator_name(node)})"


def remedy_for(name: str, known: Iterable[str]) -> str:
    """A remedy for a mistyped name: the closest known one, or a few of them."""
    known = sorted(known)
    found = closest(name, known)
    if found:
        return f"did you mean '{found}'?"
    if not known:
        return "the model has none"
    shown = ", ".join(known[:6])
    return f"the model has: {shown}" + (", ..." if len(known) > 6 else "")
