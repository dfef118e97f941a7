"""Values of weights that the import derives from other weights.

The graph names them after their node: `<node>.scale` and `<node>.shift` of a BatchNormalization,
`<node>.causal_mask` of an Attention, `<node>.kernel` of a ConvTranspose, and so on. Constants
within a function body are named after their node too.
"""

from collections.abc import Mapping

import numpy as np

from t10c.onnx_import.importer import lower_to_stored
from t10c.onnx_import.resolved import ResolvedModel


def derive_weights(model: ResolvedModel, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values of all derived weights of the model, given those of its weights and constants."""
    builder = lower_to_stored(model)[0].builder
    derived = {n: v for n, v in builder.constants().items() if n not in model.constants}
    known = {**model.constants, **values, **derived}
    for derivation in builder.derivations:
        inputs = (known[name] for name in derivation.inputs)
        known[derivation.name] = derived[derivation.name] = derivation.formula(*inputs)
    return derived
