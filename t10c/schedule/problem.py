"""Planning problems: what identical operators share, and what is searched once."""

import math
from dataclasses import dataclass, field, replace

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.search.explore import Visitor
from t10c.search.operator import SearchResult, search_operator
from t10c.search.options import SearchOptions
from t10c.search.sieve import Sieve

FEW_READERS = 3
"""Outputs are read so often or less, unless a problem says otherwise."""

MANY_READERS = 24
"""Of outputs that are read more often, how they lie matters more than what a plan costs."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A planning problem: an expression, and which of its inputs are weights with an idle plan.

    `lent` names a weight once for every time that other operators read it where this one keeps it,
    and the output is read at most `readers` times; both are told apart only where plans of all
    steps are chosen together.
    """

    expression: TensorExpression
    weights: tuple[int, ...]
    lent: tuple[int, ...] = field(default=(), metadata={"omit_default": True})
    readers: int = field(default=FEW_READERS, metadata={"omit_default": True})


def search_problem(
    expression: TensorExpression,
    spec: HardwareSpec,
    search: SearchOptions,
    visit: Visitor | None = None,
    sieve: Sieve | None = None,
) -> SearchResult:
    """`search_operator` with the options of `problem_search`."""
    chosen = problem_search(expression, spec, search)
    return search_operator(expression, spec, chosen, visit, sieve)


def problem_search(
    expression: TensorExpression, spec: HardwareSpec, search: SearchOptions
) -> SearchOptions:
    """The options, without thresholds for a reduce that has fewer outputs than cores exist.

    T10's thresholds would have it use most cores all the same, by cutting the reduced axes; but
    every further core then adds a sync to the final reduction.
    """
    if expression.kernel == "reduce":
        outputs = math.prod(a.length for a in expression.axes if not a.reduction)
        if outputs < spec.core_count:
            return replace(search, pruning="exhaustive")
    return search
