"""Quantised operators of com.microsoft against ONNX Runtime, integers exactly.

Zero points of outputs are even: ONNX Runtime's kernels of this domain round after the zero point is
added, QuantizeLinear before, so that with an odd one a tie is rounded the other way.
"""

from collections.abc import Mapping

import ml_dtypes
import numpy as np
import pytest
from contrib_models import check_contrib, compare, contrib_model
from graph_numpy import runtime_results
from onnx import helper

RNG = np.random.default_rng(11)

S = {name: np.array(value, np.float32) for name, value in
     (("s0", 0.25), ("s1", 0.125), ("s2", 0.5))}  # fmt: skip


def stored(kind: str, *shape: int) -> np.ndarray:
    limits = np.iinfo(kind)
    return RNG.integers(limits.min, limits.max + 1, shape).astype(kind)


def point(kind: str) -> np.ndarray:
    return np.array(130 if kind == "uint8" else -8, kind)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("op_type", ["QLinearAdd", "QLinearMul"])
def test_binary(op_type: str, kind: str) -> None:
    inputs = {
        "a": stored(kind, 3, 5), "s0": S["s0"], "z0": point(kind),
        "b": stored(kind, 5), "s1": S["s1"], "z1": np.zeros((), kind),
        "s2": np.array(0.5 if op_type == "QLinearAdd" else 4, np.float32), "z2": point(kind),
    }  # fmt: skip
    graph = check_contrib(op_type, inputs, weights=["s0", "z0", "s1", "z1", "s2", "z2"])
    (op,) = graph.planned
    assert [graph.tensor[name].bits for name in (*op.inputs, op.output)] == [8, 8, 8]


@pytest.mark.parametrize(
    ("op_type", "attributes", "scale"),
    [
        ("QLinearSigmoid", {}, 1 / 256),
        ("QLinearLeakyRelu", {"alpha": 0.125}, 0.5),
        ("QLinearGlobalAveragePool", {}, 0.25),
        ("QLinearGlobalAveragePool", {"channels_last": 1}, 0.25),
        ("QLinearAveragePool", {"kernel_shape": [2, 3], "strides": [2, 1]}, 0.25),
        ("QLinearAveragePool", {"kernel_shape": [2, 2], "pads": [1, 0, 1, 1]}, 0.25),
        (
            "QLinearAveragePool",
            {"kernel_shape": [2, 2], "pads": [1, 0, 1, 1], "count_include_pad": 1},
            0.25,
        ),
    ],
)
@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_unary(op_type: str, attributes: Mapping[str, object], scale: float, kind: str) -> None:
    inputs = {
        "x": stored(kind, 2, 4, 5, 6), "s0": S["s0"], "z0": point(kind),
        "s1": np.array(scale, np.float32), "z1": np.array(4, kind),
    }  # fmt: skip
    graph = check_contrib(op_type, inputs, weights=["s0", "z0", "s1", "z1"], **attributes)
    assert {graph.tensor[op.output].bits for op in graph.operators} == {8}


@pytest.mark.parametrize(("axis", "opset"), [(-1, 13), (1, 13), (1, 12)])
def test_softmax(axis: int, opset: int) -> None:
    inputs = {
        "x": stored("uint8", 3, 4, 5), "s0": S["s1"], "z0": point("uint8"),
        "s1": np.array(1 / 256, np.float32), "z1": np.array(0, np.uint8),
    }  # fmt: skip
    weights = ["s0", "z0", "s1", "z1"]
    model, feeds = contrib_model("QLinearSoftmax", inputs, weights=weights, axis=axis)
    model.graph.node[0].attribute.append(helper.make_attribute("opset", opset))
    compare(model, feeds, runtime_results(model, feeds))


def test_concat_and_where() -> None:
    inputs = {
        "s2": S["s2"], "z2": point("uint8"),
        "a": stored("uint8", 3, 4), "s0": S["s0"], "z0": np.array(9, np.uint8),
        "b": stored("uint8", 3, 2), "s1": S["s2"], "z1": point("uint8"),
    }  # fmt: skip
    scales = ["s0", "z0", "s1", "z1", "s2", "z2"]
    graph = check_contrib("QLinearConcat", inputs, weights=scales, axis=1)
    assert [op.expression.kernel for op in graph.planned] == ["pointwise"]
    inputs = {
        "c": RNG.integers(0, 2, (3, 4)).astype(bool),
        "a": stored("uint8", 3, 4), "s0": S["s0"], "z0": np.array(9, np.uint8),
        "b": stored("uint8", 4), "s1": S["s2"], "z1": point("uint8"),
        "s2": S["s2"], "z2": np.array(6, np.uint8),
    }  # fmt: skip
    check_contrib("QLinearWhere", inputs, weights=scales)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
def test_integer_matmul_to_float(bias: bool, per_column: bool, zeros: bool) -> None:
    columns = (6,) if per_column else ()
    inputs = {
        "a": stored("uint8", 2, 4, 5), "b": stored("int8", 5, 6), "s0": S["s0"],
        "s1": RNG.uniform(0.01, 0.1, columns).astype(np.float32),
        "z0": point("uint8") if zeros else None,
        "z1": stored("int8", *columns) if zeros else None,
        "bias": RNG.standard_normal(6).astype(np.float32) if bias else None,
    }  # fmt: skip
    graph = check_contrib("MatMulIntegerToFloat", inputs, weights=["b", "s0", "s1"])
    assert graph.planned[0].expression.narrow_product


@pytest.mark.parametrize("zero", [False, True])
def test_dynamically_quantised_matmul(zero: bool) -> None:
    inputs = {
        "a": RNG.standard_normal((2, 4, 5)).astype(np.float32), "b": stored("int8", 5, 6),
        "s1": RNG.uniform(0.01, 0.1, 6).astype(np.float32),
        "z1": stored("int8", 6) if zero else None,
        "bias": RNG.standard_normal(6).astype(np.float32),
    }  # fmt: skip
    weights = ["b", "s1", "bias", *["z1"] * zero]
    graph = check_contrib("DynamicQuantizeMatMul", inputs, weights=weights)
    assert graph.planned[-1].expression.narrow_product


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("quantised", [False, True])
def test_gemm(turned: int, quantised: bool) -> None:
    inputs = {
        "a": stored("uint8", *((5, 4) if turned else (4, 5))), "s0": S["s0"], "z0": point("uint8"),
        "b": stored("int8", *((6, 5) if turned else (5, 6))), "s1": S["s1"],
        "z1": np.array(4, np.int8), "c": RNG.integers(-999, 999, 6).astype(np.int32),
        "s2": np.array(8, np.float32) if quantised else None,
        "z2": point("uint8") if quantised else None,
    }  # fmt: skip
    scales = [n for n in ("s0", "z0", "s1", "z1", "s2", "z2") if inputs[n] is not None]
    graph = check_contrib(
        "QGemm", inputs, weights=[*scales, "b", "c"], transA=turned, transB=turned, alpha=0.5
    )
    products = [op for op in graph.planned if op.expression.kernel == "matmul"]
    assert products[0].expression.narrow_product


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(("depth", "block"), [(64, 16), (40, 16), (16, 32)])
@pytest.mark.parametrize("zero", ["none", "packed", "float"])
@pytest.mark.parametrize("bias", [False, True])
def test_packed_weights(bits: int, depth: int, block: int, zero: str, bias: bool) -> None:
    columns, blocks = 6, -(-depth // block)
    entries = RNG.integers(0, 2**bits, (columns, blocks * block))
    scales = RNG.uniform(0.1, 1, (columns, blocks)).astype(np.float32)
    points = RNG.integers(0, 2**bits, (columns, blocks))
    per_byte = 8 // bits
    wide = np.pad(points, ((0, 0), (0, -blocks % per_byte)))
    if zero == "none":
        points[:] = 2 ** (bits - 1)
    zeros = {
        "none": None,
        "packed": _pack(wide, bits),
        "float": points.astype(np.float32),
    }[zero]
    left = RNG.standard_normal((2, 3, depth)).astype(np.float32)
    inputs = {
        "a": left,
        "b": _pack(entries, bits).reshape(columns, blocks, -1),
        "s": scales.reshape(-1),
        "z": zeros if zero == "float" or zeros is None else zeros.reshape(-1),
        "g": None,
        "bias": RNG.standard_normal(columns).astype(np.float32) if bias else None,
    }
    if not bias:
        del inputs["g"], inputs["bias"]
    weights = [name for name in inputs if name != "a" and inputs[name] is not None]
    model, feeds = contrib_model(
        "MatMulNBits", inputs, weights=weights, K=depth, N=columns, bits=bits, block_size=block
    )
    real = (entries - np.repeat(points, block, axis=1)) * np.repeat(scales, block, axis=1)
    expected = left @ real[:, :depth].T.astype(np.float32)
    expected = expected + inputs["bias"] if bias else expected
    graph = compare(model, feeds, [expected.astype(np.float32)])
    (op,) = graph.planned
    assert op.expression.inputs[1].bits == bits
    assert "b" not in op.inputs


def _pack(entries: np.ndarray, bits: int) -> np.ndarray:
    """Entries in bytes, lowest bits first."""
    groups = entries.reshape(*entries.shape[:-1], -1, 8 // bits)
    return (groups << (bits * np.arange(8 // bits))).sum(-1).astype(np.uint8)


def test_packed_weights_as_onnx_runtime_computes_them() -> None:
    inputs = {
        "a": RNG.standard_normal((3, 64)).astype(np.float32),
        "b": stored("uint8", 8, 4, 8),
        "s": RNG.uniform(0.1, 1, 32).astype(np.float32),
        "z": stored("uint8", 16),
    }
    check_contrib("MatMulNBits", inputs, weights=["b", "s", "z"], K=64, N=8, bits=4, block_size=16)


PACKINGS = [
    (2, 64, 16), (2, 64, 32), (2, 128, 128), (2, 256, 256), (4, 64, 16), (4, 40, 32), (8, 40, 32),
    (8, 64, 64), (4, 256, 256),
]  # fmt: skip
"""Bits, depth and block. ONNX Runtime has no zero points in floats for weights of 8 bits."""


@pytest.mark.parametrize("level", [0, 1, 4])
@pytest.mark.parametrize(
    ("bits", "depth", "block", "zero"),
    [
        (*packing, zero)
        for packing in PACKINGS
        for zero in ("none", "packed", "float")
        if packing[0] < 8 or zero != "float"
    ],
)
def test_left_operand_in_codes(level: int, bits: int, depth: int, block: int, zero: str) -> None:
    """With accuracy_level 4 ONNX Runtime quantises it block by block, if it has the kernel."""
    columns, blocks = 16, -(-depth // block)
    left = RNG.standard_normal((3, depth)).astype(np.float32)
    left[1, :block] = 0
    inputs = {
        "a": left,
        "b": stored("uint8", columns, blocks, block * bits // 8),
        "s": RNG.uniform(0.1, 1, columns * blocks).astype(np.float32),
    }
    if zero == "packed":
        inputs["z"] = stored("uint8", columns * -(-blocks * bits // 8))
    elif zero == "float":
        inputs["z"] = RNG.integers(0, 2**bits, (columns, blocks)).astype(np.float32)
    attributes = {"K": depth, "N": columns, "bits": bits, "block_size": block}
    weights = [name for name in inputs if name != "a"]
    model, feeds = contrib_model(
        "MatMulNBits", inputs, weights=weights, accuracy_level=level, **attributes
    )
    (expected,) = runtime_results(model, feeds)
    size = np.abs(expected).max()
    graph = compare(model, feeds, [expected], atol=1e-5 * size)
    in_codes = level == 4 and zero != "float" and (bits > 2 or block in (32, 128))
    assert graph.planned[-1].expression.narrow_product == in_codes


@pytest.mark.parametrize("unidirectional", [0, 1])
@pytest.mark.parametrize("mask", [False, True])
def test_attention(unidirectional: int, mask: bool) -> None:
    inputs = {
        "x": stored("uint8", 2, 5, 8), "w": stored("int8", 8, 24),
        "bias": RNG.standard_normal(24).astype(np.float32),
        "s0": np.array(0.01, np.float32), "s1": np.array(0.01, np.float32),
        "m": np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32) if mask else None,
        "z0": np.array(120, np.uint8), "z1": np.array(0, np.int8),
    }  # fmt: skip
    weights = ["w", "bias", "s0", "s1", "z0", "z1"]
    graph = check_contrib(
        "QAttention", inputs, weights=weights, num_heads=2, unidirectional=unidirectional
    )
    assert graph.planned[0].expression.narrow_product


@pytest.mark.parametrize("op_type", ["QuantizeLinear", "DequantizeLinear"])
def test_quantising_operators(op_type: str) -> None:
    x = RNG.standard_normal((4, 6)).astype(np.float32)
    source = x if op_type == "QuantizeLinear" else stored("uint8", 4, 6)
    scales = RNG.uniform(0.01, 0.1, 4).astype(np.float32)
    inputs = {"x": source, "s": scales, "z": stored("uint8", 4)}
    check_contrib(op_type, inputs, weights=["s", "z"], axis=0)


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("kind", ["uint8", "uint4", "int4"])
def test_rows_of_packed_tables(zero: bool, kind: str) -> None:
    low, high = (-8, 8) if kind == "int4" else (0, 16)
    entries, points = RNG.integers(low, high, (7, 32)), RNG.integers(low, high, (7, 2))
    if kind == "uint8":
        table, zeros = _pack(entries, 4), _pack(points, 4)
    else:
        table, zeros = (array.astype(getattr(ml_dtypes, kind)) for array in (entries, points))
    if not zero:
        points[:] = 8 if kind == "uint8" else 0
    scales = RNG.uniform(0.1, 1, (7, 2)).astype(np.float32)
    inputs = {"w": table, "i": np.array([[3, 0], [6, 3]]), "s": scales, "z": zeros}
    if not zero:
        del inputs["z"]
    model, feeds = contrib_model(
        "GatherBlockQuantized",
        inputs,
        weights=[name for name in inputs if name != "i"],
        opset=21,
        block_size=16,
        quantize_axis=1,
        gather_axis=0,
    )
    real = (entries - np.repeat(points, 16, 1)) * np.repeat(scales, 16, 1)
    expected = real[inputs["i"]].astype(np.float32)
    graph = compare(model, feeds, [expected])
    assert graph.planned[0].expression.kernel == "gather"
    assert 4 in {graph.tensor[name].bits for op in graph.planned for name in op.inputs}
    np.testing.assert_allclose(runtime_results(model, feeds)[0], expected, rtol=1e-5)
