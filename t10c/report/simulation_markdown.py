"""A simulation report as a comment on a pull request."""

from t10c.report.markdown import code, escaped, markdown_table
from t10c.report.simulation import (
    UTILISATION,
    chip_text,
    cost_gap,
    cost_text,
    longest,
    main_part,
    memory_text,
    shares_text,
    transfer_text,
)
from t10c.report.text import cycles_text, percent_text, shorten, time_text
from t10c.simulate.document import SimulationReport

_TOP_OPERATORS = 10


def simulation_markdown(report: SimulationReport) -> list[str]:
    """Lines: the figures as a table, then the operators that take longest, folded."""
    latency = report.latency_cycles
    rows = [
        ("chip", escaped(chip_text(report))),
        ("latency", f"**{time_text(report.latency_ms / 1e3)}** = {cycles_text(latency)} cycles"),
    ]
    if latency:
        parts = shares_text(report.breakdown_cycles.as_dict(), latency)
        rows += [
            ("of which", parts),
            ("memory", escaped(memory_text(report))),
            ("utilisation", f"{percent_text(report.utilisation)} {UTILISATION}"),
            ("transfers", transfer_text(report)),
        ]
    if report.lower_bound_cycles is not None:
        rows.append(("lower bound", f"{cycles_text(report.lower_bound_cycles)} cycles"))
    gap = cost_gap(report)
    if gap is not None and report.cost_model_cycles is not None:
        rows.append(("cost model", cost_text(gap, report.cost_model_cycles)))
    title = f"### {escaped(shorten(report.model, 80))} on {escaped(report.hardware)}, simulated"
    lines = [title, "", *markdown_table(("figure", "value"), rows, left=(0, 1))]
    if report.operators:
        lines += ["", *_longest_lines(report)]
    return [*lines, *(line for note in report.notes for line in ("", f"Note: {escaped(note)}"))]


def _longest_lines(report: SimulationReport) -> list[str]:
    total = report.latency_cycles
    rows = [
        (
            code(shorten(alike.name, 80)),
            escaped(alike.kernel),
            str(alike.count),
            cycles_text(alike.latency_cycles),
            percent_text(alike.latency_cycles / total if total else 0.0),
            main_part(alike),
        )
        for alike in longest(report, _TOP_OPERATORS)
    ]
    header = ("operator", "kernel", "alike", "cycles", "share", "mostly")
    return [
        "<details><summary>Operators that take longest</summary>",
        "",
        *markdown_table(header, rows, left=(0, 1, 5)),
        "",
        "</details>",
    ]
