"""ONNX Runtime as the reference: values by name, large models, and what it refuses."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnx_models import graph, model, node, value

from t10c.errors import FileAccessError, InvalidInputError, UsageError
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


def test_nothing_is_optimised_and_one_thread_computes(monkeypatch):
    """So that numbers do not depend on the machine, nor values go that could be fused away."""
    asked = []
    open_session = onnxruntime.InferenceSession

    def spy(source, options, providers):
        asked.append(options)
        return open_session(source, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    run_model(two_layers(), {"x": X}, ["y"])
    (options,) = asked
    level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert options.graph_optimization_level == level
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


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
    with pytest.raises(InvalidInputError) as caught:
        Session(two_layers("NoSuchOperator"), ["y"], limit_bytes=1000)
    assert not list(scratch.iterdir()), f"left by {caught}"


def test_several_tensors_in_one_file(scratch):
    """Each where it begins, and nowhere else."""
    made = two_layers()
    made.graph.node.append(node("MatMul", "y v", "z"))
    made.graph.output.append(value("z", None))
    made.graph.initializer.append(numpy_helper.from_array(W[::-1].copy(), "v"))
    with Session(made, ["y", "z"], limit_bytes=1000) as session:
        written = onnx.load(next(scratch.rglob("model.onnx")), load_external_data=False)
        found = session.run({"x": X})
    assert [tensor.name for tensor in written.graph.initializer] == ["w", "v"]
    assert not any(tensor.raw_data for tensor in written.graph.initializer)
    np.testing.assert_allclose(found["z"], found["y"] @ W[::-1], rtol=1e-5)


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


def test_no_room_for_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weights then go as bytes where they can, and the error names the place where they cannot."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    found = run_model(two_layers(), {"x": X}, ["h"], limit_bytes=0)
    np.testing.assert_allclose(found["h"], X @ W, rtol=1e-5)
    monkeypatch.setattr("t10c.verify.session.SERIALISED_LIMIT_BYTES", 0)
    with pytest.raises(FileAccessError, match=r"(?s)'.*/none'.*TMPDIR="):
        run_model(two_layers(), {"x": X}, ["h"], limit_bytes=0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise OSError('libfoo.so: cannot open\\nshared object')", "OSError: libfoo.so: cannot"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        ("", "it has no InferenceSession"),
    ],
)
def test_onnx_runtime_that_is_broken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "onnxruntime.py").write_text(text)
    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError) as caught:
        run_model(two_layers(), {"x": X}, ["y"])
    sys.modules.pop("onnxruntime", None)
    first, remedy = str(caught.value).split("\n")
    assert "ONNX Runtime, which cannot be imported: " in first
    assert reason in first
    assert "--force-reinstall" in remedy
