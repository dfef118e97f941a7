"""com.microsoft: products, convolutions and standard operators against ONNX Runtime or NumPy."""

import numpy as np
import pytest
from contrib_models import OPSETS, check_contrib, floats
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.capi._pybind_state import quantize_matmul_bnb4

from t10c.ir.graph import NodeClass

LEAKY = {"activation": "LeakyRelu", "activation_alpha": 0.2}


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("left", "right", "options"),
    [
        ((2, 3, 4), (4, 5), {}),
        ((2, 3, 4), (4, 5), {"alpha": 0.5}),
        ((2, 4, 3), (2, 5, 4), {"transA": 1, "transB": 1, "alpha": 2.0}),
        ((4, 3), (5, 4), {"transA": 1, "transB": 1}),
        ((2, 6, 3, 4), (6, 2, 4, 5), {"transBatchB": 1}),
        ((3, 2, 4), (2, 4, 5), {"transBatchA": 1}),
        (
            (4, 2, 6, 3),
            (5, 2, 6, 4),
            {"transBatchA": 1, "transA": 1, "transBatchB": 1, "transB": 1},
        ),
        ((4,), (4, 5), {"transA": 1}),
        ((3, 4), (4,), {"transB": 1}),
    ],
)
def test_fused_matmul(
    left: tuple[int, ...], right: tuple[int, ...], options: dict[str, float], opset: int
) -> None:
    inputs = {"a": floats(*left), "b": floats(*right)}
    if "transBatchB" in options and "transBatchA" not in options:
        inputs["a"] = floats(6, 4, 2, 3)[:, 0]
        inputs["b"] = floats(3, 6, 5)
    graph = check_contrib("FusedMatMul", inputs, opset=opset, **options)
    assert "matmul" in [op.expression.kernel for op in graph.planned]
    assert graph.flop_matmul_conv
    if not any("Batch" in name for name in options):
        check_contrib("TransposeMatMul", inputs, opset=opset, **options)


@pytest.mark.parametrize(
    ("options", "activate"),
    [
        ({"activation": "Relu"}, lambda y: np.maximum(y, 0)),
        (LEAKY, lambda y: np.where(y < 0, 0.2 * y, y)),
        (
            {"activation": "Softmax", "activation_axis": -1},
            lambda y: np.exp(y) / np.exp(y).sum(-1, keepdims=True),
        ),
    ],
)
def test_fused_matmul_activation(options: dict[str, object], activate: object) -> None:
    a, b = floats(2, 3, 4), floats(5, 4)
    expected = activate(0.5 * a @ b.T)  # type: ignore[operator]
    check_contrib(
        "FusedMatMulActivation",
        {"a": a, "b": b},
        expected=[expected],
        transB=1,
        alpha=0.5,
        **options,
    )


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("addend", [True, False])
@pytest.mark.parametrize("options", [{"activation": "Relu"}, LEAKY, {"activation": "Tanh"}])
def test_fused_gemm(options: dict[str, object], addend: bool, opset: int) -> None:
    inputs = {"a": floats(4, 3), "b": floats(5, 4), "c": floats(5) if addend else None}
    graph = check_contrib(
        "FusedGemm",
        inputs,
        weights=("c",) if addend else (),
        opset=opset,
        transA=1,
        transB=1,
        alpha=0.5,
        beta=2.0,
        **options,
    )
    assert [op.expression.kernel for op in graph.planned] == ["matmul"]
    assert graph.flop_matmul_conv == 2 * 3 * 4 * 5


def test_gemm_fast_gelu() -> None:
    x, w, bias = floats(2, 3, 4), floats(4, 5), floats(5)

    def gelu(y: np.ndarray) -> np.ndarray:
        tanh = np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3))
        return (0.5 * y * (1 + tanh)).astype(np.float32)

    check_contrib("GemmFastGelu", {"x": x, "w": w, "b": bias}, expected=[gelu(x @ w + bias)])
    check_contrib("GemmFastGelu", {"x": x, "w": w}, expected=[gelu(x @ w)])


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
def test_cdist(metric: str, opset: int) -> None:
    inputs = {"a": floats(3, 4), "b": floats(5, 4)}
    graph = check_contrib("CDist", inputs, opset=opset, metric=metric)
    assert graph.flop_matmul_conv == 2 * 3 * 4 * 5


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(("columns", "depth", "block"), [(8, 16, 16), (5, 9, 16), (3, 32, 32)])
def test_matmul_bnb4(columns: int, depth: int, block: int, kind: int) -> None:
    matrix = floats(depth, columns)
    packed = np.zeros((columns * depth + 1) // 2, np.uint8)
    scales = np.zeros(-(-columns * depth // block), np.float32)
    quantize_matmul_bnb4(packed, matrix, scales, block, kind, columns, depth)
    graph = check_contrib(
        "MatMulBnb4",
        {"a": floats(2, 3, depth), "b": packed, "s": scales},
        weights=("b", "s"),
        K=depth,
        N=columns,
        block_size=block,
        quant_type=kind,
    )
    assert [op.expression.kernel for op in graph.planned] == ["matmul"]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    "options",
    [
        {"activation": "Relu"},
        {"activation": "LeakyRelu", "activation_params": [0.3]},
        {"activation": "Clip", "activation_params": [-0.5, 0.5]},
        {"activation": "HardSigmoid", "activation_params": [0.3, 0.4]},
        {"activation": "Sigmoid", "pads": [1, 1, 1, 1], "strides": [2, 2]},
        {"activation": "Tanh", "auto_pad": "SAME_UPPER", "dilations": [1, 1]},
    ],
)
@pytest.mark.parametrize(("bias", "addend"), [(True, True), (False, False), (True, False)])
def test_fused_conv(options: dict[str, object], bias: bool, addend: bool, opset: int) -> None:
    inputs = {"x": floats(1, 4, 6, 6), "w": floats(6, 2, 3, 3), "b": floats(6) if bias else None}
    if addend:
        size = 3 if "pads" in options else 6 if "auto_pad" in options else 4
        inputs["z"] = floats(1, 6, size, size)
    weights = ("w", "b") if bias else ("w",)
    graph = check_contrib(
        "FusedConv", inputs, weights=weights, opset=opset, kernel_shape=[3, 3], group=2, **options
    )
    kernels = [op.expression.kernel for op in graph.planned]
    assert kernels == (["conv", "pointwise"] if addend else ["conv"])
    assert graph.flop_matmul_conv


def test_nhwc_conv() -> None:
    x, w, b = floats(1, 6, 5, 4), floats(6, 2, 3, 3), floats(6)
    options = {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 1]}
    conv = helper.make_node("Conv", ["x", "w", "b"], ["y"], **options)
    feeds = {"x": x.transpose(0, 3, 1, 2), "w": w, "b": b}
    y = ReferenceEvaluator(conv, opsets={"": 20}).run(None, feeds)[0].transpose(0, 2, 3, 1)
    inputs = {"x": x, "w": w, "b": b}
    graph = check_contrib("NhwcConv", inputs, weights=("w", "b"), expected=[y], **options)
    assert [op.expression.kernel for op in graph.planned] == ["conv"]
    added = floats(*y.shape)
    check_contrib(
        "NhwcFusedConv",
        {**inputs, "z": added},
        expected=[np.maximum(y + added, 0)],
        activation="Relu",
        **options,
    )


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_nhwc_max_pool(dtype: type) -> None:
    x = np.random.default_rng(1).integers(0, 100, (1, 6, 5, 4)).astype(dtype)
    check_contrib("NhwcMaxPool", {"x": x}, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", [None, -1, 1])
def test_trilu(upper: int, k: int | None) -> None:
    inputs = {"x": floats(2, 4, 5), "k": None if k is None else np.array(k)}
    check_contrib("Trilu", inputs, weights=() if k is None else ("k",), upper=upper)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_gather_nd(dtype: type) -> None:
    indices = np.array([[[0, 1]], [[1, 2]]], dtype)
    check_contrib("GatherND", {"x": floats(2, 3, 4), "i": indices})


def test_torch_embedding() -> None:
    table, index = floats(5, 3), np.array([[0, 4], [2, 2]])
    check_contrib("TorchEmbedding", {"t": table, "i": index}, expected=[table[index]])


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
@pytest.mark.parametrize("rank", [1, 2])
def test_pad(mode: str, rank: int) -> None:
    pads = np.array([0, 1, 2, 1])
    inputs = {"x": floats(3, 4), "pads": pads if rank == 1 else pads[None]}
    if mode == "constant":
        inputs["value"] = np.array([1.5], np.float32)
    weights = [name for name in inputs if name != "x"]
    model_class = NodeClass.LAYOUT_ONLY
    check_contrib("Pad", inputs, weights=weights, mode=mode, node_class=model_class)


@pytest.mark.parametrize("axis", [0, 1, -1, 2])
def test_expand_dims(axis: int) -> None:
    inputs = {"x": floats(3, 4), "axis": np.array(axis, np.int32)}
    check_contrib("ExpandDims", inputs, weights=("axis",), node_class=NodeClass.LAYOUT_ONLY)


@pytest.mark.parametrize("options", [{}, {"mode": "nearest"}, {"mode": "bicubic"}])
def test_grid_sample(options: dict[str, object]) -> None:
    grid = np.random.default_rng(3).uniform(-1.2, 1.2, (1, 2, 3, 2)).astype(np.float32)
    inputs = {"x": floats(1, 2, 4, 5), "grid": grid}
    options = {"align_corners": 1, "padding_mode": "border", **options}
    check_contrib("GridSample", inputs, node_class=None, **options)


@pytest.mark.parametrize("length", [2, 6, 7, 16])
def test_fourier_transforms(length: int) -> None:
    x = floats(2, 3, length)
    spectrum = np.fft.rfft(x)
    pairs = np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)
    options = {"signal_ndim": 1, "onesided": 1, "normalized": 0}
    graph = check_contrib("Rfft", {"x": x}, expected=[pairs], **options)
    assert [op.expression.kernel for op in graph.planned] == ["matmul"]
    if length % 2 == 0:
        check_contrib("Irfft", {"x": pairs}, expected=[x], **options)
