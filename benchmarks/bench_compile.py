"""`t10c compile` of whole models, cold and warm, each in a fresh process with one job.

CPU seconds are user and system together, start-up and imports included; memory is the peak
resident size; the gap is how far above the lower bound the plan's latency is at most, as a share of
it. A cold run begins with an empty cache; a warm one finds what the cold one kept, and its seconds
are the median of several. `at most` is what a run may take on a machine with two cores: CPU seconds
if cold, wall seconds if warm. `t10c --help` is there for its 150 ms.
"""

import json
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import Run, build_model, parser, report, run_t10c

REPEATS = 5

WARM_SECONDS = 0.7


@dataclass(frozen=True)
class Case:
    """A zoo model, with options, on a chip; `at_most` are CPU seconds of a cold compile."""

    model: str
    hardware: str = "ipu-mk2"
    at_most: float | None = None


CASES = (
    Case("bert-large --seq 128", at_most=3),
    Case("vit-base", at_most=3),
    Case("resnet-50", at_most=8),
    Case("llama-2-7b --phase decode --layers 6", "ipu-pod4", 5),
    Case("resnet-18"),
    Case("nerf"),
)


def compiled(case: Case, model: Path, cache: Path) -> Run:
    """One compile of the case's model, built already."""
    return run_t10c(
        *("compile", model, "--hw", case.hardware, "--format", "json"),
        *("-o", model.with_suffix(".plan.json")),
        cache=cache,
    )


def row(name: str, runs: list[Run], at_most: float | None) -> dict[str, Any]:
    """The table's line of equal runs; counts are those of the last."""
    result = json.loads(runs[-1].stdout)
    search = result["search"]
    seconds = search["cpu_seconds"]
    return {
        "case": name,
        "CPU s": statistics.median(run.cpu_seconds for run in runs),
        "wall s": statistics.median(run.wall_seconds for run in runs),
        "at most": at_most,
        "peak MiB": max(run.peak_bytes for run in runs) / 2**20,
        "search CPU s": seconds,
        "candidates": search["candidates"],
        "candidates/s": search["candidates"] / seconds if seconds else None,
        "latency ms": result["latency_ms"],
        "gap": search["gap"],
    }


def rows(only: str, repeats: int) -> Iterator[dict[str, Any]]:
    """Every model whose name contains `only`, cold and warm, and the help."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for case in CASES:
            name = f"{case.model} on {case.hardware}"
            if only not in name:
                continue
            model, cache = build_model(case.model, place), place / f"{case.model}.cache"
            yield row(f"{name}, cold", [compiled(case, model, cache)], case.at_most)
            warm = [compiled(case, model, cache) for _ in range(repeats)]
            yield row(f"{name}, warm", warm, WARM_SECONDS)
    if only in "--help":
        run = run_t10c("--help")
        yield {
            "case": "--help",
            "CPU s": run.cpu_seconds,
            "wall s": run.wall_seconds,
            "at most": 0.15,
            "peak MiB": run.peak_bytes / 2**20,
        }


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    options.add_argument("--repeats", metavar="N", type=int, default=REPEATS, help="of warm runs")
    arguments = options.parse_args()
    found = list(rows(arguments.only, arguments.repeats))
    report(found, arguments)


if __name__ == "__main__":
    main()
