"""The node cases that come with onnx: one operator each, with inputs and expected outputs."""

from collections.abc import Collection, Iterator
from importlib import import_module

import numpy as np
import onnx
from graph_numpy import Arrays, evaluate
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case import node as collection
from onnx.backend.test.case.test_case import TestCase

from t10c.ir.graph import Graph
from t10c.onnx_import.derived import derive_weights
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolve import resolve_model

_WIDTHS = {TensorProto.BFLOAT16: 2.0**-7, TensorProto.FLOAT16: 2.0**-9}
_INTEGERS = (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL)


def cases(module: str, *op_types: str) -> Iterator[TestCase]:
    """Cases of these operators that are not written as a function body.

    `module` is the one of onnx that has them: all modules together take seconds to load.
    """
    import_module(f"{collection.__name__}.{module}")
    for case in collection._NodeTestCases:
        if case.model is not None and case.model.graph.node[0].op_type in op_types:
            yield case


def run(case: TestCase, known: Collection[str] | None = ()) -> Graph:
    """Import a case, compute its graph and compare with what the case expects.

    Inputs that are `known` are initializers instead (None: all integers and truth values).
    """
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    ((inputs, outputs),) = case.data_sets
    feeds: Arrays = {}
    infos = list(model.graph.input)
    del model.graph.input[:]
    for info, array in zip(infos, map(_array, inputs), strict=True):
        kind = info.type.tensor_type.elem_type
        if info.name in known if known is not None else kind in _INTEGERS:
            model.graph.initializer.append(numpy_helper.from_array(array, info.name))
        else:
            model.graph.input.append(info)
            feeds[info.name] = array
    resolved = resolve_model(model.SerializeToString())
    graph = lower_model(resolved)
    values = {**resolved.constants, **feeds}
    weights = derive_weights(resolved, values, numpy_helper.to_array)
    found = evaluate(graph, {**values, **weights})
    for info, expected in zip(model.graph.output, map(_array, outputs), strict=True):
        compare(found[info.name], expected, _WIDTHS.get(info.type.tensor_type.elem_type, 0.0))
    return graph


def compare(found: np.ndarray, expected: np.ndarray, ulp: float) -> None:
    """Equal up to rounding; narrow floats to two units in the last place of 1."""
    assert found.shape == expected.shape
    actual, wanted = (np.asarray(array).astype(np.float64) for array in (found, expected))
    np.testing.assert_allclose(actual, wanted, rtol=max(1e-3, 2 * ulp), atol=max(1e-6, 2 * ulp))


def _array(value: object) -> np.ndarray:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
