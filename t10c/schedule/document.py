"""Plan files: a model plan as one self-contained JSON document, and back.

Expressions stand once per distinct problem and operators refer to them by number. Loading checks
the schema version, that every plan belongs to its expression, and the hashes of hardware and plan.
"""

import json
from typing import Any

from t10c import __version__
from t10c.commons import Commons, Plain
from t10c.errors import InvalidInputError
from t10c.hardware.document import from_document as spec_from_document
from t10c.hardware.document import spec_hash
from t10c.hardware.document import to_document as spec_to_document
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.topology import grid_of
from t10c.ir.graph import Bindings, Graph, LayoutOp, NodeRecord, Operator, Tensor
from t10c.ir.plan import Plan, Rotation
from t10c.ir.positions import CorePositions
from t10c.schedule.entries import Entries
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.result import CopyPlan, JointRecord, ModelPlan, OperatorPlan, ProblemRecord
from t10c.serialise import (
    PLAIN,
    content_hash,
    decode,
    decode_tuple,
    encode,
    file_bytes,
    mapping,
    number,
    own_document,
    whole_number,
    wrong,
)

SCHEMA = "t10c.plan"
VERSION = 1

_WRITE_ONE = "write one with: t10c compile MODEL.onnx --hw ipu-mk2 -o PLAN.json"
_COMPILE_AGAIN = "compile the model again; options and --hw-set change a plan, edits do not"
_MODEL_TEXTS = ("name", "producer")
_DERIVED = ("latency_cycles", "latency_ms", "peak_core_bytes", "core_bytes", "breakdown_cycles")


def to_document(plan: ModelPlan) -> dict[str, Any]:
    """The plan as JSON values; equal plans give equal documents."""
    return _document(plan, PLAIN)


def _document(plan: ModelPlan, parts: Plain) -> dict[str, Any]:
    """The plan as JSON values, or what stands for them among `parts`."""
    body = _body(plan, parts)
    return {"schema": SCHEMA, "version": VERSION, "plan_hash": _hash(body, parts), **body}


def _hash(document: dict[str, Any], parts: Plain = PLAIN) -> str:
    """Hash of all that a document says, however it is laid out as text."""
    return content_hash(document, ("schema", "version", "plan_hash"), parts)


def _body(plan: ModelPlan, parts: Plain) -> dict[str, Any]:
    graph = plan.graph
    entries = Entries(plan, parts)
    return {
        "generator": f"t10c {__version__}",
        "latency_cycles": plan.latency_cycles,
        "latency_ms": plan.latency_seconds * 1e3,
        "peak_core_bytes": plan.peak_core_bytes,
        "core_bytes": plan.spec.usable_bytes,
        "breakdown_cycles": plan.breakdown_cycles(),
        "lower_bound_cycles": plan.lower_bound_cycles,
        "uniform_cycles": plan.uniform_cycles,
        "end_bytes": plan.end_bytes,
        "options": encode(plan.options),
        "hardware_overrides": list(plan.overrides),
        "hardware_hash": spec_hash(plan.spec),
        "hardware": spec_to_document(plan.spec),
        **({"joint": encode(plan.joint)} if plan.joint is not None else {}),
        **({"least_bytes": plan.least_bytes} if plan.least_bytes is not None else {}),
        **({"positions": encode(plan.positions)} if plan.positions is not None else {}),
        "model": {
            "name": graph.name,
            "producer": graph.producer,
            "opset": graph.opset,
            "inputs": list(graph.inputs),
            "outputs": list(graph.outputs),
            "flop_matmul_conv": graph.flop_matmul_conv,
            "warnings": list(graph.warnings),
            "tensors": entries.tensors(graph.tensors),
            "nodes": entries.nodes(graph.nodes),
            **({"bindings": encode(graph.bindings)} if graph.bindings != Bindings() else {}),
        },
        "problems": [encode(problem) for problem in plan.problems],
        "operators": entries.operators(graph.operators),
        "copies": [encode(copy) for copy in plan.copies],
    }


def dump_plan(plan: ModelPlan) -> bytes:
    """The plan file's bytes: the text of `to_document`."""
    commons = Commons()
    return file_bytes(_document(plan, commons), commons)


def load_plan(data: bytes, place: str) -> ModelPlan:
    """The plan of a plan file's bytes; `place` names it in errors (InvalidInputError)."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"{place}: not a plan file: {str(error)[:120]}\n{_WRITE_ONE}"
        ) from error
    try:
        return from_document(document)
    except InvalidInputError as error:
        remedy = "" if "\n" in str(error) else f"\n{_COMPILE_AGAIN}"
        raise InvalidInputError(f"{place}: {error}{remedy}") from error


def from_document(document: object) -> ModelPlan:
    """The plan of a document; InvalidInputError names the key that is wrong."""
    known = own_document(document, SCHEMA, VERSION, _WRITE_ONE, _COMPILE_AGAIN)
    spec = spec_from_document(_key(known, "hardware"))
    if spec_hash(spec) != _key(known, "hardware_hash"):
        raise InvalidInputError(
            "hardware_hash does not belong to the hardware in the plan: one of them was edited\n"
            "compile again, with --hw-set KEY=VALUE to change the hardware"
        )
    problems = decode_tuple(ProblemRecord, _key(known, "problems"), "problems")
    operators, plans = _operators(_key(known, "operators"), problems)
    plan = ModelPlan(
        graph=_graph(mapping(_key(known, "model"), "model"), operators),
        spec=spec,
        options=decode(ScheduleOptions, _key(known, "options"), "options"),
        overrides=_texts(known, "hardware_overrides"),
        operators=plans,
        copies=decode_tuple(CopyPlan, _key(known, "copies"), "copies"),
        problems=problems,
        lower_bound_cycles=number(_key(known, "lower_bound_cycles"), "lower_bound_cycles"),
        uniform_cycles=number(_key(known, "uniform_cycles"), "uniform_cycles"),
        end_bytes=whole_number(_key(known, "end_bytes"), "end_bytes"),
        positions=_positions(known, spec),
        joint=decode(JointRecord, known["joint"], "joint") if "joint" in known else None,
        least_bytes=_least_bytes(known),
    )
    written = to_document(plan)
    for key in _DERIVED:
        if known.get(key) != written[key]:
            raise InvalidInputError(f"{key}: does not follow from the operators; it was edited")
    if _hash(known) != _key(known, "plan_hash"):
        raise InvalidInputError(
            f"plan_hash does not belong to the plan: the file was edited\n{_COMPILE_AGAIN}"
        )
    return plan


def _least_bytes(document: dict[str, Any]) -> int | None:
    """The bound on the peak of memory, which a plan may have."""
    if "least_bytes" not in document:
        return None
    found = whole_number(document["least_bytes"], "least_bytes")
    if not 0 <= found <= whole_number(document.get("peak_core_bytes"), "peak_core_bytes"):
        raise wrong("least_bytes", found, "at least 0 and at most peak_core_bytes")
    return found


def _positions(document: dict[str, Any], spec: HardwareSpec) -> CorePositions | None:
    """Where the cores are: given exactly where the hardware has a grid, and on that."""
    grid = grid_of(spec)
    if grid is None:
        if "positions" in document:
            raise InvalidInputError("positions: the hardware has no grid")
        return None
    positions = decode(CorePositions, _key(document, "positions"), "positions")
    if (positions.width, positions.height) != (grid.width, grid.height):
        size = f"{positions.width} x {positions.height}"
        raise InvalidInputError(
            f"positions: are on a grid of {size}, the hardware's is {grid.width} x {grid.height}"
        )
    return positions


def _key(document: dict[str, Any], name: str) -> Any:
    if name not in document:
        raise InvalidInputError(f"{name}: is missing")
    return document[name]


def _texts(document: dict[str, Any], name: str) -> tuple[str, ...]:
    value = _key(document, name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise wrong(name, value, "a list of texts")
    return tuple(value)


def _operators(
    value: Any, problems: tuple[ProblemRecord, ...]
) -> tuple[tuple[Operator | LayoutOp, ...], tuple[OperatorPlan, ...]]:
    """The graph's operators, and the plans of those that compute."""
    if not isinstance(value, list):
        raise wrong("operators", value, "a list")
    operators: list[Operator | LayoutOp] = []
    plans: list[OperatorPlan] = []
    for index, item in enumerate(value):
        path = f"operators[{index}]"
        entry = dict(mapping(item, path))
        kind = entry.pop("class", None)
        if kind == "layout_only":
            operators.append(decode(LayoutOp, entry, path))
        elif kind == "planned":
            operator, plan = _planned(entry, problems, path)
            operators.append(operator)
            plans.append(plan)
        else:
            raise wrong(f"{path}.class", kind, "planned or layout_only")
    return tuple(operators), tuple(plans)


def _planned(
    entry: dict[str, Any], problems: tuple[ProblemRecord, ...], path: str
) -> tuple[Operator, OperatorPlan]:
    position = entry.get("problem")
    if type(position) is not int or not 0 <= position < len(problems):
        raise wrong(f"{path}.problem", position, f"a number below {len(problems)}")
    expression = problems[position].expression
    own = ("op_type", "nodes", "inputs", "output")
    for key in own:
        if key not in entry:
            raise InvalidInputError(f"{path}.{key}: is missing")
    operator = Operator(
        name=str(entry.get("name")),
        op_type=str(entry.pop("op_type")),
        expression=expression,
        nodes=_texts(entry, "nodes"),
        inputs=_texts(entry, "inputs"),
        output=str(entry.pop("output")),
    )
    del entry["nodes"], entry["inputs"]
    if len(operator.inputs) != len(expression.inputs):
        raise wrong(f"{path}.inputs", len(operator.inputs), f"{len(expression.inputs)} tensors")
    split = mapping(_key(entry, "split"), f"{path}.split")
    if list(split) != [axis.name for axis in expression.axes]:
        raise wrong(f"{path}.split", list(split), "the axes of the expression, in order")
    del entry["split"]
    entry["plan"] = {"split": list(split.values()), "rotations": entry.pop("rotations", None)}
    plan = decode(OperatorPlan, entry, path)
    _check_plan(plan.plan, operator, path)
    return operator, plan


def _check_plan(plan: Plan, operator: Operator, path: str) -> None:
    """Factors and rotations must be possible for the expression at all."""
    expression = operator.expression
    for axis, factor in zip(expression.axes, plan.split, strict=True):
        if not 1 <= factor <= axis.length:
            raise wrong(f"{path}.split.{axis.name}", factor, f"1 to {axis.length}")
    operands = {operand.name: operand for operand in expression.operands}
    for index, rotation in enumerate(plan.rotations):
        _check_rotation(rotation, operands, f"{path}.rotations[{index}]")


def _check_rotation(rotation: Rotation, operands: dict[str, Any], path: str) -> None:
    if rotation.radix < 2:
        raise wrong(f"{path}.radix", rotation.radix, "at least 2")
    for name in rotation.operands:
        if name not in operands or rotation.axis not in operands[name].axes:
            raise wrong(f"{path}.operands", name, f"an operand that has axis {rotation.axis}")


def _bindings(value: object) -> Bindings:
    """How the model was bound; most plans have nothing to say of it."""
    if value is None:
        return Bindings()
    bindings = decode(Bindings, value, "model.bindings")
    for name, text in bindings.values:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            path = f"model.bindings.values.{name}"
            raise wrong(path, text, "numbers and nested lists as text") from None
    return bindings


def _graph(model: dict[str, Any], operators: tuple[Operator | LayoutOp, ...]) -> Graph:
    for key in ("opset", "flop_matmul_conv"):
        whole_number(model.get(key), f"model.{key}")
    for key in _MODEL_TEXTS:
        if not isinstance(model.get(key), str):
            raise wrong(f"model.{key}", model.get(key), "text")
    return Graph(
        name=model["name"],
        tensors=decode_tuple(Tensor, _key(model, "tensors"), "model.tensors"),
        inputs=_texts(model, "inputs"),
        outputs=_texts(model, "outputs"),
        operators=operators,
        nodes=decode_tuple(NodeRecord, _key(model, "nodes"), "model.nodes"),
        flop_matmul_conv=model["flop_matmul_conv"],
        opset=model["opset"],
        producer=model["producer"],
        warnings=_texts(model, "warnings"),
        bindings=_bindings(model.get("bindings")),
    )
