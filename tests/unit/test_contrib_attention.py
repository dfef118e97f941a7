"""com.microsoft: attention operators against ONNX Runtime, or NumPy where it has no CPU kernel."""

from itertools import pairwise

import numpy as np
import pytest
from contrib_models import OPSETS, check_contrib, contrib_model, floats
from graph_numpy import Arrays

from t10c.errors import UnsupportedOperatorError
from t10c.onnx_import.resolve import resolve_model

BATCH, HEADS, SIZE = 2, 2, 4
HIDDEN = HEADS * SIZE


def operands(queries: int, keys: int, value_size: int = SIZE) -> Arrays:
    return {
        "q": floats(BATCH, queries, HIDDEN),
        "k": floats(BATCH, keys, HIDDEN),
        "v": floats(BATCH, keys, HEADS * value_size),
    }


def heads(x: np.ndarray) -> np.ndarray:
    return x.reshape(*x.shape[:2], HEADS, -1).transpose(0, 2, 1, 3)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, add: object = 0.0) -> np.ndarray:
    """Of [batch, heads, positions, size]; returns [batch, positions, hidden]."""
    scores = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[-1]) + add
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (weights / weights.sum(-1, keepdims=True)) @ v
    return mixed.transpose(0, 2, 1, 3).reshape(q.shape[0], q.shape[2], -1).astype(np.float32)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("queries", "keys", "value_size"), [(3, 3, 4), (2, 5, 4), (1, 3, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_multi_head(queries: int, keys: int, value_size: int, bias: bool, opset: int) -> None:
    inputs = operands(queries, keys, value_size)
    inputs["bias"] = floats(2 * HIDDEN + HEADS * value_size) if bias else None
    graph = check_contrib("MultiHeadAttention", inputs, opset=opset, num_heads=HEADS)
    assert [op.expression.kernel for op in graph.planned].count("matmul") == 2
    points = BATCH * HEADS * queries * keys * (SIZE + value_size)
    assert graph.flop_matmul_conv == 2 * points
    check_contrib(
        "MultiHeadAttention", inputs, ("y", "k1", "v1"), opset=opset, num_heads=HEADS, scale=0.3
    )


MASKS = {
    "ends": np.array([2, 3], np.int32),
    "keys": np.array([[1, 0, 1], [1, 1, 0]], np.int32),
    "full": np.array([[[1, 0, 1], [1, 1, 0], [1, 0, 0]]] * 2, np.int32),
}


@pytest.mark.parametrize("mask", [None, *MASKS])
@pytest.mark.parametrize("addend", [None, (2, 2), (1, 2), (2, 1), (1, 1)])
@pytest.mark.parametrize("causal", [0, 1])
def test_multi_head_masks(mask: str | None, addend: tuple[int, int] | None, causal: int) -> None:
    inputs = {
        **operands(3, 3),
        "bias": None,
        "mask": MASKS[mask] if mask else None,
        "add": floats(*addend, 3, 3) if addend else None,
    }
    options = {"num_heads": HEADS, "unidirectional": causal, "mask_filter_value": -20.0}
    if mask == "ends":
        options["mask_filter_value"] = -10000.0
    check_contrib("MultiHeadAttention", inputs, **options)
    if not causal:
        declared = {"qk": (BATCH, HEADS, 3, 3)}
        outputs = ("y", "", "", "qk")
        check_contrib("MultiHeadAttention", inputs, outputs, declared=declared, **options)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("bias", [True, False])
def test_multi_head_with_cache(queries: int, causal: int, bias: bool, opset: int) -> None:
    inputs = {
        **operands(queries, queries),
        "bias": floats(3 * HIDDEN) if bias else None,
        "mask": np.ones((BATCH, queries + 5), np.int32),
        "add": floats(1, HEADS, queries, queries + 5),
        "past_k": floats(BATCH, HEADS, 5, SIZE),
        "past_v": floats(BATCH, HEADS, 5, SIZE),
    }
    inputs["mask"][0, :2] = 0
    outputs = ("y", "k1", "v1")
    options = {"num_heads": HEADS, "unidirectional": causal}
    check_contrib("MultiHeadAttention", inputs, outputs, opset=opset, **options)


@pytest.mark.parametrize("bias", [True, False])
def test_multi_head_over_projected_keys(bias: bool) -> None:
    inputs = {
        "q": floats(BATCH, 3, HIDDEN),
        "k": floats(BATCH, HEADS, 5, SIZE),
        "v": floats(BATCH, HEADS, 5, SIZE),
        "bias": floats(3 * HIDDEN) if bias else None,
    }
    if not bias:
        check_contrib("MultiHeadAttention", inputs, num_heads=HEADS)
        return
    query = inputs["q"] + inputs["bias"][:HIDDEN]
    expected = attention(heads(query), inputs["k"], inputs["v"])
    check_contrib("MultiHeadAttention", inputs, num_heads=HEADS, expected=[expected])


@pytest.mark.parametrize("bias", [True, False])
def test_multi_head_of_packed_operands(bias: bool) -> None:
    terms = floats(3, HEADS, SIZE) * bias
    packed = floats(BATCH, 3, HEADS, 3, SIZE)
    q, k, v = ((packed[..., i, :] + terms[i]).transpose(0, 2, 1, 3) for i in range(3))
    inputs = {"q": packed, "k": None, "v": None, "b": terms.reshape(-1) if bias else None}
    check_contrib("MultiHeadAttention", inputs, num_heads=HEADS, expected=[attention(q, k, v)])
    flat = packed.transpose(0, 1, 3, 2, 4).reshape(BATCH, 3, 3 * HIDDEN).copy()
    check_contrib(
        "MultiHeadAttention", {**inputs, "q": flat}, num_heads=HEADS, expected=[attention(q, k, v)]
    )
    query, pair = floats(BATCH, 2, HIDDEN), floats(BATCH, 5, HEADS, 2, SIZE)
    k, v = ((pair[..., i, :] + terms[i + 1]).transpose(0, 2, 1, 3) for i in range(2))
    inputs = {"q": query, "k": pair, "v": None, "b": inputs["b"]}
    expected = attention(heads(query + terms[0].reshape(-1)), k, v)
    check_contrib("MultiHeadAttention", inputs, num_heads=HEADS, expected=[expected])


@pytest.mark.parametrize("past", [0, 3, 6])
def test_multi_head_in_a_cache_buffer(past: int) -> None:
    inputs = {
        **operands(1, 1),
        "bias": None,
        "mask": None,
        "add": None,
        "past_k": floats(BATCH, HEADS, 7, SIZE),
        "past_v": floats(BATCH, HEADS, 7, SIZE),
        "length": np.array([past], np.int32),
    }
    caches = []
    for name, new in (("past_k", "k"), ("past_v", "v")):
        cache = inputs[name].copy()
        cache[:, :, past : past + 1] = heads(inputs[new])
        caches.append(cache)
    key, value = (cache[:, :, : past + 1] for cache in caches)
    expected = [attention(heads(inputs["q"]), key, value), *caches]
    outputs = ("y", "k1", "v1")
    check_contrib(
        "MultiHeadAttention",
        inputs,
        outputs,
        weights=("length",),
        num_heads=HEADS,
        expected=expected,
    )
    if past == 6:  # the whole buffer, which is what is assumed where the length is data
        check_contrib("MultiHeadAttention", inputs, outputs, num_heads=HEADS, expected=expected)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("mask", [True, False])
def test_decoder_masked_multi_head(bias: bool, mask: bool, opset: int) -> None:
    past = 4
    inputs = {
        **operands(1, 1),
        "mask": np.array([[1, 0, 1, 1, 1], [1] * 5], np.int32) if mask else None,
        "add": floats(1, HEADS, 1, past + 1),
        "past_k": floats(BATCH, HEADS, past + 2, SIZE),
        "past_v": floats(BATCH, HEADS, past + 2, SIZE),
        "length": np.array([past], np.int32),
        "beams": None,
        "indirection": None,
        "bias": floats(3 * HIDDEN) if bias else None,
    }
    options = {"num_heads": HEADS, "past_present_share_buffer": 1, "mask_filter_value": -30.0}
    check_contrib(
        "DecoderMaskedMultiHeadAttention",
        inputs,
        ("y", "k1", "v1"),
        weights=("length",),
        opset=opset,
        **options,
    )


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("past", [0, 4])
@pytest.mark.parametrize("mask", [None, "ends", "bounds", "keys", "full"])
def test_attention(bias: bool, causal: int, past: int, mask: str | None, opset: int) -> None:
    keys = 3 + past
    masks = {
        "ends": np.array([keys - 1, keys], np.int32),
        "bounds": np.array([keys - 1, keys, 1, 0], np.int32),
        "keys": np.ones((BATCH, keys), np.int32),
        "full": np.ones((BATCH, 3, keys), np.int32),
    }
    masks["keys"][0, 1] = 0
    masks["full"][1, :2, 1] = 0
    inputs = {
        "x": floats(BATCH, 3, 5),
        "w": floats(5, 3 * HIDDEN),
        "b": floats(3 * HIDDEN) if bias else None,
        "mask": masks[mask] if mask else None,
        "past": floats(2, BATCH, HEADS, past, SIZE) if past else None,
    }
    outputs = ("y", "present") if past else ("y",)
    options = {"num_heads": HEADS, "unidirectional": causal, "mask_filter_value": -20.0}
    weights = ("w", "b") if bias else ("w",)
    graph = check_contrib("Attention", inputs, outputs, weights, opset, **options)
    assert [op.expression.kernel for op in graph.planned].count("matmul") == 3


def test_attention_of_unequal_widths_with_bias_of_scores() -> None:
    inputs = {
        "x": floats(BATCH, 3, 5),
        "w": floats(5, 2 * HIDDEN + 12),
        "b": floats(2 * HIDDEN + 12),
        "mask": None,
        "past": None,
        "add": floats(1, HEADS, 3, 3),
    }
    widths = [HIDDEN, HIDDEN, 12]
    check_contrib("Attention", inputs, num_heads=HEADS, qkv_hidden_sizes=widths, scale=0.2)


def test_attention_under_a_mask_of_the_longest_sequence() -> None:
    mask = np.tri(9, dtype=np.int32)[None, None].repeat(BATCH, 0)
    x, w = floats(BATCH, 3, 5), floats(5, 3 * HIDDEN)
    q, k, v = (heads(each) for each in np.split(x @ w, 3, axis=-1))
    add = np.where(mask[:, :, :3, :3], 0.0, -10000.0)
    check_contrib(
        "Attention",
        {"x": x, "w": w, "b": None, "mask": mask},
        num_heads=HEADS,
        expected=[attention(q, k, v, add)],
    )


@pytest.mark.parametrize("known", [True, False])
def test_attention_of_packed_sequences(known: bool) -> None:
    bounds = np.array([0, 2, 5, 6], np.int32)
    tokens, bias = 6, floats(3 * HIDDEN)
    x, w = floats(tokens, 5), floats(5, 3 * HIDDEN)
    q, k, v = np.split(x @ w + bias, 3, axis=-1)

    def expected(*operands: np.ndarray) -> np.ndarray:
        parts = [
            attention(*(heads(each[None, a:b]) for each in operands))[0]
            for a, b in pairwise(bounds)
        ]
        return np.concatenate(parts)

    weights = ("bounds",) if known else ()
    lengths = {"offset": np.arange(6, dtype=np.int32).reshape(2, 3), "bounds": bounds}
    check_contrib(
        "PackedAttention",
        {"x": x, "w": w, "b": bias, **lengths},
        weights=weights,
        num_heads=HEADS,
        expected=[expected(q, k, v)],
    )
    q, k, v = (each - part for each, part in zip((q, k, v), np.split(bias, 3), strict=True))
    biased = [each + part for each, part in zip((q, k, v), np.split(bias, 3), strict=True)]
    check_contrib(
        "PackedMultiHeadAttention",
        {"q": q, "k": k, "v": v, "b": bias, **lengths},
        weights=weights,
        num_heads=HEADS,
        expected=[expected(*biased)],
    )
    packed = np.stack([each.reshape(tokens, HEADS, SIZE) for each in (q, k, v)], 2)
    check_contrib(
        "PackedMultiHeadAttention",
        {"q": packed, "k": None, "v": None, "b": None, **lengths},
        weights=weights,
        num_heads=HEADS,
        expected=[expected(q, k, v)],
    )


@pytest.mark.parametrize(
    ("op_type", "change", "options", "reason"),
    [
        ("MultiHeadAttention", {}, {"num_heads": 3}, "3 heads cannot share 8 features"),
        (
            "MultiHeadAttention",
            {"bias": None, "mask": np.ones(8, np.int32)},
            {},
            "cumulative lengths",
        ),
        ("MultiHeadAttention", {"bias": None, "mask": np.ones((2, 9), np.int32)}, {}, "[2, 9]"),
        ("Attention", {}, {"do_rotary": 1}, "rotary"),
    ],
)
def test_refusals(op_type: str, change: Arrays, options: dict[str, object], reason: str) -> None:
    inputs = {**operands(3, 3), **change}
    model, _ = contrib_model(op_type, inputs, **{"num_heads": HEADS, **options})
    with pytest.raises(UnsupportedOperatorError) as caught:
        resolve_model(model.SerializeToString())
    assert reason in str(caught.value)
