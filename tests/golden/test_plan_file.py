"""Plan files: one golden plan, the round trip, and documents that someone has changed."""

import json
from dataclasses import replace
from random import Random

import pytest
from changed_documents import all_paths, at, changed, mangled
from onnx import TensorProto, helper

from t10c.errors import InvalidInputError
from t10c.hardware.load import load_spec
from t10c.hardware.spec import ShiftBuffer
from t10c.onnx_import.importer import import_model
from t10c.schedule.document import dump_plan, load_plan
from t10c.schedule.model import schedule_model
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.result import ModelPlan


def tiny_model() -> bytes:
    """Two matmuls with a bias and a Relu between them, a transpose and the mirrored input added."""

    def info(name: str, *shape: int):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def weight(name: str, *shape: int) -> TensorProto:
        count = 1
        for n in shape:
            count *= n
        return helper.make_tensor(name, TensorProto.FLOAT, shape, [0.5] * count)

    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "up"),
        helper.make_node("Add", ["h", "b"], ["c"], "bias"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("MatMul", ["r", "v"], ["y"], "down"),
        helper.make_node("Slice", ["x", "last", "first", "axis", "back"], ["t"], "mirror"),
        helper.make_node("Add", ["t", "y"], ["s"], "residual"),
        helper.make_node("Transpose", ["s"], ["out"], "turn", perm=[1, 0]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [info("x", 8, 16)],
        [info("out", 16, 8)],
        [
            *(weight("w", 16, 32), weight("b", 32), weight("v", 32, 16)),
            *(
                helper.make_tensor(name, TensorProto.INT64, [1], [n])
                for name, n in {"last": -1, "first": -99, "axis": 1, "back": -1}.items()
            ),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


@pytest.fixture(scope="module")
def plan() -> ModelPlan:
    spec = replace(
        load_spec("ipu-mk2"),
        name="tiny-chip",
        core_count=8,
        sram_bytes=1100,
        shift_buffer=ShiftBuffer("fixed", 128),
    )
    made = schedule_model(
        import_model(tiny_model(), name="tiny"),
        spec,
        ScheduleOptions(),
        overrides=("cores.count=8",),
    )
    assert isinstance(made, ModelPlan)
    return made


@pytest.fixture(scope="module")
def document(plan: ModelPlan) -> dict:
    return json.loads(dump_plan(plan))


def loaded(document: object) -> ModelPlan:
    return load_plan(json.dumps(document).encode(), "plan.json")


def failure(document: object) -> str:
    with pytest.raises(InvalidInputError) as caught:
        loaded(document)
    text = str(caught.value)
    assert text.startswith("plan.json: ")
    assert len(text.splitlines()) <= 3
    return text


def test_the_tiny_plan_is_as_it_was(document, golden):
    """All but the hardware, which hwspecs/ says, and what depends on the release."""
    aside = ("generator", "plan_hash", "hardware", "hardware_hash")
    kept = {key: value for key, value in document.items() if key not in aside}
    golden("tiny_plan.json", json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def test_the_golden_plan_is_worth_looking_at(plan):
    """It gathers weights, rotates something, moves activations, and fuses nodes."""
    parts = plan.breakdown_cycles()
    assert parts["transition"] > 0
    assert parts["compute"] > 0
    assert plan.gap > 0
    assert [c.name for c in plan.copies]
    assert any(o.plan.rotations for o in plan.operators) or parts["setup"] > 0
    assert any(len(op.nodes) > 1 for op in plan.graph.planned)


def test_round_trip_keeps_the_value_and_the_bytes(plan):
    data = dump_plan(plan)
    again = load_plan(data, "plan.json")
    assert again == plan
    assert dump_plan(again) == data
    assert data.endswith(b"}\n")


def paths_to_numbers(value: object, path: tuple = ()) -> list[tuple]:
    """Paths of all numbers of a document."""
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in paths_to_numbers(v, (*path, k))]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in paths_to_numbers(v, (*path, i))]
    return [path] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_no_number_can_be_edited_unnoticed(document):
    for path in Random(1).sample(paths_to_numbers(document), 150):
        if path != ("version",):
            failure(changed(document, path, at(document, path) + 1))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("schema",), "other", "schema"),
        (("version",), 2, "upgrade t10c"),
        (("version",), 0, "compile the model again"),
        (("version",), True, "version"),
        (("version",), None, "version"),
        (("hardware_hash",), "0" * 64, "hardware_hash"),
        (("hardware", "core_count"), 9, "hardware_hash"),
        (("hardware", "core_count"), -9, "hardware.core_count"),
        (("hardware", "clock_hz"), "fast", "hardware.clock_hz"),
        (("latency_cycles",), 1, "latency_cycles"),
        (("breakdown_cycles", "shift"), -1, "breakdown_cycles"),
        (("lower_bound_cycles",), "0", "lower_bound_cycles"),
        (("lower_bound_cycles",), float("nan"), "lower_bound_cycles"),
        (("lower_bound_cycles",), 10**400, "lower_bound_cycles"),
        (("uniform_cycles",), float("inf"), "uniform_cycles"),
        (("options", "transitions"), "free", "options.transitions"),
        (("options", "search", "max_candidates"), 1.5, "options.search.max_candidates"),
        (("model", "opset"), "17", "model.opset"),
        (("model", "opset"), True, "model.opset"),
        (("model", "tensors", 0, "shape"), [8, "x"], "model.tensors[0].shape[1]"),
        (("model", "inputs"), ["x", 1], "inputs"),
        (("operators", 0, "problem"), 99, "operators[0].problem"),
        (("operators", 0, "class"), "magic", "operators[0].class"),
        (("operators", 0, "inputs"), ["x"], "operators[0].inputs"),
        (("operators", 0, "split", "m"), 0, "operators[0].split.m"),
        (("operators", 0, "split", "m"), 99, "operators[0].split.m"),
        (("operators", 0, "rotations"), None, "operators[0]"),
        (("operators", 0, "cost_cycles", "compute"), 10**400, "operators[0].cost_cycles.compute"),
        (
            ("operators", 0, "cost_cycles", "compute"),
            float("inf"),
            "operators[0].cost_cycles.compute",
        ),
        (("problems", 0, "expression", "axes", 0, "length"), 0, "problems[0].expression"),
        (("problems", 0, "expression", "kernel"), "fft", "problems[0].expression.kernel"),
        (("copies",), {}, "copies"),
    ],
)
def test_a_wrong_value_is_named(document, path, value, expected):
    assert expected in failure(changed(document, path, value))


@pytest.mark.parametrize("key", ["plan_hash", "hardware", "problems", "operators", "model"])
def test_a_missing_key_is_named(document, key):
    other = dict(document)
    del other[key]
    assert f"{key}: is missing" in failure(other)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"3", b'"t10c.plan"', b"\xff\xfe", b"{" * 100_000, b"[" * 100_000],
)
def test_what_is_not_a_plan_at_all(data):
    with pytest.raises(InvalidInputError, match=r"plan\.json: "):
        load_plan(data, "plan.json")


JUNK = (
    None,
    True,
    False,
    0,
    -1,
    7,
    1.5,
    10**30,
    10**400,
    "",
    "x",
    [],
    {},
    [[]],
    {"a": 1},
    [1, "b"],
)


@pytest.mark.parametrize("forged", [False, True], ids=["as_is", "hashes_forged"])
def test_changed_documents_are_refused_or_valid(document, forged, monkeypatch):
    """Nothing but InvalidInputError, also where the hash has been made to match."""
    if forged:
        monkeypatch.setattr("t10c.schedule.document._hash", lambda *_: "same")
        monkeypatch.setattr("t10c.schedule.document.spec_hash", lambda spec: "same")
        document = {**document, "plan_hash": "same", "hardware_hash": "same"}
    paths = all_paths(document)
    draw = Random(5)
    refused = longest = 0
    for _ in range(400):
        other = mangled(document, paths, draw, JUNK, 0.3, 0.5)
        try:
            plan = loaded(other)
        except InvalidInputError as error:
            refused += 1
            longest = max(longest, len(str(error).splitlines()))
        else:
            assert load_plan(dump_plan(plan), "again") == plan
    assert refused > 200
    assert longest <= 3
