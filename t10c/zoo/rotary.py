"""Rotary positions: rows of cosine and sine tables, applied to the halves of each head."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t10c.zoo.graph import GraphBuilder


@dataclass(frozen=True, slots=True)
class Rotary:
    """Cosines and sines [batch, 1, seq, size] of the positions at hand."""

    cos: str
    sin: str


def rotary_frequencies(size: int, base: float) -> NDArray[np.float64]:
    """base ** (-2 i / size) for each pair of features (Su et al. 2021, section 3.2.2)."""
    return base ** -(np.arange(0, size, 2) / size)


def rotary_tables(
    g: GraphBuilder, frequencies: NDArray[np.float64], rows: int, positions: str
) -> Rotary:
    """Select the given positions from tables of `rows` positions."""
    angles = np.outer(np.arange(rows), frequencies)
    angles = np.concatenate([angles, angles], axis=1)
    with g.scope("rotary_emb"):
        cos, sin = (
            g.op(
                "Unsqueeze",
                g.op("Gather", g.table(f"rotary_emb.{name}", table), positions),
                g.ints(1),
            )
            for name, table in (
                ("cos_cached", np.cos(angles).astype(np.float32)),
                ("sin_cached", np.sin(angles).astype(np.float32)),
            )
        )
    return Rotary(cos, sin)


def rotate(g: GraphBuilder, x: str, size: int, rotary: Rotary) -> str:
    """x * cos + (-second half, first half of x) * sin."""
    middle = size // 2
    first = g.op("Slice", x, g.ints(0), g.ints(middle), g.ints(3))
    second = g.op("Slice", x, g.ints(middle), g.ints(size), g.ints(3))
    turned = g.op("Concat", g.op("Neg", second), first, axis=-1)
    return g.op("Add", g.op("Mul", x, rotary.cos), g.op("Mul", turned, rotary.sin))
