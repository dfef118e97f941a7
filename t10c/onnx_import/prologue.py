"""Quantised graphs: what computes reads stored values, and dequantises them by itself.

q -> Dequantise -> Reshape -> matmul     becomes   q -> Reshape -> matmul of stored values
q -> Dequantise -> MaxPool -> Quantise   becomes   q -> MaxPool, where both have the same scale
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from t10c.ir.expression import Dim, ScalarStep, is_literal
from t10c.ir.graph import LayoutOp, Operator
from t10c.onnx_import.absorb import absorbed
from t10c.onnx_import.dequantised import (
    Along,
    Dequantised,
    Factor,
    along,
    dequantised,
    squeezed_places,
)
from t10c.onnx_import.draft import AnyOperator, Draft
from t10c.onnx_import.lowering.builder import GraphBuilder

Change = Callable[[], Dequantised | None]
"""Lets one reader take in the dequantisation; returns what is left of it behind the reader."""


def sink_dequantisation(draft: Draft, builder: GraphBuilder) -> None:
    """Let what reads dequantised tensors read the stored ones, and dequantise by itself.

    A weight's dequantisation moves into every reader that can take it in; operators that compute
    weights go, for these are computed before inference. An activation's moves if all readers can.
    """
    for name in draft.names():
        if name in draft and (value := dequantised(builder, draft[name])) is not None:
            _sink(draft, builder, value)
    for name in draft.names():
        if builder.is_weight(draft[name].output):
            draft.remove(name)
    _share(draft, builder)


def _share(draft: Draft, builder: GraphBuilder) -> None:
    """Move a weight during inference that is read unmoved too: both are then one tensor.

    An embedding table that is also the output head, transposed, is stored once.
    """
    moves = builder.moved_weights
    for stored in list(moves):
        users = sorted(draft.users(stored), key=draft.position)
        chain = [stored]
        while (source := moves[chain[-1]].inputs[0]) in moves:
            chain.append(source)
        if not users or not draft.users(source):
            continue
        for name in reversed(chain):
            if builder.is_weight(name):
                builder.forget_weight(name)
                draft.put(moves[name], draft.before(users[0]))


def _sink(draft: Draft, builder: GraphBuilder, value: Dequantised) -> None:
    """Let the readers of a dequantised tensor take in the dequantisation."""
    own = value.operator
    readers = [draft[name] for name in draft.users(own.output)]
    changes = [_change(draft, builder, reader, value) for reader in readers]
    possible = [change for change in changes if change is not None]
    complete = len(possible) == len(changes) and not draft.is_output(own.output)
    if not possible or not (complete or builder.is_weight(own.output)):
        return
    left = [change() for change in possible]
    if complete:
        draft.remove(own.name)
    for rest in left:
        if rest is not None:
            _sink(draft, builder, rest)


def _change(
    draft: Draft, builder: GraphBuilder, reader: AnyOperator, value: Dequantised
) -> Change | None:
    """How a reader takes in the dequantisation; None if it cannot."""
    if isinstance(reader, LayoutOp):
        return _behind_move(draft, builder, reader, value)
    if reader.expression.kernel == "gather":
        return _behind_gather(draft, builder, reader, value)
    if _is_max_pool(reader) and _is_rising(value):
        return partial(_pass, draft, builder, reader, value.moved({}))
    made = absorbed(builder, reader, value)
    if made is None:
        return None
    return partial(_put, draft, builder, made)


def _put(draft: Draft, builder: GraphBuilder, operator: Operator) -> None:
    """Replace a reader; one that returns the stored values as they were is a relabelling."""
    made: AnyOperator = operator
    if _returns(builder, operator):
        made = LayoutOp(
            operator.name,
            operator.op_type,
            "reshape",
            operator.inputs,
            operator.output,
            operator.nodes,
        )
    draft.put(made, draft.position(operator.name))


def _returns(builder: GraphBuilder, operator: Operator) -> bool:
    """Whether a pointwise operator dequantises and quantises again with the same parameters."""
    body = operator.expression.body
    if len(operator.inputs) != 1 or operator.expression.kernel != "pointwise":
        return False
    kinds = {builder.element_type(tensor) for tensor in (operator.inputs[0], operator.output)}
    rounding = [number for number, step in enumerate(body) if step.op == "Round"]
    if len(kinds) != 1 or len(rounding) != 1:
        return False
    before, after = body[: rounding[0]], body[rounding[0] + 1 :]
    first, second = (_literals(steps) for steps in (before, after))
    point = first.pop("Sub", "0")
    shape = [step.op for step in after]
    return (
        set(first) == {"Mul", "Div"}
        and first["Mul"] == first["Div"]
        and shape[-2:] == ["Clip", "Cast"]
        and float(point) == float(second.get("Add", "0"))
        and len(body) == len(first) + (point != "0") + 1 + len(after)
    )


def _literals(steps: tuple[ScalarStep, ...]) -> dict[str, str]:
    """The literal that each step of two inputs has."""
    return {
        step.op: step.inputs[1]
        for step in steps
        if len(step.inputs) == 2 and is_literal(step.inputs[1])
    }


def _is_max_pool(reader: Operator) -> bool:
    expression = reader.expression
    plain = [step.op for step in expression.body] == ["Identity"] and not expression.epilogue
    return (expression.kernel, expression.reduce_op) == ("pool", "max") and plain


def _is_rising(value: Dequantised) -> bool:
    """Whether larger stored values stand for larger numbers, by the same rule everywhere."""
    point = value.zero_point
    literal = point is None or isinstance(point, str)
    return literal and all(isinstance(f, str) and float(f) > 0 for _, f in value.factors)


def _pass(
    draft: Draft, builder: GraphBuilder, reader: AnyOperator, rest: Dequantised
) -> Dequantised:
    """Let a reader move or select stored values; returns the dequantisation of its result."""
    source, output = rest.source, reader.output
    kind, shape = builder.element_type(source), builder.shape(output)
    position = draft.position(reader.name)
    following = draft.after(reader.name)
    wanted = f"{output}.stored"
    if isinstance(reader, LayoutOp) and builder.is_weight(source):
        formula = partial(_moved, reader, shape)
        stored = builder.weight_from(wanted, shape, kind, formula, (source,))
        moved = replace(reader, inputs=(source,), output=stored)
        builder.moved_weights[stored] = moved
        draft.remove(reader.name)
    else:
        stored = builder.new_tensor(wanted, shape, kind)
        inputs = tuple(source if t == rest.operator.output else t for t in reader.inputs)
        draft.put(replace(reader, inputs=inputs, output=stored), position)
    name = draft.unused_name(f"{rest.operator.name}.behind")
    made = rest.applied(builder, stored, output, name)
    draft.put(made.operator, following)
    return made


def _moved(layout: LayoutOp, shape: tuple[int, ...], value: np.ndarray) -> np.ndarray:
    """What a layout operator makes of a weight."""
    match layout.kind:
        case "transpose":
            return value.transpose(layout.perm)
        case "slice":
            rows = [
                start + step * np.arange(size)
                for start, step, size in zip(layout.starts, layout.steps, shape, strict=True)
            ]
            return value[np.ix_(*rows)]
        case "expand":
            return np.broadcast_to(value, shape)
        case "pad":
            padded = np.full(shape, float(layout.fill)).astype(value.dtype)
            box = tuple(
                slice(start, start + size)
                for start, size in zip(layout.starts, value.shape, strict=True)
            )
            padded[box] = value
            return padded
        case _:
            return value.reshape(shape)


def _behind_move(
    draft: Draft, builder: GraphBuilder, layout: LayoutOp, value: Dequantised
) -> Change | None:
    """Move the stored values instead of the dequantised ones."""
    old, new = builder.shape(layout.inputs[0]), builder.shape(layout.output)
    same = range(len(old))
    match layout.kind:
        case "transpose":
            places = {dimension: index for index, dimension in enumerate(layout.perm)}
        case "reshape":
            found = squeezed_places(old, new)
            if found is None and value.lies_along(set(same)):
                return None
            places = found or {}
        case "slice" | "pad" | "expand":
            offset = len(new) - len(old)
            places = {d: d + offset for d in same if old[d] == new[d + offset]}
            if value.lies_along(set(same) - set(places)):
                return None
            if layout.kind == "pad":
                filled = _filled(layout, value)
                if filled is None:
                    return None
                layout = filled
        case _:
            return None
    if layout.kind == "slice" and value.lies_along(
        {d for d in same if (layout.starts[d], layout.steps[d]) != (0, 1)}
    ):
        return None
    return partial(_pass, draft, builder, layout, value.moved(places))


def _filled(layout: LayoutOp, value: Dequantised) -> LayoutOp | None:
    """The padding with what stands for 0."""
    if float(layout.fill) != 0 or not (
        value.zero_point is None or isinstance(value.zero_point, str)
    ):
        return None
    return replace(layout, fill=value.zero_point or "0")


def _behind_gather(
    draft: Draft, builder: GraphBuilder, reader: Operator, value: Dequantised
) -> Change | None:
    """Select stored values; where rows have a scale of their own, select scales too."""
    table, output = reader.expression.inputs[0], reader.expression.output
    if reader.inputs.count(value.operator.output) != 1:
        return None
    if reader.inputs[0] != value.operator.output:
        return None
    ends = {dim.terms: index for index, dim in enumerate(output.dims) if dim.terms}
    places = {i: ends[dim.terms] for i, dim in enumerate(table.dims) if dim.terms in ends}
    rows = set(range(len(table.dims))) - set(places)
    if value.block and value.block[0] in rows:
        return None

    def change() -> Dequantised:
        def select(factor: Factor) -> Factor:
            if isinstance(factor, str) or not along(factor) & rows:
                return factor
            return _selected(draft, builder, reader, factor)

        moved = value.moved(places, select)
        return _pass(draft, builder, reader, moved)

    return change


def _selected(draft: Draft, builder: GraphBuilder, reader: Operator, factor: Along) -> Along:
    """The scales or zero points of the rows that a gather selects."""
    old = reader.expression
    lengths = {axis.name: axis.length for axis in old.axes}
    table: list[Dim] = []
    for place, size in zip(factor.places, builder.shape(factor.tensor), strict=True):
        terms = () if place is None else old.inputs[0].dims[place].terms
        table.append(Dim(terms, size))
        lengths |= {axis: size for axis, _ in terms}  # fewer where a scale is of a block
    used = {axis for dim in (*table, *old.inputs[1].dims) for axis, _ in dim.terms}
    dims = tuple(
        Dim(dim.terms, math.prod(lengths[axis] for axis, _ in dim.terms))
        if all(axis in used for axis, _ in dim.terms)
        else Dim((), 1)
        for dim in old.output.dims
    )
    expression = replace(
        old,
        axes=tuple(replace(a, length=lengths[a.name]) for a in old.axes if a.name in used),
        inputs=(replace(old.inputs[0], dims=tuple(table)), old.inputs[1]),
        output=replace(old.output, dims=dims),
    )
    shape = tuple(dim.size for dim in dims)
    kind = builder.element_type(factor.tensor)
    chosen = builder.new_tensor(f"{reader.output}.{factor.tensor}", shape, kind)
    operator = replace(
        reader,
        name=draft.unused_name(f"{reader.name}.scale"),
        expression=expression,
        inputs=(factor.tensor, reader.inputs[1]),
        output=chosen,
    )
    draft.put(operator, draft.before(reader.name))
    places = tuple(index if dim.terms else None for index, dim in enumerate(dims))
    return Along(chosen, places)
