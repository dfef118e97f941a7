"""Formulas of lowering on all cores against placement, layouts and loops counted one by one."""

from collections.abc import Iterator

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given

from t10c.hardware.load import load_spec
from t10c.ir.expression import Axis, Operand, ScalarStep, TensorExpression
from t10c.ir.formula import Terms, Value, evaluate
from t10c.ir.plan import Plan, replicas
from t10c.ir.program import Piece, Range
from t10c.lower.frame import Frame
from t10c.lower.pieces import (
    even_piece,
    idle_piece,
    operand_piece,
    share_of_output,
    tile_access,
    tile_ranges,
)
from t10c.schedule.idle import idle_cuts
from t10c.schedule.layout import (
    Layout,
    even_layout,
    idle_layout,
    operand_layout,
    output_layout,
    place,
)
from t10c.search.placement import offsets, placement_rule

from .budget import examples
from .expressions import KINDS, expressions, plans, tensor_of
from .geometry import rotations_of, sharing_groups

IPU = load_spec("ipu-mk2")
SPARE = 3
"""Cores beyond the plan's, on which formulas are evaluated too and mean nothing."""

Values = dict[str, Value]
CASES = [(kind, "any") for kind in KINDS] + [("pointwise", "linear"), ("product", "linear")]


@st.composite
def planned(draw, kind: str, rule: str) -> tuple[TensorExpression, Plan]:
    """An expression with a plan that has a placement, of a certain rule or of any."""
    expression = draw(expressions(kind))
    plan = draw(plans(expression))
    assume(offsets(expression, plan) is not None)
    assume(rule == "any" or placement_rule(expression, plan) == rule)
    return expression, plan


def names_of(frame: Frame, run: int = 0) -> Values:
    """Values of all names of a section, in an inference."""
    values: Values = {"core": np.arange(frame.cores + SPARE), "run": run}
    for name, formula in frame.values():
        values[name] = evaluate(formula, values)
    return values


def on_cores(frame: Frame, formula: Terms | str, values: Values) -> np.ndarray:
    """A formula on the plan's cores."""
    cores = len(np.atleast_1d(values["core"]))
    return np.broadcast_to(evaluate(str(formula), values), cores)[: frame.cores]


def interval(frame: Frame, found: Range, values: Values) -> tuple[np.ndarray, np.ndarray]:
    """First index and end of a range on the plan's cores."""
    start = on_cores(frame, found.start, values)
    stop = start + found.length
    for formula in found.stops:
        stop = np.minimum(stop, on_cores(frame, formula, values))
    return start, stop


def assert_lies(frame: Frame, piece: Piece, layout: Layout, values: Values) -> None:
    """The piece is the box that the layout has, on every core."""
    assert piece.cores == frame.cores
    boxes = {r.axis: interval(frame, r, values) for r in piece.ranges}
    empty = np.zeros(frame.cores, dtype=bool)
    for low, high in boxes.values():
        empty |= high <= low
    # an operand without dimensions lies as a run of one element
    layout_empty = np.any(layout.stop <= layout.start, axis=1)
    if layout.flat:
        assert np.array_equal(empty, layout_empty)
        return
    for d, dim in enumerate(piece.dims):
        low = dim.offset + sum(s * boxes[a][0] for a, s in dim.terms)
        high = dim.offset + dim.reach + sum(s * (boxes[a][1] - 1) for a, s in dim.terms)
        low, high = np.clip(low, 0, dim.size), np.clip(high, 0, dim.size)
        low, high = (np.broadcast_to(x, frame.cores) for x in (low, high))
        layout_empty |= layout.stop[:, d] <= layout.start[:, d]
        empty = empty | (high <= low)
        assert np.array_equal(low[~empty], layout.start[~empty, d]), dim
        assert np.array_equal(high[~empty], layout.stop[~empty, d]), dim
    assert np.array_equal(empty, layout_empty)


def turns(plan: Plan) -> Iterator[tuple[dict[str, int], list[int], list[int]]]:
    """Every step: loop counters, shifts of every rotation so far, rotations that shift after it.

    The loops are walked as they are written: a rotation shifts between two rounds of its loop.
    """
    positions = [0] * len(plan.rotations)
    counters = [0] * len(plan.rotations)
    while True:
        named = {f"i{level}": count for level, count in enumerate(counters)}
        level = len(counters) - 1
        while level >= 0 and counters[level] == plan.rotations[level].radix - 1:
            level -= 1  # this loop has ended: the one around it goes on
        yield named, list(positions), [level] if level >= 0 else []
        if level < 0:
            return
        counters[level] += 1
        counters[level + 1 :] = [0] * (len(counters) - level - 1)
        positions[level] += 1


@pytest.mark.parametrize(("kind", "rule"), CASES)
def test_offsets_and_pieces_lie_where_the_plan_has_them(kind, rule):
    @examples(25)
    @given(data=st.data())
    def check(data):
        expression, plan = data.draw(planned(kind, rule))
        placed = place(expression, plan)
        for inline in (False, True):
            frame = Frame(expression, plan, inline=inline)
            values = names_of(frame)
            for index in range(len(expression.axes)):
                found = on_cores(frame, frame.coordinate(index), values)
                assert np.array_equal(found, placed.coordinates[:, index])
            for level, expected in enumerate(placed.offsets):
                assert np.array_equal(on_cores(frame, frame.offset(level), values), expected)
            for operand in expression.operands:
                for after in (False, True):
                    piece = operand_piece(frame, operand, after)
                    layout = operand_layout(placed, operand, after)
                    assert_lies(frame, piece, layout, values)
            output = expression.output
            if all(len(dim.terms) <= 1 for dim in output.dims):
                share, _ = share_of_output(frame)
                assert_lies(frame, share, output_layout(placed), values)

    check()


@pytest.mark.parametrize(("kind", "rule"), CASES)
def test_idle_pieces_lie_where_the_plan_has_them(kind, rule):
    @examples(25)
    @given(data=st.data())
    def check(data):
        expression, plan = data.draw(planned(kind, rule))
        placed, frame = place(expression, plan), Frame(expression, plan)
        values = names_of(frame)
        for index, operand in enumerate(expression.inputs):
            if operand.fused or any(len(dim.terms) > 1 for dim in operand.dims):
                continue
            cut = data.draw(st.sampled_from(idle_cuts(expression, plan, index, IPU)))
            piece, begin = idle_piece(frame, operand, cut.factors, after_loops=False)
            assert_lies(frame, piece, idle_layout(placed, operand, cut.factors), values)
            assert_begins(frame, operand_piece(frame, operand), piece, begin, values)

    check()


def assert_begins(frame, whole: Piece, part: Piece, begin, values: Values) -> None:
    """A part begins at these offsets within the whole piece, wherever it holds anything."""
    starts = {r.axis: interval(frame, r, values) for r in whole.ranges}
    offset = {axis: on_cores(frame, formula, values) for axis, formula in begin}
    for found in part.ranges:
        if found.axis in starts:
            low, _ = interval(frame, found, values)
            expected = starts[found.axis][0] + offset.get(found.axis, 0)
            assert np.array_equal(low, expected)


@pytest.mark.parametrize(("kind", "rule"), CASES)
def test_what_stays_lies_at_the_end_where_the_next_inference_begins(kind, rule):
    """Operands that are kept are displaced by an inference; offsets follow them."""

    @examples(25)
    @given(data=st.data())
    def check(data):
        expression, plan = data.draw(planned(kind, rule))
        names = [operand.name for operand in expression.inputs]
        kept = frozenset(data.draw(st.sets(st.sampled_from(names))))
        frame = Frame(expression, plan, kept, inline=data.draw(st.booleans()))
        first = offsets(expression, plan)
        assert first is not None
        *_, (_, shifts, _) = turns(plan)
        for run in range(4):
            values = names_of(frame, run)
            for level, rotation in enumerate(plan.rotations):
                moved = run * shifts[level] if kept & set(rotation.operands) else 0
                begin = (first[level] + moved) % rotation.radix
                end = (begin + shifts[level]) % rotation.radix
                assert np.array_equal(on_cores(frame, frame.offset(level), values), begin)
                assert np.array_equal(on_cores(frame, frame.end(level), values), end)
            for index, operand in enumerate(expression.inputs):
                if operand.name not in kept or operand.fused:
                    continue
                cut = data.draw(st.sampled_from(idle_cuts(expression, plan, index, IPU)))
                left, begin = idle_piece(frame, operand, cut.factors, after_loops=True)
                wanted, _ = idle_piece(frame, operand, cut.factors, after_loops=False)
                after = operand_piece(frame, operand, after_loops=True)
                assert_begins(frame, after, left, begin, values)
                following = names_of(frame, run + 1)
                for here, there in zip(left.ranges, wanted.ranges, strict=True):
                    a = interval(frame, here, values)
                    b = interval(frame, there, following)
                    assert np.array_equal(a, b), (operand, here, there)

    check()


@pytest.mark.parametrize(("kind", "rule"), CASES)
def test_a_ring_leads_to_the_core_that_is_one_chunk_on(kind, rule):
    @examples(40)
    @given(data=st.data())
    def check(data):
        expression, plan = data.draw(planned(kind, rule))
        frame = Frame(expression, plan)
        values, found = names_of(frame), offsets(expression, plan)
        assert found is not None
        for operand in expression.operands:
            group_of = group_numbers(expression, plan, operand)
            rank = on_cores(frame, frame.replica_rank(operand), values)
            own = rotations_of(plan, operand)
            for level in own:
                source = on_cores(frame, frame.ring_source(operand, level), values)
                assert np.array_equal(np.sort(source), np.arange(frame.cores))
                assert np.array_equal(group_of[source], group_of)
                assert np.array_equal(rank[source], rank)
                for other in own:
                    step = int(other == level)
                    expected = (found[other] + step) % plan.rotations[other].radix
                    assert np.array_equal(found[other][source], expected)

    check()


def group_numbers(expression: TensorExpression, plan: Plan, operand: Operand) -> np.ndarray:
    """Number of every core's sharing group."""
    groups = sharing_groups(expression, plan.split, operand)
    numbers = np.zeros(sum(map(len, groups)), dtype=np.int64)
    for number, group in enumerate(groups):
        numbers[group] = number
    return numbers


@pytest.mark.parametrize(("kind", "rule"), CASES)
def test_replicas_of_a_piece_have_a_number_in_common_and_all_ranks(kind, rule):
    @examples(25)
    @given(data=st.data())
    def check(data):
        expression, plan = data.draw(planned(kind, rule))
        frame, placed = Frame(expression, plan), place(expression, plan)
        values = names_of(frame)
        *_, (_, shifts, _) = turns(plan)
        for operand in expression.operands:
            number = on_cores(frame, frame.piece_number(operand), values)
            rank = on_cores(frame, frame.replica_rank(operand), values)
            held = [group_numbers(expression, plan, operand)]
            for level in rotations_of(plan, operand):
                radix = plan.rotations[level].radix
                held.append((placed.offsets[level] + shifts[level]) % radix)
            pieces: dict[tuple[int, ...], list[int]] = {}
            for core in range(frame.cores):
                pieces.setdefault(tuple(int(h[core]) for h in held), []).append(core)
            assert len({int(n) for n in number}) == len(pieces)
            for cores in pieces.values():
                assert len({int(number[core]) for core in cores}) == 1
                every = list(range(replicas(expression, plan, operand)))
                assert sorted(int(rank[core]) for core in cores) == every

    check()


@pytest.mark.parametrize(("kind", "rule"), CASES)
def test_at_every_step_all_operands_have_the_tile_that_is_computed(kind, rule):
    """Pieces are passed on along the rings, and every point is computed once."""

    @examples(25)
    @given(data=st.data())
    def check(data):
        expression, plan = data.draw(planned(kind, rule))
        frame = Frame(expression, plan, inline=data.draw(st.booleans()))
        values = names_of(frame)
        lies = {
            operand.name: {
                r.axis: interval(frame, r, values)[0] for r in operand_piece(frame, operand).ranges
            }
            for operand in expression.operands
        }
        count = np.zeros(expression.lengths, dtype=np.int64)
        first = offsets(expression, plan)
        assert first is not None
        for counters, positions, after in turns(plan):
            now = {**values, **counters}
            for level, rotation in enumerate(plan.rotations):
                chunk = (first[level] + positions[level]) % rotation.radix
                assert np.array_equal(on_cores(frame, frame.step_digit(level), now), chunk)
            tile = {r.axis: interval(frame, r, now) for r in tile_ranges(frame)}
            present = np.all([high > low for low, high in tile.values()], axis=0)
            for core in np.flatnonzero(present):
                count[tuple(slice(low[core], high[core]) for low, high in tile.values())] += 1
            for operand in expression.operands:
                offset = dict(tile_access(frame, operand, "buffer").offsets)
                for axis, start in lies[operand.name].items():
                    begin = start + on_cores(frame, offset.get(axis, "0"), now)
                    assert np.array_equal(begin[present], tile[axis][0][present])
            for level in after:
                for operand in expression.operands:
                    if level in rotations_of(plan, operand):
                        source = on_cores(frame, frame.ring_source(operand, level), now)
                        held = lies[operand.name]
                        lies[operand.name] = {a: start[source] for a, start in held.items()}
        assert np.all(count == 1)
        for operand in expression.operands:
            for found in operand_piece(frame, operand, after_loops=True).ranges:
                low, _ = interval(frame, found, values)
                assert np.array_equal(low, lies[operand.name][found.axis])

    check()


@pytest.mark.parametrize(("elements", "cores"), [(1, 3), (5, 3), (6, 4), (16, 4), (15, 16), (7, 1)])
def test_even_pieces_are_the_even_layout(elements, cores):
    piece = even_piece(elements, cores)
    layout = even_layout((elements,), cores)
    (found,) = piece.ranges
    values: Values = {"core": np.arange(cores)}
    start = np.broadcast_to(evaluate(found.start, values), cores)
    stop = np.minimum(start + found.length, elements)
    assert found.stops == (str(elements),)
    assert np.array_equal(np.maximum(stop - start, 0), layout.elements)
    some = layout.elements > 0
    assert np.array_equal(start[some], layout.start[some, 0])


def test_axes_of_any_name_have_values_of_their_own():
    """Python would read µ as another letter, and x.y as no name at all."""
    axes = (Axis("\u00b5", 4, "parallel"), Axis("x.y", 4, "parallel"), Axis("d", 4, "parallel"))
    body = (ScalarStep("Neg", ("A",)),)
    expression = TensorExpression(
        "pointwise", axes, (tensor_of("A", *axes),), tensor_of("C", *axes), body
    )
    frame = Frame(expression, Plan((2, 4, 2)))
    assert [name for name, _ in frame.values()] == ["c0", "c1", "c_d"]
    values = names_of(frame)
    for index, expected in enumerate(np.indices((2, 4, 2)).reshape(3, -1)):
        assert np.array_equal(on_cores(frame, frame.coordinate(index), values), expected)
