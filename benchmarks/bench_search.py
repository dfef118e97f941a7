"""Search of one operator: CPU seconds after imports, memory, and what was searched.

Seconds are the median of three searches in a fresh process (long ones run once), memory is that
process's peak, imports included. `priced` counts the plans that bounds could not rule out;
`uncounted` is at most what was ruled out before it was enumerated. `vs peer` divides the CPU
seconds published for the peer artifact's search by ours; it searched the same space, with double
shift buffers.
"""

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from measure import parser, report, run_fresh

REPEATS = 3

MK2 = ("ipu-mk2", "shift_buffer.policy=double")


@dataclass(frozen=True)
class Case:
    """An operator by template and axes, a chip (preset and changes), and what is searched.

    `peer` are the CPU seconds published for the peer artifact.
    """

    operator: str
    axes: str
    peer: float | None = None
    chip: tuple[str, ...] = MK2
    pruning: Literal["pruned", "exhaustive"] = "pruned"
    repeats: int = REPEATS


CASES: dict[str, Case] = {
    "matmul 512x1024x1024": Case("matmul", "m=512,n=1024,k=1024", 120.7),
    "matmul 128x4096x1024": Case("matmul", "m=128,n=4096,k=1024", 85.3),
    "matmul 1x4096x4096": Case("matmul", "m=1,n=4096,k=4096", 4.7),
    "bmm 16x128x128x64": Case("bmm", "b=16,m=128,n=128,k=64", 31.3),
    "pointwise 128x4096": Case("pointwise", "m=128,n=4096", 0.1),
    "reduce 128x1024": Case("reduce", "m=128,k=1024", 0.1),
    "conv 64->64 56x56 3x3": Case("conv", "o=64,c=64,h=56,w=56,kh=3,kw=3"),
    "conv 512->512 7x7 3x3": Case("conv", "o=512,c=512,h=7,w=7,kh=3,kw=3"),
    "conv 4 of 256->256 28x28 3x3": Case("conv", "b=4,o=256,c=256,h=28,w=28,kh=3,kw=3"),
    "conv 8 of 32x8->8 28x28 3x3": Case("conv", "b=8,g=32,o=8,c=8,h=28,w=28,kh=3,kw=3"),
    "pool 64 56x56 3x3": Case("pool", "c=64,h=56,w=56,kh=3,kw=3,stride=2"),
    "gather 128 of 30522x1024": Case("gather", "i=128,e=1024,v=30522"),
    "matmul 512x1024x1024 exhaustive": Case(
        "matmul", "m=512,n=1024,k=1024", pruning="exhaustive", repeats=1
    ),
    "matmul 128x4096x1024 exhaustive": Case(
        "matmul", "m=128,n=4096,k=1024", pruning="exhaustive", repeats=1
    ),
    "matmul 1x4096x4096 exhaustive": Case(
        "matmul", "m=1,n=4096,k=4096", pruning="exhaustive", repeats=1
    ),
    "matmul 4096x4096x4096 on 5,888": Case(
        "matmul", "m=4096,n=4096,k=4096", chip=("ipu-pod4",), repeats=1
    ),
    "matmul 4096x4096x4096 on 562,500": Case(
        "matmul", "m=4096,n=4096,k=4096", chip=("wse2", "cores.grid=750x750"), repeats=1
    ),
}


def search(name: str) -> dict[str, Any]:
    """The child process: search one case as often as it says, and say what was found."""
    import t10c

    case = CASES[name]
    parts = (part.partition("=") for part in case.axes.split(","))
    lengths = {axis: int(length) for axis, _, length in parts}
    expression = t10c.named_expression(case.operator, lengths)
    spec = t10c.load_spec(case.chip[0], case.chip[1:])
    options = t10c.SearchOptions(case.pruning)
    results = [t10c.search_operator(expression, spec, options) for _ in range(case.repeats)]
    record, front = results[0].record, results[0].front
    fastest = min(entry.cycles for entry in front)
    return {
        "seconds": statistics.median(result.cpu_seconds for result in results),
        "candidates": record.legal_plans,
        "priced": record.feasible_plans - record.bounded_plans,
        "bounded splits": record.bounded_splits,
        "uncounted": record.uncounted_plans,
        "front": len(front),
        "gap": 1 - record.lower_bound_cycles / fastest,
    }


def main() -> None:
    """Every case in a process of its own."""
    arguments = parser(__doc__).parse_args()
    rows = []
    for name, case in CASES.items():
        if arguments.only not in name:
            continue
        run = run_fresh([Path(__file__), "--child", name])
        found = json.loads(run.stdout)
        seconds = found["seconds"]
        rows.append(
            {
                "operator": name,
                "CPU s": seconds,
                "peak MiB": run.peak_bytes / 2**20,
                "candidates": found["candidates"],
                "candidates/s": found["candidates"] / seconds if seconds else None,
                "priced": found["priced"],
                "bounded splits": found["bounded splits"],
                "uncounted": found["uncounted"],
                "front": found["front"],
                "gap": found["gap"],
                "vs peer": case.peer / seconds if case.peer and seconds else None,
            }
        )
    report(rows, arguments.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(search(sys.argv[2])))
    else:
        main()
