"""Quantities with units as specification files write them: `624KiB`, `5.5GB/s`, `118cycles`."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from t10c.suggest import shorten

_SCALE = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}

_BYTES = {f"{prefix}B": scale for prefix, scale in (_SCALE | _BINARY).items()}
_HERTZ = {f"{prefix}Hz": _SCALE[prefix] for prefix in ("", "k", "M", "G")}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_CYCLES = {"cycles": 1.0, "cycle": 1.0}

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z/]*)")
_GRID = re.compile(r"(\d{1,9})\s*x\s*(\d{1,9})")
_LONGEST_TEXT = 60

Basis = Literal["", "second", "cycle"]
QuantityKind = Literal["size", "frequency", "rate", "duration", "number"]

EXAMPLES: dict[QuantityKind, str] = {
    "size": "624KiB",
    "frequency": "1.325GHz",
    "rate": "5.5GB/s or 4B/cycle",
    "duration": "118cycles or 90ns",
    "number": "0.25",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A finite value in base units; `basis` says whether a rate or duration counts cycles."""

    value: float
    basis: Basis = ""

    def in_cycles(self, clock_hz: float) -> float:
        """A duration in cycles."""
        return self.value if self.basis == "cycle" else self.value * clock_hz

    def per_second(self, clock_hz: float) -> float:
        """A rate per second."""
        return self.value * clock_hz if self.basis == "cycle" else self.value


def _units(kind: QuantityKind) -> dict[str, tuple[float, Basis]]:
    match kind:
        case "size":
            return {unit: (scale, "") for unit, scale in _BYTES.items()}
        case "frequency":
            return {unit: (scale, "") for unit, scale in _HERTZ.items()}
        case "rate":
            rates: dict[str, tuple[float, Basis]] = {
                f"{unit}/s": (scale, "second") for unit, scale in _BYTES.items()
            }
            return {**rates, "B/cycle": (1.0, "cycle")}
        case "duration":
            table: dict[str, tuple[float, Basis]] = {
                unit: (scale, "second") for unit, scale in _SECONDS.items()
            }
            return table | {unit: (scale, "cycle") for unit, scale in _CYCLES.items()}
        case "number":
            return {"": (1.0, "")}


def parse_quantity(text: str, kind: QuantityKind) -> Quantity:
    """The quantity that `text` states; ValueError says what is wrong and what is allowed."""
    match = _QUANTITY.fullmatch(text.strip()) if len(text) <= _LONGEST_TEXT else None
    if match is None:
        raise ValueError(f"'{shorten(text)}' is not a {kind}; write it like {EXAMPLES[kind]}")
    number, unit = match.groups()
    units = _units(kind)
    if unit not in units:
        if not unit:
            raise ValueError(f"'{text}' has no unit; write a {kind} like {EXAMPLES[kind]}")
        if kind == "number":
            raise ValueError(f"'{text}' has a unit; this is a plain number like 0.25")
        raise ValueError(f"'{text}' is not a {kind}; allowed units: {', '.join(units)}")
    scale, basis = units[unit]
    value = float(number) * scale
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is too large for a {kind}")
    return Quantity(value, basis)


def parse_grid(text: str) -> tuple[int, int]:
    """Rows and columns of `8x10`; ValueError if it is not that or empty."""
    match = _GRID.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{shorten(text)}' is not a grid; write ROWSxCOLUMNS like 8x10")
    rows, columns = int(match[1]), int(match[2])
    if rows < 1 or columns < 1:
        raise ValueError(f"'{text}' has no cores; rows and columns are at least 1")
    return rows, columns
