"""What `t10c verify` found, as lines for people and as JSON."""

from typing import Any

from t10c.report.text import shorten, size_text, table_lines
from t10c.verify.compare import Comparison
from t10c.verify.run import Verification

_SHOWN_OUTPUTS = 12


def verification_lines(found: Verification) -> list[str]:
    """The report: at most 25 lines."""
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
    ]
    if options.trace:
        lines.append(f"trace      {_trace_text(found)}")
    if found.first_wrong is not None:
        lines += _wrong_lines(found)
    lines.append(_verdict(found))
    return lines


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
    if comparison.problem and not comparison.error:
        return shorten(comparison.problem, 40)
    if comparison.off:
        return f"{comparison.off:,} differ, by up to {comparison.error:.0f}"
    return "exact" if not comparison.error else f"{comparison.relative_error:.1e}"


def _trace_text(found: Verification) -> str:
    text = f"{found.traced} operators compared"
    if found.untraced:
        text += f", {found.untraced} have no value of their own in the model"
    return text


def _wrong_lines(found: Verification) -> list[str]:
    wrong = found.first_wrong
    assert wrong is not None
    comparison = wrong.comparison
    place = f"{shorten(comparison.name, 40)}{list(comparison.worst)}"
    return [
        f"first      {shorten(wrong.operator, 60)} is wrong in inference {wrong.inference + 1}:"
        f" {comparison.problem}",
        f"           core {wrong.core}, {place}: expected {comparison.want}, got {comparison.got}",
    ]


def _verdict(found: Verification) -> str:
    total = sum(map(len, found.inferences))
    wrong = sum(not c.passed for comparisons in found.inferences for c in comparisons)
    if wrong or found.first_wrong is not None:
        remedy = "" if found.options.trace else "; --trace names the first wrong operator"
        return f"verdict    WRONG: {wrong} of {total} outputs differ from ONNX Runtime{remedy}"
    largest = found.largest
    error = f", largest relative error {largest.relative_error:.1e}" if largest else ""
    return (
        f"verdict    {total} of {total} outputs agree with ONNX Runtime{error}"
        f" ({found.machine_cpu_seconds:.1f} CPU s on simulated cores,"
        f" {found.runtime_cpu_seconds:.2f} in ONNX Runtime)"
    )


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
        "inferences": [
            [_comparison_document(comparison) for comparison in comparisons]
            for comparisons in found.inferences
        ],
        "traced_operators": found.traced,
        "untraced_operators": found.untraced,
        "first_wrong": None
        if wrong is None
        else {
            "operator": wrong.operator,
            "inference": wrong.inference,
            "core": wrong.core,
            **_comparison_document(wrong.comparison),
        },
        "machine_cpu_seconds": found.machine_cpu_seconds,
        "runtime_cpu_seconds": found.runtime_cpu_seconds,
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
