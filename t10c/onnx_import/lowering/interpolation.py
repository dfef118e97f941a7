"""What Resize and Upsample compute along each axis: an index per output element, or a matrix.

Every mode is separable: resizing several axes is resizing one after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from t10c.onnx_import.attributes import (
    LoweringError,
    argument,
    check_enumerable,
    integer,
    integers,
    number,
    text,
)
from t10c.onnx_import.lowering.dims import Shape
from t10c.onnx_import.resolved import ResolvedNode

_MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "cubic": "cubic"}
_TRANSFORMATIONS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)
_REACH = {"linear": 1, "cubic": 2}
"""How far an interpolation filter reaches, in input elements."""


@dataclass(frozen=True, slots=True)
class ResizedAxis:
    """One axis; `region` is the part of the input to read, for tf_crop_and_resize."""

    axis: int
    source: int
    target: int
    scale: float
    region: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Resampling:
    """A Resize or Upsample node, its defaults and versions resolved; every axis has an entry."""

    mode: str
    transformation: str
    rounding: str
    cubic_coefficient: float
    exclude_outside: bool
    antialias: bool
    extrapolation: float
    axes: tuple[ResizedAxis, ...]


def read_resampling(
    node: ResolvedNode,
    opset: int,
    source: Shape,
    target: Shape,
    value: Callable[[str], np.ndarray | None],
) -> Resampling:
    """What the node does; `value` gives known operands. LoweringError for what is not supported."""
    mode = _MODES.get(text(node, "mode", "nearest"))
    simple = node.op_type == "Upsample" or opset < 11
    transformation = text(node, "coordinate_transformation_mode", "half_pixel")
    if mode is None or transformation not in _TRANSFORMATIONS:
        raise LoweringError(f"resizing by {text(node, 'mode', '')}, {transformation} is unknown")
    region_of, scale_of = _regions_and_scales(node, simple, source, target, value)
    return Resampling(
        mode=mode,
        transformation="asymmetric" if simple else transformation,
        rounding="floor" if simple else text(node, "nearest_mode", "round_prefer_floor"),
        cubic_coefficient=number(node, "cubic_coeff_a", -0.75),
        exclude_outside=bool(integer(node, "exclude_outside", 0)),
        antialias=bool(integer(node, "antialias", 0)),
        extrapolation=number(node, "extrapolation_value", 0.0),
        axes=tuple(
            ResizedAxis(axis, size, n, scale_of.get(axis, 1.0), region_of.get(axis, (0.0, 1.0)))
            for axis, (size, n) in enumerate(zip(source, target, strict=True))
        ),
    )


def _regions_and_scales(
    node: ResolvedNode,
    simple: bool,
    source: Shape,
    target: Shape,
    value: Callable[[str], np.ndarray | None],
) -> tuple[dict[int, tuple[float, float]], dict[int, float]]:
    """Region and scale of each axis that the node names."""
    rank = len(source)
    axes = [axis % rank for axis in integers(node, "axes") or range(rank)]
    if simple:
        attribute = node.attributes.get("scales")
        if attribute is not None:
            return {}, dict(enumerate(np.asarray(attribute, np.float64).tolist()))
        return {}, _by_axis(axes, _known(argument(node, 1), value))
    region = _known(argument(node, 1), value)
    regions = {}
    if region is not None and len(region) == 2 * len(axes):
        pairs = zip(region[: len(axes)], region[len(axes) :], strict=True)
        regions = {axis: (a, b) for axis, (a, b) in zip(axes, pairs, strict=True)}
    scales = _known(argument(node, 2), value)
    if scales is not None:
        return regions, _by_axis(axes, scales)
    ratios = [target[axis] / source[axis] for axis in axes]
    policy = text(node, "keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        sizes = _known(argument(node, 3), value) or [float(target[axis]) for axis in axes]
        ratios = [size / source[axis] for axis, size in zip(axes, sizes, strict=True)]
        ratios = [(min if policy == "not_larger" else max)(ratios)] * len(axes)
    return regions, _by_axis(axes, ratios)


def _known(name: str, value: Callable[[str], np.ndarray | None]) -> list[float] | None:
    """The value of an optional operand, None if it is absent or empty."""
    if not name:
        return None
    array = value(name)
    if array is None:
        raise LoweringError("its scales or sizes depend on data")
    return [float(item) for item in array.reshape(-1)] or None


def _by_axis(axes: Sequence[int], values: Sequence[float] | None) -> dict[int, float]:
    if values is None or len(values) != len(axes):
        raise LoweringError(f"its scales do not fit {len(axes)} axes")
    return dict(zip(axes, values, strict=True))


def _coordinates(resampling: Resampling, axis: ResizedAxis, dtype: type[np.floating]) -> np.ndarray:
    """Where in the input each output element lies, in the standard's formulas."""
    check_enumerable(axis.target, "positions")
    x: np.ndarray = np.arange(axis.target, dtype=dtype)
    scale, source, last = dtype(axis.scale), dtype(axis.source), dtype(axis.source - 1)
    steps, half = dtype(max(1, axis.target - 1)), dtype(0.5)
    at: np.ndarray = (x + half) / scale - half
    match resampling.transformation:
        case "asymmetric":
            at = x / scale
        case "tf_half_pixel_for_nn":
            at = (x + half) / scale
        case "align_corners":
            at = x * last / steps
        case "pytorch_half_pixel" if axis.target == 1:
            at = np.zeros(1, dtype)
        case "half_pixel_symmetric":
            adjustment = dtype(axis.target) / (scale * source)
            at = at + source * half * (1 - adjustment)
        case "tf_crop_and_resize":
            start, end = (dtype(limit) for limit in axis.region)
            if axis.target == 1:
                at = np.full(1, half * (start + end) * last)
            else:
                at = start * last + x * (end - start) * last / steps
    return at


def extrapolated(resampling: Resampling, axis: ResizedAxis) -> np.ndarray:
    """Output elements along an axis that take the extrapolation value."""
    at = _coordinates(resampling, axis, np.float32)
    if resampling.transformation != "tf_crop_and_resize":
        return np.zeros(at.shape, bool)
    return np.asarray((at < 0) | (at > axis.source - 1))


def nearest_indices(resampling: Resampling, axis: ResizedAxis) -> np.ndarray:
    """The input index of every output element; of one outside the input, that of its border.

    In single precision, as runtimes compute it: points between two elements then fall on the same
    side.
    """
    at = _coordinates(resampling, axis, np.float32)
    rounded: np.ndarray
    match resampling.rounding:
        case "floor":
            rounded = np.floor(at)
        case "ceil":
            rounded = np.ceil(at)
        case "round_prefer_ceil":
            rounded = np.floor(at + np.float32(0.5))
        case "round_prefer_floor":
            rounded = np.ceil(at - np.float32(0.5))
        case other:
            raise LoweringError(f"nearest_mode {other!r} is unknown")
    indices: np.ndarray = np.clip(rounded, 0, axis.source - 1).astype(np.int64)
    return indices


def interpolation_matrix(resampling: Resampling, axis: ResizedAxis) -> np.ndarray:
    """The matrix R of output[j] = sum over i of input[i] * R[i, j].

    Column j holds a filter centred at j's coordinate in the input. What reaches beyond the input
    falls on its border, or with `exclude_outside` is dropped. Antialiasing stretches the filter of
    a smaller output. Columns of extrapolated elements are zero.
    """
    at = _coordinates(resampling, axis, np.float64)
    stretch = max(1.0, 1.0 / axis.scale) if resampling.antialias else 1.0
    reach = int(np.ceil(_REACH[resampling.mode] * stretch))
    positions = np.floor(at).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    weights = _filter(resampling, np.abs(positions - at[:, None]) / stretch)
    inside = np.clip(positions, 0, axis.source - 1)
    if resampling.exclude_outside:
        weights = np.where(inside == positions, weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    weights[extrapolated(resampling, axis)] = 0.0
    check_enumerable(axis.source * axis.target, "weights of an interpolation")
    matrix = np.zeros((axis.source, axis.target))
    np.add.at(matrix, (inside, np.arange(axis.target)[:, None]), weights)
    return matrix


def _filter(resampling: Resampling, distance: np.ndarray) -> np.ndarray:
    """The filter's height: a triangle, or Keys' cubic convolution kernel."""
    if resampling.mode == "linear":
        return np.maximum(0.0, 1.0 - distance)
    a = resampling.cubic_coefficient
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
