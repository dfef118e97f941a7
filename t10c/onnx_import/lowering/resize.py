"""Resize and Upsample, one axis after the other (see interpolation.py for what an axis computes).

A nearest element is a slice, a repetition, or a gather by a constant index; linear and cubic
interpolation is a matmul with a constant matrix.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from t10c.ir.expression import Dim, Role, TensorExpression
from t10c.onnx_import.attributes import LoweringError
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.gather import gather_expression, progression
from t10c.onnx_import.lowering.interpolation import (
    Resampling,
    ResizedAxis,
    interpolation_matrix,
    nearest_indices,
    read_resampling,
)
from t10c.onnx_import.lowering.matmul import product_expression
from t10c.onnx_import.lowering.registry import lowers
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
    if resampling.mode == "nearest":
        stages = _nearest_stages(builder, resampling)
    else:
        if not builder.element_type(source).endswith(("float16", "float32", "float64")):
            raise LoweringError(f"interpolating {builder.element_type(source)} is not supported")
        axes = sorted(resampling.axes, key=lambda axis: axis.target / axis.source)
        matrices = [(axis, interpolation_matrix(resampling, axis)) for axis in axes]
        stages = [
            _matrix_stage(builder, axis, matrix)
            for axis, matrix in matrices
            if not _is_identity(matrix)
        ]
    if not stages:
        return builder.reshape(source, output)
    for stage in stages[:-1]:
        shape = tuple(stage.sizes.get(axis, size) for axis, size in enumerate(shape))
        target = builder.temporary(stage.suffix, shape, source)
        stage.add(source, target, stage.suffix)
        source = target
    return stages[-1].add(source, output, "")


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
        if indices is None:
            raise LoweringError("a nearest element outside the input is not supported")
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
