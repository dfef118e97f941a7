"""Row-wise operators as chains: the same numbers, taken where cheaper, and whole in plan files."""

import math
from dataclasses import replace

import numpy as np
import onnx
import pytest
from graph_numpy import check, evaluate, random_feeds
from onnx_models import model, node, value

from t10c.cli.explain import find_operator
from t10c.hardware import kernels, tiles
from t10c.hardware.load import load_spec
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import ScalarStep, TensorExpression
from t10c.ir.graph import Graph, Operator
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.lowering.rowwise import softmax_steps
from t10c.onnx_import.resolve import resolve_model
from t10c.schedule import model as schedule
from t10c.schedule import prepare as preparation
from t10c.schedule.chain import chain_of
from t10c.schedule.document import dump_plan, load_plan
from t10c.schedule.problem import search_problem
from t10c.schedule.result import DoesNotFit, ModelPlan
from t10c.schedule.rowwise import chain_rowwise, split_rowwise
from t10c.search.operator import search_operator
from t10c.search.options import SearchOptions
from t10c.zoo import build_model

IPU = load_spec("ipu-mk2")
POD = load_spec("ipu-pod4")
PRUNED = SearchOptions()
RNG = np.random.default_rng(9)
TWO = ["reduce", "pointwise"]
THREE = ["reduce", "reduce", "pointwise"]


def weight(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def softmax(op_type: str = "Softmax", axis: int = -1, opset: int = 17, shape=(2, 3, 4)):
    nodes = [node(op_type, "x", "y", "s", axis=axis)]
    return model(nodes, [value("x", shape)], [value("y", shape)], opset=opset)


def layer_norm(shape=(2, 3, 4), axis: int = -1):
    """With scale and bias, and a ReLU that is fused too."""
    kept = shape[axis:]
    nodes = [
        node("LayerNormalization", "x s b", "n", "ln", axis=axis, epsilon=1e-3),
        node("Relu", "n", "y", "relu"),
    ]
    constants = {"s": weight(*kept), "b": weight(*kept)}
    return model(nodes, [value("x", shape)], ["y"], constants)


def rms_norm(shape=(2, 3, 4)):
    nodes = [
        node("Mul", "x x", "sq", "square"),
        node("ReduceMean", "sq", "ms", "mean", axes=[-1], keepdims=1),
        node("Add", "ms e", "me", "epsilon"),
        node("Sqrt", "me", "r", "root"),
        node("Div", "x r", "n", "rms"),
        node("Mul", "n s", "y", "scale"),
    ]
    constants = {"e": np.float32(1e-3), "s": weight(shape[-1])}
    return model(nodes, [value("x", shape)], ["y"], constants)


def instance_norm():
    nodes = [node("InstanceNormalization", "x s b", "y", "in", epsilon=1e-3)]
    return model(nodes, [value("x", [2, 3, 4, 5])], ["y"], {"s": weight(3), "b": weight(3)})


def always(*_: object) -> bool:
    return True


def never(*_: object) -> bool:
    return False


MODELS = {
    "softmax": (softmax(), THREE),
    "softmax of columns": (softmax(axis=1), THREE),
    "softmax of one row": (softmax(shape=(1, 1, 7)), THREE),
    "softmax over two axes": (softmax(axis=1, opset=11), THREE),
    "log-softmax": (softmax("LogSoftmax"), THREE),
    "layer norm": (layer_norm(), THREE),
    "layer norm over two axes": (layer_norm(axis=1), THREE),
    "RMS norm": (rms_norm(), TWO),
    "instance norm": (instance_norm(), THREE),
}


def lowered(made: onnx.ModelProto) -> tuple[Graph, dict[str, np.ndarray]]:
    resolved = resolve_model(made.SerializeToString())
    return lower_model(resolved), {**resolved.constants, **random_feeds(made, 3)}


def kernels_of(graph: Graph) -> list[str]:
    return [operator.expression.kernel for operator in graph.planned]


@pytest.mark.parametrize("name", MODELS)
def test_a_chain_computes_what_the_row_wise_operator_does(name):
    made, chain = MODELS[name]
    if not (made.opset_import[0].version < 13):
        check(made)  # the reference evaluator knows only the later meaning of axis
    graph, values = lowered(made)
    assert kernels_of(graph) == ["rowwise"]
    rewritten = chain_rowwise(graph, always)
    assert kernels_of(rewritten) == chain
    expected, actual = evaluate(graph, values), evaluate(rewritten, values)
    np.testing.assert_allclose(actual["y"], expected["y"], rtol=1e-5, atol=1e-6)
    assert np.abs(expected["y"]).max() > 0.1


@pytest.mark.parametrize("name", MODELS)
def test_every_axis_of_a_chain_can_be_cut(name):
    graph, _ = lowered(MODELS[name][0])
    (whole,) = graph.planned
    normalised = {a.name for a in whole.expression.axes if not a.splittable}
    *reduces, last = chain_rowwise(graph, always).planned
    for operator in (*reduces, last):
        axes = operator.expression.axes
        assert [(a.name, a.length) for a in axes] == [
            (a.name, a.length) for a in whole.expression.axes
        ]
        assert all(a.splittable for a in axes)
    for operator in reduces:
        axes = operator.expression.axes
        assert {a.name for a in axes if a.reduction and a.role == "reduced"} == normalised
        assert not normalised & set(operator.expression.output.axes)
    assert {a.role for a in last.expression.axes} == {"parallel"}


def test_softmax_computes_the_exponentials_twice_rather_than_keep_them():
    graph, _ = lowered(softmax())
    largest, total, last = (link.expression for link in chain_of(graph.planned[0].expression))
    assert (largest.reduce_op, total.reduce_op, last.reduce_op) == ("max", "sum", None)
    assert [s.op for s in largest.body] == ["Identity"]
    assert [s.op for s in total.body] == ["Sub", "Exp"]
    assert [s.op for s in last.body] == ["Sub", "Exp", "Div"]


def test_steps_on_one_value_per_row_follow_their_reduction():
    graph, _ = lowered(rms_norm())
    reduce, last = (link.expression for link in chain_of(graph.planned[0].expression))
    assert [s.op for s in reduce.body] == ["Mul"]
    assert [(s.op, s.inputs) for s in reduce.epilogue] == [
        ("Add", ("acc", "0.0010000000474974513")),
        ("Sqrt", ("s1",)),
    ]
    assert [(s.op, s.inputs) for s in last.body] == [("Div", ("A", "R0"))]
    assert [(s.op, s.inputs) for s in last.epilogue] == [("Mul", ("acc", "F0"))]
    assert [(o.name, o.fused) for o in last.inputs] == [("A", False), ("R0", True), ("F0", True)]


def test_a_value_per_row_that_two_steps_read_is_what_the_reduction_yields():
    """s0 is read by a step per row and by a step per element: only s0 leaves the reduction."""
    body = (
        ScalarStep("ReduceMax", ("A",), rows=True),
        ScalarStep("Exp", ("s0",), rows=True),
        ScalarStep("Sub", ("A", "s0")),
        ScalarStep("Mul", ("s2", "s1")),
    )
    graph, values = lowered(softmax())
    graph = with_body(graph, body)
    rewritten = chain_rowwise(graph, always)
    assert [len(op.expression.epilogue) for op in rewritten.planned] == [0, 0]
    expected, actual = evaluate(graph, values), evaluate(rewritten, values)
    np.testing.assert_allclose(actual["y"], expected["y"], rtol=1e-6)


def with_body(graph: Graph, body: tuple[ScalarStep, ...]) -> Graph:
    """The graph of one row-wise operator with another body."""
    (operator,) = graph.planned
    changed = replace(operator, expression=replace(operator.expression, body=body))
    return replace(graph, operators=(changed,))


@pytest.mark.parametrize("step", ["CumSum", "WindowSum", "Cast"])
def test_what_runs_along_the_row_stays_row_wise(step):
    graph, _ = lowered(softmax())
    chain = chain_of(with_body(graph, softmax_steps()).planned[0].expression)
    assert chain is not None
    body = (*softmax_steps(), ScalarStep(step, ("s4",)))
    assert chain_of(with_body(graph, body).planned[0].expression) is None


def test_cumsum_and_lrn_and_rows_of_one_element_stay_row_wise():
    scan = model([node("CumSum", "x a", "y")], [value("x", [3, 4])], ["y"], {"a": np.int64(1)})
    lrn = model([node("LRN", "x", "y", size=3)], [value("x", [1, 5, 2, 2])], ["y"])
    for made in (scan, lrn, softmax(shape=(5, 1))):
        graph, _ = lowered(made)
        assert kernels_of(graph) == ["rowwise"]
        assert chain_rowwise(graph, always) is graph


# Names, nodes, tensors


def test_names_are_new_and_nodes_complete():
    graph, values = lowered(layer_norm())
    taken = replace(
        graph,
        operators=(replace(graph.planned[0], name="ln"),),
        nodes=(*graph.nodes, replace(graph.nodes[0], name="ln/mean")),
    )
    rewritten = chain_rowwise(taken, always)
    assert [op.name for op in rewritten.planned] == ["ln/mean_2", "ln/mean_3", "ln"]
    assert {op.nodes for op in rewritten.planned} == {graph.planned[0].nodes}
    assert {op.op_type for op in rewritten.planned} == {"LayerNormalization"}
    assert rewritten.nodes == taken.nodes
    assert rewritten.node_counts() == taken.node_counts()
    for operator in rewritten.planned:
        for name, operand in zip(operator.inputs, operator.expression.inputs, strict=True):
            assert rewritten.tensor[name].shape == tuple(d.size for d in operand.dims)
        output = rewritten.tensor[operator.output]
        assert output.shape == tuple(d.size for d in operator.expression.output.dims)
        assert (output.kind, output.element_type) == ("activation", "float32")
    assert len({t.name for t in rewritten.tensors}) == len(graph.tensors) + 2
    np.testing.assert_allclose(
        evaluate(rewritten, values)["y"], evaluate(graph, values)["y"], rtol=1e-5, atol=1e-6
    )


def test_the_decision_is_asked_for_once_per_problem():
    nodes = [node("Softmax", "x", "h", "one"), node("Softmax", "h", "y", "two")]
    graph, _ = lowered(model(nodes, [value("x", [2, 8])], ["y"]))
    asked = []

    def wanted(problem, links):
        asked.append(problem)
        return True

    rewritten = chain_rowwise(graph, wanted)
    assert len(asked) == 1
    assert len(rewritten.planned) == 6
    assert len({op.name for op in rewritten.planned}) == 6


# Which form is cheaper


def form(made: onnx.ModelProto, spec: HardwareSpec = IPU) -> list[str]:
    graph, _ = lowered(made)
    return kernels_of(split_rowwise(graph, spec, PRUNED))


def test_one_long_row_is_a_chain_and_many_short_rows_are_not():
    assert form(rms_norm((1, 4096))) == TWO
    assert form(layer_norm((1, 4096))) == THREE
    assert form(softmax(shape=(4096, 64))) == ["rowwise"]
    assert form(layer_norm((4096, 64))) == ["rowwise"]


def test_the_choice_depends_on_the_chip():
    assert form(layer_norm((128, 1024))) == THREE
    assert form(layer_norm((128, 1024)), replace(IPU, core_count=16)) == ["rowwise"]
    slow = replace(IPU.interconnect, sync_cycles=10_000)
    assert form(layer_norm((128, 1024)), replace(IPU, interconnect=slow)) == ["rowwise"]


def test_a_row_that_no_core_can_hold_is_a_chain():
    double = replace(IPU.shift_buffer, policy="double")
    small = replace(IPU, core_count=64, sram_bytes=1024, shift_buffer=double)
    wide = rms_norm((16, 512))
    graph, _ = lowered(wide)
    assert not search_operator(graph.planned[0].expression, small).front
    assert form(wide, small) == TWO
    assert form(rms_norm((64, 64)), small) == ["rowwise"]
    hopeless = replace(small, sram_bytes=16)
    assert form(wide, hopeless) == ["rowwise"], "neither form fits: nothing is gained"


def test_of_forms_that_take_as_long_the_one_with_smaller_weights_is_taken(monkeypatch):
    many_rows, one_row = layer_norm((1472, 512)), softmax(shape=(1, 4096))
    monkeypatch.setattr("t10c.schedule.rowwise._NEARLY_EQUAL", 0.0)
    assert form(many_rows) == ["rowwise"]
    assert form(one_row) == THREE
    monkeypatch.setattr("t10c.schedule.rowwise._NEARLY_EQUAL", 10.0)
    assert form(many_rows) == THREE
    assert form(one_row) == ["rowwise"], "no weights: fewer operators"


def test_a_reduce_of_few_outputs_is_searched_without_thresholds():
    graph, _ = lowered(rms_norm((1, 4096)))
    reduce: TensorExpression = chain_of(graph.planned[0].expression)[0].expression
    published = search_operator(reduce, IPU)
    found = search_problem(reduce, IPU, PRUNED)
    assert published.front[-1].plan.split[0] > 700
    assert found.front[-1].plan.split[0] < 50
    assert found.front[-1].cycles < published.front[-1].cycles / 20
    graph, _ = lowered(rms_norm((4096, 64)))
    many: TensorExpression = chain_of(graph.planned[0].expression)[0].expression
    kept = search_problem(many, IPU, PRUNED).record
    assert kept == search_operator(many, IPU).record
    assert kept != search_operator(many, IPU, SearchOptions("exhaustive")).record


def test_steps_in_a_reduce_are_charged_without_their_fixed_part():
    graph, _ = lowered(layer_norm((128, 1024)))
    _, variance, _ = (link.expression for link in chain_of(graph.planned[0].expression))
    assert [s.op for s in variance.body] == ["Sub", "Mul"]
    bare = kernels.reduce_cycles(IPU, 1, 512)
    assert tiles.tile_cycles(IPU, variance, (1, 512)) == bare + 2 * 0.75 * 512


# Whole models


def planned(graph: Graph, spec: HardwareSpec = IPU) -> ModelPlan:
    result = schedule.schedule_model(graph, spec)
    assert isinstance(result, ModelPlan), result
    return result


def llama(layers: int) -> Graph:
    built = build_model("llama-2-7b", phase="decode", overrides={"layers": str(layers)})
    return lower_model(resolve_model(built.SerializeToString()))


def test_llama_decode_fits_because_its_norms_are_chains(monkeypatch):
    graph = llama(6)
    plan = planned(graph, POD)
    norms = [op for op in graph.planned if op.expression.kernel == "rowwise" and op.inputs[1:]]
    assert len(norms) == 13
    for norm in norms:
        chain = [op for op in plan.graph.planned if op.nodes == norm.nodes]
        assert [op.expression.kernel for op in chain] == TWO
        assert chain[-1].name == norm.name
        assert chain[-1].output == norm.output
        last = next(o for o in plan.operators if o.name == norm.name)
        assert sum(w.active_bytes for w in last.idle) < 100
    assert plan.graph.node_counts() == graph.node_counts()
    monkeypatch.setattr(preparation, "split_rowwise", lambda graph, *_: graph)
    assert isinstance(schedule.schedule_model(graph, POD), DoesNotFit)


def test_a_plan_with_a_chain_is_read_back_as_it_was_written():
    made = model(
        [
            node("MatMul", "x w", "h", "mm"),
            node("LayerNormalization", "h s b", "y", "ln", axis=-1),
        ],
        [value("x", [1, 256])],
        ["y"],
        {"w": weight(256, 512), "s": weight(512), "b": weight(512)},
    )
    graph, _ = lowered(made)
    plan = planned(graph)
    assert kernels_of(plan.graph) == ["matmul", *THREE]
    assert [o.name for o in plan.operators] == ["mm", "ln/mean", "ln/mean_2", "ln"]
    data = dump_plan(plan)
    again = load_plan(data, "plan")
    assert again == plan
    assert dump_plan(again) == data
    found: Operator = find_operator(again.graph, "ln")
    assert (found.name, found.expression.kernel) == ("ln", "pointwise")
    records = {record.name: record for record in again.graph.nodes}
    assert records["ln"].operator == "ln"
    assert plan.latency_cycles == pytest.approx(sum(o.cost_cycles.total for o in plan.operators))
    assert math.isfinite(plan.lower_bound_cycles)
    assert 0 < plan.lower_bound_cycles <= plan.latency_cycles
