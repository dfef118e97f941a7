"""What decides an answer, and must not find that of another."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
import pytest
from cache_support import kinds, perceptron
from cli_support import HARDWARE, Command
from onnx import TensorProto, helper, numpy_helper
from test_custom_operators import installed

from t10c.cli.planning import _NOT_ASKED, PlanRequest
from t10c.schedule import choices

pytestmark = pytest.mark.usefixtures("store")


@pytest.mark.parametrize(
    "changed",
    [
        "--dim batch=5",
        "--shape x:5x8",
        "--transitions uniform",
        "--search exhaustive",
        "--persistent h0",
        "--buffers double",
        "--hw-set cores.count=32",
        "--hw-set clock=1.4GHz",
        "--hw-set cores.count=64",
    ],
)
def test_every_option_that_decides_an_answer_is_asked_for(
    t10c: Command, tmp_path: Path, changed: str
) -> None:
    model = perceptron(tmp_path / "net.onnx", (8, 12, 16), "batch")
    bound = () if "--dim" in changed or "--shape" in changed else ("--dim", "batch=4")
    usual = ("compile", model, *HARDWARE, "-o", "-", "-q")
    assert t10c(*usual, "--dim", "batch=4").code == 0
    before = kinds(t10c)["report"]["hits"]
    other = t10c(*usual, *bound, *changed.split())
    assert other.code == 0, other.stderr
    assert kinds(t10c)["report"]["hits"] == before
    off = t10c(*usual, *bound, *changed.split(), "--cache", "off")
    assert other.stdout == off.stdout
    assert t10c(*usual, *bound, *changed.split()).stdout == off.stdout
    assert kinds(t10c)["report"]["hits"] == before + 1


def test_a_value_decides(t10c: Command, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Expand", ["x", "shape"], ["y"]),
        helper.make_node("Relu", ["y"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes,
        "expanded",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8]),
            helper.make_tensor_value_info("shape", TensorProto.INT64, [2]),
        ],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 8])],
    )
    imports = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), tmp_path / "m.onnx")
    command = ("compile", "m.onnx", *HARDWARE, "-o", "-", "-q")
    four = t10c(*command, "--value", "shape=[4,8]")
    six = t10c(*command, "--value", "shape=[6,8]")
    assert four.stdout != six.stdout
    assert kinds(t10c)["report"]["hits"] == 0
    assert t10c(*command, "--value", "shape=[ 4, 8 ]").stdout == four.stdout
    assert kinds(t10c)["report"]["hits"] == 1


def test_the_chip_decides_not_the_name_of_its_file(t10c: Command, tmp_path: Path) -> None:
    model = perceptron(tmp_path / "net.onnx", (8, 12, 16))
    chip = tmp_path / "chip.yaml"
    usual = ("compile", model, "--hw", chip, "-o", "-", "-q")
    plans = []
    for cores in (8, 16):
        chip.write_text(f"extends: ipu-mk2\nname: chip\ncores: {{count: {cores}, source: mine}}\n")
        found = t10c(*usual)
        assert found.code == 0, found.stderr
        assert found.stdout == t10c(*usual, "--cache", "off").stdout
        plans.append(found.stdout)
    assert plans[0] != plans[1]
    assert kinds(t10c)["report"]["hits"] == 0
    moved = chip.rename(tmp_path / "other.yaml")
    again = ("compile", model, "--hw", moved, "-o", "-", "-q")
    assert t10c(*again).stdout == plans[1] == t10c(*again, "--cache", "off").stdout
    assert kinds(t10c)["report"]["hits"] == 1


def test_the_order_of_options_does_not_matter_where_it_does_not_show(
    t10c: Command, tmp_path: Path
) -> None:
    model = perceptron(tmp_path / "net.onnx", (8, 12, 16), "batch")
    usual = ("compile", model, *HARDWARE, "-o", "-", "-q", "--dim", "batch=4")
    names = [("--persistent", name) for name in ("h0", "x")]
    one, other = ([*names[0], *names[1]], [*names[1], *names[0], *names[1]])
    plan = t10c(*usual, *one).stdout
    assert t10c(*usual, *other).stdout == plan
    assert kinds(t10c)["report"]["hits"] == 1
    assert t10c(*usual, *other, "--cache", "off").stdout == plan


def test_the_model_decides_and_so_does_its_name(t10c: Command, tmp_path: Path) -> None:
    model = perceptron(tmp_path / "net.onnx", (8, 12, 16))
    usual = (*HARDWARE, "-o", "-", "-q")
    plan = t10c("compile", model, *usual).stdout
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "net.onnx"
    copy.write_bytes(model.read_bytes())
    assert t10c("compile", copy, *usual).stdout == plan
    assert kinds(t10c)["report"]["hits"] == 1
    renamed = model.rename(tmp_path / "other.onnx")
    assert json.loads(t10c("compile", renamed, *usual).stdout)["model"]["name"] == "other"
    assert kinds(t10c)["report"]["hits"] == 1
    perceptron(copy, (8, 12, 20))
    found = t10c("compile", copy, *usual).stdout
    assert found == t10c("compile", copy, *usual, "--cache", "off").stdout != plan


def external_model(folder: Path) -> Path:
    """A model whose Reshape reads its shape from a file beside it."""
    shape = numpy_helper.from_array(np.array([4, 6], np.int64), "shape")
    weight = numpy_helper.from_array(np.ones((6, 6), np.float32), "w")
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "shape"], ["r"]),
            helper.make_node("MatMul", ["r", "w"], ["y"]),
        ],
        "external",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [24])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [shape, weight],
    )
    imports = [helper.make_opsetid("", 17)]
    path = folder / "net.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=imports, ir_version=8),
        path,
        save_as_external_data=True,
        location="net.data",
        size_threshold=0,
    )
    return path


def test_files_beside_the_model_decide_where_they_are_read(t10c: Command, tmp_path: Path) -> None:
    model = external_model(tmp_path)
    data = (tmp_path / "net.data").read_bytes()
    place = data.index(np.array([4, 6], np.int64).tobytes())
    usual = ("compile", model, *HARDWARE, "-o", "-", "-q")
    first = t10c(*usual)
    assert first.code == 0, first.stderr
    changed = bytearray(data)
    changed[place : place + 8] = np.array([-1], np.int64).tobytes()
    (tmp_path / "net.data").write_bytes(changed)
    assert t10c(*usual).stdout == first.stdout  # the same shape, written otherwise
    assert kinds(t10c)["report"]["hits"] == 0
    weights = bytearray(data)
    far = (place + 64) % len(data) if place < len(data) / 2 else 0
    weights[far] ^= 1
    (tmp_path / "net.data").write_bytes(weights)
    assert t10c(*usual).stdout == first.stdout
    assert kinds(t10c)["report"]["hits"] == 1  # weights are not read
    changed[place : place + 16] = np.array([2, 12], np.int64).tobytes()
    (tmp_path / "net.data").write_bytes(changed)
    refused = t10c(*usual)
    assert refused.code == t10c(*usual, "--cache", "off").code != 0
    (tmp_path / "net.data").unlink()
    gone = t10c(*usual)
    off = t10c(*usual, "--cache", "off")
    assert (gone.code, gone.stdout, gone.stderr) == (off.code, off.stdout, off.stderr)
    assert off.stdout != first.stdout


def test_a_model_that_changes_while_it_is_planned_is_not_kept(
    t10c: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = perceptron(tmp_path / "net.onnx", (8, 12, 16))
    before = model.read_bytes()
    plan = t10c("compile", model, *HARDWARE, "-o", "-", "-q", "--cache", "off").stdout
    find = choices.find_choices

    def meanwhile(*arguments, **named):
        model.write_bytes(before)
        return find(*arguments, **named)

    monkeypatch.setattr(choices, "find_choices", meanwhile)
    assert t10c("compile", model, *HARDWARE, "-o", "-", "-q").stdout == plan
    assert "report" not in {k for k, v in kinds(t10c).items() if v["entries"]}


def test_where_packages_add_operators_no_answers_are_kept(nerf: Path, tmp_path: Path) -> None:
    """Their code decides too; the searches of operators do not depend on it, and are kept."""
    environment = installed(tmp_path / "site")
    for _ in range(2):
        command = [sys.executable, "-m", "t10c", "compile", str(nerf), *HARDWARE]
        shown = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr
    assert "3 of 3 from the cache" in shown.stdout
    command = [sys.executable, "-m", "t10c", "cache", "info", "--format", "json"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert set(json.loads(found.stdout)["kinds"]) <= {"choices", "front"}


def test_every_option_is_asked_for_or_known_not_to_matter() -> None:
    """A new option is part of the key, unless somebody says that it does not decide anything."""
    usual = PlanRequest(
        model="net.onnx",
        hardware="ipu-mk2",
        overrides=(),
        buffers=None,
        dims=(),
        shapes=(),
        values=(),
        transitions="exact",
        pruning="pruned",
        persistent=(),
        objective="latency",
        time_limit=None,
        jobs=1,
        cluster=None,
        cache_place=None,
        begun_seconds=0.0,
    )
    other: dict[str, object] = {
        "overrides": ("clock=1GHz",),
        "dims": ("a=1",),
        "shapes": ("x:1",),
        "values": ("x=1",),
        "transitions": "uniform",
        "pruning": "exhaustive",
        "persistent": ("x",),
        "objective": "memory",
        "time_limit": "10s",
    }
    names = {field.name for field in fields(PlanRequest)}
    assert names == set(other) | _NOT_ASKED, "say here what another value of the new option is"
    for name, value in other.items():
        given = {field.name: getattr(usual, field.name) for field in fields(usual)}
        assert PlanRequest(**{**given, name: value}).asked != usual.asked, name
    doubled = {field.name: getattr(usual, field.name) for field in fields(usual)}
    assert PlanRequest(**{**doubled, "buffers": "double"}).asked != usual.asked
