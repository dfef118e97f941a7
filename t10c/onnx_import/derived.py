"""Values of weights that the import derives from other weights.

The graph names them after their node: `<node>.scale` and `<node>.shift` of a BatchNormalization,
`<node>.causal_mask` of an Attention, `<node>.kernel` of a ConvTranspose, and so on. Constants
within a function body are named after their node too. Weights that folding leaves without a value
are evaluated (fixed.py).
"""

from collections.abc import Iterable, Mapping

import numpy as np

from t10c.onnx_import.fixed import Reader
from t10c.onnx_import.importer import lower_to_stored
from t10c.onnx_import.lowering.builder import Derivation
from t10c.onnx_import.resolved import ResolvedModel


def derive_weights(
    model: ResolvedModel,
    values: Mapping[str, np.ndarray],
    read: Reader | None = None,
    wanted: Iterable[str] | None = None,
) -> dict[str, np.ndarray]:
    """Values of all derived weights of the model, given those of its weights and constants.

    `read` gives the values of the file's own tensors that are not in `values`. With `wanted`, only
    what those tensors need is made, the file's tensors among them included. Raises
    InvalidInputError for folded nodes that cannot be evaluated.
    """
    builder = lower_to_stored(model)[0].builder
    derived = {n: v for n, v in builder.constants().items() if n not in model.constants}
    known = {**model.constants, **values, **derived}
    derivations = builder.derivations
    needed = {*model.weights, *(name for body in builder.bodies for name in body.shapes)}
    if wanted is not None:
        derivations, needed = _needed(builder.derivations, {*wanted})
    needed -= known.keys()
    for fixed in (model.fixed, *builder.bodies):
        derived |= fixed.evaluate(needed, known, read)
    known |= derived
    for derivation in derivations:
        inputs = (known[name] for name in derivation.inputs)
        known[derivation.name] = derived[derivation.name] = derivation.formula(*inputs)
    return derived


def _needed(
    derivations: Iterable[Derivation], names: set[str]
) -> tuple[list[Derivation], set[str]]:
    """The derivations that these tensors need, in order, and all tensors that they start from."""
    kept = []
    for derivation in reversed(list(derivations)):
        if derivation.name in names:
            kept.append(derivation)
            names.update(derivation.inputs)
    return kept[::-1], names - {derivation.name for derivation in kept}
