"""Zoo models with the plans of all steps chosen together: what that gains, and what is proven.

Each model is compiled step by step and with `--time-limit`, with one job and no cache. `gap` is the
share of the latency above the bound, at most; `before` are the step-by-step plan's. Which end a
search came to depends on the machine where the time is what ends it.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import build_model, parser, report, run_t10c

LIMIT = "60s"


@dataclass(frozen=True)
class Case:
    """A zoo model, with options, on a chip."""

    model: str
    hardware: str = "ipu-mk2"


CASES = (
    Case("nerf"),
    Case("bert-large"),
    Case("vit-base"),
    Case("resnet-18"),
    Case("resnet-50"),
    Case("mobilenet-v2"),
    Case("whisper-tiny-encoder"),
    Case("whisper-tiny-decoder"),
    Case("llama-2-7b --phase decode --layers 6", "ipu-pod4"),
    Case("opt-1.3b --phase decode --layers 4"),
    Case("sd-1.5-unet-block"),
    Case("lstm-ptb-large"),
    Case("mamba-2.8b"),
    Case("opt-1.3b", "ipu-pod4"),
    Case("retnet-1.3b", "ipu-pod4"),
)


def rows(only: str, limit: str) -> Iterator[dict[str, Any]]:
    """The table's lines."""
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            name = f"{case.model} on {case.hardware}"
            if only not in name:
                continue
            model = build_model(case.model, Path(folder))
            common = ("compile", model, "--hw", case.hardware, "--format", "json")
            alone, together = run_t10c(*common), run_t10c(*common, "--time-limit", limit)
            before, after = json.loads(alone.stdout), json.loads(together.stdout)
            yield {
                "case": name,
                "CPU s": together.cpu_seconds,
                "wall s": together.wall_seconds,
                "peak MiB": together.peak_bytes / 2**20,
                "cycles before": before["latency_cycles"],
                "cycles": after["latency_cycles"],
                "gap before": before["search"]["gap"],
                "gap": after["search"]["gap"],
                "rounds": after["joint"]["rounds"],
                "ended by": after["joint"]["stopped"],
            }


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    options.add_argument("--limit", default=LIMIT, help=f"time of a choice ({LIMIT})")
    arguments = options.parse_args()
    report(list(rows(arguments.only, arguments.limit)), arguments)


if __name__ == "__main__":
    main()
