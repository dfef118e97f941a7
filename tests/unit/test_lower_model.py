"""Programs of whole models: their memory, size, phases, and what is left on the cores."""

import json

import numpy as np
import onnx
import pytest
from onnx import helper
from planned_graphs import GraphWriter, chip, fallback

from t10c.execute.machine import Machine
from t10c.ir.graph import Graph
from t10c.ir.program import Exchange, Loop, Program, Shift
from t10c.lower.model import lower_plan
from t10c.onnx_import.importer import import_model
from t10c.program.check import check_program
from t10c.program.document import dump_program
from t10c.schedule.model import schedule_model
from t10c.schedule.result import ModelPlan


def plan_of(graph: Graph, spec) -> ModelPlan:
    made = schedule_model(graph, spec)
    assert isinstance(made, ModelPlan), made
    return made


def instructions(program: Program):
    """All instructions, those in loops too."""

    def walk(found):
        for one in found:
            yield one
            if isinstance(one, Loop):
                yield from walk(one.body)
                yield from walk(one.between)

    for section in program.all_sections():
        yield from walk(section.instructions)


@pytest.mark.parametrize("policy", ["fixed", "double"])
@pytest.mark.parametrize("cores", [16, 60])
def test_a_program_takes_the_memory_that_the_plan_says(cores, policy):
    graph = residual_graph()
    plan = plan_of(graph, chip(cores, kib=64, policy=policy))
    assert check_program(lower_plan(plan)) == plan.peak_core_bytes


def residual_graph() -> Graph:
    """Two products with a residual: the input is read by three operators in a row."""
    w = GraphWriter()
    x = w.input("x", 24, 40)
    h = w.matmul("h", x, w.weight("w", 40, 40))
    g = w.matmul("g", x, w.weight("v", 40, 40))
    return w.graph(w.matmul("y", h, w.weight("u", 40, 24)), g)


def test_the_size_of_a_program_does_not_depend_on_cores_or_steps():
    graph = residual_graph()
    sizes = []
    for cores in (16, 256, 4096):
        program = lower_plan(plan_of(graph, chip(cores, kib=16)))
        sizes.append(len(dump_program(program)))
    assert max(sizes) < 1.5 * min(sizes)


def test_fallback_operators_gather_compute_and_scatter():
    w = GraphWriter()
    x = w.input("x", 16, 32)
    h = w.matmul("h", x, w.weight("w", 32, 32))
    shapes = [w.tensors[name].shape for name in (h, x)]
    f = w.apply("f", fallback((16, 32), *shapes), h, x)
    graph = w.graph(w.matmul("y", f, w.weight("v", 32, 32)))
    program = lower_plan(plan_of(graph, chip()))
    kinds = [i.kind for i in instructions(program) if isinstance(i, Exchange)]
    assert kinds == ["transition", "setup", "gather", "scatter", "setup"]


def mlp() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((48, 48)).astype(np.float32) / 7 for _ in range(3)]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"], "first"),
        helper.make_node("MatMul", ["a", "w1"], ["b"], "second"),
        helper.make_node("MatMul", ["b", "w2"], ["c"], "third"),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "mlp",
        [info("x", onnx.TensorProto.FLOAT, [12, 48])],
        [info("c", onnx.TensorProto.FLOAT, [12, 48])],
        [onnx.numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def test_after_an_inference_only_weights_are_left():
    model = mlp()
    program = lower_plan(plan_of(import_model(model.SerializeToString()), chip(16, kib=8)))
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    machine = Machine(program, weights)
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal((12, 48)).astype(np.float32)
        got = machine.run({"x": x})["c"]
        want = x @ weights["w0"] @ weights["w1"] @ weights["w2"]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
        assert set(machine.memory) == {f"home:{name}" for name in weights}


@pytest.mark.parametrize(
    ("rows", "kib", "rotations"),
    [
        (64, 3, "k2 A B"),
        (64, 2, "n4 B C"),
        (128, 4, "n2 B C, k2 B"),
        (256, 6, "n2 B C, n2 B"),
        (256, 5, "n2 B C, n2 B, k2 B"),
    ],
)
def test_rotating_weights_begin_where_the_last_inference_left_them(rows, kib, rotations):
    """With little memory weights rotate, and stay where the loops end."""
    w = GraphWriter()
    x = w.input("x", rows, 64)
    graph = w.graph(w.matmul("y", x, w.weight("w", 64, 64)))
    plan = plan_of(graph, chip(16, kib=kib, buffer_bytes=64))
    found = (f"{r.axis}{r.radix} {' '.join(r.operands)}" for r in plan.operators[0].plan.rotations)
    assert ", ".join(found) == rotations
    program = lower_plan(plan)
    assert any(isinstance(i, Shift) and i.buffer.endswith(":B") for i in instructions(program))
    assert any("run" in formula for _, formula in program.sections[0].values)
    check_program(program)
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((64, 64)).astype(np.float32)
    machine = Machine(program, {"w": weight})
    for _ in range(5):
        x = rng.standard_normal((rows, 64)).astype(np.float32)
        (got,) = machine.run({"x": x}).values()
        np.testing.assert_allclose(got, x @ weight, rtol=1e-4, atol=1e-4)


def test_a_weight_that_its_first_reader_leaves_gaps_in_is_there_for_others():
    """A strided 1x1 convolution reads every second pixel of a weight that another reads whole."""
    n, info = 101, helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    rng = np.random.default_rng(2)
    image = rng.standard_normal((1, 3, n, n)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "k"], ["a"], strides=[2, 2]),
            helper.make_node("Mul", ["image", "x"], ["b"]),
        ],
        "gaps",
        [info("x", kind, [1, 3, n, n]), info("k", kind, [2, 3, 1, 1])],
        [info("a", kind, [1, 2, 51, 51]), info("b", kind, [1, 3, n, n])],
        [onnx.numpy_helper.from_array(image, "image")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    program = lower_plan(plan_of(import_model(model.SerializeToString()), chip(16, kib=64)))
    check_program(program)
    x, k = (rng.standard_normal(s).astype(np.float32) for s in ((1, 3, n, n), (2, 3, 1, 1)))
    got = Machine(program, {"image": image}).run({"x": x, "k": k})
    np.testing.assert_allclose(got["b"], image * x, rtol=1e-6)
    seen = image[:, :, ::2, ::2]
    np.testing.assert_allclose(
        got["a"], np.einsum("bchw,oc->bohw", seen, k[:, :, 0, 0]), rtol=1e-4, atol=1e-5
    )


def test_equal_plans_give_equal_bytes():
    graph = residual_graph()
    first, second = (dump_program(lower_plan(plan_of(graph, chip()))) for _ in range(2))
    assert first == second
    json.loads(first)
