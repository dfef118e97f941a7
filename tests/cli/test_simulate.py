"""`t10c simulate`: plans and programs, formats, other chips, where reports go, bad input."""

import csv
import io
import json
import os
import pty
import sys
from pathlib import Path

import jsonschema
import pytest
from cli_support import HARDWARE, ROOT, Command, Program, listing
from test_errors import edited, fails

import t10c as api

CHIP = ("--hw", "ipu-mk2", "--hw-set", "cores.count=64")


@pytest.fixture
def plan(nerf_plan: Path, tmp_path: Path) -> Path:
    path = tmp_path / "p.json"
    path.write_bytes(nerf_plan.read_bytes())
    return path


@pytest.fixture
def device_program(plan: Path, tmp_path: Path) -> Path:
    path = tmp_path / "program.json"
    path.write_bytes(api.dump_program(api.lower_plan(api.load_plan(plan.read_bytes(), "plan"))))
    return path


def report(result) -> dict:
    assert result.code == 0, result.stderr
    return json.loads(result.out)


def test_the_table_is_the_default_and_has_at_most_25_lines(
    t10c: Command, plan: Path, tmp_path: Path
) -> None:
    result = t10c("simulate", "p.json")
    assert (result.code, result.stderr) == (0, "")
    lines = result.out.splitlines()
    assert len(lines) <= 25
    for head in ("model", "chip", "latency", "memory", "busy", "bound", "cost model", "search"):
        assert any(line.startswith(head) for line in lines), head
    assert "(cores.count=64)" in lines[1]
    assert list(listing(tmp_path)) == ["p.json"]
    assert t10c("simulate", "p.json", "-q").out == ""
    assert t10c("simulate", "-", stdin=plan.read_bytes()).out == result.out


def test_json_is_a_report_that_obeys_the_schema(t10c: Command, plan: Path) -> None:
    result = t10c("simulate", "p.json", "--format", "json", "-q")
    document = report(result)
    schema = json.loads((ROOT / "docs" / "simulation.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert sum(document["breakdown_cycles"].values()) == pytest.approx(document["latency_cycles"])
    made = api.load_plan(plan.read_bytes(), "plan")
    assert document["lower_bound_cycles"] == made.lower_bound_cycles
    assert document["cost_model_cycles"] == pytest.approx(made.latency_cycles)
    assert document["hardware_overrides"] == list(made.overrides)
    assert [o["name"] for o in document["operators"]] == [o.name for o in made.operators]
    assert t10c("simulate", "p.json", "--format", "json").stdout == result.stdout


def test_a_program_file_says_the_same_but_for_what_the_plan_knows(
    t10c: Command, plan: Path, device_program: Path
) -> None:
    whole = report(t10c("simulate", "p.json", "--format", "json"))
    for arguments in (["program.json"], ["-"]):
        result = t10c(
            "simulate", *arguments, *CHIP, "--format", "json", stdin=device_program.read_bytes()
        )
        found = report(result)
        assert result.stderr == ""
        for key in ("latency_cycles", "breakdown_cycles", "peak_core_bytes", "notes"):
            assert found[key] == whole[key]
        assert found["cost_model_cycles"] is found["lower_bound_cycles"] is None
        assert found["hardware_overrides"] == ["cores.count=64"]


def test_another_chip_leaves_out_what_is_said_of_the_plans(t10c: Command, plan: Path) -> None:
    own = report(t10c("simulate", "p.json", "--format", "json"))
    change = ("--hw-set", "interconnect.sync=0cycles")
    other = report(t10c("simulate", "p.json", *change, "--format", "json"))
    assert other["latency_cycles"] < own["latency_cycles"]
    assert other["breakdown_cycles"]["sync"] == 0
    assert other["cost_model_cycles"] is other["lower_bound_cycles"] is None
    assert other["hardware_overrides"] == ["cores.count=64", "interconnect.sync=0cycles"]
    assert any("the chip that the plan was made for" in note for note in other["notes"])
    assert own["hardware_hash"] != other["hardware_hash"]
    named = report(t10c("simulate", "p.json", *CHIP, *change, "--format", "json"))
    assert named["latency_cycles"] == other["latency_cycles"]
    assert named["hardware_overrides"] == other["hardware_overrides"]
    table = t10c("simulate", "p.json", *change).out
    assert "\nbound" not in table
    assert "\ncost model" not in table


def test_every_format_goes_where_it_is_told(t10c: Command, plan: Path, tmp_path: Path) -> None:
    for form, begins in {
        "table": "model ",
        "json": '{\n  "schema": "t10c.simulation"',
        "csv": "name,op_type,",
        "perfetto": '{"displayTimeUnit":"ns"',
        "markdown": "### nerf on ipu-mk2",
        "html": "<!DOCTYPE html>",
    }.items():
        shown = t10c("simulate", "p.json", "--format", form)
        assert shown.out.startswith(begins), form
        assert shown.out.endswith("\n")
        written = t10c("simulate", "p.json", "--format", form, "-o", "report", "-q")
        assert (written.code, written.stdout, written.stderr) == (0, b"", "")
        assert (tmp_path / "report").read_bytes() == shown.stdout
        assert sorted(listing(tmp_path)) == ["p.json", "report"]
        again = t10c("simulate", "p.json", "--format", form)
        assert again.stdout == shown.stdout, form


def test_csv_and_trace_are_of_all_operators(t10c: Command, plan: Path) -> None:
    names = [o["name"] for o in report(t10c("simulate", "p.json", "--format", "json"))["operators"]]
    rows = csv.DictReader(io.StringIO(t10c("simulate", "p.json", "--format", "csv").out))
    assert [row["name"] for row in rows] == names
    trace = json.loads(t10c("simulate", "p.json", "--format", "perfetto").out)
    schema = json.loads((ROOT / "tests" / "unit" / "trace_event.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(trace)
    slices = [e["name"] for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] == 1]
    assert slices == names


def test_files_for_people_do_not_go_to_a_terminal(program: Program, plan: Path) -> None:
    for form, code in (("html", 2), ("perfetto", 2), ("table", 0)):
        main, terminal = pty.openpty()
        process = program("simulate", "p.json", "--format", form, stdout=terminal)
        _, error = process.communicate(timeout=60)
        os.close(terminal)
        os.close(main)
        assert process.returncode == code
        if code:
            assert error.decode().startswith(f"error: --format {form} is for a file: name it")


# Bad input


def test_a_page_that_cannot_be_made_is_said_so_before_the_work(
    t10c: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    fails(t10c("simulate", "none.json", "--format", "html"), 2, "needs plotly", "t10c[report]")


def test_a_program_needs_its_chip(t10c: Command, device_program: Path) -> None:
    fails(t10c("simulate", "program.json"), 2, "program.json is a program file", "--hw")


def test_a_chip_that_is_none_or_another(t10c: Command, plan: Path, device_program: Path) -> None:
    fails(t10c("simulate", "p.json", "--hw-set", "cores.srma=1"), 6, "did you mean cores.sram?")
    fails(t10c("simulate", "p.json", "--hw-set", "interconnect.kind=ring"), 6, "mesh2d, torus2d")
    fails(t10c("simulate", "p.json", "--hw-set", "cores.sram"), 2, "KEY=VALUE")
    fails(t10c("simulate", "p.json", "--hw", "ipu-mk3"), 3, "did you mean ipu-mk2?")
    fails(t10c("simulate", "p.json", "--hw-set", "cores.count=63"), 7, "64 cores", "63")
    small = ("--hw-set", "cores.sram=9KiB", "--hw-set", "shift_buffer.size=1KiB")
    fails(t10c("simulate", "p.json", *small), 7, "bytes per core", "compile the model")
    result = t10c("simulate", "program.json", "--hw", "ipu-mk2", "--format", "json")
    assert any("made for another chip than this" in note for note in report(result)["notes"])


def test_plans_that_are_none(t10c: Command, plan: Path, tmp_path: Path) -> None:
    fails(t10c("simulate", "none.json"), 3, "cannot read 'none.json'", "a plan file or a program")
    (tmp_path / "empty").write_bytes(b"")
    fails(t10c("simulate", "empty"), 4, "empty: ", "plan")
    fails(t10c("simulate", "-", stdin=b"{}"), 4, "standard input: ", "not a t10c plan")
    edited(plan, (["version"], 9))
    fails(t10c("simulate", "p.json"), 4, "plan schema version 9", "upgrade t10c")
    assert sorted(listing(tmp_path)) == ["empty", "p.json"]


def test_programs_that_fail_the_checker(
    t10c: Command, device_program: Path, tmp_path: Path
) -> None:
    document = json.loads(device_program.read_text())
    instructions = document["sections"][0]["instructions"]
    kept = [i for i in instructions if i["op"] != "exchange"]
    assert len(kept) < len(instructions)
    document["sections"][0]["instructions"] = kept
    device_program.write_text(json.dumps(document))
    result = t10c("simulate", "program.json", *CHIP, "-q")
    fails(result, 4, "program.json: section '/layers.0/MatMul', instruction")
    document["version"] = 2
    device_program.write_text(json.dumps(document))
    fails(t10c("simulate", "program.json", *CHIP), 4, "program schema version 2", "upgrade t10c")


def test_an_edited_program_is_said_to_be(t10c: Command, device_program: Path) -> None:
    document = json.loads(device_program.read_text())
    document["name"] = "another"
    device_program.write_text(json.dumps(document))
    result = t10c("simulate", "program.json", *CHIP)
    assert result.code == 0
    assert result.stderr == "note: program.json was edited since t10c wrote it\n"


def test_reports_that_cannot_be_written(t10c: Command, plan: Path, tmp_path: Path) -> None:
    before = listing(tmp_path)
    fails(t10c("simulate", "p.json", "-o", "no/where"), 3, "cannot write", "mkdir -p")
    fails(t10c("simulate", "p.json", "-o", "."), 3, "directory")
    fails(t10c("simulate", "p.json", "-o", "p.json"), 2, "the file that is read")
    fails(t10c("simulate", "p.json", "-o", ""), 2, "-o is empty")
    # before any work: the plan is not even read
    fails(t10c("simulate", "none.json", "-o", "no/where"), 3, "cannot write 'no/where'")
    fails(t10c("simulate", "p.json", "--format", "xml"), 2, "--format", "perfetto")
    assert listing(tmp_path) == before


def test_hardware_options_are_those_of_the_tests() -> None:
    assert CHIP == HARDWARE
