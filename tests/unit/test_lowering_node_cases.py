"""The node cases of onnx for operators that t10c plans by itself: same numbers, no fallback."""

import pytest
from node_cases import TestCase, cases, run

_MODULES = {
    "attention": ("Attention",),
    "batch_normalization": ("BatchNormalization",),
    "bitcast": ("BitCast",),
    "compress": ("Compress",),
    "convinteger": ("ConvInteger",),
    "cumprod": ("CumProd",),
    "cumsum": ("CumSum",),
    "dequantizelinear": ("DequantizeLinear",),
    "dynamicquantizelinear": ("DynamicQuantizeLinear",),
    "einsum": ("Einsum",),
    "eyelike": ("EyeLike",),
    "gather": ("Gather",),
    "gatherelements": ("GatherElements",),
    "gathernd": ("GatherND",),
    "hardmax": ("Hardmax",),
    "layernormalization": ("LayerNormalization",),
    "lpnormalization": ("LpNormalization",),
    "matmulinteger": ("MatMulInteger",),
    "onehot": ("OneHot",),
    "qlinearconv": ("QLinearConv",),
    "qlinearmatmul": ("QLinearMatMul",),
    "quantizelinear": ("QuantizeLinear",),
    "reversesequence": ("ReverseSequence",),
    "rotaryembedding": ("RotaryEmbedding",),
    "scatter": ("Scatter",),
    "scatterelements": ("ScatterElements",),
    "scatternd": ("ScatterND",),
    "tensorscatter": ("TensorScatter",),
    "topk": ("TopK",),
    "trilu": ("Trilu",),
}
"""Modules of onnx's cases and the operators whose cases they have."""

_PARAMETERS = ("k", "axis", "depth", "condition")
"""Inputs that models have as constants."""


def collected() -> list[object]:
    """Every case of an installed module; one without elements is refused elsewhere."""
    found = []
    for module, op_types in _MODULES.items():
        try:
            found += [
                pytest.param(case, id=case.name)
                for case in cases(module, *op_types)
                if not case.name.endswith("_zero")
            ]
        except ModuleNotFoundError:
            continue  # an operator that this onnx does not know yet
    return found


@pytest.mark.parametrize("case", collected())
def test_with_indices_as_data(case: TestCase) -> None:
    graph = run(case, _PARAMETERS)
    assert graph.node_counts()["fallback"] == 0


@pytest.mark.parametrize("case", [p for p in collected() if "scatter" in p.id or "gather" in p.id])
def test_with_known_indices(case: TestCase) -> None:
    graph = run(case, None)
    assert graph.node_counts()["fallback"] == 0
