"""A whole model under a virtual global memory: a tiling for every operator, in what is left."""

import math

from t10c.baselines.result import VgmMemory, VgmOperatorPlan, VgmPlan
from t10c.baselines.search import Tiling, find_tiling, smallest_bytes
from t10c.hardware.kernels import exchange_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes
from t10c.ir.expression import TensorExpression
from t10c.ir.graph import Graph
from t10c.lower.homes import Uses, even_home, find_uses
from t10c.schedule.chain import Link
from t10c.schedule.problem import Problem
from t10c.schedule.result import CopyPlan, DoesNotFit
from t10c.schedule.rowwise import chain_rowwise
from t10c.schedule.steps import Copy, build_sequence


def plan_vgm(graph: Graph, spec: HardwareSpec) -> VgmPlan | DoesNotFit:
    """The fastest tilings of all operators of a model whose tensors lie evenly on all cores.

    Row-wise operators become chains where that is faster under this scheme. Deterministic.
    """
    searches = _Searches(spec)
    weights = _weight_bytes(graph, find_uses(build_sequence(graph)), spec)
    room = spec.usable_bytes - weights
    return plan_graph(chain_rowwise(graph, searches.prefers_chain(room)), spec, searches)


def plan_graph(
    graph: Graph, spec: HardwareSpec, searches: "_Searches | None" = None
) -> VgmPlan | DoesNotFit:
    """The same with the operators as they are."""
    searches = searches or _Searches(spec)
    uses = find_uses(build_sequence(graph))
    weights = _weight_bytes(graph, uses, spec)
    live = _live_bytes(graph, uses, spec)
    # before any search: in the little room of a model that does not fit, one takes longest
    for event, size in zip(uses.events, live, strict=False):
        least = 0 if isinstance(event, Copy) else smallest_bytes(event.operator.expression, spec)
        if weights + size + least > spec.usable_bytes:
            return _misfit(graph, spec, event.operator.name, weights, size, least)
    operators, copies = [], []
    problem_of: dict[TensorExpression, int] = {}
    for event, size in zip(uses.events, live, strict=False):
        if isinstance(event, Copy):
            copies.append(_copy_plan(event, spec))
            continue
        expression = event.operator.expression
        tiling = searches.fastest(expression, spec.usable_bytes - weights - size)
        if tiling is None:  # the smallest tiles fit, but take more steps than are looked at
            least = smallest_bytes(expression, spec)
            return _misfit(graph, spec, event.operator.name, weights, size, least)
        number = problem_of.setdefault(expression, len(problem_of))
        memory = VgmMemory(weights, size, tiling.memory_bytes)
        operators.append(VgmOperatorPlan(event.operator.name, number, tiling, memory))
    if weights + live[-1] > spec.usable_bytes:
        return _misfit(graph, spec, "(graph outputs)", weights, live[-1], 0)
    end = weights + live[-1]
    return VgmPlan(graph, spec, tuple(operators), tuple(copies), tuple(problem_of), weights, end)


class _Searches:
    """Fastest tilings of expressions in different amounts of memory, remembered."""

    def __init__(self, spec: HardwareSpec) -> None:
        self.spec = spec
        self._known: dict[TensorExpression, list[tuple[int, Tiling | None]]] = {}

    def fastest(self, expression: TensorExpression, available_bytes: int) -> Tiling | None:
        """The fastest tiling; what is fastest in more memory is so in less, if it fits there."""
        known = self._known.setdefault(expression, [])
        for available, tiling in known:
            least = 0 if tiling is None else tiling.memory_bytes
            if available >= available_bytes >= least:
                return tiling
        found = find_tiling(expression, self.spec, available_bytes)
        known.append((available_bytes, found))
        return found

    def prefers_chain(self, available_bytes: int) -> "_Preference":
        """Decides on chains of row-wise operators in so much memory."""
        return _Preference(self, available_bytes)


class _Preference:
    """Whether a chain is faster than the row-wise operator it stands for, alone on the chip."""

    def __init__(self, searches: _Searches, available_bytes: int) -> None:
        self.searches, self.available_bytes = searches, available_bytes

    def __call__(self, problem: Problem, links: tuple[Link, ...]) -> bool:
        whole = self._cycles((problem.expression,))
        return self._cycles(tuple(link.expression for link in links)) < whole

    def _cycles(self, expressions: tuple[TensorExpression, ...]) -> float:
        found = [self.searches.fastest(e, self.available_bytes) for e in expressions]
        return sum(math.inf if tiling is None else tiling.cycles for tiling in found)


def _copy_plan(copy: Copy, spec: HardwareSpec) -> CopyPlan:
    size = size_bytes(spec, -(-copy.elements // spec.core_count), copy.bits)
    cycles = float(exchange_cycles(spec, size)) if size else 0.0
    return CopyPlan(copy.operator.name, size, cycles)


# Memory


def used_weights(graph: Graph, uses: Uses) -> tuple[str, ...]:
    """Weights that any operator, copy or graph output reads, through views or not."""
    read = [name for event in uses.events for name in event.operator.inputs]
    held = {tensor for name in (*read, *graph.outputs) for tensor in uses.existing[name]}
    return tuple(
        t.name for t in graph.tensors if t.kind == "weight" and t.name in held and 0 not in t.shape
    )


def _weight_bytes(graph: Graph, uses: Uses, spec: HardwareSpec) -> int:
    return sum(even_home(graph, name, spec).size_bytes for name in used_weights(graph, uses))


def _live_bytes(graph: Graph, uses: Uses, spec: HardwareSpec) -> list[int]:
    """Bytes per core of live tensors while each event runs, then those after the last."""

    def home(name: str) -> int:
        empty = 0 in graph.tensor[name].shape
        return 0 if empty else even_home(graph, name, spec).size_bytes

    kept = {name for output in graph.outputs for name in uses.existing[output]}
    read = kept.union(*uses.dying)
    size = sum(home(name) for name in graph.inputs if name in read)
    found = []
    for event, dying in zip(uses.events, uses.dying, strict=True):
        made = event.operator.output
        size += home(made)
        found.append(size)
        size -= sum(home(name) for name in dying) + (home(made) if made in uses.unread else 0)
    return [*found, size]


def _misfit(
    graph: Graph, spec: HardwareSpec, operator: str, weights: int, live: int, tiles: int
) -> DoesNotFit:
    """Who demands how much, and what would help."""
    demanded = weights + live + tiles
    kib = -(-(demanded + spec.reserved_bytes) // 1024)
    return DoesNotFit(
        graph=graph,
        spec=spec,
        operator=operator,
        demanded_bytes=demanded,
        available_bytes=spec.usable_bytes,
        terms=(("idle_weights", weights), ("live_activations", live), ("active_pieces", tiles)),
        levers=(
            f"more memory per core: at least {kib} KiB (--hw-set cores.sram={kib}KiB)",
            "a smaller batch, sequence or cache (--dim, --shape)",
        ),
        proven=True,
    )
