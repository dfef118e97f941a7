"""Values of weights that the import derives from other weights.

The graph names them after their node: `<node>.scale` and `<node>.shift` of a BatchNormalization,
`<node>.causal_mask` of an Attention, `<node>.kernel` of a ConvTranspose, and so on. Constants
within a function body are named after their node too.
"""

import sys
from collections.abc import Mapping

import numpy as np
from onnx import helper

from t10c.onnx_import.evaluate import evaluate
from t10c.onnx_import.importer import lower_to_stored
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode


def derive_weights(model: ResolvedModel, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values of all derived weights of the model, given those of its weights and constants."""
    builder = lower_to_stored(model)[0].builder
    derived = {n: v for n, v in builder.constants().items() if n not in model.constants}
    known = {**model.constants, **values, **derived}
    for node in model.nodes:
        if node.outputs[0] in model.weights and node.outputs[0] not in known:
            known |= _widened(node, model.opset, known)
            derived |= {name: known[name] for name in node.outputs if name in known}
    for derivation in builder.derivations:
        inputs = (known[name] for name in derivation.inputs)
        known[derivation.name] = derived[derivation.name] = derivation.formula(*inputs)
    return derived


def _widened(
    node: ResolvedNode, opset: int, known: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The weights that a node makes of narrower ones (widening.py)."""
    made = helper.make_node(node.op_type, node.inputs, node.outputs)
    made.attribute.extend(helper.make_attribute(k, v) for k, v in node.attributes.items())
    inputs = [known.get(name) for name in node.inputs]
    found = evaluate(made, inputs, {"": node.opset or opset}, sys.maxsize) or []
    return dict(zip(node.outputs, found, strict=False))
