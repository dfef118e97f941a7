"""A weight that is read in two shapes or orders is one tensor, and counts once."""

from onnx import TensorProto, helper

from t10c.hardware.load import load_spec
from t10c.ir.graph import LayoutOp
from t10c.onnx_import.importer import import_model
from t10c.schedule.model import schedule_model
from t10c.schedule.result import ModelPlan

VOCABULARY, HIDDEN = 512, 64


def tied_model(tied: bool) -> bytes:
    """An embedding and an output head over the same table, or over a table each."""
    head = "table" if tied else "head"
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"], name="embed"),
        helper.make_node("Transpose", [head], ["table_t"], name="turn", perm=[1, 0]),
        helper.make_node("MatMul", ["x", "table_t"], ["y"], name="project"),
    ]
    weights = [
        TensorProto(
            name=name,
            dims=[VOCABULARY, HIDDEN],
            data_type=TensorProto.FLOAT,
            data_location=TensorProto.EXTERNAL,
            external_data=[{"key": "location", "value": "absent.bin"}],
        )
        for name in dict.fromkeys(["table", head])
    ]
    graph = helper.make_graph(
        nodes,
        "tied",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [16, VOCABULARY])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def weights_of(tied: bool) -> list[str]:
    return [t.name for t in import_model(tied_model(tied)).tensors if t.kind == "weight"]


def test_a_transposed_table_that_is_also_gathered_is_one_weight():
    graph = import_model(tied_model(tied=True))
    assert weights_of(tied=True) == ["table"]
    assert [op.kind for op in graph.operators if isinstance(op, LayoutOp)] == ["transpose"]
    assert graph.node_counts()["layout_only"] == 1
    assert len(graph.nodes) == 3


def test_a_transposed_weight_of_its_own_is_stored_transposed():
    assert sorted(weights_of(tied=False)) == ["table", "table_t"]


def test_the_shared_weight_counts_once_in_the_plan():
    spec = load_spec("ipu-mk2", ["cores.count=16"])
    plan = schedule_model(import_model(tied_model(tied=True)), spec)
    assert isinstance(plan, ModelPlan)
    assert [w.tensor for o in plan.operators for w in o.idle] == ["table"]
    (fetch,) = (t for o in plan.operators for t in o.transitions if t.tensor == "table_t")
    assert fetch.sources == ("table",)
    assert fetch.received_bytes <= VOCABULARY * HIDDEN * spec.element_bytes
