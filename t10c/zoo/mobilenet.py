"""MobileNetV2 as deployed: batch normalisation is folded into each convolution."""

from dataclasses import dataclass

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import conv, gemm
from t10c.zoo.request import Workload

_STAGES = (
    # expansion, output channels, blocks, stride of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Sandler et al. 2018 (arXiv 1801.04381), table 2."""

_FIRST, _LAST = 32, 1280


@dataclass(frozen=True, slots=True)
class MobilenetParameters:
    """Hyper-parameters: `width` multiplies the channels of every stage."""

    width: float
    image: int
    channels: int
    classes: int

    def scaled(self, channels: int) -> int:
        """Channels times the width, to a multiple of 8 that is at most a tenth less."""
        wanted = channels * self.width
        rounded = max(8, int(wanted + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * wanted else rounded + 8


def build_mobilenet(g: GraphBuilder, p: MobilenetParameters, run: Workload) -> None:
    """input [batch, channels, image, image] to logits [batch, classes]."""
    x = g.input("input", [run.batch, p.channels, p.image, p.image])
    size = p.scaled(_FIRST)
    x = _relu6(g, conv(g, x, "features.0", (p.channels, size), 3, stride=2))
    index = 1
    for expansion, channels, blocks, first_stride in _STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            with g.scope(f"features.{index}"):
                x = _block(g, x, (size, p.scaled(channels)), expansion, stride)
            size = p.scaled(channels)
            index += 1
    last = max(_LAST, p.scaled(_LAST))
    x = _relu6(g, conv(g, x, f"features.{index}", (size, last), 1))
    x = g.op("Flatten", g.op("GlobalAveragePool", x), axis=1)
    g.output(gemm(g, x, "classifier", last, p.classes), "logits", [run.batch, p.classes])


def _block(g: GraphBuilder, x: str, sizes: tuple[int, int], expansion: int, stride: int) -> str:
    """Inverted residual: widen, filter each channel, narrow without activation."""
    size_in, size_out = sizes
    inner = size_in * expansion
    y = x
    if expansion > 1:
        y = _relu6(g, conv(g, y, "expand", (size_in, inner), 1))
    y = _relu6(g, conv(g, y, "depthwise", (inner, inner), 3, stride=stride, groups=inner))
    y = conv(g, y, "project", (inner, size_out), 1)
    return g.op("Add", x, y) if stride == 1 and size_in == size_out else y


def _relu6(g: GraphBuilder, x: str) -> str:
    return g.op("Clip", x, g.scalar(0), g.scalar(6))
