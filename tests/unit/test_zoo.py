"""The zoo: valid models that run when shrunken, reproducible files, and the commands."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto
from zoo_models import NAMES, OPT, declared_shapes, feeds, run, small, weights_of

from t10c.cli import cli
from t10c.errors import FileAccessError, T10cError, UsageError
from t10c.zoo import build_model, list_recipes


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


def test_nerf_is_the_perceptron_it_says() -> None:
    model = small("nerf")
    inputs = feeds(model)
    weights = weights_of(model)
    x = inputs["positions"]
    for layer in range(3):
        x = x @ weights[f"layers.{layer}"] + weights[f"layers.{layer}.bias"]
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
