"""Search of one operator: published vectors, its record, chunks, templates, placements, bounds."""

import math
import random
import re
from collections import Counter
from dataclasses import asdict, replace
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from planned_graphs import chip

from t10c.errors import UsageError
from t10c.hardware.load import load_spec
from t10c.hardware.spec import ShiftBuffer
from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.ir.plan import Plan, Rotation, replicas, sharing
from t10c.search import blocks as blocks_module
from t10c.search import explore as explore_module
from t10c.search.bound import lower_bound_cycles
from t10c.search.notation import parse_expression
from t10c.search.operator import SearchResult, search_operator
from t10c.search.options import SearchOptions
from t10c.search.placement import core_coordinates, offsets, placement_rule
from t10c.search.templates import named_expression, template_names

VECTORS = (
    # name, template, axes, splits, legal plans, fastest cycles, smallest bytes
    ("matmul_128", "matmul", {"m": 128, "n": 4096, "k": 1024}, 3407, 287852, 15960.68, 7272),
    ("matmul_512", "matmul", {"m": 512, "n": 1024, "k": 1024}, 3791, 389217, 16891.88, 4332),
    ("matmul_1", "matmul", {"m": 1, "n": 4096, "k": 4096}, 1122, 16844, 12158.05, 23000),
    ("bmm", "bmm", {"b": 16, "m": 128, "n": 128, "k": 64}, 1132, 91815, 3261.85, 1152),
    ("elementwise", "pointwise", {"m": 128, "n": 4096}, 562, 562, 676.5, 2148),
    ("reduce", "reduce", {"m": 128, "k": 1024}, 279, 560, 2493.87, 184),
)


@pytest.mark.parametrize(
    ("template", "axes", "splits", "legal", "fastest", "smallest"),
    [row[1:] for row in VECTORS],
    ids=[row[0] for row in VECTORS],
)
def test_published_search_spaces(template, axes, splits, legal, fastest, smallest):
    """1,472 cores, 2-byte elements, doubled buffers, T10's thresholds (docs/plans.md)."""
    spec = replace(load_spec("ipu-mk2"), shift_buffer=ShiftBuffer("double", 8192))
    result = search_operator(named_expression(template, axes), spec)
    assert result.record.splits == splits
    assert result.record.legal_plans == legal
    assert result.front[-1].cycles == pytest.approx(fastest, abs=0.006)
    assert result.front[0].memory_bytes == smallest == result.smallest_legal_bytes
    assert result.record.exhausted
    assert not result.record.thresholds_dropped
    assert result.front[-1].plan.rotations == ()


def without_effort(result: SearchResult) -> dict:
    """All that does not depend on the machine, nor on what is seen together."""
    found = {**asdict(result)}
    del found["cpu_seconds"]
    del found["record"]["bounded_plans"]
    return found


SMALL = {
    "matmul": {"m": 12, "n": 10, "k": 16},
    "bmm": {"b": 4, "m": 6, "n": 6, "k": 4},
    "conv": {"b": 2, "o": 6, "c": 4, "h": 5, "w": 4, "kh": 3, "kw": 2, "stride": 2},
    "pool": {"b": 2, "c": 6, "h": 5, "w": 4, "kh": 2, "kw": 2, "dilation_h": 2},
    "reduce": {"m": 12, "k0": 6, "k1": 4},
    "pointwise": {"d0": 12, "d1": 9},
    "gather": {"i0": 6, "e0": 8, "v": 12},
}


@pytest.mark.parametrize("pruning", ["pruned", "exhaustive"])
@pytest.mark.parametrize("name", [n for n in SMALL if n != "conv"])
def test_chunks_do_not_show(name, pruning, monkeypatch):
    expression, spec = named_expression(name, SMALL[name]), chip(cores=24, kib=1)
    whole = search_operator(expression, spec, SearchOptions(pruning))
    monkeypatch.setattr(explore_module, "_CHUNK_PLANS", 3)
    monkeypatch.setattr(blocks_module, "_BLOCK_CUTS", 10)
    pieces: list[int] = []
    tiny = search_operator(
        expression, spec, SearchOptions(pruning), lambda c, costs: pieces.append(len(c))
    )
    assert len(pieces) > 5
    assert without_effort(tiny) == without_effort(whole)
    assert sum(pieces) == tiny.record.feasible_plans
    unseen = search_operator(expression, spec, SearchOptions(pruning))
    assert without_effort(unseen) == without_effort(whole)


BOUNDED = {**SMALL, "grouped": {"g": 2, "o": 4, "c": 3, "h": 5, "w": 1, "kh": 3}}


@pytest.mark.parametrize("pruning", ["pruned", "exhaustive"])
@pytest.mark.parametrize("policy", ["fixed", "double"])
@pytest.mark.parametrize("name", BOUNDED)
def test_what_is_bounded_away_is_not_on_the_front(name, policy, pruning, monkeypatch):
    """Subspaces that are never enumerated change neither the front nor the first of equal plans."""
    expression = named_expression("conv" if name == "grouped" else name, BOUNDED[name])
    for kib in (64, 0.6, 0.3):
        spec = chip(cores=24, kib=kib, policy=policy)
        whole = search_operator(expression, spec, SearchOptions(pruning))
        assert whole.record.uncounted_plans == whole.record.bounded_splits == 0
        with monkeypatch.context() as patch:
            patch.setattr(explore_module, "COUNTED_PLANS", 0)
            patch.setattr(explore_module, "_SEED_CUTS", 30)
            patch.setattr(explore_module, "_SEED_STRIDE", 5)
            patch.setattr(explore_module, "_SEEDS_PER_PRICE", 1)
            patch.setattr(explore_module, "_CHUNK_PLANS", 50)
            bounded = search_operator(expression, spec, SearchOptions(pruning))
        assert bounded.front == whole.front
        assert bounded.smallest_legal_bytes == whole.smallest_legal_bytes
        left = bounded.record.legal_plans
        assert left <= whole.record.legal_plans <= left + bounded.record.uncounted_plans


def test_few_plans_of_large_spaces_are_enumerated():
    expression = named_expression("matmul", dict.fromkeys("mnk", 4096))
    spec = load_spec("ipu-pod4", ("cores.count=12000",))
    record = search_operator(expression, spec).record
    assert record.legal_plans + record.uncounted_plans > explore_module.COUNTED_PLANS
    assert record.legal_plans < record.uncounted_plans / 10
    assert record.splits / 3 < record.bounded_splits < record.splits


def test_a_stopped_search_says_so(monkeypatch):
    expression, spec = named_expression("matmul", SMALL["matmul"]), chip(cores=24)
    whole = search_operator(expression, spec, SearchOptions("exhaustive"))
    assert whole.record.exhausted
    monkeypatch.setattr(explore_module, "_CHUNK_PLANS", 50)
    part = search_operator(expression, spec, SearchOptions("exhaustive", max_candidates=200))
    assert not part.record.exhausted
    assert 200 <= part.record.legal_plans < whole.record.legal_plans
    assert part.front
    legal = whole.record.legal_plans
    enough = SearchOptions("exhaustive", max_candidates=legal)
    assert without_effort(search_operator(expression, spec, enough)) == without_effort(whole)


def test_thresholds_that_leave_nothing_are_dropped():
    """13 indices on 7 cores: 7 blocks of 2 pad too much, fewer blocks use too few cores."""
    expression, spec = named_expression("gather", {"i": 13, "e": 1, "v": 1}), chip(cores=7)
    result = search_operator(expression, spec)
    assert result.record.thresholds_dropped
    strict = search_operator(expression, spec, SearchOptions("exhaustive"))
    assert not strict.record.thresholds_dropped
    assert result.record == replace(strict.record, thresholds_dropped=True)
    assert result.front == strict.front


def test_nothing_fits():
    """The front is empty and the record says what the smallest plan would take."""
    expression, spec = named_expression("matmul", SMALL["matmul"]), chip(cores=24, kib=0.26)
    result = search_operator(expression, spec, SearchOptions("exhaustive"))
    assert result.front == ()
    assert result.record.feasible_plans == 0 < result.record.placeable_plans
    enough = replace(spec, sram_bytes=result.smallest_legal_bytes)
    found = search_operator(expression, enough, SearchOptions("exhaustive"))
    assert found.front[0].memory_bytes == result.smallest_legal_bytes
    assert len(found.front) == 1


lengths = st.sampled_from([1, 2, 3, 4, 6, 7, 8, 12, 16])


@st.composite
def small_expressions(draw):
    name = draw(st.sampled_from(list(SMALL)))
    cut = {a: n if "stride" in a or "dil" in a else draw(lengths) for a, n in SMALL[name].items()}
    if name in ("conv", "pool"):
        cut = {a: min(n, 4) for a, n in cut.items()}
    return named_expression(name, cut)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(small_expressions(), st.integers(1, 40), st.sampled_from(["fixed", "double"]))
def test_no_front_entry_beats_the_lower_bound(expression, cores, policy):
    spec = chip(cores=cores, kib=64, policy=policy)
    result = search_operator(expression, spec, SearchOptions("exhaustive"))
    assert result.front
    assert result.record.lower_bound_cycles == lower_bound_cycles(expression, spec)
    for entry in result.front:
        assert entry.cycles >= result.record.lower_bound_cycles * (1 - 1e-12)
        parts = (entry.compute_cycles, entry.epilogue_cycles, entry.communication_cycles)
        assert sum(parts) == pytest.approx(entry.cycles)
        assert min(parts) >= 0
    for a, b in pairwise(result.front):
        assert a.memory_bytes < b.memory_bytes
        assert a.cycles > b.cycles


@pytest.mark.parametrize(
    ("name", "axes", "least"),
    [
        ("pointwise", {"d0": 200_000}, 0.98),
        ("reduce", {"m": 960, "k": 500}, 0.9),
        ("matmul", {"m": 512, "n": 512, "k": 512}, 0.6),
    ],
)
def test_the_lower_bound_is_near_where_computing_dominates(name, axes, least):
    result = search_operator(named_expression(name, axes), chip(cores=2, kib=4096))
    ratio = result.record.lower_bound_cycles / result.front[-1].cycles
    assert least <= ratio <= 1


def three_operands() -> TensorExpression:
    """C[m,n] = A[m] * B[n] * D[m]: A and D are shared over the same axis, n."""
    m, n = Axis("m", 16, "parallel"), Axis("n", 16, "parallel")
    row, column = (Dim(((a.name, 1),), a.length) for a in (m, n))
    return TensorExpression(
        "pointwise",
        (m, n),
        (Operand("A", (row,)), Operand("B", (column,)), Operand("D", (row,))),
        Operand("C", (row, column)),
        (ScalarStep("Mul", ("A", "B")), ScalarStep("Mul", ("s0", "D"))),
    )


def random_plan(expression: TensorExpression, cores: int, draw: random.Random) -> Plan:
    """A legal plan: one or two rotations, on axes and operands as they come."""
    split = [1] * len(expression.axes)
    for index in draw.sample(range(len(split)), len(split)):
        left = cores // math.prod(split)
        split[index] = draw.randint(1, max(1, min(left, expression.axes[index].length)))
    plan = Plan(tuple(split))
    for _ in range(12):
        axis = draw.choice(expression.axes)
        having = [o.name for o in expression.operands if axis.name in o.axes and not o.fused]
        moved = tuple(o for o in having if draw.random() < 0.6)
        more = Rotation(axis.name, draw.choice([2, 2, 3, 4]), moved)
        longer = Plan(plan.split, (*plan.rotations, more))
        if moved and legal(expression, longer):
            plan = longer
    return plan


def legal(expression: TensorExpression, plan: Plan) -> bool:
    """Rules 2 to 4 of docs/plans.md."""
    for operand in expression.operands:
        pieces = math.prod(r.radix for r in plan.rotations if operand.name in r.operands)
        if sharing(expression, plan, operand) % pieces:
            return False
    for axis, factor in zip(expression.axes, plan.split, strict=True):
        own = [r for r in plan.rotations if r.axis == axis.name]
        sets = sorted((set(r.operands) for r in own), key=len)
        if not all(a <= b for a, b in pairwise(sets)):
            return False
        if math.prod(r.radix for r in own) > -(-axis.length // factor):
            return False
    return True


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_placements_are_balanced(draw):
    """Every sharing group of every operand sees each tuple of its offsets `replicas` times."""
    names = ("matmul", "bmm", "conv", "gather")
    choices = [named_expression(n, {a: 12 for a in SMALL[n] if a != "stride"}) for n in names]
    expression = draw.choice([*choices, three_operands(), three_operands()])
    plan = random_plan(expression, 24, draw)
    found = offsets(expression, plan)
    if found is None:
        assert placement_rule(expression, plan) == "linear"
        return
    check_balance(expression, plan, found)


def check_balance(expression: TensorExpression, plan: Plan, found: list) -> None:
    coordinates = core_coordinates(plan.split).tolist()
    for rotation, offset in zip(plan.rotations, found, strict=True):
        assert len(offset) == len(coordinates)
        assert 0 <= min(offset) <= max(offset) < rotation.radix
    for operand in expression.operands:
        own = [i for i, a in enumerate(expression.axes) if a.name in operand.axes]
        levels = [i for i, r in enumerate(plan.rotations) if operand.name in r.operands]
        seen: dict[tuple, Counter] = {}
        for core, at in enumerate(coordinates):
            group = seen.setdefault(tuple(at[i] for i in own), Counter())
            group[tuple(int(found[level][core]) for level in levels)] += 1
        tuples = math.prod(plan.rotations[i].radix for i in levels)
        for group in seen.values():
            assert len(group) == tuples
            assert set(group.values()) == {replicas(expression, plan, operand)}


@pytest.mark.parametrize(
    ("split", "rotations"),
    [
        ((1, 4), [Rotation("m", 4, ("A", "D"))]),
        ((1, 4), [Rotation("m", 2, ("A", "D")), Rotation("m", 2, ("A",))]),
        ((2, 6), [Rotation("m", 6, ("A", "D")), Rotation("n", 2, ("B",))]),
        ((1, 12), [Rotation("m", 3, ("D", "A")), Rotation("m", 4, ("A",))]),
    ],
)
def test_the_linear_rule_places_operands_shared_over_one_axis(split, rotations):
    expression, plan = three_operands(), Plan(split, tuple(rotations))
    assert legal(expression, plan)
    assert placement_rule(expression, plan) == "linear"
    found = offsets(expression, plan)
    assert found is not None
    check_balance(expression, plan, found)


def test_matmul_starts_skewed():
    """Cannon: each core begins with k-chunk (i_m + i_n) mod 3 (docs/plans.md)."""
    expression = named_expression("matmul", {"m": 6, "n": 6, "k": 8})
    plan = Plan((3, 3, 1), (Rotation("k", 3, ("A", "B")),))
    assert placement_rule(expression, plan) == "digits"
    (found,) = offsets(expression, plan)
    skewed = [(m + n) % 3 for m in range(3) for n in range(3)]
    assert found.tolist() == skewed


@pytest.mark.parametrize("name", template_names())
def test_templates_by_name(name):
    expression = named_expression(name, SMALL[name])
    assert expression.kernel == ("matmul" if name == "bmm" else name)
    sizes = {a: n for a, n in SMALL[name].items() if a not in ("stride", "dilation_h")}
    assert {a.name: a.length for a in expression.axes} == sizes
    reduced = {a.name for a in expression.axes if a.reduction}
    assert reduced == set(sizes) - set(expression.output.axes)


def test_windows_of_templates():
    expression = named_expression("conv", SMALL["conv"])
    rows, columns = expression.inputs[0].dims[2:]
    assert rows == Dim((("h", 2), ("kh", 1)), 2 * 4 + 2 + 1)
    assert columns == Dim((("w", 2), ("kw", 1)), 2 * 3 + 1 + 1)
    pool = named_expression("pool", SMALL["pool"])
    assert pool.inputs[0].dims[2] == Dim((("h", 1), ("kh", 2)), 4 + 2 + 1)
    grouped = named_expression("conv", {"g": 3, "o": 4, "c": 2, "h": 1, "w": 1})
    assert grouped.output.dims[0] == Dim((("g", 4), ("o", 1)), 12)


@pytest.mark.parametrize(
    ("name", "axes", "expected"),
    [
        ("matmull", {"m": 1}, "did you mean matmul"),
        ("fft", {"m": 1}, "free expression"),
        ("matmul", {}, "--axes"),
        ("matmul", {"m": 8, "n": 8}, "needs the axes k"),
        ("matmul", {"m": 8, "n": 8, "k": 0}, "k=0"),
        ("matmul", {"m": 8, "n": 8, "k": 8, "q": 1}, "no axis 'q'"),
        ("conv", {"o": 1, "c": 1, "h": 1, "w": 1, "strid": 2}, "did you mean stride"),
        ("conv", {"o": 1, "c": 1, "h": 1, "w": 1, "stride": 0}, "stride=0"),
        ("matmul", {"m": 10**20, "n": 8, "k": 8}, "m is too large"),
        ("matmul", dict.fromkeys("mnk", 10**12), "A is too large"),
        ("bmm", dict.fromkeys("bmnk", 2**17), "A is too large"),
        ("bmm", dict.fromkeys("bmnk", 2**13), "shorten b, m, n, k"),
        ("conv", {"o": 1, "c": 1, "h": 1, "w": 1, "stride": 10**20}, "stride is too large"),
        ("conv", {"o": 1, "c": 1, "h": 1, "w": 2, "stride": 2**48}, "I is too large"),
        ("reduce", {"m": 8}, "begin with k"),
        ("gather", {"i": 8}, "gather has"),
        ("gather", {"i": 8, "v": 8, "x": 8}, "gather has"),
    ],
)
def test_template_errors_say_what_would_be_right(name, axes, expected):
    with pytest.raises(UsageError) as caught:
        named_expression(name, axes)
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("text", "kernel", "roles"),
    [
        ("C[m,n] += A[m,k] * B[k,n]", "matmul", {"m": "m", "n": "n", "k": "k"}),
        ("C[b,m] += A[b,k]*B[b,k,m]", "matmul", {"b": "batch", "m": "n", "k": "k"}),
        ("O[h] max= I[2*h + k]", "pool", {"h": "out_spatial", "k": "kernel"}),
        ("O[o,h] += I[c, h+k] * K[o,c,k]", "conv", {"o": "out_channel", "c": "in_channel"}),
        ("C[m] += A[m,k]", "reduce", {"m": "parallel", "k": "reduced"}),
        ("C[m] min= A[m,k]", "reduce", {"k": "reduced"}),
        ("C[m,n] = A[m,n] + B[n]", "pointwise", {"m": "parallel", "n": "parallel"}),
        ("C[m,n] = A[m] * B[n] * D[m]", "pointwise", {"m": "parallel"}),
        ("C[m]=A[m]", "pointwise", {"m": "parallel"}),
        ("C[] += A[k]", "reduce", {"k": "reduced"}),
    ],
)
def test_free_expressions(text, kernel, roles):
    axes = re.findall(r"[a-z]", "".join(re.findall(r"\[(.*?)\]", text)))
    expression = parse_expression(text, dict.fromkeys(axes, 8))
    assert expression.kernel == kernel
    found = {a.name: a.role for a in expression.axes}
    assert roles.items() <= found.items()
    for axis in expression.axes:
        assert axis.reduction == (axis.name not in expression.output.axes)


def test_a_named_and_a_free_matmul_are_the_same_problem():
    axes = {"m": 4, "n": 6, "k": 8}
    free = parse_expression("C[m,n] += A[m,k] * B[k,n]", axes)
    spec = chip()
    assert free == named_expression("matmul", axes)
    assert search_operator(free, spec).front == search_operator(free, spec).front


@pytest.mark.parametrize(
    ("text", "axes", "expected"),
    [
        ("C[m,n] + A[m]", {"m": 8}, "write it as"),
        ("", {"m": 8}, "write it as"),
        ("C[m] = A[m", {"m": 8}, "cannot read the operand"),
        ("C[m] = ", {"m": 8}, "cannot read the operand"),
        ("C[m] = A[m-1]", {"m": 8}, "cannot read the index"),
        ("C[m] = A[n]", {"m": 8}, "'n' has no length"),
        ("C[m] = A[m]", {"m": 8, "q": 2}, "names q"),
        ("C[m] = A[m,k]", {"m": 8, "k": 8}, "write +="),
        ("C[m] += A[m]", {"m": 8}, "write ="),
        ("C[m] = A[m] + A[m]", {"m": 8}, "not valid"),
        ("C[m] += A[m+m]", {"m": 8}, "axes differ"),
        ("C[m] = A[0*m]", {"m": 8}, "strides are at least 1"),
        ("C[m] += A[m,k] + B[k]", {"m": 8, "k": 8}, "a reduction takes"),
        ("C[m] max= A[m,k] * B[k]", {"m": 8, "k": 8}, "a reduction takes"),
        ("C[m] = A[m]", {"m": 0}, ""),
        ("C[m] = A[m]", {"m": 2**48 + 1}, "m is too large"),
        ("C[m,n] = A[m,n]", {"m": 2**30, "n": 2**19}, "A is too large"),
        ("C[m,n] += A[m,k] * B[k,n]", dict.fromkeys("mnk", 2**17), "shorten m, n, k"),
        ("O[h] max= I[99999999999999999999*h+k]", {"h": 1, "k": 2}, "I: the stride of h"),
        ("O[h] max= I[281474976710656*h+k]", {"h": 2, "k": 2}, "I is too large"),
    ],
)
def test_expression_errors_say_what_would_be_right(text, axes, expected):
    with pytest.raises(UsageError) as caught:
        parse_expression(text, axes)
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("matmul", dict.fromkeys("mnk", 2**16)),
        ("matmul", {"m": 2**48, "n": 1, "k": 1}),
        ("conv", {"o": 1, "c": 1, "h": 1, "w": 2, "stride": 2**48 - 1}),
        ("pointwise", {"a": 2**24, "b": 2**24}),
    ],
)
@pytest.mark.filterwarnings("error")
def test_the_largest_operators_do_not_overflow(name, axes):
    expression = named_expression(name, axes)
    result = search_operator(expression, load_spec("ipu-mk2", ("cores.count=8",)))
    assert 0 < result.smallest_legal_bytes < 2**52
    assert 0 < result.record.lower_bound_cycles < 2**52
    assert all(entry.memory_bytes > 0 and entry.cycles > 0 for entry in result.front)


def test_too_many_splits_are_not_begun():
    spec = load_spec("ipu-mk2", ("cores.count=100000000",))
    with pytest.raises(UsageError, match="100,000,000 cores can share the axes m, n, k"):
        search_operator(named_expression("matmul", dict.fromkeys("mnk", 4096)), spec)
