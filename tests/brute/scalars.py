"""Exact scalar functions, reductions and direct evaluation of expressions by plain loops."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression, is_literal

Value = int | float | Fraction
Coordinates = tuple[int, ...]
Tensor = dict[Coordinates, Value]
Point = Mapping[str, int]  # axis -> index

SCALAR: dict[str, Callable[..., Value]] = {
    "Identity": lambda a: a,
    "Neg": lambda a: -a,
    "Relu": lambda a: max(a, 0),
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Max": max,
    "Min": min,
}
ROW_REDUCTION: dict[str, Callable[[list[Value]], Value]] = {
    "ReduceSum": sum,
    "ReduceMax": max,
    "ReduceMin": min,
}
IDENTITY: dict[str, Value] = {"sum": 0, "mean": 0, "max": -math.inf, "min": math.inf, "prod": 1}


def combine(reduce_op: str | None, a: Value | None, b: Value | None) -> Value | None:
    """Two partial results; None is `nothing contributed yet`."""
    if a is None or b is None:
        return b if a is None else a
    match reduce_op:
        case "sum" | "mean":
            return a + b
        case "prod":
            return a * b
        case "max":
            return max(a, b)
        case "min":
            return min(a, b)
    raise ValueError("two contributions to one element of an output that reduces nothing")


def finish(expression: TensorExpression, partial: Value | None) -> Value:
    """The value of an output element, all contributions being in."""
    if partial is None:
        if expression.reduce_op is None:
            raise ValueError("an output element without a contribution")
        return IDENTITY[expression.reduce_op]
    if expression.reduce_op == "mean":
        return Fraction(partial) / math.prod(a.length for a in expression.axes if a.reduction)
    return partial


def index_of(operand: Operand, point: Point) -> Coordinates:
    """Where an operand is read or written at a point of the iteration space."""
    return tuple(
        dim.offset + sum(stride * point[axis] for axis, stride in dim.terms) for dim in operand.dims
    )


def inside(dims: tuple[Dim, ...], coordinates: Coordinates) -> bool:
    """Whether coordinates lie within the tensor and not in its padding."""
    return all(0 <= c < dim.size for c, dim in zip(coordinates, dims, strict=True))


def points(expression: TensorExpression, ranges: Mapping[str, range]) -> Iterable[dict[str, int]]:
    """All points of a box of the iteration space."""
    names = [axis.name for axis in expression.axes]
    for indices in itertools.product(*(ranges[name] for name in names)):
        yield dict(zip(names, indices, strict=True))


def contribution(
    expression: TensorExpression, read: Callable[[Operand, Coordinates], Value], point: Point
) -> Value | None:
    """What the body adds to the output at one point; None for padding and rows not selected.

    `read` fetches an element of an operand and raises if it is not at hand.
    """
    values: dict[str, Value] = {}
    for operand in expression.inputs:
        if operand.fused and not any(operand.name in step.inputs for step in expression.body):
            continue
        coordinates = index_of(operand, point)
        if not inside(operand.dims, coordinates):
            return None
        values[operand.name] = read(operand, coordinates)
    if expression.kernel == "gather":
        table, index = expression.inputs[:2]
        (selected,) = [a.name for a in expression.axes if a.role == "table"]
        return values[table.name] if values[index.name] == point[selected] else None
    if not expression.body:
        return values[expression.inputs[0].name]
    return apply_steps(expression.body, values, 0)[-1]


def apply_steps(steps: Iterable[ScalarStep], values: dict[str, Value], number: int) -> list[Value]:
    """Results of consecutive scalar steps, the first of which is called `s<number>`."""
    results = []
    for step in steps:
        inputs = [Fraction(n) if is_literal(n) else values[n] for n in step.inputs]
        result = SCALAR[step.op](*inputs)
        values[f"s{number + len(results)}"] = result
        results.append(result)
    return results


def epilogue_value(
    expression: TensorExpression, accumulated: Value, fused: dict[str, Value]
) -> Value:
    """The epilogue applied to one element of the output."""
    values = dict(fused, acc=accumulated)
    results = apply_steps(expression.epilogue, values, len(expression.body))
    return results[-1] if results else accumulated


def row_values(
    expression: TensorExpression,
    read: Callable[[Operand, Coordinates], Value],
    row: list[dict[str, int]],
) -> list[Value]:
    """A row-wise operator on one row: its points differ in the normalised axes only."""
    values: dict[str, list[Value]] = {
        operand.name: [read(operand, index_of(operand, point)) for point in row]
        for operand in expression.inputs
    }
    result: list[Value] = []
    for number, step in enumerate(expression.body):
        columns = [[Fraction(n)] * len(row) if is_literal(n) else values[n] for n in step.inputs]
        if step.op in ROW_REDUCTION:
            result = [ROW_REDUCTION[step.op](columns[0])] * len(row)
        else:
            result = [SCALAR[step.op](*arguments) for arguments in zip(*columns, strict=True)]
        values[f"s{number}"] = result
    return result


def rows_of(box: Iterable[dict[str, int]], expression: TensorExpression) -> list[list[dict]]:
    """Points grouped into rows."""
    kept = [axis.name for axis in expression.axes if axis.splittable]
    rows: dict[Coordinates, list[dict]] = {}
    for point in box:
        rows.setdefault(tuple(point[name] for name in kept), []).append(point)
    return list(rows.values())


def contributions(
    expression: TensorExpression,
    read: Callable[[Operand, Coordinates], Value],
    ranges: Mapping[str, range],
) -> Iterable[tuple[Coordinates, Value]]:
    """Every (output coordinates, value) a box of the iteration space produces."""
    box = points(expression, ranges)
    if expression.kernel == "rowwise":
        for row in rows_of(box, expression):
            for point, value in zip(row, row_values(expression, read, row), strict=True):
                yield index_of(expression.output, point), value
        return
    for point in box:
        value = contribution(expression, read, point)
        if value is not None:
            yield index_of(expression.output, point), value


def output_point(expression: TensorExpression, coordinates: Coordinates) -> dict[str, int]:
    """Axis indices of an output element; output dimensions are plain axes."""
    point = {}
    for dim, c in zip(expression.output.dims, coordinates, strict=True):
        for axis, stride in dim.terms:
            assert dim.offset == 0, "output dimensions are plain axes"
            assert (stride, len(dim.terms)) == (1, 1), "output dimensions are plain axes"
            point[axis] = c
    return point


def elements(operand: Operand) -> Iterable[Coordinates]:
    """Coordinates of all elements of a tensor."""
    return itertools.product(*(range(dim.size) for dim in operand.dims))


def evaluate(expression: TensorExpression, tensors: Mapping[str, Tensor]) -> Tensor:
    """The expression by nested loops over its whole iteration space."""

    def read(operand: Operand, coordinates: Coordinates) -> Value:
        return tensors[operand.name][coordinates]

    ranges = {axis.name: range(axis.length) for axis in expression.axes}
    partial: dict[Coordinates, Value | None] = dict.fromkeys(elements(expression.output))
    for coordinates, value in contributions(expression, read, ranges):
        partial[coordinates] = combine(expression.reduce_op, partial[coordinates], value)
    result = {}
    for coordinates, value in partial.items():
        point = output_point(expression, coordinates)
        fused = {
            x.name: read(x, index_of(x, point))
            for x in expression.inputs
            if any(x.name in step.inputs for step in expression.epilogue)
        }
        result[coordinates] = epilogue_value(expression, finish(expression, value), fused)
    return result
