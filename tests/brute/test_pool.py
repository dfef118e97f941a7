"""A pool, and the minima of the bound, are those of all feasible plans, however they are found."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from t10c.hardware.load import load_spec
from t10c.schedule import pool, pool_sieve
from t10c.schedule.pool import PoolCollector, Scores, price_pairs
from t10c.schedule.pool_sieve import PoolSieve
from t10c.schedule.problem import Problem
from t10c.search import SearchOptions, explore, search_operator
from t10c.search.notation import parse_expression

from .budget import examples
from .expressions import KINDS, expressions, stored
from .test_front import chips, lengthened

IPU = load_spec("ipu-mk2")


class EverySo(PoolSieve):
    """A sieve that learns from every so many splits first, not from those that promise most."""

    def enter(self, block, tiles):
        super().enter(block, tiles)
        return np.arange(0, len(block.run.splits), 7)


def collect(problem, spec, options, uniform, sieving=None):
    """The collector when all chunks have passed, the search's result, and how many were seen."""
    collector = PoolCollector(problem, spec, uniform)
    seen = 0

    def visit(candidates, costs):
        nonlocal seen
        seen += len(candidates)
        collector.visit(candidates, costs)

    sieve = sieving(collector) if sieving else None
    result = search_operator(problem.expression, spec, options, visit, sieve)
    return collector, result, seen


def without_time(result):
    return replace(result, cpu_seconds=0.0)


@pytest.mark.parametrize("pruning", ["pruned", "exhaustive"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sieve_and_chunks_change_nothing(kind, pruning, monkeypatch):
    """Few plans are kept here, for few scores, so that small spaces have many to leave out."""
    for module in (pool, pool_sieve):
        monkeypatch.setattr(module, "POOL_PER_PRICE", 1)
        monkeypatch.setattr(module, "POOL_PER_LEANING", 1)
        monkeypatch.setattr(module, "LEANING_PAIR", 0)
    pairs = price_pairs(IPU)

    @examples(24)
    @given(st.data())
    def check(data):
        small = data.draw(stored(data.draw(expressions(kind, max_points=10**9))))
        expression = lengthened(data.draw, small)
        spec = replace(data.draw(chips(expression)), core_count=data.draw(st.integers(1, 40)))
        inputs = range(len(expression.inputs))
        weights = tuple(i for i in inputs if data.draw(st.booleans()))
        asked = (
            Problem(expression, weights),
            spec,
            SearchOptions(pruning),
            data.draw(st.booleans()),
        )
        with monkeypatch.context() as patch:
            pair = data.draw(st.sampled_from(pairs))
            patch.setattr(pool, "price_pairs", lambda _: [pair])
            if data.draw(st.booleans()):
                patch.setattr(pool, "leanings", lambda _: ())
            whole, expected, feasible = collect(*asked)
            patch.setattr(explore, "_CHUNK_PLANS", data.draw(st.sampled_from([7, 100, 2**17])))
            sieving = data.draw(st.sampled_from([PoolSieve, EverySo]))
            sieved, result, seen = collect(*asked, sieving)
        assert sieved.pool() == whole.pool()
        assert np.array_equal(sieved.minima, whole.minima)
        assert without_time(result) == without_time(expected)
        event("all seen" if seen == feasible else "some left out")

    check()


def test_a_sieve_leaves_most_plans_out():
    """A matrix product of whose 29,000 plans a few hundred matter."""
    expression = parse_expression("C[m,n] += A[m,k] * B[k,n]", {"m": 64, "n": 128, "k": 128})
    spec = replace(IPU, core_count=256)
    asked = (Problem(expression, (1,)), spec, SearchOptions(), False)
    _, result, feasible = collect(*asked)
    _, _, seen = collect(*asked, PoolSieve)
    assert result.record.feasible_plans == feasible
    assert seen < feasible / 5


def best_of(scores):
    """The plans that `Scores.best` takes, one split and one score at a time."""
    ends = [*scores.starts[1:], scores.priced.shape[1]]
    chosen = set()
    for score, within, most in scores.ranked():
        least = []
        for first, last in zip(scores.starts, ends, strict=True):
            plan = min(range(first, last), key=lambda p: within[p])
            least.append((min(score[first:last]), plan))
        chosen.update(plan for _, plan in sorted(least)[:most])
    return sorted(chosen)


@given(st.data())
def test_best_plans_are_one_of_each_split(data):
    count = data.draw(st.integers(1, 60))
    cuts = data.draw(st.sets(st.integers(1, count - 1))) if count > 1 else set()
    values = (
        np.random.default_rng(data.draw(st.integers(0, 10**6))).integers(0, 9, (5, count)) * 1.0
    )
    starts = np.array(sorted({0} | cuts))
    scores = Scores(values, values[pool.LEANING_PAIR][None] * 0.5, starts)
    chosen, worst = scores.best()
    assert chosen.tolist() == best_of(scores)
    for (score, _, most), limit in zip(scores.ranked(), worst, strict=True):
        least = np.sort(np.minimum.reduceat(score, starts))
        assert limit == (least[most - 1] if len(least) >= most else np.inf)
