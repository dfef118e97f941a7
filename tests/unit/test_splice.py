"""Assignments between two others."""

from types import SimpleNamespace
from typing import Any

import pytest

from t10c.schedule import splice


@pytest.mark.parametrize("best", [1, 17, 64, 199])
def test_the_best_place_to_change_over(best: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans of the first up to some step fit; the more of them, the faster."""
    tried: list[list[int]] = []

    def settled(_: Any, plans: list[int], spec: Any) -> Any:
        tried.append(plans)
        count = sum(plans)
        return None if count > best or plans[0] == 0 else SimpleNamespace(cycles=1000.0 - count)

    monkeypatch.setattr(splice, "settled", settled)
    setting: Any = None
    found = splice.spliced(setting, setting, [1] * 200, [0] * 200)
    assert found is not None
    assert found.cycles == 1000.0 - best
    assert len(tried) < 120


def test_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splice, "settled", lambda *_: None)
    setting: Any = None
    assert splice.spliced(setting, setting, [1, 1, 1], [0, 0, 0]) is None
    assert splice.spliced(setting, setting, [1, 1], [1, 1]) is None
