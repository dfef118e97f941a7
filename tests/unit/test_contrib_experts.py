"""com.microsoft: mixtures of experts against ONNX Runtime, or NumPy where it has no CPU kernel."""

import numpy as np
import pytest
from contrib_models import OPSETS, check_contrib, contrib_model, floats
from graph_numpy import runtime_results

from t10c.errors import UnsupportedOperatorError
from t10c.onnx_import.resolve import resolve_model

TOKENS, HIDDEN, EXPERTS, INNER = 5, 8, 4, 6
SWIGLU = {"activation_type": "swiglu", "swiglu_fusion": 1}


def experts(wide: int = 1, bias: bool = False, third: bool = False) -> dict[str, np.ndarray | None]:
    inputs: dict[str, np.ndarray | None] = {
        "x": floats(TOKENS, HIDDEN),
        "router": floats(TOKENS, EXPERTS),
        "w1": floats(EXPERTS, wide * INNER, HIDDEN),
        "b1": floats(EXPERTS, wide * INNER) if bias else None,
        "w2": floats(EXPERTS, HIDDEN, INNER),
        "b2": floats(EXPERTS, HIDDEN) if bias else None,
    }
    if third:
        inputs |= {"w3": floats(EXPERTS, INNER, HIDDEN), "b3": floats(EXPERTS, INNER)}
    return inputs


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("normalised", [0, 1])
@pytest.mark.parametrize(
    "options",
    [
        {"activation_type": "relu", "k": 1},
        {"activation_type": "gelu", "k": 2},
        {"activation_type": "silu", "k": 3},
        {"activation_type": "identity", "k": 4},
        {**SWIGLU, "k": 2},
        {**SWIGLU, "activation_alpha": 1.7, "activation_beta": 1.0, "swiglu_limit": 0.7},
    ],
)
def test_experts(options: dict[str, object], normalised: int, bias: bool, opset: int) -> None:
    wide = 2 if "swiglu_fusion" in options else 1
    inputs = experts(wide, bias)
    weights = [name for name in inputs if name[0] in "wb" and inputs[name] is not None]
    options = {**options, "normalize_routing_weights": normalised}
    graph = check_contrib("MoE", inputs, weights=weights, opset=opset, **options)
    assert [op.expression.kernel for op in graph.planned].count("matmul") == 2
    assert graph.flop_matmul_conv == 2 * EXPERTS * TOKENS * HIDDEN * INNER * (wide + 1)


def test_experts_of_a_batch() -> None:
    inputs = experts()
    inputs["x"] = floats(1, TOKENS, HIDDEN)
    check_contrib("MoE", inputs, k=2)


@pytest.mark.parametrize("name", ["silu", "swiglu"])
def test_experts_with_a_third_projection(name: str) -> None:
    inputs = experts(third=True)
    x, router, w1, _, w2, _, w3, b3 = inputs.values()
    shares = np.exp(router) / np.exp(router).sum(-1, keepdims=True)
    shares = np.where(shares >= np.sort(shares)[:, [-2]], shares, 0)
    expected = 0
    for e in range(EXPERTS):
        gate = x @ w1[e].T
        inner = gate / (1 + np.exp(-gate)) * (x @ w3[e].T + b3[e])
        expected = expected + shares[:, [e]] * (inner @ w2[e].T)
    check_contrib("MoE", inputs, activation_type=name, k=2, expected=[expected.astype(np.float32)])


def packed(values: np.ndarray, bits: int) -> np.ndarray:
    """Entries of 4 or 8 bits along the last dimension as bytes, lowest bits first."""
    if bits == 8:
        return values.astype(np.uint8)
    return (values[..., ::2] | values[..., 1::2] << 4).astype(np.uint8)


@pytest.mark.parametrize("options", [{"activation_type": "silu"}, SWIGLU])
@pytest.mark.parametrize("normalised", [0, 1])
@pytest.mark.parametrize(
    ("bits", "block", "points"),
    [(8, 0, False), (8, 0, True), (8, 16, True), (4, 0, False), (4, 16, True), (4, 16, False)],
)
def test_packed_experts(
    bits: int, block: int, points: bool, normalised: int, options: dict[str, object]
) -> None:
    """Against the float operator with the weights that they stand for."""
    rng = np.random.default_rng(bits + block)
    depth, inner, wide = 32, 32, 2 if "swiglu_fusion" in options else 1
    plain: dict[str, np.ndarray | None] = {"x": floats(TOKENS, depth)}
    plain["router"] = floats(TOKENS, EXPERTS)
    inputs, zeros = dict(plain), {}
    for name, (columns, length) in {"1": (wide * inner, depth), "2": (depth, inner)}.items():
        blocks = length // block if block else 1
        entries = rng.integers(0, 2**bits, (EXPERTS, columns, length))
        zero = rng.integers(0, 2**bits, (EXPERTS, columns, blocks))
        scale = rng.uniform(0.1, 0.2, (EXPERTS, columns, blocks)).astype(np.float32) / 2**bits
        middle = zero if points else np.full_like(zero, 2 ** (bits - 1))
        rows = entries.reshape(EXPERTS, columns, blocks, -1) - middle[..., None]
        weight = (rows * scale[..., None]).reshape(entries.shape).astype(np.float32)
        plain |= {f"w{name}": weight, f"b{name}": floats(EXPERTS, columns)}
        inputs |= {f"w{name}": packed(entries, bits), f"s{name}": scale if block else scale[..., 0]}
        inputs[f"b{name}"] = plain[f"b{name}"]
        zeros[f"z{name}"] = packed(zero, bits) if block else zero[..., 0].astype(np.uint8)
    options = {**options, "k": 2, "normalize_routing_weights": normalised}
    model, feeds = contrib_model("MoE", plain, **options)
    expected = runtime_results(model, feeds)
    if points:
        inputs |= {"w3": None, "s3": None, "b3": None, **zeros}
    options |= {"expert_weight_bits": bits} | ({"block_size": block} if block else {})
    weights = [name for name in inputs if name[-1] in "12"]
    graph = check_contrib("QMoE", inputs, weights=weights, expected=expected, **options)
    products = [op for op in graph.planned if op.expression.kernel == "matmul"]
    assert len(products) == 2 * EXPERTS
    assert {graph.tensor[op.inputs[1]].element_type for op in products} == {f"uint{bits}"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"use_sparse_mixer": 1}, "sparse mixer"),
        ({"activation_type": "sine"}, "'sine'"),
        ({"activation_type": "swiglu"}, "swiglu_fusion"),
    ],
)
def test_refusals(options: dict[str, object], reason: str) -> None:
    model, _ = contrib_model("MoE", experts(), **options)
    with pytest.raises(UnsupportedOperatorError) as caught:
        resolve_model(model.SerializeToString())
    assert reason in str(caught.value)
