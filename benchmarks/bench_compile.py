"""Cold `t10c compile` of whole models on the IPU Mk2, each in a fresh process with one job.

CPU seconds are user and system together, start-up and imports included; memory is the peak resident
size; the gap is how far above the lower bound the plan's latency is at most, as a share of it.
`t10c --help` is there for its 150 ms.
"""

import json
import tempfile
from pathlib import Path

from measure import build_model, parser, report, run_t10c

MODELS = ("bert-large --seq 128", "vit-base", "resnet-18", "nerf")


def main() -> None:
    """Build every model, then compile it."""
    options = parser(__doc__)
    options.add_argument("--hw", default="ipu-mk2", help="hardware specification")
    arguments = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            if arguments.only not in name:
                continue
            model = build_model(name, Path(folder))
            run = run_t10c("compile", model, "--hw", arguments.hw, "--format", "json",
                           "-o", model.with_suffix(".plan.json"))  # fmt: skip
            result = json.loads(run.stdout)
            rows.append(
                {
                    "command": f"compile {name}",
                    "CPU s": run.cpu_seconds,
                    "peak MiB": run.peak_bytes / 2**20,
                    "search CPU s": result["search"]["cpu_seconds"],
                    "candidates": result["search"]["candidates"],
                    "latency ms": result["latency_ms"],
                    "gap": result["search"]["gap"],
                }
            )
        if arguments.only in "--help":
            run = run_t10c("--help")
            rows.append({"command": "--help", "CPU s": run.cpu_seconds,
                         "peak MiB": run.peak_bytes / 2**20})  # fmt: skip
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
