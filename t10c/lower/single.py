"""A device program of one operator with any legal plan, its operands being graph inputs or weights.

Model plans use a few chosen plans; this is how any plan of an expression is run and tested.
"""

import math
from collections.abc import Mapping

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import partial_bits, size_bytes, stored_bits
from t10c.ir.expression import TensorExpression
from t10c.ir.graph import Graph, Operator, Tensor, TensorKind, with_widths
from t10c.ir.plan import Plan, piece_shape
from t10c.ir.program import Allocate, Buffer, Free, Instruction, Load, Program, Section, Store
from t10c.lower.frame import Frame
from t10c.lower.homes import even_home, home_name
from t10c.lower.pieces import idle_piece
from t10c.lower.section import Work, lower_operator
from t10c.schedule.idle import IdleCut
from t10c.schedule.positions import core_positions
from t10c.schedule.rings import Shifting

OUTPUT = "output"
"""Tensor that the operator makes; its inputs are tensors named like the operands."""


def operator_program(
    expression: TensorExpression,
    plan: Plan,
    spec: HardwareSpec,
    element_types: Mapping[str, str],
    idle: Mapping[str, IdleCut] | None = None,
) -> Program:
    """The program of an expression with a legal, placeable plan.

    `element_types` gives the type of every operand by name. Operands in `idle` are weights, which
    stay on their cores between inferences, cut further as it says; all others are graph inputs.
    """
    weights = idle or {}
    graph = operator_graph(expression, element_types, frozenset(weights))
    (operator,) = graph.planned
    expression, fed = operator.expression, graph.inputs
    frame = Frame(expression, plan, frozenset(weights))
    begin: list[Instruction] = []
    for name in fed:
        begin += [Allocate(even_home(graph, name, spec)), Load(home_name(name))]
    end = (Store(OUTPUT, (home_name(OUTPUT),)), Free(home_name(OUTPUT)))
    positions = core_positions([Shifting(expression, plan, _sizes(expression, plan, spec))], spec)
    return Program(
        name="operator",
        core_count=spec.core_count,
        core_bytes=spec.usable_bytes,
        reserved_bytes=spec.shift_buffer.reserved_bytes,
        element_bits=stored_bits(spec, 0),
        tensors=graph.tensors,
        inputs=fed,
        outputs=(OUTPUT,),
        kernels=(expression,),
        views=(),
        load=Section("load", "", (), _load(frame, weights, spec)),
        begin=Section("begin", "", (), tuple(begin)),
        sections=(lower_operator(_work(operator, frame, weights), spec),),
        end=Section("end", "", (), end),
        positions=positions.formulas() if positions else None,
    )


def operator_graph(
    expression: TensorExpression, element_types: Mapping[str, str], weights: frozenset[str]
) -> Graph:
    """A graph of the expression alone: operands in `weights` are weights, all others inputs."""
    tensors = [
        _tensor(expression, name, element_types, "weight" if name in weights else "input")
        for name in (operand.name for operand in expression.inputs)
    ]
    result = _tensor(expression, expression.output.name, element_types, "activation")
    fed = tuple(tensor.name for tensor in tensors if tensor.kind == "input")
    names = tuple(tensor.name for tensor in tensors)
    unstamped = Operator("operator", expression.kernel, expression, names, OUTPUT, ())
    (operator,) = with_widths([unstamped], (*tensors, result))
    assert isinstance(operator, Operator)
    return Graph("operator", (*tensors, result), fed, (OUTPUT,), (operator,), (), 0, 0, "")


def _sizes(expression: TensorExpression, plan: Plan, spec: HardwareSpec) -> tuple[int, ...]:
    """Bytes of every operand's piece while it shifts: outputs that shift are partial results."""
    bits = [*(operand.bits for operand in expression.inputs), partial_bits(spec, expression)]
    shapes = [piece_shape(expression, plan, operand) for operand in expression.operands]
    return tuple(
        size_bytes(spec, math.prod(shape), width) for shape, width in zip(shapes, bits, strict=True)
    )


def _work(operator: Operator, frame: Frame, weights: Mapping[str, IdleCut]) -> Work:
    """The operator by itself: what is no weight is fetched from an even spread, and dies."""
    fed = {i: home_name(n) for i, n in enumerate(operator.inputs) if n not in weights}
    return Work(
        operator=operator,
        kernel=0,
        frame=frame,
        kind="transition",
        fetched={position: (home,) for position, home in fed.items()},
        taken={},
        idle=dict(weights),
        dying=tuple(fed.values()),
        copied=frozenset(),
        unread=False,
    )


def _tensor(
    expression: TensorExpression, name: str, element_types: Mapping[str, str], kind: TensorKind
) -> Tensor:
    operand = next(o for o in expression.operands if o.name == name)
    shape = tuple(dim.size for dim in operand.dims)
    made = OUTPUT if kind == "activation" else name
    return Tensor(made, shape, element_types[name], kind)


def _load(
    frame: Frame, weights: Mapping[str, IdleCut], spec: HardwareSpec
) -> tuple[Instruction, ...]:
    """The weights' idle pieces, written once."""
    inline = Frame(frame.expression, frame.plan, frame.kept, inline=True)
    made: list[Instruction] = []
    for operand in frame.expression.inputs:
        if operand.name in weights:
            factors = weights[operand.name].factors
            piece, _ = idle_piece(inline, operand, factors, after_loops=False)
            name = home_name(operand.name)
            bits = stored_bits(spec, operand.bits)
            made += [Allocate(Buffer(name, operand.name, piece, math.prod(piece.shape), bits))]
            made += [Load(name)]
    return tuple(made)
