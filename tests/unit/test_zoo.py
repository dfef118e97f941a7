"""The zoo's models: valid, of the published size, and computing what their names promise."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper, shape_inference

from t10c.cli import cli
from t10c.errors import FileAccessError, T10cError, UsageError
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
    "llama-2-7b": {**DECODER, "kv_heads": "4"},
}
NAMES = sorted(SMALL)
OPT, LLAMA = "opt-1.3b", "llama-2-7b"


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


def test_every_recipe_is_tested_here() -> None:
    assert [recipe.name for recipe in list_recipes()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_shrunken_model_runs_with_finite_outputs_of_declared_shapes(name: str) -> None:
    model = small(name)
    onnx.checker.check_model(model, full_check=True)
    outputs = run(model, feeds(model))
    assert {key: value.shape for key, value in outputs.items()} == declared_shapes(model)
    for value in outputs.values():
        assert np.isfinite(value).all()
        assert value.std() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_full_size_model_has_the_published_parameters_and_infers(name: str) -> None:
    model = build_model(name)
    recipe = next(recipe for recipe in list_recipes() if recipe.name == name)
    assert parameter_count(model) == recipe.parameter_count
    assert model.ByteSize() < 1_000_000
    inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    known = {value.name for value in (*inferred.graph.value_info, *inferred.graph.output)}
    assert {name for node in model.graph.node for name in node.output} <= known


@pytest.mark.parametrize(
    ("name", "arguments", "published"),
    [
        # Clark et al. 2020 (ELECTRA), table 1: 7.9e10 for BERT-large at 128 tokens
        ("bert-large", {"seq": 128}, 7.9e10),
        # torchvision's model table, multiply-adds: ViT-B/16 17.56, ResNet-18 1.81, ResNet-50 4.09 G
        ("vit-base", {}, 2 * 17.56e9),
        ("resnet-18", {}, 2 * 1.81e9),
        ("resnet-50", {}, 2 * 4.09e9),
        # Kaplan et al. 2020: 2 per parameter and token, attention and embeddings aside
        ("llama-2-7b", {"seq": 16}, 2 * 6.607e9 * 16),
    ],
)
def test_flop_of_full_size_models_match_the_published(
    name: str, arguments: dict[str, Any], published: float
) -> None:
    assert flop(build_model(name, batch=1, **arguments)) == pytest.approx(published, rel=0.01)


def test_flop_of_bert_large_exactly() -> None:
    tokens, hidden = 128, 1024
    layer = 12 * tokens * hidden**2 + 2 * tokens**2 * hidden
    assert flop(build_model("bert-large", seq=tokens)) == 2 * (24 * layer + hidden**2)


@pytest.mark.parametrize(("seq", "new"), [(9, 1), (9, 4)])
@pytest.mark.parametrize("name", [OPT, LLAMA])
def test_decoding_with_a_cache_equals_prefill(name: str, seq: int, new: int) -> None:
    whole = small(name, seq=seq)
    inputs = feeds(whole)
    expected = run(whole, inputs)

    past = seq - new
    head = {key: value[:, :past] for key, value in inputs.items()}
    cache = run(small(name, seq=past), head)
    decoded = run(
        small(name, phase="decode", seq=new, past=past),
        {
            "input_ids": inputs["input_ids"][:, past:],
            "position_ids": inputs["position_ids"][:, past:],
            "attention_mask": inputs["attention_mask"],
            **{k.replace("present", "past"): v for k, v in cache.items() if k != "logits"},
        },
    )
    np.testing.assert_allclose(
        decoded["logits"], expected["logits"][:, past:], rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(decoded["present_v1"], expected["present_v1"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [OPT, LLAMA])
def test_decoder_is_causal(name: str) -> None:
    model = small(name)
    inputs = feeds(model)
    before = run(model, inputs)["logits"]
    changed = inputs["input_ids"].copy()
    changed[:, -1] += 1
    changed[:, -1] %= 50
    after = run(model, {**inputs, "input_ids": changed})["logits"]
    np.testing.assert_array_equal(before[:, :-1], after[:, :-1])
    assert np.abs(before[:, -1] - after[:, -1]).max() > 1e-2


@pytest.mark.parametrize("name", [OPT, LLAMA, "bert-large"])
def test_masked_positions_have_no_influence(name: str) -> None:
    model = small(name)
    inputs = feeds(model)
    inputs["attention_mask"][:, 0] = 0
    output = "last_hidden_state" if name == "bert-large" else "logits"
    before = run(model, inputs)[output]
    inputs["input_ids"][:, 0] = (inputs["input_ids"][:, 0] + 1) % 50
    after = run(model, inputs)[output]
    np.testing.assert_array_equal(before[:, 1:], after[:, 1:])
    assert np.abs(before[:, 0] - after[:, 0]).max() > 1e-2


def test_rotary_positions_matter_only_relative_to_each_other() -> None:
    model = small(LLAMA)
    inputs = feeds(model)
    logits = run(model, inputs)["logits"]
    shifted = run(model, {**inputs, "position_ids": inputs["position_ids"] + 5})["logits"]
    spread = run(model, {**inputs, "position_ids": inputs["position_ids"] * 2})["logits"]
    np.testing.assert_allclose(logits, shifted, rtol=1e-3, atol=1e-3)
    assert np.abs(logits - spread).max() > 1e-2


def test_grouped_heads_equal_full_heads_with_repeated_weights() -> None:
    grouped = small(LLAMA, overrides={"kv_heads": "2"})
    full = small(LLAMA)
    weights = {w.name: numpy_helper.to_array(w) for w in grouped.graph.initializer}
    for tensor in full.graph.initializer:
        value = weights.get(tensor.name)
        if value is not None and (".k_proj" in tensor.name or ".v_proj" in tensor.name):
            value = value.reshape(64, 2, 1, 16).repeat(2, axis=2).reshape(64, 64)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    inputs = feeds(full)
    np.testing.assert_allclose(
        run(grouped, inputs)["logits"], run(full, inputs)["logits"], rtol=1e-4, atol=1e-4
    )


def test_nerf_is_the_perceptron_it_says() -> None:
    model = small("nerf")
    inputs = feeds(model)
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    x = inputs["positions"]
    for layer in range(3):
        x = x @ weights[f"layers.{layer}.weight"] + weights[f"layers.{layer}.bias"]
        x = np.maximum(x, 0) if layer < 2 else x
    np.testing.assert_allclose(run(model, inputs)["radiance"], x, rtol=1e-4, atol=1e-4)


def test_same_arguments_give_the_same_bytes_and_another_seed_others() -> None:
    def build(seed: int) -> bytes:
        return bytes(small(OPT, seed=seed).SerializeToString(deterministic=True))

    assert build(1) == build(1)
    assert build(1) != build(2)


def test_absent_weights_are_consecutive_ranges_of_one_missing_file() -> None:
    model = build_model("bert-large")
    end = 0
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            entry = {item.key: item.value for item in tensor.external_data}
            assert entry["location"] == "bert-large.weights"
            assert int(entry["offset"]) == end
            assert int(entry["length"]) == 4 * math.prod(tensor.dims)
            end += int(entry["length"])
    assert end == 4 * 335_141_888


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("bert-larg", {}, "did you mean bert-large?"),
        ("nerf", {"overrides": {"hiden": "8"}}, "did you mean hidden?"),
        ("resnet-18", {"overrides": {"layers": "2"}}, "unknown parameter 'layers'"),
        ("nerf", {"overrides": {"hidden": "wide"}}, "positive integer, not 'wide'"),
        ("nerf", {"overrides": {"hidden": "0"}}, "positive integer, not '0'"),
        (OPT, {"overrides": {"norm_epsilon": "nan"}}, "positive number"),
        ("bert-large", {"overrides": {"heads": "3"}}, "multiple of heads (3)"),
        ("bert-large", {"seq": 513}, "513 positions and the model 512"),
        (OPT, {"phase": "decode", "past": 2048}, "2049 positions and the model 2048"),
        ("bert-large", {"seq": 0}, "--seq must be at least 1"),
        ("bert-large", {"batch": -1}, "--batch must be at least 1"),
        ("vit-base", {"seq": 4}, "no sequence"),
        ("bert-large", {"phase": "decode"}, "no decode phase"),
        (OPT, {"past": 4}, "--phase decode"),
        (OPT, {"phase": "decode", "past": 0}, "--past must be at least 1"),
        ("llama-2-7b", {"weights": "random"}, "random weights take 27.0 GB"),
    ],
)
def test_wrong_arguments_are_named(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_model(name, **arguments)
    assert message in str(caught.value)
    assert str(caught.value).count("\n") <= 2


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["zoo", *arguments])


def test_cli_builds_the_same_file_that_the_function_does(tmp_path: Path) -> None:
    path = tmp_path / "nerf.onnx"
    options = ["build", "nerf", "--batch", "4", "--seq", "2", "--layers", "3", "--set", "hidden=8"]
    options += ["--weights", "random", "--seed", "7"]
    assert invoke(*options, "-o", str(path)).exit_code == 0
    assert [item.name for item in tmp_path.iterdir()] == ["nerf.onnx"]
    model = build_model(
        "nerf",
        batch=4,
        seq=2,
        weights="random",
        seed=7,
        overrides={"layers": "3", "hidden": "8"},
    )
    assert path.read_bytes() == model.SerializeToString(deterministic=True)
    assert invoke(*options, "-o", "-").stdout_bytes == path.read_bytes()


def test_cli_lists_every_recipe() -> None:
    described = json.loads(invoke("list", "--format", "json").stdout)
    assert [item["name"] for item in described] == NAMES
    assert described[0]["parameters"]["hidden"] == 1024
    table = invoke("list").stdout.splitlines()
    assert [line.split()[0] for line in table[1:]] == NAMES
    assert max(map(len, table)) <= 120


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["build", "nerff", "-o", "-"], UsageError, "did you mean nerf?"),
        (["build", "nerf", "--set", "hidden", "-o", "-"], UsageError, "NAME=VALUE"),
        (["build", "nerf", "-o", "no/such/place.onnx"], FileAccessError, "mkdir -p"),
    ],
)
def test_cli_errors_carry_their_exit_code(
    arguments: list[str], error: type[T10cError], message: str
) -> None:
    caught = invoke(*arguments).exception
    assert isinstance(caught, error)
    assert caught.exit_code == {UsageError: 2, FileAccessError: 3}[error]
    assert message in str(caught)


def test_cli_needs_an_output() -> None:
    result = invoke("build", "nerf")
    assert result.exit_code == 2
    assert "-o" in result.stderr
