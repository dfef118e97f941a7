"""The backend: inputs by position and name, open sizes, values that decide, and what it refuses."""

import warnings

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from t10c.backend import DoesNotFitError, T10cBackend
from t10c.errors import InvalidInputError, UnsupportedOperatorError, UsageError

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[object]]],
    outputs: dict[str, list[object] | None],
    weights: dict[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(n, kind, s) for n, (kind, s) in inputs.items()]
    results = [helper.make_tensor_value_info(n, FLOAT, s) for n, s in outputs.items()]
    tensors = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", infos, results, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def layer() -> tuple[onnx.ModelProto, np.ndarray]:
    weight = np.arange(12, dtype=np.float32).reshape(4, 3)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    made = model(nodes, {"x": (FLOAT, ["n", 4])}, {"h": None, "y": None}, {"w": weight})
    return made, weight


def part() -> onnx.ModelProto:
    """x[begin:end] with values that decide the shape."""
    node = helper.make_node("Slice", ["x", "begin", "end"], ["y"])
    inputs = {"x": (FLOAT, [6, 2]), "begin": (INT, [1]), "end": (INT, [1])}
    return model([node], inputs, {"y": None})


def rows(count: int, columns: int) -> np.ndarray:
    return np.arange(count * columns, dtype=np.float32).reshape(count, columns) - 7


def test_outputs_in_order_and_by_name_for_every_batch() -> None:
    made, weight = layer()
    rep = T10cBackend.prepare(made)
    assert rep.prepared is None, "n is open"
    for count in (3, 5, 3):
        x = rows(count, 4)
        for inputs in ([x], (x,), {"x": x}, x):
            found = rep.run(inputs)
            assert len(found) == 2
            np.testing.assert_array_equal(found[0], x @ weight)
            np.testing.assert_array_equal(found["y"], np.maximum(x @ weight, 0))
    assert rep.prepared is not None
    assert rep.prepared.fixed == ()


def test_a_model_without_open_sizes_is_prepared_at_once() -> None:
    made = model([helper.make_node("Neg", ["x"], ["y"])], {"x": (FLOAT, [2, 3])}, {"y": [2, 3]})
    rep = T10cBackend.prepare(made)
    assert rep.prepared is not None
    ready = rep.prepared
    np.testing.assert_array_equal(rep.run([rows(2, 3)])[0], -rows(2, 3))
    assert rep.prepared is ready


def test_values_that_decide_are_constants_until_they_change() -> None:
    rep = T10cBackend.prepare(part())
    x, seen = rows(6, 2), []
    for begin, end in ((0, 2), (1, 5), (0, 2)):
        (found,) = rep.run([x, np.array([begin]), np.array([end])])
        np.testing.assert_array_equal(found, x[begin:end])
        assert rep.prepared is not None
        assert rep.prepared.fixed == ("begin", "end")
        seen.append(rep.prepared)
    assert seen[0] is seen[2]
    assert seen[0] is not seen[1]


def test_a_declared_shape_does_not_hide_the_value_that_decides_it() -> None:
    """The file says 3x4; a run with another shape must not be given that one."""
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    made = model([node], {"x": (FLOAT, [6, 2]), "shape": (INT, [2])}, {"y": [3, 4]})
    rep = T10cBackend.prepare(made)
    assert rep.run([rows(6, 2), np.array([3, 4])])[0].shape == (3, 4)
    assert rep.run([rows(6, 2), np.array([2, 6])])[0].shape == (2, 6)


def test_the_branch_that_the_condition_takes() -> None:
    def branch(name: str, operator: str) -> onnx.GraphProto:
        info = helper.make_tensor_value_info(name, FLOAT, [2, 2])
        return helper.make_graph([helper.make_node(operator, ["x"], [name])], name, [], [info])

    node = helper.make_node(
        "If", ["c"], ["y"], then_branch=branch("a", "Neg"), else_branch=branch("b", "Abs")
    )
    inputs = {"c": (TensorProto.BOOL, []), "x": (FLOAT, [2, 2])}
    rep = T10cBackend.prepare(model([node], inputs, {"y": [2, 2]}))
    x = rows(2, 2)
    np.testing.assert_array_equal(rep.run([np.array(True), x])[0], -x)
    np.testing.assert_array_equal(rep.run([np.array(False), x])[0], abs(x))


def test_run_node() -> None:
    x = rows(2, 3)
    (found,) = T10cBackend.run_node(helper.make_node("Transpose", ["x"], ["y"]), [x])
    np.testing.assert_array_equal(found, x.T)
    clip = helper.make_node("Clip", ["x", "", "most"], ["y"])
    (found,) = T10cBackend.run_node(clip, [x, np.float32(-4)], opset_version=13)
    np.testing.assert_array_equal(found, np.minimum(x, -4))
    with pytest.raises(UsageError, match=r"3 inputs are given, node '' \(Clip\) has 2"):
        T10cBackend.run_node(clip, [x, np.float32(0), x])


def test_run_model_and_devices() -> None:
    made, weight = layer()
    np.testing.assert_array_equal(T10cBackend.run_model(made, [rows(1, 4)])[0], rows(1, 4) @ weight)
    assert T10cBackend.supports_device("CPU:0")
    assert not T10cBackend.supports_device("CUDA")
    with pytest.raises(UsageError, match="no device 'CUDA'"):
        T10cBackend.prepare(made, "CUDA")


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([], "0 inputs are given, the model has 1: x"),
        ({"z": rows(1, 4)}, "inputs are given for z, the model has x"),
        ([rows(1, 4).astype(np.float64)], "input 'x' is of float64, the model takes float32"),
        ([[[1, 2, 3, 4]]], "input 'x' is of int64, the model takes float32"),
        ([[[1.0, 2.0], [3.0]]], "input 'x' is no array"),
        (None, "inputs are NoneType\ngive a list of arrays"),
        (4, "inputs are int\n"),
    ],
)
def test_inputs_that_are_not_the_models(inputs: object, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        T10cBackend.prepare(layer()[0]).run(inputs)


def test_inputs_of_another_shape() -> None:
    with pytest.raises(InvalidInputError, match="dimension 1 is 4 in the model, not 3"):
        T10cBackend.prepare(layer()[0]).run([rows(1, 3)])


def test_what_is_not_compatible() -> None:
    assert T10cBackend.is_compatible(layer()[0])
    assert T10cBackend.is_compatible(part())
    unknown = helper.make_node("Unheard", ["x"], ["y"], domain="some.where")
    strange = model([unknown], {"x": (FLOAT, [64, 64])}, {"y": [64, 64]})
    strange.opset_import.append(helper.make_opsetid("some.where", 1))
    assert not T10cBackend.is_compatible(strange)
    with pytest.raises(UnsupportedOperatorError):
        T10cBackend.prepare(strange)
    large = model([helper.make_node("Relu", ["x"], ["y"])], {"x": (FLOAT, [10**8])}, {"y": [10**8]})
    assert not T10cBackend.is_compatible(large)
    with pytest.raises(DoesNotFitError, match="does not fit 16 cores of ipu-mk2"):
        T10cBackend.prepare(large)


@pytest.mark.parametrize("mode", ["up", "down", "nearest"])
def test_powers_of_two_round_as_the_cast_says(mode: str) -> None:
    x = np.array([0, 0.124, 0.3, 1.1, 1.5, 1.9, 3, 1e-40, 3e38, np.inf, np.nan], np.float32)
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT8E8M0, round_mode=mode)
    (found,) = T10cBackend.run_node(node, [x])
    expected = numpy_helper.to_float8e8m0(x, True, mode)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.view(np.uint8), expected.view(np.uint8))


def test_a_fallback_that_its_reference_cannot_run() -> None:
    """Bytes that are no image, whether or not there is a package to read images."""
    node = helper.make_node("ImageDecoder", ["x"], ["y"])
    outputs = [(np.dtype(np.uint8), (2, 2, 3))]
    with pytest.raises(UnsupportedOperatorError, match="operator 'ImageDecoder' cannot be execut"):
        T10cBackend.run_node(node, [np.zeros(40, np.uint8)], outputs_info=outputs)


def test_floats_that_do_not_fit_become_infinite_without_a_warning() -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16)
    made = model([node], {"x": (FLOAT, [3])}, {"y": [3]})
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = T10cBackend.prepare(made).run([np.array([1, 1e6, -1e6], np.float32)])
    assert found[0].tolist() == [1, np.inf, -np.inf]
