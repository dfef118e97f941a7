"""The scalar functions of steps in NumPy, by the name of their ONNX operator.

Each takes the inputs and the step's attributes. Inputs have types NumPy computes in (no narrow
floats), and floats of one width; the caller rounds the result.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from t10c.execute.element_types import Array
from t10c.execute.erf import erf, gelu

Inputs = Sequence[Array]
Attributes = Mapping[str, Any]
Function = Callable[[Inputs, Attributes], Array]


def _plain(function: Callable[..., Any]) -> Function:
    """A function of the inputs alone."""

    def apply(inputs: Inputs, _: Attributes) -> Array:
        result: Array = function(*inputs)
        return result

    return apply


def _joined(function: Callable[[Any, Any], Any]) -> Function:
    """A function of two inputs over any number of them."""

    def apply(inputs: Inputs, _: Attributes) -> Array:
        result: Array = reduce(function, inputs)
        return result

    return apply


def divide(x: Array, y: Array) -> Array:
    """The quotient; that of integers is rounded towards zero."""
    if x.dtype.kind not in "iu":
        return np.divide(x, y)
    quotient = np.floor_divide(x, y)
    if x.dtype.kind == "i":
        inexact = (quotient * y != x) & (y != 0)
        quotient = quotient + (inexact & ((x < 0) ^ (y < 0)))
    return quotient.astype(x.dtype, copy=False)


def _power(x: Array, y: Array) -> Array:
    """x to the power y in the type of x; squares and cubes are products."""
    if y.ndim == 0 and y in (2, 3):
        square: Array = x * x
        return square if y == 2 else square * x
    if x.dtype.kind in "iu" and (y.dtype.kind not in "iu" or np.any(y < 0)):
        x_wide = x.astype(np.float64)
        return np.power(x_wide, y).astype(x.dtype)
    return np.power(x, y).astype(x.dtype, copy=False)


def _modulo(inputs: Inputs, attributes: Attributes) -> Array:
    """The remainder with the sign of the divisor, or of the dividend if `fmod` says so."""
    function = np.fmod if attributes.get("fmod", 0) else np.mod
    result: Array = function(inputs[0], inputs[1])
    return result


def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without loss where exp(-x) is not finite."""
    small = np.exp(-np.abs(x))
    result: Array = np.where(x >= 0, 1, small) / (1 + small)
    return result.astype(x.dtype, copy=False)


def _softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    result: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return result


def _mish(x: Array) -> Array:
    """x * tanh(softplus(x))."""
    result: Array = x * np.tanh(_softplus(x))
    return result


def _gelu(inputs: Inputs, attributes: Attributes) -> Array:
    """The Gaussian error linear unit, exact or by tanh."""
    x = inputs[0]
    if attributes.get("approximate", "none") != "tanh":
        return gelu(x)
    result: Array = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * (x * x * x))))
    return result.astype(x.dtype, copy=False)


def _leaky_relu(inputs: Inputs, attributes: Attributes) -> Array:
    x = inputs[0]
    return np.where(x >= 0, x, x * _number(x, attributes["alpha"]))


def _elu(inputs: Inputs, attributes: Attributes) -> Array:
    x = inputs[0]
    return np.where(x > 0, x, _number(x, attributes["alpha"]) * np.expm1(x))


def _celu(inputs: Inputs, attributes: Attributes) -> Array:
    x, alpha = inputs[0], _number(inputs[0], attributes["alpha"])
    result: Array = np.maximum(0, x) + np.minimum(0, alpha * np.expm1(x / alpha))
    return result


def _selu(inputs: Inputs, attributes: Attributes) -> Array:
    result: Array = _elu(inputs, attributes) * _number(inputs[0], attributes["gamma"])
    return result


def _hard_sigmoid(inputs: Inputs, attributes: Attributes) -> Array:
    x = inputs[0]
    line = x * _number(x, attributes["alpha"]) + _number(x, attributes["beta"])
    result: Array = np.maximum(0, np.minimum(1, line))
    return result


def _hard_swish(x: Array) -> Array:
    """x * max(0, min(1, x / 6 + 1/2))."""
    line = x * _number(x, 1 / 6) + _number(x, 0.5)
    result: Array = x * np.maximum(0, np.minimum(1, line))
    return result


def _swish(inputs: Inputs, attributes: Attributes) -> Array:
    x = inputs[0]
    result: Array = x * _sigmoid(x * _number(x, attributes.get("alpha", 1.0)))
    return result


def _thresholded_relu(inputs: Inputs, attributes: Attributes) -> Array:
    x = inputs[0]
    return np.where(x > _number(x, attributes["alpha"]), x, _number(x, 0))


def _shrink(inputs: Inputs, attributes: Attributes) -> Array:
    """x moved towards zero by `bias`, zero within `lambd`."""
    x, limit = inputs[0], attributes["lambd"]
    bias = _number(x, attributes["bias"])
    inner = np.where(x > limit, x - bias, _number(x, 0))
    moved: Array = np.where(x < -limit, x + bias, inner)
    return moved


def _number(like: Array, value: float) -> Any:
    """A number in the type of an array."""
    return like.dtype.type(value)


def _is_infinite(inputs: Inputs, attributes: Attributes) -> Array:
    """Whether elements are infinite, of the signs that the attributes ask for."""
    x = inputs[0]
    above, below = attributes.get("detect_positive", 1), attributes.get("detect_negative", 1)
    found: Array = np.isinf(x)
    return found & ((bool(above) & (x > 0)) | (bool(below) & (x < 0)))


def _clip(x: Array, low: Array, high: Array) -> Array:
    """x within limits; the upper one wins where they cross."""
    result: Array = np.minimum(np.maximum(x, low), high)
    return result


def _shift(inputs: Inputs, attributes: Attributes) -> Array:
    """Bits moved left or right; those moved by the whole width or more are gone."""
    left = attributes["direction"] == "LEFT"
    result: Array = (np.left_shift if left else np.right_shift)(inputs[0], inputs[1])
    return result


def _mean(inputs: Inputs, _: Attributes) -> Array:
    """The mean of inputs, element by element."""
    total = reduce(np.add, inputs)
    result: Array = total / len(inputs)
    return result.astype(total.dtype, copy=False)


_OF_INPUTS: dict[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "Acos": np.arccos,
    "Acosh": np.arccosh,
    "And": np.logical_and,
    "Asin": np.arcsin,
    "Asinh": np.arcsinh,
    "Atan": np.arctan,
    "Atanh": np.arctanh,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseNot": np.bitwise_not,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
    "Ceil": np.ceil,
    "Clip": _clip,
    "Cos": np.cos,
    "Cosh": np.cosh,
    "Div": divide,
    "Equal": np.equal,
    "Exp": np.exp,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "HardSwish": _hard_swish,
    "IsNaN": np.isnan,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Log": np.log,
    "Mish": _mish,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "PRelu": lambda x, slope: np.where(x > 0, x, x * slope),
    "Pow": _power,
    "Reciprocal": np.reciprocal,
    "Relu": lambda x: np.maximum(x, _number(x, 0)),
    "Round": np.rint,
    "Sigmoid": _sigmoid,
    "Sign": np.sign,
    "Sin": np.sin,
    "Sinh": np.sinh,
    "Softplus": _softplus,
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Tan": np.tan,
    "Tanh": np.tanh,
    "Where": np.where,
    "Xor": np.logical_xor,
}

FUNCTIONS: dict[str, Function] = {
    **{name: _plain(function) for name, function in _OF_INPUTS.items()},
    "Add": _joined(np.add),
    "Max": _joined(np.maximum),
    "Min": _joined(np.minimum),
    "Sum": _joined(np.add),
    "BitShift": _shift,
    "Celu": _celu,
    "Elu": _elu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "IsInf": _is_infinite,
    "LeakyRelu": _leaky_relu,
    "Mean": _mean,
    "Mod": _modulo,
    "Selu": _selu,
    "Shrink": _shrink,
    "Swish": _swish,
    "ThresholdedRelu": _thresholded_relu,
}
"""Functions of any type they are given."""

FLOAT_FUNCTIONS: dict[str, Function] = {"Erf": _plain(erf)}
"""Functions of floats only."""
