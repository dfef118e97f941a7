"""`compile --emit program` and `explain --program`: files, text, names, errors."""

import json
import re
from pathlib import Path

import pytest
from cli_support import HARDWARE, Command, listing

import t10c


@pytest.fixture(scope="module")
def nerf_program(nerf: Path) -> Path:
    """The program of the small perceptron, lowered from its plan."""
    path = nerf.with_suffix(".program.json")
    plan = t10c.load_plan(nerf.with_suffix(".plan.json").read_bytes(), "plan")
    path.write_bytes(t10c.dump_program(t10c.lower_plan(plan)))
    return path


@pytest.fixture(autouse=True)
def _planned(nerf_plan: Path) -> None:
    """Every test here wants the plan's file to be there."""


def test_compile_writes_the_program_of_the_plan(
    t10c: Command, nerf: Path, nerf_program: Path, tmp_path: Path
) -> None:
    result = t10c("compile", nerf, *HARDWARE, "--emit", "program", "-o", "p.json")
    assert result.code == 0
    assert "latency " in result.out
    assert list(listing(tmp_path)) == ["p.json"]
    assert (tmp_path / "p.json").read_bytes() == nerf_program.read_bytes()
    streamed = t10c("compile", nerf, *HARDWARE, "--emit", "program", "-o", "-")
    assert streamed.stdout == nerf_program.read_bytes()
    assert "latency " in streamed.stderr
    document = json.loads(streamed.out)
    assert (document["schema"], document["version"]) == ("t10c.program", 1)


def test_a_program_without_a_file_to_write_is_a_mistake(t10c: Command, nerf: Path) -> None:
    result = t10c("compile", nerf, *HARDWARE, "--emit", "program")
    assert result.code == 2
    assert "-o" in result.stderr
    result = t10c("compile", nerf, *HARDWARE, "--emit", "text", "-o", "p.json")
    assert result.code == 2
    assert "'plan', 'program'" in result.stderr


def test_plan_and_program_file_show_the_same_program(
    t10c: Command, nerf_plan: Path, nerf_program: Path
) -> None:
    shown = t10c("explain", nerf_plan, "--program")
    assert shown.code == 0
    assert not shown.stderr
    for arguments in ([nerf_program], [nerf_program, "--program"], ["-", "--program"]):
        result = t10c("explain", *arguments, stdin=nerf_program.read_bytes())
        assert (result.code, result.out, result.stderr) == (0, shown.out, "")
    names = re.findall(r"^section (\S+)", shown.out, re.MULTILINE)
    assert names[:2] == ["load", "begin"]
    assert names[-1] == "end"
    assert names[2:-1] == [f"/layers.{i}/MatMul" for i in range(3)]


def test_one_operator_by_its_name_or_a_node(t10c: Command, nerf_plan: Path) -> None:
    shown = t10c("explain", nerf_plan, "--program")
    by_name = t10c("explain", nerf_plan, "--program", "--op", "/layers.1/MatMul")
    assert by_name.out.startswith("section /layers.1/MatMul (MatMul)")
    assert by_name.out in shown.out
    node = next(
        node["name"]
        for node in json.loads(nerf_plan.read_text())["model"]["nodes"]
        if node["operator"] == "/layers.1/MatMul" and node["name"] != "/layers.1/MatMul"
    )
    assert t10c("explain", nerf_plan, "--program", "--op", node).out == by_name.out
    load = t10c("explain", nerf_plan, "--program", "--op", "load")
    assert load.out.startswith("section load\n")
    assert load.out in shown.out


def test_the_document_of_a_program(t10c: Command, nerf_plan: Path, nerf_program: Path) -> None:
    whole = t10c("explain", nerf_plan, "--program", "--format", "json", "-q")
    assert json.loads(whole.out) == json.loads(nerf_program.read_text())
    one = t10c("explain", nerf_program, "--op", "/layers.2/MatMul", "--format", "json")
    document = json.loads(one.out)
    assert document["sections"] == json.loads(whole.out)["sections"][2:3]
    assert t10c("explain", nerf_plan, "--program", "-q").out == ""


def test_names_that_the_program_lacks(t10c: Command, nerf_plan: Path, nerf_program: Path) -> None:
    for path in (nerf_plan, nerf_program):
        result = t10c("explain", path, "--program", "--op", "/layers.1/Matmul")
        assert result.code == 2
        assert "did you mean /layers.1/MatMul?" in result.stderr
        assert len(result.stderr.splitlines()) <= 3


def test_an_edited_program_is_shown_and_said_to_be_edited(
    t10c: Command, nerf_program: Path, tmp_path: Path
) -> None:
    document = json.loads(nerf_program.read_text())
    document["reserved_bytes"] += 1
    (tmp_path / "p.json").write_text(json.dumps(document))
    result = t10c("explain", "p.json")
    assert result.code == 0
    assert result.stderr == "note: p.json was edited since t10c wrote it\n"
    assert t10c("explain", "p.json", "-q").stderr == ""


def test_a_program_that_is_none(t10c: Command, nerf_program: Path, tmp_path: Path) -> None:
    document = json.loads(nerf_program.read_text())
    first = document["sections"][0]["instructions"][0]
    first["buffer"]["piece"]["ranges"][0]["start"] = "core**2"
    (tmp_path / "p.json").write_text(json.dumps(document))
    result = t10c("explain", "p.json")
    assert result.code == 4
    assert "p.json: section '/layers.0/MatMul', instruction 0 (allocate)" in result.stderr
    assert "'core**2'" in result.stderr
    document["version"] = 2
    (tmp_path / "p.json").write_text(json.dumps(document))
    result = t10c("explain", "p.json")
    assert result.code == 4
    assert "upgrade t10c" in result.stderr


def test_a_program_that_cannot_be_is_not_shown(
    t10c: Command, nerf_program: Path, tmp_path: Path
) -> None:
    document = json.loads(nerf_program.read_text())
    loop = {"op": "loop", "count": 10**30, "body": []}
    for edit, said in (
        ({"core_count": 10**12}, "p.json: core_count: 1000000000000 cores"),
        ({"end": {**document["end"], "instructions": [loop]}}, "(loop): runs 1000"),
    ):
        (tmp_path / "p.json").write_text(json.dumps({**document, **edit}))
        for more in ((), ("--op", "/layers.0/MatMul"), ("--format", "json")):
            result = t10c("explain", "p.json", *more)
            assert result.code == 4
            assert said in result.stderr
            assert result.out == ""


def test_the_mistake_that_the_documents_describe_is_named_so(t10c: Command, tmp_path: Path) -> None:
    """docs/program.md quotes what is said of its example with a shift that brings nothing new."""
    sizes = ["--batch", "2", "--seq", "6", "--set", "layers=3", "--set", "hidden=32"]
    chip = ["--hw", "ipu-mk2", "--hw-set", "cores.count=12", "--hw-set", "cores.sram=9KiB", "-q"]
    t10c("zoo", "build", "nerf", *sizes, "-o", "nerf.onnx")
    t10c("compile", "nerf.onnx", *chip, "-o", "plan.json")
    t10c("compile", "nerf.onnx", *chip, "--emit", "program", "-o", "program.json")
    verify = ["verify", "plan.json", "--model", "nerf.onnx", "--weights", "random"]
    assert t10c(*verify, "--program", "program.json").code == 0
    path = tmp_path / "program.json"
    document = json.loads(path.read_text())
    loop = document["sections"][0]["instructions"][10]
    loop["between"][0]["source"] = "core"
    path.write_text(json.dumps(document))
    result = t10c(*verify, "--program", "program.json")
    assert result.code == 4
    page = (Path(__file__).resolve().parents[2] / "docs" / "program.md").read_text()
    quoted = re.search(r"that would say: \*(.*?)\*\.", page, re.DOTALL)
    assert quoted is not None
    assert " ".join(quoted[1].split()) in result.stderr
