"""Measures plans against simulations and the baseline, and writes docs/validation.md.

    python docs/validation.py                  measure what is not known, write the page
    python docs/validation.py --anew           measure everything
    python docs/validation.py --only TEXT      measure the cases whose key contains TEXT
    python docs/validation.py --page           write the page from docs/validation.json alone
    python docs/validation.py --check          exit 1 if the page is not what the figures say

Figures are kept in docs/validation.json, case by case as they are measured, so that an interrupted
run is taken up again. A figure is known as long as nothing has changed that it depends on.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import measured
from measured import DOCS
from validation_cases import Case, Record, all_cases, measure
from validation_page import page

PAGE, FIGURES = DOCS / "validation.md", DOCS / "validation.json"

_DECISIVE = (
    *("baselines", "hardware", "ir", "lower", "onnx_import", "program"),
    *("schedule", "search", "simulate", "zoo", "timing.py"),
)
"""Of t10c/, what figures depend on."""


def code_hash() -> str:
    """Stands for all that figures depend on: the code that makes them, chips and models."""
    return measured.code_hash(_DECISIVE)


def known_figures() -> dict[str, Record]:
    """Records of validation.json by their key."""
    return measured.read_records(FIGURES, "cases")


def write_figures(known: Mapping[str, Record]) -> None:
    """Write validation.json: a line per case, in the order of the cases."""
    ordered = [known[case.key] for case in all_cases() if case.key in known]
    measured.write_records(FIGURES, cases=ordered)


def measure_all(cases: Iterable[Case], known: dict[str, Record], anew: bool) -> None:
    """Measure cases that are not known of this code, and keep each at once."""
    measured.measure_unknown(cases, known, code_hash(), measure, write_figures, anew)


def main() -> int:
    """Measure, write or check; returns the exit code."""
    arguments = measured.parser("Measure plans, and write what came of it.").parse_args()
    known = known_figures()
    if not (arguments.page or arguments.check):
        cases = [case for case in all_cases() if arguments.only in case.key]
        measure_all(cases, known, arguments.anew)
    return measured.write_page(PAGE, page(known), arguments.check, "validation")


if __name__ == "__main__":
    sys.exit(main())
