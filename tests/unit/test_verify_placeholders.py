"""Weights that a file makes from one number: absent with `--weights random`, else as they are."""

import numpy as np
import pytest
from graph_numpy import evaluate
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model, node, value
from verify_models import load, without_data

from t10c.verify import placeholders
from t10c.verify.compare import compare
from t10c.verify.feeds import random_feeds
from t10c.verify.session import run_model
from t10c.verify.weights import fill_weights, graph_weights

RNG = np.random.default_rng(6)
N = 160
"""A square of this size is above what planning holds."""


def filled_with(number: float, shape: str, output: str, kind: int = TensorProto.FLOAT):
    tensor = helper.make_tensor("value", kind, [1], [number])
    return node("ConstantOfShape", shape, output, value=tensor)


def perceptron(number: float = 0.02, further=(), constants=None):
    """A large and a small matrix, a bias and a factor, all of the same number."""
    nodes = [
        filled_with(number, "w_shape", "w"),
        filled_with(number, "b_shape", "b"),
        filled_with(number, "g_shape", "g0"),
        filled_with(number, "v_shape", "v"),
        node("Unsqueeze", "g0 axis", "g"),
        node("MatMul", "x w", "h"),
        node("Add", "h b", "a"),
        node("Mul", "a g", "m"),
        node("Relu", "m", "r"),
        node("MatMul", "r v", "p"),
        *(further or [node("Softmax", "p", "y")]),
    ]
    shapes = {"w": [N, N], "b": [N], "g": [N], "v": [N, 7]}
    given = {f"{name}_shape": np.array(shape) for name, shape in shapes.items()}
    given |= {"axis": np.array([0]), **(constants or {})}
    return model(nodes, [value("x", [3, N])], ["y"], given)


def drawn(made, **bindings) -> list[str]:
    return sorted(fill_weights(load(made, **bindings), "random").drawn)


def outputs(made, source: str, **bindings) -> np.ndarray:
    """What ONNX Runtime makes of the model, checked to be what the graph computes."""
    loaded = load(made, **bindings)
    filled = fill_weights(loaded, source)
    weights, feeds = graph_weights(loaded, filled), random_feeds(loaded, 0)
    found = evaluate(loaded.graph, {**weights, **feeds})
    expected = run_model(filled.proto, feeds, loaded.graph.outputs)
    for name, want in expected.items():
        assert compare(name, found[name], want).passed
    return expected["y"]


def test_they_are_drawn_for_both_sides():
    """All columns of a product with equal elements are alike; with drawn ones they are not."""
    assert drawn(perceptron()) == ["b", "g0", "v", "w"]
    assert np.ptp(outputs(perceptron(), "random"), axis=1).min() > 0.05
    assert np.ptp(outputs(perceptron(), "model"), axis=1).max() < 1e-6


def test_they_are_drawn_by_what_they_are_for():
    loaded = load(perceptron())
    weights = graph_weights(loaded, fill_weights(loaded, "random"))
    assert weights["w"].std() == pytest.approx(np.sqrt(2 / N), rel=0.05)
    assert weights["w"].shape == (N, N)
    other = graph_weights(loaded, fill_weights(loaded, "random", 1))
    assert not np.array_equal(weights["w"], other["w"])


def test_the_model_itself_is_as_it_was():
    made = perceptron()
    loaded = load(made)
    before = loaded.proto.SerializeToString(deterministic=True)
    filled = fill_weights(loaded, "random")
    assert loaded.proto.SerializeToString(deterministic=True) == before
    assert [n.op_type for n in filled.proto.graph.node].count("ConstantOfShape") == 0
    kept = fill_weights(loaded, "model")
    assert kept.drawn == ()
    assert kept.proto.graph == made.graph


@pytest.mark.parametrize("version", [3, 8])
def test_old_files_have_their_initializers_among_the_inputs(version):
    made = perceptron()
    made.ir_version = version
    for name in ("w_shape", "b_shape", "g_shape", "v_shape", "axis"):
        size = next(t for t in made.graph.initializer if t.name == name).dims
        made.graph.input.append(value(name, list(size), TensorProto.INT64))
    assert drawn(made) == ["b", "g0", "v", "w"]
    assert np.ptp(outputs(made, "random"), axis=1).min() > 0.05


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_of_every_float_type(kind):
    nodes = [filled_with(0.02, "n", "w", kind), node("MatMul", "x w", "y")]
    made = model(nodes, [value("x", [3, 2 * N], kind)], ["y"], {"n": np.array([2 * N, 2 * N])})
    assert drawn(made) == ["w"]
    assert np.ptp(outputs(made, "random")) > 0.5


def test_shapes_may_be_constants_and_the_number_zero():
    shape = numpy_helper.from_array(np.array([N, N]), "shape")
    nodes = [
        helper.make_node("Constant", [], ["n"], value=shape),
        node("ConstantOfShape", "n", "w"),
        node("MatMul", "x w", "y"),
    ]
    assert drawn(model(nodes, [value("x", [3, N])], ["y"])) == ["w"]


def test_tables():
    nodes = [filled_with(0.02, "n", "t"), node("Gather", "t i", "y")]
    made = model(nodes, [value("i", [5], TensorProto.INT64)], ["y"], {"n": np.array([900, 50])})
    assert drawn(made) == ["t"]
    assert np.ptp(outputs(made, "random"), axis=0).min() > 0


def test_beside_weights_that_are_absent():
    """The tensors of the file are numbered anew: none gets the numbers of another."""
    matrix = numpy_helper.from_array(RNG.standard_normal((7, 9)).astype(np.float32), "u")
    further = [
        helper.make_node("Constant", [], ["u"], value=matrix),
        node("MatMul", "p u", "q"),
        node("Add", "q c", "y"),
    ]
    made = perceptron(further=further, constants={"c": np.ones(9, np.float32)})
    absent = without_data(made, "u", "c")
    assert drawn(absent) == ["b", "c", "g0", "u", "v", "w"]
    outputs(absent, "random")


# What stays


def test_other_numbers_stay():
    """Ones that scale, and zeros that shift, are what a file says of its own."""
    further = [
        filled_with(1.0, "s_shape", "scale"),
        node("LayerNormalization", "p scale", "y"),
    ]
    made = perceptron(further=further, constants={"s_shape": np.array([7])})
    assert drawn(made) == ["b", "g0", "v", "w"]
    assert np.abs(outputs(made, "random").std(axis=1) - 1).max() < 0.01


def test_single_numbers_stay():
    further = [filled_with(0.02, "one", "epsilon"), node("Add", "p epsilon", "y")]
    made = perceptron(further=further, constants={"one": np.array([1])})
    assert drawn(made) == ["b", "g0", "v", "w"]


def test_small_ones_stay_without_a_large_matrix():
    nodes = [
        filled_with(1.0, "n", "w"),
        filled_with(1.0, "m", "large"),
        node("MatMul", "x w", "h"),
        node("Mul", "h large", "y"),
    ]
    constants = {"n": np.array([9, 8]), "m": np.array([9_000, 8])}
    assert drawn(model(nodes, [value("x", [9_000, 9])], ["y"], constants)) == []


def test_initializers_of_equal_elements_stay():
    constants = {"w": np.full((N, N), 0.02, np.float32)}
    made = model([node("MatMul", "x w", "y")], [value("x", [3, N])], ["y"], constants)
    assert drawn(made) == []


def test_what_is_written_into_and_what_hides_stay():
    """A canvas, and a mask that is added: neither is a weight, though the number is that of one."""
    nodes = [
        filled_with(0.0, "n", "w"),
        node("MatMul", "x w", "h"),
        filled_with(0.0, "n", "canvas"),
        node("ScatterND", "canvas at h", "c"),
        filled_with(float("-inf"), "n", "hidden"),
        node("Trilu", "hidden k", "mask", upper=1),
        node("Add", "c mask", "s"),
        node("Softmax", "s", "y"),
    ]
    at = np.arange(0, N, 2).reshape(-1, 1)
    constants = {"n": np.array([N, N]), "at": at, "k": np.array(1)}
    made = model(nodes, [value("x", [N // 2, N])], ["y"], constants)
    assert drawn(made) == ["w"]
    assert np.triu(outputs(made, "random"), 1).max() == 0


def test_states_of_a_shape_that_follows_from_the_inputs_stay():
    nodes = [
        filled_with(0.0, "n", "w"),
        node("MatMul", "x w", "h"),
        node("Shape", "x", "size"),
        filled_with(0.0, "size", "state"),
        node("Add", "h state", "y"),
    ]
    made = model(nodes, [value("x", [3, N])], ["y"], {"n": np.array([N, N])})
    assert drawn(made) == ["w"]


def test_what_the_model_cannot_be_imported_without_stays():
    """Scales of a Resize decide on shapes."""
    further = [
        filled_with(2.0, "e_shape", "scales"),
        node("Reshape", "p to", "image"),
        node("Resize", "image _ scales", "y"),
    ]
    made = perceptron(2.0, further, {"e_shape": np.array([4]), "to": np.array([1, 3, 1, 7])})
    found = drawn(made)
    assert "scales" not in found
    assert {"b", "v", "w"} <= {*found}
    outputs(made, "random")


@pytest.mark.parametrize(("differing", "expected"), [(1, ["w"]), (2, [])])
def test_where_the_plan_depends_on_small_values_only_large_ones_are_drawn(
    differing, expected, monkeypatch
):
    """The planned graph must come of the model still: it is what is executed."""
    answers = iter([*["another operator"] * differing, ""])
    monkeypatch.setattr(placeholders, "difference", lambda *_: next(answers))
    assert drawn(perceptron()) == expected
