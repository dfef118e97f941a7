"""Identical layers: what is worked out for one of them serves all, and the plan repeats.

Work is counted instead of timed: 40 layers take as much of it as 4 do.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from onnx import TensorProto
from onnx_models import model, node, value
from planned_graphs import chip
from resolving import resolve

from t10c.ir.graph import Graph
from t10c.onnx_import.importer import import_model
from t10c.onnx_import.infer import ShapeInference
from t10c.schedule import assignment, descent, document, reconcile
from t10c.schedule.entries import Entries
from t10c.schedule.model import schedule_model
from t10c.schedule.result import ModelPlan, OperatorPlan
from t10c.schedule.transition import TransitionPricer
from t10c.serialise import file_bytes
from t10c.zoo import build_model

FEW, MANY = 4, 40
SIZES = {"hidden": "32", "heads": "2", "intermediate": "64", "vocabulary": "50", "positions": "32"}
SPEC = chip(cores=16, kib=2048)

KINDS = {
    "bert-large": {"seq": 8},
    "opt-1.3b": {"phase": "decode", "past": 8},
}


def built(recipe: str, layers: int) -> bytes:
    overrides = {**SIZES, "layers": str(layers)}
    return build_model(recipe, overrides=overrides, **KINDS[recipe]).SerializeToString()


def planned(recipe: str, layers: int) -> ModelPlan:
    plan = schedule_model(import_model(built(recipe, layers), name="layers"), SPEC)
    assert isinstance(plan, ModelPlan)
    return plan


class Counted:
    """Counts the calls of functions, by name."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.calls: Counter[str] = Counter()

    def count(self, owner: Any, *names: str) -> None:
        for name in names:
            self._patch.setattr(owner, name, partial(self._call, name, getattr(owner, name)))

    def count_method(self, owner: type, *names: str) -> None:
        for name in names:
            function = getattr(owner, name)
            self._patch.setattr(owner, name, self._method(name, function))

    def _call(self, name: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        self.calls[name] += 1
        return function(*given, **named)

    def _method(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **named: self._call(name, function, *given, **named)

    def during(self, work: Callable[[], object]) -> dict[str, int]:
        self.calls.clear()
        work()
        return dict(self.calls)


@pytest.mark.parametrize("recipe", KINDS)
def test_equal_nodes_are_inferred_once(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    counted.count_method(ShapeInference, "infer")
    few, many = (
        counted.during(partial(import_model, built(recipe, layers))) for layers in (FEW, MANY)
    )
    assert few == many
    assert few["infer"] > 0


def expressions(graph: Graph) -> list[int]:
    return [id(operator.expression) for operator in graph.planned]


@pytest.mark.parametrize("recipe", KINDS)
def test_equal_operators_share_their_expression(recipe: str) -> None:
    graphs = [import_model(built(recipe, layers)) for layers in (FEW, MANY)]
    few, many = (len(set(expressions(graph))) for graph in graphs)
    assert few == many
    for graph, objects in zip(graphs, (few, many), strict=True):
        assert objects == len({operator.expression.digest for operator in graph.planned})


@pytest.mark.parametrize("recipe", KINDS)
def test_as_many_prices_for_many_layers(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plan of a mask comes to for each of its readers is left out: all layers read it."""
    counted = Counted(monkeypatch)
    counted.count_method(TransitionPricer, "_received", "received_bytes", "bytes_in")
    counted.count(descent, "transition_costs", "plan_costs")
    counted.count(assignment, "_fetch")
    counted.count(reconcile, "lower_hull")
    graphs = [import_model(built(recipe, layers)) for layers in (FEW, MANY)]
    few, many = (counted.during(partial(schedule_model, graph, SPEC)) for graph in graphs)
    assert few == many
    assert len(few) == 7


@pytest.mark.parametrize("recipe", KINDS)
def test_as_many_entries_for_many_layers(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where every layer leaves tensors behind, so that no two steps take the same memory."""
    counted = Counted(monkeypatch)
    counted.count_method(Entries, "_planned", "_split")
    plans = [planned(recipe, layers) for layers in (FEW, MANY)]
    few, many = (counted.during(partial(document.dump_plan, plan)) for plan in plans)
    assert few == many
    assert len(few) == 2


def layer_of(name: str) -> tuple[int, str]:
    """The layer that a node belongs to, and its name within; -1 outside of layers."""
    parts = name.split("/")
    for place, part in enumerate(parts):
        number = part.rpartition(".")[2]
        if part.startswith(("layer.", "layers.")) and number.isdigit():
            return int(number), "/".join(parts[place + 1 :])
    return -1, name


@pytest.mark.parametrize("recipe", KINDS)
def test_the_plan_of_a_layer_repeats(recipe: str) -> None:
    """Where there is room, all layers but those at the ends are planned alike."""
    layers: dict[int, list[object]] = {}
    for operator in planned(recipe, 12).operators:
        layer, name = layer_of(operator.name)
        idle = [weight.cut for weight in operator.idle]
        moved = [transition.received_bytes for transition in operator.transitions]
        layers.setdefault(layer, []).append(
            (name, operator.plan, operator.cost_cycles, idle, moved)
        )
    assert set(range(12)) <= set(layers)
    assert all(layers[number] == layers[5] for number in range(2, 10))


def test_shared_parts_stand_in_the_file_as_they_are() -> None:
    plan = planned("bert-large", 3)
    data = document.dump_plan(plan)
    assert data == file_bytes(document.to_document(plan))
    entries = [e for e in json.loads(data)["operators"] if e["class"] == "planned"]
    assert all(isinstance(entry["rtensors"], list) for entry in entries)
    shared = {id(operator.rtensors) for operator in plan.operators}
    assert len(shared) < len(plan.operators)


def changed(operator: OperatorPlan, what: str) -> OperatorPlan:
    """An operator's plan that differs in one thing."""
    if what in ("received_bytes", "kept_bytes", "reused"):
        first, *others = operator.transitions
        other = not first.reused if what == "reused" else getattr(first, what) + 1
        return replace(operator, transitions=(replace(first, **{what: other}), *others))
    if what in ("active_bytes", "cut"):
        weight, *weights = operator.idle
        known = weight.cut
        other = weight.active_bytes + 1 if what == "active_bytes" else replace(known, ratio=77)
        return replace(operator, idle=(replace(weight, **{what: other}), *weights))
    parts: dict[str, Any] = {
        "placement": "otherwise",
        "plan": replace(operator.plan, split=tuple(factor + 1 for factor in operator.plan.split)),
        "rtensors": operator.rtensors[:1],
        "piece_bytes": (1, 2, 3),
        "memory_bytes": replace(operator.memory_bytes, total=7),
        "cost_cycles": replace(operator.cost_cycles, setup=7.5),
    }
    return replace(operator, **{what: parts[what]})


@pytest.mark.parametrize(
    "what",
    [
        *("received_bytes", "kept_bytes", "reused", "active_bytes", "cut", "placement", "plan"),
        *("rtensors", "piece_bytes", "memory_bytes", "cost_cycles"),
    ],
)
def test_an_operator_that_differs_is_written_as_it_is(what: str) -> None:
    plan = planned("bert-large", 4)
    last = [o for o in plan.operators if o.idle and o.transitions][-2]
    odd = changed(last, what)
    assert odd != last
    other = replace(plan, operators=tuple(odd if o is last else o for o in plan.operators))
    assert document.dump_plan(other) == file_bytes(document.to_document(other))


@pytest.mark.parametrize("name", ["100 %s", "größe", "\x7f", 'a"b\\', "line\nline", "\u2028"])
def test_names_are_written_as_they_are(name: str) -> None:
    """And a node whose note is another than that of a node like it."""
    plan = planned("bert-large", 2)
    graph = plan.graph
    nodes = (*graph.nodes[:-1], replace(graph.nodes[-1], name=name), replace(graph.nodes[-1]))
    nodes = (*nodes[:-1], replace(nodes[-1], note=name))
    tensors = (replace(graph.tensors[0], name=name), *graph.tensors[1:])
    layouts = tuple(
        replace(o, op_type=name) if o is graph.operators[0] else o for o in graph.operators
    )
    changed_graph = replace(graph, nodes=nodes, tensors=tensors, operators=layouts)
    other = replace(plan, graph=changed_graph)
    assert document.dump_plan(other) == file_bytes(document.to_document(other))


def test_nodes_that_differ_in_their_type_are_not_alike() -> None:
    nodes = [node("Neg", "x", "p", "p"), node("Neg", "y", "q", "q")]
    inputs = [value("x", [4]), value("y", [4], TensorProto.INT32)]
    resolved = resolve(model(nodes, inputs, ["p", "q"]))
    assert (resolved.element_types["p"], resolved.element_types["q"]) == ("float32", "int32")


def test_nodes_that_differ_in_a_value_are_not_alike() -> None:
    """Reshapes of equal inputs to shapes of equal length, and reductions that differ in an axis."""
    nodes = [
        node("Reshape", "x a", "p", "p"),
        node("Reshape", "x b", "q", "q"),
        node("Concat", "x x", "r", "r", axis=0),
        node("Concat", "x x", "s", "s", axis=1),
        node("Reshape", "x a", "t", "t"),
    ]
    constants = {"a": [2, 12], "b": [12, 2]}
    resolved = resolve(model(nodes, [value("x", [4, 6])], ["p", "q", "r", "s", "t"], constants))
    shapes = {name: resolved.shapes[name] for name in "pqrst"}
    assert shapes == {"p": (2, 12), "q": (12, 2), "r": (8, 6), "s": (4, 12), "t": (2, 12)}
