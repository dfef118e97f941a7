"""`t10c verify` with bad input: one clear error, the documented exit code, nothing printed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli_support import HARDWARE, Command, listing
from onnx import helper
from verify_support import Case, Document, fails, made, prepare, weights

from t10c.zoo import build_model


def _net(opset: int = 17, width: int = 8, op: str = "Relu", name: str = "act") -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="product"),
        helper.make_node("Softmax", ["a"], ["s"], name="soft", axis=-1),
        helper.make_node(op, ["s"], ["y"], name=name),
    ]
    shapes = {"x": [4, 16]}, {"y": [4, width]}
    return made(nodes, *shapes, {"w": weights(16, width)}, opset)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return prepare(_net(), tmp_path_factory.mktemp("net"), "net", HARDWARE)


# Plan and model


OTHERS = [
    (_net(width=9), "has the shape"),
    (_net(opset=18), "it is of opset 17, the model of 18"),
    (_net(op="Neg"), "computes something else"),
    (build_model("nerf", batch=2, seq=2, weights="random"), "no input 'x'"),
]


@pytest.mark.parametrize(("model", "part"), OTHERS, ids=["shape", "opset", "operator", "model"])
def test_a_plan_of_another_model(
    t10c: Command, net: Case, tmp_path: Path, model: onnx.ModelProto, part: str
) -> None:
    onnx.save(model, tmp_path / "other.onnx")
    result = t10c("verify", net.plan, "--model", "other.onnx")
    fails(
        result, 4, "other.onnx: the plan was made for another model: ", part, "compile this model"
    )


def test_other_values_of_the_weights_are_no_other_model(
    t10c: Command, net: Case, tmp_path: Path
) -> None:
    model = _net()
    values = onnx.numpy_helper.from_array(weights(16, 8) * 2, "w")
    model.graph.initializer[0].CopyFrom(values)
    onnx.save(model, tmp_path / "other.onnx")
    assert t10c("verify", net.plan, "--model", "other.onnx").code == 0


def test_files_that_are_something_else(t10c: Command, net: Case, tmp_path: Path) -> None:
    for plan, model, code, part in (
        ("none.json", net.model, 3, "cannot read 'none.json'"),
        ("", net.model, 3, "cannot read ''"),
        (net.model, net.model, 4, "not a plan file"),
        (net.program, net.model, 4, "not a t10c plan"),
        (net.plan, "none.onnx", 3, "cannot read 'none.onnx'"),
        (net.plan, net.plan, 4, "text, not an ONNX model"),
        (net.plan, "", 2, "--model is empty"),
        (net.plan, tmp_path, 3, "Is a directory"),
    ):
        fails(t10c("verify", plan, "--model", model), code, part)
    for program, code, part in (
        ("none.json", 3, "cannot read 'none.json'"),
        (net.model, 4, "not a program file"),
        (net.plan, 4, "not a t10c program"),
    ):
        fails(t10c(*net.arguments, "--program", program), code, part)
    damaged = net.model.read_bytes()[:100]
    fails(t10c("verify", net.plan, "--model", "-", stdin=damaged), 4, "standard input: ")


def test_a_plan_that_is_newer_or_edited(t10c: Command, net: Case, tmp_path: Path) -> None:
    document = json.loads(net.plan.read_text())
    for key, value, parts in (
        ("version", document["version"] + 1, ["plan schema version", "upgrade t10c"]),
        ("plan_hash", "0" * 64, ["the file was edited"]),
    ):
        (tmp_path / "p.json").write_text(json.dumps(document | {key: value}))
        fails(t10c("verify", "p.json", "--model", net.model), 4, "p.json: ", *parts)


def test_weights_that_are_absent(t10c: Command, nerf: Path, nerf_plan: Path) -> None:
    result = t10c("verify", nerf_plan, "--model", nerf)
    fails(result, 4, "the values of 'layers.0.weight'", "--weights random")
    assert t10c("verify", nerf_plan, "--model", nerf, "--weights", "random").code == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[
            (option, value)
            for option in ("--rtol", "--atol")
            for value in ("nan", "-1", "inf", "x")
        ],
        *[("--seed", "-1"), ("--seed", "x"), ("--weights", "zero"), ("--format", "csv")],
    ],
)
def test_options(t10c: Command, net: Case, option: str, value: str) -> None:
    fails(t10c(*net.arguments, option, value), 2, option)


def test_the_model_has_to_be_named(t10c: Command, net: Case) -> None:
    fails(t10c("verify", net.plan), 2, "--model")


def test_without_onnx_runtime(t10c: Command, net: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    fails(t10c(*net.arguments), 2, "ONNX Runtime, which is not installed", "'t10c[verify]'")


# Inputs


def _saved(**arrays: object) -> Callable[[], None]:
    return lambda: np.savez("in.npz", **arrays)


def _single() -> None:
    with Path("in.npz").open("wb") as file:
        np.save(file, GOOD)


GOOD = np.zeros((4, 16), np.float32)
INPUTS = {
    "absent": (lambda: None, 3, ["cannot read 'in.npz'", "numpy.savez"]),
    "text": (lambda: Path("in.npz").write_text("x: 1\n"), 4, ["not a NumPy archive"]),
    "cut": (lambda: Path("in.npz").write_bytes(b"PK\3\4cut"), 4, ["not a NumPy archive"]),
    "single": (_single, 4, ["a single array"]),
    "pickled": (_saved(x=np.array([{}], object)), 4, ["'x' cannot be read", "not of numbers"]),
    "unknown": (_saved(xx=GOOD), 4, ["no input 'xx'; did you mean x?", "x (4x16)"]),
    "further": (_saved(x=GOOD, more=GOOD), 4, ["no input 'more'", "x (4x16)"]),
    "none": (_saved(), 4, ["input 'x' is missing", "x (4x16)"]),
    "shape": (_saved(x=GOOD.T), 4, ["the shape 16x4, the plan is for 4x16"]),
    "type": (_saved(x=GOOD.astype(np.float64)), 4, ["type float64, the model takes float32"]),
    "words": (_saved(x=np.full((4, 16), "a")), 4, ["type <U1", "float32"]),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_inputs(t10c: Command, net: Case, kind: str) -> None:
    write, code, parts = INPUTS[kind]
    write()
    fails(t10c(*net.arguments, "--inputs", "in.npz"), code, "in.npz", *parts)


# Programs that were edited


def test_inputs_are_not_read_from_standard_input(t10c: Command, net: Case) -> None:
    fails(t10c(*net.arguments, "--inputs", "-"), 2, "standard input", "--inputs FILE.npz")


def test_a_program_of_another_plan(t10c: Command, net: Case, ring: Case, tmp_path: Path) -> None:
    fails(t10c(*net.arguments, "--program", ring.program), 4, "not made from this plan")
    more = [*HARDWARE, "--hw-set", "clock=1.3GHz"]
    other = prepare(_net(), tmp_path, "other", more)
    result = t10c(*net.arguments, "--program", other.program)
    fails(result, 4, "not made from this plan", "origin is another plan", "--emit program")
    fewer = prepare(_net(), tmp_path, "fewer", [*HARDWARE[:3], "cores.count=63"])
    result = t10c(*net.arguments, "--program", fewer.program)
    fails(result, 4, "not made from this plan", "63 cores")


Edit = Callable[[list[Document]], object]
"""Changes the instructions of one section."""

FIRST, LOAD, END = "section '/layers.0/MatMul'", "section 'load'", "section 'end'"


def _find(instructions: list[Document], op: str) -> Document:
    """The first instruction of a kind, also in loops."""
    pending = list(instructions)
    while pending:
        instruction = pending.pop(0)
        if instruction["op"] == op:
            return instruction
        pending = [*instruction.get("body", []), *instruction.get("between", []), *pending]
    raise AssertionError(f"there is no {op}")


def _drop(instructions: list[Document], op: str) -> None:
    """Take away the first instruction of a kind, also in a loop."""
    found = _find(instructions, op)
    pending = [instructions]
    while pending:
        block = pending.pop()
        if found in block:
            block.remove(found)
        pending += [i[key] for i in block for key in ("body", "between") if key in i]


def _set(op: str, **keys: object) -> Edit:
    return lambda instructions: _find(instructions, op).update(keys)


def _dropped(op: str) -> Edit:
    return lambda instructions: _drop(instructions, op)


def _buffer(**keys: object) -> Edit:
    return lambda instructions: _find(instructions, "allocate")["buffer"].update(keys)


def _next_tile(instructions: list[Document]) -> None:
    tile = _find(instructions, "compute")["tile"][1]
    tile["start"] = tile["start"].replace("i0", "i0 + 1")


def _offset(op: str, key: str) -> Edit:
    return lambda instructions: _find(instructions, op)[key].update(offsets={"n": "1"})


EDITS: list[tuple[str, Edit, str, list[str]]] = [
    (FIRST, _buffer(elements=10**6), "instruction 0 (allocate)", ["bytes"]),
    (FIRST, _buffer(elements=1), "instruction 0 (allocate)", ["counts 1 elements"]),
    (FIRST, _buffer(tensor="nothing"), "instruction 0 (allocate)", ["unknown tensor 'nothing'"]),
    (FIRST, _set("free", buffer="nothing"), "instruction 5 (free)", ["no buffer 'nothing'"]),
    (FIRST, _dropped("exchange"), "(compute)", ["is read before it is written"]),
    (FIRST, _dropped("clear"), "body, instruction 0 (compute)", ["was not cleared"]),
    (FIRST, _set("clear", buffer="nothing"), "(clear)", ["no buffer 'nothing'"]),
    (FIRST, _next_tile, "body, instruction 0 (compute)", ["core 0 needs m1 from 3 on"]),
    (FIRST, _set("compute", kernel=99), "(compute)", ["no kernel 99"]),
    (FIRST, _set("compute", cores=11), "(compute)", ["does not lie on 11 cores"]),
    (FIRST, _dropped("compute"), "(finish)", ["points were computed"]),
    (FIRST, _set("shift", source="core"), "body, instruction 0 (compute)", ["needs m1 from"]),
    (FIRST, _set("shift", source="0"), "(shift)", ["not every core once"]),
    (FIRST, _set("shift", source="c_x"), "(shift)", ["c_x"]),
    (FIRST, _set("loop", count=0), "instruction 10 (loop)", ["runs 0 times"]),
    (FIRST, _set("loop", count=1), "(finish)", ["points were computed"]),
    (FIRST, _set("reduce", rank="0"), "instruction 11 (reduce)", ["ranks"]),
    (FIRST, _set("reduce", group="0"), "instruction 11 (reduce)", ["groups"]),
    (FIRST, _offset("finish", "result"), "instruction 12 (finish)", ["needs n from"]),
    (FIRST, _offset("keep", "part"), "(keep)", ["lies elsewhere along n"]),
    (FIRST, _dropped("keep"), "instruction 1 (allocate)", ["there is a buffer 'use:"]),
    (LOAD, _set("load", buffer="nothing"), "instruction 1 (load)", ["no buffer 'nothing'"]),
    (LOAD, _dropped("load"), "(exchange)", ["is read before it is written"]),
    (END, _set("store", sources=[]), "instruction 0 (store)", ["no core holds radiance[0, 0, 0]"]),
    (END, _set("store", tensor="nothing"), "instruction 0 (store)", ["no tensor 'nothing'"]),
]


@pytest.mark.parametrize(("place", "edit", "where", "parts"), EDITS)
def test_an_edited_program(
    t10c: Command,
    ring: Case,
    tmp_path: Path,
    place: str,
    edit: Edit,
    where: str,
    parts: list[str],
) -> None:
    def change(document: Document) -> None:
        name = place.split("'")[1]
        sections = {
            s["name"]: s for s in (*document["sections"], document["load"], document["end"])
        }
        edit(sections[name]["instructions"])

    wrong = ring.edited(tmp_path / "p.json", change)
    before = listing(tmp_path)
    result = t10c(*ring.arguments, "--program", wrong)
    fails(result, 4, "p.json", "section '", where, *parts)
    assert listing(tmp_path) == before


def test_the_edited_program_has_every_kind_of_instruction(ring: Case) -> None:
    text = ring.program.read_text()
    kinds = ("allocate", "free", "load", "store", "exchange", "clear", "compute", "shift")
    for kind in (*kinds, "reduce", "finish", "keep", "loop"):
        assert f'"op":"{kind}"' in text
