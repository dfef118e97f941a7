"""Bad input: the documented exit code, a short message with place and remedy, nothing written."""

import json
import os
from pathlib import Path

import onnx
import pytest
from cli_support import HARDWARE, Command, listing
from onnx import TensorProto, helper

HW = ("--hw", "ipu-mk2")


def fails(result, code: int, *parts: str) -> None:
    """The result is an error with this exit code that says all of `parts`."""
    assert result.code == code, result.stderr
    lines = result.stderr.splitlines()
    assert 1 <= len(lines) <= 3, result.stderr
    assert lines[0].startswith("error: ")
    assert max(map(len, lines)) <= 240
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in result.stderr
    assert result.stdout == b""


def value(name: str, shape: list[int | str]):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def save(path: Path, nodes: list, shape: list[int | str], result: str, domain: str = "") -> None:
    graph = helper.make_graph(nodes, "g", [value("x", shape)], [value(result, shape)])
    opsets = [helper.make_opsetid("", 17)]
    opsets += [helper.make_opsetid(domain, 1)] if domain else []
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


@pytest.fixture
def models(tmp_path: Path, nerf: Path) -> Path:
    """The working directory, filled with bad models and a good one."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "text.onnx").write_text("name: not a model\n")
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "good.onnx").write_bytes(nerf.read_bytes())
    (tmp_path / "cut.onnx").write_bytes(nerf.read_bytes()[:700])
    relu = helper.make_node("Relu", ["x"], ["y"], name="r")
    save(tmp_path / "symbolic.onnx", [relu], ["batch", 64], "y")
    frob = helper.make_node("Frob", ["x"], ["y"], name="odd", domain="my.domain")
    save(tmp_path / "domain.onnx", [frob], [4, 64], "y", "my.domain")
    join = helper.make_node("StringConcat", ["x", "x"], ["y"], name="join")
    texts = [helper.make_tensor_value_info(name, TensorProto.STRING, [2]) for name in "xy"]
    graph = helper.make_graph([join], "g", texts[:1], texts[1:])
    newer = helper.make_opsetid("", 20)
    onnx.save(
        helper.make_model(graph, opset_imports=[newer], ir_version=9), tmp_path / "texts.onnx"
    )
    opset = helper.make_opsetid("", 17)
    graph = helper.make_graph([relu], "g", [value("x", [4])], [])
    onnx.save(helper.make_model(graph, opset_imports=[opset]), tmp_path / "aimless.onnx")
    circle = [
        helper.make_node("Add", ["x", "b"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="second"),
    ]
    save(tmp_path / "cyclic.onnx", circle, [4, 64], "b")
    return tmp_path


MODEL_ERRORS = [
    (["none.onnx"], 3, ["cannot read 'none.onnx': No such file", "give an ONNX file"]),
    (["god.onnx"], 3, ["cannot read 'god.onnx'", "did you mean 'good.onnx'?"]),
    (["good.json"], 3, ["did you mean 'good.onnx'?"]),
    (["directory"], 3, ["cannot read 'directory': Is a directory", "give an ONNX file"]),
    ([""], 2, ["MODEL is empty"]),
    (["text.onnx"], 4, ["text.onnx", "text, not an ONNX model", "export"]),
    (["empty.onnx"], 4, ["empty.onnx", "empty", "again"]),
    (["aimless.onnx"], 4, ["aimless.onnx", "no outputs", "model.graph.output"]),
    (["cut.onnx"], 4, ["cut.onnx", "cut short", "again"]),
    (["symbolic.onnx"], 4, ["'batch' of input 'x'", "--dim batch=1"]),
    (["symbolic.onnx", "--dim", "btach=1"], 2, ["btach", "did you mean", "batch"]),
    (["symbolic.onnx", "--dim", "batch=2", "--dim", "batch=3"], 2, ["twice", "2 and 3"]),
    (["symbolic.onnx", "--dim", "batch=-1"], 2, ["--dim batch=-1", "at least 0"]),
    (["symbolic.onnx", "--dim", "batch"], 2, ["NAME=N"]),
    (
        ["symbolic.onnx", "--dim", "batch=2", "--shape", "x:3x64"],
        4,
        ["--shape x:3x64", "--dim batch=2"],
    ),
    (["symbolic.onnx", "--shape", "x:2x65"], 4, ["x:2x65", "64", "[batch, 64]"]),
    (["symbolic.onnx", "--shape", "x:2"], 4, ["1 dimensions", "[batch, 64]"]),
    (["symbolic.onnx", "--shape", "y:2x64"], 2, ["no input 'y'", "x"]),
    (["symbolic.onnx", "--shape", "x:2xx"], 2, ["TENSOR:AxBxC"]),
    (["symbolic.onnx", "--shape", "x:2x64", "--shape", "x:3x64"], 2, ["--shape x", "twice"]),
    (["symbolic.onnx", "--value", "x"], 2, ["TENSOR=NUMBER", "--value k=5"]),
    (["symbolic.onnx", "--value", "x=one"], 2, ["--value x=one", "TENSOR=LIST"]),
    (["symbolic.onnx", "--value", 'x=["one"]'], 2, ["TENSOR=LIST"]),
    (["symbolic.onnx", "--value", "x=1", "--value", "x=2"], 2, ["--value x", "twice"]),
    (["symbolic.onnx", "--value", "xx=1"], 2, ["no input 'xx'", "did you mean 'x'?"]),
    (["symbolic.onnx", "--value", "x=[[1,2]]"], 4, ["--value x=[1,2]", "[batch, 64]"]),
    (["symbolic.onnx", "--value", "x=1"], 4, ["'batch' of input 'x'"]),
    (["domain.onnx"], 5, ["domain.onnx", "odd", "my.domain", "Frob"]),
    (["texts.onnx"], 5, ["texts.onnx: ", "join", "StringConcat"]),
    (["cyclic.onnx"], 4, ["cyclic.onnx", "first", "cycle"]),
]


@pytest.mark.parametrize("command", ["compile", "inspect"])
@pytest.mark.parametrize(("arguments", "code", "parts"), MODEL_ERRORS)
def test_model(
    t10c: Command, models: Path, command: str, arguments: list[str], code: int, parts: list[str]
) -> None:
    before = listing(models)
    more = [*HW, "-o", "new.plan.json"] if command == "compile" else []
    fails(t10c(command, *arguments, *more), code, *parts)
    assert listing(models) == before


def test_model_on_standard_input(t10c: Command, nerf: Path) -> None:
    fails(t10c("compile", "-", *HW), 4, "empty")
    fails(t10c("inspect", "-", stdin=nerf.read_bytes()[:900]), 4, "cut short")
    assert t10c("inspect", "-", stdin=nerf.read_bytes()).code == 0


def test_tensor_that_is_not_there(t10c: Command, nerf: Path, tmp_path: Path) -> None:
    fails(t10c("compile", nerf, *HW, "--persistent", "kv"), 2, "--persistent kv", "t10c inspect")
    fails(t10c("compile", nerf, *HW, "--persistent", "postions"), 2, "did you mean positions")
    assert listing(tmp_path) == {}


CHIP = """\
name: mine
extends: ipu-mk2
cores:
  count: 64
  source: {count: "estimate: a test"}
"""

SPEC_ERRORS = [
    ("name: [mine\n", ["mine.yaml:"]),
    ("just words\n", ["mine.yaml:1:1", "mapping"]),
    (
        CHIP.replace("  count: 64", "  cuont: 64"),
        ["mine.yaml:4:3: cores.cuont", "did you mean count"],
    ),
    (CHIP.replace("  count: 64", "  count: 0"), ["mine.yaml:4:10: cores.count", "at least 1"]),
    (CHIP.replace("count: 64", "sram: -1KiB").replace("count:", "sram:"), ["cores.sram"]),
    (CHIP.replace("count: 64", "sram: 624").replace("count:", "sram:"), ["cores.sram", "624KiB"]),
    (CHIP.replace("ipu-mk2", "ipu-mk3"), ["mine.yaml:2:", "ipu-mk2"]),
]


@pytest.mark.parametrize(("text", "parts"), SPEC_ERRORS)
def test_hardware_file(
    t10c: Command, nerf: Path, tmp_path: Path, text: str, parts: list[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    before = listing(tmp_path)
    fails(t10c("hw", "check", "mine.yaml"), 6, *parts)
    fails(t10c("compile", nerf, "--hw", "./mine.yaml", "-o", "p.json"), 6, *parts)
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("cores.cuont=4", ["cores.cuont", "cores.count"]),
        ("cores.count", ["KEY=VALUE"]),
        ("cores.count=0", ["cores.count", "at least 1"]),
        ("cores.count=many", ["cores.count", "many"]),
        ("cores.sram=-5KiB", ["cores.sram", "negative"]),
        ("cores.sram=5", ["no unit", "624KiB"]),
        ("clock=1.3", ["clock", "unit"]),
        ("interconnect.kind=ring", ["ring", "all-to-all"]),
    ],
)
def test_hardware_override(
    t10c: Command, nerf: Path, tmp_path: Path, setting: str, parts: list[str]
) -> None:
    for command in (
        ("compile", nerf, *HW, "-o", "p.json"),
        ("op", "matmul", "--axes", "m=8,n=8,k=8", *HW),
        ("hw", "show", "ipu-mk2"),
    ):
        code = 2 if "=" not in setting else 6
        fails(t10c(*command, "--hw-set", setting), code, "--hw-set", *parts)
    assert listing(tmp_path) == {}


def test_hardware_that_is_not_there(t10c: Command, nerf: Path, tmp_path: Path) -> None:
    for command in (("compile", nerf, "--hw"), ("hw", "show")):
        fails(t10c(*command, "ipu-mk3"), 3, "ipu-mk3", "did you mean", "presets: ")
        fails(t10c(*command, "none.yaml"), 3, "cannot read 'none.yaml': no such", "presets: ")
    fails(t10c("hw", "check", "none.yaml"), 3, "cannot read 'none.yaml': no such", "presets: ")
    fails(t10c("hw", "show", "."), 3, "cannot read '.': Is a directory", "presets: ")
    assert listing(tmp_path) == {}


@pytest.mark.parametrize(
    "command",
    [
        ("compile", "{nerf}", *HARDWARE),
        ("zoo", "build", "nerf"),
        ("calibrate", "{samples}"),
    ],
    ids=lambda command: command[0],
)
def test_output(t10c: Command, nerf: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "directory").mkdir()
    samples = tmp_path / "samples.csv"
    samples.write_text("chl,out_hw,ker_hw,cycles\n1,9,4,100\n")
    made = [text.format(nerf=nerf, samples=samples) for text in command]
    before = listing(tmp_path)
    fails(t10c(*made, "-o", "no/such/file"), 3, "no/such/file", "mkdir -p 'no/such'")
    fails(t10c(*made, "-o", "directory"), 3, "directory", "name a file in it")
    fails(t10c(*made, "-o", ""), 2, "-o is empty")
    assert listing(tmp_path) == before


def test_output_that_may_not_be_written(t10c: Command, nerf: Path, tmp_path: Path) -> None:
    place = tmp_path / "locked"
    place.mkdir(mode=0o555)
    if os.access(place, os.W_OK):
        place = Path("/proc")  # nobody may, not even root
    fails(t10c("zoo", "build", "nerf", "-o", place / "new"), 3, "cannot write", "-o")


def test_output_over_an_input(t10c: Command, nerf: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(nerf.read_bytes())
    before = listing(tmp_path)
    fails(
        t10c("compile", "model.onnx", *HARDWARE, "-o", "./model.onnx"), 2, "the file that is read"
    )
    assert listing(tmp_path) == before


@pytest.fixture
def plan(tmp_path: Path, nerf_plan: Path) -> Path:
    path = tmp_path / "p.json"
    path.write_bytes(nerf_plan.read_bytes())
    return path


def edited(path: Path, *edits: tuple[list[str | int], object]) -> None:
    document = json.loads(path.read_text())
    for keys, new in edits:
        inner = document
        for key in keys[:-1]:
            inner = inner[key]
        assert inner[keys[-1]] != new
        inner[keys[-1]] = new
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("keys", "new", "parts"),
    [
        (["schema"], "other.plan", ["not a t10c plan", "t10c compile MODEL.onnx"]),
        (["version"], 2, ["version 2", "upgrade t10c"]),
        (["version"], "1", ["version"]),
        (["hardware_hash"], "0" * 64, ["hardware_hash", "edited"]),
        (["hardware", "core_count"], 65, ["edited"]),
        (["plan_hash"], "0" * 64, ["plan_hash", "edited"]),
        (["latency_cycles"], 1.0, ["latency_cycles", "edited", "compile the model again"]),
        (["lower_bound_cycles"], 1.0, ["plan_hash", "edited"]),
        (["operators", 0, "split", "n"], 10**6, ["operators[0].split.n"]),
        (["operators", 0, "cost_cycles", "compute"], 1.0, ["edited"]),
        (
            ["operators", 0, "cost_cycles", "compute"],
            "fast",
            ["operators[0].cost_cycles.compute", "a number"],
        ),
        (["operators", 0, "memory_bytes", "total"], 1, ["edited"]),
        (["problems", 0, "front", 0, "cycles"], 1.0, ["plan_hash", "edited"]),
        (["model", "tensors", 0, "shape", 0], 7, ["plan_hash", "edited"]),
    ],
)
def test_plan_that_was_edited(
    t10c: Command, plan: Path, keys: list[str | int], new: object, parts: list[str]
) -> None:
    assert t10c("explain", "p.json").code == 0
    edited(plan, (keys, new))
    before = listing(plan.parent)
    fails(t10c("explain", "p.json"), 4, "p.json: ", *parts)
    assert listing(plan.parent) == before


def test_plan_that_is_none(t10c: Command, plan: Path) -> None:
    data = plan.read_bytes()
    for name, content in (
        ("empty", b""),
        ("cut", data[: len(data) // 2]),
        ("number", b"7"),
        ("list", b"[]"),
        ("binary", b"\x00\xff\xfe" * 9),
        ("deep", b"[" * 100_000),
    ):
        Path(name).write_bytes(content)
        fails(t10c("explain", name), 4, f"{name}: ", "plan")
    fails(t10c("explain", "-", stdin=data[:99]), 4, "standard input")
    fails(t10c("explain", "none.json"), 3, "cannot read 'none.json': No such", "give a plan file")
    fails(t10c("explain", "bianry"), 3, "did you mean 'binary'?")
    fails(t10c("explain", "."), 3, "cannot read '.': Is a directory", "give a plan file")


def test_plan_without_a_key(t10c: Command, plan: Path) -> None:
    document = json.loads(plan.read_text())
    del document["operators"]
    plan.write_text(json.dumps(document))
    fails(t10c("explain", "p.json"), 4, "operators: is missing", "compile the model again")


def test_operator_that_is_not_in_the_plan(t10c: Command, plan: Path) -> None:
    fails(t10c("explain", "p.json", "--op", "/layers.0/Matmul"), 2, "did you mean /layers.0/MatMul")
    fails(t10c("explain", "p.json", "--op", "?"), 2, "no such operator", "t10c explain PLAN")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["compil", "x"], ["no such command 'compil'", "did you mean compile", "t10c --help"]),
        (["zzz"], ["no such command 'zzz'", "compile, inspect"]),
        (["hw", "lst"], ["did you mean list", "t10c hw --help"]),
        (["compile", "x", *HW, "--optput", "y"], ["--optput", "--output", "t10c compile --help"]),
        (["compile", "x"], ["--hw", "t10c compile --help"]),
        (["compile", *HW], ["MODEL"]),
        (["compile", "x", *HW, "--jobs", "0"], ["--jobs", "0"]),
        (["compile", "x", *HW, "--format", "xml"], ["--format", "xml", "json"]),
        (["explain"], ["PLAN"]),
        (["op", "matmul", *HW], ["--axes"]),
        (["zoo", "build", "bert-lrage", "-o", "x"], ["bert-lrage", "bert-large", "t10c zoo list"]),
        (["zoo", "build", "nerf", "-o", "x", "--set", "hiden=4"], ["hiden", "hidden"]),
        (["zoo", "build", "nerf", "-o", "x", "--batch", "0"], ["--batch", "at least 1"]),
        (["zoo", "build", "nerf", "-o", "x", "--past", "4"], ["--past", "--phase decode"]),
    ],
)
def test_usage(t10c: Command, tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    fails(t10c(*arguments), 2, *parts)
    assert listing(tmp_path) == {}


@pytest.mark.parametrize(
    ("expression", "axes", "parts"),
    [
        ("matmul", "m=8,n=8", ["k", "m=8,n=8,k=8"]),
        ("matmul", "m=8,n=8,k=8,q=3", ["no axis 'q'", "m, n, k"]),
        ("matmul", "m=0,n=8,k=8", ["m=0", "at least 1"]),
        ("matmul", "m=-1,n=8,k=8", ["m=-1", "at least 1"]),
        ("matmul", "m=8,m=9,k=8", ["m twice"]),
        ("matmul", "m:8", ["NAME=LENGTH"]),
        ("matmul", f"m={'9' * 5000},n=8,k=8", ["m is too large"]),
        ("matmul", "m=1000000000000,n=1000000000000,k=1000000000000", ["A is too large"]),
        (f"O[h] max= I[{'9' * 5000}*h+k]", "h=8,k=8", ["I: the stride of h is too large"]),
        ("matmul", "", ["--axes"]),
        ("matmull", "m=8", ["did you mean matmul"]),
        ("C[m,n] += A[m,k * B[k,n]", "m=8,n=8,k=8", ["A"]),
        ("C[m,n] += A[m,k] * B[k,n]", "m=8,n=8", ["'k' has no length"]),
        ("C[m,n] += A[m,k] * B[k,n]", "m=8,n=8,k=8,q=2", ["q", "does not use"]),
        ("C[m,n] = A[m,k] * B[k,n]", "m=8,n=8,k=8", ["k", "+="]),
        ("C[m,n] += A[m,k] B[k,n]", "m=8,n=8,k=8", ["A[m,k] B[k,n]"]),
        ("C[m,n]", "m=8,n=8", ["OUT[axes]"]),
        ("[", "m=8", ["OUT[axes]"]),
    ],
)
def test_operator(
    t10c: Command, tmp_path: Path, expression: str, axes: str, parts: list[str]
) -> None:
    fails(t10c("op", expression, "--axes", axes, *HW), 2, *parts)
    assert listing(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "code", "parts"),
    [
        (None, 3, ["cannot read 'samples.csv': No such file", "give a CSV file"]),
        ("", 4, ["samples.csv", "chl,out_hw,ker_hw,cycles"]),
        (
            "chl,out_hw,ker_hw,cycles\n1,9,4,100\n",
            4,
            ["samples.csv", "1 samples", "20", "measure more"],
        ),
        ("a,b\n1,2\n", 4, ["samples.csv:1", "columns"]),
        (
            "chl,out_hw,ker_hw,cycles\n1,9,x,100\n" + "1,9,4,100\n" * 20,
            4,
            ["samples.csv:2", "ker_hw"],
        ),
        ("chl,out_hw,ker_hw,cycles\n1,9,4\n" + "1,9,4,100\n" * 20, 4, ["samples.csv:2"]),
    ],
)
def test_samples(
    t10c: Command, tmp_path: Path, text: str | None, code: int, parts: list[str]
) -> None:
    if text is not None:
        (tmp_path / "samples.csv").write_text(text)
    before = listing(tmp_path)
    fails(t10c("calibrate", "samples.csv", "-o", "fit.yaml"), code, *parts)
    assert listing(tmp_path) == before
