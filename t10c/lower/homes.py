"""Homes: where tensors lie between operators, and which event uses each for the last time."""

import math
from dataclasses import dataclass

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import stored_bits
from t10c.ir.graph import Graph
from t10c.ir.program import Buffer
from t10c.lower.pieces import even_piece
from t10c.schedule.steps import Copy, Sequence, Step
from t10c.schedule.views import resolve_views

Event = Step | Copy


@dataclass(frozen=True)
class Uses:
    """What every event reads, and where each home is read for the last time.

    `events` are steps and copies in execution order. `existing` gives the tensors that a tensor is
    a view of; `dying` those whose homes are free once the event has fetched; `unread` outputs of an
    event that nobody reads.
    """

    events: tuple[Event, ...]
    existing: dict[str, tuple[str, ...]]
    dying: tuple[tuple[str, ...], ...]
    unread: frozenset[str]


def find_uses(sequence: Sequence) -> Uses:
    """Uses of all homes by the events of a sequence; weights and graph outputs never die."""
    graph = sequence.graph
    table = resolve_views(graph)
    existing = {
        name: tuple(dict.fromkeys(view.tensor for view in views))
        for name, views in table.views.items()
    }
    events = _events(sequence)
    last: dict[str, int] = {}
    for number, event in enumerate(events):
        for name in _read(event, existing):
            last[name] = number
    kept = {tensor for name in graph.outputs for tensor in existing[name]}
    kept |= {tensor.name for tensor in graph.tensors if tensor.kind == "weight"}
    dying: list[list[str]] = [[] for _ in events]
    for name, number in last.items():
        if name not in kept:
            dying[number].append(name)
    made = {event.operator.output for event in events}
    unread = frozenset(made - set(last) - kept)
    return Uses(events, existing, tuple(tuple(names) for names in dying), unread)


def _events(sequence: Sequence) -> tuple[Event, ...]:
    """Steps, and copies just before the step they precede."""
    events: list[Event] = []
    waiting = list(sequence.copies)
    for step in sequence.steps:
        while waiting and waiting[0].before_step <= step.index:
            events.append(waiting.pop(0))
        events.append(step)
    return (*events, *waiting)


def _read(event: Event, existing: dict[str, tuple[str, ...]]) -> list[str]:
    """Tensors whose homes an event reads."""
    if isinstance(event, Step):
        return [source.tensor for read in event.reads for source in read.sources]
    return [tensor for name in event.operator.inputs for tensor in existing[name]]


def home_name(tensor: str) -> str:
    """Name of the buffer that holds a tensor between operators."""
    return f"home:{tensor}"


def even_home(graph: Graph, tensor: str, spec: HardwareSpec) -> Buffer:
    """The home of a tensor that lies evenly spread: graph inputs, copies, weights without owner."""
    fact = graph.tensor[tensor]
    piece = even_piece(math.prod(fact.shape), spec.core_count)
    bits = stored_bits(spec, fact.bits)
    return Buffer(home_name(tensor), tensor, piece, piece.ranges[0].length, bits)
