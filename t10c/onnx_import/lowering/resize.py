"""Resize and Upsample, one axis after the other (see interpolation.py for what an axis computes).

A nearest element is a slice, a repetition, or a gather by a constant index; linear and cubic
interpolation is a matmul with a constant matrix. Elements outside the input are replaced last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from t10c.ir.expression import Dim, Role, TensorExpression
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import AxisList, Shape, broadcast_dims
from t10c.onnx_import.lowering.elementwise import Argument, Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.gather import gather_expression, progression
from t10c.onnx_import.lowering.interpolation import (
    Resampling,
    ResizedAxis,
    extrapolated,
    interpolation_matrix,
    nearest_indices,
    read_resampling,
)
from t10c.onnx_import.lowering.matmul import product_expression
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@dataclass(frozen=True, slots=True)
class _Stage:
    """One operator of the chain: its suffix, the axes it changes, and how to add it."""

    suffix: str
    sizes: dict[int, int]
    add: Callable[[str, str, str], None]
    """Called with source, target and the operator's suffix ('' for the last)."""


@lowers("Resize", "Upsample")
def lower_resize(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A chain over the axes that change, those that shrink most first."""
    source, output = node.inputs[0], node.outputs[0]
    shape = builder.shape(source)
    resampling = read_resampling(node, builder.opset, shape, builder.shape(output), builder.value)
    outside = _outside_masks(builder, resampling)
    inner = builder.temporary("inside", builder.shape(output), output) if outside else output
    kind = builder.element_type(source)
    if resampling.mode == "nearest":
        _add_chain(builder, _nearest_stages(builder, resampling), source, inner)
    elif kind.endswith(("float16", "float32", "float64")):
        _add_chain(builder, _matrix_stages(builder, resampling), source, inner)
    else:
        _add_in_floats(builder, resampling, source, inner)
    if outside:
        arguments = [Argument(mask, dims) for mask, dims in outside]
        steps = [Step("Or", (0, 1))] if len(outside) == 2 else []
        for index in range(2, len(outside)):
            steps.append(Step("Or", (f"s{len(steps) - 1}", index)))
        condition: int | str = f"s{len(steps) - 1}" if steps else 0
        value = repr(resampling.extrapolation)
        steps.append(Step("Where", (condition, value, len(outside))))
        arguments.append(broadcast(builder, inner, output))
        add_pointwise(builder, "outside", output, arguments, steps)


def _outside_masks(
    builder: GraphBuilder, resampling: Resampling
) -> list[tuple[str, tuple[Dim, ...]]]:
    """Along each axis, which elements of the output take an extrapolation value.

    None is needed where that is what an interpolation yields anyway: 0.
    """
    if resampling.mode != "nearest" and not resampling.extrapolation:
        return []
    target = tuple(axis.target for axis in resampling.axes)
    masks = [(axis, extrapolated(resampling, axis)) for axis in resampling.axes]
    return [
        (
            Composer(builder).weight(f"outside{axis.axis}", mask),
            broadcast_dims(mask.shape, target, axis.axis),
        )
        for axis, mask in masks
        if mask.any()
    ]


def _matrix_stages(builder: GraphBuilder, resampling: Resampling) -> list[_Stage]:
    """One product per axis; what shrinks most comes first."""
    axes = sorted(resampling.axes, key=lambda axis: axis.target / axis.source)
    matrices = [(axis, interpolation_matrix(resampling, axis)) for axis in axes]
    return [
        _matrix_stage(builder, axis, matrix)
        for axis, matrix in matrices
        if not _is_identity(matrix)
    ]


def _add_chain(
    builder: GraphBuilder, stages: Sequence[_Stage], source: str, output: str, last: str = ""
) -> None:
    """The stages one after the other; `last` is the suffix of the last operator."""
    if not stages:
        return builder.reshape(source, output, last)
    shape = builder.shape(source)
    for stage in stages[:-1]:
        shape = tuple(stage.sizes.get(axis, size) for axis, size in enumerate(shape))
        target = builder.temporary(stage.suffix, shape, source)
        stage.add(source, target, stage.suffix)
        source = target
    return stages[-1].add(source, output, last)


def _add_in_floats(builder: GraphBuilder, resampling: Resampling, source: str, output: str) -> None:
    """Integers are interpolated as floats; what a cubic filter overshoots is cut off."""
    compose, kind = Composer(builder), builder.element_type(output)
    cast = Step("Cast", (0,), (("to", "float32"),))
    floats = compose.pointwise("floats", builder.shape(source), "float32", [source], [cast])
    resized = builder.temporary("resized", builder.shape(output), floats)
    _add_chain(builder, _matrix_stages(builder, resampling), floats, resized, "resized")
    limits = np.iinfo(kind)
    low, high = str(limits.min), str(limits.max)
    steps = [] if resampling.mode == "linear" else [Step("Clip", (0, low, high))]
    steps.append(Step("Cast", ("s0" if steps else 0,), (("to", kind),)))
    compose.pointwise("", builder.shape(output), kind, [resized], steps, output)


def _is_identity(matrix: np.ndarray) -> bool:
    return matrix.shape[0] == matrix.shape[1] and np.allclose(matrix, np.eye(len(matrix)))


def _matrix_stage(builder: GraphBuilder, axis: ResizedAxis, matrix: np.ndarray) -> _Stage:
    def add(source: str, target: str, suffix: str) -> None:
        kind = builder.element_type(source)
        weight = builder.derived_weight(
            f"matrix{axis.axis}", matrix.shape, kind, lambda: matrix.astype(kind)
        )
        expression = _matrix_expression(builder.shape(source), axis)
        builder.compute(suffix, expression, (source, weight), target)

    return _Stage(f"axis{axis.axis}", {axis.axis: axis.target}, add)


def _matrix_expression(shape: Shape, resized: ResizedAxis) -> TensorExpression:
    """C[.., n, ..] += A[.., k, ..] * B[k, n]; all other axes are rows."""
    axes, position = AxisList(), resized.axis
    role: Role = "m"
    dims = [
        Dim(() if d == position else axes.add(f"m{d}", n, role), n) for d, n in enumerate(shape)
    ]
    n = Dim(axes.add("n", resized.target, "n"), resized.target)
    k = Dim(axes.add("k", resized.source, "k", reduction=True), resized.source)
    before, after = dims[:position], dims[position + 1 :]
    return product_expression(axes, (*before, k, *after), (k, n), (*before, n, *after))


def _nearest_stages(builder: GraphBuilder, resampling: Resampling) -> list[_Stage]:
    """One slice, a gather per irregular axis, one repetition: the smallest tensors first."""
    slices: dict[int, tuple[int, int, int]] = {}
    gathers: list[tuple[ResizedAxis, np.ndarray]] = []
    repeats: dict[int, int] = {}
    for axis in resampling.axes:
        indices = nearest_indices(resampling, axis)
        factor = axis.target // axis.source
        if factor and np.array_equal(indices, np.repeat(np.arange(axis.source), factor)):
            repeats[axis.axis] = factor
        elif (run := progression(indices, axis.source)) and run.length == axis.target:
            slices[axis.axis] = (run.start, run.step, run.length)
        else:
            gathers.append((axis, indices))
    stages = [_slice_stage(builder, slices)] if slices else []
    gathers.sort(key=lambda item: item[0].target / item[0].source)
    stages.extend(_gather_stage(builder, axis, indices) for axis, indices in gathers)
    if any(factor > 1 for factor in repeats.values()):
        stages.append(_repeat_stage(builder, repeats))
    return stages


def _slice_stage(builder: GraphBuilder, slices: dict[int, tuple[int, int, int]]) -> _Stage:
    def add(source: str, target: str, suffix: str) -> None:
        rank = len(builder.shape(source))
        limits = [slices.get(axis, (0, 1, 0)) for axis in range(rank)]
        starts, steps = [start for start, _, _ in limits], [step for _, step, _ in limits]
        builder.slice(source, target, starts, steps, suffix)

    return _Stage("selected", {axis: length for axis, (_, _, length) in slices.items()}, add)


def _gather_stage(builder: GraphBuilder, axis: ResizedAxis, indices: np.ndarray) -> _Stage:
    def add(source: str, target: str, suffix: str) -> None:
        index = builder.derived_weight(
            f"index{axis.axis}", (axis.target,), "int64", lambda: indices
        )
        expression = gather_expression(builder.shape(source), (axis.target,), axis.axis)
        builder.compute(suffix, expression, (source, index), target)

    return _Stage(f"axis{axis.axis}", {axis.axis: axis.target}, add)


def _repeat_stage(builder: GraphBuilder, factors: dict[int, int]) -> _Stage:
    def add(source: str, target: str, suffix: str) -> None:
        shape = builder.shape(source)
        pairs = [(size, factors.get(axis, 1)) for axis, size in enumerate(shape)]
        split = builder.temporary("split", _flat([(size, 1) for size, _ in pairs]), source)
        wide = builder.temporary("wide", _flat(pairs), source)
        builder.reshape(source, split, "split")
        builder.expand(split, wide, "wide")
        builder.reshape(wide, target, suffix)

    return _Stage("repeated", {}, add)


def _flat(pairs: Sequence[tuple[int, int]]) -> Shape:
    return tuple(size for pair in pairs for size in pair)
