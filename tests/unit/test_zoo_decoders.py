"""Decoder-only models with a cache: attention, masks, experts, against NumPy formulations."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper
from zoo_models import (
    GEMMA,
    LLAMA,
    MIXTRAL,
    OPT,
    SMALL,
    Array,
    as_past,
    assert_equals_end_of,
    feeds,
    run,
    small,
    weights_of,
)
from zoo_numpy import Weights, attention, dense, gelu_tanh, rms_norm, rotated, silu, softmax

from t10c.errors import UsageError
from t10c.zoo import build_model

CACHED = [OPT, LLAMA, GEMMA, MIXTRAL]


@pytest.mark.parametrize(("seq", "new"), [(9, 1), (9, 4)])
@pytest.mark.parametrize("name", CACHED)
def test_decoding_with_a_cache_equals_prefill(name: str, seq: int, new: int) -> None:
    whole = small(name, seq=seq)
    inputs = feeds(whole)
    expected = run(whole, inputs)

    past = seq - new
    head = {key: value[:, :past] for key, value in inputs.items()}
    cache = run(small(name, seq=past), head)
    decoded = run(
        small(name, phase="decode", seq=new, past=past),
        {
            "input_ids": inputs["input_ids"][:, past:],
            "position_ids": inputs["position_ids"][:, past:],
            "attention_mask": inputs["attention_mask"],
            **as_past(cache),
        },
    )
    assert_equals_end_of(decoded, expected, past)


@pytest.mark.parametrize("name", CACHED)
def test_decoder_is_causal(name: str) -> None:
    model = small(name)
    inputs = feeds(model)
    before = run(model, inputs)["logits"]
    changed = inputs["input_ids"].copy()
    changed[:, -1] += 1
    changed[:, -1] %= 50
    after = run(model, {**inputs, "input_ids": changed})["logits"]
    np.testing.assert_array_equal(before[:, :-1], after[:, :-1])
    assert np.abs(before[:, -1] - after[:, -1]).max() > 1e-2


@pytest.mark.parametrize("name", [*CACHED, "bert-large"])
def test_masked_positions_have_no_influence(name: str) -> None:
    model = small(name)
    inputs = feeds(model)
    inputs["attention_mask"][:, 0] = 0
    output = "last_hidden_state" if name == "bert-large" else "logits"
    before = run(model, inputs)[output]
    inputs["input_ids"][:, 0] = (inputs["input_ids"][:, 0] + 1) % 50
    after = run(model, inputs)[output]
    np.testing.assert_array_equal(before[:, 1:], after[:, 1:])
    assert np.abs(before[:, 0] - after[:, 0]).max() > 1e-2


def test_rotary_positions_matter_only_relative_to_each_other() -> None:
    model = small(LLAMA)
    inputs = feeds(model)
    logits = run(model, inputs)["logits"]
    shifted = run(model, {**inputs, "position_ids": inputs["position_ids"] + 5})["logits"]
    spread = run(model, {**inputs, "position_ids": inputs["position_ids"] * 2})["logits"]
    np.testing.assert_allclose(logits, shifted, rtol=1e-3, atol=1e-3)
    assert np.abs(logits - spread).max() > 1e-2


def test_grouped_heads_equal_full_heads_with_repeated_weights() -> None:
    grouped = small(LLAMA, overrides={"kv_heads": "2"})
    full = small(LLAMA)
    weights = {w.name: numpy_helper.to_array(w) for w in grouped.graph.initializer}
    for tensor in full.graph.initializer:
        value = weights.get(tensor.name)
        if value is not None and (".k_proj" in tensor.name or ".v_proj" in tensor.name):
            value = value.reshape(64, 2, 1, 16).repeat(2, axis=2).reshape(64, 64)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    inputs = feeds(full)
    np.testing.assert_allclose(
        run(grouped, inputs)["logits"], run(full, inputs)["logits"], rtol=1e-4, atol=1e-4
    )


def reference_attention(
    x: Array,
    w: Weights,
    layer: str,
    heads: tuple[int, int, int],
    divisor: float,
    base: float = 10000.0,
    cap: float = math.inf,
    window: int = 99,
) -> Array:
    """Rotary grouped-query attention of [seq, hidden]; `heads` are heads, kv heads and size."""
    query_heads, kv_heads, size = heads
    query, key, value = (
        dense(x, w, f"{layer}.self_attn.{name}").reshape(len(x), count, size)
        for name, count in (("q_proj", query_heads), ("k_proj", kv_heads), ("v_proj", kv_heads))
    )
    query, key = (
        np.array([[rotated(head, i, base) for head in row] for i, row in enumerate(array)])
        for array in (query, key)
    )

    def visible(i: int) -> range:
        return range(max(0, i - window + 1), i + 1)

    context = attention(query, key, value, visible, divisor, cap)
    return dense(context, w, f"{layer}.self_attn.o_proj")


@pytest.mark.parametrize("setting", [{}, {"window": "2"}, {"query_scale": "3"}])
def test_gemma_is_what_its_paper_says(setting: dict[str, str]) -> None:
    model = small(GEMMA, seq=9, overrides=setting)
    inputs, w = feeds(model), weights_of(model)
    chosen = {name: float(text) for name, text in {**SMALL[GEMMA], **setting}.items()}

    def norm(x: Array, name: str) -> Array:
        return rms_norm(x, w[name], 1e-6)

    for ids, logits in zip(inputs["input_ids"], run(model, inputs)["logits"], strict=True):
        x = w["embed_tokens"][ids].astype(np.float64) * 8
        for layer in range(2):
            at = f"layers.{layer}"
            attended = reference_attention(
                norm(x, f"{at}.input_layernorm"),
                w,
                at,
                heads=(4, 2, 8),
                divisor=math.sqrt(chosen["query_scale"]),
                cap=1.5,
                window=int(chosen["window"]) if layer == 0 else 99,
            )
            x = x + norm(attended, f"{at}.post_attention_layernorm")
            y = norm(x, f"{at}.pre_feedforward_layernorm")
            y = gated(y, w, f"{at}.mlp", gelu_tanh)
            x = x + norm(y, f"{at}.post_feedforward_layernorm")
        expected = 2.5 * np.tanh(norm(x, "norm") @ w["embed_tokens"].T / 2.5)
        np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


def test_local_layers_of_gemma_cache_what_the_next_position_sees() -> None:
    def cached(model: ModelProto, way: str) -> list[int]:
        values = [*model.graph.input, *model.graph.output]
        shapes = {v.name: v.type.tensor_type.shape.dim for v in values if way in v.name}
        names = [f"{way}_{letter}{layer}" for layer in (0, 1) for letter in "kv"]
        return [shapes[name][2].dim_value for name in names]

    assert cached(small(GEMMA, seq=9), "present") == [3, 3, 9, 9]
    assert cached(small(GEMMA, seq=2), "present") == [2, 2, 2, 2]
    decode = small(GEMMA, phase="decode", seq=1, past=9)
    assert cached(decode, "past") == [3, 3, 9, 9]
    assert cached(decode, "present") == [3, 3, 10, 10]


def assert_is_llama(
    model: ModelProto, base: float, part: str, feed_forward: Callable[[Array, Weights, str], Array]
) -> None:
    """Two layers of grouped-query attention and `feed_forward`, whose weights begin with `part`."""
    inputs, w = feeds(model), weights_of(model)
    for ids, logits in zip(inputs["input_ids"], run(model, inputs)["logits"], strict=True):
        x = w["embed_tokens"][ids].astype(np.float64)
        for layer in range(2):
            at = f"layers.{layer}"
            normed = rms_norm(x, w[f"{at}.input_layernorm"], 1e-5)
            x = x + reference_attention(normed, w, at, (4, 2, 16), divisor=4, base=base)
            normed = rms_norm(x, w[f"{at}.post_attention_layernorm"], 1e-5)
            x = x + feed_forward(normed, w, f"{at}.{part}")
        expected = dense(rms_norm(x, w["norm"], 1e-5), w, "lm_head")
        np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)


def gated(x: Array, w: Weights, at: str, activation: Callable[[Array], Array] = silu) -> Array:
    gate = activation(dense(x, w, f"{at}.gate_proj"))
    return dense(gate * dense(x, w, f"{at}.up_proj"), w, f"{at}.down_proj")


@pytest.mark.parametrize(("name", "base"), [("llama-2-70b", 1e4), ("llama-3-8b", 5e5)])
def test_llama_with_grouped_queries(name: str, base: float) -> None:
    assert_is_llama(small(name, seq=9), base, "mlp", gated)


def reference_mixture(x: Array, w: Weights, at: str, selected: int) -> Array:
    """Each token through its best experts, weighted by a softmax over their scores alone."""
    out = np.zeros_like(x)
    for token, result in zip(x, out, strict=True):
        scores = dense(token, w, f"{at}.gate")
        best = np.argsort(scores)[::-1][:selected]
        for expert, share in zip(best, softmax(scores[best]), strict=True):
            first, third, second = (w[f"{at}.experts.w{i}"][expert] for i in (1, 3, 2))
            result += share * ((silu(token @ first) * (token @ third)) @ second)
    return out


@pytest.mark.parametrize("selected", [1, 2, 3])
@pytest.mark.parametrize(("batch", "seq"), [(2, 6), (1, 1)])
def test_mixtral_sends_each_token_to_its_best_experts(batch: int, seq: int, selected: int) -> None:
    model = small(MIXTRAL, batch=batch, seq=seq, overrides={"selected": str(selected)})
    kinds = {node.op_type for node in model.graph.node}
    # one token gathers the weights of its experts, twelve go through all of them
    assert ("ScatterElements" in kinds) == (seq > 1)
    assert_is_llama(model, 1e6, "block_sparse_moe", partial(reference_mixture, selected=selected))


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        (MIXTRAL, {"selected": "9"}, "selected (9) must not exceed experts (8)"),
        (MIXTRAL, {"kv_heads": "3"}, "multiple of kv_heads (3)"),
        (GEMMA, {"window": "1"}, "window must be at least 2"),
        (GEMMA, {"head_size": "7"}, "head_size (7)"),
    ],
)
def test_hyper_parameters_that_contradict(
    name: str, overrides: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        build_model(name, overrides=overrides)
    assert message in str(caught.value)
