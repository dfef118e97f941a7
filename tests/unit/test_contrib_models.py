"""Whole zoo models, made tiny and fused by ONNX Runtime: same numbers, same work, same kernels."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from graph_numpy import Arrays, evaluate, random_feeds, runtime_results
from onnx import numpy_helper

from t10c.ir.graph import Graph, NodeClass
from t10c.onnx_import.derived import derive_weights
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolve import resolve_model
from t10c.zoo import build_model

TEXT = {"layers": "2", "hidden": "16", "heads": "2", "intermediate": "24", "positions": "16"}
TEXT |= {"vocabulary": "30"}
IMAGE = {"layers": "1", "hidden": "16", "heads": "2", "intermediate": "24", "image": "8"}
STAGES = {f"stage{index}": "1" for index in range(1, 5)} | {"width": "4", "image": "16"}


def fused_by_runtime(model: onnx.ModelProto, place: Path) -> onnx.ModelProto:
    """The model as ONNX Runtime would run it, short of layouts for one processor."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(place)
    providers = ["CPUExecutionProvider"]
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
    return onnx.load(place)


def evaluated(model: onnx.ModelProto, feeds: Arrays) -> tuple[Graph, Arrays]:
    resolved = resolve_model(model.SerializeToString())
    graph = lower_model(resolved)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    values = {**weights, **resolved.constants, **feeds}
    return graph, evaluate(graph, {**values, **derive_weights(resolved, values)})


@pytest.mark.parametrize(
    ("name", "options", "overrides", "fused"),
    [
        ("bert-large", {"seq": 5}, TEXT, {"FusedMatMul", "SkipLayerNormalization", "Gelu"}),
        (
            "llama-2-7b",
            {"phase": "decode", "past": 4},
            TEXT | {"heads": "4", "kv_heads": "2"},
            {"FusedMatMul", "SimplifiedLayerNormalization", "QuickGelu"},
        ),
        ("vit-base", {}, IMAGE | {"patch": "4", "classes": "5"}, {"FusedMatMul", "Gelu"}),
        ("resnet-18", {}, STAGES | {"classes": "5"}, {"FusedConv"}),
    ],
)
def test_models_that_onnx_runtime_fused(
    name: str,
    options: dict[str, object],
    overrides: dict[str, str],
    fused: set[str],
    tmp_path: Path,
) -> None:
    plain = build_model(name, weights="random", overrides=overrides, **options)  # type: ignore[arg-type]
    model = fused_by_runtime(plain, tmp_path / "fused.onnx")
    assert fused <= {node.op_type for node in model.graph.node}
    feeds = random_feeds(plain, 0)
    graph, actual = evaluated(model, feeds)
    for output, expected in zip(graph.outputs, runtime_results(plain, feeds), strict=True):
        np.testing.assert_allclose(actual[output], expected, rtol=1e-3, atol=1e-4)
    assert len(graph.nodes) == len(model.graph.node)
    classes = {record.node_class for record in graph.nodes if record.op_type.endswith(tuple(fused))}
    assert classes <= {NodeClass.PLANNED, NodeClass.FUSED}
    before = lower_model(resolve_model(plain.SerializeToString()))
    assert graph.flop_matmul_conv == before.flop_matmul_conv
    kernels, wanted = (
        Counter(op.expression.kernel for op in each.planned) for each in (graph, before)
    )
    assert kernels == wanted
