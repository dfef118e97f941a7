"""`t10c verify`: what agrees, what differs and how that is shown, streams, progress, interrupts."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli_support import HARDWARE, Command, Program, listing
from onnx import helper
from verify_support import RING, Case, Document, fails, made, prepare, weights

import t10c as api
from t10c.cli import run
from t10c.report.verification import verification_lines
from t10c.verify.compare import compare
from t10c.zoo import build_model


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A softmax of one row, which is planned as several operators."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
        helper.make_node("Softmax", ["a"], ["s"], name="soft", axis=-1),
        helper.make_node("MatMul", ["s", "u"], ["y"], name="last"),
    ]
    constants = {"w": weights(32, 4096), "u": weights(4096, 8)}
    model = made(nodes, {"x": [1, 32]}, {"y": [1, 8]}, constants)
    folder = tmp_path_factory.mktemp("chain")
    return prepare(model, folder, "chain", ["--hw", "ipu-mk2", "--hw-set", "cores.count=16"])


# What agrees


def test_help_names_the_tolerances_that_there_are(t10c: Command) -> None:
    shown = re.findall(r"--([ra]tol) X.*?\[default: ([^\]]+)\]", t10c("verify", "--help").out, re.S)
    default = api.Tolerance()
    assert {name: float(text) for name, text in shown} == {
        "rtol": default.rtol,
        "atol": default.atol,
    }


def test_the_report_of_a_plan_that_is_right(t10c: Command, ring: Case, tmp_path: Path) -> None:
    result = t10c(*ring.arguments, "--trace")
    assert (result.code, result.stderr) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].split() == ["model", "ring"]
    assert "12 simulated cores" in lines[1]
    assert "random (seed 0), 2 inferences in a row" in lines[2]
    assert [line.split()[-1] for line in lines if line.startswith("radiance")] == ["agrees"] * 2
    assert "trace      3 operators compared" in lines
    assert lines[-1].startswith("verdict    2 of 2 outputs agree with ONNX Runtime")
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 120
    assert listing(tmp_path) == {}


def test_json_says_the_same(t10c: Command, ring: Case) -> None:
    result = t10c(*ring.arguments, "--format", "json", "-q", "--seed", "3", "--rtol", "1e-4")
    assert (result.code, result.stderr) == (0, "")
    document = json.loads(result.out)
    assert set(document) == {
        *("passed", "model", "chip", "cores", "peak_core_bytes", "seed", "inputs", "rtol", "atol"),
        *("drawn_weights", "warnings", "operators", "elements_compared", "inferences"),
        *("traced_operators", "untraced_operators", "first_wrong"),
        *("nudged_inferences", "own_changes", "outputs_nowhere_finite", "outputs_unchanged"),
        *("machine_cpu_seconds", "runtime_cpu_seconds"),
    }
    assert document["passed"] is True
    assert (document["seed"], document["rtol"], document["cores"]) == (3, 1e-4, 12)
    assert document["operators"] == 3
    assert document["first_wrong"] is None
    first, second = (inference[0] for inference in document["inferences"])
    assert first["tensor"] == second["tensor"] == "radiance"
    assert document["elements_compared"] == 2 * first["elements"] == 2 * 2 * 6 * 4
    assert 0 < first["relative_error"] < 1e-5
    assert first["worst_index"] != second["worst_index"] or first["got"] != second["got"]


@pytest.mark.parametrize(
    "hardware",
    [
        [*HARDWARE[:3], "cores.count=7"],
        ["--hw", "ipu-mk2"],
        ["--hw", "ipu-pod4"],
        ["--hw", "wse2", "--hw-set", "cores.grid=9x5"],
    ],
    ids=["7", "1472", "5888", "mesh"],
)
def test_chips(t10c: Command, nerf: Path, hardware: list[str]) -> None:
    assert t10c("compile", nerf, *hardware, "-o", "p.json", "-q").code == 0
    result = t10c("verify", "p.json", "--model", nerf, "--weights", "random", "--trace")
    assert result.code == 0, result.stderr + result.out
    assert "6 weights drawn (seed 0)" in result.out


def test_weights_that_lie_elsewhere_in_the_second_inference(t10c: Command, tmp_path: Path) -> None:
    sizes = {"layers": "3", "hidden": "48"}
    model = build_model("nerf", batch=16, seq=6, overrides=sizes, weights="random")
    case = prepare(model, tmp_path, "moved", [*RING[:-1], "cores.sram=11KiB"])
    assert re.search(r"\brun\b", case.program.read_text()), "no weight rotates"
    document = json.loads(t10c(*case.arguments, "--format", "json").out)
    assert [outputs[0]["passed"] for outputs in document["inferences"]] == [True, True]


def test_quiet_says_only_that_it_is_wrong(t10c: Command, ring: Case, tmp_path: Path) -> None:
    good = t10c(*ring.arguments, "-q")
    assert (good.code, good.out, good.stderr) == (0, "", "")
    wrong = ring.edited(tmp_path / "p.json", _sigmoid)
    bad = t10c(*ring.arguments, "--program", wrong, "-q")
    assert (bad.code, bad.out) == (9, "")
    assert bad.stderr.startswith("verdict    WRONG: 2 of 2 outputs differ")


def test_standard_input(t10c: Command, ring: Case) -> None:
    expected = json.loads(t10c(*ring.arguments, "--format", "json").out)
    for arguments, file in (
        (["verify", "-", "--model", ring.model], ring.plan),
        (["verify", ring.plan, "--model", "-"], ring.model),
        ([*ring.arguments, "--program", "-"], ring.program),
    ):
        result = t10c(*arguments, "--format", "json", stdin=file.read_bytes())
        assert (result.code, result.stderr) == (0, "")
        assert json.loads(result.out)["inferences"] == expected["inferences"]
    fails(t10c("verify", "-", "--model", "-"), 2, "only one file can be standard input")


def test_inputs_of_a_file_are_what_is_computed_with(t10c: Command, ring: Case) -> None:
    shape = (2, 6, 63)
    values = np.random.default_rng(1).random(shape, np.float32)
    np.savez("in.npz", positions=values)
    first = json.loads(t10c(*ring.arguments, "--inputs", "in.npz", "--format", "json").out)
    assert first["passed"]
    assert first["inputs"] == "in.npz"
    one, two = (inference[0] for inference in first["inferences"])
    assert one["scale"] == two["scale"], "both inferences have the same inputs"
    np.savez("in.npz", positions=values * 100)
    second = json.loads(t10c(*ring.arguments, "--inputs", "in.npz", "--format", "json").out)
    assert second["inferences"][0][0]["scale"] > 10 * one["scale"]


def test_seeds(t10c: Command, ring: Case) -> None:
    def compared(seed: int) -> object:
        result = t10c(*ring.arguments, "--seed", seed, "--format", "json")
        return json.loads(result.out)["inferences"]

    assert compared(1) == compared(1) != compared(2)


def test_a_tolerance_of_nothing_is_exceeded(t10c: Command, ring: Case) -> None:
    result = t10c(*ring.arguments, "--rtol", "0", "--atol", "0")
    assert result.code == 9
    assert "DIFFERS" in result.out
    assert "if numbers move by their last bits" in result.out
    traced = t10c(*ring.arguments, "--rtol=0", "--atol=0", "--trace")
    assert traced.code == 9
    assert "first" not in traced.out, "no operator is at fault for what rounding explains"


# What differs


def _sigmoid(document: Document) -> None:
    """The first operator applies another function."""
    steps = document["kernels"][0]["epilogue"]
    next(step for step in steps if step["op"] == "Relu")["op"] = "Sigmoid"


def _add(document: Document) -> None:
    document["kernels"][1]["body"][0]["op"] = "Add"


def _largest(document: Document) -> None:
    document["kernels"][1]["reduce_op"] = "max"


@pytest.mark.parametrize(
    ("edit", "operator"),
    [
        (_sigmoid, "/layers.0/MatMul"),
        (_add, "/layers.1/MatMul"),
        (_largest, "/layers.1/MatMul"),
    ],
    ids=["function", "product", "sum"],
)
def test_a_program_that_computes_something_else(
    t10c: Command, ring: Case, tmp_path: Path, edit: Callable[[Document], None], operator: str
) -> None:
    wrong = ring.edited(tmp_path / "p.json", edit)
    plain = t10c(*ring.arguments, "--program", wrong)
    assert (plain.code, plain.stderr) == (9, "")
    assert plain.out.count("DIFFERS") == 2
    assert "WRONG: 2 of 2 outputs differ from ONNX Runtime; --trace names" in plain.out
    traced = t10c(*ring.arguments, "--program", wrong, "--trace")
    assert traced.code == 9
    first = traced.out.split("\nfirst      ")[1].splitlines()
    assert first[0].startswith(f"{operator} is wrong in inference 1: off by up to ")
    result = t10c(*ring.arguments, "--program", wrong, "--trace", "--format", "json")
    found = json.loads(result.out)["first_wrong"]
    assert (found["operator"], found["inference"]) == (operator, 0)
    index = ", ".join(map(str, found["worst_index"]))
    assert f"core {found['core']}, {found['tensor']}[{index}]" in first[1]
    assert f"expected {found['expected']}, got {found['got']}" in first[1]
    assert found["expected"] != found["got"]


def test_a_program_that_fetches_another_weight(t10c: Command, tmp_path: Path) -> None:
    """The third operator fetches the second one's weight, which has the same shape."""
    sizes = {"layers": "4", "hidden": "16"}
    model = build_model("nerf", batch=4, seq=8, overrides=sizes, weights="random")
    case = prepare(model, tmp_path, "twins", HARDWARE)

    def edit(document: Document) -> None:
        one, two = "layers.2.weight", "layers.1.weight"
        sections = {section["name"]: section for section in document["sections"]}
        moves = [
            move
            for instruction in sections["/layers.2/MatMul"]["instructions"]
            if instruction["op"] == "exchange"
            for move in instruction["moves"]
            if move["tensor"] == one
        ]
        assert len(moves) == 1
        moves[0] |= {"tensor": two, "sources": [f"home:{two}"]}

    wrong = case.edited(tmp_path / "p.json", edit)
    result = t10c(*case.arguments, "--program", wrong, "--trace")
    assert (result.code, result.stderr) == (9, "")
    assert "\nfirst      /layers.2/MatMul is wrong in inference 1: off by" in result.out
    assert "after /layers.1/MatMul, the last that is right" in result.out


def test_a_fault_between_values_that_the_model_has(
    t10c: Command, chain: Case, tmp_path: Path
) -> None:
    def edit(document: Document) -> None:
        sums = document["kernels"][2]
        assert [step["op"] for step in sums["body"]] == ["Sub", "Exp"]
        sums["body"][1]["op"] = "Abs"

    assert t10c(*chain.arguments, "--trace").code == 0
    wrong = chain.edited(tmp_path / "p.json", edit)
    result = t10c(*chain.arguments, "--program", wrong, "--trace")
    assert result.code == 9
    assert (
        "trace      3 operators compared, 2 have no value of their own in the model" in result.out
    )
    found = result.out.split("\nfirst      ")[1].splitlines()
    assert found[0].startswith("soft is wrong in inference 1")
    assert found[2].strip() == "or an operator before it, not compared: soft/max, soft/sum"
    assert found[3].strip() == "after first, the last that is right"
    result = t10c(*chain.arguments, "--program", wrong, "--trace", "--format", "json")
    document = json.loads(result.out)["first_wrong"]
    assert document["last_right_operator"] == "first"
    assert document["operators_not_compared_between"] == ["soft/max", "soft/sum"]


def test_operators_before_one_that_is_right_are_not_suspected(
    t10c: Command, chain: Case, tmp_path: Path
) -> None:
    def edit(document: Document) -> None:
        kernel = document["sections"][-1]["instructions"]
        number = next(i["kernel"] for i in kernel if i["op"] == "finish")
        document["kernels"][number]["body"][0]["op"] = "Add"

    wrong = chain.edited(tmp_path / "p.json", edit)
    result = t10c(*chain.arguments, "--program", wrong, "--trace", "--format", "json")
    assert result.code == 9
    document = json.loads(result.out)["first_wrong"]
    assert (document["operator"], document["last_right_operator"]) == ("last", "soft")
    assert document["operators_not_compared_between"] == []
    shown = t10c(*chain.arguments, "--program", wrong, "--trace").out
    assert "it comes after soft, the last that is right" in shown
    assert "not compared" not in shown


def test_a_program_that_no_machine_can_run(t10c: Command, ring: Case, tmp_path: Path) -> None:
    def power(document: Document) -> None:
        document["kernels"][0]["epilogue"][-1]["op"] = "Pow"

    def loaded(document: Document) -> None:
        activation = next(t for t in document["tensors"] if t["kind"] == "activation")
        home = json.loads(json.dumps(document["load"]["instructions"][0]))
        piece = {"cores": 1, "dims": [], "flat": True}
        piece["ranges"] = [{"axis": "element", "start": "0", "length": 1}]
        home["buffer"] |= {"name": "extra", "tensor": activation["name"], "piece": piece}
        home["buffer"] |= {"elements": 1}
        freed = {"op": "free", "buffer": "extra"}
        more = [home, {"op": "load", "buffer": "extra"}, freed]
        document["load"]["instructions"] = [*more, *document["load"]["instructions"]]

    for edit, said in (
        (power, "kernels[0].epilogue[1].inputs: has 1; Pow takes 2"),
        (loaded, "section 'load', instruction 1 (load): the host has no activation"),
    ):
        wrong = ring.edited(tmp_path / "p.json", edit)
        fails(t10c(*ring.arguments, "--program", wrong), 4, "p.json", said)


def test_a_program_that_fails_as_it_runs(t10c: Command, ring: Case, tmp_path: Path) -> None:
    def edit(document: Document) -> None:
        document["kernels"][0]["epilogue"][-1]["attributes"] = {"as": "float99"}

    wrong = ring.edited(tmp_path / "p.json", edit)
    result = t10c(*ring.arguments, "--program", wrong)
    fails(result, 9, "the program cannot be executed", "--emit program")


def test_an_operator_that_nobody_knows(t10c: Command, ring: Case, tmp_path: Path) -> None:
    def edit(document: Document) -> None:
        document["kernels"][0]["epilogue"][-1]["op"] = "Frob"

    wrong = ring.edited(tmp_path / "p.json", edit)
    said = "kernels[0].epilogue[1].op: is 'Frob'"
    fails(t10c(*ring.arguments, "--program", wrong), 4, "p.json", said)


# What one should know besides


def _choosing() -> onnx.ModelProto:
    """A model whose data choose between two branches; the costlier one is not taken."""

    def branch(nodes: list[onnx.NodeProto], output: str) -> onnx.GraphProto:
        info = helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [4, 64])
        return helper.make_graph(nodes, output, [], [info])

    then = branch([helper.make_node("MatMul", ["x", "w"], ["dear"])], "dear")
    other = branch([helper.make_node("Relu", ["x"], ["cheap"])], "cheap")
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["total"], name="total", keepdims=0),
        helper.make_node("Greater", ["total", "limit"], ["p"], name="p"),
        helper.make_node("If", ["p"], ["y"], name="choice", then_branch=then, else_branch=other),
    ]
    constants = {"limit": np.float32(1e9), "w": weights(64, 64)}
    return made(nodes, {"x": [4, 64]}, {"y": [4, 64]}, constants)


def test_notes_on_a_branch_that_was_assumed(t10c: Command, tmp_path: Path) -> None:
    case = prepare(_choosing(), tmp_path, "choice", HARDWARE)
    result = t10c(*case.arguments)
    assert result.code == 9
    assert result.out.count("\nnote  ") == 1
    assert max(map(len, result.out.splitlines())) <= 120
    shown = " ".join(result.out.split())
    assert "note node 'choice' (If) chooses by data" in shown
    assert "the notes may say why" in shown
    document = json.loads(t10c(*case.arguments, "--format", "json").out)
    assert len(document["warnings"]) == 1
    assert f"note {document['warnings'][0]} time" in shown


@pytest.mark.parametrize("kind", ["input", "constant", "empty"])
def test_a_model_that_computes_nothing_says_so(t10c: Command, tmp_path: Path, kind: str) -> None:
    node = {
        "input": helper.make_node("Identity", ["x"], ["y"], name="n"),
        "constant": helper.make_node("Add", ["c", "c"], ["y"], name="n"),
        "empty": helper.make_node("Slice", ["x", "s", "s"], ["y"], name="n"),
    }[kind]
    constants = {"c": np.ones((4, 64), np.float32), "s": np.array([0])}
    shape = [0, 64] if kind == "empty" else [4, 64]
    model = made([node], {"x": [4, 64]}, {"y": shape}, constants)
    case = prepare(model, tmp_path, "idle", HARDWARE)
    result = t10c(*case.arguments, "--trace")
    assert result.code == 0, result.stderr
    assert "note       the plan has no operators" in result.out
    nothing = "verdict    nothing was compared" in result.out
    assert nothing == (kind == "empty") == ("no output has elements" in result.out)


def _shown(t10c: Command, case: Case, *options: str | Path) -> str:
    return " ".join(t10c(*case.arguments, *options).out.split())


def test_an_output_without_a_finite_element(t10c: Command, ring: Case, tmp_path: Path) -> None:
    plan = api.load_plan(ring.plan.read_bytes(), "plan")
    shapes = {name: plan.graph.tensor[name].shape for name in plan.graph.inputs}
    arrays = {name: np.full(shape, np.nan, np.float32) for name, shape in shapes.items()}
    np.savez(tmp_path / "nan.npz", **arrays)
    shown = _shown(t10c, ring, "--inputs", tmp_path / "nan.npz")
    assert "note radiance has no finite element: that it agrees tells nothing" in shown
    assert "2 of 2 outputs agree" in shown
    assert "no finite element" not in _shown(t10c, ring)


@pytest.mark.parametrize("gain", [1e-6, 1.0])
def test_outputs_that_hardly_depend_on_inputs(t10c: Command, tmp_path: Path, gain: float) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="mm"),
        helper.make_node("Add", ["a", "b"], ["y"], name="bias"),
    ]
    constants = {"w": weights(64, 64) * np.float32(gain), "b": weights(64)}
    case = prepare(
        made(nodes, {"x": [4, 64]}, {"y": [4, 64]}, constants), tmp_path, "flat", HARDWARE
    )
    assert ("the outputs hardly depend on them" in _shown(t10c, case)) == (gain < 1)
    found = json.loads(t10c(*case.arguments, "--format", "json").out)
    assert found["outputs_unchanged"] == (gain < 1)
    np.savez(tmp_path / "x.npz", x=np.ones((4, 64), np.float32))
    same = _shown(t10c, case, "--inputs", tmp_path / "x.npz")
    assert "hardly depend" not in same, "the same inputs give the same outputs"


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A product of which the output is a view."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="mm"),
        helper.make_node("Abs", ["a"], ["h"], name="abs"),
        helper.make_node("Transpose", ["h"], ["y"], name="turn", perm=[1, 0]),
    ]
    model = made(nodes, {"x": [64, 64]}, {"y": [64, 64]}, {"w": weights(64, 64)})
    return prepare(model, tmp_path_factory.mktemp("viewed"), "viewed", HARDWARE)


def _logarithm(document: Document) -> None:
    """In the place of the absolute value stands what has none in half of the cases."""
    (kernel,) = document["kernels"]
    next(step for step in kernel["epilogue"] if step["op"] == "Abs")["op"] = "Log"


def _straight(document: Document) -> None:
    (view,) = document["views"]
    assert view["perm"] == [1, 0]
    view["perm"] = [0, 1]


def test_cells_of_the_table_are_not_cut(t10c: Command, viewed: Case, tmp_path: Path) -> None:
    wrong = viewed.edited(tmp_path / "p.json", _logarithm)
    result = t10c(*viewed.arguments, "--program", wrong)
    assert result.code == 9
    rows = [line for line in result.out.splitlines() if line.startswith("y ")]
    assert len(rows) == 2
    assert all(re.search(r" [\d,]+ NaN/inf  DIFFERS$", row) for row in rows), rows


@pytest.mark.parametrize(
    ("got", "cell", "reason"),
    [
        (np.zeros((4096, 2), np.float32), "shape", "note y is of shape 4096x2 instead of 64x64"),
        (np.zeros((64, 64)), "type", "note y is of element type float64 instead of float32"),
    ],
)
def test_words_for_what_cannot_be_compared(
    viewed: Case, got: np.ndarray, cell: str, reason: str
) -> None:
    plan = api.load_plan(viewed.plan.read_bytes(), "plan")
    found = api.verify_plan(plan, viewed.model)
    wrong = compare("y", got, np.zeros((64, 64), np.float32))
    lines = verification_lines(replace(found, inferences=((wrong,),)))
    assert any(line.endswith(f" {cell}  DIFFERS") for line in lines), lines
    assert reason in " ".join(" ".join(lines).split())


def test_a_wrong_view_names_what_it_is_a_view_of(
    t10c: Command, viewed: Case, tmp_path: Path
) -> None:
    wrong = viewed.edited(tmp_path / "p.json", _straight)
    arguments = [*viewed.arguments, "--program", wrong, "--trace"]
    result = t10c(*arguments)
    assert result.code == 9
    assert "\nfirst      the output y, a view of mm, is wrong in inference 1: off by" in result.out
    assert "after mm, the last that is right" in result.out
    found = json.loads(t10c(*arguments, "--format", "json").out)["first_wrong"]
    assert (found["operator"], found["view_of"]) == (None, "mm")


# While it runs


def test_stages_and_steps_of_progress(ring: Case) -> None:
    plan = api.load_plan(ring.plan.read_bytes(), "plan")
    stages: list[tuple[str, int | None]] = []
    steps: list[str] = []
    api.verify_plan(
        plan,
        ring.model,
        stage=lambda text, total: stages.append((text, total)),
        advance=lambda: steps.append(stages[-1][0]),
    )
    names = [text for text, _ in stages]
    assert len(set(names)) == len(names) >= 6
    counted = {text: total for text, total in stages if total is not None}
    assert {name: steps.count(name) for name in counted} == counted
    assert list(counted.values()) == [3, 3]
    assert len(steps) == 6


def test_an_interrupt_ends_it(program: Program, tmp_path: Path) -> None:
    model = build_model("nerf", batch=2048, weights="random")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    plan = tmp_path / "p.json"
    assert run(["compile", str(tmp_path / "m.onnx"), *HARDWARE[:2], "-o", str(plan), "-q"]) == 0
    process = program("verify", plan, "--model", "m.onnx")
    deadline = time.monotonic() + 60
    while "onnxruntime" not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.5)
    assert process.poll() is None, "ended before it could be interrupted"
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert error.decode().strip() == "interrupted; nothing was written"
