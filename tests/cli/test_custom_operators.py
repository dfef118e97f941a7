"""Operators that a package of someone else adds: the example of docs/custom-operators.md."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli_support import ROOT
from onnx import TensorProto, helper

EXAMPLE = ROOT / "docs" / "examples" / "banded-operators"


def installed(place: Path, entry_point: str = "") -> dict[str, str]:
    """An environment in which the example is installed, by the metadata an installer writes."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    ((group, entries),) = project["entry-points"].items()
    lines = [f"[{group}]", *(f"{k} = {entry_point or v}" for k, v in entries.items())]
    metadata = place / f"banded_operators-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, EXAMPLE, place)))}


def t10c(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "t10c", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def model(tmp_path: Path) -> str:
    nodes = [
        helper.make_node("BandedMatMul", ["x", "bands"], ["y"], "band", domain="com.example"),
        helper.make_node("ScaledRelu", ["y"], ["z"], "act", domain="com.example", scale=2.0),
    ]
    bands = onnx.numpy_helper.from_array(np.ones((3, 16), np.float32), "bands")
    graph = helper.make_graph(
        nodes,
        "banded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 18])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [4, 16])],
        [bands],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    path = tmp_path / "banded.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return str(path)


def test_the_example_is_planned(tmp_path: Path, model: str) -> None:
    environment = installed(tmp_path / "site")
    shown = t10c(environment, "inspect", model, "--format", "json")
    assert shown.returncode == 0, shown.stderr
    document = json.loads(shown.stdout)
    assert document["nodes"]["planned"] == 1
    assert document["nodes"]["fused"] == 1
    assert document["operators"][0]["axes"] == {"m": 4, "n": 16, "k": 3}
    hardware = ("--hw", "ipu-mk2", "--hw-set", "cores.count=16")
    assert t10c(environment, "compile", model, *hardware).returncode == 0
    assert "BandedMatMul" in t10c(environment, "ops", "BandedMatMul").stdout


def test_the_documented_listing_is_what_is_printed(tmp_path: Path) -> None:
    printed = t10c(installed(tmp_path / "site"), "ops", "BandedMatMul").stdout
    assert printed in (ROOT / "docs" / "custom-operators.md").read_text()


def test_without_the_package_the_node_is_named(model: str) -> None:
    result = t10c({**os.environ, "PYTHONPATH": str(ROOT)}, "inspect", model)
    assert result.returncode == 5
    assert "node 'band' (com.example.BandedMatMul)" in result.stderr
    assert len(result.stderr.splitlines()) <= 3


def test_a_package_that_cannot_be_imported_is_named(tmp_path: Path, model: str) -> None:
    result = t10c(installed(tmp_path / "site", "no_such_module"), "inspect", model)
    assert result.returncode == 2
    assert "'banded' (no_such_module)" in result.stderr
    assert "Traceback" not in result.stderr
