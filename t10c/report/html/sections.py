"""Sections of a simulation and their phases as columns; what is alike is told once.

Layers of a model repeat: sections that take equal time in equal phases share one *pattern*, whose
phases begin at 0. A model whose patterns have very many phases keeps those of the patterns that
take longest in all; the others show their parts only.
"""

from collections import defaultdict
from typing import Any

from t10c.report.html.texts import Table, compact, longest, shown
from t10c.simulate.result import OperatorTiming, Phase, Simulation

MOST_PHASES = 20_000
"""Phases that a page holds: a few megabytes at most."""

_PHASE_TEXT = 160

Pattern = tuple[tuple[float, ...], tuple[float, ...], tuple[tuple[Any, ...], ...]]
"""Cycles of all parts, cycles of all effects, and the phases as `_phase` has them."""


def sections_document(simulation: Simulation) -> dict[str, Any]:
    """Columns with one entry per section, the patterns they refer to, and how many lack phases."""
    operators = simulation.operators
    types, kernels, texts, patterns = Table(), Table(), Table(), Table()
    numbers = [patterns.number(_pattern(operator, texts)) for operator in operators]
    spent: dict[int, float] = defaultdict(float)
    for operator, number in zip(operators, numbers, strict=True):
        spent[number] += operator.cycles
    distinct: list[Any] = patterns.values
    kept = longest(spent, [len(phases) for _, _, phases in distinct], MOST_PHASES)
    return {
        "name": [shown(o.name) for o in operators],
        "type": [types.number(shown(o.op_type, 60)) for o in operators],
        "kernel": [kernels.number(shown(o.kernel, 60)) for o in operators],
        "cores": [o.core_count for o in operators],
        "begin": [compact(o.begin_cycles) for o in operators],
        "cost": [None if o.cost_model_cycles is None else compact(o.cost_model_cycles)
                 for o in operators],
        "peak": [o.peak_core_bytes for o in operators],
        "moved": [o.moved_bytes for o in operators],
        "flop": [compact(o.flop, 0) for o in operators],
        "pattern": numbers,
        "types": types.values,
        "kernels": kernels.values,
        "texts": texts.values,
        "patterns": [
            {
                "parts": parts,
                "effects": effects,
                **({"phases": phases} if number in kept else {}),
            }
            for number, (parts, effects, phases) in enumerate(distinct)
        ],
        "without_phases": sum(number not in kept for number in numbers),
    }  # fmt: skip


def _pattern(operator: OperatorTiming, texts: Table) -> Pattern:
    """What sections that are alike have in common."""
    return (
        tuple(compact(cycles) for cycles in operator.breakdown.as_dict().values()),
        tuple(compact(cycles) for cycles in operator.effects.as_dict().values()),
        tuple(_phase(phase, operator, texts) for phase in operator.phases),
    )


def _phase(phase: Phase, operator: OperatorTiming, texts: Table) -> tuple[Any, ...]:
    """Text, part, rounds, begin and end within the section, bytes, hops, cycles of the parts.

    Parts are told by their number, and only those that are not 0.
    """
    text = phase.text.replace(f"use:{operator.name}:", "%").replace(operator.name, "…")
    parts = phase.breakdown.as_dict()
    spent = tuple(
        entry
        for number, cycles in enumerate(parts.values())
        if cycles
        for entry in (number, compact(cycles))
    )
    return (
        texts.number(shown(text, _PHASE_TEXT)),
        list(parts).index(phase.part),
        phase.count,
        compact(phase.begin_cycles - operator.begin_cycles),
        compact(phase.end_cycles - operator.begin_cycles),
        phase.received_bytes,
        phase.sent_bytes,
        phase.hops,
        *spent,
    )
