"""Rates of memory: which limits they price, and where they are shared out to."""

import numpy as np
import pytest
from planned_graphs import GraphWriter, chip

from t10c.schedule.rates import Limits, Rates, turned
from t10c.schedule.steps import build_sequence


def limits() -> Limits:
    w = GraphWriter()
    y = w.matmul("y", w.input("x", 12, 8), w.weight("w", 8, 6))
    z = w.relu("z", y)
    return Limits(build_sequence(w.graph(w.add("s", y, z))), chip(4, 16, 64, "fixed"))


def test_room_is_what_live_tensors_leave() -> None:
    own = limits()
    spec = chip(4, 16, 64, "fixed")
    free = spec.usable_bytes - spec.shift_buffer.reserved_bytes
    # 72 elements of 2 bytes on 4 cores; y is last read by the sum
    assert (free - own.room_bytes).tolist() == [0, 36, 0, 36]
    assert own.dying_bytes.tolist() == [48, 0, 72]


def test_what_is_paid_and_exceeded() -> None:
    own = limits()
    at_end = own.at_end(3.0)
    assert at_end.own.tolist() == [0.0, 0.0, 0.0]
    assert own.paid(at_end) == 3.0 * own.room_bytes[-1]
    excess = own.excess(np.array([10, 0, 0]), np.array([100, 200, 300])) + own.room_bytes
    assert excess.tolist() == [100, 210, 310, 10]


def test_variants_are_steps_that_cost_alike() -> None:
    own = limits()
    rates = Rates(2.0, np.array([0.0, 0.25, 0.25, 0.5]))
    assert own.variants([7, 8, 9], rates) == [(7, 0.0, 0), (8, 0.5, 0), (9, 0.5, 72)]


def test_rates_go_to_what_is_exceeded_most() -> None:
    rates = Rates(2.0, np.array([0.0, 0.0, 0.0, 1.0]))
    excess = np.array([500.0, -40.0, 490.0, 0.0])
    following = turned(rates, excess, distance=100.0, usable_bytes=1e6)
    assert following is not None
    assert following.total == 2.0
    assert following.shares == pytest.approx([0.05, 0.0, 0.05, 0.9])
    far = turned(rates, excess, distance=1e4, usable_bytes=1e6)
    assert far is not None
    assert far.shares == pytest.approx([0.25, 0.0, 0.25, 0.5])
    assert turned(rates, excess, distance=1e6, usable_bytes=1e6) is None
    # however little the bound can rise at this total, what is exceeded is priced at once
    assert turned(rates, excess, distance=1e6, usable_bytes=1e5) is not None
    at_first = Rates(2.0, np.array([1.0, 0.0, 0.0, 0.0]))
    assert turned(at_first, excess, distance=1e4, usable_bytes=1e5) is None
    most = Rates(2.0, np.array([0.5, 0.0, 0.0, 0.5]))
    again = turned(most, np.array([100.0, -40.0, 0.0, -900.0]), distance=1e4, usable_bytes=1e5)
    assert again is not None
    assert again.shares == pytest.approx([0.95, 0.0, 0.0, 0.05])
