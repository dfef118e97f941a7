"""Search of one operator on the IPU Mk2: CPU seconds after imports, memory, and what was searched.

Seconds are the median of three searches in a fresh process, memory is that process's peak, imports
included. `vs peer` divides the CPU seconds published for the peer artifact's search by ours; it
searched the same space, with double shift buffers.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from measure import parser, report, run_fresh

REPEATS = 3

CASES: dict[str, tuple[str, str, float | None]] = {
    # name: operator, axes, published CPU seconds of the peer artifact
    "matmul 512x1024x1024": ("matmul", "m=512,n=1024,k=1024", 120.7),
    "matmul 128x4096x1024": ("matmul", "m=128,n=4096,k=1024", 85.3),
    "matmul 1x4096x4096": ("matmul", "m=1,n=4096,k=4096", 4.7),
    "bmm 16x128x128x64": ("bmm", "b=16,m=128,n=128,k=64", 31.3),
    "pointwise 128x4096": ("pointwise", "m=128,n=4096", 0.1),
    "reduce 128x1024": ("reduce", "m=128,k=1024", 0.1),
    "conv 64->64 56x56 3x3": ("conv", "o=64,c=64,h=56,w=56,kh=3,kw=3", None),
    "conv 512->512 7x7 3x3": ("conv", "o=512,c=512,h=7,w=7,kh=3,kw=3", None),
    "pool 64 56x56 3x3": ("pool", "c=64,h=56,w=56,kh=3,kw=3,stride=2", None),
    "gather 128 of 30522x1024": ("gather", "i=128,e=1024,v=30522", None),
}


def search(name: str) -> dict[str, Any]:
    """The child process: search one case `REPEATS` times and say what was found."""
    import t10c

    template, axes, _ = CASES[name]
    lengths = {axis: int(length) for axis, _, length in (a.partition("=") for a in axes.split(","))}
    expression = t10c.named_expression(template, lengths)
    spec = t10c.load_spec("ipu-mk2", ("shift_buffer.policy=double",))
    results = [t10c.search_operator(expression, spec) for _ in range(REPEATS)]
    record, front = results[0].record, results[0].front
    fastest = min(entry.cycles for entry in front)
    return {
        "seconds": statistics.median(result.cpu_seconds for result in results),
        "candidates": record.legal_plans,
        "front": len(front),
        "gap": 1 - record.lower_bound_cycles / fastest,
    }


def main() -> None:
    """Every case in a process of its own."""
    arguments = parser(__doc__).parse_args()
    rows = []
    for name, (_, _, peer) in CASES.items():
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
                "front": found["front"],
                "gap": found["gap"],
                "vs peer": peer / seconds if peer and seconds else None,
            }
        )
    report(rows, arguments.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(search(sys.argv[2])))
    else:
        main()
