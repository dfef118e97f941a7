"""Device programs as text: complete, the same every time, readable at 100 columns."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from scripts import docs_script
from zoo_models import small

import t10c
from t10c.ir.program import Access, Allocate, Compute, Instruction, Loop, Piece, Program
from t10c.report.program import program_document, program_lines
from t10c.serialise import encode

ROOT = Path(__file__).resolve().parents[2]
CHIPS = {
    "nerf": ("cores.count=12", "cores.sram=9KiB"),
    "resnet-18": ("cores.count=16", "cores.sram=32KiB"),
    "opt-1.3b": ("cores.count=24",),
    "lstm-ptb-large": ("cores.count=12",),
}


@cache
def program(name: str) -> Program:
    sizes = {"hidden": "32"} if name == "nerf" else {}
    graph = t10c.import_model(small(name, overrides=sizes).SerializeToString())
    plan = t10c.schedule_model(graph, t10c.load_spec("ipu-mk2", overrides=CHIPS[name]))
    assert isinstance(plan, t10c.ModelPlan)
    return t10c.lower_plan(plan)


def all_instructions(instructions: Iterable[Instruction]) -> Iterator[Instruction]:
    for instruction in instructions:
        yield instruction
        if isinstance(instruction, Loop):
            yield from all_instructions((*instruction.body, *instruction.between))


def plain(lines: Iterable[str]) -> str:
    """The words of some lines, however they are broken."""
    return " ".join(" ".join(lines).split())


def formulas(value: object) -> Iterator[str]:
    """Every formula within a document of instructions."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("start", "source", "group", "rank"):
                yield item
            elif key == "stops":
                yield from item
            elif key == "offsets":
                yield from item.values()
            else:
                yield from formulas(item)
    elif isinstance(value, list):
        for item in value:
            yield from formulas(item)


@pytest.mark.parametrize("name", CHIPS)
def test_every_instruction_has_its_line_with_all_it_says(name):
    for section in program(name).all_sections():
        lines = program_lines(program(name), [section])
        text = plain(lines)
        count = len(list(all_instructions(section.instructions)))
        labels = [line for line in lines if re.match(r" +\d+ [a-z]+ ", line)]
        assert len(labels) == count
        for formula in (*dict(section.values).values(), *formulas(encode(section))):
            assert formula in text
        for value in dict(section.values):
            assert re.search(rf"^  {re.escape(value)} += ", "\n".join(lines), re.MULTILINE)
        for instruction in all_instructions(section.instructions):
            if isinstance(instruction, Allocate):
                assert f"{instruction.buffer.size_bytes:,} B" in text
                assert "x".join(map(str, instruction.buffer.piece.shape)) in text
                short = instruction.buffer.name.replace(f"use:{section.name}:", "%")
                assert short in text


@pytest.mark.parametrize("name", CHIPS)
def test_lines_are_short_unless_a_name_is_long(name):
    for line in program_lines(program(name)):
        assert line == line.rstrip()
        assert len(line) <= 100 or max(map(len, line.split())) > 40, line


def test_all_sections_follow_each_other():
    whole = program_lines(program("nerf"))
    parts = [
        program_lines(program("nerf"), [section]) for section in program("nerf").all_sections()
    ]
    assert whole[-len(parts[-1]) :] == parts[-1]
    assert plain(line for part in parts for line in part) in plain(whole)
    assert whole[0] == "program nerf: 12 cores of 9,216 B, 8,192 B of each for shifts"
    assert "  input positions: 2x6x63 float32" in whole


def test_instructions_in_a_loop_stand_further_in():
    section = next(
        section
        for section in program("nerf").sections
        if any(isinstance(i, Loop) for i in section.instructions)
    )
    lines = program_lines(program("nerf"), [section])
    (loop,) = [i for i, line in enumerate(lines) if " loop " in line]
    (between,) = [i for i, line in enumerate(lines) if line.strip() == "between rounds"]
    shifts = [i for i, line in enumerate(lines) if " shift " in line]
    assert loop < between < min(shifts)
    assert lines[loop + 1].index("0 compute") > lines[loop].index("loop")
    assert lines[between + 1].index("0 shift") > lines[loop].index("loop")


def test_a_document_of_sections_has_their_kernels():
    section = program("nerf").sections[1]
    document = program_document(program("nerf"), [section])
    assert document["sections"] == [encode(section)]
    assert list(document["kernels"]) == ["1"]
    assert document["kernels"]["1"] == encode(program("nerf").kernels[1])
    assert json.loads(t10c.dump_program(program("nerf"))) == program_document(program("nerf"))


def test_what_a_wrong_program_says_is_shown_too():
    """Kernels and tensors that do not exist, instructions that repeat, and names of no section."""
    base = program("nerf")
    step = next(
        i for i in all_instructions(base.sections[0].instructions) if isinstance(i, Compute)
    )
    odd = replace(
        step, kernel=99, cores=3, tile=(), output=Access("C", "lost", (("n", "core"),)), inputs=()
    )
    allocated = next(
        i for i in all_instructions(base.sections[0].instructions) if isinstance(i, Allocate)
    )
    doubled = replace(allocated.buffer, copies=2, elements=5, piece=Piece(1, (), ()))
    section = replace(
        base.sections[0], instructions=(odd, Allocate(doubled), Loop("i", 3, (odd,), ()))
    )
    text = plain(program_lines(replace(base, inputs=("nowhere",)), [section]))
    assert "kernel 99: there is none" in text
    assert "compute C=lost{n: core} by kernel 99" in text
    assert "scalar (5 kept) of 16 bits, 20 B in 2 copies on 1 core" in text
    assert "loop i < 3" in text
    assert "between rounds" not in text
    head = plain(program_lines(replace(base, inputs=("nowhere",))))
    assert "input nowhere: unknown" in head


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return docs_script("generate")


def test_the_example_in_the_documents_is_current(generate: ModuleType) -> None:
    page = (ROOT / "docs" / "program.md").read_text(encoding="utf-8")
    assert generate.with_example(page) == page, "run make docs"


def test_the_documents_name_every_instruction() -> None:
    page = (ROOT / "docs" / "program.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `([a-z]+)` \|", page, re.MULTILINE)) - {"core", "run"}
    used = {
        type(instruction).__name__.lower()
        for name in CHIPS
        for section in program(name).all_sections()
        for instruction in all_instructions(section.instructions)
    }
    assert used == described
