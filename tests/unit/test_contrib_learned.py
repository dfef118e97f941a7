"""ai.onnx.ml's scalers and linear models against ONNX Runtime."""

import numpy as np
import pytest
from contrib_models import compare
from graph_numpy import random_feeds, runtime_results
from onnx import ModelProto, TensorProto, helper
from onnx_models import value

from t10c.ir.graph import NodeClass


def model(op_type: str, inputs: str, **attributes: object) -> ModelProto:
    domain = "ai.onnx.ml"
    node = helper.make_node(op_type, inputs.split(), ["y"], "one", domain=domain, **attributes)
    infos = [value("x", [4, 3])]
    if "i" in inputs.split():
        infos.append(value("i", [2], TensorProto.INT64))
    output = [helper.make_empty_tensor_value_info("y")]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph([node], "learned", infos, output)
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        ("Scaler", "x", {"offset": [0.5, -1.0, 2.0], "scale": [2.0, 0.5, 1.5]}),
        ("Scaler", "x", {"offset": [0.25], "scale": [3.0]}),
        ("Binarizer", "x", {"threshold": 0.2}),
        ("Imputer", "x", {"imputed_value_floats": [7.0, 8.0, 9.0], "replaced_value_float": 1.0}),
        ("Imputer", "x", {"imputed_value_floats": [7.0], "replaced_value_float": float("nan")}),
        ("LinearRegressor", "x", {"coefficients": [1.0, 2.0, 3.0], "intercepts": [0.5]}),
        (
            "LinearRegressor", "x",
            {"coefficients": [1.0, 2.0, 3.0, -1.0, 0.5, 0.25], "intercepts": [0.5, -1.0],
             "targets": 2},
        ),
        ("ArrayFeatureExtractor", "x i", {}),
    ],
)  # fmt: skip
def test_it_is_planned_and_equals_the_runtime(
    op_type: str, inputs: str, attributes: dict[str, object]
) -> None:
    made = model(op_type, inputs, **attributes)
    feeds = random_feeds(made, 1)
    feeds["x"][0, 0], feeds["x"][1, 1] = 1.0, np.nan if op_type == "Imputer" else 2.0
    compare(made, feeds, runtime_results(made, feeds), NodeClass.PLANNED)
