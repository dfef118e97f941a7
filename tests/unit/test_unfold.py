"""Models of many alike layers: unfolded from a few of them, the graph is that of all nodes.

Every model here is imported three ways: with a few layers of the file, with a few layers of what is
resolved, and node by node. Where one layer differs in a detail, or the layers are joined in an
unusual way, the graph must be the same, too, however it is found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto
from onnx.helper import make_node as node
from onnx.helper import make_opsetid
from onnx_models import model, value
from resolving import resolve

from t10c.errors import InvalidInputError, UnsupportedOperatorError
from t10c.ir.graph import Graph
from t10c.onnx_import import importer, unfold
from t10c.onnx_import.importer import import_model, lower_model
from t10c.onnx_import.resolve import resolve_model
from t10c.onnx_import.resolved import ResolvedModel
from t10c.zoo import build_model

LAYERS = 20
WIDTH = 8


@dataclass(frozen=True)
class Lowered:
    """A model's graph as it is found, that of all its nodes, and whether it was unfolded.

    `short` says whether few of the file's nodes were resolved.
    """

    graph: Graph
    whole: Graph
    unfolded: bool
    short: bool


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
    whole = real(resolved)
    return Lowered(graph, whole, unfolded, imported_short(made, whole, monkeypatch))


def imported_short(made: ModelProto, whole: Graph, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Import the model as a file, which must give this graph: whether few nodes were resolved."""
    counts: list[int] = []
    real = importer.resolve_with_facts

    def counted(part: ModelProto, *given: Any) -> Any:
        counts.append(len(part.graph.node))
        return real(part, *given)

    monkeypatch.setattr(importer, "resolve_with_facts", counted)
    assert import_model(made.SerializeToString()) == whole
    monkeypatch.setattr(importer, "resolve_with_facts", real)
    return counts[-1] < len(made.graph.node)


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
    assert found.short
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
    assert found.short
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
    assert found.short
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
    assert found.short
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
    assert found.short
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
    assert found.short
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
    assert found.short
    assert found.graph == found.whole


def with_nodes(
    stack: Stack, made: Callable[[int, str], list[NodeProto]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begin every layer with further nodes, the last of which makes what the layer reads."""
    layer = stack.layer

    def longer(i: int, before: str) -> str:
        nodes = made(i, before)
        stack.nodes += nodes
        return layer(i, nodes[-1].output[0])

    monkeypatch.setattr(stack, "layer", longer)


def folded_away(i: int, before: str) -> list[NodeProto]:
    """Shapes, constants, transposed weights (one read as it is, too), and what nobody reads."""
    return [
        node("Constant", [], [f"c{i}"], name=f"c{i}", value_ints=[0]),
        node("Shape", [before], [f"d{i}"], name=f"shape{i}"),
        node("Gather", [f"d{i}", f"c{i}"], [f"e{i}"], name=f"rows{i}"),
        node("Concat", [f"e{i}", "columns"], [f"f{i}"], name=f"size{i}", axis=0),
        node("Cos", [before], [f"unread{i}"], name=f"unread{i}"),
        node("Transpose", [f"w{i}"], [f"turned{i}"], name=f"turned{i}"),
        node("Dropout", [before], [f"g{i}", f"dropped{i}"], name=f"dropout{i}"),
        node("MatMul", [f"g{i}", f"turned{i}"], [f"k{i}"], name=f"further{i}"),
        node("Transpose", [f"lone{i}"], [f"q{i}"], name=f"lone{i}"),
        node("MatMul", [f"k{i}", f"q{i}"], [f"y{i}"], name=f"third{i}"),
        node("MatMul", [f"y{i}", f"wide{i}"], [f"z{i}"], name=f"fourth{i}"),
        node("Reshape", [f"z{i}", f"f{i}"], [f"j{i}"], name=f"reshape{i}"),
    ]


def test_nodes_that_are_folded_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their records stand before those of nodes that are left, and unused ones in between."""
    stack = Stack(30)
    stack.weights["columns"] = np.array([WIDTH])
    for name in (f"{what}{i}" for what in ("lone", "wide") for i in range(30)):
        stack.weights[name] = np.zeros((2100, WIDTH), np.float32)  # too large to be known
    with_nodes(stack, folded_away, monkeypatch)
    found = lowered(stack.build(), monkeypatch)
    assert found.short
    notes = {record.note for record in found.graph.nodes if record.name.endswith("17")}
    assert {"constant", "weight", "unused"} <= notes


def test_layers_without_names(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Stack(30).build()
    for item in made.graph.node:
        item.name = ""
    assert lowered(made, monkeypatch).short


@pytest.mark.parametrize(("name", "shape"), [("p", [4, WIDTH]), ("w", [WIDTH, WIDTH])])
def test_declared_tensors(name: str, shape: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Declarations that are all alike say nothing new; a wrong one is named in a warning."""
    made = Stack(30).build()
    made.graph.value_info.extend(value(f"{name}{i}", shape) for i in range(30))
    assert lowered(made, monkeypatch).short
    made.graph.value_info[25].CopyFrom(value(f"{name}25", [77, WIDTH]))
    found = lowered(made, monkeypatch)
    assert any(f"'{name}25'" in warning for warning in found.graph.warnings)


def test_warnings_name_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Stack(30).build()
    made.graph.value_info.extend(value(f"p{i}", [4, WIDTH + 1]) for i in range(30))
    found = lowered(made, monkeypatch)
    assert found.graph.warnings
    assert not found.short


def test_a_layer_that_stands_in_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes need not be in topological order."""
    made = Stack(30).build()
    nodes = list(made.graph.node)
    del made.graph.node[:]
    made.graph.node.extend([*nodes[:90], *nodes[100:], *nodes[90:100]])
    assert not lowered(made, monkeypatch).short


def counted_up(first: int, back: int) -> Callable[[int, str], list[NodeProto]]:
    """A number that grows by 1 from `back` layers to the next, and is added where above `first`."""
    return lambda i, before: [
        node("Add", [f"n{i - back}", "one"], [f"n{i}"], name=f"count{i}"),
        node("Max", [f"n{i}", "first"], [f"most{i}"], name=f"most{i}"),
        node("Add", [before, f"most{i}"], [f"more{i}"], name=f"more{i}"),
    ]


@pytest.mark.parametrize("back", [1, 2, 3, 8])
@pytest.mark.parametrize("first", [4, 15, 60])
def test_numbers_that_grow_with_the_layers(
    first: int, back: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are folded: what nodes have in common does not show them."""
    stack = Stack(60)
    stack.weights |= {"one": np.float32(1), "first": np.float32(first)}
    stack.weights |= {f"n{-number}": np.float32(0) for number in range(1, back + 1)}
    with_nodes(stack, counted_up(first, back), monkeypatch)
    found = lowered(stack.build(), monkeypatch)
    assert not found.short


def test_what_layers_read_of_many_layers_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones read what stands before them, which is all the same."""
    stack = Stack(60)
    stack.weights["same"] = np.float32(0.5)
    with_nodes(
        stack,
        lambda i, before: [
            node("Neg", ["same" if i < 12 else f"known{i - 12}"], [f"known{i}"], name=f"known{i}"),
            node("Add", [before, f"known{i}"], [f"more{i}"], name=f"more{i}"),
        ],
        monkeypatch,
    )
    lowered(stack.build(), monkeypatch)


def test_layers_of_operators_that_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(30)
    with_nodes(
        stack,
        lambda i, before: [
            node("QuickGelu", [before], [f"gelu{i}"], name=f"gelu{i}", domain="com.microsoft")
        ],
        monkeypatch,
    )
    made = stack.build()
    made.opset_import.append(make_opsetid("com.microsoft", 1))
    found = lowered(made, monkeypatch)
    assert found.short
    assert not found.unfolded


def with_past(rows: list[int | str], monkeypatch: pytest.MonkeyPatch) -> ModelProto:
    """A model of which every layer reads an input of so many rows."""
    stack = Stack(len(rows))
    stack.inputs += [value(f"past{i}", [size, WIDTH]) for i, size in enumerate(rows)]
    with_nodes(
        stack,
        lambda i, before: [
            node("Concat", ["x", f"past{i}"], [f"read{i}"], name=f"read{i}", axis=0),
            node("ReduceSum", [f"read{i}"], [f"sum{i}"], name=f"sum{i}", keepdims=0),
            node("Add", [before, f"sum{i}"], [f"more{i}"], name=f"more{i}"),
        ],
        monkeypatch,
    )
    return stack.build()


def test_inputs_of_other_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    usual: list[int | str] = [4] * 40
    assert lowered(with_past(usual, monkeypatch), monkeypatch).short
    lowered(with_past([*usual[:30], 5, *usual[31:]], monkeypatch), monkeypatch)


@pytest.mark.parametrize("rows", [4, 0])
def test_inputs_of_bound_sizes(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of empty ones a warning says each name."""
    data = with_past(["rows"] * 30, monkeypatch).SerializeToString()
    whole = importer._lowered_graph(resolve_model(data, dims={"rows": rows}))
    assert import_model(data, dims={"rows": rows}) == whole


def test_inputs_of_given_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = with_past([""] * 40, monkeypatch).SerializeToString()
    shapes = {f"past{i}": (5 if i == 30 else 4, WIDTH) for i in range(40)}
    whole = importer._lowered_graph(resolve_model(data, shapes=shapes))
    assert import_model(data, shapes=shapes) == whole


@pytest.mark.parametrize("wrong", ["twice", "unknown"])
def test_errors_of_one_layer_are_named(wrong: str) -> None:
    made = Stack(40).build()
    item = next(item for item in made.graph.node if item.name == "mask23")
    if wrong == "twice":
        item.output[0] = "v22"
    else:
        item.input[1] = "nowhere"
    with pytest.raises(InvalidInputError, match="'mask23'"):
        import_model(made.SerializeToString())


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
        items,
        lambda item: item[0],
        lambda item, shifts: [(item[0] + shift, item[1]) for shift in shifts],
        3,
    )
    expected = [(block, "usual") for block in range(11) for _ in range(2)]
    assert found == (expected if odd is None else None)
