"""com.microsoft: matrix products fused with transpositions, scaling, bias or activation."""

from t10c.onnx_import.contrib.pieces import (
    activated,
    part,
    reduce,
    reshape,
    scalar,
    scaled,
    total,
    transpose,
)
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands

_FP4 = (0.0, 0.00520833333, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25)
"""The magnitudes of a 4-bit float; codes 8 to 15 are their negatives."""

_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip
"""The levels of a 4-bit number of normally distributed weights (QLoRA, appendix E)."""


@expands("FusedMatMul", "TransposeMatMul", domain=MICROSOFT)
def expand_fused_matmul(call: Expansion) -> None:
    """alpha * A' * B', each transposed as asked for."""
    call.result(0, _product(call))


@expands("FusedMatMulActivation", domain=MICROSOFT)
def expand_matmul_activation(call: Expansion) -> None:
    """An activation of alpha * A' * B', each transposed as asked for."""
    call.result(0, _activated(call, _product(call)))


@expands("FusedGemm", domain=MICROSOFT)
def expand_fused_gemm(call: Expansion) -> None:
    """An activation of alpha * A' * B' + beta * C."""
    inputs = [name for name in (call.input(0), call.input(1), call.input(2)) if name]
    product = call.add(
        "Gemm",
        inputs,
        transA=call.attribute("transA", 0),
        transB=call.attribute("transB", 0),
        alpha=call.attribute("alpha", 1.0),
        beta=call.attribute("beta", 1.0),
    )
    call.result(0, _activated(call, product))


@expands("GemmFastGelu", domain=MICROSOFT)
def expand_gemm_fast_gelu(call: Expansion) -> None:
    """Gelu(X * W + bias) in its approximation by tanh; the bias may be absent."""
    product = total(call, call.add("MatMul", [call.input(0), call.input(1)]), call.input(2))
    call.result(0, call.add("Gelu", [product], approximate="tanh"))


@expands("CDist", domain=MICROSOFT)
def expand_cdist(call: Expansion) -> None:
    """Euclidean distances of all rows, squared or not: a * a + b * b - 2 * a * b."""
    metric = call.attribute("metric", "sqeuclidean")
    if metric not in ("euclidean", "sqeuclidean"):
        call.refuse(f"its metric {metric!r} is not supported, only (sq)euclidean")
    left, right = call.input(0), call.input(1)
    squares = [reduce(call, "ReduceSumSquare", operand, 1) for operand in (left, right)]
    across = call.add("Gemm", [left, right], transB=1, alpha=-2.0)
    distance = total(call, across, squares[0], transpose(call, squares[1], 1, 0))
    distance = call.add("Max", [distance, scalar(call, 0.0)])
    call.result(0, call.add("Sqrt", [distance]) if metric == "euclidean" else distance)


@expands("MatMulBnb4", domain=MICROSOFT)
def expand_matmul_bnb4(call: Expansion) -> None:
    """A * B' of 4-bit weights that are unpacked before inference, so held as floats."""
    columns, depth = call.attribute("N", 0), call.attribute("K", 0)
    block = call.attribute("block_size", 0)
    levels = _NF4 if call.attribute("quant_type", 0) else (*_FP4, *(-level for level in _FP4))
    codes = _nibbles(call, call.input(1), call.shape(1)[0])
    table = call.array(levels, "float32", "levels")
    values = call.add("Gather", [call.add("CastLike", [table, call.input(0)]), codes], axis=0)
    blocks = -(-columns * depth // block)
    held, padded = 2 * call.shape(1)[0], blocks * block
    if held < padded:
        pads = call.array([0, padded - held], "int64", "pads")
        values = call.add("Pad", [values, pads])
    scales = reshape(call, call.input(2), blocks, 1)
    weights = call.add(
        "Mul", [reshape(call, part(call, values, 0, 0, padded), blocks, block), scales]
    )
    flat = part(call, reshape(call, weights, padded), 0, 0, columns * depth)
    matrix = reshape(call, flat, columns, depth)
    if call.attribute("transB", 1):
        matrix = transpose(call, matrix, 1, 0)
    call.result(0, call.add("MatMul", [call.input(0), matrix]))


def _nibbles(call: Expansion, source: str, count: int) -> str:
    """The two halves of each byte as int32, the upper one first."""
    byte = call.add("Cast", [reshape(call, source, count, 1)], to=6)
    divisor = call.array([[16, 1]], "int32", "divisor")
    halves = call.add("Mod", [call.add("Div", [byte, divisor]), call.array(16, "int32")])
    return reshape(call, halves, 2 * count)


def _product(call: Expansion) -> str:
    """alpha * A' * B' of inputs 0 and 1."""
    operands = [_transposed(call, index, side) for index, side in ((0, "A"), (1, "B"))]
    return scaled(call, call.add("MatMul", operands), call.attribute("alpha", 1.0))


def _transposed(call: Expansion, index: int, side: str) -> str:
    """An operand after moving its first dimension behind the batch, then swapping the last two."""
    rank = len(call.shape(index))
    perm = list(range(rank))
    if rank > 1 and call.attribute(f"transBatch{side}", 0):
        perm = [*perm[1:-1], perm[0], perm[-1]]
    if rank > 1 and call.attribute(f"trans{side}", 0):
        perm = [*perm[:-2], perm[-1], perm[-2]]
    plain = perm == sorted(perm)
    return call.input(index) if plain else transpose(call, call.input(index), *perm)


def _activated(call: Expansion, source: str) -> str:
    """The node's activation of a product."""
    name = call.attribute("activation", "")
    if name == "Softmax":
        return call.add("Softmax", [source], axis=call.attribute("activation_axis", -1))
    keys = [f"activation_{letter}" for letter in ("alpha", "beta", "gamma")]
    parameters = {
        key.rpartition("_")[2]: call.attribute(key, 0.0) for key in keys if call.given(key)
    }
    return activated(call, source, name, parameters)
