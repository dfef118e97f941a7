"""Values of weights that the import derives from other weights.

The graph names them after their node: `<node>.scale` and `<node>.shift` of a BatchNormalization,
`<node>.causal_mask` of an Attention.
"""

from collections.abc import Mapping

import numpy as np

from t10c.onnx_import.lowering.attributes import integer, number
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode


def derive_weights(model: ResolvedModel, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values of all derived weights of the model, given those of its weights and constants."""
    derived: dict[str, np.ndarray] = {}
    for node in model.nodes:
        if node.op_type == "BatchNormalization":
            scale, shift = _batch_norm(node, values)
            derived[f"{node.name}.scale"] = scale
            derived[f"{node.name}.shift"] = shift
        elif node.op_type == "Attention" and integer(node, "is_causal", 0):
            queries, keys = attention_lengths(node, model.shapes)
            derived[f"{node.name}.causal_mask"] = causal_mask(queries, keys)
    return derived


def _batch_norm(
    node: ResolvedNode, values: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """scale = gamma / sqrt(variance + epsilon); shift = beta - mean * scale."""
    gamma, beta, mean, variance = (values[name] for name in node.inputs[1:5])
    scale = gamma / np.sqrt(variance + number(node, "epsilon", 1e-5))
    shift = beta - mean * scale
    return scale.astype(gamma.dtype), shift.astype(gamma.dtype)


def attention_lengths(node: ResolvedNode, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int]:
    """Number of query and of key positions (past ones included) of an Attention node."""
    queries, keys = shapes[node.inputs[0]][-2], shapes[node.inputs[1]][-2]
    past = node.inputs[4] if len(node.inputs) > 4 else ""
    return queries, keys + (shapes[past][-2] if past else 0)


def causal_mask(queries: int, keys: int) -> np.ndarray:
    """0 where query q may see key k (k <= q, as the standard counts), else -inf."""
    return np.where(np.tri(queries, keys, dtype=bool), 0.0, -np.inf).astype(np.float32)
