"""Rates of memory: which limits they price, and what a schedule pays and gets."""

import numpy as np
from planned_graphs import GraphWriter, chip

from t10c.schedule.rates import Limits, Rates
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


def test_rates_of_all_limits() -> None:
    every = np.array([0.0, 0.5, 0.0, 1.5])
    rates = Rates.of_limits(every)
    assert rates.total == 2.0
    assert rates.of_all.tolist() == every.tolist()
    nothing = Rates.of_limits(np.zeros(4))
    assert nothing.total == 0.0
    assert nothing.shares.tolist() == [0.0, 0.0, 0.0, 1.0]
