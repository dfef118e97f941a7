"""The common form of all scatters: R[a, v, e] = D[a, v, e], or U[a, i, e] where X[a, i(, e)] == v.

Nothing is written to a place that data names. Each place looks for its update instead:

    inverse[a, v] = max over i of (X[a, i] == v ? i : -1)       reduce
    R[a, v, e]    = inverse[a, v] >= 0 ? U[a, inverse[a, v], e] : D[a, v, e]     gather, pointwise

so that the last of several updates wins, as in a loop over them. Indices that are known before
inference have a known inverse. Reductions add up (multiply, ...) all updates of a place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from t10c.ir.expression import Dim, ReduceOp
from t10c.onnx_import.attributes import LoweringError
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer, Placed
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.lowering.gather import index_expression
from t10c.onnx_import.lowering.matmul import product_expression

SEARCH_LIMIT = 2**28
"""Most pairs of a place and an update that are compared; beyond, one core in a loop is better."""

_REDUCTIONS: dict[str, tuple[ReduceOp, str]] = {
    "add": ("sum", "Add"),
    "mul": ("prod", "Mul"),
    "max": ("max", "Max"),
    "min": ("min", "Min"),
}
"""How several updates of a place are reduced, and with what the result joins the data."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the updates go, of shape (a, i, e) or (a, i, 1), counted from the front.

    `tensor` holds them where they are data. Else it is empty, and they are `formula(*values of
    inputs)`; `value` is that where it is known already. `inverse` is the update of each place, -1
    where there is none, if that is easier to say.
    """

    shape: Shape
    tensor: str = ""
    formula: Callable[..., np.ndarray] | None = None
    inputs: tuple[str, ...] = ()
    value: np.ndarray | None = None
    inverse: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Data (a, v, e), updates (a, i, e), and where these go."""

    data: str
    updates: str
    places: Places


def scatter_rows(builder: GraphBuilder, rows: Rows, reduction: str) -> str:
    """Add the operators of a scatter; returns its result (a, v, e).

    `reduction` is `none` or a key of ONNX's; LoweringError where the search is too large.
    """
    if reduction not in ("none", *_REDUCTIONS):
        raise LoweringError(f"reduction {reduction!r} is not supported")
    scatter = _Scatter(builder, rows, reduction)
    start = scatter.run_start()
    if start is not None:
        return scatter.joined(start)
    if rows.places.shape[1] == 1:
        return scatter.single()
    if reduction != "none" and scatter.may_repeat():
        return scatter.reduced()
    return scatter.selected()


class _Scatter:
    """The operators of one scatter."""

    def __init__(self, builder: GraphBuilder, rows: Rows, reduction: str) -> None:
        self._builder = builder
        self._compose = Composer(builder)
        self._rows = rows
        self._reduction = reduction
        self._shape = builder.shape(rows.data)
        self._kind = builder.element_type(rows.data)
        self._count = builder.shape(rows.updates)[1]

    def run_start(self) -> int | None:
        """Where the updates begin if they replace a known run of rows, in order."""
        value = self._rows.places.value
        if value is None or self._reduction != "none":
            return None
        start = int(value.reshape(-1)[0])
        run = np.arange(start, start + self._count).reshape(1, -1, 1)
        return start if np.array_equal(value, np.broadcast_to(run, value.shape)) else None

    def joined(self, start: int) -> str:
        """The data before, the updates, the data after: nothing is computed."""
        stop, rows = start + self._count, self._shape[1]
        parts = [self._rows.updates]
        if start:
            parts.insert(0, self._compose.cut("before", self._rows.data, 1, 0, start))
        if stop < rows:
            parts.append(self._compose.cut("after", self._rows.data, 1, stop, rows))
        return parts[0] if len(parts) == 1 else self._compose.concat("", parts, 1)

    def single(self) -> str:
        """One update per row: every place compares itself with where it goes."""
        hit = Step("Equal", (0, 1))
        return self._merged([(self._index(), _ALL), self._positions()], [hit])

    def selected(self) -> str:
        """Each place reads the last update that goes there."""
        inverse = self._inverse()
        axes = AxisList()
        a, v, e = self._shape
        per_element = self._rows.places.shape[2] > 1
        batch = Dim(axes.add("a", a, "index"), a)
        place = Dim(axes.add("i", v, "index"), v)
        element = Dim(axes.add("e", e, "index" if per_element else "element"), e)
        table = Dim(axes.add("v", self._count, "table", reduction=True), self._count)
        expression = index_expression(
            axes,
            (batch, table, element),
            (batch, place, element if per_element else Dim((), 1)),
            (batch, place, element),
        )
        found = self._compose.new("found", self._shape, self._kind)
        self._builder.compute("found", expression, (self._rows.updates, inverse), found)
        hit = Step("GreaterOrEqual", (0, "0"))
        return self._merged([(inverse, _ALL)], [hit], found)

    def _merged(self, tensors: list[Placed], steps: list[Step], updates: str = "") -> str:
        """Where the last step is true the update, reduced with the data if asked, else the data."""
        data, update = len(tensors), len(tensors) + 1
        everything = [
            *tensors,
            (self._rows.data, _ALL),
            (updates or self._rows.updates, _ALL),
        ]
        chosen: int | str = update
        condition = f"s{len(steps) - 1}"
        if self._reduction != "none":
            steps = [*steps, Step(_REDUCTIONS[self._reduction][1], (data, update))]
            chosen = f"s{len(steps) - 1}"
        steps = [*steps, Step("Where", (condition, chosen, data))]
        return self._compose.pointwise("", self._shape, self._kind, everything, steps)

    def _inverse(self) -> str:
        """The last update of each place, -1 where there is none: (a, v, e) or (a, v, 1)."""
        a, v, _ = self._shape
        places = self._rows.places
        e = places.shape[2]
        if places.inverse:
            return places.inverse
        if places.formula is not None:
            formula = partial(_inverse_of, places.formula, v)
            return self._builder.derived_weight(
                "inverse", (a, v, e), "int64", formula, places.inputs
            )
        self._check(a * v * e * self._count)
        order = self._compose.iota("order", self._count, "int64")
        steps = [Step("Equal", (0, 1)), Step("Where", ("s0", 2, "-1"))]
        tensors: list[Placed] = [(places.tensor, (0, 3, 2)), self._positions(), (order, (3,))]
        space = (a, v, e, self._count)
        return self._compose.reduce("inverse", space, (3,), "int64", tensors, steps, "max")

    def may_repeat(self) -> bool:
        """Whether several updates may go to one place."""
        value = self._rows.places.value
        if value is None:
            return True
        ordered = np.sort(value, axis=1)
        return bool(np.any(ordered[:, 1:] == ordered[:, :-1]))

    def reduced(self) -> str:
        """All updates of each place reduced, then joined with the data."""
        reduce_op, join = _REDUCTIONS[self._reduction]
        a, v, e = self._shape
        matmul = reduce_op == "sum" and e > 1 and self._rows.places.shape[2] == 1
        self._check(a * v * self._count * (1 if matmul else e))
        total = self._product() if matmul else self._compared(reduce_op)
        tensors: list[Placed] = [(self._rows.data, _ALL), (total, _ALL)]
        return self._compose.pointwise("", self._shape, self._kind, tensors, [Step(join, (0, 1))])

    def _compared(self, reduce_op: ReduceOp) -> str:
        """A reduction over all updates, each taken where it goes to this place."""
        neutral = neutral_literal(reduce_op, self._kind)
        steps = [Step("Equal", (0, 1)), Step("Where", ("s0", 2, neutral))]
        at = (0, 3, 2)
        tensors: list[Placed] = [(self._index(), at), self._positions(), (self._rows.updates, at)]
        space = (*self._shape, self._count)
        return self._compose.reduce("total", space, (3,), self._kind, tensors, steps, reduce_op)

    def _product(self) -> str:
        """Selection[a, v, i] times updates[a, i, e]; updates have to be finite."""
        a, v, e = self._shape
        shape = (a, v, self._count)
        steps = [Step("Equal", (0, 1)), Step("Where", ("s0", "1", "0"))]
        tensors: list[Placed] = [(self._index(), (0, 2, 2)), self._positions()]
        selection = self._compose.pointwise("selection", shape, self._kind, tensors, steps)
        axes = AxisList()
        batch = Dim(axes.add("b0", a, "batch"), a)
        m = Dim(axes.add("m", v, "m"), v)
        n = Dim(axes.add("n", e, "n"), e)
        k = Dim(axes.add("k", self._count, "k", reduction=True), self._count)
        expression = product_expression(axes, (batch, m, k), (batch, k, n), (batch, m, n))
        total = self._compose.new("total", self._shape, self._kind)
        self._builder.compute("total", expression, (selection, self._rows.updates), total)
        return total

    def _positions(self) -> Placed:
        return self._compose.iota("positions", self._shape[1], "int64"), (1,)

    def _index(self) -> str:
        """Where the updates go, as a tensor."""
        places = self._rows.places
        if places.formula is None:
            return places.tensor
        return self._builder.derived_weight(
            "places", places.shape, "int64", places.formula, places.inputs
        )

    def _check(self, pairs: int) -> None:
        if pairs > SEARCH_LIMIT:
            raise LoweringError(
                f"{pairs:,} pairs of a place and an update are more than {SEARCH_LIMIT:,}"
            )


_ALL = (0, 1, 2)


def neutral_literal(reduce_op: ReduceOp, element_type: str) -> str:
    """What a reduction starts with, as a literal."""
    if reduce_op in ("sum", "prod"):
        return "0" if reduce_op == "sum" else "1"
    if element_type.startswith(("int", "uint")):
        info = np.iinfo(element_type)
        return str(info.min if reduce_op == "max" else info.max)
    return "-inf" if reduce_op == "max" else "inf"


def _inverse_of(formula: Callable[..., np.ndarray], rows: int, *values: np.ndarray) -> np.ndarray:
    """The last update that goes to each row, -1 where there is none."""
    places = formula(*values)
    inverse = np.full((places.shape[0], rows, places.shape[2]), -1, np.int64)
    a, e = np.ogrid[: places.shape[0], : places.shape[2]]
    for order in range(places.shape[1]):
        inverse[a, places[:, order], e] = order
    return inverse
