"""com.microsoft: convolutions with a sum and an activation, and those of channels last."""

from t10c.onnx_import.contrib.pieces import activated, parameters_of, total, transpose
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands

_CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_POOL = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")


@expands("FusedConv", domain=MICROSOFT)
def expand_fused_conv(call: Expansion) -> None:
    """An activation of conv(X, W) + B + Z."""
    product = call.add("Conv", _operands(call, call.input(0)), None, **_kept(call, _CONV))
    call.result(0, _activated(call, total(call, product, call.input(3))))


@expands("ConvTransposeWithDynamicPads", domain=MICROSOFT)
def expand_conv_transpose(call: Expansion) -> None:
    """ConvTranspose whose padding is an input, which must be constant."""
    pads = call.value(2)
    if pads is None:
        call.refuse("its pads depend on data; make them a constant")
    operands = [name for name in (call.input(0), call.input(1), call.input(3)) if name]
    options = _kept(call, (*_CONV, "output_padding"))
    options["pads"] = [int(pad) for pad in pads.reshape(-1)]
    call.result(0, call.add("ConvTranspose", operands, None, **options))


@expands("NhwcConv", "NhwcFusedConv", domain=MICROSOFT)
def expand_nhwc_conv(call: Expansion) -> None:
    """A convolution of channels last, with its sum and activation: Conv between transpositions."""
    rank = len(call.shape(0))
    first = _channels_first(call, call.input(0), rank)
    product = call.add("Conv", _operands(call, first), None, **_kept(call, _CONV))
    last = _channels_last(call, product, rank)
    call.result(0, _activated(call, total(call, last, call.input(3))))


@expands("NhwcMaxPool", domain=MICROSOFT)
def expand_nhwc_max_pool(call: Expansion) -> None:
    """The largest of each window, channels last: MaxPool between transpositions."""
    rank = len(call.shape(0))
    first = _channels_first(call, call.input(0), rank)
    pooled = call.add("MaxPool", [first], None, **_kept(call, _POOL))
    call.result(0, _channels_last(call, pooled, rank))


def _channels_first(call: Expansion, source: str, rank: int) -> str:
    return transpose(call, source, 0, rank - 1, *range(1, rank - 1))


def _channels_last(call: Expansion, source: str, rank: int) -> str:
    return transpose(call, source, 0, *range(2, rank), 1)


def _operands(call: Expansion, source: str) -> list[str]:
    """Input, kernel and, where present, bias."""
    return [name for name in (source, call.input(1), call.input(2)) if name]


def _kept(call: Expansion, names: tuple[str, ...]) -> dict[str, object]:
    """The attributes that the standard's operator has too."""
    return {name: call.attribute(name, ()) for name in names if call.given(name)}


def _activated(call: Expansion, source: str) -> str:
    name = call.attribute("activation", "")
    values = call.attribute("activation_params", ())
    return activated(call, source, name, dict(zip(parameters_of(name), values, strict=False)))
