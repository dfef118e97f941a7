"""Simulation of device programs: CPU seconds after imports, and peak memory, imports included.

BERT-large as compiled for the IPU Mk2; matrix products on wafers of up to 750 x 750 cores by plans
given here (compiling these takes minutes), with and without a loop of as many steps as the grid has
rows; and how the cost grows with cores and with steps. Every case runs in a process of its own.
"""

import cProfile
import json
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import build_model, parser, report, run_fresh, run_t10c

HOTTEST = 12

GEMMS: dict[str, tuple[int, int]] = {
    # name: rows and columns of cores, steps
    "GEMM 750x750": (750, 1),
    "GEMM 750x750, 750 steps": (750, 750),
    "GEMM 100x100, 1 step": (100, 1),
    "GEMM 200x200, 1 step": (200, 1),
    "GEMM 400x400, 1 step": (400, 1),
    "GEMM 100x100, 100 steps": (100, 100),
    "GEMM 200x200, 200 steps": (200, 200),
    "GEMM 400x400, 400 steps": (400, 400),
    "GEMM 400x400, 100 steps": (400, 100),
    "GEMM 400x400, 20 steps": (400, 20),
    "ragged GEMM 400x400, 400 steps": (400, 400),
}

MODELS = {"BERT-large": "bert-large", "ResNet-18": "resnet-18"}
"""Zoo models, at their sizes, for 1,472 cores."""


def gemm(name: str) -> tuple[Any, Any]:
    """Program and chip of a product whose inputs both go round along k, in so many chunks.

    Blocks have 2 x 2 elements of the result; the last ones of a ragged product are short.
    """
    import t10c
    from t10c.ir.plan import Plan, Rotation
    from t10c.lower.single import operator_program

    side, steps = GEMMS[name]
    short = 1 if name.startswith("ragged") else 0
    changes = (f"cores.grid={side}x{side}", "cores.sram=64KiB", "cores.reserved=0B")
    spec = t10c.load_spec("wse2", changes)
    length = 2 * side - short
    expression = t10c.named_expression("matmul", {"m": length, "n": length, "k": length})
    rotations = (Rotation("k", steps, ("A", "B")),) if steps > 1 else ()
    types = dict.fromkeys("ABC", "float16")
    return operator_program(expression, Plan((side, side, 1), rotations), spec, types), spec


def simulated(name: str, place: str, profile: bool) -> dict[str, Any]:
    """The child process: make the program of a case, and simulate it."""
    import t10c

    if place:
        plan = t10c.load_plan(Path(place).read_bytes(), place)
        made: Callable[[], tuple[Any, Any]] = lambda: (t10c.lower_plan(plan), plan.spec)  # noqa: E731
    else:
        made = lambda: gemm(name)  # noqa: E731
    begin = time.process_time()
    program, spec = made()
    lowered = time.process_time()
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    found = t10c.simulate_program(program, spec)
    profiler.disable()
    end = time.process_time()
    if profile:
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(HOTTEST)
    return {
        "cores": spec.core_count,
        "steps": sum(p.count for o in found.operators for p in o.phases if p.part == "compute"),
        "program s": lowered - begin,
        "simulate s": end - lowered,
        "latency cycles": found.latency_cycles,
        "notes": len(found.notes),
    }


def measured(name: str, place: str, profile: bool) -> dict[str, Any]:
    """One row: the case in a process of its own."""
    child = [Path(__file__), "--child", name, place, "profile" if profile else ""]
    run = run_fresh(child)
    return {"case": name, **json.loads(run.stdout), "peak MiB": run.peak_bytes / 2**20}


def command(name: str, plan: Path) -> dict[str, Any]:
    """One row: the whole command, with start-up, lowering, the checker and the report."""
    run = run_t10c("simulate", plan, "--format", "json", "-o", "-", "-q")
    return {
        "case": f"t10c simulate, {name}",
        "simulate s": run.cpu_seconds,
        "peak MiB": run.peak_bytes / 2**20,
    }


def main() -> None:
    """Every case, or those that `--only` names."""
    options = parser(__doc__)
    options.add_argument("--profile", action="store_true", help="show where the time goes")
    arguments = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, recipe in MODELS.items():
            if arguments.only.lower() in name.lower():
                model = build_model(recipe, Path(folder))
                plan = model.with_suffix(".plan.json")
                run_t10c("compile", model, "--hw", "ipu-mk2", "-o", plan, "-q")
                rows.append(measured(name, str(plan), arguments.profile))
                rows.append(command(name, plan))
        for name in GEMMS:
            if arguments.only.lower() in name.lower():
                rows.append(measured(name, "", arguments.profile))
    report(rows, arguments)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(simulated(sys.argv[2], sys.argv[3], bool(sys.argv[4]))))
    else:
        main()
