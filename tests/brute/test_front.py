"""The production search sees the same plans, and finds the same front, as plain enumeration."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from t10c.hardware.load import load_spec
from t10c.ir.expression import Axis, ScalarStep, TensorExpression
from t10c.ir.plan import Plan
from t10c.search import SearchOptions, explore, search_operator

from .budget import examples
from .cost import best_order, memory_bytes, total_cycles
from .enumerate import brute_search, legality_error
from .expressions import KINDS, expressions, stored, tensor_of, unplaceable
from .placement import UndecidedError

TOLERANCE = 1e-6
IPU = load_spec("ipu-mk2")


@st.composite
def chips(draw, expression):
    """A tiny chip; often one without room for every plan of the expression."""
    # Many axes and operands on many cores make more plans than plain Python should count here.
    most_cores = 12 if len(expression.axes) + len(expression.operands) <= 8 else 8
    cores = draw(st.sampled_from([1, 2, 3, 5, 7, 10, 11, 4, 6, 8, 9, 12]))
    policy = draw(st.sampled_from(["fixed", "double"]))
    buffer_bytes = draw(st.sampled_from([8192, 8192, 32]))
    sram_bytes = IPU.sram_bytes
    if draw(st.booleans()):
        everything = memory_bytes(expression, IPU, Plan((1,) * len(expression.axes)))
        share = draw(st.sampled_from([1.5, 1, 0.7, 0.4, 0.1]))
        sram_bytes = IPU.reserved_bytes + int(share * (everything - IPU.shift_buffer.size_bytes))
        if policy == "fixed":
            sram_bytes += buffer_bytes
    return replace(
        IPU,
        core_count=min(cores, most_cores),
        sram_bytes=sram_bytes,
        accumulator_bytes=draw(st.sampled_from([2, 2, 4])),
        shift_buffer=replace(IPU.shift_buffer, policy=policy, size_bytes=buffer_bytes),
    )


def without_ties(front):
    """The front by rising bytes, without points that only rounding distinguishes."""
    kept = []
    for size, cycles in sorted(front):
        if not kept or cycles < kept[-1][1] * (1 - TOLERANCE):
            kept.append((size, cycles))
    return kept


def lengthened(draw, expression):
    """The expression with some axes long, so that T10's thresholds have something to cut.

    Dimensions that slide keep their size; costs do not depend on it.
    """
    axes = list(expression.axes)
    for _ in range(draw(st.integers(1, 2))):
        position = draw(st.integers(0, len(axes) - 1))
        long = draw(st.sampled_from([7, 9, 13, 22, 31, 61, 97, 150]))
        axes[position] = replace(axes[position], length=long)
    return replace(expression, axes=tuple(axes))


def compare(expression, spec, pruning):
    """Equal counts and equal fronts, or an AssertionError; returns the twin's result."""
    try:
        mine = brute_search(expression, spec, pruning == "pruned")
    except UndecidedError:
        assume(False)
    theirs = search_operator(expression, spec, SearchOptions(pruning=pruning))
    record = theirs.record
    counts = (record.legal_plans, record.placeable_plans, record.feasible_plans)
    assert counts == (mine.legal, mine.placeable, mine.feasible)
    assert record.thresholds_dropped == mine.thresholds_dropped
    assert record.splits == mine.splits
    # Whole groups of cuts may go at once, and then count less; never more.
    assert record.padding_pruned <= mine.padding_pruned
    front = [(entry.memory_bytes, float(entry.cycles)) for entry in theirs.front]
    found, expected = without_ties(front), without_ties(mine.front)
    assert [size for size, _ in found] == [size for size, _ in expected]
    for (_, cycles), (_, wanted) in zip(found, expected, strict=True):
        assert math.isclose(cycles, wanted, rel_tol=TOLERANCE)
    for entry in theirs.front:
        check_entry(expression, spec, entry)
    seen = every_plan(expression, spec, pruning)
    assert [plan[:2] for plan in seen] == [plan[:2] for plan in mine.costs]
    for (*_, cycles), (*_, wanted) in zip(seen, mine.costs, strict=True):
        assert math.isclose(cycles, wanted, rel_tol=TOLERANCE)
    return mine


def every_plan(expression, spec, pruning):
    """Split, bytes and cycles of every feasible plan that the production search looks at."""
    seen = []

    def visit(candidates, costs):
        rows = zip(candidates.splits.tolist(), costs.memory_bytes, costs.total, strict=True)
        seen.extend((tuple(split), int(size), float(cycles)) for split, size, cycles in rows)

    search_operator(expression, spec, SearchOptions(pruning=pruning), visit)
    return sorted(seen)


def note(mine):
    """Record what kind of case a random example was, for `--hypothesis-show-statistics`."""
    event(f"front of {min(len(mine.front), 3)}")
    event("all placeable" if mine.placeable == mine.legal else "some unplaceable")
    event("all feasible" if mine.feasible == mine.placeable else "some infeasible")
    event("thresholds dropped" if mine.thresholds_dropped else "thresholds kept")
    event("cuts pruned" if mine.padding_pruned else "all cuts kept")
    event("all splits" if mine.splits == mine.all_splits else "some splits pruned")


def check_entry(expression, spec, entry):
    """A plan on the front is legal and costs what it says, in its own and in any loop order."""
    assert legality_error(expression, entry.plan) is None
    assert memory_bytes(expression, spec, entry.plan) == entry.memory_bytes
    stated = float(entry.cycles)
    assert math.isclose(total_cycles(expression, spec, entry.plan), stated, rel_tol=TOLERANCE)
    best = best_order(expression, spec, entry.plan)
    assert math.isclose(total_cycles(expression, spec, best), stated, rel_tol=TOLERANCE)


@pytest.mark.parametrize("pruning", ["pruned", "exhaustive"])
@pytest.mark.parametrize("kind", KINDS)
def test_front_and_counts_equal_enumeration(kind, pruning):
    @examples(16)
    @given(st.data())
    def check(data):
        expression = data.draw(stored(data.draw(expressions(kind, max_points=10**9))))
        note(compare(expression, data.draw(chips(expression)), pruning))

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_thresholds_cut_the_same_plans(kind):
    @examples(16)
    @given(st.data())
    def check(data):
        small = data.draw(stored(data.draw(expressions(kind, max_points=10**9))))
        expression = lengthened(data.draw, small)
        note(compare(expression, data.draw(chips(expression)), "pruned"))

    check()


@pytest.mark.parametrize("pruning", ["pruned", "exhaustive"])
@pytest.mark.parametrize("kind", KINDS)
def test_bounding_subspaces_away_changes_no_front(kind, pruning, monkeypatch):
    """As if every space were too large to count: the same plans, the first of equals included."""

    @examples(16)
    @given(st.data())
    def check(data):
        small = data.draw(stored(data.draw(expressions(kind, max_points=10**9))))
        expression = lengthened(data.draw, small)
        spec = replace(data.draw(chips(expression)), core_count=data.draw(st.integers(1, 40)))
        options = SearchOptions(pruning=pruning)
        whole = search_operator(expression, spec, options)
        with monkeypatch.context() as patch:
            patch.setattr(explore, "COUNTED_PLANS", 0)
            patch.setattr(explore, "_CHUNK_PLANS", data.draw(st.sampled_from([7, 2**17])))
            patch.setattr(explore, "_SEED_CUTS", data.draw(st.sampled_from([1, 30, 2**18])))
            patch.setattr(explore, "_SEED_STRIDE", 3)
            patch.setattr(explore, "_SEEDS_PER_PRICE", 1)
            bounded = search_operator(expression, spec, options)
        assert bounded.front == whole.front
        assert bounded.smallest_legal_bytes == whole.smallest_legal_bytes
        found = bounded.record.legal_plans
        assert found <= whole.record.legal_plans <= found + bounded.record.uncounted_plans
        event("bounded" if bounded.record.uncounted_plans else "not bounded")

    check()


@pytest.mark.parametrize("cores", [7, 10, 12])
def test_padding_threshold_of_many_axes(cores):
    """With seven axes a short axis next to a long one lands between V/(V+C) and V/(V+2C)."""
    for long, short in itertools.product((31, 36, 45, 60), (2, 3, 5)):
        lengths = (short, long, 1, 1, 1, 1, 1)
        axes = tuple(Axis(f"a{i}", length, "parallel") for i, length in enumerate(lengths))
        axes = (replace(axes[0], role="reduced", reduction=True), *axes[1:])
        expression = TensorExpression(
            "reduce",
            axes,
            (tensor_of("A", *axes), tensor_of("B", *axes[1:]), tensor_of("D", axes[0])),
            tensor_of("C", *axes[1:]),
            (ScalarStep("Mul", ("A", "B")), ScalarStep("Mul", ("s0", "D"))),
            "sum",
        )
        compare(expression, replace(IPU, core_count=cores), "pruned")


@pytest.mark.parametrize(("lengths", "cores"), [((1, 70, 1), 10), ((4, 42, 1, 1, 1, 1, 1), 12)])
def test_a_split_exactly_at_a_threshold_is_kept(lengths, cores):
    """70 points on 10 cores: 0.9 * 70 / (70 + 20) is 7/10, which 7 cores just meet."""
    axes = tuple(Axis(f"a{i}", length, "parallel") for i, length in enumerate(lengths))
    expression = TensorExpression(
        "pointwise",
        axes,
        (tensor_of("A", axes[0]),),
        tensor_of("C", *axes),
        (ScalarStep("Neg", ("A",)),),
    )
    compare(expression, replace(IPU, core_count=cores), "pruned")


def test_thresholds_that_leave_no_split_are_dropped():
    index, table = Axis("i", 13, "index"), Axis("v", 3, "table", reduction=True)
    element = Axis("e", 1, "element")
    expression = TensorExpression(
        "gather",
        (index, table, element),
        (tensor_of("T", table, element), tensor_of("I", index)),
        tensor_of("C", index, element),
        (),
        "sum",
    )
    for cores in range(1, 13):
        compare(expression, replace(IPU, core_count=cores), "pruned")
    short = replace(expression, axes=(index, replace(table, length=1), element))
    assert compare(short, replace(IPU, core_count=7), "pruned").thresholds_dropped


@pytest.mark.parametrize("policy", ["fixed", "double"])
def test_plans_without_placement_are_counted_and_left_out(policy):
    expression, _ = unplaceable()
    spec = replace(IPU, core_count=4, shift_buffer=replace(IPU.shift_buffer, policy=policy))
    found = compare(expression, spec, "exhaustive")
    assert found.placeable < found.legal
