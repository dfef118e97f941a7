"""Every operator that t10c knows of, and what usually becomes of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx
from onnx.defs import OpSchema

from t10c.ir.graph import NodeClass
from t10c.onnx_import.evaluate import RANDOM
from t10c.onnx_import.load import OLDEST_OPSET
from t10c.onnx_import.optionals import OPTIONAL_OPERATORS
from t10c.onnx_import.registry import EXPANSIONS, LOWERINGS, load_operators, note_of
from t10c.onnx_import.sequences import SEQUENCE_OPERATORS

_CONTROL = {
    "If": "The branch that is taken; the costlier one where the condition depends on data.",
    "Loop": "Unrolled, if the number of iterations is known.",
    "Scan": "Unrolled.",
}
_CONSTANTS = frozenset(
    {
        "BlackmanWindow", "Constant", "ConstantOfShape", "HammingWindow", "HannWindow",
        "MelWeightMatrix", "Range", "Shape", "Size",
    }
)  # fmt: skip
_TRAINING = "ai.onnx.preview.training"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One operator: the versions it has (`last_opset` 0: still valid), its class and a note.

    The class is what a node of it becomes as a rule; a node whose operands are all known folds
    whatever its operator, and one that an expression cannot stand for becomes a fallback.
    """

    domain: str
    op_type: str
    first_opset: int
    last_opset: int
    node_class: NodeClass
    note: str


def operator_catalogue() -> tuple[CatalogueEntry, ...]:
    """All operators of the standard, of com.microsoft and of extensions, by domain and name."""
    load_operators()
    entries = {(e.domain, e.op_type): e for e in _standard_entries()}
    for domain, op_type in (*EXPANSIONS, *LOWERINGS):
        if (domain, op_type) not in entries:
            node_class, note = _registered(domain, op_type)
            entries[domain, op_type] = CatalogueEntry(domain, op_type, 1, 0, node_class, note)
    return tuple(entry for _, entry in sorted(entries.items()))


def _standard_entries() -> Iterator[CatalogueEntry]:
    history: dict[tuple[str, str], list[OpSchema]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        history.setdefault((schema.domain, schema.name), []).append(schema)
    for (domain, op_type), schemas in history.items():
        schemas.sort(key=lambda schema: schema.since_version)
        oldest = 1 if domain else OLDEST_OPSET
        first, newest = max(oldest, schemas[0].since_version), schemas[-1]
        last = newest.since_version - 1 if newest.deprecated else 0
        if last and last < first:
            continue  # gone before the oldest opset that is read
        in_force = schemas[-2] if newest.deprecated else newest
        node_class, note = _class_of(in_force)
        yield CatalogueEntry(domain, op_type, first, last, node_class, note)


def _class_of(schema: Any) -> tuple[NodeClass, str]:
    """The class and note of an operator of the standard, by its OpSchema (partly untyped)."""
    key = (schema.domain, schema.name)
    if key in LOWERINGS or key in EXPANSIONS:
        return _registered(*key)
    if schema.domain == _TRAINING:
        return NodeClass.UNSUPPORTED, "It belongs to training."
    if schema.domain == "" and schema.name in _CONTROL:
        return NodeClass.FOLDED, _CONTROL[schema.name]
    if schema.domain == "" and schema.name in SEQUENCE_OPERATORS:
        return NodeClass.FOLDED, "A sequence of known length is taken apart."
    if schema.domain == "" and schema.name in OPTIONAL_OPERATORS:
        return NodeClass.FOLDED, "An optional is known to be empty or to have an element."
    if schema.domain == "" and schema.name in _CONSTANTS:
        return NodeClass.FOLDED, "A constant, if its operands are known."
    if schema.name in RANDOM:
        return NodeClass.FALLBACK, "On one core, which draws all values from one generator."
    if not _is_numeric(schema):
        return NodeClass.UNSUPPORTED, "It works on texts, sequences, maps or optionals."
    if schema.has_function or schema.has_context_dependent_function:
        return NodeClass.PLANNED, "The operators of its definition in the standard."
    return NodeClass.FALLBACK, "No tensor expression: it runs whole on one core."


def _registered(domain: str, op_type: str) -> tuple[NodeClass, str]:
    """The class and note of an operator that has a lowering or an expansion."""
    expansion = EXPANSIONS.get((domain, op_type))
    if expansion is not None:
        return expansion.node_class, note_of(expansion.function)
    lowering = LOWERINGS[domain, op_type]
    return lowering.node_class, note_of(lowering.function)


def _is_numeric(schema: OpSchema) -> bool:
    """Whether inputs and outputs may all be tensors of numbers or truth values."""
    return all(
        any(_is_number(kind) for kind in value.types)
        for value in (*schema.inputs, *schema.outputs)
        if value.option != OpSchema.FormalParameterOption.Optional
    )


def _is_number(kind: str) -> bool:
    return kind.startswith("tensor(") and kind not in ("tensor(string)",)
