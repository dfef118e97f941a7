"""Nodes like one before: what was inferred for the first holds for all of them.

Two nodes are alike if they have the same operator and attributes, and inputs of the same types,
shapes and, as far as shapes can follow from them, values. Names do not matter.
"""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto

from t10c.onnx_import.infer import DATA_LIMIT, Inferred
from t10c.onnx_import.registry import SHAPES
from t10c.onnx_import.tensors import TensorFact

_FLOATS_LIMIT = 64
"""Floating-point numbers that shapes follow from are scales, one per dimension at most."""

Key = tuple[object, ...]


class RecurringNodes:
    """Outputs of nodes that compute in every inference, by what they follow from."""

    def __init__(self) -> None:
        self._outputs: dict[Key, tuple[TensorFact | None, ...]] = {}

    def key(self, node: NodeProto, facts: Sequence[TensorFact | None]) -> Key | None:
        """Equal for nodes that are alike, given the facts of their inputs; None if in doubt."""
        operator = (node.domain, node.op_type)
        if operator in SHAPES:
            return None
        parts: list[object] = [operator]
        for fact in facts:
            if fact is None:
                parts.append(None)
                continue
            shape, value = fact.shape, fact.value
            if 0 in shape or (value is not None and value.dtype.kind not in "biuf"):
                return None
            data = value is not None and _data(value)
            parts.append((fact.element_type, shape, fact.fixed, data))
        parts += [a.SerializeToString(deterministic=True) for a in node.attribute]
        return (*parts, *map(bool, node.output))

    def outputs(self, key: Key | None) -> tuple[TensorFact | None, ...] | None:
        """The outputs of a node with this key, if one has been seen."""
        return None if key is None else self._outputs.get(key)

    def learn(
        self, key: Key | None, inferred: Sequence[Inferred], outputs: Sequence[TensorFact | None]
    ) -> None:
        """Remember the outputs, if they follow from the key alone and differ in every inference."""
        if key is None or any(fact is not None and fact.fixed for fact in outputs):
            return
        if list(inferred) == list(outputs):
            self._outputs[key] = tuple(outputs)


def _data(value: np.ndarray) -> bytes | bool:
    """A value as far as shapes can follow from it; else that it is known."""
    limit = _FLOATS_LIMIT if value.dtype.kind == "f" else DATA_LIMIT
    return value.tobytes() if value.size <= limit else True
