"""Program files: round trips, their JSON Schema, and documents that someone has changed."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from changed_documents import all_paths, at, changed, mangled
from zoo_models import small

import t10c
from t10c.errors import InvalidInputError
from t10c.ir.program import Instruction, Loop, Program
from t10c.program.document import dump_program, load_program, read_program, to_document
from t10c.program.schema import program_schema
from t10c.report.program import program_document, program_lines
from t10c.serialise import schema_of

ROOT = Path(__file__).resolve().parents[2]

CHIPS = {
    "nerf": ("cores.count=12", "cores.sram=9011B"),
    "resnet-18": ("cores.count=16", "cores.sram=32KiB"),
    "lstm-ptb-large": ("cores.count=12",),
    "bert-large": ("cores.count=64",),
}
"""Chips so small that pieces of some operators rotate."""


@cache
def made_plan(name: str) -> t10c.ModelPlan:
    sizes = {"hidden": "32"} if name == "nerf" else {}
    graph = t10c.import_model(small(name, overrides=sizes).SerializeToString())
    plan = t10c.schedule_model(graph, t10c.load_spec("ipu-mk2", overrides=CHIPS[name]))
    assert isinstance(plan, t10c.ModelPlan)
    return plan


@cache
def program(name: str) -> Program:
    return t10c.lower_plan(made_plan(name))


@pytest.fixture(scope="module")
def document() -> dict:
    return json.loads(dump_program(program("nerf")))


def all_instructions(instructions: Iterable[Instruction]) -> Iterator[Instruction]:
    for instruction in instructions:
        yield instruction
        if isinstance(instruction, Loop):
            yield from all_instructions((*instruction.body, *instruction.between))


def loaded(document: object) -> Program:
    return load_program(json.dumps(document).encode(), "p.json")


def failure(document: object) -> str:
    with pytest.raises(InvalidInputError) as caught:
        loaded(document)
    text = str(caught.value)
    assert text.startswith("p.json: ")
    assert len(text.splitlines()) <= 3
    assert all(line.isprintable() for line in text.splitlines())
    return text


@pytest.mark.parametrize("name", CHIPS)
def test_round_trip_keeps_the_value_and_the_bytes(name):
    data = dump_program(program(name))
    again = read_program(data, "p.json")
    assert again.program == program(name)
    assert not again.edited
    assert dump_program(again.program) == data
    assert data.endswith(b"}\n")


def test_the_programs_have_every_instruction():
    used = {
        type(instruction)
        for name in CHIPS
        for section in program(name).all_sections()
        for instruction in all_instructions(section.instructions)
    }
    assert used == set(get_args(Instruction))


def test_a_file_names_what_it_was_made_from(document):
    plan = json.loads(t10c.dump_plan(made_plan("nerf")))
    assert document["origin"] == {
        "plan_hash": plan["plan_hash"],
        "hardware": "ipu-mk2",
        "hardware_hash": plan["hardware_hash"],
    }
    assert schema_of(dump_program(program("nerf"))) == "t10c.program"


def test_what_is_empty_is_left_out(document):
    text = json.dumps(document)
    for key in ("stops", "offsets"):
        assert f'"{key}"' in text
        assert f'"{key}": []' not in text
        assert f'"{key}": {{}}' not in text
    assert '"flat": false' not in text
    assert '"copies": 1' not in text


# The schema


def test_the_schema_in_the_documents_is_current():
    text = (ROOT / "docs" / "program.schema.json").read_text(encoding="utf-8")
    assert text == json.dumps(program_schema(), indent=2) + "\n", "run make docs"


@pytest.mark.parametrize("name", CHIPS)
def test_programs_obey_the_schema(name):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(program_schema())
    validator.check_schema(program_schema())
    document = to_document(program(name))
    assert not list(validator.iter_errors(document))
    instruction = document["sections"][0]["instructions"][0]
    for key, wrong in (("op", "jump"), ("buffer", None), ("more", 1)):
        other = {**instruction, key: wrong}
        document["sections"][0]["instructions"][0] = other
        assert list(validator.iter_errors(document)), key


# Damaged files


def read_or_refused(data: bytes) -> Program | None:
    """The program, or None where it is refused in at most three lines."""
    try:
        return load_program(data, "p.json")
    except InvalidInputError as error:
        lines = str(error).splitlines()
    assert len(lines) <= 3
    return None


def first(document: dict, op: str) -> tuple:
    """Path of the first instruction of a kind in the sections."""
    return next(
        path
        for path in all_paths(document)
        if path[0] == "sections" and path[-1] != "op" and is_op(at(document, path), op)
    )


def is_op(value: object, op: str) -> bool:
    return isinstance(value, dict) and value.get("op") == op


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("schema",), "t10c.plan", "not a t10c program"),
        (("version",), 2, "upgrade t10c"),
        (("version",), True, "compile the model again"),
        (("core_count",), "many", "program.core_count: is 'many'"),
        (("begin", "values"), [], "program.begin.values"),
        (("sections", 0, "instructions", 1, "op"), "jump", "sections[0].instructions[1].op"),
        (("sections", 0, "instructions", 1, "op"), ["free"], "one of allocate, free"),
        (("sections", 0, "instructions", 1), {}, "sections[0].instructions[1].op: is missing"),
        (("sections", 0, "instructions", 1, "what"), 1, "instructions[1].what: unknown key"),
        (("kernels", 0, "axes", 0, "length"), 0, "kernels[0]: every axis"),
        (
            ("begin", "instructions", 0, "buffer", "piece", "ranges"),
            [],
            "buffer.piece: a flat piece",
        ),
        (("load", "instructions", 0, "buffer", "piece", "ranges"), [], "axes without a range"),
        (("kernels", 0, "body"), [], "program.kernels[0].body: has no steps"),
        (("kernels", 0, "body", 0, "inputs", 1), "s0", "kernels[0].body[0].inputs: is 's0'"),
        (("kernels", 0, "body", 0, "inputs", 1), "acc", "kernels[0].body[0].inputs: is 'acc'"),
        (("kernels", 0, "epilogue", 0, "inputs"), [], "kernels[0].epilogue[0].inputs: is empty"),
        (("kernels", 0, "epilogue", 0, "inputs", 0), "", "kernels[0].epilogue[0].inputs: is ''"),
        (("nothing",), 1, "program.nothing: unknown key"),
    ],
)
def test_a_wrong_value_is_named(document, path, value, expected):
    assert expected in failure(changed(document, path, value))


def test_a_missing_key_is_named(document):
    for key in ("core_count", "tensors", "sections", "end"):
        other = {name: value for name, value in document.items() if name != key}
        assert f"program.{key}: is missing" in failure(other)


@pytest.mark.parametrize("text", ["core**2", "import os", "1.5*core", "core//c_m", "", "f(core)"])
@pytest.mark.parametrize(
    ("op", "inside", "key"),
    [
        ("shift", ("source",), "(shift), source: "),
        ("reduce", ("rank",), "(reduce), rank: "),
        ("compute", ("tile", 0, "start"), "(compute), tile, axis "),
        ("allocate", ("buffer", "piece", "ranges", 0, "start"), "(allocate), buffer.piece.ranges"),
        ("allocate", ("buffer", "piece", "ranges", 0, "stops"), "stops[0]: "),
        ("finish", ("into", "piece", "ranges", 0, "start"), "(finish), into.piece.ranges"),
        ("finish", ("result", "offsets"), "offsets.k: "),
        ("keep", ("part", "offsets"), "(keep), operand "),
    ],
)
def test_a_text_that_is_no_formula_is_named_with_its_instruction(document, text, op, inside, key):
    path = first(document, op)
    value = {"stops": [text], "offsets": {"k": text}}.get(inside[-1], text)
    message = failure(changed(document, (*path, *inside), value))
    section = document["sections"][path[1]]["name"]
    assert f"section '{section}', instruction {path[3]}" in message
    assert key in message
    if len(path) > 4:
        assert f", {path[4]}, instruction {path[5]}" in message


def test_a_value_that_is_no_formula_is_named(document):
    index = next(i for i, s in enumerate(document["sections"]) if s["values"])
    name = next(iter(document["sections"][index]["values"]))
    other = changed(document, ("sections", index, "values", name), "core^2")
    assert f"section '{document['sections'][index]['name']}', value {name}: " in failure(other)


def test_an_edited_file_is_read_and_known_as_edited(document):
    path = (*first(document, "shift"), "source")
    other = changed(document, path, "core")
    file = read_program(json.dumps(other).encode(), "p.json")
    assert file.edited
    assert file.program != program("nerf")
    laid_out = json.dumps(document, indent=3).encode()
    assert not read_program(laid_out, "p.json").edited
    other = changed(document, ("program_hash",), None)
    assert read_program(json.dumps(other).encode(), "p.json").edited


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'"t10c.program"', b"\xff\xfe", b"{" * 100_000, b"[" * 100_000],
)
def test_what_is_not_a_program_at_all(data):
    assert schema_of(data) == ""
    with pytest.raises(InvalidInputError, match=r"p\.json: "):
        load_program(data, "p.json")


def test_what_is_nested_too_deeply_is_said_in_our_words():
    with pytest.raises(InvalidInputError, match="not a program file: it is nested too deeply"):
        load_program(b"[" * 100_000, "p.json")


def test_loops_that_are_nested_too_deeply(document):
    for depth in (100, 1000, 2000, 20_000):
        loop = '{"op":"loop","counter":"i","count":1,"between":[],"body":['
        nested = loop * depth + "]}" * depth
        text = json.dumps({**document, "sections": [{**document["begin"], "instructions": "@"}]})
        data = text.replace('"@"', f"[{nested}]").encode()
        made = read_or_refused(data)
        assert (made is None) == (depth > 100)
        if made is not None:
            assert program_lines(made)
            assert dump_program(made)


JUNK = (
    None,
    True,
    0,
    -1,
    7,
    1.5,
    10**30,
    10**400,
    "",
    "x",
    "core%0",
    "core*" + "9" * 50,
    [],
    {},
    [[]],
    {"a": 1},
    [1, "b"],
    {"op": "free", "buffer": "x"},
)


def test_changed_documents_are_refused_or_read_as_they_are(document):
    """Nothing but InvalidInputError; what is read can be shown, and written as it was read."""
    paths = all_paths(document)
    draw = Random(11)
    refused = read = 0
    for _ in range(400):
        made = read_or_refused(json.dumps(mangled(document, paths, draw, JUNK, 0.2, 0.4)).encode())
        if made is None:
            refused += 1
            continue
        read += 1
        assert load_program(dump_program(made), "again") == made
        assert program_lines(made)
        sections = list(made.all_sections())
        assert json.dumps(program_document(made, sections))
    assert refused > 50
    assert read > 5
