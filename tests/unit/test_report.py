"""What reports say: expressions, sizes that are compared, memory of one operator."""

from dataclasses import replace

import pytest

from t10c import build_model, import_model, schedule_model
from t10c.hardware.load import load_spec
from t10c.ir.expression import Axis, Dim, Operand, ScalarStep
from t10c.report.explain import memory_lines
from t10c.report.expression import expression_text, main_text, step_texts
from t10c.report.front import front_document, misfit_line
from t10c.report.summary import misfit_lines, plan_lines
from t10c.report.text import size_texts
from t10c.schedule.document import to_document
from t10c.schedule.result import DoesNotFit, MemoryTerms, ModelPlan
from t10c.search import SearchOptions, search_operator
from t10c.search.notation import parse_expression
from t10c.search.templates import named_expression

LENGTHS = {"a": 4, "b": 6}


@pytest.fixture(scope="module")
def nerf_plan():
    model = build_model("nerf", batch=16, seq=8, overrides={"layers": "3", "hidden": "16"})
    graph = import_model(model.SerializeToString())
    plan = schedule_model(graph, load_spec("ipu-mk2", ("cores.count=16",)))
    assert isinstance(plan, ModelPlan)
    return plan


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("C[a,b] = A[a,b] + B[a,b]", LENGTHS),
        ("C[a,b] = A[a,b] * B[b] * D[a]", LENGTHS),
        ("C[b,a] = A[a,b]", LENGTHS),
        ("C[a] += A[a,b]", LENGTHS),
        ("C[b] max= A[a,b]", LENGTHS),
        ("C[] min= A[a,b]", LENGTHS),
        ("C[m,n] += A[m,k] * B[n,k]", {"m": 4, "n": 5, "k": 6}),
        ("O[o,h] += I[c,2*h+3*k] * K[o,c,k]", {"o": 4, "h": 5, "c": 6, "k": 3}),
        ("O[h] min= I[2*h+k]", {"h": 5, "k": 3}),
    ],
)
def test_what_is_printed_is_read_back(text, lengths):
    expression = parse_expression(text, lengths)
    assert expression_text(expression) == text
    assert step_texts(expression) == []


@pytest.mark.parametrize(
    ("name", "lengths"),
    [
        ("matmul", {"m": 4, "n": 5, "k": 6}),
        ("bmm", {"b": 2, "m": 4, "n": 5, "k": 6}),
        ("conv", {"b": 2, "o": 4, "c": 3, "h": 5, "w": 6, "kh": 3, "kw": 2, "stride": 2}),
        ("pool", {"b": 2, "c": 3, "h": 5, "w": 6, "kh": 3, "kw": 2}),
        ("reduce", {"m": 4, "k": 6}),
        ("pointwise", LENGTHS),
    ],
)
def test_printed_templates_are_read_back(name, lengths):
    named = named_expression(name, lengths)
    own = {axis.name: axis.length for axis in named.axes}
    free = parse_expression(expression_text(named), own)
    assert (free.inputs, free.output, free.kernel) == (named.inputs, named.output, named.kernel)
    assert (free.reduce_op, free.body) == (named.reduce_op, named.body)


def test_what_cannot_be_written_is_described():
    gather = named_expression("gather", {"i": 4, "e": 5, "v": 6})
    assert expression_text(gather) == "O[i,e] = T[X[i],e]"
    mean = replace(named_expression("reduce", {"m": 4, "k": 6}), reduce_op="mean")
    assert expression_text(mean) == "C[m] = mean of A[m,k] over k"
    padded = named_expression("pool", {"c": 3, "h": 4, "w": 4, "kh": 3})
    rows = replace(padded.inputs[0].dims[1], offset=-1)
    source = replace(padded.inputs[0], dims=(padded.inputs[0].dims[0], rows, Dim((), 1, 2)))
    assert "I[c,h+kh-1,2]" in expression_text(replace(padded, inputs=(source,)))


def with_bias(*epilogue: ScalarStep):
    matmul = named_expression("matmul", {"m": 4, "n": 5, "k": 6})
    bias = Operand("F0", (Dim((("n", 1),), 5),), fused=True)
    return replace(matmul, inputs=(*matmul.inputs, bias), epilogue=epilogue)


def test_fused_operands_are_steps_and_no_factors():
    fused = with_bias(ScalarStep("Add", ("acc", "F0")), ScalarStep("Relu", ("s1",)))
    assert expression_text(fused) == "C[m,n] += A[m,k] * B[k,n]; then Add F0[n], Relu"
    assert main_text(fused) == expression_text(named_expression("matmul", {"m": 4, "n": 5, "k": 6}))
    spec = load_spec("ipu-mk2", ("cores.count=4",))
    document = front_document(fused, spec, SearchOptions(), search_operator(fused, spec))
    assert document["expression"] == expression_text(fused)
    assert document["steps"] == ["Add F0[n]", "Relu"]


def test_all_that_is_reduced_stands_in_the_main_step():
    plain = named_expression("matmul", {"m": 4, "n": 5, "k": 6})
    scale = Operand("F0", (Dim((("k", 1),), 6),), fused=True)
    as_float = (("as", "float32"),)
    body = (
        ScalarStep("Sub", ("B", "3"), as_float),
        ScalarStep("Mul", ("s0", "F0"), as_float),
        ScalarStep("Mul", ("A", "s1"), as_float),
    )
    stored = replace(
        plain,
        inputs=(*plain.inputs, scale),
        body=body,
        epilogue=(ScalarStep("Mul", ("acc", "0.5")), ScalarStep("Relu", ("s3",))),
    )
    assert expression_text(stored) == (
        "C[m,n] += A[m,k] * ((B[k,n] - 3) * F0[k]); then Mul 0.5, Relu"
    )


def test_steps_name_what_they_need_later():
    gelu = with_bias(
        ScalarStep("Add", ("acc", "F0")),
        ScalarStep("Erf", ("s1",)),
        ScalarStep("Mul", ("s1", "s2")),
        ScalarStep("Sub", ("1.0", "s3")),
        ScalarStep("LeakyRelu", ("s4",), (("alpha", 0.5),)),
    )
    assert step_texts(gelu) == [
        "s1 = Add F0[n]",
        "Erf",
        "Mul(s1, it)",
        "Sub(1, it)",
        "LeakyRelu(it, alpha=0.5)",
    ]
    swish = with_bias(ScalarStep("Sigmoid", ("acc",)), ScalarStep("Mul", ("acc", "s1")))
    assert step_texts(swish) == ["s0 = it", "Sigmoid", "Mul(s0, it)"]


def test_a_body_of_several_steps():
    softmax = replace(
        named_expression("pointwise", LENGTHS),
        kernel="rowwise",
        axes=(Axis("a", 4, "parallel"), Axis("b", 6, "normalised")),
        body=(
            ScalarStep("ReduceMax", ("A",), rows=True),
            ScalarStep("Sub", ("A", "s0")),
            ScalarStep("Exp", ("s1",)),
        ),
    )
    assert expression_text(softmax) == ("C[a,b] = ReduceMax(A[a,b]); then Sub(A[a,b], it), Exp")


@pytest.mark.parametrize(
    ("sizes", "texts"),
    [
        ((2048, 4096), ("2.0 KiB", "4.0 KiB")),
        ((2048, 2048), ("2.0 KiB", "2.0 KiB")),
        ((8193, 8192), ("8,193 B", "8,192 B")),
    ],
)
def test_compared_sizes_differ_if_they_do(sizes, texts):
    assert size_texts(*sizes) == texts


def test_what_does_not_fit_by_a_byte_says_so(nerf_plan):
    expression = named_expression("matmul", {"m": 256, "n": 256, "k": 256})
    spec = load_spec("ipu-mk2", ("cores.count=4", "cores.sram=9000B"))
    smallest = search_operator(expression, spec).smallest_legal_bytes
    spec = replace(spec, sram_bytes=smallest - 1, reserved_bytes=0)
    result = search_operator(expression, spec)
    assert not result.front
    line = misfit_line(spec, result)
    assert f"{smallest:,} B" in line
    assert f"{smallest - 1:,} B" in line
    graph = nerf_plan.graph
    misfit = DoesNotFit(graph, spec, "op", 638977, 638976, (("active_pieces", 638977),), (), False)
    demand = misfit_lines(misfit)[1]
    assert "638,977 B per core, of which there are 638,976 B" in demand


def test_memory_while_fetching_is_told_if_it_is_the_larger():
    terms = MemoryTerms(1000, 2000, 3000, 4000, 20000, 10000)
    running, fetching = memory_lines(terms)
    assert running.startswith("memory 9.8 KiB per core while it runs: ")
    assert fetching.startswith("memory 19.5 KiB per core while its operands are fetched: ")
    assert len(memory_lines(replace(terms, fetch_total=9000))) == 1


def test_chains_are_told(nerf_plan):
    plan = nerf_plan
    assert not any("chains" in line for line in plan_lines(plan))
    more = replace(plan, operators=(*plan.operators, *plan.operators))
    (line,) = [line for line in plan_lines(more) if line.startswith("search")]
    assert "of 6 operators (some as chains), " in line


def test_records_have_the_same_names_everywhere(nerf_plan):
    plan = nerf_plan
    expression = plan.problems[0].expression
    result = search_operator(expression, plan.spec)
    document = front_document(expression, plan.spec, SearchOptions(), result)
    record = to_document(plan)["problems"][0]["search"]
    assert set(record) <= set(document)
    assert {"padding_pruned", "thresholds_dropped"} <= set(record)
