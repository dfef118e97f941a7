"""Moves that fill a part of a buffer: what the checker refuses, and how they read."""

from dataclasses import replace

import pytest
import zoo_models

import t10c
from t10c.errors import InvalidInputError
from t10c.ir.program import Exchange, Instruction, Loop, Program
from t10c.program.check import check_program
from t10c.report.program import program_lines


@pytest.fixture(scope="module")
def program() -> Program:
    """A perceptron whose operators store two tiles, one from within a loop over their rows."""
    graph = t10c.import_model(zoo_models.small("nerf").SerializeToString())
    plan = t10c.plan_vgm(graph, replace(t10c.load_spec("ipu-mk2"), core_count=5))
    assert isinstance(plan, t10c.VgmPlan)
    operators = []
    for operator in plan.operators:
        axes = plan.problems[operator.problem].axes
        rows = next(i for i, a in enumerate(axes) if not a.reduction and a.length > 1)
        split = tuple(1 if i == rows else 2 if a.role == "n" else 1 for i, a in enumerate(axes))
        rounds = tuple(2 if i == rows else 1 for i in range(len(axes)))
        tiling = replace(operator.tiling, split=split, rounds=rounds, loops=(rows,))
        operators.append(replace(operator, tiling=tiling))
    made = t10c.lower_vgm(replace(plan, operators=tuple(operators)))
    assert all(any(isinstance(i, Loop) for i in section.instructions) for section in made.sections)
    return made


def changed(program: Program, edit) -> Program:
    """The program with every partial move edited; None leaves it out."""

    def of(instructions: tuple[Instruction, ...]) -> tuple[Instruction, ...]:
        found = []
        for instruction in instructions:
            if isinstance(instruction, Loop):
                inner = {"body": of(instruction.body), "between": of(instruction.between)}
                found.append(replace(instruction, **inner))
            elif isinstance(instruction, Exchange):
                moves = tuple(edit(m) if m.partial else m for m in instruction.moves)
                found.append(replace(instruction, moves=tuple(m for m in moves if m)))
            else:
                found.append(instruction)
        return tuple(found)

    sections = [replace(s, instructions=of(s.instructions)) for s in program.sections]
    return replace(program, sections=tuple(sections))


def test_the_program_is_right(program):
    assert check_program(changed(program, lambda move: move)) == check_program(program)


def test_a_tile_does_not_fill_all(program):
    wrong = changed(program, lambda move: replace(move, partial=False))
    with pytest.raises(InvalidInputError, match="no core holds"):
        check_program(wrong)


def test_parts_are_of_the_same_tensor(program):
    weight = program.load.instructions[-1].buffer
    with pytest.raises(InvalidInputError, match="holds no part of"):
        check_program(changed(program, lambda move: replace(move, sources=(weight,))))


def test_what_was_never_stored_is_not_there(program):
    with pytest.raises(InvalidInputError, match="is read before it is written"):
        check_program(changed(program, lambda move: None))


def test_a_single_part_is_not_all(program):
    """Without the stores within loops only the last tile arrives."""
    sections = []
    for section in program.sections:
        only = changed(replace(program, sections=(section,)), lambda move: None).sections[0]
        loops = [
            new if isinstance(old, Loop) else old
            for old, new in zip(section.instructions, only.instructions, strict=True)
        ]
        sections.append(replace(section, instructions=tuple(loops)))
    with pytest.raises(InvalidInputError, match="is read before all of it is written"):
        check_program(replace(program, sections=tuple(sections)))


def test_texts_say_that_a_part_is_filled(program):
    text = "\n".join(program_lines(program, program.sections))
    assert "part of home:" in text
