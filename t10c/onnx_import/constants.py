"""Which outputs of a node are the same in every inference, and what is known of their values."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from onnx import NodeProto, TensorProto, helper

from t10c.errors import InvalidInputError
from t10c.onnx_import.evaluate import RANDOM, SHRINKING, evaluate, of_nothing
from t10c.onnx_import.names import describe, standard
from t10c.onnx_import.tensors import (
    VALUE_LIMIT_BYTES,
    TensorFact,
    empty,
    known,
    shape_text,
)

# Operators that slide a window: an output without elements means that the input is too small.
_WINDOWED = frozenset(
    {
        "AveragePool", "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "LpPool", "MaxPool",
        "QLinearConv", "STFT",
    }
)  # fmt: skip


class Constants:
    """Evaluates nodes; what it has evaluated once it remembers.

    `versions` are the model's opsets.
    """

    def __init__(self, versions: Mapping[str, int]) -> None:
        self._versions = dict(versions)
        self._cache: dict[tuple[object, ...], list[np.ndarray] | None] = {}

    def fixed_outputs(
        self,
        node: NodeProto,
        facts: Sequence[TensorFact | None],
        inferred: list[TensorFact | None],
    ) -> list[TensorFact | None] | None:
        """The outputs as fixed tensors, or None if the node must run in every inference."""
        first = facts[0] if facts else None
        if standard(node.domain) and node.op_type in ("Shape", "Size") and first is not None:
            return [_shape_value(node, first.shape)]
        if node.op_type == "CastLike" and first is not None and facts[1] is not None:
            facts = [first, _sample(facts[1].element_type)]
        if node.op_type in RANDOM or any(fact and not fact.fixed for fact in facts):
            return None
        if node.op_type == "Dropout" and len(facts) > 2 and not _known_false(facts[2]):
            return None
        if any(inferred) and all(fact is None or 0 in fact.shape for fact in inferred):
            return [fact and empty(fact) for fact in inferred]
        values = self._values(node, facts, inferred)
        if values is None:
            return [fact and replace(fact, fixed=True) for fact in inferred]
        results = iter(values)
        return [
            _agreed(fact, next(results)) if name else None
            for name, fact in zip(node.output, inferred, strict=True)
        ]

    def _values(
        self,
        node: NodeProto,
        facts: Sequence[TensorFact | None],
        inferred: Sequence[TensorFact | None],
    ) -> list[np.ndarray] | None:
        """The known outputs of a node whose inputs are all known and whose outputs are small."""
        if any(fact is not None and fact.value is None for fact in facts):
            return None
        for name, fact in zip(node.output, inferred, strict=True):
            if fact is None and name and node.op_type not in SHRINKING:
                return None
            if fact is not None and fact.size_bytes > VALUE_LIMIT_BYTES:
                return None
        values = [fact.value if fact is not None else None for fact in facts]
        key = (
            node.domain,
            node.op_type,
            tuple(sorted(a.SerializeToString(deterministic=True) for a in node.attribute)),
            tuple(bool(name) for name in node.output),
            tuple(None if v is None else (v.dtype, v.shape, v.tobytes()) for v in values),
        )
        if key not in self._cache:
            self._cache[key] = evaluate(node, values, self._versions)
        return self._cache[key]

    def of_empty(
        self,
        node: NodeProto,
        facts: Sequence[TensorFact | None],
        outputs: Sequence[TensorFact | None],
        wanted: Collection[str],
    ) -> list[TensorFact | None]:
        """The outputs, constant where they have no elements or are reduced from none.

        `wanted` are the tensors that something reads. Raises InvalidInputError if a window is
        larger than what it slides over.
        """
        given = any(fact is not None and 0 in fact.shape for fact in facts)
        known_outputs = []
        for name, fact in zip(node.output, outputs, strict=True):
            if fact is not None and 0 in fact.shape:
                if node.op_type in _WINDOWED and not given and name in wanted:
                    raise InvalidInputError(
                        f"{describe(node)}: tensor '{name}' has no elements "
                        f"({shape_text(fact.shape)})\n"
                        "the inputs are too small for this model; give larger sizes"
                    )
                fact = empty(fact)
            elif fact is not None and given and fact.size_bytes <= VALUE_LIMIT_BYTES:
                value = of_nothing(node, facts, fact, self._versions)
                fact = fact if value is None else known(value, fact.element_type)
            known_outputs.append(fact)
        return known_outputs


def _shape_value(node: NodeProto, shape: tuple[int, ...]) -> TensorFact:
    """What Shape and Size give, which needs no data."""
    if node.op_type == "Size":
        return known(np.array(int(np.prod(shape, dtype=np.int64)), np.int64), TensorProto.INT64)
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    part = shape[bounds.get("start", 0) : bounds.get("end", len(shape))]
    return known(np.array(part, np.int64), TensorProto.INT64)


def _sample(element_type: int) -> TensorFact:
    """A value that stands for an operand of which only the type is used."""
    return known(np.zeros((), helper.tensor_dtype_to_np_dtype(element_type)), element_type)


def _known_false(fact: TensorFact | None) -> bool:
    return fact is None or (fact.value is not None and not fact.value.any())


def _agreed(fact: TensorFact | None, value: np.ndarray) -> TensorFact:
    """An evaluated output in the type and shape that inference gave."""
    if fact is None:
        return known(value, helper.np_dtype_to_tensor_dtype(value.dtype))
    if value.size != int(np.prod(fact.shape, dtype=np.int64)):
        return replace(fact, fixed=True)  # the evaluator is wrong; leave the value unknown
    dtype = helper.tensor_dtype_to_np_dtype(fact.element_type)
    return known(np.array(value.reshape(fact.shape), dtype), fact.element_type)
