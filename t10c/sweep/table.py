"""Rows of a sweep as one table: CSV and Parquet, with the same columns."""

import csv
import importlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from t10c.errors import UsageError
from t10c.hardware.document import spec_hash
from t10c.json_schema import ABOUT
from t10c.sweep.result import PlanFigures, SimulatedFigures
from t10c.sweep.run import Sweep, SweepRow

Value = str | int | float | bool | None

SIMULATED = "simulated_"
"""What the names of simulated figures begin with."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its values are of `kind`, or None."""

    name: str
    kind: type
    about: str


@dataclass(frozen=True)
class SweepTable:
    """A row per point, in their order; `axes` are the columns that the sweep varies."""

    axes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]

    def column(self, name: str) -> list[Value]:
        """The values of a column, in the order of the rows."""
        place = [column.name for column in self.columns].index(name)
        return [row[place] for row in self.rows]


_POINT = (
    Column("model", str, "label of the model"),
    Column("hardware", str, "the chip as the sweep file names it"),
)
_RESULT = (
    Column("core_count", int, "cores of all chips"),
    Column("core_bytes", int, "memory of a core that plans may use"),
    Column("clock_hz", float, "clock of the cores"),
    Column("link_bandwidth_bytes_per_second", float, "nominal bandwidth of one core's link"),
    Column("hardware_hash", str, "sha256 of the resolved specification"),
    Column("fits", bool, "whether there is a plan"),
    Column(
        "status", str, "`fits`, `does_not_fit`, `invalid_spec`, or `refused` (too large to plan)"
    ),
    Column("reason", str, "why there is no plan"),
    Column("demanded_bytes", int, "memory of a core that a model demands which does not fit"),
)


def sweep_table(sweep: Sweep, rows: Sequence[SweepRow]) -> SweepTable:
    """The table of a sweep that has run."""
    axes = tuple(axis.name for axis in sweep.file.axes)
    simulated = sweep.file.options.simulate
    return SweepTable(
        axes, columns(axes, simulated), tuple(_values(row, simulated) for row in rows)
    )


def columns(axes: Sequence[str], simulated: bool) -> tuple[Column, ...]:
    """The columns of a sweep: its point, one per override, the chip, and what was found."""
    changed = (Column(name, str, "as the sweep file writes it") for name in axes)
    return (
        *_POINT,
        *changed,
        *_RESULT,
        *_figures(PlanFigures, ""),
        *(_figures(SimulatedFigures, SIMULATED) if simulated else ()),
    )


def _figures(figures: type[PlanFigures | SimulatedFigures], prefix: str) -> list[Column]:
    found = []
    for item in fields(figures):
        assert isinstance(item.type, type), "figures are numbers"
        found.append(Column(prefix + item.name, item.type, item.metadata[ABOUT]))
    return found


def _values(row: SweepRow, simulated: bool) -> tuple[Value, ...]:
    point, result = row.point, row.result
    spec = point.spec
    chip: tuple[Value, ...] = (None,) * 5
    if spec is not None:
        chip = (
            spec.core_count,
            spec.usable_bytes,
            spec.clock_hz,
            spec.interconnect.link_bandwidth_bytes_per_second,
            spec_hash(spec),
        )
    return (
        *(point.label, point.hardware, *point.values, *chip),
        *(result.status == "fits", result.status, result.reason or None, result.demanded_bytes),
        *_taken(result.plan, PlanFigures),
        *(_taken(result.simulated, SimulatedFigures) if simulated else ()),
    )


def _taken(
    found: PlanFigures | SimulatedFigures | None, kind: type[PlanFigures | SimulatedFigures]
) -> list[Value]:
    return [None if found is None else getattr(found, item.name) for item in fields(kind)]


def sweep_csv(table: SweepTable) -> bytes:
    """The table as CSV with a line of names; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in table.columns)
    for row in table.rows:
        writer.writerow(str(v).lower() if isinstance(v, bool) else v for v in row)
    return text.getvalue().encode()


def sweep_parquet(table: SweepTable) -> bytes:
    """The same table as Parquet; UsageError if PyArrow is not installed."""
    arrow, parquet = parquet_modules()
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
    schema = arrow.schema(
        [arrow.field(c.name, kinds[c.kind], metadata={"about": c.about}) for c in table.columns]
    )
    arrays = [
        arrow.array([row[place] for row in table.rows], type=kinds[column.kind])
        for place, column in enumerate(table.columns)
    ]
    stream = io.BytesIO()
    parquet.write_table(arrow.Table.from_arrays(arrays, schema=schema), stream)
    return stream.getvalue()


def parquet_modules() -> tuple[Any, Any]:
    """PyArrow, and its part that writes Parquet; UsageError without it."""
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed\n"
            "install it with: pip install 't10c[sweep]', or write CSV"
        ) from error
