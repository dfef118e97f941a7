"""Weights of a zoo model: declared by shape, then left absent or filled with seeded numbers."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from t10c.errors import UsageError

Fill = Literal["matrix", "gain", "offset"]
"""`matrix`: normal with variance 1 / fan-in; `gain`: near one; `offset`: near zero."""

_ITEM_BYTES = 4
_INLINE_LIMIT_BYTES = 2 * 10**9
"""A protobuf message ends at 2 GiB; the graph itself needs some room."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A float32 initializer: `fan_in` scales its random values, `table` gives its true ones.

    A table (rotary cosines, say) is a buffer rather than a learned parameter.
    """

    name: str
    shape: tuple[int, ...]
    fill: Fill = "matrix"
    fan_in: int = 1
    table: NDArray[np.float32] | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the float32 data."""
        return math.prod(self.shape) * _ITEM_BYTES


def absent_initializers(weights: Sequence[Weight], location: str) -> list[TensorProto]:
    """References to consecutive ranges of the external file `location`, which nobody writes."""
    initializers = []
    offset = 0
    for weight in weights:
        tensor = TensorProto(
            name=weight.name,
            data_type=TensorProto.FLOAT,
            dims=weight.shape,
            data_location=TensorProto.EXTERNAL,
        )
        fields = {"location": location, "offset": offset, "length": weight.size_bytes}
        for key, value in fields.items():
            tensor.external_data.add(key=key, value=str(value))
        initializers.append(tensor)
        offset += weight.size_bytes
    return initializers


def random_initializers(weights: Sequence[Weight], seed: int, model: str) -> list[TensorProto]:
    """Inlined values; each weight depends on `seed` and its own name only.

    Prefill and decode graphs of one model therefore agree on their weights. Raises UsageError
    above 2 GB, before anything is allocated.
    """
    total = sum(weight.size_bytes for weight in weights)
    if total > _INLINE_LIMIT_BYTES:
        raise UsageError(
            f"{model}: random weights take {total / 1e9:.1f} GB, and an ONNX file holds 2 GB\n"
            "  shrink the model (--layers 2, --set hidden=512) or leave the weights absent:"
            " planning needs none"
        )
    return [numpy_helper.from_array(_values(weight, seed), weight.name) for weight in weights]


def _values(weight: Weight, seed: int) -> NDArray[np.float32]:
    if weight.table is not None:
        return weight.table
    generator = np.random.default_rng([seed, zlib.crc32(weight.name.encode())])
    normal = generator.standard_normal(weight.shape, dtype=np.float32)
    if weight.fill == "matrix":
        return normal * np.float32(1 / math.sqrt(weight.fan_in))
    return normal * np.float32(0.02) + np.float32(1 if weight.fill == "gain" else 0)
