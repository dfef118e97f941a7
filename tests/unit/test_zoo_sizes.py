"""Full-size models: parameters as published, floating-point operations by closed forms."""

import math
from typing import Any

import pytest
from onnx import TensorProto, shape_inference
from zoo_models import NAMES, built_count, flop, parameter_count

from t10c.zoo import build_model, list_recipes


@pytest.mark.parametrize("name", NAMES)
def test_full_size_model_has_the_published_parameters_and_infers(name: str) -> None:
    model = build_model(name)
    recipe = next(recipe for recipe in list_recipes() if recipe.name == name)
    assert parameter_count(model) == recipe.parameter_count
    assert model.ByteSize() < 1_000_000
    inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    known = {value.name for value in (*inferred.graph.value_info, *inferred.graph.output)}
    assert {name for node in model.graph.node for name in node.output} <= known


@pytest.mark.parametrize(
    ("name", "arguments", "published"),
    [
        # Clark et al. 2020 (ELECTRA), table 1: 7.9e10 for BERT-large at 128 tokens
        ("bert-large", {"seq": 128}, 7.9e10),
        # torchvision's model table, multiply-adds: ViT-B/16 17.56, ResNet-18 1.81, ResNet-50 4.09 G
        ("vit-base", {}, 2 * 17.56e9),
        ("resnet-18", {}, 2 * 1.81e9),
        ("resnet-50", {}, 2 * 4.09e9),
        # torchvision's table again: 0.30 G, and Sandler et al. 2018, table 4: 300 M
        ("mobilenet-v2", {}, 2 * 0.3e9),
        # Kaplan et al. 2020: 2 per parameter and token, attention and embeddings aside
        ("llama-2-7b", {"seq": 16}, 2 * 6.607e9 * 16),
    ],
)
def test_flop_of_full_size_models_match_the_published(
    name: str, arguments: dict[str, Any], published: float
) -> None:
    assert flop(build_model(name, batch=1, **arguments)) == pytest.approx(published, rel=0.01)


def test_flop_of_bert_large_exactly() -> None:
    tokens, hidden = 128, 1024
    layer = 12 * tokens * hidden**2 + 2 * tokens**2 * hidden
    assert flop(build_model("bert-large", seq=tokens)) == 2 * (24 * layer + hidden**2)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # the counts that the published weights of each model have
        ("llama-2-7b", 6_738_415_616),
        ("llama-2-13b", 13_015_864_320),
        ("llama-2-70b", 68_976_648_192),
        ("llama-3-8b", 8_030_261_248),
        ("gemma-2-27b", 27_227_128_320),
        ("mixtral-8x7b", 46_702_792_704),
        ("opt-30b", 29_974_540_288),
        # torchvision: 3,504,872, of which 2 x 17,056 are scales and shifts and half of them folded
        ("mobilenet-v2", 3_504_872 - 17_056),
        # an ONNX LSTM has one bias of 4 x 1,500 more in each of the two layers
        ("lstm-ptb-large", 66_022_000 + 2 * 6_000),
    ],
)
def test_parameters_are_those_of_the_published_weights(name: str, published: int) -> None:
    assert built_count(name) == published


def test_parameters_of_gemma_divide_as_published() -> None:
    # arXiv 2408.00118, table 2, in millions: 1,180 embed and 26,047 do not
    embedding = 256_000 * 4608
    assert round(embedding / 1e6) == 1180
    assert round((built_count("gemma-2-27b") - embedding) / 1e6) == 26_047


@pytest.mark.parametrize(
    ("name", "heads", "size"),
    [
        ("opt-1.3b", 32, 64),
        ("opt-13b", 40, 128),
        ("opt-30b", 56, 128),
        ("llama-2-7b", 32, 128),
        ("llama-2-13b", 40, 128),
        ("llama-2-70b", 8, 128),
        ("llama-3-8b", 8, 128),
        ("gemma-2-27b", 16, 128),
        ("mixtral-8x7b", 8, 128),
        ("whisper-tiny-decoder", 6, 64),
    ],
)
def test_cached_heads_are_as_many_and_as_wide_as_published(
    name: str, heads: int, size: int
) -> None:
    graph = build_model(name, phase="decode", past=10).graph
    cached = [value for value in graph.input if value.name.startswith("past_")]
    shapes = {tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in cached}
    assert {(shape[1], shape[3]) for shape in shapes} == {(heads, size)}


def test_scales_and_caps_of_gemma() -> None:
    # arXiv 2408.00118, section 2; the 27B model divides queries by the root of hidden / heads
    recipe = next(recipe for recipe in list_recipes() if recipe.name == "gemma-2-27b")
    chosen = dict(recipe.parameters)
    assert chosen["query_scale"] == chosen["hidden"] / chosen["heads"]
    assert (chosen["attention_cap"], chosen["logit_cap"]) == (50, 30)


def test_parameters_of_mixtral_in_use() -> None:
    # arXiv 2401.04088, section 1: 47 billion, of which a token uses 13 billion
    whole = built_count("mixtral-8x7b")
    experts = 32 * 8 * 3 * 4096 * 14336
    assert whole / 1e9 == pytest.approx(47, abs=0.5)
    assert (whole - experts * 6 // 8) / 1e9 == pytest.approx(13, abs=0.5)


def test_parameters_of_retnet_are_1_3_billion() -> None:
    # arXiv 2307.08621, section 3.1: 8 d^2 for retention, 4 d^2 for the feed-forward layers
    count = built_count("retnet-1.3b")
    assert count == 24 * (12 * 2048**2 + 4 * 2048) + 50257 * 2048 + 2 * 2048
    assert round(count / 1e9, 1) == 1.3


def test_parameters_of_64_mamba_blocks_and_embeddings() -> None:
    # mamba-2.8b: tied embeddings of 50,280 words, and a last RMS norm
    blocks = built_count("mamba-2.8b", layers="64")
    assert blocks + 50_280 * 2560 + 2560 == 2_768_345_600


def test_parameters_of_whisper_tiny() -> None:
    # whisper-tiny counts the encoder's 1,500 x 384 sinusoids
    parts = built_count("whisper-tiny-encoder") + built_count("whisper-tiny-decoder")
    assert parts + 1500 * 384 == 37_760_640


def test_unet_blocks_make_up_the_published_unet() -> None:
    def counted(part: str, size_in: int, size: int) -> int:
        sizes = {"channels_in": str(size_in), "channels": str(size)}
        model = build_model("sd-1.5-unet-block", overrides=sizes)
        kept = [w for w in model.graph.initializer if w.name.startswith(f"{part}.")]
        return sum(math.prod(weight.dims) for weight in kept)

    def conv(size_in: int, size: int) -> int:
        return size * (9 * size_in + 1)

    # (channels in, channels) of each residual block, down, in the middle and up
    down = [(320, 320), (320, 320), (320, 640), (640, 640), (640, 1280), (1280, 1280)]
    up = [(2560, 1280), (2560, 1280), (1920, 1280), (1920, 640), (1280, 640), (960, 640)]
    up += [(960, 320), (640, 320), (640, 320)]
    bare = [(1280, 1280)] * 2 + [(1280, 1280)] + [(2560, 1280)] * 3
    middle = [(1280, 1280)]
    total = sum(counted("resnet", *sizes) for sizes in down + up + bare + middle)
    total += sum(counted("transformer", size, size) for _, size in down + up + middle)
    total += sum(conv(size, size) for size in (320, 640, 1280, 1280, 1280, 640))
    total += (320 + 1) * 1280 + (1280 + 1) * 1280
    total += conv(4, 320) + 2 * 320 + conv(320, 4)
    assert total == 859_520_964


@pytest.mark.parametrize(
    ("width", "parameters", "macs"),
    [
        # the table of TensorFlow's slim/nets/mobilenet: millions of parameters and multiply-adds
        ("1.4", 6.06, 582),
        ("0.75", 2.61, 209),
        ("0.5", 1.95, 97),
        ("0.35", 1.66, 59),
    ],
)
def test_widths_of_mobilenet(width: str, parameters: float, macs: float) -> None:
    model = build_model("mobilenet-v2", overrides={"width": width})
    # that table counts differently by up to 1 %, and its multiply-adds are rounded
    assert parameter_count(model) == pytest.approx(parameters * 1e6, rel=0.015)
    assert flop(model) == pytest.approx(2e6 * macs, rel=0.015)


def decoder_macs(tokens: int, keys: int, sizes: Any, vocabulary: int) -> int:
    """Projections, gated feed-forward, scores and their use, in every layer; and the logits."""
    layers, hidden, heads, kv_heads, size, inner = sizes
    matrices = 2 * hidden * size * (heads + kv_heads) + 3 * hidden * inner
    return tokens * (layers * (matrices + 2 * keys * heads * size) + hidden * vocabulary)


@pytest.mark.parametrize(
    ("name", "sizes", "vocabulary"),
    [
        ("llama-2-13b", (40, 5120, 40, 40, 128, 13824), 32_000),
        ("llama-2-70b", (80, 8192, 64, 8, 128, 28672), 32_000),
        ("llama-3-8b", (32, 4096, 32, 8, 128, 14336), 128_256),
        ("gemma-2-27b", (46, 4608, 32, 16, 128, 36864), 256_000),
    ],
)
def test_flop_of_gated_decoders(name: str, sizes: tuple[int, ...], vocabulary: int) -> None:
    prefill = build_model(name, batch=2, seq=24)
    assert flop(prefill) == 2 * decoder_macs(2 * 24, 24, sizes, vocabulary)
    decode = build_model(name, phase="decode", past=63)
    assert flop(decode) == 2 * decoder_macs(1, 64, sizes, vocabulary)


def test_flop_of_gemma_beyond_its_window() -> None:
    sizes = (23, 4608, 32, 16, 128, 36864)
    local = decoder_macs(1, 4096, sizes, 0)
    whole = decoder_macs(1, 8001, sizes, 256_000)
    assert flop(build_model("gemma-2-27b", phase="decode", past=8000)) == 2 * (local + whole)


def test_flop_of_opt_30b() -> None:
    tokens, hidden = 16, 7168
    layer = 12 * tokens * hidden**2 + 2 * tokens**2 * hidden
    expected = 2 * (48 * layer + tokens * hidden * 50272)
    assert flop(build_model("opt-30b", seq=tokens)) == expected


@pytest.mark.parametrize(
    ("phase", "tokens", "keys", "experts"),
    [
        ("prefill", 16, 16, 8),
        ("decode", 1, 64, 2),
    ],
)
def test_flop_of_mixtral(phase: Any, tokens: int, keys: int, experts: int) -> None:
    arguments = {"past": keys - 1} if phase == "decode" else {"seq": tokens}
    dense = (32, 4096, 32, 8, 128, experts * 14336)
    router = 32 * tokens * 4096 * 8
    expected = 2 * (decoder_macs(tokens, keys, dense, 32_000) + router)
    assert flop(build_model("mixtral-8x7b", phase=phase, **arguments)) == expected


def test_flop_of_retnet() -> None:
    hidden, seq = 2048, 32
    head = hidden * 50257
    # scores over keys, their use over values twice as wide, and the state of 256 x 512 a head
    retention = seq**2 * 3 * hidden + seq * 8 * 256 * 512
    prefill = 24 * (seq * 12 * hidden**2 + retention) + seq * head
    assert flop(build_model("retnet-1.3b", seq=seq)) == 2 * prefill
    decode = 24 * (12 * hidden**2 + 2 * 8 * 256 * 512) + head
    assert flop(build_model("retnet-1.3b", phase="decode")) == 2 * decode


def test_flop_of_a_mamba_block_aside_from_the_scan() -> None:
    projections = 2560 * 2 * 5120 + 5120 * (160 + 32) + 160 * 5120 + 5120 * 2560
    prefill = build_model("mamba-2.8b", seq=64)
    assert flop(prefill) == 2 * 64 * (projections + 5120 * 4)
    decode = build_model("mamba-2.8b", phase="decode")
    assert flop(decode) == 2 * (projections + 5120 * 4 + 5120 * 16)


def test_flop_of_whisper_tiny() -> None:
    hidden, frames, mels = 384, 1500, 80
    convolutions = 3 * hidden * (2 * frames * mels + frames * hidden)
    layer = frames * 12 * hidden**2 + 2 * frames**2 * hidden
    assert flop(build_model("whisper-tiny-encoder")) == 2 * (convolutions + 4 * layer)
    self_and_mlp = 12 * hidden**2 + 2 * 33 * hidden
    cross = 2 * hidden**2 + 2 * frames * hidden
    decode = 4 * (self_and_mlp + cross) + hidden * 51865
    assert flop(build_model("whisper-tiny-decoder", phase="decode", past=32)) == 2 * decode


def test_flop_of_the_unet_block() -> None:
    size, pixels, text = 320, 64 * 64, 77
    residual = 2 * 9 * size**2 * pixels + 1280 * size
    attention = pixels * 4 * size**2 + 2 * pixels**2 * size
    cross = pixels * 2 * size**2 + 2 * text * 768 * size + 2 * pixels * text * size
    transformer = attention + cross + pixels * (2 + 12) * size**2
    assert flop(build_model("sd-1.5-unet-block")) == 2 * (residual + transformer)


def test_absent_weights_keep_the_largest_model_small_with_its_external_references() -> None:
    model = build_model("llama-2-70b", phase="decode")
    assert model.ByteSize() < 1_000_000
    kinds = {w.data_location for w in model.graph.initializer if len(w.dims) == 2}
    assert kinds == {TensorProto.EXTERNAL}
