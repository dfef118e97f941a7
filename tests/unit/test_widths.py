"""Operands at the width they are stored in: what it changes, and what it leaves alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned_graphs import GraphWriter, chip, residual

from t10c.hardware import kernels
from t10c.hardware.load import load_spec
from t10c.hardware.width import partial_bits, size_bytes
from t10c.ir.expression import Dim, Operand, ScalarStep
from t10c.ir.graph import Graph, LayoutOp, Operator, Tensor, with_widths
from t10c.report.explain import operator_document, operator_lines
from t10c.report.summary import plan_document, plan_lines
from t10c.schedule.document import dump_plan, load_plan
from t10c.schedule.model import schedule_model
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.result import DoesNotFit, ModelPlan
from t10c.schedule.rowwise import chain_rowwise
from t10c.search import search_operator
from t10c.search.templates import named_expression
from t10c.serialise import decode, encode

IPU = load_spec("ipu-mk2")
MESH = load_spec("tenstorrent-wormhole-like")
MATMUL = named_expression("matmul", {"m": 24, "n": 32, "k": 48})


def with_bits(expression, *bits: int):
    """The expression with these widths, inputs first."""
    *inputs, output = (replace(o, bits=b) for o, b in zip(expression.operands, bits, strict=True))
    return replace(expression, inputs=tuple(inputs), output=output)


# Values


@pytest.mark.parametrize(
    ("element_type", "bits"),
    [
        *[(name, 8) for name in ("int8", "uint8", "float8e4m3fn", "float8e5m2fnuz", "float8e8m0")],
        *[(name, 4) for name in ("int4", "uint4", "float4e2m1")],
        *[(name, 2) for name in ("int2", "uint2")],
        *[(name, 0) for name in ("float16", "bfloat16", "float32", "float64", "bool", "int16")],
        *[(name, 32) for name in ("int32", "uint32")],
        *[(name, 0) for name in ("uint16", "int64", "uint64", "string", "complex64")],
    ],
)
def test_types_of_at_most_eight_bits_have_a_width_of_their_own(element_type, bits):
    assert Tensor("t", (1,), element_type, "weight").bits == bits


@pytest.mark.parametrize("bits", [-1, 65])
def test_impossible_widths_are_refused(bits):
    with pytest.raises(ValueError, match="bits wide"):
        Operand("A", (), bits=bits)


def test_bytes_are_packed():
    assert [size_bytes(IPU, n, 0) for n in (0, 1, 7)] == [0, 2, 14]
    assert [size_bytes(IPU, n, 4) for n in (0, 1, 7)] == [0, 1, 4]
    assert size_bytes(IPU, np.array([1, 5, 8]), 3).tolist() == [1, 2, 3]
    assert size_bytes(IPU, 2**48, 64) == 2**51


def test_a_width_is_part_of_the_identity_and_none_leaves_it_alone():
    """These digests are those of expressions before they had widths."""
    assert MATMUL.digest == "b2d66ef80cc4a925"
    digests = {with_bits(MATMUL, *bits).digest for bits in ((8, 0, 0), (8, 8, 0), (0, 0, 8))}
    assert len(digests | {MATMUL.digest}) == 4


def test_documents_leave_out_a_width_that_is_not_set():
    plain, narrow = Operand("A", (Dim((), 1),)), Operand("A", (Dim((), 1),), bits=4)
    assert "bits" not in encode(plain)
    assert encode(narrow)["bits"] == 4
    for operand in (plain, narrow):
        assert decode(Operand, json.loads(json.dumps(encode(operand))), "a") == operand


def test_expressions_stay_shared():
    tensors = [
        Tensor("x", (24, 48), "int8", "input"),
        Tensor("f", (24, 48), "float32", "input"),
        Tensor("w", (48, 32), "uint4", "weight"),
        *(Tensor(name, (24, 32), "float32", "activation") for name in ("a", "b", "c", "d")),
    ]
    operators = [
        Operator(name, "MatMul", MATMUL, (source, "w"), name, (name,))
        for name, source in (("a", "x"), ("b", "x"), ("c", "f"))
    ]
    move = LayoutOp("d", "Identity", "reshape", ("c",), "d", ("d",))
    a, b, c, d = with_widths([*operators, move], tensors)
    assert a.expression is b.expression
    assert [o.bits for o in a.expression.operands] == [8, 4, 0]
    assert [o.bits for o in c.expression.operands] == [0, 4, 0]
    assert d is move
    again = with_widths([a, b, c, d], tensors)
    assert all(one is other for one, other in zip(again, (a, b, c, d), strict=True))


# Plans


@st.composite
def halved(draw):
    """Widths of a matmul, and the same with one of them halved."""
    bits = [draw(st.sampled_from([0, 2, 3, 4, 8, 16])) for _ in range(3)]
    which = draw(st.integers(0, 2))
    less = list(bits)
    less[which] = (bits[which] or 8 * IPU.element_bytes) // 2
    return bits, less


def every_plan(expression, spec):
    """Memory of every feasible plan, in the order of the search."""
    sizes = []
    search_operator(expression, spec, visit=lambda _, costs: sizes.append(costs.memory_bytes))
    return np.concatenate(sizes)


@settings(deadline=None)
@given(halved(), st.sampled_from(["fixed", "double"]), st.sampled_from([4, 8]))
def test_half_the_width_never_takes_more_memory(pair, policy, accumulator):
    """With accumulators of 32 bits at least: shorter ones do not do for sums of narrow integers."""
    spec = replace(chip(12, kib=512, policy=policy), accumulator_bytes=accumulator)
    before, after = (every_plan(with_bits(MATMUL, *bits), spec) for bits in pair)
    assert np.all(after <= before)


def test_partial_sums_of_a_narrow_output_are_accumulators():
    """k is cut over two cores: both hold all of the output, as partial sums."""
    seen = {}

    def visit(candidates, costs):
        rows = zip(candidates.splits.tolist(), candidates.replicas, costs.piece_bytes, strict=True)
        for split, replicas, pieces in rows:
            seen.setdefault((tuple(split), int(replicas)), pieces.tolist()[-1])

    spec = replace(chip(2, kib=64), accumulator_bytes=4)
    search_operator(with_bits(MATMUL, 8, 8, 8), spec, visit=visit)
    assert seen[(1, 1, 2), 2] == 24 * 32 * 4
    assert seen[(2, 1, 1), 1] == 12 * 32
    wide = kernels.reduction_cycles(spec, 2, 768)
    assert wide > kernels.reduction_cycles(IPU, 2, 768)
    assert kernels.reduction_cycles(IPU, 2, 768, 32) == wide


def test_sums_of_narrow_products_take_32_bits_whatever_the_accumulator():
    both, one = with_bits(MATMUL, 8, 4, 8), with_bits(MATMUL, 0, 8, 8)
    assert IPU.accumulator_bytes == 2
    assert (partial_bits(IPU, both), partial_bits(IPU, one)) == (32, 16)


def narrowed(graph: Graph, element_type: str) -> Graph:
    """The graph with every tensor of one type."""
    tensors = tuple(replace(tensor, element_type=element_type) for tensor in graph.tensors)
    return replace(graph, tensors=tensors, operators=with_widths(graph.operators, tensors))


def branching() -> Graph:
    """Views, copies, a fork, a weight read twice and one read through a view."""
    w = GraphWriter()
    x = w.input("x", 8, 32)
    shared = w.weight("w", 32, 32)
    q, k = w.matmul("q", x, shared), w.matmul("k", x, shared)
    kt = w.layout("kt", "transpose", (k,), 32, 8, perm=(1, 0))
    p = w.relu("p", w.matmul("s", q, kt))
    back = w.layout("back", "slice", (p,), 8, 8, starts=(0, 7), steps=(1, -1))
    y = w.matmul("y", w.add("sum", p, back), x)
    turned = w.layout("turned", "transpose", (w.weight("v", 48, 32),), 32, 48, perm=(1, 0))
    return w.graph(w.matmul("z", y, turned), q)


@pytest.mark.parametrize("policy", ["fixed", "double"])
@pytest.mark.parametrize("transitions", ["exact", "uniform"])
@pytest.mark.parametrize("graph", [residual(), branching()], ids=["residual", "branching"])
def test_all_at_one_byte_is_as_a_chip_whose_elements_take_one(graph, transitions, policy):
    """Byte for byte and cycle for cycle, since the mesh's kernels do not ask for the width."""
    spec = replace(chip(policy=policy), kernels=MESH.kernels, accumulator_bytes=4)
    options = ScheduleOptions(transitions=transitions)
    for kib in (0.8, 1.2, 2, 16):
        tight = replace(spec, sram_bytes=int(kib * 1024))
        found = schedule_model(narrowed(graph, "int8"), tight, options)
        expected = schedule_model(graph, replace(tight, element_bytes=1), options)
        assert type(found) is type(expected)
        if not isinstance(found, ModelPlan):
            assert found.terms == expected.terms
            continue
        assert found.operators == expected.operators
        assert found.copies == expected.copies
        assert found.end_bytes == expected.end_bytes
        assert found.lower_bound_cycles == expected.lower_bound_cycles
        assert [p.front for p in found.problems] == [p.front for p in expected.problems]
        assert [p.search for p in found.problems] == [p.search for p in expected.problems]


def test_wider_integers_and_floats_are_planned_as_before():
    graph, spec = residual(), chip(kib=2)
    expected = schedule_model(graph, spec)
    for element_type in ("float16", "int64", "bool"):
        found = schedule_model(narrowed(graph, element_type), spec)
        assert found.operators == expected.operators
        assert found.problems == expected.problems


def test_weights_that_fit_at_their_own_width_are_not_refused():
    w = GraphWriter()
    x = w.input("x", 16, 128, element_type="int8")
    graph = w.graph(w.matmul("y", x, w.weight("w", 128, 128, element_type="int4")))
    assert isinstance(schedule_model(graph, chip(kib=1.75)), ModelPlan)
    assert isinstance(schedule_model(narrowed(graph, "float32"), chip(kib=1.75)), DoesNotFit)


def test_what_a_chain_passes_on_is_not_narrow():
    """A layer norm from int8 to int8: its means and variances are floats."""
    w = GraphWriter()
    x = w.input("x", 4, 64, element_type="int8")
    w.tensor("g", 4, 64, element_type="int8")
    w.tensor("y", 4, 64, element_type="int8")
    axes = MATMUL.axes[:2]
    rows = (replace(axes[0], length=4, role="parallel"), replace(axes[1], role="normalised"))
    rows = (rows[0], replace(rows[1], length=64))
    dims = tuple(Dim(((a.name, 1),), a.length) for a in rows)
    body = (
        ScalarStep("ReduceMean", ("A",), rows=True),
        ScalarStep("Sub", ("A", "s0")),
    )
    whole = replace(
        MATMUL,
        kernel="rowwise",
        axes=rows,
        inputs=(Operand("A", dims),),
        output=Operand("C", dims),
        body=body,
        reduce_op=None,
    )
    graph = chain_rowwise(w.graph(w.apply("y", whole, x)), lambda *_: True)
    mean, last = graph.planned
    assert [o.bits for o in mean.expression.operands] == [8, 0]
    assert [o.bits for o in last.expression.operands] == [8, 0, 8]
    assert graph.tensor[mean.output].element_type == "float32"
    assert with_widths(graph.operators, graph.tensors) == graph.operators


# Reports


def test_plan_files_and_reports_tell_the_widths():
    w = GraphWriter()
    x = w.input("x", 16, 32, element_type="int8")
    h = w.matmul("h", x, w.weight("a", 32, 32, element_type="int8"))
    y = w.matmul("y", h, w.weight("b", 32, 32, element_type="uint4"))
    plan = schedule_model(w.graph(y), chip(kib=24))
    assert isinstance(plan, ModelPlan)
    assert load_plan(dump_plan(plan), "plan.json") == plan
    (first, second), chosen = plan.graph.planned, plan.operators
    assert "stored width: A 8 bits, B 8 bits;" in "\n".join(operator_lines(plan, first, chosen[0]))
    assert operator_document(plan, second, chosen[1])["stored_bits"] == {"B": 4}
    confidence = plan_document(plan)["model_confidence"]
    assert confidence["matmul"] == "published formula"
    assert confidence["matmul_int8"].startswith("estimate")
    (line,) = [line for line in plan_lines(plan) if line.startswith("confidence")]
    assert "estimate" in line
    assert "(matmul_int8)" in line


def test_without_integer_products_nothing_is_said_of_them():
    plan = schedule_model(residual(), chip(kib=24))
    assert "int8" not in json.dumps(plan_document(plan)["model_confidence"])
    assert "int8" not in "\n".join(plan_lines(plan))
