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
