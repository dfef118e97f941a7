"""Pictures of the cores of a plan: which piece of an operand each holds, and from whom the next.

Cores are followed round their rings by the same formulas that are lowered (t10c.lower.frame), so
that a picture shows what a program does. Only a few cores are drawn, whole rings where they fit.
"""

from typing import Any

import numpy as np

from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.formula import evaluate
from t10c.ir.plan import Plan
from t10c.lower.frame import Frame
from t10c.report.html.texts import Table
from t10c.search.placement import core_coordinates, offsets
from t10c.search.space import IntArray

MOST_CORES = 64


def ring_picture(expression: TensorExpression, plan: Plan) -> dict[str, Any]:
    """Views of a plan's cores: one per operand as it begins, one per operand that rotates.

    A view has the drawn `cores`, ring by ring in the order in which pieces come round, the number
    of the piece that each holds at the start, and what each piece is, as (axis, index) texts.
    """
    frame = Frame(expression, plan, inline=True)
    views = [view for operand in expression.operands for view in _operand_views(frame, operand)]
    coordinates = {
        int(core): [int(c) for c in where]
        for view in views
        for core, where in zip(
            view["cores"], core_coordinates(plan.split, np.array(view["cores"])), strict=True
        )
    }
    axes = [i for i, factor in enumerate(plan.split) if factor > 1]
    return {
        "used": frame.cores,
        "axes": [expression.axes[i].name for i in axes],
        "coordinates": {core: [where[i] for i in axes] for core, where in coordinates.items()},
        "views": views,
    }


def _operand_views(frame: Frame, operand: Operand) -> list[dict[str, Any]]:
    """One view per rotation of an operand; of one that does not rotate the first cores in order."""
    levels = [
        level
        for level, rotation in enumerate(frame.plan.rotations)
        if operand.name in rotation.operands
    ]
    if not levels:
        cores = list(range(min(frame.cores, MOST_CORES)))
        return [{"operand": operand.name, **_held(frame, operand, cores)}]
    return [
        {
            "operand": operand.name,
            "axis": frame.rotation(level).axis,
            "radix": frame.rotation(level).radix,
            **_held(frame, operand, _rings(frame, operand, level)),
        }
        for level in levels
    ]


def _rings(frame: Frame, operand: Operand, level: int) -> list[int]:
    """Cores of whole rings, one ring after the other, each core before the one it receives from.

    A ring that is longer than what is drawn is cut.
    """
    radix = frame.rotation(level).radix
    source = str(frame.ring_source(operand, level))
    beginnings = np.arange(min(frame.cores, MOST_CORES), dtype=np.int64)
    steps = [beginnings]
    while len(steps) < min(radix, MOST_CORES):
        here = steps[-1]
        steps.append(here * 0 + evaluate(source, {"core": here, "run": 0}))
    around = np.stack(steps, axis=1)
    found: list[int] = []
    for ring in around.tolist():
        if ring[0] in found:
            continue
        if found and len(found) + len(ring) > MOST_CORES:
            break
        found += ring
    return found


def _held(frame: Frame, operand: Operand, cores: list[int]) -> dict[str, Any]:
    """The piece that every core holds as the operator begins: blocks, then chunks of rotations."""
    numbers = np.array(cores, dtype=np.int64)
    coordinates = core_coordinates(frame.plan.split, numbers)
    begun = offsets(frame.expression, frame.plan, coordinates)
    assert begun is not None, "a plan that was chosen has a placement"
    names, columns = _piece_columns(frame, operand, coordinates, begun)
    pieces = Table()
    held = [pieces.number(row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    if not columns:
        held = [pieces.number(())] * len(cores)
    return {"cores": cores, "held": held, "of": names, "pieces": pieces.values}


def _piece_columns(
    frame: Frame, operand: Operand, coordinates: IntArray, begun: list[IntArray]
) -> tuple[list[str], list[IntArray]]:
    """What tells pieces of an operand apart: blocks of split axes, chunks of its rotations."""
    expression, plan = frame.expression, frame.plan
    split = [
        (name, expression.axis_index[name])
        for name in operand.axes
        if plan.split[expression.axis_index[name]] > 1
    ]
    turning = [
        (level, rotation)
        for level, rotation in enumerate(plan.rotations)
        if operand.name in rotation.operands
    ]
    names = [f"{name} block of {plan.split[index]}" for name, index in split]
    names += [f"{rotation.axis} chunk of {rotation.radix}" for _, rotation in turning]
    columns = [coordinates[:, index] for _, index in split]
    columns += [begun[level] for level, _ in turning]
    return names, columns
