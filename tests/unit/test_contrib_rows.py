"""com.microsoft: activations, sums and normalisations against ONNX Runtime or NumPy."""

import math

import numpy as np
import pytest
from contrib_models import OPSETS, check_contrib, floats


def erf_gelu(x: np.ndarray) -> np.ndarray:
    return (0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))).astype(np.float32)


def layer_norm(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> np.ndarray:
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axes, keepdims=True) + epsilon)


def softmax(x: np.ndarray) -> np.ndarray:
    power = np.exp(x - x.max(-1, keepdims=True))
    return power / power.sum(-1, keepdims=True)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("shape", [(2, 3, 8), (5,), (1, 1, 4)])
def test_activations(shape: tuple[int, ...], opset: int) -> None:
    data = {"x": floats(*shape), "bias": floats(shape[-1])}
    graph = check_contrib("BiasGelu", data, opset=opset)
    assert len(graph.planned) == 1
    check_contrib("FastGelu", data, opset=opset)
    check_contrib("FastGelu", {"x": data["x"]}, opset=opset)
    check_contrib("Gelu", {"x": data["x"]}, opset=opset)
    check_contrib("QuickGelu", {"x": data["x"]}, opset=opset)
    check_contrib("QuickGelu", {"x": data["x"]}, opset=opset, alpha=0.5)
    check_contrib("ScaledSiLU", {"x": data["x"]}, opset=opset, alpha=0.5)
    check_contrib(
        "ScaledSiLU", {"x": data["x"], "scale": np.array(2, np.float32)}, opset=opset, alpha=0.5
    )


def test_bias_split_gelu() -> None:
    x, bias = floats(2, 3, 8), floats(8)
    left, right = np.split(x + bias, 2, axis=-1)
    check_contrib("BiasSplitGelu", {"x": x, "bias": bias}, expected=[left * erf_gelu(right)])


def test_bias_add() -> None:
    x, bias, skip = floats(2, 3, 4), floats(4), floats(2, 3, 4)
    check_contrib("BiasAdd", {"x": x, "b": bias, "s": skip}, expected=[x + bias + skip])


@pytest.mark.parametrize(
    ("bias_shape", "axis", "inner"),
    [((2, 1, 1, 5), 3, 1), ((1, 3, 4, 5), -1, 0), ((4, 5), 3, 0), ((2, 1, 4, 5), 2, 1)],
)
def test_bias_softmax(bias_shape: tuple[int, ...], axis: int, inner: int) -> None:
    x, bias = floats(2, 3, 4, 5), floats(*bias_shape)
    flat = (x + bias).reshape(*x.shape[:2], -1) if axis == 2 else x + bias
    expected = softmax(flat).reshape(x.shape)
    check_contrib(
        "BiasSoftmax",
        {"x": x, "bias": bias},
        axis=axis,
        is_inner_broadcast=inner,
        expected=[expected],
    )


@pytest.mark.parametrize("residual", [True, False])
def test_bias_dropout_drops_nothing(residual: bool) -> None:
    x, bias, other = floats(2, 3), floats(3), floats(2, 3)
    inputs = {
        "x": x,
        "bias": bias,
        "r": other if residual else None,
        "ratio": np.array(0.3, np.float32),
        "training": np.array(False),
    }
    expected = x + bias + (other if residual else 0)
    check_contrib("BiasDropout", inputs, weights=("training",), expected=[expected])
    check_contrib(
        "BiasDropout",
        {key: inputs[key] for key in ("x", "bias", "r")},
        ("y", "mask"),
        expected=[expected, np.ones((2, 3), bool)],
    )


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("skip_shape", [(2, 3, 8), (1, 3, 8), (3, 8)])
@pytest.mark.parametrize(("beta", "bias"), [(True, True), (True, False), (False, False)])
def test_skip_layer_norm(skip_shape: tuple[int, ...], beta: bool, bias: bool, opset: int) -> None:
    inputs = {
        "x": floats(2, 3, 8),
        "skip": floats(*skip_shape),
        "gamma": floats(8),
        "beta": floats(8) if beta else None,
        "bias": floats(8) if bias else None,
    }
    weights = [name for name in ("gamma", "beta", "bias") if inputs[name] is not None]
    graph = check_contrib("SkipLayerNormalization", inputs, weights=weights, opset=opset)
    assert [op.expression.kernel for op in graph.planned] == ["pointwise", "rowwise"]
    check_contrib(
        "SkipLayerNormalization", inputs, ("y", "", "", "sum"), weights, opset, epsilon=0.1
    )


def test_skip_layer_norm_gives_its_statistics() -> None:
    x, skip, gamma, beta = floats(2, 3, 8), floats(2, 3, 8), floats(8), floats(8)
    total = x + skip
    mean = total.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt(total.var(-1, keepdims=True) + 1e-12)
    expected = [(total - mean) * inverse * gamma + beta, mean, inverse]
    check_contrib(
        "SkipLayerNormalization",
        {"x": x, "skip": skip, "gamma": gamma, "beta": beta},
        ("y", "mean", "inverse"),
        expected=expected,
    )


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 8), (6, 8)])
def test_skip_rms_norm(shape: tuple[int, ...], bias: bool, opset: int) -> None:
    inputs = {
        "x": floats(*shape),
        "skip": floats(*shape),
        "gamma": floats(8),
        "bias": floats(8) if bias else None,
    }
    graph = check_contrib("SkipSimplifiedLayerNormalization", inputs, opset=opset)
    assert "rowwise" in [op.expression.kernel for op in graph.planned]
    check_contrib(
        "SkipSimplifiedLayerNormalization", inputs, ("y", "", "", "sum"), opset=opset, epsilon=0.1
    )


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("axis", [-1, 1])
def test_rms_norm_of_the_standards_domain(axis: int, opset: int) -> None:
    x = floats(2, 3, 8)
    scale = floats(*x.shape[axis:])
    inputs = {"x": x, "scale": scale}
    graph = check_contrib(
        "SimplifiedLayerNormalization", inputs, domain="", opset=opset, axis=axis, epsilon=0.01
    )
    assert [op.expression.kernel for op in graph.planned] == ["rowwise", "pointwise"]
    axes = tuple(range(axis % 3, 3))
    inverse = 1 / np.sqrt((x * x).mean(axes, keepdims=True) + 1e-5)
    expected = [x * inverse * scale, inverse]
    check_contrib("SimplifiedLayerNormalization", inputs, ("y", "i"), axis=axis, expected=expected)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("places", [None, (2, 3), (1, 3)])
def test_embed_layer_norm(
    segments: bool, mask: bool, places: tuple[int, int] | None, opset: int
) -> None:
    rng = np.random.default_rng(2)
    inputs = {
        "ids": rng.integers(0, 9, (2, 3)).astype(np.int32),
        "segments": rng.integers(0, 2, (2, 3)).astype(np.int32) if segments else None,
        "words": floats(9, 8),
        "places": floats(6, 8),
        "kinds": floats(2, 8) if segments else None,
        "gamma": floats(8),
        "beta": floats(8),
        "mask": np.array([[1, 1, 0], [1, 1, 1]], np.int32) if mask else None,
        "position": rng.integers(0, 6, places).astype(np.int32) if places else None,
    }
    check_contrib("EmbedLayerNormalization", inputs, ("y", "index", "sum"), opset=opset)
    check_contrib("EmbedLayerNormalization", inputs, ("y", "index"), opset=opset, epsilon=0.1)


@pytest.mark.parametrize("last", [1, 0])
@pytest.mark.parametrize("activation", [1, 0])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm(last: int, activation: int, groups: int) -> None:
    x, gamma, beta = floats(2, 4, 5, 6), floats(6), floats(6)
    skip, bias = floats(2, 6), floats(6)
    options = {"activation": activation, "groups": groups, "epsilon": 0.01}

    def expected(data: np.ndarray) -> np.ndarray:
        rows = data.reshape(2, 20, groups, 6 // groups)
        y = layer_norm(rows, (1, 3), 0.01).reshape(data.shape) * gamma + beta
        y = y / (1 + np.exp(-y)) if activation else y
        return (y if last else y.transpose(0, 3, 1, 2)).astype(np.float32)

    arranged = x if last else x.transpose(0, 3, 1, 2).copy()
    inputs = {"x": arranged, "gamma": gamma, "beta": beta}
    graph = check_contrib(
        "GroupNorm", inputs, expected=[expected(x)], channels_last=last, **options
    )
    assert graph.planned[0].expression.kernel == "rowwise"
    summed = x + skip[:, None, None] + bias
    moved = summed if last else summed.transpose(0, 3, 1, 2)
    check_contrib(
        "SkipGroupNorm",
        {**inputs, "skip": skip, "bias": bias},
        ("y", "sum"),
        expected=[expected(summed), moved],
        channels_last=last,
        **options,
    )
    wide = floats(2, 4, 5, 6)
    check_contrib(
        "SkipGroupNorm",
        {**inputs, "skip": wide if last else wide.transpose(0, 3, 1, 2).copy()},
        expected=[expected(x + wide)],
        channels_last=last,
        **options,
    )
