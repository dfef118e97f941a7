"""Measures what T10's thresholds lose, operator by operator, and writes docs/search.md.

    python docs/losses.py                  measure what is not known, write the page
    python docs/losses.py --anew           measure everything
    python docs/losses.py --only TEXT      measure the operators whose key contains TEXT
    python docs/losses.py --page           write the page from docs/search.json alone
    python docs/losses.py --check          exit 1 if the page is not what the figures say

Figures are kept in docs/search.json, operator by operator as they are measured, so that an
interrupted run is taken up again. A figure is known as long as nothing has changed that it depends
on.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import measured
from losses_cases import Case, all_models, distinct, measure, model_record, operators
from losses_page import page
from measured import DOCS, Record

PAGE, FIGURES = DOCS / "search.md", DOCS / "search.json"

_DECISIVE = ("hardware", "ir", "search", "schedule/problem.py")
"""Of t10c/, what the search of an operator depends on; which there are is found every time."""


def measure_all(
    cases: Iterable[Case], models: list[Record], known: dict[str, Record], anew: bool
) -> None:
    """Measure operators that are not known of this code, and keep each at once."""
    code = measured.code_hash(_DECISIVE)
    used = [key for model in models for _, key in model["operators"]]

    def keep(records: Mapping[str, Record]) -> None:
        in_order = [records[key] for key in dict.fromkeys(used) if key in records]
        measured.write_records(FIGURES, models=models, operators=in_order)

    measured.measure_unknown(cases, known, code, measure, keep, anew)
    keep(known)


def main() -> int:
    """Measure, write or check; returns the exit code."""
    arguments = measured.parser("Measure searches, and write what came of it.").parse_args()
    known = measured.read_records(FIGURES, "operators")
    if not (arguments.page or arguments.check):
        found = {model: operators(model) for model in all_models()}
        models = [model_record(model, counts) for model, counts in found.items()]
        cases = [case for case in distinct(found.values()) if arguments.only in case.key]
        measure_all(cases, models, known, arguments.anew)
    models = [*measured.read_records(FIGURES, "models").values()]
    text = page(models, measured.read_records(FIGURES, "operators"))
    return measured.write_page(PAGE, text, arguments.check, "losses")


if __name__ == "__main__":
    sys.exit(main())
