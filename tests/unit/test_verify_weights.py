"""Weights for both sides: what the file has, seeded values for the rest, and what is derived."""

import math

import numpy as np
import pytest
from graph_numpy import evaluate
from onnx import TensorProto, helper, numpy_helper
from onnx_models import graph, model, node, value
from verify_models import data_of, load, without_data
from zoo_models import small

from t10c.errors import InvalidInputError
from t10c.verify.compare import compare
from t10c.verify.feeds import random_feeds
from t10c.verify.session import run_model
from t10c.verify.weights import fill_weights, graph_weights

RNG = np.random.default_rng(5)
NARROW = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8}


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def drawn(made, seed: int = 0, **bindings) -> dict[str, np.ndarray]:
    """The initializers of a model without data, drawn."""
    filled = fill_weights(load(without_data(made), **bindings), "random", seed)
    return {t.name: numpy_helper.to_array(t) for t in filled.proto.graph.initializer}


def check_both_sides(made, seed: int = 0, source: str = "random", **bindings) -> None:
    """The graph with its weights computes what ONNX Runtime does with the filled model."""
    loaded = load(made, **bindings)
    filled = fill_weights(loaded, source, seed)
    weights, feeds = graph_weights(loaded, filled), random_feeds(loaded, seed)
    assert {t.name for t in loaded.graph.tensors if t.kind == "weight"} == weights.keys()
    found = evaluate(loaded.graph, {**weights, **feeds})
    for name, want in run_model(filled.proto, feeds, loaded.graph.outputs).items():
        compared = compare(name, found[name], want)
        assert compared.passed, compared
        assert compared.relative_error < 1e-5
        assert np.ptp(want.astype(np.float64)) > 0, "a constant output shows nothing"


def perceptron(n: int = 200, m: int = 300):
    """The first weight is above what planning holds, the second below."""
    nodes = [
        node("MatMul", "x w", "h"),
        node("Add", "h b", "a"),
        node("Relu", "a", "r"),
        node("MatMul", "r v", "y"),
    ]
    constants = {"w": numbers(n, m), "b": numbers(m), "v": numbers(m, 4)}
    return model(nodes, [value("x", [2, n])], ["y"], constants)


# Values of the file


@pytest.mark.parametrize("source", ["model", "random"])
def test_what_the_file_has_is_kept(source):
    made = perceptron()
    filled = fill_weights(load(made), source)
    assert filled.drawn == ()
    assert filled.proto.graph == made.graph


@pytest.mark.parametrize("source", ["model", "random"])
def test_external_data_beside_the_model_are_read(tmp_path, source):
    made = perceptron()
    (tmp_path / "weights.bin").write_bytes(data_of(made))
    loaded = load(without_data(made), tmp_path)
    filled = fill_weights(loaded, source)
    assert filled.drawn == ()
    assert filled.proto.graph.initializer == made.graph.initializer
    found = graph_weights(loaded, filled)
    for tensor in made.graph.initializer:
        assert np.array_equal(found[tensor.name], numpy_helper.to_array(tensor))


def test_absent_values_are_an_error_that_names_one():
    loaded = load(without_data(perceptron(), "b", "v"))
    with pytest.raises(InvalidInputError) as caught:
        fill_weights(loaded, "model")
    text = str(caught.value)
    assert text.startswith("test.onnx: the values of 'b'")
    assert "'weights.bin'" in text
    assert "--weights random" in text


def test_data_cut_short_are_absent(tmp_path):
    made = perceptron()
    (tmp_path / "weights.bin").write_bytes(data_of(made)[:-1])
    loaded = load(without_data(made), tmp_path)
    with pytest.raises(InvalidInputError, match="the values of 'v'"):
        fill_weights(loaded, "model")
    assert fill_weights(loaded, "random").drawn == ("v",)


def test_data_outside_the_models_directory_are_not_read(tmp_path):
    made = perceptron()
    (tmp_path / "weights.bin").write_bytes(data_of(made))
    inner = tmp_path / "inner"
    inner.mkdir()
    proto = without_data(made)
    for tensor in proto.graph.initializer:
        tensor.external_data[0].value = "../weights.bin"
    assert len(fill_weights(load(proto, inner), "random").drawn) == 3


def test_present_and_absent_tensors_mix():
    made = perceptron()
    filled = fill_weights(load(without_data(made, "w")), "random")
    kept = {t.name: t for t in filled.proto.graph.initializer}
    assert filled.drawn == ("w",)
    assert kept["b"] == made.graph.initializer[1]
    check_both_sides(without_data(made, "w"))


# Seeds


def test_values_depend_on_seed_and_name_only():
    first, again, other = (drawn(perceptron(), seed) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)
    swapped = perceptron()
    tensors = list(swapped.graph.initializer)[::-1]
    del swapped.graph.initializer[:]
    swapped.graph.initializer.extend(tensors)
    backward = drawn(swapped, 3)
    assert all(np.array_equal(first[name], backward[name]) for name in first)


def test_tensors_of_one_role_and_shape_differ():
    nodes = [node("MatMul", "x w", "h"), node("MatMul", "h v", "y")]
    constants = {"w": numbers(20, 20), "v": numbers(20, 20)}
    found = drawn(model(nodes, [value("x", [2, 20])], ["y"], constants))
    assert not np.array_equal(found["w"], found["v"])


# Roles


def test_products_keep_the_size_of_their_inputs():
    nodes = [
        node("MatMul", "x w", "h"),
        node("Gemm", "h v c", "g", transB=1),
        node("Reshape", "g to", "i"),
        node("Conv", "i k", "y"),
    ]
    constants = {"w": numbers(400, 300), "v": numbers(576, 300), "c": numbers(576)}
    constants["k"] = numbers(8, 16, 3, 3)
    made = model(nodes, [value("x", [2, 400])], ["y"], constants | {"to": np.array([2, 16, 6, 6])})
    absent = without_data(made, "w", "v", "c", "k")
    filled = fill_weights(load(absent), "random")
    found = {t.name: numpy_helper.to_array(t) for t in filled.proto.graph.initializer}
    assert found["w"].std() == pytest.approx(400**-0.5, rel=0.02)
    assert found["v"].std() == pytest.approx(300**-0.5, rel=0.02)
    assert found["k"].std() == pytest.approx((16 * 9) ** -0.5, rel=0.1)
    assert np.abs(found["c"]).max() < 0.6


def test_a_matrix_behind_moves_is_one_all_the_same():
    nodes = [
        node("Transpose", "w", "t", perm=[1, 0]),
        node("Unsqueeze", "t axis", "u"),
        node("MatMul", "x u", "y"),
    ]
    made = model(nodes, [value("x", [3, 2, 200])], ["y"], {"w": numbers(300, 200), "axis": [0]})
    filled = fill_weights(load(without_data(made, "w")), "random")
    found = numpy_helper.to_array(filled.proto.graph.initializer[0])
    assert found.std() == pytest.approx(200**-0.5, rel=0.02)


def test_normalisations():
    nodes = [
        node("BatchNormalization", "x s b m v", "n"),
        node("LayerNormalization", "n g o", "y", axis=1),
    ]
    constants = {name: numbers(64) for name in ("s", "b", "m", "v", "g", "o")}
    found = drawn(model(nodes, [value("x", [2, 64])], ["y"], constants))
    for name in ("s", "v", "g"):
        assert 0.5 <= found[name].min() < found[name].max() <= 1.5
    for name in ("b", "m", "o"):
        assert found[name].min() < 0 < found[name].max()
        assert np.abs(found[name]).max() < 0.6


def test_indices_lie_in_the_axis_they_select_from():
    constants = {"t": numbers(5, 40, 7), "i": RNG.integers(0, 40, 300)}
    made = model(
        [node("Gather", "t i", "g", axis=1), node("Mul", "g x", "y")],
        [value("x", [7])],
        ["y"],
        constants,
    )
    found = drawn(made)["i"]
    assert (found.min(), found.max()) == (0, 39)
    check_both_sides(without_data(made))


def test_shifted_and_cast_indices():
    nodes = [
        node("Cast", "i", "c", to=TensorProto.INT64),
        node("Add", "c two", "p"),
        node("Gather", "t p", "g"),
        node("Mul", "g x", "y"),
    ]
    constants = {"t": numbers(9, 4), "i": np.zeros(500, np.int32), "two": np.int64(2)}
    made = model(nodes, [value("x", [4])], ["y"], constants)
    filled = fill_weights(load(without_data(made, "i")), "random")
    found = next(t for t in filled.proto.graph.initializer if t.name == "i")
    values = numpy_helper.to_array(found)
    assert (values.min(), values.max()) == (0, 6)


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_quantised_weights_with_their_scales(kind):
    """Weights that dequantise to a matrix, over the type's range."""
    constants = {
        "w": np.zeros((256, 300), kind),
        "s": np.ones(300, np.float32),
        "z": np.zeros(300, kind),
    }
    nodes = [node("DequantizeLinear", "w s z", "d", axis=1), node("MatMul", "x d", "y")]
    made = model(nodes, [value("x", [2, 256])], ["y"], constants, opset=21)
    found = drawn(made)
    info = np.iinfo(found["w"].dtype)
    assert (found["w"].min(), found["w"].max()) == (info.min, info.max)
    assert found["s"].min() > 0
    middle = (info.min + info.max + 1) // 2
    assert np.abs(found["z"].astype(int) - middle).max() <= 8
    wide = (found["w"].astype(float) - found["z"]) * found["s"]
    assert wide.std() == pytest.approx(1 / 16, rel=0.2)
    check_both_sides(without_data(made))


def test_quantised_weights_fit_a_scale_that_is_known():
    constants = {"w": np.zeros((400, 300), np.int8), "s": np.float32(0.01), "z": np.int8(5)}
    nodes = [node("DequantizeLinear", "w s z", "d"), node("MatMul", "x d", "y")]
    made = model(nodes, [value("x", [2, 400])], ["y"], constants, opset=21)
    filled = fill_weights(load(without_data(made, "w")), "random")
    found = numpy_helper.to_array(filled.proto.graph.initializer[0])
    assert found.mean() == pytest.approx(5, abs=0.5)
    assert found.min() >= -4
    assert found.max() <= 14


def test_weights_quantised_for_dynamic_products():
    """x is quantised by its own range; the products are scaled by both scales at the end."""
    nodes = [
        node("DynamicQuantizeLinear", "x", "q s z"),
        node("MatMulInteger", "q w z wz", "p"),
        node("Cast", "p", "f", to=TensorProto.FLOAT),
        node("Mul", "s ws", "both"),
        node("Mul", "f both", "y"),
    ]
    constants = {"w": np.zeros((400, 300), np.int8), "wz": np.int8(3), "ws": np.float32(0.01)}
    made = model(nodes, [value("x", [2, 400])], ["y"], constants)
    filled = fill_weights(load(without_data(made, "w")), "random")
    found = numpy_helper.to_array(filled.proto.graph.initializer[0])
    assert (found.min(), found.max()) == (-6, 12)
    check_both_sides(without_data(made, "w"))


def test_quantised_products():
    nodes = [node("QLinearMatMul", "x xs xz w ws wz ys yz", "y")]
    constants = {
        "w": np.zeros((300, 250), np.int8),
        "wz": np.zeros(250, np.int8),
        "xz": np.uint8(0),
        "yz": np.uint8(0),
        "ws": np.ones(250, np.float32),
        "xs": np.float32(1),
        "ys": np.float32(1),
    }
    made = model(nodes, [value("x", [8, 300], TensorProto.UINT8)], ["y"], constants)
    loaded = load(without_data(made))
    filled = fill_weights(loaded, "random")
    result = run_model(filled.proto, random_feeds(loaded, 0), ["y"])["y"]
    assert 20 < result.astype(float).std() < 110, "neither constant nor saturated"


@pytest.mark.parametrize("op_type", ["RNN", "GRU", "LSTM"])
def test_recurrent_weights(op_type):
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op_type]
    hidden, size = 64, 30
    constants = {
        "w": numbers(1, gates * hidden, size),
        "r": numbers(1, gates * hidden, hidden),
        "b": numbers(1, 2 * gates * hidden),
        "n": np.zeros(2, np.int32),
    }
    made = model(
        [node(op_type, "x w r b n", "y", hidden_size=hidden)],
        [value("x", [7, 2, size])],
        ["y"],
        constants,
    )
    found = drawn(made)
    assert found["w"].std() == pytest.approx(size**-0.5, rel=0.1)
    assert found["r"].std() == pytest.approx(hidden**-0.5, rel=0.1)
    assert found["n"].tolist() == [7, 7]


def test_masks_are_mostly_ones():
    nodes = [node("Where", "m x low", "s"), node("Softmax", "s", "y")]
    constants = {"m": np.zeros((4, 40), bool), "low": np.float32(-np.inf)}
    made = model(nodes, [value("x", [4, 40])], ["y"], constants)
    filled = fill_weights(load(without_data(made, "m")), "random")
    mask = numpy_helper.to_array(filled.proto.graph.initializer[0])
    assert mask[:, :30].all()
    assert not mask.all()


def test_tables_of_short_floats_and_4_bits():
    constants = {
        "h": numbers(40, 50, dtype="float16"),
        "q": numpy_helper.to_array(helper.make_tensor("q", TensorProto.INT4, [50, 40], [0] * 2000)),
        "s": np.float16(1),
    }
    nodes = [
        node("DequantizeLinear", "q s", "d"),
        node("MatMul", "h d", "m"),
        node("Mul", "m x", "y"),
    ]
    made = model(nodes, [value("x", [40], TensorProto.FLOAT16)], ["y"], constants, opset=21)
    found = drawn(made)
    assert found["h"].dtype == np.float16
    values = found["q"].astype(int)
    assert (values.min(), values.max()) == (-8, 7)


# Everywhere in a model


def test_weights_of_branches_functions_and_constant_nodes():
    n = 160
    then = graph([node("MatMul", "x k", "t")], [], ["t"], {"k": numbers(n, n)})
    other = graph([node("MatMul", "x k", "t")], [], ["t"], {"k": numbers(n, n)})
    inner = helper.make_node(
        "Constant", [], ["c"], value=numpy_helper.from_array(numbers(n, n), "f")
    )
    function = helper.make_function(
        "own",
        "turn",
        ["a"],
        ["b"],
        [inner, node("MatMul", "a c", "b")],
        [helper.make_opsetid("", 17)],
    )
    constant = numpy_helper.from_array(numbers(n, n), "g")
    nodes = [
        node("If", "c", "h", then_branch=then, else_branch=other),
        node("turn", "h", "i", domain="own"),
        node("turn", "i", "j", domain="own"),
        helper.make_node("Constant", [], ["v"], value=constant),
        node("MatMul", "j v", "y"),
    ]
    made = model(nodes, [value("x", [2, n])], ["y"], {"c": np.array(False)})
    made.functions.append(function)
    made.opset_import.append(helper.make_opsetid("own", 1))
    absent = without_data(made, "k", "f", "g")
    assert sorted(fill_weights(load(absent), "random").drawn) == ["f", "g", "k", "k"]
    check_both_sides(absent)


def test_folded_weights():
    n = 160
    fill = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.01])
    nodes = [
        node("Concat", "a b", "c", axis=0),
        node("Transpose", "c", "t", perm=[1, 0]),
        node("ConstantOfShape", "n", "o", value=fill),
        node("Add", "t o", "w"),
        node("MatMul", "x w", "y"),
    ]
    constants = {"a": numbers(100, n), "b": numbers(60, n), "n": np.array([n, n])}
    made = model(nodes, [value("x", [3, n])], ["y"], constants)
    check_both_sides(without_data(made, "a", "b"))


def test_derived_weights():
    nodes = [
        node("ConvTranspose", "x k", "c"),
        node("BatchNormalization", "c s b m v", "y"),
    ]
    constants = {"k": numbers(3, 4, 3, 3)} | {name: numbers(4) for name in "sbmv"}
    check_both_sides(without_data(model(nodes, [value("x", [1, 3, 5, 5])], ["y"], constants)))


def test_sparse_weights():
    indices = helper.make_tensor("i", TensorProto.INT64, [3, 2], [0, 1, 2, 3, 29, 39])
    values = helper.make_tensor("w", TensorProto.FLOAT, [3], [3.0, 4.0, -5.0])
    made = model([node("MatMul", "x w", "y")], [value("x", [2, 30])], ["y"])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [30, 40]))
    check_both_sides(made, source="model")
    del indices.dims[:]
    indices.dims.append(3)
    indices.int64_data[:] = [1, 83, 1199]
    made.graph.sparse_initializer[0].indices.CopyFrom(indices)
    check_both_sides(made, source="model")


# Inputs that the plan fixes


def test_inputs_with_a_value_or_no_elements_are_given_to_the_runtime():
    nodes = [
        node("Concat", "past x", "all", axis=0),
        node("Mul", "all scale", "m"),
        node("Add", "m large", "y"),
    ]
    inputs = [
        value("past", ["p", 200]),
        value("x", [2, 200]),
        value("scale", [200]),
        value("large", ["k", 200]),
    ]
    made = model(nodes, inputs, ["y"])
    large = numbers(100, 200)
    made.graph.node[2].input[1] = "part"
    made.graph.node.insert(2, node("Slice", "large from to", "part"))
    for name, at in (("from", 0), ("to", 2)):
        made.graph.initializer.append(numpy_helper.from_array(np.array([at]), name))
    bindings = {"shapes": {"past": (0, 200)}, "values": {"scale": 1.5, "large": large}}
    loaded = load(made, **bindings)
    assert loaded.graph.inputs == ("x",)
    check_both_sides(made, **bindings)


@pytest.mark.parametrize(
    "name",
    ["llama-2-7b", "gemma-2-27b", "mixtral-8x7b", "mamba-2.8b", "opt-1.3b", "lstm-ptb-large"],
)
def test_zoo_models(name):
    """Embeddings, rotary positions, caches, experts, states: all without weights."""
    check_both_sides(small(name, weights="absent"))


def test_no_needless_precision():
    """Deviation of what is drawn follows the fan-in of each tensor, not of the first."""
    found = drawn(perceptron(200, 300))
    assert found["w"].std() == pytest.approx(math.sqrt(2 / 200), rel=0.05), "of what is rectified"
    assert found["v"].std() == pytest.approx(1 / math.sqrt(300), rel=0.05)


# Sizes of sums, by what becomes of them


def convolution(*nodes, constants=None) -> float:
    """How much larger than 1/sqrt(fan-in) a kernel is drawn, of which some nodes read the sums."""
    made = model(
        [node("Conv", "x k", "c"), *nodes],
        [value("x", [1, 64, 6, 6]), value("z", [1, 32, 6, 6])],
        ["y"],
        {"k": numbers(32, 64, 1, 1), **(constants or {})},
    )
    filled = fill_weights(load(without_data(made, "k")), "random")
    kernel = next(t for t in filled.proto.graph.initializer if t.name == "k")
    return float(numpy_helper.to_array(kernel).std() * math.sqrt(64))


def test_sums_that_are_rectified_are_larger():
    assert convolution(node("Relu", "c", "y")) == pytest.approx(math.sqrt(2), rel=0.05)
    bias = {"b": numbers(32, 1, 1)}
    shifted = convolution(node("Add", "c b", "s"), node("Relu", "s", "y"), constants=bias)
    assert shifted == pytest.approx(math.sqrt(2), rel=0.05)
    swish = convolution(node("Sigmoid", "c", "s"), node("Mul", "c s", "y"))
    assert swish == pytest.approx(math.sqrt(2), rel=0.05)
    assert convolution(node("Sigmoid", "c", "y")) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(("low", "size"), [(0.0, math.sqrt(2)), (-6.0, 1.0)])
def test_clipping_at_zero_rectifies(low, size):
    bounds = {"low": np.float32(low), "high": np.float32(6)}
    found = convolution(node("Clip", "c low high", "y"), constants=bounds)
    assert found == pytest.approx(size, rel=0.05)


def test_branches_of_residual_blocks_are_small():
    nodes = [node("Add", "c z", "s"), node("Relu", "s", "y")]
    assert convolution(*nodes) == pytest.approx(0.5, rel=0.05)


def test_sums_fit_scales_that_are_known():
    """Channels divided by 60 and multiplied by 3 arrive at a size of 1 all the same."""
    constants = {
        "s": np.full(32, 3, np.float32),
        "b": np.zeros(32, np.float32),
        "m": np.zeros(32, np.float32),
        "v": np.full(32, 3600, np.float32),
        "f": np.full((32, 1, 1), 2, np.float32),
    }
    normalised = node("BatchNormalization", "c s b m v", "n")
    found = convolution(normalised, node("Sigmoid", "n", "y"), constants=constants)
    assert found == pytest.approx(20, rel=0.05)
    found = convolution(normalised, node("Mul", "n f", "y"), constants=constants)
    assert found == pytest.approx(10, rel=0.05)
    constants["v"][:], constants["s"][:] = 0, 0
    found = convolution(normalised, node("Sigmoid", "n", "y"), constants=constants)
    assert found == pytest.approx(1, rel=0.05), "nothing makes up for a scale of 0"


def test_normalisations_in_a_row_keep_the_size():
    """Squares of scales divided by variances are 1 on average, over hundreds of layers."""
    nodes = [node("BatchNormalization", "x s b m v", "y")]
    constants = {name: numbers(4000) for name in "sbmv"}
    found = drawn(model(nodes, [value("x", [2, 4000])], ["y"], constants))
    assert np.mean(found["s"] ** 2 / found["v"]) == pytest.approx(1, rel=0.03)
