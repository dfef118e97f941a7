"""Programs that someone has changed by hand: the checker names what is wrong, and never fails."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from changed_documents import all_paths, changed, mangled

import t10c
from t10c.errors import InvalidInputError, VerificationError
from t10c.execute.functions import FLOAT_FUNCTIONS, FUNCTIONS
from t10c.execute.machine import Machine
from t10c.execute.rows import ROW_FUNCTIONS
from t10c.ir.expression import ScalarStep
from t10c.ir.program import Piece, Program, Range
from t10c.program import check
from t10c.program.check import check_program
from t10c.program.document import dump_program, load_program
from t10c.program.placed import place_piece, spread
from t10c.program.steps import ARITIES, check_steps
from t10c.search.templates import named_expression

Document = dict[str, Any]
HUGE = (2**63, 2**64, 10**12, 10**30, -(10**30))


@pytest.fixture(scope="module")
def document() -> Document:
    """A chain of matmuls on so few and small cores that pieces rotate."""
    sizes = {"layers": "3", "hidden": "32"}
    model = t10c.build_model("nerf", batch=2, seq=6, overrides=sizes).SerializeToString()
    spec = t10c.load_spec("ipu-mk2", overrides=("cores.count=12", "cores.sram=9KiB"))
    plan = t10c.schedule_model(t10c.import_model(model), spec)
    assert isinstance(plan, t10c.ModelPlan)
    return json.loads(dump_program(t10c.lower_plan(plan)))


def loaded(document: object) -> Program:
    return load_program(json.dumps(document).encode(), "p.json")


def refusal(document: object) -> str:
    """What is said of a program, by who reads it or by the checker: short lines."""
    with pytest.raises(InvalidInputError) as caught:
        check_program(loaded(document), from_file=True)
    text = str(caught.value)
    lines = text.splitlines()
    assert len(lines) <= 3
    assert all(len(line) <= 500 and line.isprintable() for line in lines)
    return text


def first(document: Document, op: str, section: int = 0) -> tuple[int, Document]:
    """Number and value of the first instruction of a kind at the top of a section."""
    instructions = document["sections"][section]["instructions"]
    return next((n, found) for n, found in enumerate(instructions) if found["op"] == op)


def edited(document: Document, op: str, edit: Callable[[Document], object]) -> str:
    """What is said once the first instruction of a kind is edited; it must be named."""
    other = copy.deepcopy(document)
    number, found = first(other, op)
    edit(found)
    text = refusal(other)
    name = other["sections"][0]["name"]
    assert text.startswith(f"section '{name}', instruction {number} ({op}): "), text
    assert "cannot be followed" not in text
    return text


def test_the_program_is_right(document):
    assert check_program(loaded(document)) > 0


# Pieces


@pytest.mark.parametrize("op", ["allocate", "finish", "keep"])
@pytest.mark.parametrize("cores", [24, 0, -1, *HUGE])
def test_cores_that_there_are_not(document, op, cores):
    key = "buffer" if op == "allocate" else "into"
    said = edited(document, op, lambda found: found[key]["piece"].update(cores=cores))
    assert " lies on " in said


@pytest.mark.parametrize("op", ["allocate", "finish", "keep"])
@pytest.mark.parametrize("number", HUGE)
def test_numbers_that_64_bits_do_not_hold(document, op, number):
    key = "buffer" if op == "allocate" else "into"

    def stride(piece: Document) -> None:
        terms = next(dim["terms"] for dim in piece["dims"] if dim["terms"])
        terms[next(iter(terms))] = number

    edits: list[Callable[[Document], object]] = [
        lambda piece: piece["dims"][0].update(offset=number),
        stride,
        lambda piece: piece["ranges"][0].update(start=f"{2**40}*{2**40}"),
    ]
    if number > 0:
        edits.append(lambda piece: piece["ranges"][0].update(length=number))
    for edit in edits:
        other = copy.deepcopy(document)
        edit(first(other, op)[1][key]["piece"])
        assert "cannot be followed" not in refusal(other)


@pytest.mark.parametrize("key", ["elements", "bits", "copies"])
@pytest.mark.parametrize("number", HUGE)
def test_buffers_of_no_real_size(document, key, number):
    edited(document, "allocate", lambda found: found["buffer"].update({key: number}))


def test_an_axis_that_makes_points_without_memory(document):
    more = {"axis": "copies", "start": "0", "length": 10**9}
    said = edited(document, "allocate", lambda f: f["buffer"]["piece"]["ranges"].append(more))
    assert "1000000000 points along copies in one place" in said


def test_ranges_of_another_piece(document):
    _, keep = first(document, "keep")
    ranges = copy.deepcopy(keep["into"]["piece"]["ranges"])
    more = [*ranges, {"axis": "replica", "start": "0", "length": 1}]
    said = edited(document, "keep", lambda found: found["into"]["piece"].update(ranges=more))
    assert "other cores or axes" in said


def test_a_part_that_is_another_tensor_or_longer_than_there_is(document):
    for key, value in (("tensor", "layers.1.weight"), ("elements", 0)):
        edited(document, "keep", lambda found, k=key, v=value: found["into"].update({k: v}))
    edited(document, "keep", lambda found: found["part"].update(offsets={"k": "1"}))


def test_a_piece_far_outside_its_tensor_is_padding():
    axes = t10c.parse_expression("C[i] = A[i]", {"i": 4}).output.dims
    for start in ("core*1000000000000", "0 - core*1000000000000"):
        piece = Piece(3, axes, (Range("i", start, 2),))
        held = spread(np.arange(1, 5), place_piece(piece, {"core": np.arange(3)}))
        assert held.tolist() == [[1, 2], [0, 0], [0, 0]]


# Computing


def test_operands_of_a_kernel(document):
    other = copy.deepcopy(document)
    _, loop = first(other, "loop")
    compute = loop["body"][0]
    right = copy.deepcopy(compute["inputs"])
    for inputs, said in (
        (right[:1], "operand B is not given"),
        ([*right, right[0]], "operand A is given twice"),
        ([*right, {**right[0], "operand": "Z" * 5000}], "no operand ZZZ"),
        ([{**right[0], "offsets": {"q": "0"}}, right[1]], "operand A has no axis q"),
        (first(document, "finish")[1]["inputs"], "operand A is not given"),
    ):
        compute["inputs"] = inputs
        assert said in refusal(other)
    compute["inputs"] = right
    compute["output"]["operand"] = "A"
    assert "does not put out A" in refusal(other)


@pytest.mark.parametrize("length", [0, -1, 2**63, 10**30, 10**6])
def test_tiles_of_no_size(document, length):
    other = copy.deepcopy(document)
    first(other, "loop")[1]["body"][0]["tile"][0]["length"] = length
    assert "the tile has" in refusal(other)


def test_more_work_than_the_kernel_has_ends_at_once(document):
    other = copy.deepcopy(document)
    _, loop = first(other, "loop")
    tile = {r["axis"]: r for r in loop["body"][0]["tile"]}
    tile["m1"]["start"] = tile["m1"]["start"].replace("i0", "0")
    loop.update(count=200_000, between=[])
    assert "more is computed than the" in refusal(other)


# Loops


def test_nested_loops_have_few_rounds_together(document):
    free: Document = {"op": "free", "buffer": "x"}
    body = [free]
    for count in (10**4, 10**4, 10**4):
        body = [{"op": "loop", "count": count, "body": body}]
    other = copy.deepcopy(document)
    other["sections"][0]["instructions"][:0] = body
    said = refusal(other)
    assert "instruction 0, body, instruction 0 (loop): runs 10000 times" in said
    assert "262,144 rounds" in said


@pytest.mark.parametrize("count", [0, -1, *HUGE])
def test_a_loop_runs_at_least_once_and_not_for_ever(document, count):
    assert "(loop): runs " in edited(document, "loop", lambda found: found.update(count=count))


def test_many_loops_one_after_the_other(document):
    other = copy.deepcopy(document)
    step = {"op": "free", "buffer": "x"}
    loop = {"op": "loop", "count": 2**18, "body": [step]}
    other["end"]["instructions"][:0] = [loop] * 70
    assert "more than 16,777,216 instructions" in refusal(other)


def test_a_loop_needs_no_more_than_count_and_body(document):
    """What is empty may be left out, and is."""
    other = copy.deepcopy(document)
    _, clear = first(other, "clear")
    inner = {"op": "loop", "count": 2, "body": [clear]}
    instructions = other["sections"][0]["instructions"]
    at = instructions.index(clear)
    instructions[at] = {"op": "loop", "count": 3, "body": [inner]}
    made = loaded(other)
    assert check_program(made) == check_program(loaded(document))
    assert json.loads(dump_program(made))["sections"] == other["sections"]
    tensors = {tensor.name: tensor for tensor in made.tensors}
    weights = {n: np.ones(t.shape, np.float32) for n, t in tensors.items() if t.kind == "weight"}
    given = {name: np.ones(tensors[name].shape, np.float32) for name in made.inputs}
    outputs = [Machine(p, weights).run(given) for p in (made, loaded(document))]
    for name in made.outputs:
        assert np.array_equal(outputs[0][name], outputs[1][name])


# Host, views and declarations


def test_the_host_writes_weights_and_inputs_only(document):
    kind = {tensor["name"]: tensor["kind"] for tensor in document["tensors"]}
    home = document["begin"]["instructions"][0]["buffer"]
    assert kind[home["tensor"]] == "input"
    other = copy.deepcopy(document)
    made = {"op": "allocate", "buffer": {**home, "name": "more"}}
    other["load"]["instructions"] += [made, {"op": "load", "buffer": "more"}]
    assert "(load): the host has no input" in refusal(other)
    activation = next(t for t in document["tensors"] if t["kind"] == "activation")
    piece = {**home["piece"], "ranges": [{"axis": "e", "start": "0", "length": 1}]}
    made["buffer"].update(tensor=activation["name"], piece=piece, elements=1)
    other = copy.deepcopy(document)
    other["begin"]["instructions"] += [made, {"op": "load", "buffer": "more"}]
    assert "(load): the host has no activation" in refusal(other)


def test_an_output_that_nobody_stores(document):
    other = copy.deepcopy(document)
    other["end"]["instructions"] = [i for i in other["end"]["instructions"] if i["op"] != "store"]
    assert f"the output '{document['outputs'][0]}' is never stored" in refusal(other)


def test_views_that_read_each_other(document):
    names = [tensor["name"] for tensor in document["tensors"]][:2]
    view = {
        **{"name": "v", "op_type": "Reshape", "kind": "reshape", "nodes": [], "perm": []},
        **{"starts": [], "steps": [], "axis": 0, "fill": "0.0"},
    }
    for inputs, outputs, said in (
        (names, names[::-1], "reads"),
        (names[:1], names[:1], "reads"),
        (["nobody"], names[:1], "there is no tensor 'nobody'"),
        ([names[0], names[0]], [names[1], names[1]], "has a view before"),
    ):
        pairs = zip(inputs, outputs, strict=True)
        views = [{**view, "inputs": [i], "output": o} for i, o in pairs]
        assert said in refusal(changed(document, ("views",), views))
    one = {**view, "inputs": names[:1], "output": names[1]}
    for key, wrong in (("fill", "much"), ("inputs", []), ("starts", [10**30])):
        assert "view 'v'" in refusal(changed(document, ("views",), [{**one, key: wrong}]))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("core_count",), 10**12, "core_count"),
        (("element_bits",), -16, "element_bits"),
        (("reserved_bytes",), -1, "reserved_bytes"),
        (("tensors", 0, "shape", 0), 10**30, "has the shape"),
        (("kernels", 0, "axes", 0, "length"), 2**63, "kernel 0: has more than"),
        (("kernels", 0, "inputs", 0, "dims", 0, "offset"), 10**30, "kernel 0, operand A"),
        (("kernels", 0, "axes", 3, "reduction"), False, "axis k is not reduced"),
        (("kernels", 0, "axes", 2, "reduction"), True, "axis n is reduced"),
        (("kernels", 0, "reduce_op"), None, "no reduce_op for axis k"),
    ],
)
def test_declarations_that_nothing_real_has(document, path, value, said):
    assert said in refusal(changed(document, path, value))


def test_long_names_are_cut(document):
    for op, key in (("free", "buffer"), ("clear", "buffer"), ("shift", "buffer")):
        other = copy.deepcopy(document)
        instructions = other["sections"][0]["instructions"]
        _, loop = first(other, "loop")
        place = loop["between"] if op == "shift" else instructions
        next(found for found in place if found["op"] == op)[key] = "n\n" * 5000
        other["sections"][0]["name"] = "s" * 5000
        assert "..." in refusal(other)


# Kernels


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("op", "Foo", "kernels[0].epilogue[0].op: is 'Foo'; it must be the name of an ONNX"),
        ("op", "", "kernels[0].epilogue[0].op: is ''"),
        ("op", "Relu", "kernels[0].epilogue[0].inputs: has 2; Relu takes 1"),
        ("op", "Where", "kernels[0].epilogue[0].inputs: has 2; Where takes 3"),
        ("inputs", ["acc"], None),
        ("inputs", ["acc", "nobody"], "kernels[0].epilogue[0].inputs: is 'nobody'"),
    ],
)
def test_steps_that_are_none(document, key, value, said):
    assert document["kernels"][0]["epilogue"][0]["op"] == "Add"
    other = changed(document, ("kernels", 0, "epilogue", 0, key), value)
    if said is None:
        loaded(other)
    else:
        assert said in refusal(other)


def test_every_function_has_an_arity():
    """Those that the table has not are ONNX's own, and take as many inputs as there."""
    expression = named_expression("matmul", {"m": 2, "k": 2, "n": 2})
    for name in (*FUNCTIONS, *FLOAT_FUNCTIONS, *ROW_FUNCTIONS):
        takes = [n for n in range(1, 5) if not _said(_with_body(expression, name, n))]
        assert takes, name
        if name in ARITIES:
            assert takes[0] == ARITIES[name][0]


def _said(expression: t10c.TensorExpression) -> str:
    try:
        check_steps(expression, "kernel")
    except InvalidInputError as error:
        return str(error)
    return ""


def _with_body(expression: t10c.TensorExpression, op: str, count: int) -> t10c.TensorExpression:
    return replace(expression, body=(ScalarStep(op, ("A",) * count),))


def _fallback(**keys: object) -> Document:
    """A kernel that is a fallback operator: a Det of a matrix."""
    dims = [{"terms": {f"A{d}": 1}, "size": 4, "offset": 0} for d in range(2)]
    axes = [{"name": f"A{d}", "length": 4, "role": "whole", "reduction": False} for d in range(2)]
    attributes = {"opset": 22, "output": 0, **keys}
    return {
        "kernel": "fallback",
        "axes": axes,
        "inputs": [{"name": "A", "dims": dims, "fused": False}],
        "output": {"name": "C", "dims": [], "fused": False},
        "body": [{"op": "Det", "inputs": ["A"], "attributes": attributes, "rows": False}],
        "reduce_op": None,
        "epilogue": [],
    }


def test_fallback_operators(document):
    def with_kernel(kernel: Document) -> Document:
        return {**document, "kernels": [*document["kernels"], kernel]}

    place = f"kernels[{len(document['kernels'])}].body[0]"
    check_program(loaded(with_kernel(_fallback())))
    for keys, key in (
        ({"output": 10**30}, "output"),
        ({"output": 1}, "output"),
        ({"output": "0"}, "output"),
        ({"opset": 10**30}, "opset"),
        ({"domain": "nowhere"}, "domain"),
    ):
        assert f"{place}.attributes.{key}: is " in refusal(with_kernel(_fallback(**keys)))
    for key, value, said in (
        ("op", "Foo", f"{place}.op: is 'Foo'; it must be an ONNX operator of opset 22"),
        ("inputs", ["A", "A"], f"{place}.inputs: has 2; Det takes 1"),
    ):
        kernel = _fallback()
        kernel["body"][0][key] = value
        assert said in refusal(with_kernel(kernel))


# When all else fails


def test_what_nobody_thought_of_is_the_mistake_of_a_file_and_a_bug_elsewhere(document, monkeypatch):
    def fails(*_: object) -> None:
        raise OverflowError("too\nlarge")

    monkeypatch.setattr(check._Checker, "_reduce", fails)
    number, _ = first(document, "reduce")
    with pytest.raises(InvalidInputError, match=rf"instruction {number}: cannot be followed"):
        check_program(loaded(document), from_file=True)
    with pytest.raises(OverflowError):
        check_program(loaded(document))


def test_what_fails_as_a_program_runs_names_the_instruction(document):
    other = copy.deepcopy(document)
    number, exchange = first(other, "exchange")
    exchange["moves"][0]["sources"] = []
    made = loaded(other)
    tensors = {tensor.name: tensor for tensor in made.tensors}
    weights = {n: np.ones(t.shape, np.float32) for n, t in tensors.items() if t.kind == "weight"}
    given = {name: np.ones(tensors[name].shape, np.float32) for name in made.inputs}
    name = other["sections"][0]["name"]
    with pytest.raises(VerificationError) as caught:
        Machine(made, weights).run(given)
    assert str(caught.value).startswith(f"section '{name}', instruction {number}: no core holds")


def test_changed_documents_are_refused_in_short_or_valid(document):
    paths, draw = all_paths(document), Random(5)
    junk = (*HUGE, 0, -1, None, "", "core*" + str(2**40), [], {}, "x" * 10_000, 1.5)
    said = [_refused(mangled(document, paths, draw, junk, 0.15, 0.5)) for _ in range(300)]
    assert 50 < sum(map(bool, said)) < 300
    assert not [text for text in said if "cannot be followed" in text or len(text) > 1000]


def _refused(document: Document) -> str:
    try:
        check_program(loaded(document), from_file=True)
    except InvalidInputError as error:
        return str(error)
    return ""
