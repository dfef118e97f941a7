"""Weights that folding leaves without a value: evaluated from the file's own tensors."""

import numpy as np
import pytest
from graph_numpy import evaluate
from node_cases import cases, run
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_models import graph, model, node, value

from t10c.errors import InvalidInputError
from t10c.onnx_import import constants, tensors
from t10c.onnx_import.derived import derive_weights
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolve import resolve_model

N = 160  # a square of floats takes 100 KiB: above what planning holds


def big(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((N, N)).astype(np.float32)


def read(tensor: object) -> np.ndarray:
    return numpy_helper.to_array(tensor)


def weights_of(made, **bindings):
    """Values of all weights of the model's graph, by name."""
    resolved = resolve_model(made.SerializeToString(), **bindings)
    planned = lower_model(resolved)
    wanted = {tensor.name for tensor in planned.tensors if tensor.kind == "weight"}
    found = {**resolved.constants, **derive_weights(resolved, {}, read, wanted)}
    assert wanted <= found.keys()
    for tensor in planned.tensors:
        if tensor.kind == "weight":
            assert found[tensor.name].shape == tensor.shape
            assert str(found[tensor.name].dtype) == tensor.element_type
    return {name: found[name] for name in wanted}


def product_with(nodes, constants=None, weight="w"):
    """x @ w, where the nodes make w."""
    return model(
        [*nodes, node("MatMul", f"x {weight}", "y")], [value("x", [2, N])], ["y"], constants
    )


def test_initializer_too_large_to_hold():
    assert np.array_equal(weights_of(product_with([], {"w": big(1)}))["w"], big(1))


def test_folded_chain():
    made = product_with(
        [
            node("Concat", "a b", "c", axis=0),
            node("Transpose", "c", "t", perm=[1, 0]),
            node("Mul", "t s", "u"),
            node("MatMul", "u v", "w"),
        ],
        {"a": big(1)[: N // 2], "b": big(2)[N // 2 :], "s": np.float32(0.5), "v": big(3)},
    )
    c = np.concatenate([big(1)[: N // 2], big(2)[N // 2 :]])
    np.testing.assert_allclose(weights_of(made)["w"], (c.T * 0.5) @ big(3), rtol=1e-6)


def test_weight_made_by_constant_of_shape():
    fill = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.25])
    made = product_with([node("ConstantOfShape", "n", "w", value=fill)], {"n": np.array([N, N])})
    assert np.array_equal(weights_of(made)["w"], np.full((N, N), 0.25, np.float32))


def test_weight_of_a_constant_node():
    made = product_with([node("Constant", "", "w", value=numpy_helper.from_array(big(4)))])
    assert np.array_equal(weights_of(made)["w"], big(4))


def test_weight_within_a_branch():
    then = graph([node("Transpose", "k", "t", perm=[1, 0])], [], ["t"], {"k": big(5)})
    other = graph([node("Identity", "k", "t")], [], ["t"], {"k": big(6)})
    made = product_with(
        [node("If", "c", "w", then_branch=then, else_branch=other)], {"c": np.array(True)}
    )
    assert any(np.array_equal(found, big(5).T) for found in weights_of(made).values())


def test_sparse_initializer_is_handed_to_the_reader():
    made = product_with([])
    values = helper.make_tensor("w", TensorProto.FLOAT, [2], [3.0, 4.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [2], [0, N * N - 1])
    sparse = helper.make_sparse_tensor(values, indices, [N, N])
    made.graph.sparse_initializer.append(sparse)
    resolved = resolve_model(made.SerializeToString())
    assert resolved.fixed.tensors["w"] == sparse


def test_large_value_of_an_input():
    made = model([node("Add", "x b", "y")], [value("x", [N, N]), value("b", [N, N])], ["y"])
    assert np.array_equal(weights_of(made, values={"b": big(7)})["b"], big(7))
    assert np.array_equal(weights_of(made, values={"b": 2.5})["b"], np.full((N, N), 2.5))


def test_weight_stored_narrow_and_widened():
    rng = np.random.default_rng(8)
    stored = rng.integers(-128, 128, (N, 4 * N), np.int8)
    scale = rng.uniform(0.1, 1, 4 * N).astype(np.float32)
    nodes = [
        node("DequantizeLinear", "q s z", "d", axis=1),
        node("Slice", "d from to", "w"),
    ]
    constants = {"q": stored, "s": scale, "z": np.zeros(4 * N, np.int8)}
    constants |= {"from": np.array([0, 0]), "to": np.array([N, N])}
    made = product_with(nodes, constants)
    made.opset_import[0].version = 21
    feeds = {"x": rng.standard_normal((2, N)).astype(np.float32)}
    resolved = resolve_model(made.SerializeToString())
    planned = lower_model(resolved)
    found = evaluate(planned, {**weights_of(made), **resolved.constants, **feeds})
    want = ReferenceEvaluator(made).run(None, feeds)[0]
    np.testing.assert_allclose(found["y"], want, rtol=2e-4, atol=2e-4)


def test_only_what_is_wanted_is_made():
    made = model(
        [
            node("MatMul", "a b", "w"),
            node("MatMul", "x w", "y"),
            node("Transpose", "c", "d", perm=[1, 0]),
            node("MatMul", "x d", "z"),
        ],
        [value("x", [2, N])],
        ["y", "z"],
        {"a": big(1), "b": big(2), "c": big(3)},
    )
    resolved = resolve_model(made.SerializeToString())
    asked = []

    def note(tensor):
        asked.append(tensor.name)
        return numpy_helper.to_array(tensor)

    assert set(derive_weights(resolved, {}, note, {"w"})) == {"w"}
    assert sorted(asked) == ["a", "b"]


def test_cast_like_reads_nothing_but_the_type():
    made = model(
        [node("CastLike", "i x", "w"), node("MatMul", "x w", "y")],
        [value("x", [2, N])],
        ["y"],
        {"i": np.arange(N * N).reshape(N, N)},
    )
    assert np.array_equal(weights_of(made)["w"], np.arange(N * N, dtype=np.float32).reshape(N, N))


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name)
        for case in cases("attention", "Attention")
        if "mask_causal" in case.name or "local_window" in case.name
    ],
)
def test_weights_within_the_standards_function_bodies(case, monkeypatch):
    """With next to no value held, masks and the like within the bodies are evaluated too."""
    for module in (constants, tensors):
        monkeypatch.setattr(module, "VALUE_LIMIT_BYTES", 100)
    run(case, None)


def test_folded_node_without_a_reference():
    made = product_with([node("Inverse", "a", "w", domain="com.microsoft")], {"a": big(1)})
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(InvalidInputError, match=r"no reference for com\.microsoft\.Inverse"):
        weights_of(made)
