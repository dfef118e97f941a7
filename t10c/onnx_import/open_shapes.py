"""Shapes that depend on data: as the file declares them, or the largest there can be."""

import math
from collections.abc import Collection, Sequence

from onnx import NodeProto

from t10c.onnx_import.bounds import is_exact, largest_outputs
from t10c.onnx_import.declared import Declarations, closed, merged
from t10c.onnx_import.infer import Inferred
from t10c.onnx_import.names import describe, standard
from t10c.onnx_import.tensors import OpenFact, TensorFact, shape_text

Facts = Sequence[TensorFact | None]

# Operators whose output is the same elements in another shape.
_SAME_ELEMENTS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten"})


def close_outputs(
    node: NodeProto,
    facts: Facts,
    inferred: Sequence[Inferred],
    declared: Declarations,
    wanted: Collection[str],
) -> tuple[list[TensorFact | None], list[str]]:
    """The outputs with every shape known that can be, and a warning for each that was open.

    A shape that the file declares comes before the largest there can be; one that this operator
    cannot make of its inputs is no shape.
    """
    outputs = [fact if isinstance(fact, TensorFact) else None for fact in inferred]
    largest = largest_outputs(node, facts) if None in outputs else []
    largest_is, declared = (_EXACT, {}) if is_exact(node, facts) else (_LARGEST, declared)
    sources: list[str] = [""] * len(outputs)
    for index, (name, fact) in enumerate(zip(node.output, inferred, strict=True)):
        if isinstance(fact, TensorFact) or not name or name not in wanted:
            continue
        known = _by_count(node, facts, fact or OpenFact())
        for source, other in (
            (_DECLARED, declared.get(name, OpenFact())),
            (largest_is, largest[index] if index < len(largest) else OpenFact()),
        ):
            full = merged(known, other)
            if source == _DECLARED:
                full = _by_count(node, facts, full)
            found = closed(name, full)
            if found is not None and _possible(node, facts, found):
                outputs[index], sources[index] = found, source
                break
    if not _parts_fit(node, facts, outputs):
        return [fact if isinstance(fact, TensorFact) else None for fact in inferred], []
    return outputs, [
        f"the shape of '{name}' depends on data; planned {source} "
        f"{shape_text(fact.shape)} ({describe(node)})"
        for name, fact, source in zip(node.output, outputs, sources, strict=True)
        if fact is not None and source
    ]


_DECLARED = "as the file declares it:"
_LARGEST = "for at most"
_EXACT = ""  # it does not depend on data after all


def _by_count(node: NodeProto, facts: Facts, fact: OpenFact) -> OpenFact:
    """A reshaped tensor of which one dimension is open has as many elements as before."""
    if not _keeps_elements(node) or not facts or facts[0] is None or fact.dims is None:
        return fact
    product = math.prod(size for size in fact.dims if size is not None)
    if fact.dims.count(None) != 1 or product == 0 or math.prod(facts[0].shape) % product:
        return fact
    rest = math.prod(facts[0].shape) // product
    return OpenFact(fact.element_type, tuple(rest if d is None else d for d in fact.dims))


def _keeps_elements(node: NodeProto) -> bool:
    return standard(node.domain) and node.op_type in _SAME_ELEMENTS


def _possible(node: NodeProto, facts: Facts, output: TensorFact) -> bool:
    """Whether the operator can make such a shape of its first input."""
    first = facts[0] if facts else None
    if first is None or not standard(node.domain):
        return True
    source, target = first.shape, output.shape
    if _keeps_elements(node):
        return math.prod(source) == math.prod(target)
    pairs = list(zip(reversed(source), reversed(target), strict=False))
    match node.op_type:
        case "Expand":
            return len(source) <= len(target) and all(a in (1, b) for a, b in pairs)
        case "Tile":
            return len(source) == len(target) and all(a and b % a == 0 for a, b in pairs)
        case "Slice" | "Split" | "TopK" | "Compress":
            same_rank = len(source) == len(target) or node.op_type == "Compress"
            return same_rank and math.prod(target) <= math.prod(source)
    return True


def _parts_fit(node: NodeProto, facts: Facts, outputs: Facts) -> bool:
    """Whether the parts of a Split are together no more than the whole."""
    first = facts[0] if facts else None
    if node.op_type != "Split" or not standard(node.domain) or first is None:
        return True
    total = sum(math.prod(fact.shape) for fact in outputs if fact is not None)
    return total <= math.prod(first.shape)
