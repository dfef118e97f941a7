"""What commands with limits end with: the violated ones named, and the exit code."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from t10c import Outcome

EXCEEDED = 9
"""Exit code of a limit that does not hold."""


def limits_exit(outcomes: "Iterable[Outcome]", form: str, quiet: bool) -> int:
    """The exit code; violated limits go to standard error where no table has named them."""
    from t10c.cli.output import emit
    from t10c.report.metrics import outcome_text

    broken = [outcome for outcome in outcomes if not outcome.holds]
    if quiet or form != "table":
        for outcome in broken:
            emit(outcome_text(outcome), err=True)
    return EXCEEDED if broken else 0
