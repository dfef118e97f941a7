"""Dequantisation within the operator that reads its result.

x = (q - z) * s;  C += x * B        ->  C += (q - z) * B, epilogue Mul(acc, s)
x = (q - z) * s;  y = x + r         ->  y = (q - z) * s + r
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from t10c.ir.expression import Operand, ScalarStep, TensorExpression, is_literal
from t10c.ir.graph import Operator
from t10c.onnx_import.dequantised import Dequantised, Factor, Operands, along, split_axis
from t10c.onnx_import.lowering.builder import GraphBuilder, literal_text
from t10c.onnx_import.lowering.elementwise import Attributes
from t10c.onnx_import.lowering.quantised import AS_FLOAT, AS_INTEGER

_CHAINS = ("pointwise", "reduce", "rowwise", "pool")
_POSITIONAL = frozenset({"ArgMax", "ArgMin", "CumSum", "WindowSum"})
"""Steps that have to come first in a body."""


def absorbed(builder: GraphBuilder, reader: Operator, value: Dequantised) -> Operator | None:
    """The reader computing on the stored values instead of the dequantised ones.

    None if it cannot: a gather, a fallback, or a body that is not a plain product.
    """
    result: Operator | None = reader
    for position, tensor in enumerate(reader.inputs):
        if result is None or tensor != value.operator.output:
            continue
        expression = _in_blocks(reader.expression, position, value)
        if expression is None:
            return None
        started = replace(result, expression=expression)
        if reader.expression.kernel in ("matmul", "conv"):
            result = _into_product(builder, started, position, value)
        elif reader.expression.kernel in _CHAINS:
            result = _into_chain(builder, started, position, value)
        else:
            return None
        reader = result or reader
    if result is None:
        return None
    nodes = dict.fromkeys((*reader.nodes, *value.operator.nodes))
    return replace(result, nodes=tuple(nodes))


def _in_blocks(
    expression: TensorExpression, position: int, value: Dequantised
) -> TensorExpression | None:
    """The expression with the axis along which scales lie in blocks cut in two."""
    if value.block is None:
        return expression
    place, length = value.block
    dim = expression.inputs[position].dims[place]
    if len(dim.terms) != 1 or dim.terms[0][1] != 1 or dim.offset:
        return None
    return split_axis(expression, dim.terms[0][0], length)


def _into_chain(
    builder: GraphBuilder, reader: Operator, position: int, value: Dequantised
) -> Operator | None:
    """The dequantising steps before all others of the body."""
    expression = reader.expression
    operand = expression.inputs[position]
    if operand.fused or any(step.op in _POSITIONAL for step in expression.body):
        return None
    operands = _operands(builder, reader, position, value)
    first = operands.steps(operand.name, value.parts, operand.dims, value.block, 0)
    names = {operand.name: f"s{len(first) - 1}"}
    body = (*first, *(_renamed(step, names, len(first)) for step in expression.body))
    epilogue = tuple(_renamed(step, {}, len(first)) for step in expression.epilogue)
    return _rebuilt(reader, operands, body, epilogue)


def _into_product(
    builder: GraphBuilder, reader: Operator, position: int, value: Dequantised
) -> Operator | None:
    """Zero points in the body; scales behind the product unless they vary along what is summed."""
    expression = reader.expression
    chains = _product_chains(expression)
    if chains is None or position > 1 or chains[position]:
        return None
    operand = expression.inputs[position]
    summed = {axis.name for axis in expression.axes if axis.reduction}

    def varies(factor: Factor) -> bool:
        axes = {axis for i in along(factor) for axis, _ in operand.dims[i].terms}
        return bool(axes & summed)

    operands = _operands(builder, reader, position, value)

    def name(factor: Factor) -> str:
        return operands.name(factor, operand.dims, value.block)

    inner = [(op, name(f)) for op, f in value.parts if op == "Sub" or varies(f)]
    outer = [(op, name(f)) for op, f in value.factors if not varies(f)]
    chains = [inner, chains[1]] if position == 0 else [chains[0], inner]
    kind = _product_type(builder, operands, chains)
    body = _product_body(expression, chains, kind)
    epilogue = _scaled(builder, reader, operands, outer, len(body))
    if kind == AS_INTEGER:
        epilogue = _as_float(builder.element_type(reader.output), epilogue, len(body))
    return _rebuilt(reader, operands, body, epilogue)


def _operands(
    builder: GraphBuilder, reader: Operator, position: int, value: Dequantised
) -> Operands:
    tensors = list(reader.inputs)
    tensors[position] = value.source
    return Operands(builder, list(reader.expression.inputs), tensors)


def _rebuilt(
    reader: Operator,
    operands: Operands,
    body: Sequence[ScalarStep],
    epilogue: Sequence[ScalarStep],
) -> Operator:
    """The reader with other steps, reading what they use."""
    used = {name for step in (*body, *epilogue) for name in step.inputs}
    kept = [
        (operand, tensor)
        for operand, tensor in zip(operands.operands, operands.tensors, strict=True)
        if not operand.fused or operand.name in used
    ]
    expression = replace(
        reader.expression,
        inputs=tuple(operand for operand, _ in kept),
        body=tuple(body),
        epilogue=tuple(epilogue),
    )
    return replace(reader, expression=expression, inputs=tuple(tensor for _, tensor in kept))


def _product_chains(expression: TensorExpression) -> list[list[tuple[str, str]]] | None:
    """What the body does to each factor before it multiplies them; None if it does anything else.

    Sub(A, 3); Mul(s0, B)  ->  [[(Sub, 3)], []]
    """
    chains: list[list[tuple[str, str]]] = [[], []]
    values = [operand.name for operand in expression.inputs[:2]]
    for number, step in enumerate(expression.body):
        if step.op == "Mul" and list(step.inputs) == values:
            return chains if number == len(expression.body) - 1 else None
        if step.op not in ("Sub", "Mul", "Div") or step.inputs[0] not in values:
            return None
        side = values.index(step.inputs[0])
        if step.inputs[1] in values:
            return None
        chains[side].append((step.op, step.inputs[1]))
        values[side] = f"s{number}"
    return None


def _product_body(
    expression: TensorExpression, chains: list[list[tuple[str, str]]], kind: Attributes
) -> tuple[ScalarStep, ...]:
    """The steps of each factor, then their product, all in one element type."""
    steps: list[ScalarStep] = []
    values: list[str] = []
    for operand, chain in zip(expression.inputs[:2], chains, strict=True):
        value = operand.name
        for op, other in chain:
            steps.append(ScalarStep(op, (value, other), kind))
            value = f"s{len(steps) - 1}"
        values.append(value)
    return (*steps, ScalarStep("Mul", tuple(values), kind))


def _product_type(
    builder: GraphBuilder, operands: Operands, chains: list[list[tuple[str, str]]]
) -> Attributes:
    """int32 where all that the body reads are integers as small as zero points, else float32."""
    tensors = dict(zip((o.name for o in operands.operands), operands.tensors, strict=True))
    names = [*(operand.name for operand in operands.operands[:2])]
    for chain in chains:
        if any(op != "Sub" for op, _ in chain):
            return AS_FLOAT
        names += [name for _, name in chain]
    for name in names:
        whole = _small(float(name)) if is_literal(name) else _integral(builder, tensors[name])
        if not whole:
            return AS_FLOAT
    return AS_INTEGER


def _small(number: float) -> bool:
    """Whether a literal is an integer that 8 bits can hold: sums of larger ones could overflow."""
    return number.is_integer() and -128 <= number <= 255


def _integral(builder: GraphBuilder, tensor: str) -> bool:
    return builder.element_type(tensor).startswith(("int", "uint"))


def _scaled(
    builder: GraphBuilder,
    reader: Operator,
    operands: Operands,
    factors: Sequence[tuple[str, str]],
    body_steps: int,
) -> tuple[ScalarStep, ...]:
    """The epilogue with factors before it; a factor joins one that is there where both are known.

    Mul(acc, 0.5), factor 0.25      ->  Mul(acc, 0.125)
    Mul(acc, 0.5), factor F0 (a weight)  ->  Mul(acc, F1), F1 = 0.5 * F0
    """
    old = reader.expression.epilogue
    start: list[tuple[str, str]] = []
    if old and old[0].op == "Mul" and old[0].attributes == AS_FLOAT and old[0].inputs[0] == "acc":
        start = [("Mul", old[0].inputs[1])]
        old = old[1:]
    for op, name in factors:
        joined = _joined(builder, reader, operands, start[-1], (op, name)) if start else None
        start = [*start[:-1], ("Mul", joined)] if joined else [*start, (op, name)]
    steps: list[ScalarStep] = []
    value = "acc"
    for op, name in start:
        steps.append(ScalarStep(op, (value, name), () if steps else AS_FLOAT))
        value = f"s{body_steps + len(steps) - 1}"
    dropped = len(reader.expression.epilogue) - len(old)
    before = len(reader.expression.body)
    names = {"acc": value, f"s{before}": value} if dropped else {"acc": value}
    shift = body_steps + len(steps) - before - dropped
    return (*steps, *(_renamed(step, names, shift) for step in old))


def _as_float(
    element_type: str, epilogue: tuple[ScalarStep, ...], body_steps: int
) -> tuple[ScalarStep, ...]:
    """The epilogue of an integer product, which leaves the integers before it does anything else.

    Add(acc, D)                      ->  Cast(acc) to float32, Add(s1, D)
    Mul(acc, 0.5) as float32         ->  as it is
    """
    readers = [step for step in epilogue if "acc" in step.inputs]
    if readers and all(step.attributes == AS_FLOAT for step in readers):
        return epilogue
    cast = ScalarStep("Cast", ("acc",), (("to", element_type),))
    names = {"acc": f"s{body_steps}"}
    # Steps of the body keep their numbers; an epilogue reads only its own steps and `acc`.
    return (cast, *(_renamed(step, names, 1) for step in epilogue))


def _joined(
    builder: GraphBuilder,
    reader: Operator,
    operands: Operands,
    first: tuple[str, str],
    second: tuple[str, str],
) -> str | None:
    """One factor for two: of two literals a literal, of a literal and a weight a weight."""
    if (first[0], second[0]) != ("Mul", "Mul"):
        return None
    literals = [name for _, name in (first, second) if is_literal(name)]
    if len(literals) == 2:
        return literal_text(np.asarray(np.float32(literals[0]) * np.float32(literals[1])))
    if not literals:
        return None
    weight = first[1] if second[1] == literals[0] else second[1]
    index = [operand.name for operand in operands.operands].index(weight)
    tensor, factor = operands.tensors[index], np.float32(literals[0])
    if not builder.is_weight(tensor):
        return None
    shape, kind = builder.shape(tensor), builder.element_type(tensor)
    made = builder.weight_from(
        f"{reader.name}.scale", shape, kind, lambda value: value * factor, (tensor,)
    )
    taken = {operand.name for operand in operands.operands}
    name = next(n for i in range(len(taken) + 1) if (n := f"F{i}") not in taken)
    operands.operands.append(Operand(name, operands.operands[index].dims, fused=True))
    operands.tensors.append(made)
    return name


def _renamed(step: ScalarStep, names: Mapping[str, str], shift: int) -> ScalarStep:
    """The step with operands renamed and the numbers of steps shifted."""

    def rename(name: str) -> str:
        if name in names:
            return names[name]
        return f"s{int(name[1:]) + shift}" if re.fullmatch(r"s\d+", name) else name

    return replace(step, inputs=tuple(rename(name) for name in step.inputs))
