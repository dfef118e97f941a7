"""Measured kernel samples from CSV: one tile and its cycles per line."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t10c.errors import InvalidInputError
from t10c.files import unreadable
from t10c.suggest import did_you_mean, shorten

# Columns of a sample file, in the order of the kernel's arguments; `cycles` comes last.
COLUMNS = {
    "conv": ("batch", "in_chl", "out_chl", "out_hw", "ker_hw"),
    "pool": ("chl", "out_hw", "ker_hw"),
}
FEWEST_SAMPLES = 20
_MOST_SAMPLES = 5000
_WANTED = "give a CSV file of measured samples; t10c calibrate --help names its columns"


@dataclass(frozen=True)
class Samples:
    """`tiles` has shape (N, D) in the order of COLUMNS; `cycles` has shape (N,)."""

    kernel: str
    tiles: NDArray[np.float64]
    cycles: NDArray[np.float64]


def read_samples(path: Path, kernel: str | None = None) -> Samples:
    """Samples of a CSV file; the kernel follows from its columns unless given.

    Raises FileAccessError or InvalidInputError with file and line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise unreadable(path, error, _WANTED) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"{path}: is not a CSV file: {error}") from error
    header = [name.strip() for name in rows[0]] if rows else []
    kernel = kernel or _kernel_of(path, header)
    wanted = (*COLUMNS[kernel], "cycles")
    order = _column_order(path, header, wanted)
    lines = [(number, row) for number, row in enumerate(rows[1:], start=2) if row]
    if not FEWEST_SAMPLES <= len(lines) <= _MOST_SAMPLES:
        raise InvalidInputError(
            f"{path}: has {len(lines)} samples; a fit takes {FEWEST_SAMPLES} to {_MOST_SAMPLES}\n"
            + (
                "measure more tiles, small and large in every column"
                if len(lines) < FEWEST_SAMPLES
                else "leave some out, evenly over the sizes"
            )
        )
    table = np.array([_numbers(path, number, row, wanted, order) for number, row in lines])
    return Samples(kernel, table[:, :-1], table[:, -1])


def _kernel_of(path: Path, header: Sequence[str]) -> str:
    for kernel, columns in COLUMNS.items():
        if {*columns, "cycles"} == set(header):
            return kernel
    forms = "; ".join(f"{kernel}: {','.join(c)},cycles" for kernel, c in COLUMNS.items())
    raise InvalidInputError(f"{path}:1: columns are those of no kernel; allowed: {forms}")


def _column_order(path: Path, header: Sequence[str], wanted: Sequence[str]) -> list[int]:
    for name in wanted:
        if header.count(name) != 1:
            wrong = "is missing" if name not in header else "is given twice"
            close = did_you_mean(name, set(header) - set(wanted))
            raise InvalidInputError(
                f"{path}:1: column {name} {wrong}; needed: {','.join(wanted)}{close}"
            )
    return [header.index(name) for name in wanted]


def _numbers(
    path: Path, line: int, row: Sequence[str], wanted: Sequence[str], order: Sequence[int]
) -> list[float]:
    values = []
    for name, index in zip(wanted, order, strict=True):
        text = row[index].strip() if index < len(row) else ""
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 1 <= value <= 1e15:
            raise InvalidInputError(
                f"{path}:{line}: {name} is '{shorten(text)}'; it must be a number of at least 1"
            )
        values.append(value)
    return values
