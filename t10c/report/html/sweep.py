"""A sweep as one self-contained HTML page: fronts, a heat map over two overrides, all points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from t10c.report.html.head import Figure
from t10c.report.html.page import rendered
from t10c.report.html.texts import shown
from t10c.report.text import time_text
from t10c.sweep.table import SweepTable, Value

MOST_POINTS = 50_000
"""Points that a page holds: the first ones."""

_MOST_MODELS = 8
_HIDDEN = ("hardware_hash", "clock_hz", "link_bandwidth_bytes_per_second")
_NOT_COMPARED = ("demanded_bytes", "core_count", "core_bytes")
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class _Head:
    title: str
    subtitle: str
    figures: tuple[Figure, ...]


def sweep_page(table: SweepTable) -> str:
    """One HTML file of a sweep; equal tables give equal pages.

    UsageError if Jinja or Plotly is not installed.
    """
    return rendered("sweep", _head(table), _document(table), ("sweep",))


def _document(table: SweepTable) -> dict[str, Any]:
    """The columns that the page shows, row by row; figures are numbers that a heat map may show."""
    kept = [n for n, column in enumerate(table.columns) if column.name not in _HIDDEN]
    columns = [table.columns[n] for n in kept]
    return {
        "axes": list(table.axes),
        "columns": [column.name for column in columns],
        "figures": [c.name for c in columns if c.kind in (int, float) and _is_compared(c.name)],
        "rows": [[_short(row[n]) for n in kept] for row in table.rows[:MOST_POINTS]],
    }


def _is_compared(name: str) -> bool:
    return name not in _NOT_COMPARED


def _short(value: Value) -> Value:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    return shown(value) if isinstance(value, str) else value


def _head(table: SweepTable) -> _Head:
    models = list(dict.fromkeys(str(value) for value in table.column("model")))
    chips = list(dict.fromkeys(str(value) for value in table.column("hardware")))
    names = ", ".join(table.axes) or "nothing"
    fits = table.column("fits")
    notes = [f"{sum(map(bool, fits)):,} have a plan"]
    if len(table.rows) > MOST_POINTS:
        notes.append(f"the page holds the first {MOST_POINTS:,}")
    return _Head(
        title=_listed(models, "models"),
        subtitle=shown(f"on {_listed(chips, 'chips')}; varied: {names}"),
        figures=(
            Figure("Points", f"{len(table.rows):,}", "; ".join(notes)),
            *(_fastest(table, model) for model in models[:_MOST_MODELS]),
        ),
    )


def _listed(names: Sequence[str], what: str) -> str:
    return shown(", ".join(names) if len(names) <= 4 else f"{len(names)} {what}")


def _fastest(table: SweepTable, model: str) -> Figure:
    """The fastest point of a model, as the cost model says."""
    latency = table.column("latency_ms")
    own = [
        n
        for n, name in enumerate(table.column("model"))
        if name == model and latency[n] is not None
    ]
    if not own:
        return Figure(shown(model), "does not fit", "no point of it has a plan")
    best = min(own, key=lambda n: float(latency[n] or 0.0))
    changes = " ".join(f"{name}={table.column(name)[best]}" for name in table.axes)
    chip = table.column("hardware")[best]
    return Figure(
        shown(model),
        time_text(float(latency[best] or 0.0) / 1e3),
        shown(f"the fastest of {len(own):,} that fit: {chip} {changes}"),
    )
