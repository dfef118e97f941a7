"""ONNX Runtime as the reference: values by name, large models, and what it refuses."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from onnx_models import graph, model, node, value

from t10c.errors import InvalidInputError, UsageError
from t10c.verify.session import Session, run_model

W = np.arange(1 << 14, dtype=np.float32).reshape(128, 128) / 1e4
X = np.ones((2, 128), np.float32)


def two_layers(op_type: str = "Relu"):
    nodes = [node("MatMul", "x w", "h"), node(op_type, "h", "r"), node("Add", "r r", "y")]
    return model(nodes, [value("x", ["n", 128])], [value("y", None)], {"w": W})


def test_outputs_and_values_between_operators_by_name():
    found = run_model(two_layers(), {"x": X}, ["r", "y", "h"])
    assert list(found) == ["r", "y", "h"]
    np.testing.assert_allclose(found["h"], X @ W, rtol=1e-5)
    assert np.array_equal(found["y"], 2 * found["r"])


def test_the_model_is_left_as_it_is():
    made = two_layers()
    before = made.SerializeToString()
    run_model(made, {"x": X}, ["h"])
    assert made.SerializeToString() == before


def test_optimisation_removes_nothing():
    """A value that any optimiser would fuse away."""
    nodes = [node("Identity", "x", "a"), node("Identity", "a", "b"), node("Relu", "b", "y")]
    made = model(nodes, [value("x", [3])], ["y"])
    x = np.array([-1, 0, 2], np.float32)
    found = run_model(made, {"x": x}, ["a", "b"])
    assert np.array_equal(found["a"], x)
    assert np.array_equal(found["b"], x)


def test_several_inferences_with_one_session():
    with Session(two_layers(), ["y"]) as session:
        first, second = session.run({"x": X}), session.run({"x": 2 * X})
    np.testing.assert_allclose(second["y"], 2 * first["y"], rtol=1e-6)


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    """Where temporary directories are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_large_model_goes_through_files_that_are_removed(scratch):
    want = run_model(two_layers(), {"x": X}, ["h", "y"])
    assert not list(scratch.iterdir())
    with Session(two_layers(), ["h", "y"], limit_bytes=1000) as session:
        data = next(scratch.rglob("weights.bin"))
        assert data.read_bytes() == W.tobytes()
        found = session.run({"x": X})
    assert not list(scratch.iterdir())
    assert all(np.array_equal(found[name], want[name]) for name in want)


def test_the_files_go_if_the_model_is_refused(scratch):
    with pytest.raises(InvalidInputError):
        Session(two_layers("NoSuchOperator"), ["y"], limit_bytes=1000)
    assert not list(scratch.iterdir())


def test_a_large_model_keeps_small_constants_functions_and_branches():
    """What is not an initializer above a few KiB stays in the model itself."""
    then = graph([node("Mul", "h k", "t")], [], ["t"], {"k": np.float32(3)})
    other = graph([node("Identity", "h", "t")], [], ["t"])
    body = [node("Add", "a a", "b")]
    function = helper.make_function(
        "own", "twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)]
    )
    nodes = [
        node("MatMul", "x w", "h"),
        node("If", "c", "s", then_branch=then, else_branch=other),
        node("twice", "s", "y", domain="own"),
    ]
    made = model(nodes, [value("x", [2, 128])], ["y"], {"w": W, "c": np.array(True)})
    made.functions.append(function)
    made.opset_import.append(helper.make_opsetid("own", 1))
    found = run_model(made, {"x": X}, ["y"], limit_bytes=1000)
    np.testing.assert_allclose(found["y"], 6 * (X @ W), rtol=1e-5)


@pytest.mark.parametrize(
    ("feeds", "reason"),
    [
        ({"x": np.ones((2, 7), np.float32)}, "cannot run the model"),
        ({"x": X.astype(np.float64)}, "cannot run the model"),
        ({}, "cannot run the model"),
    ],
)
def test_wrong_feeds_are_one_line(feeds, reason):
    with pytest.raises(InvalidInputError, match=reason) as caught:
        run_model(two_layers(), feeds, ["y"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wanted", [["y"], ["no such value"]])
def test_refused_models_are_one_line(wanted):
    op_type = "NoSuchOperator" if wanted == ["y"] else "Relu"
    with pytest.raises(InvalidInputError, match="does not accept the model") as caught:
        run_model(two_layers(op_type), {"x": X}, wanted)
    assert "\n" not in str(caught.value)


def test_without_onnx_runtime(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"pip install 't10c\[verify\]'") as caught:
        run_model(two_layers(), {"x": X}, ["y"])
    assert caught.value.exit_code == 2
