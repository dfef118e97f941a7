"""Where a value that is missing comes from, and what to do about it."""

import math
from collections.abc import Iterable, Mapping

from onnx import NodeProto

from t10c.onnx_import.names import standard
from t10c.onnx_import.symbols import quoted
from t10c.onnx_import.tensors import TensorFact, element_type_name, shape_text

_TYPED = 16
"""An input of more elements is data rather than a parameter that one would type."""

_SHOWN = 3

# Operators all of whose inputs decide the shape of the output; of others it is not the first.
_ALL_DECIDE = frozenset({"ConstantOfShape", "Range", "HannWindow", "HammingWindow"})


def shape_remedy(
    node: NodeProto, facts: Mapping[str, TensorFact], producers: Mapping[str, NodeProto]
) -> str:
    """What gives a shape to the outputs of a node; '' if nothing is known to."""
    first = 0 if node.op_type in _ALL_DECIDE and standard(node.domain) else 1
    names = [name for name in node.input[first:] if name and facts[name].value is None]
    names = names or [name for name in node.input if name and facts[name].value is None]
    return value_remedy(names, facts, producers, _fitting(node, facts))


def value_remedy(
    names: Iterable[str],
    facts: Mapping[str, TensorFact],
    producers: Mapping[str, NodeProto],
    fitting: Mapping[str, str] | None = None,
) -> str:
    """What makes the values of tensors known: the flags for the graph inputs they follow from.

    `fitting` has values to suggest for some, as they are typed.
    """
    inputs = [name for name in _sources(names, producers) if name in facts]
    weights = [name for name in inputs if facts[name].fixed]
    given = [name for name in inputs if not facts[name].fixed]
    small = [name for name in given if _is_parameter(facts[name])]
    if small:
        texts = {name: _template(name, facts[name]) for name in small[:_SHOWN]}
        texts.update((n, f"{n}={v}") for n, v in (fitting or {}).items() if n in texts)
        flags = [f"--value {quoted(text)}" for text in texts.values()]
        return f"give the value that decides it, for instance: {' '.join(flags)}"
    if given:
        name = given[0]
        return (
            f"it follows from the data of input '{name}' ({shape_text(facts[name].shape)}): "
            "export the model with fixed shapes"
        )
    if weights:
        return f"it follows from '{weights[0]}', whose values are not in the file: put them there"
    return ""


def _fitting(node: NodeProto, facts: Mapping[str, TensorFact]) -> dict[str, str]:
    """A value for the second input that this node can use; `...` where there is none to invent."""
    if not standard(node.domain) or len(node.input) < 2 or not node.input[1]:
        return {}
    shape, wanted = facts[node.input[0]].shape, facts[node.input[1]].shape
    count = wanted[0] if len(wanted) == 1 else 0
    if not 1 <= count <= _TYPED:
        return {}
    match node.op_type:
        case "Split":
            axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
            length = shape[axis] if -len(shape) <= axis < len(shape) else 0
            found = [length // count + (index < length % count) for index in range(count)]
        case "Squeeze":
            found = [d for d, size in enumerate(shape) if size == 1][:count]
        case "Reshape":
            found = [-1, *[1] * (count - 1)]
        case "Unsqueeze":
            found = list(range(count))
        case _:
            return {}
    fits = len(found) == count
    return {node.input[1]: f"[{','.join(map(str, found))}]" if fits else "..."}


def _sources(names: Iterable[str], producers: Mapping[str, NodeProto]) -> list[str]:
    """The tensors without a producer that the given ones follow from, nearest first."""
    pending, seen = list(names), set(names)
    found = []
    for name in pending:
        node = producers.get(name)
        if node is None:
            found.append(name)
            continue
        further = [n for n in dict.fromkeys(node.input) if n and n not in seen]
        seen.update(further)
        pending.extend(further)
    return found


def _is_parameter(fact: TensorFact) -> bool:
    return len(fact.shape) <= 1 and math.prod(fact.shape) <= _TYPED


def _template(name: str, fact: TensorFact) -> str:
    """`k=1` for a scalar, `axes=[1,1]` for a list."""
    one = "true" if element_type_name(fact.element_type) == "bool" else "1"
    return f"{name}={one}" if not fact.shape else f"{name}=[{','.join([one] * fact.shape[0])}]"
