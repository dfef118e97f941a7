"""Reports and plan files: documented keys, sums, sizes of reports, the same bytes every time."""

import json
from pathlib import Path

import pytest
from cli_support import HARDWARE, Command, Program, listing
from onnx import TensorProto, helper

from t10c.hardware.document import from_document, spec_hash
from t10c.hardware.load import load_spec

CLASSES = {"planned", "fused", "layout_only", "folded", "fallback", "unsupported"}


def answer(t10c: Command, *arguments: str | Path, code: int = 0):
    result = t10c(*arguments, "--format", "json")
    assert result.code == code, result.stderr
    return json.loads(result.out)


def test_compile_json(t10c: Command, nerf: Path) -> None:
    report = answer(t10c, "compile", nerf, *HARDWARE)
    spec = load_spec("ipu-mk2")
    assert report["status"] == "ok"
    assert report["latency_cycles"] > 0
    assert report["latency_ms"] == pytest.approx(report["latency_cycles"] / spec.clock_hz * 1e3)
    assert 0 < report["peak_core_bytes"] <= report["core_bytes"] == 624 * 1024
    assert set(report["nodes"]) == CLASSES
    assert sum(report["nodes"].values()) == 8
    parts = report["breakdown_cycles"]
    assert set(parts) == {"compute", "shift", "reduction", "transition", "setup", "sync"}
    assert min(parts.values()) >= 0
    assert sum(parts.values()) == pytest.approx(report["latency_cycles"], rel=1e-12)
    search = report["search"]
    assert 1 <= search["distinct_operators"] <= report["operators"] == 3
    assert search["candidates"] > 100
    assert search["cpu_seconds"] > 0
    bound = report["lower_bound_cycles"]
    assert search["gap"] == pytest.approx(1 - bound / report["latency_cycles"])
    assert 0 < bound <= report["latency_cycles"]
    assert report["hardware_overrides"] == ["cores.count=64"]


def test_compile_writes_what_it_reports(t10c: Command, nerf: Path, tmp_path: Path) -> None:
    report = answer(t10c, "compile", nerf, *HARDWARE, "-o", "p.json")
    assert list(listing(tmp_path)) == ["p.json"]
    plan = json.loads((tmp_path / "p.json").read_text())
    assert (plan["schema"], plan["version"]) == ("t10c.plan", 1)
    for key in ("latency_cycles", "latency_ms", "peak_core_bytes", "breakdown_cycles"):
        assert plan[key] == report[key]
    assert plan["hardware_overrides"] == ["cores.count=64"]
    assert spec_hash(from_document(plan["hardware"])) == plan["hardware_hash"]
    again = answer(t10c, "explain", "p.json")
    report["search"]["cpu_seconds"] = again["search"]["cpu_seconds"] = 0
    assert again == report


def test_buffers_are_an_override_too(t10c: Command, nerf: Path) -> None:
    report = answer(t10c, "compile", nerf, *HARDWARE, "--buffers", "double")
    assert report["hardware_overrides"] == ["cores.count=64", "shift_buffer.policy=double"]


def test_plan_is_the_same_for_any_run_and_number_of_jobs(
    t10c: Command, program: Program, nerf: Path, nerf_plan: Path, tmp_path: Path
) -> None:
    for number, jobs in enumerate((1, 2, 3)):
        # a process of its own: another hash seed, and two processes for --jobs 2
        process = program("compile", nerf, *HARDWARE, "--jobs", jobs, "-q", "-o", f"{number}.json")
        assert process.wait(timeout=60) == 0
        assert (tmp_path / f"{number}.json").read_bytes() == nerf_plan.read_bytes()
    streamed = t10c("compile", "-", *HARDWARE, "-o", "-", stdin=nerf.read_bytes())
    assert streamed.stdout == nerf_plan.read_bytes()


def test_plan_to_standard_output_and_report_to_standard_error(t10c: Command, nerf: Path) -> None:
    result = t10c("compile", nerf, *HARDWARE, "-o", "-")
    assert json.loads(result.out)["schema"] == "t10c.plan"
    assert "latency " in result.stderr
    result = t10c("compile", nerf, *HARDWARE, "-o", "-", "--format", "json")
    assert json.loads(result.out)["schema"] == "t10c.plan"
    assert json.loads(result.stderr)["status"] == "ok"
    assert t10c("compile", nerf, *HARDWARE, "-o", "-", "-q").stderr == ""
    result = t10c("explain", "-", stdin=result.stdout)
    assert (result.code, result.stderr) == (0, "")


def small(lines: list[str]) -> None:
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 120


def test_table(t10c: Command, nerf: Path) -> None:
    lines = t10c("compile", nerf, *HARDWARE).out.splitlines()
    small(lines)
    heads = [line.split()[0] for line in lines]
    assert heads[:7] == ["model", "chip", "latency", "of", "memory", "bound", "search"]
    assert " ms = " in lines[2]
    assert " cycles" in lines[2]


def test_table_stays_small_for_long_names_and_many_settings(t10c: Command, tmp_path: Path) -> None:
    name = "layer" * 60
    shape = [4, 8]
    nodes = [helper.make_node("Softmax", ["x"], [name], name=name)]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("x", name)]
    graph = helper.make_graph(nodes, name, values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    many = [f"cores.{key}" for key in ("sram=1MiB", "count=63", "count=62", "reserved=1KiB")] * 4
    settings = [part for text in many for part in ("--hw-set", text)]
    lines = t10c("compile", "m.onnx", *HARDWARE, *settings).out.splitlines()
    small(lines)
    lines = t10c("compile", "m.onnx", *HARDWARE, "--hw-set", "cores.sram=8200B").out.splitlines()
    assert lines[0].startswith("does not fit")
    small(lines)


def test_model_that_computes_nothing(t10c: Command, tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, 8]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", *zip(values))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    result = t10c("compile", "m.onnx", *HARDWARE, "-o", "p.json")
    assert result.code == 0
    assert "nothing is computed" in result.out
    assert answer(t10c, "explain", "p.json")["latency_cycles"] == 0


@pytest.mark.parametrize(
    "setting", ["cores.sram=8400B", "cores.sram=9KiB"], ids=["weights", "operator"]
)
def test_does_not_fit(t10c: Command, nerf: Path, tmp_path: Path, setting: str) -> None:
    hardware = ("--hw", "ipu-mk2", "--hw-set", "cores.count=2", "--hw-set", setting)
    result = t10c("compile", nerf, *hardware, "-o", "p.json")
    assert result.code == 7
    assert result.stderr == ""
    lines = result.out.splitlines()
    small(lines)
    assert lines[0].startswith("does not fit: nerf on ipu-mk2")
    assert [line.split()[0] for line in lines[1:4]] == ["demand", "terms", "lever"]
    assert "--hw-set cores.count=" in result.out
    assert "--hw-set cores.sram=" in result.out
    report = answer(t10c, "compile", nerf, *hardware, "-o", "p.json", code=7)
    assert report["status"] == "does_not_fit"
    assert report["demanded_bytes"] > report["core_bytes"]
    assert sum(report["terms_bytes"].values()) == report["demanded_bytes"]
    assert len(report["levers"]) >= 3
    quiet = t10c("compile", nerf, *hardware, "-o", "p.json", "-q")
    assert (quiet.code, quiet.out, quiet.stderr) == (7, "", lines[0] + "\n")
    assert listing(tmp_path) == {}


def test_following_the_memory_lever_ends_with_a_plan(t10c: Command, nerf: Path) -> None:
    settings = ["cores.count=2", "cores.sram=9KiB"]
    for _ in range(6):
        flags = [part for text in settings for part in ("--hw-set", text)]
        result = t10c("compile", nerf, "--hw", "ipu-mk2", *flags, "--format", "json")
        if result.code == 0:
            return
        levers = " ".join(json.loads(result.out)["levers"])
        settings[1] = next(w.strip("(),") for w in levers.split() if w.startswith("cores.sram"))
    pytest.fail(f"still does not fit with {settings}")


def test_inspect_json(t10c: Command, nerf: Path) -> None:
    report = answer(t10c, "inspect", nerf)
    assert report["inputs"] == [{"name": "positions", "shape": [16, 8, 63], "type": "float32"}]
    assert [output["shape"] for output in report["outputs"]] == [[16, 8, 4]]
    assert set(report["nodes"]) == CLASSES
    flop = 2 * 16 * 8 * (63 * 16 + 16 * 16 + 16 * 4)
    assert report["gflop_matmul_conv"] == pytest.approx(flop / 1e9)
    assert report["unsupported"] == []


def test_inspect_lists_what_is_unsupported(t10c: Command, tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, 8]) for n in ("x", "y")]
    node = helper.make_node("Frob", ["x"], ["y"], name="odd", domain="my.domain")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my.domain", 1)]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    result = t10c("inspect", "m.onnx", "--format", "json")
    assert result.code == 5
    (unsupported,) = json.loads(result.out)["unsupported"]
    assert unsupported["node"] == "odd"
    assert "Frob" in unsupported["operator"]
    assert "odd" in result.stderr
    assert t10c("inspect", "m.onnx").out == ""


def test_op_json(t10c: Command) -> None:
    report = answer(t10c, "op", "matmul", "--axes", "m=16,n=24,k=32", *HARDWARE)
    assert 0 < report["splits"] <= report["legal_plans"]
    assert report["legal_plans"] >= report["placeable_plans"] >= report["feasible_plans"] > 0
    assert report["exhausted"] is True
    assert report["cpu_seconds"] >= 0
    assert report["hardware_overrides"] == ["cores.count=64"]
    front = report["front"]
    assert front
    sizes = [entry["bytes"] for entry in front]
    cycles = [entry["cycles"] for entry in front]
    assert sizes == sorted(set(sizes))
    assert cycles == sorted(set(cycles), reverse=True)
    assert 0 < report["lower_bound_cycles"] <= cycles[-1]
    for entry in front:
        total = entry["compute_cycles"] + entry["communication_cycles"]
        assert entry["cycles"] == pytest.approx(total)
        assert list(entry["split"]) == ["m", "n", "k"]
        assert all(set(r) == {"axis", "radix", "operands"} for r in entry["rotations"])
    lines = t10c("op", "matmul", "--axes", "m=16,n=24,k=32", *HARDWARE).out.splitlines()
    assert len(lines) == len(front) + 5
    assert f"{sizes[0]:,}" in lines[2]
    assert report["bounded_plans"] > 0
    assert f"{report['bounded_plans']:,}" in lines[-2]


def test_op_that_does_not_fit_or_ends_early(t10c: Command) -> None:
    small_cores = ("--hw-set", "cores.sram=8200B")
    arguments = ("op", "matmul", "--axes", "m=512,n=512,k=512", *HARDWARE)
    report = answer(t10c, *arguments, *small_cores, code=7)
    assert report["front"] == []
    assert report["feasible_plans"] == 0
    assert t10c(*arguments, *small_cores).out.splitlines()[-1].startswith("does not fit: ")
    assert t10c(*arguments, *small_cores, "-q").stderr.startswith("does not fit: ")
    early = ("op", "matmul", "--axes", "m=2048,n=2048,k=2048", "--hw", "ipu-mk2")
    report = answer(t10c, *early, "--max-candidates", "1")
    assert report["exhausted"] is False
    assert "not exhausted" in t10c(*early, "--max-candidates", "1").out


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["hw", "list"], "sram_bytes"),
        (["hw", "show", "wse2"], "clock_hz"),
        (["zoo", "list"], "parameter_count"),
        (["zoo", "build", "nerf", "-o", "n.onnx"], "file_bytes"),
    ],
)
def test_other_commands_have_json(t10c: Command, arguments: list[str], key: str) -> None:
    found = answer(t10c, *arguments)
    assert key in (found[0] if isinstance(found, list) else found)


def test_explain_every_operator(t10c: Command, tmp_path: Path) -> None:
    """A transformer, end to end: build, compile, explain by operator and by ONNX node."""
    built = ["zoo", "build", "llama-2-7b", "--layers", "1", "--seq", "8"]
    for setting in ("hidden=64", "heads=4", "kv_heads=4", "intermediate=96", "vocabulary=100"):
        built += ["--set", setting]
    assert t10c(*built, "-o", "m.onnx").code == 0
    assert t10c("compile", "m.onnx", *HARDWARE, "-o", "p.json").code == 0
    plan = json.loads((tmp_path / "p.json").read_text())
    planned = [entry for entry in plan["operators"] if entry["class"] == "planned"]
    assert len(planned) > 10
    total = 0.0
    for entry in planned:
        found = answer(t10c, "explain", "p.json", "--op", entry["name"])
        assert found["name"] == entry["name"]
        assert found["split"] == entry["split"]
        assert len(found["rtensors"]) == len(entry["inputs"]) + 1
        assert found["memory_bytes"]["total"] <= plan["core_bytes"]
        assert found["front"]
        total += found["cost_cycles"]["total"]
        lines = t10c("explain", "p.json", "--op", entry["nodes"][-1]).out.splitlines()
        shown = next(e for e in planned if lines[0].startswith(f"{e['name']} ({e['op_type']}"))
        assert entry["nodes"][-1] in shown["nodes"]
        assert any(line.startswith("time ") and " cycles" in line for line in lines)
    copies = sum(copy["cycles"] for copy in plan["copies"])
    assert total + copies == pytest.approx(plan["latency_cycles"])
    table = t10c("explain", "p.json").out
    assert all(entry["name"] in table for entry in planned)
