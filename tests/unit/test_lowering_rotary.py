"""Rotary embeddings and the statistics of layer norm."""

import numpy as np
import pytest
from graph_numpy import check
from onnx import TensorProto
from onnx_models import model, node, value

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("turned", [0, 4])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("positions", ["none", "known", "data"])
def test_rotary(interleaved: int, turned: int, packed: bool, positions: str) -> None:
    batch, heads, rows, size = 2, 3, 5, 8
    half = (turned or size) // 2
    shape = (batch, rows, heads * size) if packed else (batch, heads, rows, size)
    table = (batch, rows, half) if positions == "none" else (11, half)
    index = RNG.integers(0, 11, (batch, rows))
    infos = [value("x", shape), value("c", table), value("s", table)]
    feeds = {info.name: None for info in infos}
    feeds = {
        n: RNG.standard_normal(s).astype(np.float32)
        for n, s in zip(feeds, (shape, table, table), strict=True)
    }
    if positions == "data":
        infos.append(value("p", index.shape, TensorProto.INT64))
        feeds["p"] = index
    attributes: dict[str, int] = {"interleaved": interleaved}
    if turned:
        attributes |= {"rotary_embedding_dim": turned}
    if packed or turned:
        attributes |= {"num_heads": heads}
    made = model(
        [
            node(
                "RotaryEmbedding",
                "x c s" if positions == "none" else "x c s p",
                "y",
                "r",
                **attributes,
            )
        ],
        infos,
        ["y"],
        {"p": index} if positions == "known" else {},
        opset=23,
    )
    graph = check(made, feeds=feeds)
    assert graph.node_counts()["fallback"] == 0
    pointwise = [op for op in graph.planned if op.expression.kernel == "pointwise"]
    assert len(pointwise) == 2
    assert all(len(op.expression.body) == 3 for op in pointwise)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("outputs", ["y m v", "y _ v", "y m"])
def test_statistics_of_layer_norm(axis: int, outputs: str) -> None:
    shape = (3, 4, 5)
    weight = RNG.standard_normal(shape[axis % 3 :]).astype(np.float32)
    made = model(
        [node("LayerNormalization", "x w", outputs, "n", axis=axis, epsilon=0.25)],
        [value("x", shape)],
        [name for name in outputs.split() if name != "_"],
        {"w": weight},
    )
    graph = check(made)
    kernels = [op.expression.kernel for op in graph.planned]
    assert kernels[0] == "rowwise"
    assert set(kernels[1:]) == {"reduce"}


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_lp_normalisation(p: int, axis: int) -> None:
    made = model(
        [node("LpNormalization", "x", "y", "n", p=p, axis=axis)],
        [value("x", [3, 4])],
        ["y"],
        opset=22,
    )
    x = RNG.standard_normal((3, 4)).astype(np.float32)
    x[:, 1] = 0
    x[2] = 0
    norm = np.linalg.norm(x, p, axis=axis, keepdims=True)
    expected = np.divide(x, norm, out=np.zeros_like(x), where=norm != 0)
    (operator,) = check(made, feeds={"x": x}, expected=[expected]).planned
    assert operator.expression.kernel == "rowwise"
