"""The front of latency against memory per core, as text and CSV."""

import csv
import io

from t10c.report.text import (
    LINE_WIDTH,
    cycles_text,
    percent_text,
    shorten,
    size_text,
    table_lines,
    time_text,
)
from t10c.schedule.pareto import FrontPoint, ModelFront

_COLUMNS = ("sram_bytes", "peak_core_bytes", "latency_cycles", "latency_ms", "lower_bound_cycles")


def front_lines(front: ModelFront) -> list[str]:
    """The front for people, and how to compile one of its points."""
    gap = _memory_gap(front)
    lines = [
        f"model      {shorten(front.model, 60)} on {front.hardware}: {front.core_count:,} cores x"
        f" {size_text(front.sram_bytes)} of memory, {size_text(front.reserved_bytes)} reserved",
        f"least      {size_text(front.least_bytes)} per core: no schedule of these operators"
        " has a lower peak" + (f"; gap {percent_text(gap)}" if gap is not None else ""),
    ]
    rows = [
        [
            f"{point.sram_bytes:,}",
            f"{point.peak_core_bytes:,}",
            time_text(point.latency_ms / 1e3),
            cycles_text(point.latency_cycles),
            cycles_text(point.lower_bound_cycles),
            percent_text(point.gap),
            point.joint.stopped if point.joint is not None else "",
        ]
        for point in front.points
    ]
    header = ["cores.sram (B)", "peak/core (B)", "latency", "cycles", "bound", "gap", "ended by"]
    together = any(point.joint is not None for point in front.points)
    shown = len(header) if together else len(header) - 1
    lines += table_lines(header[:shown], [row[:shown] for row in rows], left=(shown,))
    if front.truncated:
        lines.append("truncated: more time could bring more points, or faster ones")
    if front.points:
        lines.append(
            "compile one point with, for instance:"
            f" --hw-set cores.sram={front.points[0].sram_bytes}B"
        )
    return [shorten(line, LINE_WIDTH) for line in lines]


def front_csv(front: ModelFront) -> str:
    """The front as a table for programs: a line per point, least memory first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "hardware", *_COLUMNS, "gap", "stopped"])
    for point in front.points:
        writer.writerow([front.model, front.hardware, *_cells(point)])
    return text.getvalue()


def _cells(point: FrontPoint) -> list[object]:
    stopped = point.joint.stopped if point.joint is not None else ""
    return [*(getattr(point, name) for name in _COLUMNS), point.gap, stopped]


def _memory_gap(front: ModelFront) -> float | None:
    """Share of the smallest peak above the bound; None if either is unknown."""
    if not front.points or not front.least_bytes:
        return None
    peak = front.points[0].peak_core_bytes
    return (peak - front.least_bytes) / peak
