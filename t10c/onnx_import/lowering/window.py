"""Sliding windows: what Conv and the pools share."""

from dataclasses import dataclass

from t10c.ir.expression import Dim, Role
from t10c.onnx_import.attributes import LoweringError, integers, text
from t10c.onnx_import.lowering.dims import AxisList, Shape, scaled
from t10c.onnx_import.resolved import ResolvedNode

_SPATIAL = {1: ("w",), 2: ("h", "w"), 3: ("d", "h", "w")}


@dataclass(frozen=True, slots=True)
class Window:
    """A window over the spatial dimensions: one entry per dimension."""

    kernel: Shape
    strides: Shape
    dilations: Shape
    pads_begin: Shape
    pads_end: Shape

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the output's spatial axes; a kernel axis has a k before."""
        rank = len(self.kernel)
        return _SPATIAL.get(rank) or tuple(f"x{index}" for index in range(rank))

    def overhang(self, source: Shape, target: Shape) -> bool:
        """Whether rounding up (ceil_mode) lets the last window reach beyond the padding."""
        last = (
            s * (n - 1) + d * (k - 1) - p
            for s, n, d, k, p in zip(
                self.strides, target, self.dilations, self.kernel, self.pads_begin, strict=True
            )
        )
        return any(
            end >= size + pad for end, size, pad in zip(last, source, self.pads_end, strict=True)
        )


def read_window(node: ResolvedNode, kernel: Shape, source: Shape, target: Shape) -> Window:
    """The window of a Conv or pool node from attributes and spatial shapes; resolves auto_pad."""
    rank = len(kernel)
    strides = integers(node, "strides") or (1,) * rank
    dilations = integers(node, "dilations") or (1,) * rank
    pads = integers(node, "pads") or (0,) * (2 * rank)
    mode = text(node, "auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max(0, (n - 1) * s + d * (k - 1) + 1 - size)
            for n, s, d, k, size in zip(target, strides, dilations, kernel, source, strict=True)
        ]
        small = tuple(pad // 2 for pad in total)
        large = tuple(pad - half for pad, half in zip(total, small, strict=True))
        pads = small + large if mode == "SAME_UPPER" else large + small
    elif mode == "VALID":
        pads = (0,) * (2 * rank)
    if len(strides) != rank or len(dilations) != rank or len(pads) != 2 * rank:
        raise LoweringError(f"its window attributes do not fit {rank} spatial dimensions")
    return Window(kernel, strides, dilations, pads[:rank], pads[rank:])


@dataclass(frozen=True, slots=True)
class WindowDims:
    """Dimensions of input, output and kernel, spatial part."""

    source: tuple[Dim, ...]
    target: tuple[Dim, ...]
    kernel: tuple[Dim, ...]


def window_dims(
    axes: AxisList, window: Window, source: Shape, target: Shape, reduction: bool = True
) -> WindowDims:
    """Declare the spatial and kernel axes: input[stride * h + dilation * kh - pad]."""
    spatial_role: Role = "out_spatial"
    outer = [axes.add(name, n, spatial_role) for name, n in zip(window.names, target, strict=True)]
    inner = [
        axes.add(f"k{name}", k, "kernel", reduction)
        for name, k in zip(window.names, window.kernel, strict=True)
    ]
    dims = [
        Dim(scaled(o, stride) + scaled(i, dilation), size, -pad)
        for o, i, stride, dilation, size, pad in zip(
            outer,
            inner,
            window.strides,
            window.dilations,
            source,
            window.pads_begin,
            strict=True,
        )
    ]
    return WindowDims(
        source=tuple(dims),
        target=tuple(Dim(o, n) for o, n in zip(outer, target, strict=True)),
        kernel=tuple(Dim(i, k) for i, k in zip(inner, window.kernel, strict=True)),
    )
