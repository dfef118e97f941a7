"""com.microsoft: biases of positions, fallback, what is refused and what users see of it."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from contrib_models import check_contrib, contrib_model, floats
from onnx import helper

from t10c.cli import cli
from t10c.errors import UnsupportedOperatorError
from t10c.ir.graph import NodeClass
from t10c.onnx_import.contrib import refused
from t10c.onnx_import.importer import import_model
from t10c.onnx_import.registry import EXPANSIONS, note_of


def t5_bucket(distance: int, both: bool, count: int, longest: int) -> int:
    """As in T5: half of the buckets for exact distances, the rest for their logarithm."""
    first = 0
    if both:
        count //= 2
        first = count if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = count // 2
    if distance < exact:
        return first + distance
    share = np.float32(np.log(distance / exact) / np.log(longest / exact))
    return first + min(count - 1, exact + int(share * (count - exact)))


@pytest.mark.parametrize("both", [0, 1])
@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (1, 5), (40, 40)])
def test_relative_position_bias(both: int, queries: int, keys: int) -> None:
    table = floats(8, 3)
    by_head = table.reshape(3, 8)
    expected = np.zeros((1, 3, queries, keys), np.float32)
    for query in range(queries):
        for key in range(keys):
            number = t5_bucket(key - query, bool(both), 8, 20)
            expected[0, :, query, key] = by_head[:, number]
    inputs = {"table": table, "q": np.array([queries]), "k": np.array([keys])}
    options = {"is_bidirectional": both, "max_distance": 20}
    check_contrib(
        "RelativePositionBias", inputs, weights=("q", "k"), expected=[expected], **options
    )


def test_gated_relative_position_bias() -> None:
    heads, size, length, width = 2, 4, 3, 6
    query, bias = floats(2, length, heads * size), floats(heads * size)
    places, eco = floats(1, heads, length, length), floats(1, heads, 1, 1)
    weight, offset = floats(size, width), floats(width)
    rows = (query + bias).reshape(2, length, heads, size).transpose(0, 2, 1, 3)
    sums = (rows @ weight + offset).reshape(2, heads, length, 2, width // 2).sum(-1)
    update, reset = np.split(1 / (1 + np.exp(-sums)), 2, axis=-1)
    expected = (update * (reset * eco - 1) + 2) * places
    inputs = {"q": query, "b": bias, "p": places, "w": weight, "o": offset, "e": eco}
    check_contrib(
        "GatedRelativePositionBias", inputs, weights=("w", "o"), num_heads=2, expected=[expected]
    )


@pytest.mark.parametrize("known", [True, False])
def test_conv_transpose_with_dynamic_pads(known: bool) -> None:
    inputs = {
        "x": floats(1, 2, 4, 5),
        "w": floats(2, 3, 3, 3),
        "pads": np.array([1, 0, 1, 1]),
        "b": floats(3),
    }
    weights = ("w", "pads", "b") if known else ("w", "b")
    options = {"strides": [2, 1]}
    if known:
        check_contrib("ConvTransposeWithDynamicPads", inputs, weights=weights, **options)
        return
    model, _ = contrib_model("ConvTransposeWithDynamicPads", inputs, ("y",), weights, **options)
    with pytest.raises(UnsupportedOperatorError, match="its pads depend on data"):
        import_model(model.SerializeToString())


@pytest.mark.parametrize("kind", [onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16])
@pytest.mark.parametrize(
    ("op_type", "shapes", "options"),
    [
        ("SkipSimplifiedLayerNormalization", [(2, 3, 8), (2, 3, 8), (8,)], {}),
        ("GroupNorm", [(1, 2, 2, 4), (4,), (4,)], {"groups": 2, "activation": 1}),
        ("QuickGelu", [(2, 3)], {}),
        ("MultiHeadAttention", [(2, 3, 8)] * 3, {"num_heads": 2, "unidirectional": 1}),
        ("MoE", [(5, 8), (5, 4), (4, 6, 8), None, (4, 8, 6)], {"k": 2}),
        ("CDist", [(2, 3), (4, 3)], {}),
    ],
)
@pytest.mark.filterwarnings("error")
def test_constants_have_the_element_type_of_the_node(
    op_type: str, shapes: list[tuple[int, ...] | None], options: dict[str, object], kind: int
) -> None:
    names = ["" if shape is None else f"x{i}" for i, shape in enumerate(shapes)]
    infos = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, shape in zip(names, shapes, strict=True)
        if name
    ]
    model, _ = contrib_model(op_type, {}, **options)
    model.graph.node[0].input.extend(names)
    model.graph.input.extend(infos)
    graph = import_model(model.SerializeToString())
    assert graph.nodes[0].node_class is NodeClass.PLANNED
    types = {tensor.element_type for tensor in graph.tensors} - {"bool"}
    assert types == {onnx.TensorProto.DataType.Name(kind).lower()}


def test_an_inverse_is_a_fallback() -> None:
    model, _ = contrib_model("Inverse", {"x": floats(2, 3, 3)})
    graph = import_model(model.SerializeToString())
    (record,) = graph.nodes
    assert record.node_class is NodeClass.FALLBACK
    assert "elimination" in record.note
    assert graph.tensor["y"].shape == (2, 3, 3)


def test_every_refusal_says_why() -> None:
    refusing = {
        key: expanding.function
        for key, expanding in EXPANSIONS.items()
        if expanding.node_class is NodeClass.UNSUPPORTED
    }
    assert ("com.microsoft", "BeamSearch") in refusing
    assert ("com.ms.internal.nhwc", "Conv") in refusing
    for (domain, op_type), function in refusing.items():
        assert note_of(function).endswith(".")
        model, _ = contrib_model(op_type, {"x": floats(2, 3)}, domain=domain)
        with pytest.raises(UnsupportedOperatorError) as caught:
            import_model(model.SerializeToString())
        assert f"({domain}.{op_type}) is not supported" in str(caught.value)
        assert note_of(function).removesuffix(".")[1:] in str(caught.value)
    assert refused


def test_an_unknown_operator_is_compared_with_the_known_ones() -> None:
    model, _ = contrib_model("SkipLayerNormalisation", {"x": floats(2, 3)})
    with pytest.raises(UnsupportedOperatorError, match="did you mean SkipLayerNormalization"):
        import_model(model.SerializeToString())


def test_inspect_counts_every_node_once(tmp_path: Path) -> None:
    """A transformer layer as ONNX Runtime fuses it: one record per node, all of them planned."""
    domain = "com.microsoft"
    shapes = {"w": (8, 24), "b": (24,), "o": (8, 8), "g": (8,), "h": (8,), "u": (8, 16)}
    shapes |= {"c": (16,), "d": (16, 8)}
    nodes = [
        helper.make_node("Attention", ["x", "w", "b"], ["a"], "attn", domain=domain, num_heads=2),
        helper.make_node("MatMul", ["a", "o"], ["p"], "proj"),
        helper.make_node(
            "SkipLayerNormalization", ["p", "x", "g", "h"], ["n"], "norm1", domain=domain
        ),
        helper.make_node("MatMul", ["n", "u"], ["q"], "up"),
        helper.make_node("BiasGelu", ["q", "c"], ["r"], "gelu", domain=domain),
        helper.make_node("MatMul", ["r", "d"], ["s"], "down"),
        helper.make_node(
            "SkipLayerNormalization", ["s", "n", "g", "h"], ["y"], "norm2", domain=domain
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 3, 8])],
        [helper.make_empty_tensor_value_info("y")],
        [onnx.numpy_helper.from_array(floats(*shape), name) for name, shape in shapes.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    path = tmp_path / "layer.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    result = CliRunner().invoke(cli, ["inspect", str(path), "--format", "json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    counts = {kind: number for kind, number in report["nodes"].items() if number}
    assert counts == {"planned": 6, "fused": 1}
    assert report["fallback"] == report["unsupported"] == []
    owners = {name for operator in report["operators"] for name in operator["nodes"]}
    assert owners == {node.name for node in nodes}
