"""com.microsoft: grouped queries and rotary positions against ONNX Runtime or NumPy."""

import numpy as np
import pytest
from contrib_models import OPSETS, check_contrib, compare, contrib_model, floats
from graph_numpy import Arrays, evaluate, runtime_results
from onnx import helper

from t10c.errors import UnsupportedOperatorError
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolve import resolve_model

HEADS, SHARED, SIZE, CAPACITY = 4, 2, 32, 8


def grouped_inputs(
    new: int, past: int, held: int, batch: int = 1, packed: bool = False, **more: np.ndarray
) -> dict[str, np.ndarray | None]:
    """`past` of `held` positions of the cache are filled, `new` come."""
    width, kv = HEADS * SIZE, SHARED * SIZE
    inputs: dict[str, np.ndarray | None] = {
        "q": floats(batch, new, width + 2 * kv if packed else width),
        "k": None if packed else floats(batch, new, kv),
        "v": None if packed else floats(batch, new, kv),
        "past_k": floats(batch, SHARED, held, SIZE) if held else None,
        "past_v": floats(batch, SHARED, held, SIZE) if held else None,
        "ends": np.full(batch, past + new - 1, np.int32),
        "total": np.array(past + new, np.int32),
    }
    names = ("cos", "sin", "position", "add", "sink", "ks", "vs", "qn", "kn")
    inputs.update({name: more.get(name) for name in names})
    while list(inputs.values())[-1] is None:
        inputs.popitem()
    return inputs


def check_grouped(
    inputs: dict[str, np.ndarray | None], known: bool = True, opset: int = 17, **options: object
) -> None:
    """Against ONNX Runtime, which zeroes the unused rest of the buffers it is given."""
    outputs = ("y", "k1", "v1")
    options = {"num_heads": HEADS, "kv_num_heads": SHARED, **options}
    weights = ("ends", "total")
    model, feeds = contrib_model("GroupQueryAttention", inputs, outputs, weights, opset, **options)
    expected = runtime_results(model, feeds)
    total = int(inputs["total"])
    for want, name in zip(expected[1:], ("past_k", "past_v"), strict=True):
        if inputs[name] is not None and inputs[name].shape[2] > total:
            want[:, :, total:] = inputs[name][:, :, total:]
    if not known:
        model, feeds = contrib_model("GroupQueryAttention", inputs, outputs, (), opset, **options)
    graph = compare(model, feeds, expected)
    assert [op.expression.kernel for op in graph.planned].count("matmul") == 2


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    ("new", "past", "held"),
    [(4, 0, 0), (1, 3, 3), (1, 3, CAPACITY), (4, 0, CAPACITY), (1, 7, CAPACITY), (4, 3, 3)],
)
def test_grouped(new: int, past: int, held: int, batch: int, packed: bool, opset: int) -> None:
    if new > 1 and past:
        batch = 1  # ONNX Runtime's rule
    inputs = grouped_inputs(new, past, held, batch, packed)
    check_grouped(inputs, opset=opset)
    if past == held:
        check_grouped(inputs, known=False, opset=opset)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("half", [16, 8])
@pytest.mark.parametrize(("new", "past", "held"), [(4, 0, 0), (1, 3, 3), (1, 3, CAPACITY)])
@pytest.mark.parametrize("packed", [False, True])
def test_grouped_with_rotary_positions(
    new: int, past: int, held: int, half: int, interleaved: int, packed: bool
) -> None:
    angles = floats(12, half)
    caches = {"cos": np.cos(angles), "sin": np.sin(angles)}
    inputs = grouped_inputs(new, past, held, 2, packed, **caches)
    check_grouped(inputs, do_rotary=1, rotary_interleaved=interleaved)
    inputs["position"] = np.arange(past, past + new)[None].repeat(2, 0)
    check_grouped(inputs, do_rotary=1, rotary_interleaved=interleaved)


@pytest.mark.parametrize("window", [1, 2, 5, 20])
@pytest.mark.parametrize(
    ("new", "past", "held"), [(4, 0, 0), (1, 3, 3), (4, 3, 3), (1, 6, CAPACITY)]
)
def test_grouped_within_a_window(new: int, past: int, held: int, window: int) -> None:
    add = floats(1, HEADS, new, past + new)
    check_grouped(grouped_inputs(new, past, held), local_window_size=window)
    check_grouped(grouped_inputs(new, past, held, add=add), local_window_size=window)


@pytest.mark.parametrize(("new", "past", "held"), [(4, 0, 0), (1, 3, 3)])
def test_grouped_scoring(new: int, past: int, held: int) -> None:
    add, sink = floats(1, 1, new, past + new), floats(HEADS)
    check_grouped(grouped_inputs(new, past, held), softcap=2.0)
    check_grouped(grouped_inputs(new, past, held), smooth_softmax=1, scale=0.2)
    check_grouped(grouped_inputs(new, past, held, sink=sink))
    check_grouped(grouped_inputs(new, past, held, add=add), softcap=2.0)
    check_grouped(grouped_inputs(new, past, held), causal=0)


def test_grouped_with_normalised_heads() -> None:
    inputs = grouped_inputs(4, 0, 0, qn=floats(SIZE), kn=floats(SIZE))
    plain = dict(list(inputs.items())[:7])
    for name, weight, heads in (("q", "qn", HEADS), ("k", "kn", SHARED)):
        rows = inputs[name].reshape(1, 4, heads, SIZE)
        rows = rows / np.sqrt((rows**2).mean(-1, keepdims=True) + 1e-6) * inputs[weight]
        plain[name] = rows.reshape(inputs[name].shape)
    options = {"num_heads": HEADS, "kv_num_heads": SHARED}
    model, feeds = contrib_model(
        "GroupQueryAttention", plain, ("y", "k1", "v1"), ("ends", "total"), **options
    )
    expected = runtime_results(model, feeds)
    model, feeds = contrib_model(
        "GroupQueryAttention", inputs, ("y", "k1", "v1"), ("ends", "total"), **options
    )
    compare(model, feeds, expected)


@pytest.mark.parametrize(
    ("change", "options", "reason"),
    [
        ({"ends": np.array([2, 3], np.int32)}, {}, "different lengths"),
        ({"total": np.array(9, np.int32)}, {}, "9 keys are not 1 new"),
        ({}, {"sliding_window_cache": 1}, "evicts"),
        ({}, {"num_heads": 3}, "2 key heads cannot serve 3"),
    ],
)
def test_refusals(change: Arrays, options: dict[str, object], reason: str) -> None:
    inputs = {**grouped_inputs(1, 3, 3, batch=2), **change}
    options = {"num_heads": HEADS, "kv_num_heads": SHARED, **options}
    model, _ = contrib_model("GroupQueryAttention", inputs, ("y",), ("ends", "total"), **options)
    with pytest.raises(UnsupportedOperatorError) as caught:
        resolve_model(model.SerializeToString())
    assert reason in str(caught.value)


def test_layers_share_masks_and_angles() -> None:
    """Two layers, the second of which has another window and so another mask."""
    angles = floats(12, SIZE // 2)
    inputs = grouped_inputs(4, 0, 0, cos=np.cos(angles), sin=np.sin(angles))
    options = {"num_heads": HEADS, "kv_num_heads": SHARED, "do_rotary": 1}
    weights = ("ends", "total", "cos", "sin")
    model, feeds = contrib_model("GroupQueryAttention", inputs, ("y",), weights, **options)
    for number, window in enumerate((-1, 2)):
        node = model.graph.node.add()
        node.CopyFrom(model.graph.node[0])
        node.name, node.input[0], node.output[0] = f"layer{number}", "y", f"y{number}"
        node.attribute.append(helper.make_attribute("local_window_size", window))
        model.graph.output.append(helper.make_empty_tensor_value_info(f"y{number}"))
    resolved = resolve_model(model.SerializeToString())
    graph = lower_model(resolved)
    shapes = sorted(tensor.shape for tensor in graph.tensors if tensor.kind == "weight")
    assert shapes == [(4, 4), (4, 4), (4, SIZE // 2), (4, SIZE // 2)]
    actual = evaluate(graph, {**resolved.constants, **feeds})
    for name, want in zip(graph.outputs, runtime_results(model, feeds), strict=True):
        np.testing.assert_allclose(actual[name], want, rtol=2e-4, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("shape", [(2, 3, 16), (2, 2, 3, 8)])
@pytest.mark.parametrize("position", [[1], [[0, 1, 2], [2, 0, 4]]])
@pytest.mark.parametrize("half", [4, 2])
@pytest.mark.parametrize("known", [True, False])
def test_rotary(
    shape: tuple[int, ...],
    position: list[object],
    half: int,
    interleaved: int,
    known: bool,
    opset: int,
) -> None:
    angles = floats(6, half)
    inputs = {
        "x": floats(*shape),
        "position": np.array(position),
        "cos": np.cos(angles),
        "sin": np.sin(angles),
    }
    options = {"interleaved": interleaved}
    if half == 2:
        options |= {"rotary_embedding_dim": 4, "num_heads": 2}
    weights = ("position", "cos", "sin") if known else ("cos", "sin")
    check_contrib("RotaryEmbedding", inputs, weights=weights, opset=opset, **options)
