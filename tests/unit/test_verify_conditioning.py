"""Values that rounding alone decides, and values that it cannot explain."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from t10c.verify.compare import DEFAULT_TOLERANCE, compare
from t10c.verify.conditioning import condition

X = np.arange(1, 5, dtype=np.float32)


def half_way() -> onnx.ModelProto:
    """codes = Round(x * w), sum = their product with 100: every code lies half-way between two."""
    weights = (np.array([2, 3, 4, 5], np.float32) + np.float32(0.5)) / X
    weights = np.where(weights * X % 1 == 0.5, weights, np.nextafter(weights, np.float32(9)))
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["codes"]),
        helper.make_node("Mul", ["codes", "hundred"], ["sum"]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "half_way",
        [info("x", TensorProto.FLOAT, [4])],
        [info("sum", TensorProto.FLOAT, [4])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "w"),
            numpy_helper.from_array(np.float32(100), "hundred"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def conditioned(got: np.ndarray):
    return condition(
        half_way(),
        [{"x": X}],
        ("codes", "sum"),
        {0: {"sum": got}},
        DEFAULT_TOLERANCE,
        2**26,
    )


def test_what_rounds_the_other_way_agrees_for_other_last_bits():
    found = conditioned(np.array([300, 300, 400, 500], np.float32) + 0)
    either = [{200, 300}, {300, 400}, {400, 500}, {500, 600}]
    assert found.changes[0, "codes"] == 1
    assert found.changes[0, "sum"] == pytest.approx(100, rel=1e-5)
    agreeing = []
    for code in range(16):  # every way in which four values can round
        got = [sorted(pair)[code >> i & 1] for i, pair in enumerate(either)]
        agreeing += [0 in conditioned(np.array(got, np.float32)).agreeing]
    assert 3 <= sum(agreeing) < 16, "eight runs see some of the ways, not all"


@pytest.mark.parametrize("wrong", [[200, 300, 400, 700], [250, 300, 400, 500], [0, 0, 0, 0]])
def test_what_no_last_bit_explains_agrees_with_nothing(wrong):
    assert not conditioned(np.array(wrong, np.float32)).agreeing


def test_an_error_is_explained_if_the_last_bits_do_as_much():
    found = conditioned(np.zeros(4, np.float32))
    want = np.array([2, 4, 4, 6], np.float32)
    flipped, wrong = want + np.eye(4)[0], want + 5 * np.eye(4)[0]
    assert found.explains(0, compare("codes", flipped.astype(np.float32), want))
    assert not found.explains(0, compare("codes", wrong.astype(np.float32), want))
    assert not found.explains(1, compare("codes", flipped.astype(np.float32), want))
    assert not found.explains(0, compare("scaled", flipped.astype(np.float32), want))


def doubled(function: str = "Round") -> onnx.ModelProto:
    """y = Round(x + x) * 100: no weight has last bits that would tip a code over."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["scaled"]),
        helper.make_node(function, ["scaled"], ["codes"]),
        helper.make_node("Mul", ["codes", "hundred"], ["y"]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "doubled",
        [info("x", TensorProto.FLOAT, [100])],
        [info("y", TensorProto.FLOAT, [100])],
        [numpy_helper.from_array(np.float32(100), "hundred")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def agrees(x: np.ndarray, got: np.ndarray, function: str = "Round") -> bool:
    made = {0: {"y": got.astype(np.float32)}}
    found = condition(
        doubled(function), [{"x": x}], ("y",), made, DEFAULT_TOLERANCE, 2**26
    ).agreeing
    assert all(comparison.passed for compared in found.values() for comparison in compared)
    return 0 in found


def ties(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of which the first so many are half-way, and what comes of them."""
    x = np.arange(100, dtype=np.float32) + np.float32(0.1)
    x[:count] = np.arange(count) + np.float32(0.25)
    return x, np.round(x + x) * 100


@pytest.mark.parametrize("code", range(32))
def test_a_few_values_half_way_each_round_as_they_like(code):
    """No run has them all on one side, as a rule; inputs have last bits, too."""
    x, y = ties(5)
    either = np.floor(2 * x[:5]) + [code >> i & 1 for i in range(5)]
    assert agrees(x, np.concatenate([either * 100, y[5:]]))


@pytest.mark.parametrize(("at", "off"), [(0, 200), (0, 50), (50, 100), (99, -100)])
def test_only_values_half_way_may_be_off_and_by_one_step(at, off):
    x, y = ties(5)
    want = np.where(np.arange(100) < 5, np.floor(2 * x) * 100, y)
    assert agrees(x, want)
    want[at] += off
    assert not agrees(x, want)


def test_where_most_is_undecided_a_run_must_have_it_all():
    x, _ = ties(50)
    codes = np.floor(2 * x)
    codes[::2] += 1
    codes[50:] = np.round(2 * x[50:])
    assert not agrees(x, codes * 100)


def test_whole_inputs_stay():
    """A mask of 1 moved by its last bit would be cut to 0."""
    x = np.ones(100, np.float32)
    assert not agrees(x, np.full(100, 100), "Floor")
    x[:3] = 0.5
    assert agrees(x, np.r_[0, 0, 0, [200] * 97], "Floor")
