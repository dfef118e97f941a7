"""com.microsoft: operators that the standard has too, or that are one of its forms."""

import math

from t10c.ir.graph import NodeClass
from t10c.onnx_import.contrib.pieces import positions, reshape, transpose, unsqueeze
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands

_MODES = {"bilinear": "linear", "bicubic": "cubic"}
"""The standard's names of modes of interpolation."""


@expands("Trilu", domain=MICROSOFT)
def expand_trilu(call: Expansion) -> None:
    """The upper or lower triangle of each matrix, as the standard's Trilu."""
    call.result(0, call.add("Trilu", _inputs(call), upper=call.attribute("upper", 1)))


@expands("GatherND", domain=MICROSOFT)
def expand_gather_nd(call: Expansion) -> None:
    """The slices that index tuples name, as the standard's GatherND."""
    indices = call.add("Cast", [call.input(1)], to=7)
    call.result(0, call.add("GatherND", [call.input(0), indices]))


@expands("TorchEmbedding", domain=MICROSOFT)
def expand_torch_embedding(call: Expansion) -> None:
    """The rows of a table that indices name: Gather."""
    call.result(0, call.add("Gather", [call.input(0), call.input(1)], axis=0))


@expands("Pad", domain=MICROSOFT, node_class=NodeClass.LAYOUT_ONLY)
def expand_pad(call: Expansion) -> None:
    """Padding as the standard's Pad."""
    pads = reshape(call, call.input(1), 2 * len(call.shape(0)))
    inputs = [call.input(0), pads]
    if call.input(2):
        inputs.append(reshape(call, call.input(2)))
    call.result(0, call.add("Pad", inputs, mode=call.attribute("mode", "constant")))


@expands("ExpandDims", domain=MICROSOFT, node_class=NodeClass.LAYOUT_ONLY)
def expand_expand_dims(call: Expansion) -> None:
    """One more dimension of size 1: Unsqueeze."""
    axis = call.value(1)
    if axis is None:
        call.refuse("its axis depends on data; make it a constant")
    call.result(0, unsqueeze(call, call.input(0), int(axis.reshape(-1)[0])))


@expands("Range", domain=MICROSOFT, node_class=NodeClass.FOLDED)
def expand_range(call: Expansion) -> None:
    """Numbers in equal steps, as the standard's Range; the step is 1 unless given."""
    start, limit = (reshape(call, call.input(index)) for index in (0, 1))
    step = reshape(call, call.input(2)) if call.input(2) else _one(call)
    call.result(0, call.add("Range", [start, limit, step]))


@expands("Unique", domain=MICROSOFT, node_class=NodeClass.FALLBACK)
def expand_unique(call: Expansion) -> None:
    """On one core: distinct values in order of appearance, as the standard's Unique."""
    found = call.new_tensors("unique", 4)
    call.add("Unique", [call.input(0)], found, sorted=0)
    for index, source in enumerate((found[0], found[2], found[3])):
        call.result(index, source)


@expands("GridSample", domain=MICROSOFT)
def expand_grid_sample(call: Expansion) -> None:
    """Samples of an image at the places of a grid, as the standard's GridSample."""
    mode = call.attribute("mode", "bilinear")
    sampled = call.add(
        "GridSample",
        [call.input(0), call.input(1)],
        mode=_MODES.get(mode, mode),
        padding_mode=call.attribute("padding_mode", "zeros"),
        align_corners=call.attribute("align_corners", 0),
    )
    call.result(0, sampled)


@expands("Rfft", domain=MICROSOFT)
def expand_rfft(call: Expansion) -> None:
    """One-sided discrete Fourier transform of the last dimension, as the standard's DFT."""
    _check_transform(call)
    signal = unsqueeze(call, call.input(0), -1)
    axis = call.array(-2, "int64", "axis")
    call.result(0, call.add("DFT", [signal, "", axis], onesided=1))


@expands("Irfft", domain=MICROSOFT)
def expand_irfft(call: Expansion) -> None:
    """Real signal of an even length from its one-sided Fourier transform: a matmul."""
    _check_transform(call)
    *outer, bins, _ = call.shape(0)
    length = 2 * (bins - 1)
    if not length:
        call.refuse("its signal would have no elements")
    edge = [1.0 / length] + [2.0 / length] * (bins - 2) + [1.0 / length]
    share = reshape(call, call.array(edge, "float32"), bins, 1)
    weight = call.add("CastLike", [share, call.input(0)])
    waves = call.add("Mul", [_waves(call, length, bins), weight])
    matrix = transpose(call, reshape(call, waves, length, 2 * bins), 1, 0)
    flat = reshape(call, call.input(0), *outer, 2 * bins)
    call.result(0, call.add("MatMul", [flat, matrix]))


def _check_transform(call: Expansion) -> None:
    if call.attribute("signal_ndim", 1) != 1:
        call.refuse("only transforms of one dimension (signal_ndim = 1) are supported")
    if call.attribute("normalized", 0) or not call.attribute("onesided", 1):
        call.refuse("only one-sided transforms without normalisation are supported")


def _waves(call: Expansion, length: int, bins: int) -> str:
    """cos and -sin of 2 pi t b / length as [length, bins, 2], the same in every inference."""
    time = reshape(call, positions(call, length), length, 1)
    turns = call.add("Mul", [time, reshape(call, positions(call, bins), 1, bins)])
    turns = call.add("Mod", [turns, call.array(length, "int64")])
    angle = call.add("Cast", [turns], to=1)
    angle = call.add("Mul", [angle, call.array(2 * math.pi / length, "float32")])
    parts = [call.add("Cos", [angle]), call.add("Neg", [call.add("Sin", [angle])])]
    waves = call.add("Concat", [unsqueeze(call, each, 2) for each in parts], axis=2)
    return call.add("CastLike", [waves, call.input(0)])


def _one(call: Expansion) -> str:
    return call.add("CastLike", [call.array(1, "int64"), call.input(0)])


def _inputs(call: Expansion) -> list[str]:
    return [name for name in (call.input(0), call.input(1)) if name]
