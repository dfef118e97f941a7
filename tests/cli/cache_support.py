"""What the tests of the cache share."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from cli_support import Command, Result
from onnx import TensorProto, helper, numpy_helper


def report(result: Result) -> dict[str, object]:
    assert result.code == 0, result.stderr
    return json.loads(result.out)


def kinds(t10c: Command) -> dict[str, dict[str, int]]:
    return report(t10c("cache", "info", "--format", "json"))["kinds"]


def perceptron(path: Path, widths: tuple[int, ...], symbol: str | int = 4) -> Path:
    """Layers of a matmul and a softmax each."""
    nodes, weights, last = [], [], "x"
    for number, (before, after) in enumerate(pairwise(widths)):
        weight, product, made = f"w{number}", f"h{number}", f"y{number}"
        weights.append(numpy_helper.from_array(np.ones((before, after), np.float32), weight))
        nodes.append(helper.make_node("MatMul", [last, weight], [product], f"mm{number}"))
        nodes.append(helper.make_node("Softmax", [product], [made], f"sm{number}"))
        last = made
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [symbol, widths[0]])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [symbol, widths[-1]])],
        weights,
    )
    imports = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path
