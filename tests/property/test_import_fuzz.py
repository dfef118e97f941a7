"""Damaged models: always a plan, or an error with a documented exit code that fits three lines.

T10C_FUZZ_CASES sets the number of cases (400 by default, over four tests).
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import onnx
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from model_mutations import MUTATIONS, seeds

import t10c
from t10c.errors import InvalidInputError, T10cError, UnsupportedOperatorError, UsageError

CASES = int(os.environ.get("T10C_FUZZ_CASES", "400"))
SHARDS = 4
LIMIT_SECONDS = 10
SPEC = t10c.load_spec("ipu-mk2", overrides=["cores.count=16"])


class TooSlowError(BaseException):
    """A case ran into the time limit."""


@contextmanager
def limited() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlowError

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def plan(data: bytes) -> T10cError | None:
    """Import and plan a model; the error that a user would read, if any."""
    try:
        graph = t10c.import_model(data)
        t10c.schedule_model(graph, SPEC)
    except T10cError as error:
        return error
    return None


def check_message(error: T10cError) -> None:
    """Three lines at most, a documented kind, and the node in the way by name and operator."""
    lines = str(error).splitlines()
    assert 1 <= len(lines) <= 3, error
    assert all(lines), error
    assert isinstance(error, InvalidInputError | UnsupportedOperatorError | UsageError), error
    if isinstance(error, UnsupportedOperatorError):
        name, operator = error.nodes[0]
        assert name in str(error)
        assert operator.rpartition(".")[2] in str(error) or operator.startswith("input of type")


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_damaged_model_is_planned_or_told_what_is_wrong(shard: int) -> None:
    @seed(shard)
    @settings(
        max_examples=-(-CASES // SHARDS),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        model = onnx.load_from_string(data.draw(st.sampled_from(seeds()), label="model"))
        for _ in range(data.draw(st.integers(1, 4), label="mutations")):
            data.draw(st.sampled_from(MUTATIONS), label="mutation")(model, data)
        with limited():
            error = plan(model.SerializeToString())
        if error is not None:
            check_message(error)

    run()
