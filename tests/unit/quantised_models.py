"""Small quantised models, and their graphs against ONNX Runtime and the reference evaluator.

Scales that are powers of two make every product and quotient exact, so that no tie is rounded
differently.
"""

from collections.abc import Sequence

import ml_dtypes
import numpy as np
from graph_numpy import evaluate, runtime_results
from onnx import ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx_models import model as any_model

from t10c.ir.graph import Graph, Operator
from t10c.onnx_import.derived import derive_weights
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolve import resolve_model

RNG = np.random.default_rng(7)
Arrays = dict[str, np.ndarray]


def model(*parts: object, opset: int = 21, ir_version: int = 10) -> ModelProto:
    """A model of an opset whose operators the reference evaluator knows."""
    return any_model(*parts, opset=opset, ir_version=ir_version)  # type: ignore[arg-type]


def feeds_of(made: ModelProto, seed: int = 0) -> Arrays:
    """Random inputs; integers of at most 8 bits over their whole range."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for info in made.graph.input:
        shape = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        if dtype.kind == "f":
            feeds[info.name] = (4 * rng.standard_normal(shape)).astype(dtype)
        else:
            limits = ml_dtypes.iinfo(dtype)
            low, high = max(-128, int(limits.min)), min(255, int(limits.max))
            feeds[info.name] = rng.integers(low, high + 1, shape).astype(dtype)
    return feeds


def results(made: ModelProto, feeds: Arrays) -> tuple[Graph, list[np.ndarray]]:
    resolved = resolve_model(made.SerializeToString())
    graph = lower_model(resolved)
    assert sum(graph.node_counts().values()) == len(resolved.nodes) + len(resolved.folded)
    assert graph.node_counts()["fallback"] == 0
    values = {**resolved.constants, **feeds}
    actual = evaluate(graph, {**values, **derive_weights(resolved, values)})
    return graph, [actual[name] for name in graph.outputs]


def agree(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    for got, want in zip(actual, expected, strict=True):
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        if want.dtype.kind in "iu":
            np.testing.assert_array_equal(got, want)
        else:
            # sums round in another order: by the last bits of their largest terms
            largest = float(np.abs(want.astype(np.float64)).max())
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6 * largest)


def check(made: ModelProto, feeds: Arrays | None = None, reference: bool = True) -> Graph:
    """The graph computes what ONNX Runtime does, and the reference evaluator where it can."""
    feeds = feeds or feeds_of(made)
    graph, actual = results(made, feeds)
    agree(actual, runtime_results(made, feeds))
    if reference:
        agree(actual, ReferenceEvaluator(made).run(None, feeds))
    return graph


def integers(dtype: str, *shape: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max + 1, shape).astype(dtype)


def powers(*shape: int) -> np.ndarray:
    """Scales that are powers of two."""
    return np.exp2(RNG.integers(-6, -2, shape)).astype(np.float32)


def types(graph: Graph, op: Operator) -> list[str]:
    return [graph.tensor[name].element_type for name in (*op.inputs, op.output)]


def steps(op: Operator) -> tuple[list[str], list[str]]:
    body, epilogue = op.expression.body, op.expression.epilogue
    return [step.op for step in body], [step.op for step in epilogue]


ONNX_TYPES = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "int32": TensorProto.INT32}
