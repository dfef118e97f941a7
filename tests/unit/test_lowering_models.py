"""Whole zoo models, made tiny, compute what ONNX Runtime computes after lowering and fusion."""

import numpy as np
import pytest
from graph_numpy import evaluate, random_feeds, runtime_results
from onnx import numpy_helper

from t10c.ir.graph import Graph
from t10c.onnx_import.derived import derive_weights
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolve import resolve_model
from t10c.zoo import build_model

TEXT = {"layers": "2", "hidden": "16", "heads": "2", "intermediate": "24", "positions": "16"}
TEXT |= {"vocabulary": "30"}


def lower_and_compare(name: str, **arguments: object) -> Graph:
    made = build_model(name, weights="random", **arguments)  # type: ignore[arg-type]
    resolved = resolve_model(made.SerializeToString())
    graph = lower_model(resolved)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    feeds = random_feeds(made, 0)
    values = {**weights, **resolved.constants, **feeds}
    actual = evaluate(graph, {**values, **derive_weights(resolved, values)})
    for output, expected in zip(graph.outputs, runtime_results(made, feeds), strict=True):
        np.testing.assert_allclose(actual[output], expected, rtol=1e-3, atol=1e-4)
    return graph


def test_bert() -> None:
    graph = lower_and_compare("bert-large", seq=5, overrides=TEXT)
    kernels = [op.expression.kernel for op in graph.planned]
    assert kernels.count("matmul") == 2 * 8 + 1
    assert kernels.count("rowwise") == 2 * 3 + 1


@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize("name", ["opt-1.3b", "llama-2-7b"])
def test_decoders(name: str, phase: str) -> None:
    sizes = {"seq": 5} if phase == "prefill" else {"past": 4}
    overrides = TEXT | ({"heads": "4", "kv_heads": "2"} if name == "llama-2-7b" else {})
    lower_and_compare(name, phase=phase, overrides=overrides, **sizes)


def test_vit() -> None:
    sizes = {"layers": "1", "hidden": "16", "heads": "2", "intermediate": "24", "classes": "5"}
    lower_and_compare("vit-base", overrides=sizes | {"image": "8", "patch": "4"})


@pytest.mark.parametrize("name", ["resnet-18", "resnet-50"])
def test_resnet(name: str) -> None:
    stages = {f"stage{index}": "1" for index in range(1, 5)}
    sizes = stages | {"width": "4", "image": "16", "classes": "5"}
    graph = lower_and_compare(name, overrides=sizes)
    # what is left beyond convolutions: residual additions, two pools and the classifier
    convs = sum(op.expression.kernel == "conv" for op in graph.planned)
    assert len(graph.planned) == convs + 4 + 3


def test_nerf() -> None:
    sizes = {"layers": "3", "hidden": "8", "frequencies": "2"}
    lower_and_compare("nerf", batch=2, seq=3, overrides=sizes)
