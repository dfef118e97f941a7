"""Control flow: branches are chosen, loops and scans unrolled."""

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto
from onnx_models import graph, model, node, value
from resolving import failure, notes, operators, resolve, same_numbers

from t10c.errors import InvalidInputError, UnsupportedOperatorError

X = value("x", [2, 3, 4])
DATA = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL


def branches() -> dict[str, onnx.GraphProto]:
    """Two branches that use the same inner names, a constant of their own and a captured tensor."""
    return {
        "then_branch": graph(
            [node("Add", "x c", "t", "inner"), node("Relu", "t", "o")], [], ["o"],
            {"c": np.float32(1)},
        ),
        "else_branch": graph([node("Identity", "x", "t", "inner")], [], ["t"]),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("size", "expected"), [(2, ["Add", "Relu", "Identity"]), (5, ["Identity", "Identity"])]
)
def test_if_of_known_condition_takes_its_branch(size: int, expected: list[str]) -> None:
    nodes = [
        node("Shape", "x", "s", "shape", end=1),
        node("Equal", "s two", "e", "equal"),
        node("If", "e", "r", "if", **branches()),
        node("Identity", "r", "t", "user"),
    ]
    made = model(nodes, [value("x", [size, 3])], ["t"], {"two": [2]})
    resolved = same_numbers(made, x=np.arange(size * 3, dtype=np.float32).reshape(size, 3))
    assert operators(resolved) == [*expected, "Identity"]
    assert resolved.shapes["t"] == (size, 3)
    assert notes(resolved)["if"] == f"took its {'then' if size == 2 else 'else'} branch"
    assert len({n.name for n in resolved.nodes}) == len(resolved.nodes)


def loop(body_nodes: list[onnx.NodeProto], **constants: object) -> onnx.NodeProto:
    body = graph(
        body_nodes,
        [value("i", [], INT64), value("go", [], BOOL), value("v", None)],
        ["go_on", "w", "scan"],
        constants,
    )
    return node("Loop", "trips start x", "last rows", "loop", body=body)


BODY = [
    node("Identity", "go", "go_on"),
    node("Relu", "v", "w", "inner"),
    node("ReduceMax", "w", "scan", keepdims=0),
]


@pytest.mark.parametrize("opset", [11, 17])
def test_loop_of_known_trip_count_is_unrolled(opset: int) -> None:
    constants = {"trips": np.int64(3), "start": np.bool_(True)}
    made = model([loop(BODY)], [X], ["last", "rows"], constants, opset=opset)
    resolved = same_numbers(made, x=DATA)
    assert operators(resolved).count("Relu") == 3
    assert operators(resolved).count("ReduceMax") == 3
    assert resolved.shapes["last"] == (2, 3, 4)
    assert resolved.shapes["rows"] == (3,)
    assert notes(resolved)["loop"] == "unrolled 3 times"
    chain = [n for n in resolved.nodes if n.op_type == "Relu"]
    assert chain[0].inputs == ("x",)
    assert chain[1].inputs == chain[0].outputs
    assert chain[2].inputs == chain[1].outputs


def test_loop_ends_when_its_condition_is_known_to() -> None:
    body = [node("Less", "i limit", "go_on"), *BODY[1:]]
    constants = {"trips": np.int64(9), "start": np.bool_(True)}
    made = model([loop(body, limit=np.int64(1))], [X], ["last", "rows"], constants)
    resolved = same_numbers(made, x=DATA)
    assert operators(resolved).count("Relu") == 2


def test_same_model_resolves_alike() -> None:
    nodes = [node("Shape", "x", "s"), node("If", "c", "r", "if", **branches())]
    made = model(nodes, [X, value("c", [], BOOL)], ["r", "s"])
    first, second = resolve(made), resolve(made)
    assert first.nodes == second.nodes
    assert first.folded == second.folded
    assert list(first.shapes.items()) == list(second.shapes.items())


def data_branches(then_size: int, else_size: int) -> ModelProto:
    """A branch multiplies by a matrix, another one only repeats; their outputs differ in shape."""
    then = graph(
        [node("MatMul", "x w", "o", "product"), node("Relu", "o", "p")], [], ["p"],
        {"w": np.ones((4, then_size), np.float32)},
    )  # fmt: skip
    other = graph([node("Tile", "x times", "o", "tile")], [], ["o"], {"times": [1, 1, else_size]})
    nodes = [
        node("If", "c", "r", "if", then_branch=then, else_branch=other),
        node("Neg", "r", "y", "user"),
    ]
    return model(nodes, [X, value("c", [], BOOL)], ["y"])


@pytest.mark.parametrize(
    ("then_size", "else_size", "kept", "says"),
    [
        (5, 2, ["MatMul", "Relu", "Identity", "Neg"], "then branch, the costlier of the two (300 "),
        (1, 50, ["Tile", "Identity", "Neg"], "else branch, the costlier of the two (2400 "),
    ],
)
def test_if_that_data_decide_is_its_costlier_branch(
    then_size: int, else_size: int, kept: list[str], says: str
) -> None:
    resolved = resolve(data_branches(then_size, else_size))
    assert operators(resolved) == kept
    assert resolved.shapes["y"] == (2, 3, then_size if "Relu" in kept else 4 * else_size)
    name = "then" if "Relu" in kept else "else"
    assert notes(resolved)["if"] == f"planned as its {name} branch"
    (warning,) = resolved.warnings
    assert f"node 'if' (If) chooses by data: planned as its {says}" in warning


def test_branches_that_cost_the_same() -> None:
    made = model([node("If", "c", "y", "if", **branches())], [X, value("c", [], BOOL)], ["y"])
    assert operators(resolve(made)) == ["Add", "Relu", "Identity"]
    assert operators(resolve(made, {"c": False})) == ["Identity", "Identity"]
    assert operators(resolve(made, {"c": True})) == ["Add", "Relu", "Identity"]


def test_branch_within_a_branch() -> None:
    inner = node("If", "d", "i", "inner", **branches())
    outer = {
        "then_branch": graph([inner, node("Exp", "i", "a")], [], ["a"]),
        "else_branch": graph([node("Identity", "x", "b")], [], ["b"]),
    }
    inputs = [X, value("c", [], BOOL), value("d", [], BOOL)]
    resolved = resolve(model([node("If", "c", "y", "outer", **outer)], inputs, ["y"]))
    assert operators(resolved) == ["Add", "Relu", "Identity", "Exp", "Identity"]
    assert len(resolved.warnings) == 2
    assert len({n.name for n in resolved.nodes}) == len(resolved.nodes)


def test_unsupported_node_in_either_branch_is_named() -> None:
    bad = graph([node("Frobnicate", "x", "o", "bad")], [], ["o"])
    made = {**branches(), "else_branch": bad}
    error = failure(
        model([node("If", "c", "y", "if", **made)], [X, value("c", [], BOOL)], ["y"]),
        UnsupportedOperatorError,
    )
    assert error.nodes == (("if/else_branch/bad", "Frobnicate"),)


def test_branches_with_other_outputs_are_refused() -> None:
    made = {**branches(), "else_branch": graph([], [], [])}
    named = model([node("If", "c", "y", "if", **made)], [X, value("c", [], BOOL)], ["y"])
    assert "its else_branch is missing" in str(failure(named, UnsupportedOperatorError))


def test_loop_whose_trip_count_depends_on_data() -> None:
    start = {"start": np.bool_(True)}
    unknown = model([loop(BODY)], [X, value("trips", [], INT64)], ["last"], start)
    error = failure(unknown, UnsupportedOperatorError)
    assert "depends on data" in str(error)
    assert "fixed number of iterations" in str(error)
    assert "--value trips=1" in str(error)
    assert operators(resolve(unknown, {"trips": 2})).count("Relu") == 2


UNSURE = [
    node("ReduceMax", "v", "m", keepdims=0),
    node("Cast", "m", "go_on", to=BOOL),
    *BODY[1:],
]


def test_loop_that_may_end_early_is_planned_in_full() -> None:
    constants = {"start": np.bool_(True), "trips": np.int64(5)}
    resolved = resolve(model([loop(UNSURE)], [X], ["last", "rows"], constants))
    assert operators(resolved).count("Relu") == 5
    assert resolved.shapes["rows"] == (5,)
    (warning,) = resolved.warnings
    assert warning == (
        "node 'loop' (Loop) may end early, which depends on data; planned for all 5 iterations"
    )
    endless = model([loop(UNSURE)], [X, value("trips", [], INT64)], ["last"], {"start": True})
    assert "depends on data" in str(failure(endless, UnsupportedOperatorError))


@pytest.mark.parametrize("body", [BODY, UNSURE])
@pytest.mark.parametrize(
    ("trips", "size", "limit"),
    [(1025, 1, "at most 1024 iterations"), (1000, 50, "at most 20000 are unrolled")],
)
def test_limits_of_unrolling_are_named(
    body: list[onnx.NodeProto], trips: int, size: int, limit: str
) -> None:
    nodes = [*body, *(node("Neg", "v", f"n{i}") for i in range(size - len(body)))]
    constants = {"start": np.bool_(True), "trips": np.int64(trips)}
    made = model([loop(nodes)], [X], ["last"], constants)
    text = str(failure(made, UnsupportedOperatorError))
    assert limit in text
    assert f"it runs {trips} times" in text
    assert "node 'loop' (Loop)" in text


def test_loop_that_never_runs_has_empty_rows() -> None:
    constants = {"trips": np.int64(0), "start": np.bool_(True)}
    declared = loop(BODY)
    declared.attribute[0].g.output[2].CopyFrom(value("scan", []))
    resolved = resolve(model([declared], [X], ["last", "rows"], constants))
    assert resolved.shapes == {"x": (2, 3, 4), "last": (2, 3, 4), "rows": (0,)}
    undeclared = model([loop(BODY)], [X], ["last", "rows"], constants)
    assert "it never runs" in str(failure(undeclared, UnsupportedOperatorError))


def scan(**attributes: object) -> onnx.NodeProto:
    """Two states and two scan inputs; a running sum, its maximum and a product as outputs."""
    body = graph(
        [
            node("Add", "s a", "s2", "add"),
            node("Max", "m s2", "m2", "max"),
            node("Mul", "a b", "p", "mul"),
            node("Identity", "s2", "row"),
        ],
        [value(name, [3]) for name in "smab"],
        ["s2", "m2", "row", "p"],
    )
    return node(
        "Scan", "s0 m0 x z", "s m rows products", "scan", body=body, num_scan_inputs=2, **attributes
    )


STATES = [value("s0", [3]), value("m0", [3])]


@pytest.mark.parametrize("opset", [9, 11, 17])
@pytest.mark.parametrize(
    ("attributes", "x", "z", "rows"),
    [
        ({}, [5, 3], [5, 3], (5, 3)),
        ({"scan_input_axes": [1, 0]}, [3, 5], [5, 3], (5, 3)),
        ({"scan_input_axes": [-1, -2], "scan_output_axes": [1, -1]}, [3, 4], [4, 3], (3, 4)),
        ({"scan_input_directions": [1, 0]}, [5, 3], [5, 3], (5, 3)),
        ({"scan_output_directions": [0, 1], "scan_output_axes": [0, 1]}, [5, 3], [5, 3], (5, 3)),
        ({}, [1, 3], [1, 3], (1, 3)),
    ],
)
def test_scan_is_unrolled(
    opset: int, attributes: dict[str, object], x: list[int], z: list[int], rows: tuple[int, ...]
) -> None:
    if opset < 11 and any(axis < 0 for axis in attributes.get("scan_input_axes", [])):  # type: ignore[attr-defined]
        pytest.skip("negative axes came with opset 11")
    made = model(
        [scan(**attributes)], [*STATES, value("x", x), value("z", z)],
        ["s", "m", "rows", "products"], opset=opset,
    )  # fmt: skip
    numbers = np.random.default_rng(1)
    shapes = {"s0": [3], "m0": [3], "x": x, "z": z}
    feeds = {k: numbers.standard_normal(shape).astype(np.float32) for k, shape in shapes.items()}
    resolved = same_numbers(made, **feeds)
    assert resolved.shapes["rows"] == rows
    assert operators(resolved).count("Mul") == max(x[0] if x[1] == 3 else x[1], 1)
    assert "unrolled" in notes(resolved)["scan"]


def test_scan_of_opset_8_has_a_batch() -> None:
    body = graph(
        [node("Add", "s a", "s2"), node("Identity", "s2", "row")],
        [value(name, [2]) for name in "sa"],
        ["s2", "row"],
    )
    made = model(
        [node("Scan", "_ s0 x", "s rows", "scan", body=body, num_scan_inputs=1)],
        [value("s0", [3, 2]), value("x", [3, 4, 2])], ["s", "rows"], opset=8,
    )  # fmt: skip
    x = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    resolved = same_numbers(made, s0=np.ones((3, 2), np.float32), x=x)
    assert resolved.shapes["rows"] == (3, 4, 2)
    made.graph.node[0].input[0] = "lengths"
    made.graph.input.append(value("lengths", [3], INT64))
    assert "full length" in str(failure(made, UnsupportedOperatorError))
    assert resolve(made, {"lengths": [4, 4, 4]}).shapes["rows"] == (3, 4, 2)


@pytest.mark.parametrize(
    ("attributes", "x", "z", "says"),
    [
        ({}, [5, 3], [4, 3], "different lengths"),
        ({"scan_input_axes": [2, 0]}, [5, 3], [5, 3], "does not have the axis 2"),
        ({"scan_input_axes": [0]}, [5, 3], [5, 3], "does not have 2 entries"),
    ],
)
def test_malformed_scans_are_named(
    attributes: dict[str, object], x: list[int], z: list[int], says: str
) -> None:
    made = model([scan(**attributes)], [*STATES, value("x", x), value("z", z)], ["rows"])
    text = str(failure(made, UnsupportedOperatorError))
    assert "node 'scan' (Scan)" in text
    assert says in text


def test_loop_in_a_branch_in_a_scan() -> None:
    inner = loop([node("Identity", "go", "go_on"), node("Add", "v v", "w", "twice"), *BODY[2:]])
    inner.input[2] = "a"
    chosen = {
        "then_branch": graph(
            [inner], [], ["last"], {"trips": np.int64(2), "start": np.bool_(True)}
        ),
        "else_branch": graph([node("Identity", "a", "o")], [], ["o"]),
    }
    body = graph(
        [node("If", "c", "four", "if", **chosen), node("Add", "s four", "s2")],
        [value("s", [3]), value("a", [3])],
        [value("s2", [3])],
    )
    outer = node("Scan", "s0 x", "s", "scan", body=body, num_scan_inputs=1)
    made = model([outer], [STATES[0], value("x", [5, 3])], ["s"], {"c": np.bool_(True)})
    x = np.arange(15, dtype=np.float32).reshape(5, 3)
    resolved = same_numbers(made, s0=np.zeros(3, np.float32), x=x)
    assert operators(resolved).count("Add") == 15


def test_control_flow_without_a_body_is_named() -> None:
    for op_type, inputs in (("Loop", "trips start x"), ("If", "start"), ("Scan", "x x")):
        constants = {"trips": np.int64(2), "start": np.bool_(True)}
        made = model([node(op_type, inputs, "y", "bad")], [X], ["y"], constants)
        assert f"node 'bad' ({op_type})" in str(failure(made, InvalidInputError))


def test_all_loops_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("t10c.onnx_import.inline.NODE_LIMIT", 50)
    constants = {"start": np.bool_(True), "trips": np.int64(10)}
    one, two = loop(BODY), loop(BODY)
    two.input[2], two.output[0], two.output[1], two.name = "last", "y", "rows2", "second"
    assert operators(resolve(model([one], [X], ["last"], constants))).count("Relu") == 10
    text = str(failure(model([one, two], [X], ["y"], constants), UnsupportedOperatorError))
    assert "node 'second' (Loop)" in text
    assert "60 nodes of the model's loops; at most 50" in text


def test_node_of_another_domain_in_a_branch() -> None:
    fused = graph([node("BiasGelu", "x b", "o", "fused", domain="com.microsoft")], [], ["o"])
    made = model(
        [node("If", "c", "y", "if", **{**branches(), "then_branch": fused})],
        [X, value("c", [], BOOL)], ["y"], {"b": np.ones(4, np.float32)},
    )  # fmt: skip
    made.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    resolved = resolve(made)
    assert resolved.expanded == {"if/then_branch/fused": "com.microsoft.BiasGelu"}
    assert all(n.owner == "if/then_branch/fused" for n in resolved.nodes[:-1])
