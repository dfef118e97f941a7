"""ResNet as deployed: batch normalisation is folded into each convolution's weight and bias."""

from dataclasses import dataclass, fields

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import conv, gemm
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class ResnetParameters:
    """Hyper-parameters: blocks in each of the four stages, and whether they are bottlenecks.

    `width` is the first stage's; each later stage doubles it and halves the image. `expansion` is
    1 for two 3x3 convolutions a block, else a bottleneck's output channels over its width.
    """

    stage1: int
    stage2: int
    stage3: int
    stage4: int
    expansion: int
    width: int
    image: int
    channels: int
    classes: int

    @property
    def stages(self) -> tuple[int, ...]:
        """Blocks per stage."""
        return tuple(getattr(self, f.name) for f in fields(self) if f.name.startswith("stage"))


def build_resnet(g: GraphBuilder, p: ResnetParameters, run: Workload) -> None:
    """input [batch, channels, image, image] to logits [batch, classes]; v1.5 strides."""
    x = g.input("input", [run.batch, p.channels, p.image, p.image])
    x = g.op("Relu", conv(g, x, "conv1", (p.channels, p.width), 7, stride=2))
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    size = p.width
    for stage, blocks in enumerate(p.stages):
        width = p.width * 2**stage
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            with g.scope(f"layer{stage + 1}/{block}"):
                x = _block(g, x, size, width, p.expansion, stride)
            size = width * p.expansion
    x = g.op("Flatten", g.op("GlobalAveragePool", x), axis=1)
    g.output(gemm(g, x, "fc", size, p.classes), "logits", [run.batch, p.classes])


def _block(g: GraphBuilder, x: str, size_in: int, width: int, expansion: int, stride: int) -> str:
    size_out = width * expansion
    if expansion == 1:
        y = g.op("Relu", conv(g, x, "conv1", (size_in, width), 3, stride=stride))
        y = conv(g, y, "conv2", (width, width), 3)
    else:
        y = g.op("Relu", conv(g, x, "conv1", (size_in, width), 1))
        y = g.op("Relu", conv(g, y, "conv2", (width, width), 3, stride=stride))
        y = conv(g, y, "conv3", (width, size_out), 1)
    if stride != 1 or size_in != size_out:
        x = conv(g, x, "downsample", (size_in, size_out), 1, stride=stride)
    return g.op("Relu", g.op("Add", y, x))
