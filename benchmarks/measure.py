"""What the benchmarks share: processes and what they used, tables, and the command line."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Run:
    """A finished process: its output, CPU seconds (user and system), and peak resident memory."""

    stdout: bytes
    cpu_seconds: float
    peak_bytes: int


def run_fresh(
    arguments: Sequence[str | Path], checkout: Path = ROOT, codes: Sequence[int] = (0,)
) -> Run:
    """Run Python with `arguments` and the t10c of `checkout`; exits unless it ends with a code.

    A process that it starts counts towards its seconds, not towards its peak. Nothing is taken from
    a cache, of whatever revision its results are.
    """
    environment = {**os.environ, "PYTHONPATH": str(checkout), "T10C_CACHE": "off"}
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
        return Run(output.read(), usage.ru_utime + usage.ru_stime, usage.ru_maxrss * scale)


def run_t10c(*arguments: str | Path, checkout: Path = ROOT, codes: Sequence[int] = (0,)) -> Run:
    """Run one t10c command in a process of its own."""
    return run_fresh(["-m", "t10c", *arguments], checkout, codes)


def build_model(name: str, place: Path, checkout: Path = ROOT) -> Path:
    """A zoo model, written to `place`; `name` may end in options, as `bert-large --seq 128`."""
    recipe, *options = name.split()
    path = place / f"{name.replace(' ', '')}.onnx"
    run_t10c("zoo", "build", recipe, *options, "-o", path, "-q", checkout=checkout)
    return path


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options that every benchmark takes."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", metavar="FILE", type=Path, help="write the numbers to FILE too")
    made.add_argument("--only", metavar="WORD", default="", help="cases whose name contains WORD")
    return made


def report(rows: list[dict[str, Any]], file: Path | None) -> None:
    """Print rows as a table, and write them as JSON if a file is given."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    cells = [header, *([_cell(row.get(key)) for key in header] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    for line in cells:
        first = line[0].ljust(widths[0])
        print("  ".join([first, *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]))
    if file is not None:
        document = {"python": platform.python_version(), "cpu": _processor(), "rows": rows}
        file.write_text(json.dumps(document, indent=2) + "\n")


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
