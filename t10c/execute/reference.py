"""What NumPy alone does not offer: steps and fallback operators by ONNX's reference evaluator."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from t10c.errors import UnsupportedOperatorError
from t10c.execute.element_types import Array
from t10c.ir.expression import ScalarStep, TensorExpression

_ABSENT = "_"
"""What stands for an absent input in the body of a fallback operator."""

_STEP_OPSET = 26
_MACHINE_LEARNING_OPSET = 3
_OWN = ("as",)
"""Attributes of steps that ONNX does not know."""


def evaluate_step(step: ScalarStep, inputs: list[Array]) -> Array:
    """The result of one step on arrays that broadcast, one element at a time in meaning.

    Raises UnsupportedOperatorError if the evaluator does not know the operator.
    """
    evaluator = _step_evaluator(step)
    feeds = {f"x{i}": np.asarray(array) for i, array in enumerate(inputs)}
    result: list[Any] = evaluator.run(None, feeds)  # type: ignore[assignment]
    return np.asarray(result[0])


@lru_cache(maxsize=256)
def _step_evaluator(step: ScalarStep) -> ReferenceEvaluator:
    attributes: dict[str, Any] = {n: value for n, value in step.attributes if n not in _OWN}
    names = [f"x{i}" for i in range(len(step.inputs))]
    node = helper.make_node(step.op, names, ["y"], **attributes)
    return _evaluator(node, step.op, {"": _STEP_OPSET})


def _evaluator(
    model: onnx.NodeProto | onnx.GraphProto, operator: str, opsets: dict[str, int]
) -> ReferenceEvaluator:
    """An evaluator; UnsupportedOperatorError if there is none for the operator."""
    try:
        return ReferenceEvaluator(model, opsets=opsets)
    except (RuntimeError, NotImplementedError, onnx.defs.SchemaError) as error:
        raise UnsupportedOperatorError(
            f"operator '{operator}' cannot be executed: it has neither a tensor expression nor an "
            "evaluation of its own\n  the model can be planned but not verified"
        ) from error


def fallback(expression: TensorExpression, operands: Mapping[str, Array]) -> Array:
    """The output of an operator without a tensor expression, from its whole operands by name.

    Raises UnsupportedOperatorError if the evaluator does not know the operator or fails, or if
    what it yields depends on data so that its shape is not the planned one.
    """
    step = expression.body[0]
    evaluator = _fallback_evaluator(step)
    feeds = {operand.name: operands[operand.name] for operand in expression.inputs}
    try:
        outputs: list[Any] = evaluator.run(None, feeds)  # type: ignore[assignment]
    except Exception as error:
        # whatever the evaluator meets: a package that it wants, values that do not fit
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnsupportedOperatorError(
            f"operator '{step.op}' cannot be executed: onnx's reference evaluator says: {reason}\n"
            "  the model can be planned but not verified with these inputs"
        ) from error
    result = np.asarray(outputs[0])
    planned = tuple(dim.size for dim in expression.output.dims)
    if result.shape != planned:
        raise UnsupportedOperatorError(
            f"operator '{step.op}' yields shape {list(result.shape)} for these inputs, "
            f"{list(planned)} was planned\n  its shape depends on data; it cannot be verified"
        )
    return result


@lru_cache(maxsize=256)
def _fallback_evaluator(step: ScalarStep) -> ReferenceEvaluator:
    attributes = dict(step.attributes)
    names = ["" if name == _ABSENT else name for name in step.inputs]
    outputs = [f"y{i}" for i in range(int(attributes["output"]) + 1)]
    domain, opset = str(attributes.get("domain", "")), int(attributes["opset"])
    node = helper.make_node(step.op, names, outputs, domain=domain)
    for name, value in attributes.items():
        if name.startswith("attribute."):
            plain = _attribute(step.op, opset, domain, name[len("attribute.") :], value)
            node.attribute.append(plain)
    info = [helper.make_empty_tensor_value_info(outputs[-1])]
    graph = helper.make_graph([node], "fallback", [], info)
    return _evaluator(graph, step.op, {"": opset, "ai.onnx.ml": _MACHINE_LEARNING_OPSET})


def _attribute(
    operator: str, opset: int, domain: str, name: str, value: Any
) -> onnx.AttributeProto:
    """An attribute of a fallback operator, whose lists are JSON."""
    version = opset if not domain else _MACHINE_LEARNING_OPSET
    try:
        schema = onnx.defs.get_schema(operator, version, domain)
        is_list = str(schema.attributes[name].type).endswith("S")
    except (onnx.defs.SchemaError, KeyError):
        is_list = isinstance(value, str) and value[:1] == "["
    return helper.make_attribute(name, json.loads(value) if is_list else value)
