"""One operator of a plan, in full: rTensors, rings, who holds what at each step, and the front."""

import math
from typing import Any

import numpy as np

from t10c.ir.expression import Operand
from t10c.ir.graph import Operator
from t10c.ir.plan import axis_steps, block_lengths, tile_lengths
from t10c.report.expression import expression_text, step_texts
from t10c.report.front import entry_document, rotations_text, split_text
from t10c.report.positions import hops_text, ring_hops
from t10c.report.text import cycles_text, percent_text, size_text, size_texts, table_lines
from t10c.schedule.result import MemoryTerms, ModelPlan, OperatorPlan
from t10c.search.placement import core_coordinates, offsets
from t10c.serialise import encode

_SHOWN_CORES = 6
_SHOWN_STEPS = 8


def operator_document(plan: ModelPlan, operator: Operator, chosen: OperatorPlan) -> dict[str, Any]:
    """The explanation as JSON values."""
    problem = plan.problems[chosen.problem]
    expression = problem.expression
    return {
        "name": operator.name,
        "op_type": operator.op_type,
        "fallback": expression.kernel == "fallback",
        "nodes": list(operator.nodes),
        "expression": expression_text(expression),
        "steps": step_texts(expression),
        "axes": {a.name: a.length for a in expression.axes},
        "stored_bits": {o.name: o.bits for o in expression.operands if o.bits},
        "split": dict(zip((a.name for a in expression.axes), chosen.plan.split, strict=True)),
        "rotations": [encode(rotation) for rotation in chosen.plan.rotations],
        "placement": chosen.placement,
        "rtensors": [encode(tensor) for tensor in chosen.rtensors],
        "memory_bytes": encode(chosen.memory_bytes),
        "cost_cycles": {**encode(chosen.cost_cycles), "total": chosen.cost_cycles.total},
        "idle": [encode(weight) for weight in chosen.idle],
        "transitions": [encode(transition) for transition in chosen.transitions],
        "search": encode(problem.search),
        "front": [entry_document(expression, entry) for entry in problem.front],
        **_hops_document(plan, operator, chosen),
        "schedule": _schedule(operator, chosen),
    }


def _hops_document(
    plan: ModelPlan, operator: Operator, chosen: OperatorPlan
) -> dict[str, list[dict[str, Any]]]:
    """How far every shift goes; nothing on chips whose cores are all neighbours."""
    if plan.positions is None:
        return {}
    found = ring_hops(plan, operator.expression, chosen.plan)
    return {
        "ring_hops": [
            {"rotation": level, "operand": name, "hops": far}
            for (level, name), far in found.items()
        ]
    }


def _schedule(operator: Operator, chosen: OperatorPlan) -> list[dict[str, Any]]:
    """For the first cores, which chunk of every rotation they work on at the first steps."""
    coordinates = core_coordinates(chosen.plan.split)[:_SHOWN_CORES]
    found = offsets(operator.expression, chosen.plan, coordinates)
    assert found is not None, "a plan in a file has a placement"
    radices = [rotation.radix for rotation in chosen.plan.rotations]
    steps = int(np.prod(radices)) if radices else 1
    table = []
    for core, where in enumerate(coordinates):
        chunks = []
        for step in range(min(steps, _SHOWN_STEPS)):
            positions = _positions(step, radices)
            chunks.append(
                [int((o[core] + p) % r) for o, p, r in zip(found, positions, radices, strict=True)]
            )
        table.append(
            {
                "core": core,
                "coordinates": {
                    a.name: int(c) for a, c in zip(operator.expression.axes, where, strict=True)
                },
                "chunks_by_step": chunks,
            }
        )
    return table


def _positions(step: int, radices: list[int]) -> list[int]:
    """Shifts of every rotation before a step: a loop of radix r shifts r - 1 times per round."""
    positions = []
    inner = int(np.prod(radices)) if radices else 1
    rounds = 0
    for radix in radices:
        inner //= radix
        digit = step // inner % radix
        positions.append(rounds * (radix - 1) + digit)
        rounds = rounds * radix + digit
    return positions


def operator_lines(plan: ModelPlan, operator: Operator, chosen: OperatorPlan) -> list[str]:
    """The explanation for people."""
    problem = plan.problems[chosen.problem]
    expression = problem.expression
    blocks = block_lengths(expression, chosen.plan)
    tiles = tile_lengths(expression, chosen.plan)
    lines = [
        f"{operator.name} ({operator.op_type} of {len(operator.nodes)} ONNX nodes; one plan search"
        f" for {problem.operators} like it)",
        f"  {expression_text(expression)}",
    ]
    if expression.kernel == "fallback":
        lines.append(
            "  fallback: it runs on one core, and its time is an estimate; t10c inspect says why"
        )
    lines += _width_lines(plan, operator)
    rows = [
        [a.name, str(a.length), str(f), str(s), str(axis_steps(chosen.plan, a.name)), str(u)]
        for a, f, s, u in zip(expression.axes, chosen.plan.split, blocks, tiles, strict=True)
    ]
    lines += table_lines(["axis", "length", "split F", "block S", "steps T", "tile u"], rows)
    used = math.prod(chosen.plan.split)
    lines.append(
        f"cores: {used:,} of {plan.spec.core_count:,} ({percent_text(used / plan.spec.core_count)})"
    )
    lines.append(f"rotations, outermost first: {rotations_text(chosen.plan)}")
    lines += table_lines(RTENSOR_HEADER, rtensor_rows(chosen))
    lines += _ring_lines(plan, operator, chosen)
    lines += _idle_lines(chosen)
    lines += _cost_lines(plan, chosen)
    lines.append(
        "front of this operator (memory per core with its buffers, cycles with the uniform"
        " transition):"
    )
    front = [
        [
            "->" if e.plan == chosen.plan else "",
            f"{e.memory_bytes:,}",
            cycles_text(e.cycles),
            split_text(expression, e.plan),
            rotations_text(e.plan),
        ]
        for e in problem.front
    ]
    lines += table_lines(["", "bytes/core", "cycles", "split", "rotations"], front, left=(0, 3, 4))
    if all(e.plan != chosen.plan for e in problem.front):
        lines.append(
            "why not one of these: this plan was cheaper once its neighbours' layouts and the idle"
            " weights of the whole model were counted"
        )
    return lines


def _width_lines(plan: ModelPlan, operator: Operator) -> list[str]:
    """The operands that are stored at a width of their own; nothing if there is none."""
    widths = [f"{o.name} {o.bits} bits" for o in operator.expression.operands if o.bits]
    if not widths:
        return []
    return [f"  stored width: {', '.join(widths)}; all else {plan.spec.element_type}"]


RTENSOR_HEADER = (
    *("rTensor", "shape", "f_s", "f_t"),
    *("rp", "piece", "size", "shared by", "replicas"),
)
"""Heads of `rtensor_rows`."""


def rtensor_rows(chosen: OperatorPlan) -> list[list[str]]:
    """The operands of a plan as cells below RTENSOR_HEADER; factors are told per axis."""

    def factors(dims: tuple[tuple[tuple[str, int], ...], ...]) -> str:
        return " ".join("*".join(f"{a}:{f}" for a, f in dim) or "1" for dim in dims) or "-"

    return [
        [
            tensor.name,
            "x".join(map(str, tensor.shape)) or "scalar",
            factors(tensor.spatial),
            factors(tensor.temporal),
            " ".join(map(str, tensor.pace)) or "-",
            "x".join(map(str, tensor.piece_shape)) or "1",
            size_text(size),
            str(tensor.sharing),
            str(tensor.replicas),
        ]
        for tensor, size in zip(chosen.rtensors, chosen.piece_bytes, strict=True)
    ]


def _ring_lines(plan: ModelPlan, operator: Operator, chosen: OperatorPlan) -> list[str]:
    """Rings, and the chunks that the first cores work on."""
    lines = []
    hops = ring_hops(plan, operator.expression, chosen.plan)
    operands: dict[str, Operand] = {o.name: o for o in operator.expression.operands}
    for level, rotation in enumerate(chosen.plan.rotations):
        for name in rotation.operands:
            across = ",".join(operator.expression.lacks(operands[name])) or "-"
            far = hops.get((level, name))
            lines.append(
                f"ring: {rotation.radix} cores along {across} pass {name} on, piece by piece of"
                f" {rotation.axis}" + (f", at most {hops_text(far)} away" if far else "")
            )
    if not chosen.plan.rotations:
        return ["no rings: every core holds all it needs, in one step"]
    for row in _schedule(operator, chosen):
        where = " ".join(f"{a}={c}" for a, c in row["coordinates"].items())
        chunks = " ".join("/".join(map(str, c)) for c in row["chunks_by_step"])
        lines.append(f"core {row['core']} ({where}): chunk at each step {chunks}")
    lines.append("(one chunk per rotation, in loop order; the first cores and steps only)")
    return lines


def _idle_lines(chosen: OperatorPlan) -> list[str]:
    lines = []
    for weight in chosen.idle:
        cut = weight.cut
        how = ", ".join(f"{a} {f}-fold" for a, f in cut.factors) or "as when active"
        lines.append(
            f"idle weight {weight.operand} ({weight.tensor}): {size_text(cut.idle_bytes)} per core,"
            f" cut {how}; active {size_text(weight.active_bytes)};"
            f" setup {cycles_text(cut.setup_cycles)} cycles"
        )
    for move in chosen.transitions:
        source = " (copy of the operator before)" if move.reused else ""
        lines.append(
            f"fetch {move.operand} ({move.tensor}){source}: at most"
            f" {size_text(move.received_bytes)} received by a core"
        )
    return lines


def _cost_lines(plan: ModelPlan, chosen: OperatorPlan) -> list[str]:
    cost = chosen.cost_cycles
    parts = encode(cost)
    share = cost.total / plan.latency_cycles if plan.latency_cycles else 0.0
    return [
        f"time {cycles_text(cost.total)} cycles ({100 * share:.2f} % of the model): "
        + ", ".join(f"{name} {cycles_text(value)}" for name, value in parts.items() if value),
        *memory_lines(chosen.memory_bytes),
    ]


def memory_lines(memory: MemoryTerms) -> list[str]:
    """The demand while the operator runs, and the one just before if that is larger."""
    running, fetching = size_texts(memory.total, memory.fetch_total)
    lines = [
        f"memory {running} per core while it runs: idle weights {size_text(memory.idle_weights)},"
        f" active pieces {size_text(memory.active_pieces)}, live activations"
        f" {size_text(memory.live_activations)}, shift buffer {size_text(memory.shift_buffer)}",
    ]
    if memory.fetch_total > memory.total:
        lines.append(
            f"memory {fetching} per core while its operands are fetched: without its output, but"
            " with the old homes of what it reads for the last time"
        )
    return lines
