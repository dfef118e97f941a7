"""Cold `t10c compile` of transformers of 10, 100 and 1,000 identical layers on the IPU Mk2.

CPU seconds are user and system together. Every stage is measured in one fresh process that runs
them one after the other: start-up and imports, reading and importing the model, the search of its
operators, choosing plans, and the plan file. `whole` is the command `t10c compile` in another
process; `of 10` divides it by that of ten layers. Memory is that process's peak.
"""

import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import build_model, parser, report, run_fresh, run_t10c

LAYERS = (10, 100, 1000)

SIZES = "--set hidden=128 --set heads=4 --set intermediate=512 --set vocabulary=1024"

MODELS = {
    "bert-large": ("--seq 128", ()),
    "opt-1.3b decode": ("--phase decode --past 64", ("--hw-set", "cores.sram=4MiB")),
}
"""Recipes with a small hidden size, so that 1,000 layers fit; their options, and the chip's."""


def stages(model: str, *overrides: str) -> dict[str, float | int]:
    """The child process: CPU seconds of every stage of compiling a model, and its nodes."""
    import t10c
    from t10c.cli import GARBAGE_THRESHOLDS

    gc.set_threshold(*GARBAGE_THRESHOLDS)
    seconds: dict[str, float | int] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        begin = time.process_time()
        result = work()
        seconds[stage] = time.process_time() - begin
        return result

    names = (t10c.import_model, t10c.schedule_model, t10c.dump_plan)  # imported here
    seconds["start"] = time.process_time()
    spec = t10c.load_spec("ipu-mk2", overrides)
    graph = timed("import", lambda: names[0](model))
    plan = timed("schedule", lambda: names[1](graph, spec))
    if not isinstance(plan, t10c.ModelPlan):
        sys.exit(f"{model} does not fit")
    seconds["search"] = plan.search_cpu_seconds
    seconds["schedule"] -= plan.search_cpu_seconds
    timed("plan file", lambda: names[2](plan))
    return {"nodes": len(graph.nodes), "operators": len(plan.operators), **seconds}


def main() -> None:
    """Build every model at every number of layers, then compile it."""
    if len(sys.argv) > 2 and sys.argv[1] == "--child":
        print(json.dumps(stages(*sys.argv[2:])))
        return
    arguments = parser(__doc__).parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (options, chip) in MODELS.items():
            if arguments.only in name:
                rows += _rows(name, options, chip, Path(folder))
    report(rows, arguments)


def _rows(name: str, options: str, chip: tuple[str, ...], folder: Path) -> list[dict[str, Any]]:
    """One model at every number of layers."""
    rows: list[dict[str, Any]] = []
    for layers in LAYERS:
        recipe = name.partition(" ")[0]
        model = build_model(f"{recipe} {options} --layers {layers} {SIZES}", folder)
        output = run_fresh([__file__, "--child", model, *chip[1:]]).stdout
        plan = model.with_suffix(".plan.json")
        run = run_t10c("compile", model, "--hw", "ipu-mk2", *chip, "-q", "-o", plan)
        found: dict[str, float | int] = json.loads(output)
        counts = {key: found.pop(key) for key in ("nodes", "operators")}
        first = rows[0]["whole CPU s"] if rows else run.cpu_seconds
        rows.append(
            {
                "model": f"{name}, {layers} layers",
                **counts,
                **{f"{stage} CPU s": seconds for stage, seconds in found.items()},
                "whole CPU s": run.cpu_seconds,
                "of 10": run.cpu_seconds / first,
                "peak MiB": run.peak_bytes / 2**20,
            }
        )
    return rows


if __name__ == "__main__":
    main()
