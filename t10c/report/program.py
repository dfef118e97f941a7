"""A device program as text: its sections with their kernels, values and instructions."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from t10c.ir.graph import LayoutOp
from t10c.ir.program import (
    Allocate,
    Clear,
    Compute,
    Finish,
    Instruction,
    Loop,
    Program,
    Reduce,
    Section,
)
from t10c.program.document import to_document
from t10c.report.expression import expression_text
from t10c.report.instructions import INDENT, InstructionText, wrapped_lines
from t10c.serialise import encode

_HASH_DIGITS = 12


def program_document(program: Program, sections: Sequence[Section] | None = None) -> dict[str, Any]:
    """The program's document; with `sections`, only what it says of them."""
    if sections is None:
        return to_document(program)
    kernels = sorted({n for section in sections for n in _kernels(section.instructions)})
    return {
        "sections": [encode(section) for section in sections],
        "kernels": {str(n): encode(program.kernels[n]) for n in kernels if _known(program, n)},
    }


def program_lines(program: Program, sections: Sequence[Section] | None = None) -> list[str]:
    """The program as text of at most 100 columns, long names aside; or some sections of it."""
    lines = [] if sections is not None else _head_lines(program)
    for section in program.all_sections() if sections is None else sections:
        lines += [*([""] if lines else []), *_section_lines(program, section)]
    return lines


def _head_lines(program: Program) -> list[str]:
    lines = wrapped_lines(
        [
            f"program {program.name}: {program.core_count:,} cores of {program.core_bytes:,} B,",
            f"{program.reserved_bytes:,} B of each for shifts",
        ],
        0,
    )
    if program.origin is not None:
        made = program.origin
        lines += wrapped_lines(
            [
                f"from plan {made.plan_hash[:_HASH_DIGITS]}",
                f"for {made.hardware} ({made.hardware_hash[:_HASH_DIGITS]})",
            ],
            1,
        )
    if program.positions is not None:
        x, y = program.positions
        lines += wrapped_lines([f"core is at x = {x},", f"y = {y}"], 1)
    for what, names in (("input", program.inputs), ("output", program.outputs)):
        lines += [f"{INDENT}{what} {_tensor_text(program, name)}" for name in names]
    for view in program.views:
        lines += wrapped_lines(
            [f"view {view.output} =", f"{_view_text(view)} of", ", ".join(view.inputs)], 1
        )
    return lines


def _view_text(view: LayoutOp) -> str:
    """What a layout-only operator does: `transpose 1,0`."""
    said = {
        "transpose": f" {_numbers(view.perm)}",
        "slice": f" from {_numbers(view.starts)} by {_numbers(view.steps)}",
        "concat": f" along {view.axis}",
        "pad": f" at {_numbers(view.starts)} in {view.fill}",
    }
    return view.kind + said.get(view.kind, "")


def _numbers(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers)) or "nothing"


def _tensor_text(program: Program, name: str) -> str:
    """A tensor's name, shape and the model's type of its elements."""
    fact = next((t for t in program.tensors if t.name == name), None)
    if fact is None:
        return f"{name}: unknown"
    return f"{name}: {'x'.join(map(str, fact.shape)) or 'scalar'} {fact.element_type}"


def _section_lines(program: Program, section: Section) -> list[str]:
    """Header, kernels, values and instructions."""
    kind = f" ({section.op_type})" if section.op_type else ""
    cores = max(_cores(section.instructions), default=0)
    used = f": {cores:,} of {program.core_count:,} cores" if cores else ""
    lines = [f"section {section.name}{kind}{used}"]
    text = InstructionText(section.name, cores)
    if any(name.startswith(text.prefix) for name in _names(section.instructions)):
        lines.append(f"{INDENT}%X is {text.prefix}X")
    for number in sorted(set(_kernels(section.instructions))):
        if _known(program, number):
            kernel = program.kernels[number]
            what = f"kernel {number} ({kernel.kernel}): "
            lines += wrapped_lines([what + expression_text(kernel)], 1)
        else:
            lines.append(f"{INDENT}kernel {number}: there is none")
    width = max((len(name) for name, _ in section.values), default=0)
    for name, formula in section.values:
        lines += wrapped_lines([f"{name.ljust(width)} = {formula}"], 1)
    return [*lines, *text.instructions(section.instructions, 1)]


def _known(program: Program, kernel: int) -> bool:
    return 0 <= kernel < len(program.kernels)


# What a section uses


def _flat(instructions: Iterable[Instruction]) -> Iterator[Instruction]:
    """All instructions but the loops themselves."""
    for instruction in instructions:
        if isinstance(instruction, Loop):
            yield from _flat((*instruction.body, *instruction.between))
        else:
            yield instruction


def _kernels(instructions: Iterable[Instruction]) -> list[int]:
    return [
        i.kernel for i in _flat(instructions) if isinstance(i, Clear | Compute | Reduce | Finish)
    ]


def _cores(instructions: Iterable[Instruction]) -> list[int]:
    return [i.cores for i in _flat(instructions) if isinstance(i, Compute)]


def _names(instructions: Iterable[Instruction]) -> list[str]:
    return [i.buffer.name for i in _flat(instructions) if isinstance(i, Allocate)]
