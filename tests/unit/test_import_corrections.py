"""Where onnx's inference is silent or wrong, and operators whose outputs are not all read."""

import numpy as np
import pytest
from graph_numpy import check, random_feeds, runtime_results
from onnx_models import model, node, value

from t10c.errors import InvalidInputError, UnsupportedOperatorError
from t10c.ir.graph import NodeClass
from t10c.onnx_import.importer import import_model

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("target", [[1, 1], [4, 5], [7]])
def test_a_reshape_keeps_the_number_of_elements(target: list[int]) -> None:
    made = model(
        [node("Reshape", "x s", "y", "wrong")], [value("x", [2, 3])], ["y"], {"s": np.array(target)}
    )
    with pytest.raises(InvalidInputError, match=r"node 'wrong' \(Reshape\): 2x3 cannot become"):
        import_model(made.SerializeToString())


@pytest.mark.parametrize(
    ("opset", "inputs", "attributes", "constants"),
    [
        (11, "x", {"split": [4, 1, 2]}, {}),
        (13, "x s", {}, {"s": np.array([4, 1, 2])}),
        (18, "x", {"num_outputs": 3}, {}),
    ],
)
@pytest.mark.parametrize("read", ["a", "b", "c", "ac"])
def test_a_split_of_which_some_outputs_are_read(
    opset: int, inputs: str, attributes: dict[str, object], constants: dict[str, object], read: str
) -> None:
    nodes = [node("Split", inputs, "a b c", axis=0, **attributes)]
    nodes += [node("Relu", name, f"{name}r") for name in read]
    made = model(nodes, [value("x", [7, 2])], [f"{n}r" for n in read], constants, opset=opset)
    feeds = random_feeds(made, 1)
    check(made, feeds=feeds, expected=runtime_results(made, feeds))


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("opset", [11, 19, 22])
@pytest.mark.parametrize("size", [7, 8, 9])
def test_no_window_begins_in_the_trailing_padding(op_type: str, opset: int, size: int) -> None:
    attributes = {"kernel_shape": [3], "strides": [3], "pads": [1, 1], "ceil_mode": 1}
    made = model(
        [node(op_type, "x", "y", **attributes)], [value("x", [1, 2, size])], ["y"], opset=opset
    )
    feeds = random_feeds(made, 2)
    check(made, feeds=feeds, expected=runtime_results(made, feeds))


def test_batch_norm_with_parameters_of_each_element() -> None:
    shape = (3, 4, 4)
    constants = {
        name: RNG.standard_normal(shape).astype(np.float32) ** 2 for name in ("g", "b", "m", "v")
    }
    made = model(
        [node("BatchNormalization", "x g b m v", "y", spatial=0)],
        [value("x", [2, *shape])], ["y"], constants, opset=8,
    )  # fmt: skip
    feeds = random_feeds(made, 3)
    g, b, m, v = constants.values()
    expected = (feeds["x"] - m) / np.sqrt(v + 1e-5) * g + b
    check(made, feeds=feeds, expected=[expected])


def test_a_recurrence_too_long_to_unroll_is_refused_not_put_on_one_core() -> None:
    constants = {"w": np.ones((1, 16, 5), np.float32), "r": np.ones((1, 16, 4), np.float32)}
    made = model(
        [node("LSTM", "x w r", "y", "long", hidden_size=4)],
        [value("x", [1025, 1, 5])], ["y"], constants,
    )  # fmt: skip
    with pytest.raises(UnsupportedOperatorError, match=r"'long' \(LSTM\).*bind a shorter sequence"):
        import_model(made.SerializeToString())


def test_what_follows_a_fallback_is_planned_on_all_cores() -> None:
    nodes = [node("Det", "x", "d", "det"), node("Relu", "d", "y", "relu")]
    graph = check(model(nodes, [value("x", [5, 3, 3])], ["y"]))
    fates = {record.name: record.node_class for record in graph.nodes}
    assert fates == {"det": NodeClass.FALLBACK, "relu": NodeClass.PLANNED}
