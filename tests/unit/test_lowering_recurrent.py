"""LSTM, GRU and RNN against ONNX Runtime, unrolled to matmuls and cells."""

from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from graph_numpy import check, lower, random_feeds, runtime_results
from onnx import TensorProto
from onnx_models import model, node, value

from t10c.errors import UnsupportedOperatorError
from t10c.ir.graph import Graph, LayoutOp, NodeClass

STEPS, BATCH, SIZE, HIDDEN = 4, 2, 3, 5
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OUTPUTS = {"LSTM": "y yh yc", "GRU": "y yh", "RNN": "y yh"}

Feeds = dict[str, np.ndarray]


def recurrent(
    kind: str,
    names: str = "x w r",
    outputs: str = "",
    data: str = "",
    lengths: list[int] | None = None,
    sizes: tuple[int, int, int, int] = (STEPS, BATCH, SIZE, HIDDEN),
    opset: int = 14,
    **attributes: object,
) -> onnx.ModelProto:
    """A model of one node; inputs not named in `data` are weights, x apart."""
    steps, batch, size, hidden = sizes
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    gates, rng = GATES[kind], np.random.default_rng(7)
    shapes = {
        "x": (steps, batch, size),
        "w": (directions, gates * hidden, size),
        "r": (directions, gates * hidden, hidden),
        "b": (directions, 2 * gates * hidden),
        "lens": (batch,),
        "h": (directions, batch, hidden),
        "c": (directions, batch, hidden),
        "p": (directions, 3 * hidden),
    }
    constants: dict[str, np.ndarray] = {}
    infos = []
    for name in names.split():
        if name == "_":
            continue
        kinds = TensorProto.INT32 if name == "lens" else TensorProto.FLOAT
        if name == "x" or name in data.split():
            infos.append(value(name, shapes[name], kinds))
        elif name == "lens":
            constants[name] = np.array(lengths, np.int32)
        else:
            constants[name] = rng.uniform(-1, 1, shapes[name]).astype(np.float32)
    wanted = outputs or OUTPUTS[kind]
    made = node(kind, names, wanted, "cell", hidden_size=hidden, **attributes)
    results = [value(o, None) for o in wanted.split() if o != "_"]
    return model([made], infos, results, constants, opset=opset)


def verify(made: onnx.ModelProto, feeds: Feeds | None = None) -> Graph:
    """The graph computes what ONNX Runtime does, and the node is planned."""
    feeds = feeds or random_feeds(made, 3)
    graph = check(made, feeds=feeds, expected=runtime_results(made, feeds))
    assert graph.nodes[-1].node_class is NodeClass.PLANNED
    return graph


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("names", ["x w r", "x w r b", "x w r b _ h", "x w r _ _ h"])
@pytest.mark.parametrize("kind", GATES)
def test_directions_biases_and_initial_states(kind: str, names: str, direction: str) -> None:
    verify(recurrent(kind, names, direction=direction))


@pytest.mark.parametrize("kind", GATES)
def test_weights_that_are_data(kind: str) -> None:
    names = "x w r b _ h" + (" c p" if kind == "LSTM" else "")
    verify(recurrent(kind, names, data="w r b h c p", direction="bidirectional"))
    if kind == "GRU":
        verify(recurrent(kind, names, data="w r b h", linear_before_reset=1))


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("names", ["x w r _ _ _ c", "x w r b _ h c p", "x w r _ _ _ _ p"])
@pytest.mark.parametrize("attributes", [{}, {"input_forget": 1}, {"clip": 0.3}])
def test_lstm(names: str, direction: str, attributes: Mapping[str, object]) -> None:
    verify(recurrent("LSTM", names, direction=direction, **attributes))


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("names", ["x w r", "x w r b", "x w r b _ h"])
@pytest.mark.parametrize("clip", [{}, {"clip": 0.3}])
def test_gru_that_resets_after_its_matmul(
    names: str, direction: str, clip: Mapping[str, object]
) -> None:
    verify(recurrent("GRU", names, direction=direction, linear_before_reset=1, **clip))


@pytest.mark.parametrize("data", ["", "lens"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("names", ["x w r b lens", "x w r b lens h"])
@pytest.mark.parametrize("kind", GATES)
def test_shorter_sequences(kind: str, names: str, direction: str, data: str) -> None:
    made = recurrent(kind, names, data=data, lengths=[4, 2], direction=direction)
    feeds = random_feeds(made, 3)
    if data:
        feeds["lens"] = np.array([1, 3], np.int32)
    verify(made, feeds)


def test_full_sequences_need_no_mask() -> None:
    graph = verify(recurrent("LSTM", "x w r b lens", lengths=[4, 4]))
    assert not any("mask" in tensor.name for tensor in graph.tensors)


ACTIVATIONS = [
    "Relu",
    "Tanh",
    "Sigmoid",
    "Affine",
    "LeakyRelu",
    "ThresholdedRelu",
    "ScaledTanh",
    "HardSigmoid",
    "Elu",
    "Softsign",
    "Softplus",
]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_functions(name: str) -> None:
    values = {"activation_alpha": [0.7], "activation_beta": [0.3]}
    verify(recurrent("RNN", "x w r b", activations=[name], **values))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_functions_without_parameters(name: str) -> None:
    """They are those of the standard's operator; ONNX Runtime takes zeros for some."""
    ones = {"activation_alpha": [1.0], "activation_beta": [0.0 if name == "Affine" else 1.0]}
    explicit = ones if name in ("Affine", "ThresholdedRelu", "ScaledTanh") else {}
    made = recurrent("RNN", "x w r b", activations=[name])
    feeds = random_feeds(made, 3)
    twin = recurrent("RNN", "x w r b", activations=[name], **explicit)
    check(made, feeds=feeds, expected=runtime_results(twin, feeds))


@pytest.mark.parametrize("kind", GATES)
def test_directions_with_activations_of_their_own(kind: str) -> None:
    count = {"LSTM": 3, "GRU": 2, "RNN": 1}[kind]
    names = ["Sigmoid", "LeakyRelu", "Tanh", "HardSigmoid", "Softsign", "ScaledTanh"]
    made = recurrent(
        kind,
        "x w r b lens h" + (" c p" if kind == "LSTM" else ""),
        lengths=[4, 3],
        direction="bidirectional",
        activations=names[: 2 * count] if count > 1 else ["Tanh", "ScaledTanh"],
        activation_alpha=[0.1, 0.5, 0.6],
        activation_beta=[0.4, 0.7],
    )
    verify(made)


@pytest.mark.parametrize("outputs", ["y", "_ yh", "y _ yc", "_ yh yc", "_ _ yc", "y yh yc", "y yh"])
def test_outputs_that_are_wanted(outputs: str) -> None:
    verify(recurrent("LSTM", "x w r b", outputs, direction="bidirectional"))


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1, 1), (3, 1, 2, 4), (3, 2, 1, 1), (1, 2, 3, 2), (2, 3, 4, 1)]
)
@pytest.mark.parametrize("kind", GATES)
def test_dimensions_of_size_one(kind: str, sizes: tuple[int, int, int, int]) -> None:
    names = "x w r b lens h"
    for direction in ("forward", "bidirectional"):
        made = recurrent(kind, names, data="h lens", sizes=sizes, direction=direction)
        feeds = random_feeds(made, 3)
        feeds["lens"] = np.full(sizes[1], max(1, sizes[0] - 1), np.int32)
        verify(made, feeds)
        verify(recurrent(kind, "x w r b", sizes=sizes, direction=direction))


@pytest.mark.parametrize("data", ["", "h c"])
@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
@pytest.mark.parametrize("kind", GATES)
def test_batch_before_time(kind: str, direction: str, data: str) -> None:
    """Layout 1 is layout 0 with batch and time, or batch and direction, exchanged."""
    names = "x w r b lens h" + (" c" if kind == "LSTM" else "")
    plain = recurrent(kind, names, data=data, lengths=[4, 2], direction=direction)
    feeds = random_feeds(plain, 3)
    expected = runtime_results(plain, feeds)
    made = recurrent(kind, names, data=data, lengths=[4, 2], direction=direction, layout=1)
    for tensor in made.graph.initializer:
        if tensor.name in ("h", "c"):
            swapped = onnx.numpy_helper.to_array(tensor).swapaxes(0, 1)
            tensor.CopyFrom(onnx.numpy_helper.from_array(swapped, tensor.name))
    for info in made.graph.input:
        dims = info.type.tensor_type.shape.dim
        dims[0].dim_value, dims[1].dim_value = dims[1].dim_value, dims[0].dim_value
    swapped = {name: array.swapaxes(0, 1) for name, array in feeds.items()}
    outputs = [expected[0].transpose(2, 0, 1, 3), *(e.swapaxes(0, 1) for e in expected[1:])]
    check(made, feeds=swapped, expected=outputs)


@pytest.mark.parametrize("opset", [7, 11, 14, 22])
def test_opsets(opset: int) -> None:
    for kind in GATES:
        verify(recurrent(kind, "x w r b", opset=opset))


def test_steps_share_their_expressions() -> None:
    graph = lower(recurrent("LSTM", "x w r b", sizes=(6, 1, 4, 4)))
    steps = [op.expression for op in graph.planned if op.name.startswith("cell.step")]
    assert len({id(e) for e in steps}) == 5  # the first step's cell c, and c, h, gates
    assert len(steps) == 6 + 6 + 5
    assert len(graph.planned) == 1 + len(steps)


def test_too_many_steps_are_refused_with_a_remedy() -> None:
    with pytest.raises(UnsupportedOperatorError, match="bind a shorter sequence"):
        lower(recurrent("RNN", "x w r b", sizes=(1025, 1, 2, 2)))


@pytest.mark.parametrize("name", ["w", "b", "h", "c", "p"])
def test_operands_that_do_not_fit_are_refused(name: str) -> None:
    made = recurrent("LSTM", "x w r b _ h c p", "_ yh")
    for tensor in made.graph.initializer:
        if tensor.name == name:
            array = onnx.numpy_helper.to_array(tensor)[..., :-1].copy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, name))
    with pytest.raises(UnsupportedOperatorError, match=r"LSTM\).*, not \["):
        lower(made)


def test_a_state_of_the_last_step_only() -> None:
    graph = verify(recurrent("LSTM", "x w r b", "_ yh"))
    assert not [op for op in graph.operators if isinstance(op, LayoutOp) and op.kind == "concat"]
