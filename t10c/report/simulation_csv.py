"""The sections of a simulation report as CSV: one row each, with names that do not change."""

from t10c.report.rows import csv_text
from t10c.serialise import field_hints
from t10c.simulate.document import OperatorReport, SimulationReport
from t10c.simulate.result import Breakdown, Effects

_PREFIXES = {Breakdown: "", Effects: "effect_"}
"""Parts are columns of their own: `shift_cycles`, `effect_hops_cycles`."""


def csv_columns() -> tuple[str, ...]:
    """Names of the columns, in order; numbers end in their unit."""
    columns: list[str] = []
    for name, hint in field_hints(OperatorReport).items():
        if hint in _PREFIXES:
            columns += [f"{_PREFIXES[hint]}{part}_cycles" for part in hint().as_dict()]
        else:
            columns.append(name)
    return tuple(columns)


def simulation_csv(report: SimulationReport) -> str:
    """Header and rows; what is not known is an empty cell."""
    return csv_text([csv_columns(), *map(_cells, report.operators)])


def _cells(operator: OperatorReport) -> list[object]:
    cells: list[object] = []
    for name in field_hints(OperatorReport):
        value = getattr(operator, name)
        if isinstance(value, Breakdown | Effects):
            cells += value.as_dict().values()
        else:
            cells.append("" if value is None else value)
    return cells
