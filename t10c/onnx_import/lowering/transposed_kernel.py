"""The kernel of a ConvTranspose as its convolution reads it: [o, phase.., c, tap..].

    c -> k0 k1 k2 k3, stride 2   becomes   phase 0: k2 k0, phase 1: k3 k1

A kernel that is fixed before inference becomes a derived weight; one that is data is brought there
by layout operators. Both take the same way: split the groups, put a dilated kernel's elements at
their places between zeros, cut into taps and phases, flip the taps, transpose.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import Shape


@dataclass(frozen=True, slots=True)
class TransposedAxis:
    """One spatial dimension of a ConvTranspose; `pad` is what is cut off at the output's start."""

    source: int
    target: int
    kernel: int
    stride: int
    dilation: int
    pad: int

    @property
    def taps(self) -> int:
        """Kernel elements per phase; a dilated kernel is filled up with zeros if it is cut."""
        if self.stride == 1:
            return self.kernel
        return -(-(self.dilation * (self.kernel - 1) + 1) // self.stride)

    @property
    def spacing(self) -> int:
        """Distance at which the kernel's elements are put among zeros before it is cut."""
        return 1 if self.stride == 1 else self.dilation

    @property
    def tap_distance(self) -> int:
        """Input elements between neighbouring taps."""
        return self.dilation if self.stride == 1 else 1

    @property
    def first(self) -> int:
        """The first position q that the output needs."""
        return self.pad // self.stride

    @property
    def count(self) -> int:
        """Number of positions that the output needs."""
        return -(-(self.pad + self.target) // self.stride) - self.first

    @property
    def skipped(self) -> int:
        """Elements of the first position that the output does not need."""
        return self.pad - self.stride * self.first

    @property
    def is_blocks(self) -> bool:
        """Whether each input element makes a block of output elements of its own."""
        return (
            self.kernel == self.stride
            and (self.dilation == 1 or self.kernel == 1)
            and (self.first, self.count) == (0, self.source)
        )


def phase_kernel(
    builder: GraphBuilder, kernel: str, groups: int, axes: Sequence[TransposedAxis], shape: Shape
) -> str:
    """The kernel of the given shape [o, phase.., c, tap..] from the model's [c, o, kernel..]."""
    if not builder.is_weight(kernel):
        return _moved_kernel(builder, kernel, groups, axes, shape)
    return builder.derived_weight(
        "kernel",
        shape,
        builder.element_type(kernel),
        lambda weight: kernel_value(weight, groups, axes),
        [kernel],
    )


def kernel_value(weight: np.ndarray, groups: int, axes: Sequence[TransposedAxis]) -> np.ndarray:
    """The value of the derived weight."""
    channels, outputs = weight.shape[:2]
    kernel = weight.reshape(groups, channels // groups, outputs, *weight.shape[2:])
    for dimension, axis in enumerate(axes, start=3):
        before, after = kernel.shape[:dimension], kernel.shape[dimension + 1 :]
        filled = np.zeros((*before, axis.taps * axis.stride, *after), kernel.dtype)
        elements = np.arange(axis.kernel) * axis.spacing
        filled[(slice(None),) * dimension + (elements,)] = kernel
        kernel = filled
    cut = kernel.reshape(*kernel.shape[:3], *_flat((axis.taps, axis.stride) for axis in axes))
    taps, phases = _positions(axes)
    moved: np.ndarray = np.flip(cut, tuple(taps)).transpose(0, 2, *phases, 1, *taps)
    joined = (groups * outputs, *(axis.stride for axis in axes if axis.stride > 1))
    return moved.reshape(*joined, channels // groups, *(axis.taps for axis in axes))


def _moved_kernel(
    builder: GraphBuilder, kernel: str, groups: int, axes: Sequence[TransposedAxis], shape: Shape
) -> str:
    """The same way by layout operators."""
    compose = Composer(builder)
    channels, outputs = builder.shape(kernel)[:2]
    outer = (groups, channels // groups, outputs)
    pairs = (*outer, *_flat((axis.kernel, 1) for axis in axes))
    spaced = (*outer, *_flat((axis.kernel, axis.spacing) for axis in axes))
    if spaced != pairs:
        kernel = compose.reshape("kernel.single", kernel, pairs)
        kernel = compose.pad("kernel.spaced", kernel, spaced)
    spread = [axis.kernel * axis.spacing for axis in axes]
    whole = [axis.taps * axis.stride for axis in axes]
    if spread != whole:
        kept = (min(n, m) for n, m in zip(spread, whole, strict=True))
        kernel = compose.reshape("kernel.groups", kernel, (*outer, *spread))
        kernel = compose.slice("kernel.cropped", kernel, (*outer, *kept), (0,) * (3 + len(axes)))
        kernel = compose.pad("kernel.filled", kernel, (*outer, *whole))
    cut = (*outer, *_flat((axis.taps, axis.stride) for axis in axes))
    kernel = compose.reshape("kernel.cut", kernel, cut)
    taps, phases = _positions(axes)
    starts, steps = [0] * len(cut), [1] * len(cut)
    for position in taps:
        if cut[position] > 1:
            starts[position], steps[position] = cut[position] - 1, -1
    kernel = compose.slice("kernel.flipped", kernel, cut, starts, steps)
    kernel = compose.transpose("kernel.moved", kernel, (0, 2, *phases, 1, *taps))
    return compose.reshape("kernel", kernel, shape)


def _positions(axes: Sequence[TransposedAxis]) -> tuple[list[int], list[int]]:
    """Where the taps and the phases stand in [group, c, o, tap, phase, tap, phase, ..]."""
    return [3 + 2 * d for d in range(len(axes))], [4 + 2 * d for d in range(len(axes))]


def _flat(pairs: Iterable[tuple[int, int]]) -> Shape:
    return tuple(size for pair in pairs for size in pair)
