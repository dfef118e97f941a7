"""Models of many alike layers: unfolded from a few of them, the graph is that of all nodes.

Every model here is lowered both ways. Where one layer differs in a detail, or the layers are joined
in an unusual way, the graph must be the same, too, however it is found.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto
from onnx.helper import make_node as node
from onnx_models import model, value
from resolving import resolve

from t10c.errors import UnsupportedOperatorError
from t10c.ir.graph import Graph
from t10c.onnx_import import importer, unfold
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.resolved import ResolvedModel
from t10c.zoo import build_model

LAYERS = 20
WIDTH = 8


@dataclass(frozen=True)
class Lowered:
    """A model's graph as it is found, that of all its nodes, and whether it was unfolded."""

    graph: Graph
    whole: Graph
    unfolded: bool


def lowered(made: ModelProto, monkeypatch: pytest.MonkeyPatch) -> Lowered:
    resolved = resolve(made)
    sizes: list[int] = []
    real = importer._lowered_graph

    def counted(part: ResolvedModel) -> Graph:
        sizes.append(len(part.nodes))
        return real(part)

    monkeypatch.setattr(importer, "_lowered_graph", counted)
    graph = lower_model(resolved)
    monkeypatch.setattr(importer, "_lowered_graph", real)
    unfolded = sizes[-1] < len(resolved.nodes)
    assert unfolded == (len(sizes) == 1 and sizes[0] < len(resolved.nodes))
    return Lowered(graph, real(resolved), unfolded)


class Stack:
    """Layers of a matmul, a shift and an activation, with a residual; parts of them may differ."""

    def __init__(self, layers: int = LAYERS) -> None:
        self.layers = layers
        self.nodes: list[NodeProto] = []
        self.inputs = [value("x", [4, WIDTH]), value("mask", [4, WIDTH])]
        self.outputs = ["y"]
        self.weights: dict[str, np.ndarray] = {}
        self.change: dict[tuple[int, str], Any] = {}

    def get(self, layer: int, what: str, usual: Any) -> Any:
        return self.change.get((layer, what), usual)

    def build(self) -> ModelProto:
        before = "x"
        for layer in range(self.layers):
            before = self.layer(layer, before)
        last = self.get(-1, "read", before)
        self.nodes.append(node("Tanh", [last], ["y"], name="end"))
        return model(self.nodes, self.inputs, self.outputs, self.weights)

    def layer(self, i: int, before: str) -> str:
        self.weights[f"b{i}"] = np.array(self.get(i, "bias", 0.5), np.float32)
        self.weights[f"w{i}"] = np.zeros((WIDTH, WIDTH), np.float32)
        weight = self.get(i, "weight", f"w{i}")
        self.nodes += [
            node("MatMul", [before, weight], [f"p{i}"], name=f"dot{i}"),
            node("Add", [f"p{i}", f"b{i}"], [f"s{i}"], name=f"add{i}"),
            node("Elu", [f"s{i}"], [f"a{i}"], name=f"act{i}", alpha=self.get(i, "alpha", 1.0)),
            node("Softmax", [f"a{i}"], [f"m{i}"], name=f"soft{i}", axis=self.get(i, "axis", -1)),
            node("Transpose", [f"m{i}"], [f"t{i}"], name=f"turn{i}"),
            node("Transpose", [f"t{i}"], [f"u{i}"], name=f"back{i}"),
            node("Mul", [f"u{i}", self.get(i, "mask", "mask")], [f"v{i}"], name=f"mask{i}"),
            node("Sub", [f"v{i}", self.get(i, "residual", before)], [f"r{i}"], name=f"rest{i}"),
        ]
        halves = [f"h{i}", f"l{i}"]
        self.nodes += [
            node("Split", [f"r{i}"], halves, name=f"cut{i}", axis=1),
            node("Concat", self.get(i, "order", halves), [f"o{i}"], name=f"join{i}", axis=1),
        ]
        return f"o{i}"


def test_alike_layers_are_unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    found = lowered(Stack().build(), monkeypatch)
    assert found.unfolded
    assert found.graph == found.whole
    assert found.graph.flop_matmul_conv == LAYERS * 2 * 4 * WIDTH * WIDTH


def test_few_layers_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    found = lowered(Stack(5).build(), monkeypatch)
    assert not found.unfolded
    assert found.graph == found.whole


CHANGES = {
    "attribute": ("alpha", 0.25),
    "axis": ("axis", 0),
    "value": ("bias", 0.125),
    "another mask": ("mask", "x"),
    "an earlier residual": ("residual", "x"),
    "a weight twice": ("weight", "w0"),
    "the other order": ("order", None),
}


@pytest.mark.parametrize("layer", [0, 3, 10, LAYERS - 2, LAYERS - 1])
@pytest.mark.parametrize("what", CHANGES)
def test_a_layer_that_differs_is_what_it_is(
    what: str, layer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(40)
    key, other = CHANGES[what]
    stack.change[layer, key] = [f"l{layer}", f"h{layer}"] if other is None else other
    found = lowered(stack.build(), monkeypatch)
    assert found.graph == found.whole
    plain = lowered(Stack(40).build(), monkeypatch)
    if layer or what not in ("an earlier residual", "a weight twice"):
        assert found.whole != plain.whole


@pytest.mark.parametrize("layer", [2, 10, LAYERS - 1])
def test_an_output_within(layer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack()
    stack.outputs.append(f"s{layer}")
    found = lowered(stack.build(), monkeypatch)
    assert found.graph == found.whole


@pytest.mark.parametrize("layer", [0, 2, 10, LAYERS - 3, LAYERS - 1])
def test_a_reader_behind_the_layers(layer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack()
    made = stack.build()
    made.graph.node.append(node("Add", ["y", f"a{layer}"], ["z"], name="join"))
    made.graph.output.append(value("z", [4, WIDTH]))
    found = lowered(made, monkeypatch)
    assert found.graph == found.whole
    assert found.unfolded or 0 < layer < LAYERS - 1


def test_inputs_and_outputs_of_every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack()
    for i in range(LAYERS):
        stack.inputs.append(value(f"past{i}", [4, WIDTH]))
        stack.outputs.append(f"v{i}")
        stack.change[i, "mask"] = f"past{i}"
    found = lowered(stack.build(), monkeypatch)
    assert found.unfolded
    assert found.graph == found.whole


def test_every_layer_computes_the_mask_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the first are the same as the first, as their records say."""
    stack = Stack()
    layer = stack.layer

    def with_mask(i: int, before: str) -> str:
        stack.nodes.append(node("Sin", ["mask"], [f"k{i}"], name=f"sin{i}"))
        stack.change[i, "mask"] = f"k{i}"
        return layer(i, before)

    monkeypatch.setattr(stack, "layer", with_mask)
    found = lowered(stack.build(), monkeypatch)
    assert found.unfolded
    assert found.graph == found.whole
    notes = {record.name: record.note for record in found.graph.nodes}
    assert notes["sin12"] == "computes the same as sin0"


def test_every_layer_computes_something_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack()
    layer = stack.layer

    def with_twins(i: int, before: str) -> str:
        after = layer(i, before)
        stack.nodes += [
            node("Sin", [after], [f"k{i}"], name=f"one{i}"),
            node("Sin", [after], [f"g{i}"], name=f"two{i}"),
            node("MatMul", [f"k{i}", f"w{i}"], [f"q{i}"], name=f"onward{i}"),
            node("Add", [f"q{i}", f"g{i}"], [f"z{i}"], name=f"sum{i}"),
        ]
        return f"z{i}"

    monkeypatch.setattr(stack, "layer", with_twins)
    found = lowered(stack.build(), monkeypatch)
    assert found.unfolded
    assert found.graph == found.whole
    notes = {record.name: record.note for record in found.graph.nodes}
    assert notes["two12"] == "computes the same as one12"


def test_inputs_of_which_only_the_type_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack()
    layer = stack.layer

    def with_cast(i: int, before: str) -> str:
        stack.inputs.append(value(f"past{i}", [4, WIDTH]))
        stack.nodes.append(node("CastLike", [before, f"past{i}"], [f"c{i}"], name=f"cast{i}"))
        return layer(i, f"c{i}")

    monkeypatch.setattr(stack, "layer", with_cast)
    found = lowered(stack.build(), monkeypatch)
    assert found.unfolded
    assert found.graph == found.whole


@pytest.mark.parametrize("op_type", ["Add", "Mul"])
def test_operators_that_join_over_several_layers(
    op_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [value("x", [8, 8]), *(value(f"i{i}", [8, 8]) for i in range(50))]
    nodes = [
        node(op_type, ["x" if i == 0 else f"e{i - 1}", f"i{i}"], [f"e{i}"], name=f"n{i}")
        for i in range(50)
    ]
    found = lowered(model(nodes, inputs, ["e49"]), monkeypatch)
    assert found.graph == found.whole


def test_layers_that_become_one_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        node("Elu", ["x" if i == 0 else f"e{i - 1}"], [f"e{i}"], name=f"n{i}") for i in range(50)
    ]
    found = lowered(model(nodes, [value("x", [8, 8])], ["e49"]), monkeypatch)
    assert found.graph == found.whole


def test_layers_that_alternate(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(40)
    stack.change |= {(i, "alpha"): 0.125 for i in range(0, 40, 2)}
    stack.change |= {(i, "mask"): "x" for i in range(0, 40, 2)}
    found = lowered(stack.build(), monkeypatch)
    assert found.unfolded
    assert found.graph == found.whole


def test_names_that_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, of which some begin like others."""
    made = Stack(30).build()
    renamed = {name: "" for item in made.graph.node for name in (*item.input, *item.output)}
    kept = {"x", "mask", "y", *(tensor.name for tensor in made.graph.initializer)}
    for number, name in enumerate(renamed):
        renamed[name] = name if name in kept else str(number)
    for number, item in enumerate(made.graph.node):
        item.name = str(number)
        item.input[:] = [renamed[name] for name in item.input]
        item.output[:] = [renamed[name] for name in item.output]
    found = lowered(made, monkeypatch)
    assert found.graph == found.whole


RECIPES: dict[str, dict[str, Any]] = {
    "bert-large": {"seq": 8},
    "opt-1.3b": {"phase": "decode", "past": 8},
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_transformers(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"hidden": "32", "heads": "2", "intermediate": "64", "vocabulary": "50", "layers": "30"}
    built = build_model(recipe, overrides={**sizes, "positions": "32"}, **RECIPES[recipe])
    found = lowered(built, monkeypatch)
    assert found.unfolded
    assert found.graph == found.whole


def test_an_error_counts_the_nodes_of_all_layers() -> None:
    nodes = [
        node("StringConcat", ["x" if i == 0 else f"s{i - 1}", "x"], [f"s{i}"], name=f"n{i}")
        for i in range(30)
    ]
    text = value("x", [8], TensorProto.STRING)
    with pytest.raises(UnsupportedOperatorError, match="unsupported operators: 30 StringConcat"):
        lower_model(resolve(model(nodes, [text], ["s29"], opset=20)))


@pytest.mark.parametrize("odd", [None, 3, 4, 5])
def test_blocks_that_become_something_else_are_not_unfolded(odd: int | None) -> None:
    """Items are their block and what they are; each block becomes two of them."""
    blocks = [block for block in range(8) for _ in range(2)]
    items = [(block, "odd" if block == odd else "usual") for block in blocks]
    found = unfold._repeated(
        items, lambda item: item[0], lambda item, shift: (item[0] + shift, item[1]), 3
    )
    expected = [(block, "usual") for block in range(11) for _ in range(2)]
    assert found == (expected if odd is None else None)
