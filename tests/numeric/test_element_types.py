"""Models that mix element types: what is rounded, and where, is what ONNX Runtime rounds."""

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from t10c.hardware.load import load_spec
from t10c.onnx_import.importer import import_model
from t10c.schedule.model import schedule_model
from t10c.schedule.result import ModelPlan
from t10c.verify.compare import Tolerance
from t10c.verify.run import VerifyOptions, verify_plan

HALF, BRAIN, SINGLE, DOUBLE = (
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
)
INT32, INT64 = TensorProto.INT32, TensorProto.INT64


def cast(source: str, target: str, to: int):
    return helper.make_node("Cast", [source], [target], f"to {target}", to=to)


def op(op_type: str, inputs: str, output: str, **attributes: object):
    return helper.make_node(op_type, inputs.split(), [output], output, **attributes)


CASES = {
    "rounded_inputs_of_a_product": (
        SINGLE,
        [cast("x", "h", HALF), cast("h", "s", SINGLE), op("MatMul", "s s", "y")],
        SINGLE,
    ),
    "rounded_to_bfloat16": (
        SINGLE,
        [cast("x", "h", BRAIN), cast("h", "s", SINGLE), op("MatMul", "s x", "y")],
        SINGLE,
    ),
    "sums_of_many_halves": (
        HALF,
        [op("ReduceSum", "x", "s", keepdims=1), op("Sub", "x s", "y")],
        HALF,
    ),
    "wider_after_a_product": (
        HALF,
        [op("MatMul", "x x", "m"), cast("m", "s", SINGLE), op("Exp", "s", "y")],
        SINGLE,
    ),
    "doubles_cancel_before_they_are_rounded": (
        DOUBLE,
        [op("Mul", "x x", "m"), op("Sub", "m x", "d"), cast("d", "y", SINGLE)],
        SINGLE,
    ),
    "long_products_of_wrapped_integers": (
        INT64,
        [
            op("Mul", "x x", "m"),
            cast("m", "i", INT32),
            cast("i", "l", INT64),
            op("Mul", "l m", "y"),
        ],
        INT64,
    ),
    "integers_become_long_before_they_are_multiplied": (
        INT32,
        [cast("x", "l", INT64), op("Mul", "l l", "y")],
        INT64,
    ),
}


def made(case: str) -> ModelProto:
    given, nodes, wanted = CASES[case]
    graph = helper.make_graph(
        nodes,
        case,
        [helper.make_tensor_value_info("x", given, [12, 12])],
        [helper.make_tensor_value_info("y", wanted, [12, 12])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("case", CASES)
def test_values_are_rounded_where_the_model_says_so(case, tmp_path):
    model = made(case)
    plan = schedule_model(
        import_model(model.SerializeToString()), load_spec("ipu-mk2", ("cores.count=24",))
    )
    assert isinstance(plan, ModelPlan), plan
    kind = helper.tensor_dtype_to_np_dtype(CASES[case][0])
    generator = np.random.default_rng(3)
    if kind.kind == "i":
        x = generator.integers(70_000, 99_000, (12, 12)).astype(kind)
    else:
        x = generator.uniform(0.5, 1.5, (12, 12)).astype(kind)
    feeds = tmp_path / "feeds.npz"
    np.savez(feeds, x=x)
    tight = Tolerance(1e-3 if HALF in (CASES[case][0], CASES[case][2]) else 1e-5, 1e-7)
    options = VerifyOptions(inputs=str(feeds), trace=True, tolerance=tight)
    found = verify_plan(plan, model.SerializeToString(), options)
    assert found.passed, (found.first_wrong, found.inferences)
