"""What the benchmarks share: processes and what they used, tables, and the command line."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True)
class Run:
    """A finished process: its output, CPU seconds (user and system), and peak resident memory."""

    stdout: bytes
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


def run_fresh(
    arguments: Sequence[str | Path],
    checkout: Path = ROOT,
    codes: Sequence[int] = (0,),
    cache: str | Path = "off",
) -> Run:
    """Run Python with `arguments` and the t10c of `checkout`; exits unless it ends with a code.

    A process that it starts counts towards its seconds, not towards its peak. NumPy has one thread.
    Without `cache` nothing is taken from one, of whatever revision its results are.
    """
    environment = {**os.environ, **_ONE_THREAD}
    environment |= {"PYTHONPATH": str(checkout), "T10C_CACHE": str(cache)}
    begin = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], stdout=output, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in codes:
            sys.exit(f"exit {process.returncode}: {' '.join(map(str, arguments))}")
        output.seek(0)
        scale = 1 if platform.system() == "Darwin" else 1024
        seconds = usage.ru_utime + usage.ru_stime
        return Run(output.read(), seconds, time.monotonic() - begin, usage.ru_maxrss * scale)


def run_t10c(
    *arguments: str | Path,
    checkout: Path = ROOT,
    codes: Sequence[int] = (0,),
    cache: str | Path = "off",
) -> Run:
    """Run one t10c command in a process of its own."""
    return run_fresh(["-m", "t10c", *arguments], checkout, codes, cache)


def build_model(name: str, place: Path, checkout: Path = ROOT) -> Path:
    """A zoo model, written to `place`; `name` may end in options, as `bert-large --seq 128`."""
    recipe, *options = name.split()
    path = place / f"{name.replace(' ', '')}.onnx"
    run_t10c("zoo", "build", recipe, *options, "-o", path, "-q", checkout=checkout)
    return path


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options that every benchmark takes; those of files are what `report` reads."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", metavar="FILE", type=Path, help="write the numbers to FILE too")
    made.add_argument("--against", metavar="FILE", type=Path, help="compare with such a FILE")
    made.add_argument("--only", metavar="WORD", default="", help="cases whose name contains WORD")
    return made


def report(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print rows as a table, and write them as JSON if a file is given.

    `--against` is such a file of another time: CPU seconds stand beside its own, and counts that
    differ (`COUNTS`) are named below the table.
    """
    before = _rows_before(options.against)
    compared = [_beside(row, before) for row in rows]
    header = list(dict.fromkeys(key for row in compared for key in row))
    cells = [header, *([_cell(row.get(key)) for key in header] for row in compared)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    for line in cells:
        first = line[0].ljust(widths[0])
        print("  ".join([first, *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]))
    for row in rows:
        for line in _changed(row, before):
            print(line)
    if options.json is not None:
        document = {"python": platform.python_version(), "cpu": _processor(), "rows": rows}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


COUNTS = ("splits", "candidates", "priced", "bounded splits", "uncounted", "front")
"""Columns that are the same on every machine."""


def _name(row: dict[str, Any]) -> Any:
    return next(iter(row.values()))


def _rows_before(file: Path | None) -> dict[Any, dict[str, Any]]:
    """Rows of an earlier report by their first column."""
    if file is None:
        return {}
    try:
        return {_name(row): row for row in json.loads(file.read_bytes())["rows"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"{file} is no report of a benchmark ({error}); write one with --json")


def _beside(row: dict[str, Any], before: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """The row with the CPU seconds of the earlier one."""
    old = before.get(_name(row), {}).get("CPU s")
    return row if old is None else {**row, "CPU s before": old}


def _changed(row: dict[str, Any], before: dict[Any, dict[str, Any]]) -> Iterator[str]:
    """A line for every count that is not what it was."""
    old = before.get(_name(row), {})
    for key in COUNTS:
        if key in old and row.get(key) != old[key]:
            yield f"{_name(row)}: {key} were {_cell(old[key])}, are {_cell(row.get(key))}"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _processor() -> str:
    """The processor's name, without which seconds say little."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
