"""Operators that graphs among their attributes modify: written out with these graphs in place."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import t10c
from t10c.backend import T10cBackend
from t10c.errors import UnsupportedOperatorError

Q, K, V = (np.random.default_rng(i).standard_normal((1, 2, 3, 4), np.float32) for i in range(3))


def attention(bias: str, opset: int = 26) -> onnx.ModelProto:
    """softmax(2 * (q k + bias)) v, the bias of the graph's own or of the model."""
    scores = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("s", "t")]
    nodes = [
        helper.make_node("Add", ["s", bias], ["sum"]),
        helper.make_node("Mul", ["sum", "two"], ["t"]),
    ]
    numbers = {"two": np.float32(2), "own": np.arange(3, dtype=np.float32)}
    weights = [numpy_helper.from_array(np.asarray(a), name) for name, a in numbers.items()]
    score_mod = helper.make_graph(nodes, "score_mod", scores[:1], scores[1:], weights)
    domain = "ai.onnx.preview"
    names = ["q", "k", "v"]
    node = helper.make_node(
        "FlexAttention", names, ["y"], "attend", domain=domain, scale=1.0, score_mod=score_mod
    )
    shape = list(Q.shape)
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in (*names, "y")]
    outer = [numpy_helper.from_array(np.arange(3, dtype=np.float32), "theirs")]
    graph = helper.make_graph([node], "g", infos[:3], infos[3:], outer)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(domain, 1)]
    return helper.make_model(graph, opset_imports=opsets)


def expected() -> np.ndarray:
    scores = 2 * (Q @ K.swapaxes(2, 3) + np.arange(3, dtype=np.float32))
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ V


def test_scores_are_modified() -> None:
    (found,) = T10cBackend.run_model(attention("own"), [Q, K, V])
    np.testing.assert_allclose(found, expected(), rtol=1e-5)


def test_the_node_is_planned() -> None:
    graph = t10c.import_model(attention("own").SerializeToString())
    assert [(n.name, n.op_type, n.node_class.text) for n in graph.nodes] == [
        ("attend", "ai.onnx.preview.FlexAttention", "planned")
    ]


def test_a_graph_that_reads_from_outside_is_refused() -> None:
    reason = "its graphs read 'theirs', which is not among their own inputs"
    with pytest.raises(UnsupportedOperatorError, match=reason) as caught:
        t10c.import_model(attention("theirs").SerializeToString())
    assert caught.value.nodes == (("attend", "ai.onnx.preview.FlexAttention"),)
