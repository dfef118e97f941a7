"""The steps of kernels in a program file: operators there are, with inputs that they take."""

from collections.abc import Collection
from dataclasses import dataclass

import onnx.defs

from t10c.errors import InvalidInputError
from t10c.ir.expression import ScalarStep, TensorExpression, is_literal
from t10c.serialise import wrong

MOST_INPUTS = 2**31 - 1

ARITIES: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("Add", "Max", "Mean", "Min", "Sum"), (1, MOST_INPUTS)),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"), (1, 1)),
    **dict.fromkeys(("CumProd", "CumSum", "WindowSum"), (1, 1)),
    "Clip": (3, 3),
    "Gather": (2, 2),
}
"""Least and most inputs of steps that take others than their ONNX operator, or have none."""

_ABSENT = "_"
"""An input of a fallback operator that is not given."""

_STANDARD_DOMAINS = ("", "ai.onnx.ml")
_DOMAINS = (*_STANDARD_DOMAINS, "com.microsoft")

_OUTPUT_LIMIT = 2**10
"""Most outputs of an operator that has any number of them."""


def check_steps(kernel: TensorExpression, path: str) -> None:
    """InvalidInputError, which begins with `path`, unless every step can be one.

    Steps are named by an ONNX operator, and work on operands, earlier results, `acc` or numbers.
    """
    if not kernel.body:
        raise InvalidInputError(f"{path}.body: has no steps")
    if kernel.kernel == "gather" and len(kernel.inputs) < 2:
        raise InvalidInputError(f"{path}.inputs: a gather has a table and indices")
    known = {operand.name for operand in kernel.inputs}
    if kernel.kernel == "fallback":
        if len(kernel.body) > 1 or kernel.epilogue:
            raise InvalidInputError(f"{path}: a fallback operator has one step")
        _check_fallback(kernel.body[0], f"{path}.body[0]")
        known.add(_ABSENT)
    for number, step in enumerate((*kernel.body, *kernel.epilogue)):
        late = number - len(kernel.body)
        place = f"{path}.body[{number}]" if late < 0 else f"{path}.epilogue[{late}]"
        if kernel.kernel != "fallback":
            _check_operator(step, place)
        _check_names(step, known | ({"acc"} if late >= 0 else set()), place)
        known.add(f"s{number}")


def _check_names(step: ScalarStep, allowed: Collection[str], place: str) -> None:
    for name in step.inputs:
        if name not in allowed and not is_number(name):
            raise wrong(f"{place}.inputs", name, "an operand, an earlier result or a number")


def is_number(name: str) -> bool:
    """Whether a text is a number as steps and views have it."""
    try:
        float(name)
    except ValueError:
        return False
    return bool(name) and is_literal(name)


def _check_operator(step: ScalarStep, place: str) -> None:
    """A step is a scalar function, or one along rows, of as many inputs as it takes."""
    takes = ARITIES.get(step.op)
    if takes is None:
        if not onnx.defs.has(step.op):
            raise wrong(f"{place}.op", step.op, "the name of an ONNX operator")
        schema = onnx.defs.get_schema(step.op)
        takes = schema.min_input, schema.max_input
    _check_count(step, takes, place)


def _check_count(step: ScalarStep, takes: tuple[int, int], place: str) -> None:
    least, most = takes
    given = len(step.inputs)
    if least <= given <= most:
        return
    if not given:
        raise InvalidInputError(f"{place}.inputs: is empty")
    text = f"{least}" if least == most else f"{least} or more" if given < least else f"up to {most}"
    raise InvalidInputError(f"{place}.inputs: has {given}; {step.op} takes {text}")


# Fallback operators


@dataclass(frozen=True, slots=True)
class _Node:
    """What a fallback step says of its ONNX node."""

    domain: str
    opset: int
    output: int


def _check_fallback(step: ScalarStep, place: str) -> None:
    """The one step of a fallback operator: an ONNX node, and which of its outputs it is."""
    node = _node(step, f"{place}.attributes")
    most_outputs = _OUTPUT_LIMIT
    if node.domain in _STANDARD_DOMAINS:
        schema = _schema(step.op, node)
        if schema is None:
            raise wrong(f"{place}.op", step.op, f"an ONNX operator of opset {node.opset}")
        _check_count(step, (schema.min_input, schema.max_input), place)
        most_outputs = min(most_outputs, schema.max_output)
    if not 0 <= node.output < most_outputs:
        right = f"a number from 0 to {most_outputs - 1}"
        raise wrong(f"{place}.attributes.output", node.output, right)


def _node(step: ScalarStep, path: str) -> _Node:
    attributes = dict(step.attributes)
    for name in ("output", "opset"):
        if type(attributes.get(name)) is not int:
            raise wrong(f"{path}.{name}", attributes.get(name), "a whole number")
    domain, opset = str(attributes.get("domain", "")), int(attributes["opset"])
    if domain not in _DOMAINS:
        raise wrong(f"{path}.domain", domain, f"one of {', '.join(filter(None, _DOMAINS))}")
    latest = onnx.defs.onnx_opset_version()
    if not 1 <= opset <= latest:
        raise wrong(f"{path}.opset", opset, f"a number from 1 to {latest}")
    return _Node(domain, opset, int(attributes["output"]))


def _schema(operator: str, node: _Node) -> onnx.defs.OpSchema | None:
    """What ONNX says of an operator of a standard domain, None if it has no such."""
    try:
        if node.domain:
            return onnx.defs.get_schema(operator, domain=node.domain)
        return onnx.defs.get_schema(operator, node.opset, node.domain)
    except onnx.defs.SchemaError:
        return None
