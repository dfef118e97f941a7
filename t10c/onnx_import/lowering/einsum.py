"""Einsum: contractions as matmul expressions, two operands at a time.

A label that both operands and the result have is batch, one that the result has from a single
operand is m or n, one that only the two operands have is k. What one operand alone has and nobody
needs is summed first; a label twice in one operand is its diagonal, a strided slice.

abc,cd,de->abe   ->   t[c,e] += cd * de;  y[ab,e] += abc * t
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from t10c.ir.expression import Dim, Role, TensorExpression
from t10c.onnx_import.attributes import LoweringError, text
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import AxisList, Shape, Terms
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.lowering.matmul import product_expression
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Term:
    """A tensor with a label per dimension; '' for one of size 1, which carries no label."""

    tensor: str
    labels: Labels

    @property
    def own(self) -> frozenset[str]:
        return frozenset(self.labels) - {""}


@dataclass(frozen=True, slots=True)
class Equation:
    """Labels of every operand and of the result; dimensions under an ellipsis are `...0`, ..."""

    operands: tuple[Labels, ...]
    result: Labels


def parse_equation(equation: str, ranks: Sequence[int]) -> Equation:
    """The labels of an equation for operands of these ranks; LoweringError if they do not fit."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        raise LoweringError(f"equation {equation!r} has {len(parts)} operands, not {len(ranks)}")
    covered = [
        rank - len(part.replace("...", ""))
        for part, rank in zip(parts, ranks, strict=True)
        if "..." in part
    ]
    widest = max(covered, default=0)
    operands = tuple(_labels(part, rank, widest) for part, rank in zip(parts, ranks, strict=True))
    spread = tuple(f"...{index}" for index in range(widest))
    if arrow:
        before, dots, after = right.partition("...")
        return Equation(operands, (*before, *(spread if dots else ()), *after))
    counts = Counter(label for labels in operands for label in labels if label not in spread)
    return Equation(operands, (*spread, *sorted(n for n, count in counts.items() if count == 1)))


def _labels(part: str, rank: int, widest: int) -> Labels:
    before, dots, after = part.partition("...")
    hidden = rank - len(before) - len(after)
    if hidden < 0 or (hidden and not dots):
        raise LoweringError(f"{part!r} does not fit an operand of rank {rank}")
    spread = tuple(f"...{index}" for index in range(widest - hidden, widest))
    return (*before, *spread, *after)


@lowers("Einsum")
def lower_einsum(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A matmul expression per pair of operands, the pair with the smallest result first."""
    shapes = [builder.shape(name) for name in node.inputs]
    equation = parse_equation(text(node, "equation", ""), [len(shape) for shape in shapes])
    contraction = _Contraction(builder, node, equation, shapes)
    contraction.run()


class _Contraction:
    """The operands that are left while they are contracted pair by pair."""

    def __init__(
        self,
        builder: GraphBuilder,
        node: ResolvedNode,
        equation: Equation,
        shapes: Sequence[Shape],
    ) -> None:
        self._compose = Composer(builder)
        self._builder = builder
        self._output = node.outputs[0]
        self._result = equation.result
        self._lengths: dict[str, int] = {}
        for labels, shape in zip(equation.operands, shapes, strict=True):
            for label, size in zip(labels, shape, strict=True):
                length = self._lengths.setdefault(label, size)
                if 1 not in (length, size) and length != size:
                    raise LoweringError(f"label {label!r} stands for both {length} and {size}")
                self._lengths[label] = max(length, size)
        self._terms = [
            _Term(name, tuple("" if n == 1 else x for x, n in zip(labels, shape, strict=True)))
            for name, labels, shape in zip(node.inputs, equation.operands, shapes, strict=True)
        ]
        self._count = 0

    def run(self) -> None:
        """Contract until the output is made."""
        self._terms = [self._diagonal(term) for term in self._terms]
        while len(self._terms) > 2:
            first, second = self._cheapest_pair()
            rest = [term for i, term in enumerate(self._terms) if i not in (first, second)]
            product = self._pair(self._terms[first], self._terms[second], self._needed(rest), "")
            self._terms = [*rest, product]
        if len(self._terms) == 1:
            self._deliver(self._terms[0])
        else:
            left, right = self._terms
            self._pair(left, right, self._needed(()), self._output)

    def _needed(self, rest: Sequence[_Term]) -> frozenset[str]:
        return frozenset(self._result).union(*(term.own for term in rest))

    def _cheapest_pair(self) -> tuple[int, int]:
        """The pair whose product is smallest, of equal ones the one of fewest multiplications."""

        def cost(pair: tuple[int, int]) -> tuple[int, int]:
            both = self._terms[pair[0]].own | self._terms[pair[1]].own
            rest = [term for i, term in enumerate(self._terms) if i not in pair]
            return self._volume(both & self._needed(rest)), self._volume(both)

        return min(combinations(range(len(self._terms)), 2), key=cost)

    def _volume(self, labels: Iterable[str]) -> int:
        return math.prod(self._lengths[label] for label in labels)

    def _shape(self, labels: Labels) -> Shape:
        return tuple(self._lengths[label] for label in labels)

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{what}{self._count}"

    def _diagonal(self, term: _Term) -> _Term:
        """The term without repeated labels: moved last, [n, n] is read as n * n in steps n + 1."""
        while repeated := [x for x, n in Counter(term.labels).items() if x and n > 1]:
            label = repeated[0]
            at = [d for d, x in enumerate(term.labels) if x == label][:2]
            others = [d for d in range(len(term.labels)) if d not in at]
            n = self._lengths[label]
            compose, tensor = self._compose, term.tensor
            shape = self._builder.shape(tensor)
            kept = tuple(shape[d] for d in others)
            tensor = compose.transpose(self._name("moved"), tensor, (*others, *at))
            tensor = compose.reshape(self._name("flat"), tensor, (*kept, n * n))
            name = self._name("diagonal")
            tensor = compose.cut(name, tensor, len(kept), 0, n * n, n + 1)
            term = _Term(tensor, (*(term.labels[d] for d in others), label))
        return term

    def _summed(self, term: _Term, kept: frozenset[str], into: str = "") -> _Term:
        """The term summed over all labels but those kept; as the output in the output's order."""
        alone = tuple(label for label in term.labels if label and label not in kept)
        if not alone:
            return term
        order = self._result if into else tuple(x for x in term.labels if x in kept)
        space = (*order, *alone)
        placed = term.tensor, [space.index(x) if x else 0 for x in term.labels]
        reduced = range(len(order), len(space))
        kind = self._builder.element_type(term.tensor)
        tensor = self._compose.reduce(
            "" if into else self._name("sum"),
            self._shape(space),
            reduced,
            kind,
            [placed],
            [Step("Identity", (0,))],
            "sum",
            into,
        )
        return _Term(tensor, order)

    def _pair(self, left: _Term, right: _Term, needed: frozenset[str], into: str) -> _Term:
        """One product: a matmul where something is summed, else pointwise with broadcasting."""
        left = self._summed(left, needed | right.own)
        right = self._summed(right, needed | left.own)
        order = [x for x in dict.fromkeys((*left.labels, *right.labels)) if x]
        labels = self._result if into else tuple(x for x in order if x in needed)
        suffix = "" if into else self._name("product")
        kind = self._builder.element_type(left.tensor)
        name = f"{self._builder.node}.{suffix}"
        output = into or self._builder.new_tensor(name, self._shape(labels), kind)
        if all(label in needed for label in order):
            placed = [
                (term.tensor, [labels.index(x) if x else 0 for x in term.labels])
                for term in (left, right)
            ]
            shape = self._shape(labels)
            self._compose.pointwise(suffix, shape, kind, placed, [Step("Mul", (0, 1))], output)
        else:
            expression = self._matmul(left, right, labels, needed)
            self._builder.compute(suffix, expression, (left.tensor, right.tensor), output)
        return _Term(output, labels)

    def _matmul(
        self, left: _Term, right: _Term, labels: Labels, needed: frozenset[str]
    ) -> TensorExpression:
        """C += A * B with an axis per label; dimensions of size 1 have none."""
        axes = AxisList()
        terms: dict[str, Terms] = {}
        sets: tuple[tuple[Role, frozenset[str]], ...] = (
            ("batch", left.own & right.own & needed),
            ("m", left.own - right.own),
            ("n", right.own - left.own),
            ("k", (left.own & right.own) - needed),
        )
        for role, found in sets:
            order = [x for x in dict.fromkeys((*left.labels, *right.labels)) if x in found]
            for index, label in enumerate(order):
                name = f"{role[0]}{index}" if role == "batch" or len(order) > 1 else role
                terms[label] = axes.add(name, self._lengths[label], role, role == "k")
        a, b, c = (
            tuple(Dim(terms.get(x, ()), n) for x, n in zip(names, shape, strict=True))
            for names, shape in (
                (left.labels, self._builder.shape(left.tensor)),
                (right.labels, self._builder.shape(right.tensor)),
                (labels, self._shape(labels)),
            )
        )
        return product_expression(axes, a, b, c)

    def _deliver(self, term: _Term) -> None:
        """A single operand: summed, else transposed to the output."""
        if term.own - frozenset(self._result):
            self._summed(term, frozenset(self._result), self._output)
            return
        kept = tuple(x for x in term.labels if x)
        order = tuple(x for x in self._result if x in kept)
        if order == kept:
            self._builder.reshape(term.tensor, self._output)
            return
        tensor = self._compose.reshape("squeezed", term.tensor, self._shape(kept))
        perm = [kept.index(x) for x in order]
        direct = len(order) == len(self._result)
        moved = self._compose.transpose("moved", tensor, perm, self._output if direct else "")
        if not direct:
            self._builder.reshape(moved, self._output)
