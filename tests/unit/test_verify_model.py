"""The model of a plan, imported again: alike with a plan of it, refused with any other."""

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_models import model, node, value
from planned_graphs import chip
from verify_models import without_data
from zoo_models import small

from t10c.errors import FileAccessError, InvalidInputError
from t10c.onnx_import.importer import import_model
from t10c.schedule.document import dump_plan, load_plan
from t10c.schedule.model import schedule_model
from t10c.schedule.result import ModelPlan
from t10c.schedule.rowwise import chain_rowwise
from t10c.verify.model import load_for

RNG = np.random.default_rng(2)


def planned(made: onnx.ModelProto | bytes, kib: float = 512, **bindings) -> ModelPlan:
    """A plan for a small chip, written and read again."""
    data = made if isinstance(made, bytes) else made.SerializeToString()
    plan = schedule_model(import_model(data, **bindings), chip(kib=kib))
    assert isinstance(plan, ModelPlan)
    return load_plan(dump_plan(plan), "plan")


def network(scale: float = 1.0, k: int = 12, op_type: str = "Relu", batch: object = "n"):
    nodes = [
        node("MatMul", "x w", "h", "first"),
        node(op_type, "h", "r", "second"),
        node("Softmax", "r", "s", "third"),
        node("Mul", "s f", "y", "fourth"),
    ]
    constants = {"w": RNG.standard_normal((8, k)).astype(np.float32), "f": np.float32(scale)}
    return model(nodes, [value("x", [batch, 8])], ["y"], constants)


def test_a_plan_and_its_model():
    made = network()
    plan = planned(made, dims={"n": 3})
    loaded = load_for(plan, made.SerializeToString(), "net.onnx")
    assert loaded.graph is plan.graph
    assert loaded.resolved.shapes["x"] == (3, 8)
    assert loaded.proto == made


def test_a_file_and_where_its_weights_would_lie(tmp_path):
    path = tmp_path / "net.onnx"
    absent = without_data(network(), "w")
    path.write_bytes(absent.SerializeToString())
    loaded = load_for(planned(absent, dims={"n": 3}), path)
    assert loaded.directory == tmp_path
    assert loaded.place == str(path)


def test_the_file_may_have_another_name(tmp_path):
    path = tmp_path / "other.onnx"
    path.write_bytes(network().SerializeToString())
    load_for(planned(network(), dims={"n": 3}), path)


@pytest.mark.parametrize("share", [1, 2])
@pytest.mark.parametrize("name", ["bert-large", "llama-2-7b"])
def test_row_wise_operators_as_chains(name, share):
    """The plan has chains in place of all row-wise operators, or of some."""
    made = small(name, weights="absent").SerializeToString()
    imported = import_model(made)
    numbers = itertools.count()
    chained = chain_rowwise(imported, lambda *_: next(numbers) % share == 0)
    assert len(chained.operators) > len(imported.operators), "no chain: nothing is tested"
    plan = schedule_model(chained, chip(kib=512))
    assert isinstance(plan, ModelPlan)
    plan = load_plan(dump_plan(plan), "plan")
    whole = [op for op in plan.graph.planned if op.expression.kernel == "rowwise"]
    assert bool(whole) == (share > 1)
    assert load_for(plan, made).graph is plan.graph


@pytest.mark.parametrize(
    ("other", "parts"),
    [
        (network(scale=2.0), ["computes something else"]),
        (network(op_type="Sigmoid"), ["computes something else"]),
        (network(k=13), ["tensor 'w' has the shape 8x12, in the model 8x13"]),
        (
            model(
                [node("MatMul", "a w", "y")],
                [value("a", [2, 8])],
                ["y"],
                {"w": np.ones((8, 4), np.float32)},
            ),
            ["no input"],
        ),
        (network(batch=4), ["its shape x:3x8: dimension 0 is 4 in the model"]),
    ],
)
def test_another_model(other, parts):
    plan = planned(network(), dims={"n": 3})
    with pytest.raises(InvalidInputError) as caught:
        load_for(plan, other.SerializeToString(), "net.onnx")
    text = str(caught.value)
    assert text.startswith("net.onnx: the plan was made for another model: ")
    assert all(part in text for part in parts), text
    assert text.endswith("compile this model again, and verify the plan that gives")
    assert caught.value.exit_code == 4


def test_outputs_and_opset():
    plan = planned(network(), dims={"n": 3})
    more = network()
    more.graph.output.append(onnx.helper.make_empty_tensor_value_info("r"))
    with pytest.raises(InvalidInputError, match="its outputs are y, the model has y, r"):
        load_for(plan, more.SerializeToString())
    newer = network()
    newer.opset_import[0].version = 18
    with pytest.raises(InvalidInputError, match="it is of opset 17, the model of 18"):
        load_for(plan, newer.SerializeToString())


def test_a_model_that_needs_another_input():
    plan = planned(network(), dims={"n": 3})
    more = network()
    more.graph.input.append(value("z", ["k"]))
    with pytest.raises(InvalidInputError, match="'k' of input 'z'"):
        load_for(plan, more.SerializeToString(), "net.onnx")


def test_a_model_with_more_operators():
    plan = planned(network(), dims={"n": 3})
    more = network()
    more.graph.node[3].output[0] = "z"
    more.graph.node.append(node("ReduceSum", "z", "y", "fifth", keepdims=1))
    with pytest.raises(InvalidInputError, match="another model: tensor 'y' has the shape"):
        load_for(plan, more.SerializeToString())


def test_no_such_model(tmp_path):
    with pytest.raises(FileAccessError):
        load_for(planned(network(), dims={"n": 3}), tmp_path / "none.onnx")


def test_what_is_no_model(tmp_path):
    plan = planned(network(), dims={"n": 3})
    with pytest.raises(InvalidInputError, match=r"^standard input: the file is text"):
        load_for(plan, b"text", "standard input")
    (tmp_path / "net.onnx").write_bytes(b"text")
    with pytest.raises(InvalidInputError, match=r"net\.onnx: the file is text"):
        load_for(plan, tmp_path / "net.onnx")


# What binds a model, beyond the shapes of its inputs


def gated():
    """`past` may be empty; `gate` may be fixed; `k` sizes what a Compress leaves."""
    nodes = [
        node("Concat", "past x", "all", "join", axis=0),
        node("Mul", "all gate", "m", "scale"),
        node("Relu", "m", "y", "relu"),
    ]
    inputs = [value("past", ["p", 6]), value("x", [4, 6]), value("gate", [6])]
    return model(nodes, inputs, ["y"])


@pytest.mark.parametrize(
    "bindings",
    [
        {"shapes": {"past": (0, 6)}},
        {"shapes": {"past": (2, 6)}, "values": {"gate": 0.5}},
        {"dims": {"p": 0}, "values": {"gate": np.arange(6) / 7}},
        {"dims": {"p": 2}, "values": {"gate": [1.0, float("inf"), 2, 3, 4, 5]}},
    ],
)
def test_values_and_left_out_inputs_are_recorded(bindings):
    plan = planned(gated(), **bindings)
    load_for(plan, gated().SerializeToString())


def test_other_values_make_another_graph():
    plan = planned(gated(), dims={"p": 2}, values={"gate": 0.5})
    other = planned(gated(), dims={"p": 2}, values={"gate": 0.75})
    assert dump_plan(plan) != dump_plan(other)
    assert plan.graph.bindings.numbers() == {"gate": 0.5}
    assert plan.graph.bindings.shapes == (("gate", (6,)),)


def test_a_symbol_that_no_input_has_is_recorded():
    """The number of rows that are kept depends on data; the file calls it `k`."""
    nodes = [node("Compress", "x keep", "c", "pick", axis=0), node("Relu", "c", "y", "relu")]
    inputs = [value("x", ["n", 6]), value("keep", ["n"], TensorProto.BOOL)]
    made = model(nodes, inputs, [value("y", ["k", 6])])
    plan = planned(made, dims={"n": 4, "k": 3})
    assert plan.graph.bindings.dims == (("k", 3),)
    assert load_for(plan, made.SerializeToString()).resolved.shapes["y"] == (3, 6)


def test_plans_without_bindings_say_nothing_of_them():
    data = dump_plan(planned(network(), dims={"n": 3}))
    assert b"bindings" not in data
