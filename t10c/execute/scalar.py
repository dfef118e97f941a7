"""Runs the scalar steps of bodies and epilogues on whole arrays, in the model's element types.

Steps follow ONNX: each rounds to its own type, integers wrap, NaN is data. Floats of several widths
may meet, as casts between them are renamings in a graph: the widest is taken.
"""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from onnx import numpy_helper

from t10c.execute.element_types import Array, DType, computing_type, dtype_of, float_rank
from t10c.execute.functions import FLOAT_FUNCTIONS, FUNCTIONS, Function
from t10c.execute.reference import evaluate_step
from t10c.execute.rows import ROW_FUNCTIONS
from t10c.ir.expression import ScalarStep, is_literal

_COPIES = ("Identity", "ArgMax", "ArgMin")
"""Steps that pass on their input: the reduction around an ArgMax finds the position."""


def apply_steps(
    steps: Sequence[ScalarStep],
    env: MutableMapping[str, Array],
    first: int = 0,
    normalised: tuple[int, ...] = (),
) -> Array:
    """Run steps numbered from `first` on arrays that broadcast; the last one's result.

    `env` has the operands by name, and `acc`, which is the result if there is no step; the results
    `s<number>` are added to it. `normalised` are the array axes of the rows of a row-wise operator.
    Raises UnsupportedOperatorError for an operator that is not known.
    """
    value = env.get("acc")
    with np.errstate(all="ignore"):
        for number, step in enumerate(steps, start=first):
            value = env[f"s{number}"] = run_step(step, env, normalised)
    assert value is not None, "no step and nothing accumulated"
    return value


def run_step(
    step: ScalarStep, env: MutableMapping[str, Array], normalised: tuple[int, ...] = ()
) -> Array:
    """The result of one step; NumPy may warn of overflow and the like."""
    ready = _prepared(step)
    if ready.copies:
        name = step.inputs[0]
        return _literal(name, ready.literal_type(env)) if is_literal(name) else env[name]
    inputs = ready.inputs(env)
    if ready.rows:
        return ready.rows(inputs[0], normalised, ready.attributes)
    if step.op == "Cast":
        return _cast(inputs[0], ready.attributes)
    if step.op == "Where":
        return np.where(inputs[0], *_of_one_width(inputs[1:]))
    return _rounded(step, ready, _of_one_width(inputs))


def _rounded(step: ScalarStep, ready: "_Prepared", inputs: list[Array]) -> Array:
    """A function computed in a type NumPy has, rounded to the type of its first input."""
    kind = inputs[0].dtype
    wide = computing_type(kind)
    if wide is not kind and wide != kind:
        inputs = [array.astype(computing_type(array.dtype), copy=False) for array in inputs]
    function = ready.function
    if function is None and wide.kind == "f":
        function = FLOAT_FUNCTIONS.get(step.op)
    result = function(inputs, ready.attributes) if function else evaluate_step(step, inputs)
    return result.astype(kind) if result.dtype == wide and wide != kind else result


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A step as it is run: everything that does not depend on the arrays."""

    step: ScalarStep
    copies: bool
    function: Function | None
    rows: Callable[[Array, tuple[int, ...], dict[str, Any]], Array] | None
    attributes: dict[str, Any]
    kind: DType | None
    literals: tuple[bool, ...]

    def literal_type(self, env: MutableMapping[str, Array]) -> DType:
        """The type of literals: `as`, else that of the first value they meet, else float32."""
        if self.kind is not None:
            return self.kind
        alike = 1 if self.step.op == "Where" else 0
        for name, literal in zip(self.step.inputs[alike:], self.literals[alike:], strict=True):
            if not literal:
                return env[name].dtype
        return np.dtype(np.float32)

    def inputs(self, env: MutableMapping[str, Array]) -> list[Array]:
        """The arrays the step reads; literals have no dimensions."""
        if not any(self.literals):
            found = [env[name] for name in self.step.inputs]
        else:
            kind = self.literal_type(env)
            pairs = zip(self.step.inputs, self.literals, strict=True)
            found = [_literal(name, kind) if literal else env[name] for name, literal in pairs]
        if self.kind is not None:
            found = [array.astype(self.kind, copy=False) for array in found]
        return found


@lru_cache(maxsize=4096)
def _prepared(step: ScalarStep) -> _Prepared:
    kind = str(step.attribute("as", ""))
    attributes = {name: value for name, value in step.attributes if name != "as"}
    return _Prepared(
        step,
        step.op in _COPIES,
        FUNCTIONS.get(step.op),
        ROW_FUNCTIONS.get(step.op),
        attributes,
        dtype_of(kind) if kind else None,
        tuple(is_literal(name) for name in step.inputs),
    )


@lru_cache(maxsize=4096)
def _literal(text: str, kind: DType) -> Array:
    """A literal number in a type; whole numbers are exact in integers."""
    if kind.kind in "iu" and text.removeprefix("-").isdigit():
        return np.asarray(int(text), kind)
    with np.errstate(all="ignore"):
        return np.asarray(np.asarray(float(text)).astype(kind))


def _cast(x: Array, attributes: dict[str, Any]) -> Array:
    """The values in another type; those too large for an 8-bit float become its largest.

    Powers of two have a direction to round in, which is up unless the step says otherwise.
    """
    target, saturate = str(attributes["to"]), bool(attributes.get("saturate", 1))
    if "e8m0" in target:
        mode = str(attributes.get("round_mode", "up"))
        return np.asarray(numpy_helper.to_float8e8m0(x, saturate, mode))
    if "float8" in target and saturate:
        return np.asarray(numpy_helper.saturate_cast(x, dtype_of(target)))
    return x.astype(dtype_of(target))


def _of_one_width(inputs: list[Array]) -> list[Array]:
    """The inputs with all floats among them in the widest type of theirs."""
    if len(inputs) == 1 or all(array.dtype == inputs[0].dtype for array in inputs[1:]):
        return inputs
    ranks = [float_rank(array.dtype) for array in inputs]
    widest = inputs[ranks.index(max(ranks))].dtype
    return [
        array.astype(widest, copy=False) if rank >= 0 else array
        for array, rank in zip(inputs, ranks, strict=True)
    ]
