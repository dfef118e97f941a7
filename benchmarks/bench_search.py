"""Search of one operator: CPU seconds after imports, memory, and what was searched.

Seconds are the median of several searches in a fresh process, which has one thread; memory is that
process's peak, imports included. `at most` is what a search may take on a machine with two cores.
`candidates` are legal plans that were enumerated, `priced` those that bounds could not rule out,
and `uncounted` is at most what was ruled out before it was enumerated. `vs peer` divides the CPU
seconds published for the peer artifact's search by ours; it searched the same space, with double
shift buffers.
"""

import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from measure import parser, report, run_fresh

if TYPE_CHECKING:
    import t10c

REPEATS = 5

MK2 = ("ipu-mk2", "shift_buffer.policy=double")


@dataclass(frozen=True)
class Case:
    """An operator by template and axes, a chip (preset and changes), and what is searched.

    `at_most` are CPU seconds; `peer` are those published for the peer artifact.
    """

    operator: str
    axes: str
    at_most: float | None = None
    peer: float | None = None
    chip: tuple[str, ...] = MK2
    pruning: Literal["pruned", "exhaustive"] = "pruned"


CASES: dict[str, Case] = {
    "matmul 512x1024x1024": Case("matmul", "m=512,n=1024,k=1024", 0.15, 120.7),
    "matmul 128x4096x1024": Case("matmul", "m=128,n=4096,k=1024", 0.12, 85.3),
    "matmul 1x4096x4096": Case("matmul", "m=1,n=4096,k=4096", 0.15, 4.7),
    "bmm 16x128x128x64": Case("bmm", "b=16,m=128,n=128,k=64", 0.15, 31.3),
    "pointwise 128x4096": Case("pointwise", "m=128,n=4096", 0.15, 0.1),
    "reduce 128x1024": Case("reduce", "m=128,k=1024", 0.15, 0.1),
    "conv 64->64 56x56 3x3": Case("conv", "o=64,c=64,h=56,w=56,kh=3,kw=3", 1.0),
    "conv 512->512 7x7 3x3": Case("conv", "o=512,c=512,h=7,w=7,kh=3,kw=3"),
    "conv 4 of 256->256 28x28 3x3": Case("conv", "b=4,o=256,c=256,h=28,w=28,kh=3,kw=3"),
    "conv 8 of 32x8->8 28x28 3x3": Case("conv", "b=8,g=32,o=8,c=8,h=28,w=28,kh=3,kw=3"),
    "pool 64 56x56 3x3": Case("pool", "c=64,h=56,w=56,kh=3,kw=3,stride=2"),
    "gather 128 of 30522x1024": Case("gather", "i=128,e=1024,v=30522"),
    "matmul 512x1024x1024 exhaustive": Case(
        "matmul", "m=512,n=1024,k=1024", 3, pruning="exhaustive"
    ),
    "matmul 128x4096x1024 exhaustive": Case(
        "matmul", "m=128,n=4096,k=1024", 3, pruning="exhaustive"
    ),
    "matmul 1x4096x4096 exhaustive": Case("matmul", "m=1,n=4096,k=4096", 3, pruning="exhaustive"),
    "bmm 16x128x128x64 exhaustive": Case("bmm", "b=16,m=128,n=128,k=64", pruning="exhaustive"),
    "matmul 4096x4096x4096 on 5,888": Case("matmul", "m=4096,n=4096,k=4096", 3, chip=("ipu-pod4",)),
    "matmul 4096x4096x4096 on 562,500": Case(
        "matmul", "m=4096,n=4096,k=4096", 30, chip=("wse2", "cores.grid=750x750")
    ),
}


def search(case: Case) -> "t10c.SearchResult":
    """The case searched, by this process."""
    import t10c

    parts = (part.partition("=") for part in case.axes.split(","))
    lengths = {axis: int(length) for axis, _, length in parts}
    expression = t10c.named_expression(case.operator, lengths)
    spec = t10c.load_spec(case.chip[0], case.chip[1:])
    return t10c.search_operator(expression, spec, t10c.SearchOptions(case.pruning))


def counts(result: "t10c.SearchResult") -> dict[str, int]:
    """What was searched, in numbers that are the same on every machine."""
    record = result.record
    return {
        "splits": record.splits,
        "candidates": record.legal_plans,
        "priced": record.feasible_plans - record.bounded_plans,
        "bounded splits": record.bounded_splits,
        "uncounted": record.uncounted_plans,
        "front": len(result.front),
    }


def child(name: str, repeats: int) -> dict[str, Any]:
    """The child process: search one case so often, and say what was found."""
    results = [search(CASES[name]) for _ in range(repeats)]
    fastest = min(entry.cycles for entry in results[0].front)
    return {
        "seconds": statistics.median(result.cpu_seconds for result in results),
        "counts": counts(results[0]),
        "gap": 1 - results[0].record.lower_bound_cycles / fastest,
    }


def rows(only: str, repeats: int) -> Iterator[dict[str, Any]]:
    """Every case whose name contains `only`, each in a process of its own."""
    for name, case in CASES.items():
        if only not in name:
            continue
        run = run_fresh([Path(__file__), "--child", name, str(repeats)])
        found = json.loads(run.stdout)
        seconds = found["seconds"]
        yield {
            "case": name,
            "CPU s": seconds,
            "at most": case.at_most,
            "peak MiB": run.peak_bytes / 2**20,
            **found["counts"],
            "candidates/s": found["counts"]["candidates"] / seconds if seconds else None,
            "gap": found["gap"],
            "vs peer": case.peer / seconds if case.peer and seconds else None,
        }


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    options.add_argument("--repeats", metavar="N", type=int, default=REPEATS)
    arguments = options.parse_args()
    found = list(rows(arguments.only, arguments.repeats))
    report(found, arguments)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(sys.argv[2], int(sys.argv[3]))))
    else:
        main()
