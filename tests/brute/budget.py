"""How many random examples the slow tests try, and how the environment changes that."""

import os

from hypothesis import HealthCheck, settings

FACTOR = float(os.environ.get("T10C_BRUTE_FACTOR", "1"))
SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def examples(count: int) -> settings:
    """`count` examples times T10C_BRUTE_FACTOR, the same ones every time unless it is raised."""
    return settings(
        max_examples=max(1, round(count * FACTOR)),
        deadline=None,
        derandomize=FACTOR <= 1,
        suppress_health_check=SLOW_IS_FINE,
    )
