"""com.microsoft: normalisations with what surrounds them."""

import math

from t10c.onnx_import.contrib.pieces import (
    part,
    reduce,
    reshape,
    scalar,
    silu,
    total,
)
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands


@expands("SkipLayerNormalization", domain=MICROSOFT)
def expand_skip_layer_norm(call: Expansion) -> None:
    """Layer normalisation of input + skip + bias; the sum is an output too."""
    summed = total(call, call.input(0), call.input(1), call.input(4))
    _layer_norm(call, summed, [call.input(2), call.input(3)], [call.output(1), call.output(2)])
    call.result(3, summed)


@expands("SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def expand_skip_rms_norm(call: Expansion) -> None:
    """RMS normalisation of input + skip + bias; the sum is an output too."""
    if call.output(1):
        call.refuse("its output 'mean' is not supported: RMS normalisation has no mean")
    summed = total(call, call.input(0), call.input(1), call.input(3))
    epsilon = call.attribute("epsilon", 1e-12)
    normal, deviation = rms_norm(call, summed, (-1,), epsilon)
    call.result(0, call.add("Mul", [normal, call.input(2)]))
    if call.output(2):
        call.result(2, call.add("Reciprocal", [deviation]))
    call.result(3, summed)


@expands("SimplifiedLayerNormalization", domain=MICROSOFT)
@expands("SimplifiedLayerNormalization", domain="")
def expand_rms_norm(call: Expansion) -> None:
    """RMS normalisation over the dimensions from `axis` on, times scale."""
    rank = len(call.shape(0))
    axes = tuple(range(call.attribute("axis", -1) % rank, rank))
    normal, deviation = rms_norm(call, call.input(0), axes, call.attribute("epsilon", 1e-5))
    call.result(0, call.add("Mul", [normal, call.input(1)]))
    if call.output(1):
        call.result(1, call.add("Reciprocal", [deviation]))


def rms_norm(
    call: Expansion, source: str, axes: tuple[int, ...], epsilon: float
) -> tuple[str, str]:
    """x / d and d = sqrt(mean(x * x) + epsilon), as patterns.py finds it."""
    mean = reduce(call, "ReduceMean", call.add("Mul", [source, source]), *axes)
    deviation = call.add("Sqrt", [call.add("Add", [mean, scalar(call, epsilon)])])
    return call.add("Div", [source, deviation]), deviation


def _layer_norm(
    call: Expansion, source: str, affine: list[str], statistics: list[str], epsilon: float = 1e-12
) -> None:
    """Output 0 as layer normalisation of the last dimension with scale and bias."""
    wanted = call.new_tensors("normalised", 1) + statistics
    while not wanted[-1]:
        wanted.pop()
    epsilon = call.attribute("epsilon", epsilon)
    inputs = [source, *affine] if affine[1] else [source, affine[0]]
    call.result(0, call.add("LayerNormalization", inputs, wanted, axis=-1, epsilon=epsilon))


@expands("EmbedLayerNormalization", domain=MICROSOFT)
def expand_embed_layer_norm(call: Expansion) -> None:
    """Layer normalisation of the sum of word, position and segment embeddings."""
    batch, length = call.shape(0)
    words = call.add("Gather", [call.input(2), call.input(0)], axis=0)
    if call.input(8):
        places = call.add("Gather", [call.input(3), call.input(8)], axis=0)
    else:
        places = part(call, call.input(3), 0, 0, length)
    segments = ""
    if call.input(1) and call.input(4):
        segments = call.add("Gather", [call.input(4), call.input(1)], axis=0)
    summed = total(call, words, places, segments)
    epsilon = call.attribute("epsilon", 1e-12)
    affine = [call.input(5), call.input(6)]
    normal = call.add("LayerNormalization", [summed, *affine], axis=-1, epsilon=epsilon)
    call.result(0, normal)
    if call.output(1):
        zeros = call.array([0] * batch, "int32")
        seen = reduce(call, "ReduceSum", call.input(7), 1, keepdims=0) if call.input(7) else zeros
        call.result(1, seen)
    call.result(2, summed)


@expands("GroupNorm", domain=MICROSOFT)
def expand_group_norm(call: Expansion) -> None:
    """Group normalisation, of channels last unless told otherwise, then SiLU if asked."""
    call.result(0, _group_norm(call, call.input(0)))


@expands("SkipGroupNorm", domain=MICROSOFT)
def expand_skip_group_norm(call: Expansion) -> None:
    """Group normalisation of x + skip + bias, then SiLU if asked; the sum is an output too."""
    shape, skip, bias = call.shape(0), call.input(3), call.input(4)
    last = call.attribute("channels_last", 1)
    if len(call.shape(3)) == 2:
        batch, channels = call.shape(3)
        skip = reshape(call, skip, *((batch, 1, 1, channels) if last else (batch, channels, 1, 1)))
    if bias and not last:
        bias = reshape(call, bias, shape[1], 1, 1)
    summed = total(call, call.input(0), skip, bias)
    call.result(0, _group_norm(call, summed))
    call.result(1, summed)


def _group_norm(call: Expansion, source: str) -> str:
    """Normalisation of the node's groups, with inputs 1 and 2 as scale and bias per channel."""
    groups, epsilon = call.attribute("groups", 1), call.attribute("epsilon", 1e-5)
    affine = [call.input(1), call.input(2)]
    if call.attribute("channels_last", 1):
        normal = _grouped_last(call, source, groups, epsilon)
        normal = call.add("Add", [call.add("Mul", [normal, affine[0]]), affine[1]])
    else:
        options = {"num_groups": groups, "epsilon": epsilon}
        normal = call.add("GroupNormalization", [source, *affine], None, **options)
    return silu(call, normal) if call.attribute("activation", 0) else normal


def _grouped_last(call: Expansion, source: str, groups: int, epsilon: float) -> str:
    """(x - mean) / sqrt(variance + epsilon) of each group of the last dimension."""
    batch, *space, channels = shape = call.shape(0)
    if channels % groups:
        call.refuse(f"its {channels} channels do not form {groups} groups")
    rows = reshape(call, source, batch, math.prod(space), groups, channels // groups)
    centred = call.add("Sub", [rows, reduce(call, "ReduceMean", rows, 1, 3)])
    normal, _ = rms_norm(call, centred, (1, 3), epsilon)
    return reshape(call, normal, *shape)
