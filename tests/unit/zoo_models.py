"""Zoo models at tiny sizes, their inputs and results; and what can be counted in a model."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper, shape_inference

from t10c.zoo import build_model, list_recipes
from t10c.zoo.families import FAMILIES

Array = NDArray[Any]

DECODER = {
    "layers": "2",
    "hidden": "64",
    "heads": "4",
    "intermediate": "96",
    "vocabulary": "50",
    "positions": "32",
}
SMALL = {
    "bert-large": {**DECODER, "segments": "2"},
    "vit-base": {"layers": "2", "hidden": "32", "heads": "2", "intermediate": "64", "image": "48"},
    "resnet-18": {"stage3": "1", "width": "8", "image": "32", "classes": "10"},
    "resnet-50": {"stage1": "1", "stage2": "2", "width": "8", "image": "33", "classes": "10"},
    "nerf": {"layers": "3"},
    "opt-1.3b": DECODER,
    "opt-13b": DECODER,
    "opt-30b": DECODER,
    "llama-2-7b": {**DECODER, "kv_heads": "4"},
    "llama-2-13b": {**DECODER, "kv_heads": "4"},
    "llama-2-70b": {**DECODER, "kv_heads": "2"},
    "llama-3-8b": {**DECODER, "kv_heads": "2"},
    "mixtral-8x7b": {**DECODER, "kv_heads": "2"},
    "gemma-2-27b": {
        **DECODER,
        "kv_heads": "2",
        "head_size": "8",
        "window": "4",
        "query_scale": "12",
        "attention_cap": "1.5",
        "logit_cap": "2.5",
    },
    "retnet-1.3b": DECODER,
    "mamba-2.8b": {"layers": "2", "hidden": "16", "inner": "24", "state": "4", "rank": "3"},
    "lstm-ptb-large": {"hidden": "24", "vocabulary": "50"},
    "whisper-tiny-encoder": {
        "layers": "2",
        "hidden": "32",
        "heads": "4",
        "intermediate": "48",
        "mels": "6",
        "audio_positions": "10",
    },
    "whisper-tiny-decoder": {**DECODER, "audio_positions": "10"},
    "sd-1.5-unet-block": {
        "channels_in": "8",
        "channels": "16",
        "image": "6",
        "heads": "2",
        "groups": "4",
        "time": "12",
        "context": "10",
        "context_length": "5",
    },
    "mobilenet-v2": {"width": "0.25", "image": "32", "classes": "10"},
}
NAMES = sorted(SMALL)
OPT, LLAMA, GEMMA, MIXTRAL = "opt-1.3b", "llama-2-7b", "gemma-2-27b", "mixtral-8x7b"


def small(name: str, **arguments: Any) -> ModelProto:
    overrides = {**SMALL[name], **arguments.pop("overrides", {})}
    arguments = {"batch": 2, "weights": "random", "seed": 3, **arguments}
    if FAMILIES[next(r.family for r in list_recipes() if r.name == name)].has_sequence:
        arguments = {"seq": 6, **arguments}
    return build_model(name, overrides=overrides, **arguments)


def feeds(model: ModelProto, seed: int = 0) -> dict[str, Array]:
    """Random ids and pixels, all positions present and in order."""
    generator = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    for value in model.graph.input:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if value.name == "attention_mask":
            values[value.name] = np.ones(shape, np.int64)
        elif value.name == "position_ids":
            values[value.name] = np.tile(np.arange(shape[1]), (shape[0], 1))
        elif value.type.tensor_type.elem_type == TensorProto.INT64:
            values[value.name] = generator.integers(0, 2, shape)
            if value.name == "input_ids":
                values[value.name] = generator.integers(0, 50, shape)
        else:
            values[value.name] = generator.standard_normal(shape, dtype=np.float32)
    return values


def run(model: ModelProto, inputs: Mapping[str, Array]) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def declared_shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    return {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in model.graph.output
    }


def parameter_count(model: ModelProto) -> int:
    return sum(
        math.prod(weight.dims)
        for weight in model.graph.initializer
        if weight.data_location == TensorProto.EXTERNAL and "cached" not in weight.name
    )


def flop(model: ModelProto) -> int:
    """2 x MAC of MatMul, Gemm and Conv, from inferred shapes."""
    graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {w.name: tuple(w.dims) for w in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    macs = 0
    for node in graph.node:
        if node.op_type not in {"MatMul", "Gemm", "Conv"}:
            continue
        first, second = (shapes[name] for name in node.input[:2])
        depth = math.prod(second[1:]) if node.op_type == "Conv" else first[-1]
        macs += math.prod(shapes[node.output[0]]) * depth
    return 2 * macs


def weights_of(model: ModelProto) -> dict[str, Array]:
    return {
        w.name.removesuffix(".weight"): numpy_helper.to_array(w) for w in model.graph.initializer
    }


def built_count(name: str, **overrides: str) -> int:
    """Parameters of the model as built, at full size or with other hyper-parameters."""
    return parameter_count(build_model(name, overrides=overrides))


def as_past(outputs: Mapping[str, Array]) -> dict[str, Array]:
    """What one run hands on, as the next one reads it."""
    return {
        name.replace("present", "past"): value
        for name, value in outputs.items()
        if name.startswith("present")
    }


def assert_equals_end_of(
    decoded: Mapping[str, Array], whole: Mapping[str, Array], past: int
) -> None:
    """The logits of the positions after `past`, and all that is handed on, are those of `whole`."""
    assert decoded.keys() == whole.keys()
    for name, value in decoded.items():
        expected = whole[name][:, past:] if name == "logits" else whole[name]
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4, err_msg=name)
