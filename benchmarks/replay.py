"""Compile zoo models at two git revisions and compare latency, memory and plans.

    python benchmarks/replay.py HEAD~1 HEAD
    python benchmarks/replay.py v0.1.0 HEAD --models nerf "opt-1.3b --phase decode"

The models are built by this checkout, so that only the compiler differs. Exit 0: all the same,
1: something differs (any difference in predicted numbers deserves a line in the changelog).
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measure import ROOT, build_model, parser, report, run_t10c

MODELS = ("nerf", "resnet-18", "bert-large --layers 2 --seq 32")


@contextmanager
def worktree(revision: str, place: Path) -> Iterator[Path]:
    """A checkout of `revision` at `place`, gone afterwards."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(place), revision], check=True)
    try:
        yield place
    finally:
        subprocess.run([*git, "remove", "--force", str(place)], check=True)


def compiled(model: Path, hardware: str, checkout: Path) -> tuple[dict[str, Any], bytes]:
    """The plan of `model` by the t10c of `checkout`, and its bytes."""
    plan = checkout.parent / f"{checkout.name}.plan.json"
    run_t10c("compile", model, "--hw", hardware, "-o", plan, "-q", checkout=checkout)
    return json.loads(plan.read_bytes()), plan.read_bytes()


def chosen(plan: dict[str, Any]) -> dict[str, Any]:
    """How every planned operator is cut and rotated."""
    return {
        entry["name"]: (entry["split"], entry["rotations"])
        for entry in plan["operators"]
        if entry["class"] == "planned"
    }


def compare(name: str, old: dict[str, Any], new: dict[str, Any], same: bool) -> dict[str, Any]:
    """One row of the table."""
    before, after = chosen(old), chosen(new)
    names = before.keys() | after.keys()
    return {
        "model": name,
        "cycles before": old["latency_cycles"],
        "cycles after": new["latency_cycles"],
        "change %": 100 * (new["latency_cycles"] / old["latency_cycles"] - 1),
        "peak before": old["peak_core_bytes"],
        "peak after": new["peak_core_bytes"],
        "operators": len(names),
        "planned otherwise": sum(before.get(n) != after.get(n) for n in names),
        "file": "same" if same else "differs",
    }


def main() -> int:
    """Compile every model twice."""
    options = parser(__doc__.partition("\n")[0] if __doc__ else None)
    options.add_argument("before", help="git revision")
    options.add_argument("after", help="git revision")
    options.add_argument("--models", nargs="+", default=MODELS, help="zoo models, with options")
    options.add_argument("--hw", default="ipu-mk2", help="preset, or the path of a specification")
    arguments = options.parse_args()
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        worktree(arguments.before, Path(folder) / "before") as before,
        worktree(arguments.after, Path(folder) / "after") as after,
    ):
        for name in arguments.models:
            model = build_model(name, Path(folder))
            (old, was), (new, now) = (
                compiled(model, arguments.hw, place) for place in (before, after)
            )
            rows.append(compare(name, old, new, was == now))
    report(rows, arguments)
    return int(any(row["file"] != "same" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
