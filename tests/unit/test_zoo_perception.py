"""Whisper, the U-Net block and MobileNetV2 against NumPy formulations."""

import math

import numpy as np
import pytest
from zoo_models import Array, as_past, assert_equals_end_of, feeds, run, small, weights_of
from zoo_numpy import Weights, attention, convolution, dense, gelu, layer_norm, silu

from t10c.zoo import build_model

ENCODER, DECODER = "whisper-tiny-encoder", "whisper-tiny-decoder"
UNET, MOBILENET = "sd-1.5-unet-block", "mobilenet-v2"


def reference_attention(
    x: Array, source: Array, w: Weights, at: str, heads: int, causal: bool = False
) -> Array:
    """Multi-head attention of [queries, hidden] to [keys, hidden]."""
    size = w[f"{at}.q_proj"].shape[1] // heads
    query, key, value = (
        dense(of, w, f"{at}.{name}_proj").reshape(len(of), heads, size)
        for of, name in ((x, "q"), (source, "k"), (source, "v"))
    )
    end = len(source)
    context = attention(
        query, key, value, lambda i: range(i + 1 if causal else end), math.sqrt(size)
    )
    return dense(context, w, f"{at}.out_proj")


def feed_forward(x: Array, w: Weights, at: str) -> Array:
    normed = layer_norm(x, w, f"{at}.final_layer_norm", 1e-5)
    return dense(gelu(dense(normed, w, f"{at}.fc1")), w, f"{at}.fc2")


def test_whisper_encoder() -> None:
    model = small(ENCODER)
    inputs, w = feeds(model), weights_of(model)
    # Vaswani et al. 2017 as Whisper has it: 16 sines, 16 cosines, from rate 1 to 1 / 10,000
    rates = [10000 ** (-i / 15) for i in range(16)]
    places = [[f(n * r) for f in (math.sin, math.cos) for r in rates] for n in range(10)]
    for mel, actual in zip(
        inputs["input_features"], run(model, inputs)["last_hidden_state"], strict=True
    ):
        x = gelu(convolution(mel, w, "conv1"))
        x = gelu(convolution(x, w, "conv2", stride=2)).T + np.array(places)
        for layer in range(2):
            at = f"layers.{layer}"
            normed = layer_norm(x, w, f"{at}.self_attn_layer_norm", 1e-5)
            x = x + reference_attention(normed, normed, w, f"{at}.self_attn", 4)
            x = x + feed_forward(x, w, at)
        np.testing.assert_allclose(
            actual, layer_norm(x, w, "layer_norm", 1e-5), rtol=1e-3, atol=1e-4
        )


def test_whisper_decoder() -> None:
    model = small(DECODER)
    inputs, w = feeds(model), weights_of(model)
    for ids, source, actual in zip(
        inputs["input_ids"],
        inputs["encoder_hidden_states"],
        run(model, inputs)["logits"],
        strict=True,
    ):
        x = w["embed_tokens"][ids].astype(np.float64) + w["embed_positions"][:6]
        for layer in range(2):
            at = f"layers.{layer}"
            normed = layer_norm(x, w, f"{at}.self_attn_layer_norm", 1e-5)
            x = x + reference_attention(normed, normed, w, f"{at}.self_attn", 4, causal=True)
            normed = layer_norm(x, w, f"{at}.encoder_attn_layer_norm", 1e-5)
            x = x + reference_attention(normed, source, w, f"{at}.encoder_attn", 4)
            x = x + feed_forward(x, w, at)
        expected = layer_norm(x, w, "layer_norm", 1e-5) @ w["embed_tokens"].T
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("new", [1, 3])
def test_whisper_decodes_with_a_cache_as_it_prefills(new: int) -> None:
    whole = small(DECODER, seq=8)
    inputs = feeds(whole)
    expected = run(whole, inputs)
    past = 8 - new
    head = {**inputs, "input_ids": inputs["input_ids"][:, :past]}
    cache = as_past(run(small(DECODER, seq=past), head))
    decode = small(DECODER, phase="decode", seq=new, past=past)
    decoded = run(decode, {"input_ids": inputs["input_ids"][:, past:], **cache})
    # what was made of the encoder's output stays: decode does not hand it on again
    grown = {name: value for name, value in expected.items() if "cross" not in name}
    assert_equals_end_of(decoded, grown, past)


def group_norm(x: Array, w: Weights, name: str, groups: int, epsilon: float) -> Array:
    grouped = x.reshape(groups, -1)
    grouped = grouped - grouped.mean(1, keepdims=True)
    normed = grouped / np.sqrt((grouped**2).mean(1, keepdims=True) + epsilon)
    return normed.reshape(x.shape) * w[name] + w[f"{name}.bias"]


def unet_attention(x: Array, source: Array, w: Weights, at: str) -> Array:
    query, key, value = (
        dense(of, w, f"{at}.to_{name}").reshape(len(of), 2, 8)
        for of, name in ((x, "q"), (source, "k"), (source, "v"))
    )
    context = attention(query, key, value, lambda _: range(len(source)), math.sqrt(8))
    return dense(context, w, f"{at}.to_out")


@pytest.mark.parametrize("channels_in", [8, 16])
def test_unet_block(channels_in: int) -> None:
    model = small(UNET, overrides={"channels_in": str(channels_in)})
    inputs, w = feeds(model), weights_of(model)
    assert ("resnet.conv_shortcut" in w) == (channels_in == 8)
    for sample, time, text, actual in zip(
        inputs["sample"],
        inputs["time_embedding"],
        inputs["encoder_hidden_states"],
        run(model, inputs)["output"],
        strict=True,
    ):
        y = convolution(silu(group_norm(sample, w, "resnet.norm1", 4, 1e-5)), w, "resnet.conv1")
        shift = w["resnet.time_emb_proj"] @ silu(time) + w["resnet.time_emb_proj.bias"]
        y = silu(group_norm(y + shift[:, None, None], w, "resnet.norm2", 4, 1e-5))
        residual = convolution(sample, w, "resnet.conv_shortcut") if channels_in == 8 else sample
        x = residual + convolution(y, w, "resnet.conv2")

        y = convolution(group_norm(x, w, "transformer.norm", 4, 1e-6), w, "transformer.proj_in")
        y, at = y.reshape(16, 36).T, "transformer.transformer_blocks.0"
        normed = layer_norm(y, w, f"{at}.norm1", 1e-5)
        y = y + unet_attention(normed, normed, w, f"{at}.attn1")
        y = y + unet_attention(layer_norm(y, w, f"{at}.norm2", 1e-5), text, w, f"{at}.attn2")
        both = dense(layer_norm(y, w, f"{at}.norm3", 1e-5), w, f"{at}.ff.proj")
        y = y + dense(both[:, :64] * gelu(both[:, 64:]), w, f"{at}.ff.out")
        x = x + convolution(y.T.reshape(16, 6, 6), w, "transformer.proj_out")
        np.testing.assert_allclose(actual, x, rtol=1e-3, atol=1e-3)


def test_mobilenet() -> None:
    model = small(MOBILENET)
    inputs, w = feeds(model), weights_of(model)
    # bright enough that activations reach the six at which they end
    inputs["input"] *= 40
    # Sandler et al. 2018, table 2: first block and stride of each row, the widths times 1/4 as
    # multiples of 8 that are at most a tenth less
    strides = {2: 2, 4: 2, 7: 2, 14: 2}
    for image, actual in zip(inputs["input"], run(model, inputs)["logits"], strict=True):
        x = np.clip(convolution(image, w, "features.0", stride=2), 0, 6)
        for block in range(1, 18):
            at, y = f"features.{block}", x
            if block > 1:
                y = np.clip(convolution(y, w, f"{at}.expand"), 0, 6)
            depthwise = {"stride": strides.get(block, 1), "groups": len(y)}
            y = np.clip(convolution(y, w, f"{at}.depthwise", **depthwise), 0, 6)
            y = convolution(y, w, f"{at}.project")
            x = x + y if x.shape == y.shape else y
        x = np.clip(convolution(x, w, "features.18"), 0, 6).mean(axis=(1, 2))
        expected = w["classifier"] @ x + w["classifier.bias"]
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5)


def test_mobilenet_has_the_channels_of_its_table() -> None:
    weights = {w.name: list(w.dims) for w in build_model(MOBILENET).graph.initializer}
    widths = [weights[f"features.{block}.project.weight"][:2] for block in range(1, 18)]
    table = [16, *[24] * 2, *[32] * 3, *[64] * 4, *[96] * 3, *[160] * 3, 320]
    assert [out for out, _ in widths] == table
    assert [inner for _, inner in widths][:4] == [32, 96, 144, 144]
    assert weights["features.1.depthwise.weight"] == [32, 1, 3, 3]
