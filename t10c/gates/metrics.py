"""The figures of a simulation report that can be compared and limited, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from t10c.errors import UsageError
from t10c.hardware.units import QuantityKind, parse_quantity
from t10c.json_schema import abouts
from t10c.simulate.document import SimulationReport
from t10c.simulate.result import Breakdown
from t10c.suggest import did_you_mean, shorten

Unit = Literal["cycles", "ms", "bytes", "share", "bytes_per_second"]

_KINDS: dict[Unit, QuantityKind] = {
    "cycles": "duration",
    "ms": "duration",
    "bytes": "size",
    "share": "number",
    "bytes_per_second": "rate",
}
_SCALARS: dict[str, Unit] = {
    "latency_ms": "ms",
    "latency_cycles": "cycles",
    "cost_model_cycles": "cycles",
    "lower_bound_cycles": "cycles",
    "peak_core_bytes": "bytes",
    "utilisation": "share",
    "transfer_share": "share",
    "achieved_bytes_per_second": "bytes_per_second",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure: `of` takes it from a report, None where the report does not know it."""

    name: str
    unit: Unit
    about: str
    of: Callable[[SimulationReport], float | None]

    def amount(self, text: str, clock_hz: float, plain: bool = False) -> float:
        """What `text` says, in the metric's unit (ValueError); `plain` numbers may be in it.

        Cycles are those of a clock of `clock_hz`.
        """
        kind = _KINDS[self.unit]
        if kind == "number" or (plain and text[-1:].isdigit()):
            return parse_quantity(text, "number").value
        quantity = parse_quantity(text, kind)
        if self.unit == "cycles":
            return quantity.in_cycles(clock_hz)
        if self.unit == "ms":
            return quantity.in_cycles(clock_hz) / clock_hz * 1e3
        return quantity.per_second(clock_hz)


def _scalar(name: str, report: SimulationReport) -> float | None:
    value = getattr(report, name)
    assert value is None or isinstance(value, int | float)
    return value


def _part(name: str, report: SimulationReport) -> float:
    return float(getattr(report.breakdown_cycles, name))


def _metrics() -> dict[str, Metric]:
    known = abouts(SimulationReport)
    totals = [Metric(n, unit, known[n], partial(_scalar, n)) for n, unit in _SCALARS.items()]
    parts = [
        Metric(f"{part}_cycles", "cycles", f"{part} in the breakdown", partial(_part, part))
        for part in Breakdown().as_dict()
    ]
    return {metric.name: metric for metric in (*totals[:2], *parts, *totals[2:])}


METRICS = _metrics()
"""All metrics by name, in the order in which reports show them."""

SHORT_NAMES = {"latency": "latency_ms"}
"""What a metric may be called besides."""


def metric_named(name: str, place: str) -> Metric:
    """The metric of a name or short name; UsageError, beginning with `place`, if there is none."""
    found = METRICS.get(SHORT_NAMES.get(name, name))
    if found is None:
        known = (*SHORT_NAMES, *METRICS)
        hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        raise UsageError(f"{place}: no metric '{shorten(name)}'{hint}")
    return found
