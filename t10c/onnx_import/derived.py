"""Values of weights that the import derives from other weights.

The graph names them after their node: `<node>.scale` and `<node>.shift` of a BatchNormalization,
`<node>.causal_mask` of an Attention, `<node>.kernel` of a ConvTranspose, `<node>.matrix<axis>` and
`<node>.index<axis>` of a Resize or Upsample. Constants within an expanded composite are named after
it too.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from t10c.onnx_import.attributes import integer, number
from t10c.onnx_import.composite import expand_composites
from t10c.onnx_import.lowering.attention import AttentionLengths, attention_lengths
from t10c.onnx_import.lowering.conv_transpose import transposed_axes, transposed_kernel
from t10c.onnx_import.lowering.interpolation import read_resampling
from t10c.onnx_import.lowering.resize import derived_resize_weights
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode


def derive_weights(model: ResolvedModel, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values of all derived weights of the model, given those of its weights and constants."""
    known = replace(model, constants={**model.constants, **values}, weights=frozenset())
    expanded = expand_composites(known).model
    derived = {n: v for n, v in expanded.constants.items() if n not in known.constants}
    values = expanded.constants
    for node in expanded.nodes:
        if node.op_type == "BatchNormalization":
            scale, shift = _batch_norm(node, values)
            derived[f"{node.name}.scale"] = scale
            derived[f"{node.name}.shift"] = shift
        elif node.op_type == "Attention" and integer(node, "is_causal", 0):
            lengths = attention_lengths(node, model.shapes)
            derived[f"{node.name}.causal_mask"] = _causal_mask(lengths)
        elif node.op_type == "ConvTranspose":
            derived[f"{node.name}.kernel"] = _transposed_kernel(node, expanded, values)
        elif node.op_type in ("Resize", "Upsample"):
            for suffix, value in _resize_weights(node, expanded, values).items():
                derived[f"{node.name}.{suffix}"] = value
    return derived


def _batch_norm(
    node: ResolvedNode, values: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """scale = gamma / sqrt(variance + epsilon); shift = beta - mean * scale."""
    gamma, beta, mean, variance = (values[name] for name in node.inputs[1:5])
    scale = gamma / np.sqrt(variance + number(node, "epsilon", 1e-5))
    shift = beta - mean * scale
    return scale.astype(gamma.dtype), shift.astype(gamma.dtype)


def _causal_mask(lengths: AttentionLengths) -> np.ndarray:
    """0 where query q may see key k (k <= q + past), else -inf."""
    visible = np.tri(lengths.queries, lengths.keys, lengths.past, dtype=bool)
    return np.where(visible, 0.0, -np.inf).astype(np.float32)


def _transposed_kernel(
    node: ResolvedNode, model: ResolvedModel, values: Mapping[str, np.ndarray]
) -> np.ndarray:
    """The kernel flipped and cut into phases (see lowering/conv_transpose.py)."""
    source, weight, target = (model.shapes[t] for t in (*node.inputs[:2], node.outputs[0]))
    axes = transposed_axes(node, source, weight, target)
    return transposed_kernel(values[node.inputs[1]], integer(node, "group", 1), axes)


def _resize_weights(
    node: ResolvedNode, model: ResolvedModel, values: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The interpolation matrix or index of every axis."""
    source, target = node.inputs[0], node.outputs[0]
    resampling = read_resampling(
        node, model.opset, model.shapes[source], model.shapes[target], values.get
    )
    return derived_resize_weights(resampling, np.dtype(model.element_types[source]))
