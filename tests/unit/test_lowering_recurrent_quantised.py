"""DynamicQuantizeLSTM against ONNX Runtime with one thread: several would share out the samples.

Errors of a wrong range, of a sample that counts and should not, or of a state that stays in floats
are some 1e-3; the tolerance is that of every graph.
"""

import numpy as np
import onnx
import onnxruntime
import pytest
from graph_numpy import check, lower
from onnx import TensorProto
from onnx_models import model, node, value

from t10c.errors import UnsupportedOperatorError
from t10c.ir.graph import Graph, NodeClass

STEPS, SIZE, HIDDEN = 5, 7, 8
OUTPUTS = "y yh yc"

Feeds = dict[str, np.ndarray]


def quantized(
    direction: str = "forward",
    batch: int = 1,
    kind: str = "int8",
    per_channel: bool = False,
    points: tuple[int, int] = (0, 0),
    names: str = "x w r b",
    data: str = "",
    lengths: list[int] | None = None,
    outputs: str = OUTPUTS,
) -> tuple[onnx.ModelProto, Feeds]:
    """A model of one node and its feeds; inputs not named in `data` are weights, x apart.

    `points` are the zero points of both weights. Scales differ by a factor of 20 between the
    directions, or the gate columns.
    """
    rng, directions = np.random.default_rng(5), 2 if direction == "bidirectional" else 1
    columns = 4 * HIDDEN
    width = (directions, columns) if per_channel else (directions,)
    shapes = {
        "x": (STEPS, batch, SIZE), "b": (directions, 2 * columns), "p": (directions, 3 * HIDDEN),
        "h": (directions, batch, HIDDEN), "c": (directions, batch, HIDDEN),
    }  # fmt: skip
    given: Feeds = {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}
    for name, depth, point in (("w", SIZE, points[0]), ("r", HIDDEN, points[1])):
        given[name] = (rng.integers(-64, 64, (directions, depth, columns)) + point).astype(kind)
        spread = rng.permutation(np.geomspace(0.001, 0.02, max(2, np.prod(width))))
        given[f"{name}s"] = spread[: np.prod(width)].reshape(width).astype(np.float32)
        given[f"{name}z"] = np.full(width, point, kind)
    given["lens"] = np.array(lengths or [STEPS] * batch, np.int32)
    optional = [n if n in names.split() else "_" for n in ("b", "lens", "h", "c", "p")]
    order = ["x", "w", "r", *optional, "ws", "wz", "rs", "rz"]
    fed = [n for n in order if n == "x" or n in data.split()]
    made = node("DynamicQuantizeLSTM", " ".join(order), outputs, "cell", direction=direction)
    made.domain = "com.microsoft"
    made.attribute.append(onnx.helper.make_attribute("hidden_size", HIDDEN))
    types = {np.dtype("int8"): TensorProto.INT8, np.dtype("int32"): TensorProto.INT32}
    infos = [
        value(n, list(given[n].shape), types.get(given[n].dtype, TensorProto.FLOAT)) for n in fed
    ]
    results = [value(name, None) for name in outputs.split() if name != "_"]
    weights = {n: given[n] for n in order if n != "_" and n not in fed}
    made = model([made], infos, results, weights)
    made.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    return made, {name: given[name] for name in fed}


def verify(made: onnx.ModelProto, feeds: Feeds) -> Graph:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    graph = check(made, feeds=feeds, expected=list(session.run(None, feeds)))
    assert graph.nodes[-1].node_class is NodeClass.PLANNED
    return graph


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("names", ["x w r", "x w r b", "x w r b h c p"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_input_and_states_are_quantised(
    direction: str, batch: int, names: str, per_channel: bool
) -> None:
    verify(*quantized(direction, batch, per_channel=per_channel, names=names))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_zero_points_of_weights(direction: str, per_channel: bool) -> None:
    verify(*quantized(direction, 2, "uint8", per_channel, (120, 131), "x w r b h"))
    if not per_channel:
        verify(*quantized(direction, 2, "int8", per_channel, (-9, 20), "x w r b h"))


@pytest.mark.parametrize("data", ["wz rz", "ws rs", "b h c p"])
def test_operands_that_are_data(data: str) -> None:
    verify(*quantized("bidirectional", 2, points=(-9, 20), names="x w r b h c p", data=data))


@pytest.mark.parametrize("data", ["", "lens"])
@pytest.mark.parametrize("outputs", [OUTPUTS, "_ yh yc"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("lengths", [[4, 1, 3], [2, 5, 3], [3], [5, 5]])
def test_shorter_sequences(lengths: list[int], direction: str, outputs: str, data: str) -> None:
    names = "x w r b lens h c"
    made, feeds = quantized(
        direction, len(lengths), names=names, data=data, lengths=lengths, outputs=outputs
    )
    verify(made, feeds)


def test_products_are_of_narrow_integers() -> None:
    graph = lower(quantized("bidirectional", 2)[0])
    products = [op for op in graph.planned if op.expression.kernel == "matmul"]
    assert len(products) == STEPS
    assert all(op.expression.narrow_product for op in products)
    assert {graph.tensor[op.inputs[1]].element_type for op in products} == {"int8"}
    steps = [[step.op for step in op.expression.body] for op in products]
    assert set(map(tuple, steps)) == {("Sub", "Mul")}


def test_weights_without_a_scale_are_refused() -> None:
    made, _ = quantized()
    made.graph.node[0].input[8] = ""
    with pytest.raises(UnsupportedOperatorError, match="scale"):
        lower(made)


def test_a_scale_that_does_not_fit_is_refused() -> None:
    made, _ = quantized(per_channel=True)
    for tensor in made.graph.initializer:
        if tensor.name == "rs":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones((1, 5), np.float32), "rs"))
    with pytest.raises(UnsupportedOperatorError, match="not per gate column"):
        lower(made)
