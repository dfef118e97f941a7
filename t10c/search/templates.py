"""Expressions by name (`matmul`, `conv`, ...) and axis lengths."""

from collections.abc import Callable, Mapping

from t10c.errors import UsageError
from t10c.ir.expression import Axis, Dim, Operand, Role, ScalarStep, TensorExpression
from t10c.search.limits import check_numbers, within_limits
from t10c.suggest import did_you_mean

Lengths = Mapping[str, int]

_ROLES: dict[str, dict[str, Role]] = {
    "matmul": {"m": "m", "n": "n", "k": "k"},
    "bmm": {"b": "batch", "m": "m", "n": "n", "k": "k"},
    "conv": {
        "b": "batch",
        "g": "group",
        "o": "out_channel",
        "c": "in_channel",
        "h": "out_spatial",
        "w": "out_spatial",
        "kh": "kernel",
        "kw": "kernel",
    },
    "pool": {
        "b": "parallel",
        "c": "parallel",
        "h": "out_spatial",
        "w": "out_spatial",
        "kh": "kernel",
        "kw": "kernel",
    },
    "reduce": {},
    "pointwise": {},
    "gather": {},
}
_REDUCTION_ROLES = {"k", "in_channel", "kernel", "reduced", "table"}
_CONV_OPTIONS = ("stride_h", "stride_w", "dilation_h", "dilation_w")


def template_names() -> tuple[str, ...]:
    """Names of the ready-made expressions."""
    return tuple(_ROLES)


def named_expression(name: str, lengths: Lengths) -> TensorExpression:
    """The ready-made expression `name` with the given axis lengths.

    `conv` and `pool` also take `stride_h`, `stride_w`, `dilation_h` and `dilation_w` among the
    lengths, and the shorthands `stride` and `dilation` for both. `reduce` sums axes whose names
    begin with `k`; `pointwise` adds two operands; `gather` reads axes `i...` of an index and
    `e...` of a table with axis `v`. Raises UsageError with a remedy.
    """
    build: dict[str, Callable[[Lengths], TensorExpression]] = {
        "matmul": _matmul,
        "bmm": _matmul,
        "conv": _conv,
        "pool": _pool,
        "reduce": _reduce,
        "pointwise": _pointwise,
        "gather": _gather,
    }
    if name not in build:
        raise UsageError(
            f"unknown operator {name!r}{did_you_mean(name, build)}\nknown are {', '.join(build)},"
            ' or a free expression such as "C[m,n] += A[m,k] * B[k,n]"'
        )
    _check_lengths(name, lengths)
    return within_limits(build[name](lengths))


def _check_lengths(name: str, lengths: Lengths) -> None:
    if not lengths:
        raise UsageError(f"{name} needs axis lengths: --axes a=8,b=16")
    check_numbers(lengths.items())
    known = _ROLES.get(name)
    if not known:
        return
    allowed = [*known, *(_CONV_OPTIONS if name in ("conv", "pool") else ())]
    allowed += ["stride", "dilation"] if name in ("conv", "pool") else []
    for axis in lengths:
        if axis not in allowed:
            hint = did_you_mean(axis, allowed)
            raise UsageError(f"{name} has no axis {axis!r}{hint} (axes: {', '.join(allowed)})")
    required = {"matmul": "mnk", "bmm": "bmnk", "conv": "ochw", "pool": "chw"}[name]
    missing = [axis for axis in required if axis not in lengths]
    if missing:
        example = ",".join(f"{axis}=8" for axis in required)
        raise UsageError(f"{name} needs the axes {', '.join(missing)} too: --axes {example}")


def _axes(name: str, lengths: Lengths) -> tuple[Axis, ...]:
    return tuple(
        Axis(axis, lengths[axis], role, role in _REDUCTION_ROLES)
        for axis, role in _ROLES[name].items()
        if axis in lengths
    )


def _plain(name: str, lengths: Lengths, axes: str | tuple[str, ...]) -> Operand:
    return Operand(name, tuple(Dim(((a, 1),), lengths[a]) for a in axes if a in lengths))


def _matmul(lengths: Lengths) -> TensorExpression:
    return TensorExpression(
        kernel="matmul",
        axes=_axes("bmm" if "b" in lengths else "matmul", lengths),
        inputs=(_plain("A", lengths, "bmk"), _plain("B", lengths, "bkn")),
        output=_plain("C", lengths, "bmn"),
        body=(ScalarStep("Mul", ("A", "B")),),
        reduce_op="sum",
    )


def _window(lengths: Lengths, axis: str) -> Dim:
    stride = lengths.get(f"stride_{axis}", lengths.get("stride", 1))
    dilation = lengths.get(f"dilation_{axis}", lengths.get("dilation", 1))
    kernel = lengths.get(f"k{axis}", 1)
    terms = [(axis, stride)] + ([(f"k{axis}", dilation)] if f"k{axis}" in lengths else [])
    return Dim(tuple(terms), stride * (lengths[axis] - 1) + dilation * (kernel - 1) + 1)


def _channels(lengths: Lengths, axis: str) -> Dim:
    if "g" not in lengths:
        return Dim(((axis, 1),), lengths[axis])
    return Dim((("g", lengths[axis]), (axis, 1)), lengths["g"] * lengths[axis])


def _conv(lengths: Lengths) -> TensorExpression:
    batch = _plain("", lengths, "b").dims
    kernel = _plain("", lengths, ("kh", "kw")).dims
    spatial = _plain("", lengths, "hw").dims
    windows = (_window(lengths, "h"), _window(lengths, "w"))
    return TensorExpression(
        kernel="conv",
        axes=_axes("conv", lengths),
        inputs=(
            Operand("I", (*batch, _channels(lengths, "c"), *windows)),
            Operand("K", (_channels(lengths, "o"), *_plain("", lengths, "c").dims, *kernel)),
        ),
        output=Operand("O", (*batch, _channels(lengths, "o"), *spatial)),
        body=(ScalarStep("Mul", ("I", "K")),),
        reduce_op="sum",
    )


def _pool(lengths: Lengths) -> TensorExpression:
    windows = (_window(lengths, "h"), _window(lengths, "w"))
    return TensorExpression(
        kernel="pool",
        axes=_axes("pool", lengths),
        inputs=(Operand("I", (*_plain("", lengths, "bc").dims, *windows)),),
        output=_plain("O", lengths, "bchw"),
        body=(ScalarStep("Identity", ("I",)),),
        reduce_op="max",
    )


def _reduce(lengths: Lengths) -> TensorExpression:
    reduced = [axis for axis in lengths if axis.startswith("k")]
    if not reduced:
        raise UsageError("reduce sums the axes whose names begin with k: --axes m=8,k=16")
    axes = tuple(
        Axis(a, n, "reduced" if a in reduced else "parallel", a in reduced)
        for a, n in lengths.items()
    )
    return TensorExpression(
        kernel="reduce",
        axes=axes,
        inputs=(_plain("A", lengths, tuple(lengths)),),
        output=_plain("C", lengths, tuple(a for a in lengths if a not in reduced)),
        body=(ScalarStep("Identity", ("A",)),),
        reduce_op="sum",
    )


def _pointwise(lengths: Lengths) -> TensorExpression:
    names = tuple(lengths)
    return TensorExpression(
        kernel="pointwise",
        axes=tuple(Axis(a, n, "parallel") for a, n in lengths.items()),
        inputs=(_plain("A", lengths, names), _plain("B", lengths, names)),
        output=_plain("C", lengths, names),
        body=(ScalarStep("Add", ("A", "B")),),
    )


def _gather(lengths: Lengths) -> TensorExpression:
    index = tuple(a for a in lengths if a.startswith("i"))
    element = tuple(a for a in lengths if a.startswith("e"))
    if not index or "v" not in lengths or len(index) + len(element) + 1 != len(lengths):
        raise UsageError(
            "gather has index axes i..., element axes e... and the table axis v: "
            "--axes i=128,e=1024,v=30522"
        )
    roles: dict[str, Role] = {**dict.fromkeys(index, "index"), **dict.fromkeys(element, "element")}
    return TensorExpression(
        kernel="gather",
        axes=(
            *(Axis(a, lengths[a], roles[a]) for a in (*index, *element)),
            Axis("v", lengths["v"], "table", True),
        ),
        inputs=(_plain("T", lengths, ("v", *element)), _plain("X", lengths, index)),
        output=_plain("O", lengths, (*index, *element)),
        body=(ScalarStep("Gather", ("T", "X")),),
        reduce_op="sum",
    )
