"""What the expansions share: layout operators with constant operands, and activations."""

from collections.abc import Mapping, Sequence

import numpy as np

from t10c.onnx_import.expansion import Expansion


def reshape(call: Expansion, source: str, *shape: int) -> str:
    """The same elements in another shape."""
    return call.add("Reshape", [source, call.array(shape, "int64", "shape")])


def transpose(call: Expansion, source: str, *perm: int) -> str:
    """The tensor with its dimensions in another order."""
    return call.add("Transpose", [source], perm=perm)


def part(call: Expansion, source: str, axis: int, start: int, stop: int) -> str:
    """The positions `start` to `stop` (exclusive) of one dimension."""
    bounds = [call.array([item], "int64", "bound") for item in (start, stop, axis)]
    return call.add("Slice", [source, *bounds])


def split(call: Expansion, source: str, axis: int, sizes: Sequence[int]) -> list[str]:
    """Consecutive parts of one dimension."""
    outputs = call.new_tensors("part", len(sizes))
    call.with_list("Split", source, "split", list(sizes), outputs, axis=axis)
    return outputs


def unsqueeze(call: Expansion, source: str, *axes: int) -> str:
    """The tensor with dimensions of size 1 at the given places of the result."""
    return call.with_list("Unsqueeze", source, "axes", list(axes))


def reduce(call: Expansion, op_type: str, source: str, *axes: int, keepdims: int = 1) -> str:
    """A reduction over the given dimensions."""
    operand = call.array(axes, "int64", "axes")
    return call.add(op_type, [source, operand], keepdims=keepdims)


def scalar(call: Expansion, value: float, like: int = 0) -> str:
    """A number in the element type of input `like`, at most the largest it has."""
    kind = call.element_type(like)
    if kind in ("float16", "float32", "float64"):
        largest = float(np.finfo(kind).max)
        return call.array(max(-largest, min(value, largest)), kind)
    return call.add("CastLike", [call.array(value, "float32"), call.input(like)])


def scaled(call: Expansion, source: str, factor: float, like: int = 0) -> str:
    """The tensor times a number."""
    return source if factor == 1.0 else call.add("Mul", [source, scalar(call, factor, like)])


def total(call: Expansion, *terms: str) -> str:
    """The sum of those terms that are not absent ('')."""
    present = [term for term in terms if term]
    result = present[0]
    for term in present[1:]:
        result = call.add("Add", [result, term])
    return result


def positions(call: Expansion, count: int, first: int = 0) -> str:
    """The numbers `first`, `first` + 1, ... as int64; a node, for there may be very many."""
    bounds = [call.array(bound, "int64", "bound") for bound in (first, first + count, 1)]
    return call.add("Range", bounds)


def silu(call: Expansion, source: str, alpha: float = 1.0, like: int = 0) -> str:
    """x * sigmoid(alpha * x)."""
    return call.add("Mul", [source, call.add("Sigmoid", [scaled(call, source, alpha, like)])])


_PARAMETERS: dict[str, tuple[str, ...]] = {
    "Relu": (),
    "Tanh": (),
    "Sigmoid": (),
    "Softplus": (),
    "Softsign": (),
    "HardSwish": (),
    "Gelu": (),
    "Elu": ("alpha",),
    "Celu": ("alpha",),
    "LeakyRelu": ("alpha",),
    "ThresholdedRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Selu": ("alpha", "gamma"),
}
"""The standard's activations that fused operators name, with their parameters in order."""


def parameters_of(name: str) -> tuple[str, ...]:
    """The parameters of an activation in the order in which a fused operator lists them."""
    return ("low", "high") if name == "Clip" else _PARAMETERS.get(name, ())


def activated(
    call: Expansion, source: str, name: str, parameters: Mapping[str, float] | None = None
) -> str:
    """The activation `name` of a fused operator; absent parameters have the standard's defaults.

    Refuses the node where the activation is not known.
    """
    parameters = parameters or {}
    if name in ("", "Identity", "Linear"):
        return source
    if name == "Clip":
        limits = [
            scalar(call, parameters[key]) if key in parameters else "" for key in ("low", "high")
        ]
        return call.add("Clip", [source, *limits])
    if name not in _PARAMETERS:
        call.refuse(f"its activation {name!r} is not known")
    kept = {key: value for key, value in parameters.items() if key in _PARAMETERS[name]}
    return call.add(name, [source], None, **kept)
