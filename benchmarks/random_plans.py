"""Runs many random legal plans on simulated cores and prints, by kind, how many were wrong.

    python benchmarks/random_plans.py 20000 --jobs 2

Seeds count from `--first` on; the same seed is the same plan. Exit code 1 if any plan is wrong.
"""

import argparse
import sys
import time
import traceback
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "property"), str(TESTS / "unit")]

from random_plans import draw_case, mismatch  # noqa: E402 - found by the path above

SHOWN = 5
"""So many wrong plans are printed in full."""


@dataclass(frozen=True)
class Outcome:
    """One plan: what is wrong with it, empty if nothing is."""

    kind: str
    wrong: str
    rotations: int
    seconds: float


def run(seed: int) -> Outcome:
    """Draw, lower, check and execute the plan of a seed."""
    begin = time.perf_counter()
    case = draw_case(seed)
    try:
        wrong = mismatch(case)
    except Exception:
        wrong = traceback.format_exc(limit=-3)
    wrong = f"{wrong}\n{case}" if wrong else ""
    seconds = time.perf_counter() - begin
    return Outcome(case.drawn.kind, wrong, len(case.plan.rotations), seconds)


def main() -> None:
    """Run the plans and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first plan")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.count)
    begin = time.perf_counter()
    with ProcessPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(run, seeds, chunksize=50))
    wall = time.perf_counter() - begin
    wrong = [outcome.wrong for outcome in outcomes if outcome.wrong]
    for text in wrong[:SHOWN]:
        print(text, end="\n\n")
    print_table(outcomes)
    print(f"{wall:.0f} s with {options.jobs} processes")
    sys.exit(bool(wrong))


def print_table(outcomes: list[Outcome]) -> None:
    """Count, mismatches and seconds by kind, and how many plans rotate how often."""
    kinds: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        kinds[outcome.kind].append(outcome)
    kinds["all"] = outcomes
    print(f"{'kind':<12} {'plans':>6} {'wrong':>6} {'rotating':>9} {'4 loops':>8} {'seconds':>8}")
    for kind, found in kinds.items():
        rotating = sum(o.rotations > 0 for o in found)
        four = sum(o.rotations == 4 for o in found)
        bad, seconds = sum(bool(o.wrong) for o in found), sum(o.seconds for o in found)
        print(f"{kind:<12} {len(found):>6} {bad:>6} {rotating:>9} {four:>8} {seconds:>8.1f}")


if __name__ == "__main__":
    main()
