"""What `t10c verify` found, as lines for people and as JSON."""

import textwrap
from typing import Any

from t10c.report.text import LINE_WIDTH, shorten, size_text, table_lines
from t10c.verify.compare import Comparison
from t10c.verify.run import Verification
from t10c.verify.trace import WrongOperator

_SHOWN_OUTPUTS = 12
_SHOWN_WARNINGS = 3
_SHOWN_OPERATORS = 3
_GOOD_PART = 0.1


def verification_lines(found: Verification) -> list[str]:
    """The report: at most 28 lines, and long notes take more."""
    options = found.options
    drawn = f", {len(found.drawn)} weights drawn (seed {options.seed})" if found.drawn else ""
    inputs = f"from {options.inputs}" if options.inputs else f"random (seed {options.seed})"
    lines = [
        f"model      {shorten(found.model, 60)}{drawn}",
        f"chip       {found.chip}: {found.core_count:,} simulated cores, peak"
        f" {size_text(found.peak_core_bytes)} per core",
        f"inputs     {inputs}, {len(found.inferences)} inferences in a row",
        "",
        *_output_table(found),
        "",
        *(line for note in _notes(found) for line in _wrapped("note       ", note)),
    ]
    if options.trace:
        lines.append(f"trace      {_trace_text(found)}")
    if found.first_wrong is not None:
        lines += _wrong_lines(found)
    lines.append(
        f"time       {found.machine_cpu_seconds:.1f} CPU s on simulated cores,"
        f" {found.runtime_cpu_seconds:.2f} in ONNX Runtime"
    )
    lines.append(_verdict(found))
    return lines


def _wrapped(head: str, text: str) -> list[str]:
    """Text in lines of the report's width, all but the first indented."""
    return textwrap.wrap(text, LINE_WIDTH, initial_indent=head, subsequent_indent=" " * len(head))


def _output_table(found: Verification) -> list[str]:
    rows = []
    for number, comparisons in enumerate(found.inferences, start=1):
        for comparison in sorted(comparisons, key=lambda c: c.passed)[: _SHOWN_OUTPUTS // 2]:
            rows.append(
                (
                    shorten(comparison.name, 44),
                    str(number),
                    f"{comparison.elements:,}",
                    _error_text(comparison),
                    "agrees" if comparison.passed else "DIFFERS",
                )
            )
    table = table_lines(("output", "inference", "elements", "error", ""), rows, left=(0, 4))
    hidden = sum(map(len, found.inferences)) - len(rows)
    return [*table, f"and {hidden} more in JSON"] if hidden else table


def _error_text(comparison: Comparison) -> str:
    """An error in short words: the cell must not be cut."""
    if comparison.not_finite:
        return f"{comparison.not_finite:,} NaN/inf"
    if comparison.problem and not comparison.want:
        return "shape" if comparison.problem.startswith("shape") else "type"
    if comparison.off:
        return f"{comparison.off:,} differ, by up to {comparison.error:.0f}"
    return "exact" if not comparison.error else f"{comparison.relative_error:.1e}"


def _trace_text(found: Verification) -> str:
    text = f"{found.traced:,} operator{'s' * (found.traced != 1)} compared"
    if found.untraced:
        text += f", {found.untraced} have no value of their own in the model"
    return text


def _notes(found: Verification) -> list[str]:
    """What one should know to judge the verdict."""
    notes = list(found.warnings[:_SHOWN_WARNINGS])
    hidden = len(found.warnings) - len(notes)
    if hidden:
        notes.append(f"and {hidden} more of these in JSON")
    if not found.operators:
        notes.append("the plan has no operators: its outputs are inputs or constants")
    unlike = [c for made in found.inferences for c in made if c.problem and not c.want]
    notes += [f"{shorten(c.name, 40)} is of {c.problem}" for c in unlike[:1]]
    for number in found.nudged:
        moved = [change for n, _, change in found.own_changes if n == number]
        notes.append(
            f"inference {number + 1} agrees with ONNX Runtime for numbers moved by their last bits;"
            f" with weights and inputs as they are, its own result moves by up to {max(moved):.2g}:"
            " a value half-way between two is rounded the other way"
        )
    for number, name, change in _amplified(found)[:_SHOWN_WARNINGS]:
        notes.append(
            f"ONNX Runtime's own {shorten(name, 40)} moves by up to {change:.2g} in inference"
            f" {number + 1} if numbers move by their last bits: the model amplifies rounding"
        )
    notes += [
        f"{shorten(name, 40)} has no finite element: that it agrees tells nothing"
        for name in found.telling.nowhere_finite[:_SHOWN_WARNINGS]
    ]
    if found.telling.unchanged:
        notes.append(
            "all outputs are the same in both inferences, within the tolerance, though their inputs"
            " differ: the outputs hardly depend on them, so agreement tells little"
        )
    if not found.elements:
        notes.append("no output has elements: nothing was compared")
    return notes


def _amplified(found: Verification) -> list[tuple[int, str, float]]:
    """Outputs that differ, where rounding alone does a good part of that in ONNX Runtime."""
    errors = {
        (number, c.name): c.error for number, made in enumerate(found.inferences) for c in made
    }
    return [
        (number, name, change)
        for number, name, change in found.own_changes
        if number not in found.nudged and change >= _GOOD_PART * errors[number, name]
    ]


def _wrong_lines(found: Verification) -> list[str]:
    wrong = found.first_wrong
    assert wrong is not None
    comparison = wrong.comparison
    what = shorten(wrong.operator, 60) or f"the output {shorten(comparison.name, 50)}"
    if wrong.view_of:
        what += f", a view of {shorten(wrong.view_of, 50)},"
    lines = [f"first      {what} is wrong in inference {wrong.inference + 1}: {comparison.problem}"]
    if comparison.got or comparison.want:
        core = "" if wrong.core is None else f"core {wrong.core}, "
        place = f"{shorten(comparison.name, 40)}{list(comparison.worst)}"
        lines.append(f"           {core}{place}: expected {comparison.want}, got {comparison.got}")
    return [*lines, *_span_lines(wrong)]


def _span_lines(wrong: WrongOperator) -> list[str]:
    """Where the fault may be, if not only in the operator whose value is wrong."""
    after = f"after {shorten(wrong.after, 60)}, the last that is right" if wrong.after else ""
    if not wrong.between:
        return [f"           it comes {after}"] if after else []
    names = [shorten(name, 40) for name in wrong.between[-_SHOWN_OPERATORS:]]
    more = len(wrong.between) - len(names)
    shown = ", ".join([f"{more:,} more"] * bool(more) + names)
    which = "or an operator before it" if wrong.operator else "made by operators"
    return [
        f"           {which}, not compared: {shown}",
        *([f"           {after}"] if after else []),
    ]


def _verdict(found: Verification) -> str:
    total = sum(map(len, found.inferences))
    wrong = sum(not c.passed for comparisons in found.inferences for c in comparisons)
    if wrong:
        remedy = "" if found.options.trace else "; --trace names the first wrong operator"
        remedy += "; the notes may say why" if found.warnings else ""
        return f"verdict    WRONG: {wrong} of {total} outputs differ from ONNX Runtime{remedy}"
    if found.first_wrong is not None:
        return "verdict    WRONG: all outputs agree with ONNX Runtime, a value before them does not"
    if not found.elements:
        return "verdict    nothing was compared"
    largest = found.largest
    relative = largest.relative_error if largest else 0.0
    error = f", largest relative error {relative:.1e}" if relative else " exactly"
    return f"verdict    {total} of {total} outputs agree with ONNX Runtime{error}"


def verification_document(found: Verification) -> dict[str, Any]:
    """The same as JSON values."""
    wrong = found.first_wrong
    return {
        "passed": found.passed,
        "model": found.model,
        "chip": found.chip,
        "cores": found.core_count,
        "peak_core_bytes": found.peak_core_bytes,
        "seed": found.options.seed,
        "inputs": found.options.inputs,
        "rtol": found.options.tolerance.rtol,
        "atol": found.options.tolerance.atol,
        "drawn_weights": list(found.drawn),
        "warnings": list(found.warnings),
        "operators": found.operators,
        "elements_compared": found.elements,
        "inferences": [
            [_comparison_document(comparison) for comparison in comparisons]
            for comparisons in found.inferences
        ],
        "traced_operators": found.traced,
        "untraced_operators": found.untraced,
        "nudged_inferences": [number + 1 for number in found.nudged],
        "own_changes": [
            {"inference": number, "tensor": name, "change": change}
            for number, name, change in found.own_changes
        ],
        "outputs_nowhere_finite": list(found.telling.nowhere_finite),
        "outputs_unchanged": found.telling.unchanged,
        "first_wrong": None if wrong is None else _wrong_document(wrong),
        "machine_cpu_seconds": found.machine_cpu_seconds,
        "runtime_cpu_seconds": found.runtime_cpu_seconds,
    }


def _wrong_document(wrong: WrongOperator) -> dict[str, Any]:
    return {
        "operator": wrong.operator or None,
        "view_of": wrong.view_of or None,
        "inference": wrong.inference,
        "core": wrong.core,
        "last_right_operator": wrong.after or None,
        "operators_not_compared_between": list(wrong.between),
        **_comparison_document(wrong.comparison),
    }


def _comparison_document(comparison: Comparison) -> dict[str, Any]:
    relative = comparison.relative_error
    return {
        "tensor": comparison.name,
        "passed": comparison.passed,
        "problem": comparison.problem,
        "elements": comparison.elements,
        "error": comparison.error,
        "relative_error": relative if relative < float("inf") else None,
        "scale": comparison.scale,
        "differing_integers": comparison.off,
        "not_finite": comparison.not_finite,
        "worst_index": list(comparison.worst),
        "got": comparison.got,
        "expected": comparison.want,
    }
