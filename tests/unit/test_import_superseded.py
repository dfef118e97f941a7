"""Operators that the standard took back and defined anew."""

import numpy as np
import onnx
import pytest
from graph_numpy import evaluate
from onnx import TensorProto
from onnx_models import model, node, value

from t10c.errors import InvalidInputError
from t10c.onnx_import.derived import derive_weights
from t10c.onnx_import.importer import import_model, lower_model
from t10c.onnx_import.resolve import resolve_model

RNG = np.random.default_rng(8)
AFFINE = {name: RNG.standard_normal(4).astype("f") for name in ("s", "b")}


def per_group(opset: int, known: bool = True, **attributes: object) -> onnx.ModelProto:
    """GroupNormalization of 8 channels in 4 groups, with a scale and bias per group."""
    norm = node("GroupNormalization", "x s b", "y", "gn", **{"num_groups": 4, **attributes})
    inputs = [value("x", [2, 8, 3, 3])]
    if not known:
        inputs += [value(name, [4], TensorProto.FLOAT) for name in AFFINE]
    return model([norm], inputs, ["y"], AFFINE if known else {}, opset=opset)


def expected(x: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    rows = x.reshape(2, 4, -1)
    spread = np.sqrt(rows.var(-1, keepdims=True) + epsilon)
    normal = (rows - rows.mean(-1, keepdims=True)) / spread
    return (normal * AFFINE["s"][:, None] + AFFINE["b"][:, None]).reshape(x.shape)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("opset", [18, 20])
def test_group_normalization_with_a_scale_per_group(opset: int, known: bool) -> None:
    x = RNG.standard_normal((2, 8, 3, 3)).astype("f")
    feeds = {"x": x} if known else {"x": x, **AFFINE}
    resolved = resolve_model(per_group(opset, known, epsilon=0.1).SerializeToString())
    graph = lower_model(resolved)
    values = {**resolved.constants, **feeds}
    actual = evaluate(graph, {**values, **derive_weights(resolved, values)})
    np.testing.assert_allclose(actual["y"], expected(x, 0.1), rtol=2e-4, atol=2e-5)
    (record,) = graph.nodes
    assert (record.name, record.op_type, record.node_class) == (
        "gn",
        "GroupNormalization",
        "planned",
    )


@pytest.mark.parametrize(
    ("opset", "attributes", "text"),
    [
        (18, {"num_groups": 3}, "an input 2x8x3x3 does not form 3 groups of channels"),
        (18, {"num_groups": 8}, "its scale is 4, but before opset 21 it has one number for each"),
    ],
)
def test_what_does_not_fit_is_named(opset: int, attributes: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidInputError, match="node 'gn'") as caught:
        import_model(per_group(opset, **attributes).SerializeToString())
    assert text in str(caught.value)
