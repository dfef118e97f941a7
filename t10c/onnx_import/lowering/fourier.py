"""Fourier transforms as products with the matrix of their exponentials, a constant.

Real and imaginary parts are the last dimension of input and output, so that one real matrix
M[n,i,m,j] does for complex numbers (n: sample, m: frequency, i and j: which part):

    DFT    C[..,m,..,j] += A[..,n,..,i] * M[n,i,m,j]
    STFT   O[b,f,m,j] += I[b, step * f + t, i] * K[m,j,i,t], a convolution, the window in its kernel
"""

from collections.abc import Callable

import numpy as np

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import LoweringError, argument, integer
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import AxisList, Shape, scaled
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.lowering.matmul import product_expression
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers("DFT")
def lower_dft(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A matmul with the constant matrix of the transform; lengths crop the signal or its matrix."""
    data, output = node.inputs[0], node.outputs[0]
    shape, target = builder.shape(data), builder.shape(output)
    axis = _axis(builder, node, len(shape))
    inverse, onesided = bool(integer(node, "inverse", 0)), bool(integer(node, "onesided", 0))
    if shape[-1] not in (1, 2):
        raise LoweringError("its last dimension is neither a real nor a complex number")
    length = shape[axis]
    if inverse or not onesided:
        length = target[axis]
    elif argument(node, 1):
        length = _scalar(builder, node, 1, "length")
    used = min(shape[axis], target[axis] // 2 + 1 if inverse and onesided else length)
    kept = (*shape[:axis], used, *shape[axis + 1 :])
    data = Composer(builder).slice("signal", data, kept, (0,) * len(shape))
    dims = (used, shape[-1], target[axis], target[-1])

    def matrix() -> np.ndarray:
        return inverse_real(length, *dims) if inverse and onesided else dft(length, inverse, *dims)

    kind = builder.element_type(output)
    weight = _weight(builder, "matrix", dims, kind, matrix)
    builder.compute("", _dft_expression(kept, axis, dims), (data, weight), output)


def _axis(builder: GraphBuilder, node: ResolvedNode, rank: int) -> int:
    """The transformed dimension: an attribute before opset 20, then an input."""
    if builder.opset < 20:
        axis = integer(node, "axis", 1)
    else:
        axis = _scalar(builder, node, 2, "axis") if argument(node, 2) else -2
    if not -rank <= axis < rank or axis % rank == rank - 1:
        raise LoweringError(f"axis {axis} is no dimension of the signal")
    return axis % rank


def _scalar(builder: GraphBuilder, node: ResolvedNode, index: int, meaning: str) -> int:
    return int(builder.constant(argument(node, index), meaning).reshape(-1)[0])


def _weight(
    builder: GraphBuilder, suffix: str, shape: Shape, kind: str, formula: Callable[[], np.ndarray]
) -> str:
    return builder.derived_weight(suffix, shape, kind, lambda: formula().astype(kind))


def dft(
    length: int, inverse: bool, samples: int, given: int, frequencies: int, made: int
) -> np.ndarray:
    """M[n,i,m,j] of a transform: exp(-2 pi j n m / length) as a real 2 x 2 matrix for each n, m.

    `given` and `made` are 1 where only real parts are.
    """
    product = np.outer(np.arange(samples), np.arange(frequencies)) % length
    angle = 2 * np.pi * product / length
    real, imaginary = np.cos(angle), np.sin(angle) * (1 if inverse else -1)
    parts = np.array([[real, imaginary], [-imaginary, real]]) / (length if inverse else 1)
    return parts.transpose(2, 0, 3, 1)[:, :given, :, :made]


def inverse_real(length: int, frequencies: int, given: int, samples: int, made: int) -> np.ndarray:
    """M[m,i,n,j] from one side of the spectrum of a real signal: the other side mirrors it."""
    matrix = dft(length, True, frequencies, 2, samples, 1)
    # a frequency but 0 and the middle one stands for its mirror image too, which adds as much
    twice = [1 if m == 0 or 2 * m == length else 2 for m in range(frequencies)]
    matrix = matrix * np.array(twice).reshape(-1, 1, 1, 1)
    return np.asarray(matrix[:, :given, :, :made])


def _dft_expression(shape: Shape, axis: int, matrix: Shape) -> TensorExpression:
    """All other dimensions are rows."""
    samples, given, frequencies, made = matrix
    axes = AxisList()
    dims = [
        Dim(() if d == axis else axes.add(f"m{d}", n, "m"), n) for d, n in enumerate(shape[:-1])
    ]
    m = Dim(axes.add("n0", frequencies, "n"), frequencies)
    j = Dim(axes.add("n1", made, "n"), made)
    n = Dim(axes.add("k0", samples, "k", reduction=True), samples)
    i = Dim(axes.add("k1", given, "k", reduction=True), given)
    before, after = dims[:axis], dims[axis + 1 :]
    return product_expression(axes, (*before, n, *after, i), (n, i, m, j), (*before, m, *after, j))


@lowers("STFT")
def lower_stft(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A convolution with the constant matrix of the transform, times the window, as its kernel."""
    data, output = node.inputs[0], node.outputs[0]
    source, target = builder.shape(data), builder.shape(output)
    step, window = _scalar(builder, node, 1, "frame step"), argument(node, 2)
    if len(source) == 2:  # without the last dimension of a real signal, as runtimes accept it
        source = (*source, 1)
        data = Composer(builder).reshape("signal", data, source)
    if len(source) != 3 or source[-1] not in (1, 2):
        raise LoweringError("its last dimension is neither a real nor a complex number")
    length = builder.shape(window)[0] if window else source[1]
    if argument(node, 3):
        length = _scalar(builder, node, 3, "frame length")
    if window and builder.shape(window) != (length,):
        raise LoweringError(f"its window does not have the {length} elements of a frame")
    dims = (*target[-2:], source[-1], length)
    kind = builder.element_type(output)

    def matrix() -> np.ndarray:
        return dft(length, False, length, dims[2], *dims[:2]).transpose(2, 3, 1, 0)

    if window and builder.is_weight(window):
        kernel = builder.derived_weight(
            "kernel", dims, kind, lambda value: (matrix() * value).astype(kind), [window]
        )
    else:
        kernel = _weight(builder, "matrix", dims, kind, matrix)
        if window:
            product = [Step("Mul", (0, 1))]
            kernel = Composer(builder).pointwise("kernel", dims, kind, [kernel, window], product)
    builder.compute("", _stft_expression(source, target, dims, step), (data, kernel), output)


def _stft_expression(source: Shape, target: Shape, kernel: Shape, step: int) -> TensorExpression:
    frequencies, made, given, length = kernel
    axes = AxisList()
    b = Dim(axes.add("b", source[0], "batch"), source[0])
    m = Dim(axes.add("o0", frequencies, "out_channel"), frequencies)
    j = Dim(axes.add("o1", made, "out_channel"), made)
    i = Dim(axes.add("c", given, "in_channel", reduction=True), given)
    f = axes.add("w", target[1], "out_spatial")
    t = axes.add("kw", length, "kernel", reduction=True)
    return TensorExpression(
        kernel="conv",
        axes=axes.axes,
        inputs=(
            Operand("I", (b, Dim(scaled(f, step) + t, source[1]), i)),
            Operand("K", (m, j, i, Dim(t, length))),
        ),
        output=Operand("O", (b, Dim(f, target[1]), m, j)),
        body=(ScalarStep("Mul", ("I", "K")),),
        reduce_op="sum",
    )
