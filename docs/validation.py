"""Measures plans against simulations and the baseline, and writes docs/validation.md.

    python docs/validation.py                  measure what is not known, write the page
    python docs/validation.py --anew           measure everything
    python docs/validation.py --only TEXT      measure the cases whose key contains TEXT
    python docs/validation.py --page           write the page from docs/validation.json alone
    python docs/validation.py --check          exit 1 if the page is not what the figures say

Figures are kept in docs/validation.json, case by case as they are measured, so that an interrupted
run is taken up again. A figure is known as long as nothing has changed that it depends on.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import t10c

sys.path.insert(0, str(Path(__file__).resolve().parent))

from validation_cases import Case, Record, all_cases, measure
from validation_page import page

from t10c.cli.output import write_atomic

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PAGE, FIGURES = DOCS / "validation.md", DOCS / "validation.json"

_DECISIVE = (
    *("baselines", "hardware", "ir", "lower", "onnx_import", "program"),
    *("schedule", "search", "simulate", "zoo", "timing.py"),
)
"""Of t10c/, what figures depend on."""


def code_hash() -> str:
    """Stands for all that figures depend on: the code that makes them, chips and models."""
    places = [*(ROOT / "t10c" / name for name in _DECISIVE), ROOT / "hwspecs", ROOT / "models"]
    files = [f for place in places for f in ([place] if place.is_file() else place.rglob("*"))]
    digest = hashlib.sha256()
    for file in sorted(files):
        if file.suffix in (".py", ".yaml"):
            digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def known_figures() -> dict[str, Record]:
    """Records of validation.json by their key."""
    if not FIGURES.exists():
        return {}
    records = json.loads(FIGURES.read_text(encoding="utf-8"))["cases"]
    return {record["key"]: record for record in records}


def write_figures(known: Mapping[str, Record]) -> None:
    """Write validation.json: a line per case, in the order of the cases."""
    lines = [
        json.dumps(known[case.key], separators=(",", ":"))
        for case in all_cases()
        if case.key in known
    ]
    head = f'{{"generator":"t10c {t10c.__version__}","cases":[\n'
    write_atomic(str(FIGURES), (head + ",\n".join(lines) + "\n]}\n").encode())


def measure_all(cases: Iterable[Case], known: dict[str, Record], anew: bool) -> None:
    """Measure cases that are not known of this code, and keep each at once."""
    code = code_hash()
    for case in cases:
        if not anew and known.get(case.key, {}).get("code") == code:
            continue
        begin = time.monotonic()
        known[case.key] = {**measure(case), "code": code}
        write_figures(known)
        print(f"{case.key}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, write or check; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure plans, and write what came of it.")
    parser.add_argument("--anew", action="store_true", help="measure what is known, too")
    parser.add_argument("--only", metavar="TEXT", default="", help="measure cases with this in key")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if not current")
    arguments = parser.parse_args()
    known = known_figures()
    if not (arguments.page or arguments.check):
        cases = [case for case in all_cases() if arguments.only in case.key]
        measure_all(cases, known, arguments.anew)
    text = page(known)
    if arguments.check and PAGE.read_text(encoding="utf-8") != text:
        print(f"not current: {PAGE.name}; run make validation", file=sys.stderr)
        return 1
    if not arguments.check:
        write_atomic(str(PAGE), text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
