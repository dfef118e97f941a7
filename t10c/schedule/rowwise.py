"""Row-wise operators as chains of reduce and pointwise operators, where a chain is cheaper.

A row-wise operator cannot cut the axes it normalises. With few rows it leaves most cores idle and
holds its scale and bias whole on every core it uses. In a chain (chain.py) all axes can be cut.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from t10c.hardware.kernels import exchange_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.ir.graph import Graph, LayoutOp, Operator, Tensor
from t10c.schedule.chain import Link, chain_of
from t10c.schedule.problem import Problem, search_problem
from t10c.search.operator import FrontEntry, SearchResult
from t10c.search.options import SearchOptions

_NEARLY_EQUAL = 0.03
"""Forms whose times differ by less than this share are told apart by the memory of weights."""


FrontSearcher = Callable[[TensorExpression], SearchResult]
"""Searches one expression as `search_problem` does."""


def split_rowwise(
    graph: Graph, spec: HardwareSpec, search: SearchOptions, fronts: FrontSearcher | None = None
) -> Graph:
    """The graph with every row-wise operator in the form that is cheaper on this chip.

    The forms are compared alone, each operator by its fastest plan and an exchange for it. Forms
    that take nearly as long are told apart by the bytes of weights per core, and a chain is taken
    too where the row-wise operator has no plan that fits. `fronts` searches, by default here.
    """
    comparison = _Comparison(spec, fronts or partial(search_problem, spec=spec, search=search))
    return chain_rowwise(graph, comparison.prefers_chain)


def chain_rowwise(graph: Graph, wanted: Callable[[Problem, tuple[Link, ...]], bool]) -> Graph:
    """The graph with those row-wise operators as chains for which that is possible and `wanted`.

    The last operator of a chain keeps the name, the output and thereby the node records of the
    original; all stand for its ONNX nodes. The decision for a problem is asked for once.
    """
    names: _Names | None = None
    chains: dict[Problem, tuple[Link, ...]] = {}
    # equal expressions are mostly one object, which tells them without comparing
    known: dict[tuple[int, tuple[int, ...]], tuple[Link, ...]] = {}
    operators: list[Operator | LayoutOp] = []
    tensors = list(graph.tensors)
    for operator in graph.operators:
        if isinstance(operator, LayoutOp) or operator.expression.kernel != "rowwise":
            operators.append(operator)
            continue
        key = (id(operator.expression), weight_positions(operator, graph))
        if key not in known:
            problem = problem_alone(operator, graph)
            if problem not in chains:
                links = chain_of(operator.expression)
                chains[problem] = links if links and wanted(problem, links) else ()
            known[key] = chains[problem]
        if not known[key]:
            operators.append(operator)
            continue
        names = names or _Names(graph)
        made, values = _operators(operator, known[key], graph, names)
        operators += made
        tensors += values
    if not any(chains.values()):
        return graph
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


# The chain in the graph


class _Names:
    """Names of new operators and tensors, unique in the graph."""

    def __init__(self, graph: Graph) -> None:
        self._operators = {op.name for op in graph.operators} | {node.name for node in graph.nodes}
        self._tensors = {tensor.name for tensor in graph.tensors}

    def operator(self, wanted: str) -> str:
        """`wanted`, or `wanted_2`, `wanted_3`, ... if it is taken."""
        return _unique(wanted, self._operators)

    def tensor(self, wanted: str) -> str:
        """The same for a tensor."""
        return _unique(wanted, self._tensors)


def _unique(wanted: str, taken: set[str]) -> str:
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    taken.add(name)
    return name


def problem_alone(operator: Operator, graph: Graph) -> Problem:
    """The operator's problem as if it alone read its weights."""
    return Problem(operator.expression, weight_positions(operator, graph))


def weight_positions(operator: Operator, graph: Graph) -> tuple[int, ...]:
    """The positions of weights among an operator's inputs."""
    kinds = [graph.tensor[name].kind for name in operator.inputs]
    return tuple([position for position, kind in enumerate(kinds) if kind == "weight"])


def _operators(
    operator: Operator, links: tuple[Link, ...], graph: Graph, names: _Names
) -> tuple[list[Operator], list[Tensor]]:
    """A chain in place of `operator`, and the tensors between its operators."""
    operands = (operand.name for operand in operator.expression.inputs)
    where = dict(zip(operands, operator.inputs, strict=True))
    operators, tensors = [], []
    for link in links:
        name, output = operator.name, operator.output
        if link.value:
            name = names.operator(f"{operator.name}/{link.label}")
            output = where[link.value] = names.tensor(f"{name}/output")
            shape = tuple(dim.size for dim in link.expression.output.dims)
            tensors.append(Tensor(output, shape, _value_type(operator, graph), "activation"))
        operators.append(
            replace(
                operator,
                name=name,
                expression=link.expression,
                inputs=tuple(where[source] for source in link.sources),
                output=output,
            )
        )
    return operators, tensors


def _value_type(operator: Operator, graph: Graph) -> str:
    """Element type of what a chain passes on: the result's, or an operand's if that is narrow."""
    types = (graph.tensor[name] for name in (operator.output, *operator.inputs))
    return next((tensor.element_type for tensor in types if not tensor.narrow), "float32")


# Which form is cheaper


@dataclass(frozen=True, slots=True)
class _Form:
    """What a form takes: cycles of its fastest plans, and bytes of its weights per core."""

    cycles: float
    weight_bytes: int


class _Comparison:
    """Compares the forms of row-wise operators on one chip; expressions are searched once."""

    def __init__(self, spec: HardwareSpec, fronts: FrontSearcher) -> None:
        self._spec = spec
        self._fronts = fronts
        self._fastest: dict[TensorExpression, FrontEntry | None] = {}

    def prefers_chain(self, problem: Problem, links: tuple[Link, ...]) -> bool:
        """Whether the chain is faster, or nearly as fast and its weights take less memory."""
        weights = {problem.expression.inputs[position].name for position in problem.weights}
        chain = self._form([(link.expression, link.sources) for link in links], weights)
        names = tuple(operand.name for operand in problem.expression.inputs)
        whole = self._form([(problem.expression, names)], weights)
        if chain is None or whole is None:
            return chain is not None
        if abs(chain.cycles - whole.cycles) <= _NEARLY_EQUAL * whole.cycles:
            return chain.weight_bytes < whole.weight_bytes
        return chain.cycles < whole.cycles

    def _form(
        self, parts: list[tuple[TensorExpression, tuple[str, ...]]], weights: set[str]
    ) -> _Form | None:
        """The sum over a form's operators; None if one of them has no plan that fits."""
        cycles, size = 0.0, 0
        for expression, sources in parts:
            if expression not in self._fastest:
                front = self._fronts(expression).front
                self._fastest[expression] = min(front, key=lambda e: e.cycles, default=None)
            entry = self._fastest[expression]
            if entry is None:
                return None
            cycles += entry.cycles + self._exchange(expression, entry)
            pieces = zip(sources, entry.piece_bytes[:-1], strict=True)
            size += sum(piece for source, piece in pieces if source in weights)
        return _Form(cycles, size)

    def _exchange(self, expression: TensorExpression, entry: FrontEntry) -> float:
        """The exchange of a pointwise operator's output, which its end does not contain.

        The uniform transition spares pointwise operators theirs. A chain ends in one and a
        row-wise operator does not, although whoever reads them fetches the same tensor.
        """
        if expression.kernel != "pointwise":
            return 0.0
        return float(exchange_cycles(self._spec, entry.piece_bytes[-1]))
