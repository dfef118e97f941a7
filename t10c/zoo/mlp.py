"""NeRF as a plain multilayer perceptron over positionally encoded sample points."""

from dataclasses import dataclass

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import linear
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class NerfParameters:
    """Hyper-parameters: linear layers in all, and frequencies of the positional encoding."""

    layers: int
    hidden: int
    frequencies: int
    outputs: int

    @property
    def encoded(self) -> int:
        """Features of an encoded point: three coordinates, a sine and a cosine each per frequency.

        Mildenhall et al. 2020, equation 4, with the coordinates themselves kept.
        """
        return 3 + 3 * 2 * self.frequencies


def build_nerf(g: GraphBuilder, p: NerfParameters, run: Workload) -> None:
    """positions [batch rays, seq samples, encoded] to colour and density [.., outputs]."""
    x = g.input("positions", [run.batch, run.seq, p.encoded])
    size = p.encoded
    for index in range(p.layers - 1):
        x = g.op("Relu", linear(g, x, f"layers.{index}", size, p.hidden, True))
        size = p.hidden
    x = linear(g, x, f"layers.{p.layers - 1}", size, p.outputs, True)
    g.output(x, "radiance", [run.batch, run.seq, p.outputs])
