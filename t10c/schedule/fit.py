"""When a model does not fit: which operator, how many bytes, made of what, and what would help."""

import math
from collections import Counter
from itertools import chain

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes
from t10c.ir.graph import type_bits
from t10c.schedule.choices import Choices
from t10c.schedule.memory import live_homes, loose_weight_bytes
from t10c.schedule.result import DoesNotFit
from t10c.schedule.setting import Setting
from t10c.schedule.smallest import Smallest
from t10c.schedule.steps import Sequence, Step


def too_many_weights(sequence: Sequence, spec: HardwareSpec) -> DoesNotFit | None:
    """The weights alone exceed all memory, whatever the plans: known before any search."""
    held = set(chain.from_iterable([step.operator.inputs for step in sequence.steps]))
    held.update(sequence.loose_weights)
    sizes = Counter(
        [
            (tensor.shape, tensor.element_type)
            for tensor in sequence.graph.tensors
            if tensor.kind == "weight" and tensor.name in held
        ]
    )
    total = sum(
        count * size_bytes(spec, math.prod(shape), type_bits(element_type))
        for (shape, element_type), count in sizes.items()
    )
    share = -(-total // spec.core_count)
    buffer = spec.shift_buffer.reserved_bytes
    if share + buffer <= spec.usable_bytes:
        return None
    terms = (("idle_weights", share), ("shift_buffer", buffer))
    return _value(sequence, spec, "(all weights)", terms, proven=True)


def unplaceable_operator(
    sequence: Sequence, step: Step, choices: Choices, spec: HardwareSpec
) -> DoesNotFit:
    """One operator alone has no plan within the memory of a core."""
    demanded = choices.search.smallest_legal_bytes
    buffer = spec.shift_buffer.reserved_bytes
    terms = (("active_pieces", demanded - buffer), ("shift_buffer", buffer))
    proven = choices.search.record.exhausted
    whole = demanded - buffer if step.is_fallback else 0
    return _value(sequence, spec, step.operator.name, terms, proven, whole)


def does_not_fit(setting: Setting, spec: HardwareSpec, smallest: Smallest) -> DoesNotFit:
    """No assignment was found: the worst step of the one that needs least memory."""
    sequence = setting.sequence
    if smallest.memory.end == smallest.memory.most:
        idle_bytes = smallest.memory.end - smallest.homes.end - spec.shift_buffer.reserved_bytes
        return _end(sequence, spec, idle_bytes, smallest.homes.end, proven=False)
    fixed = spec.shift_buffer.reserved_bytes
    worst = int(np.argmax(smallest.memory.peak))
    idle = [int(setting.of_step(s).idle_bytes[o]) for s, o in enumerate(smallest.options)]
    choices = setting.of_step(worst)
    plan = int(choices.plan[smallest.options[worst]])
    active, live = int(choices.active_bytes[plan]), int(smallest.homes.live[worst])
    if smallest.memory.fetch[worst] > smallest.memory.run[worst]:
        # while its operands are fetched, tensors that it reads last are held twice
        active, live = int(choices.input_bytes[plan]), live + int(smallest.homes.dying[worst])
    terms = (
        ("idle_weights", sum(idle) - idle[worst] + loose_weight_bytes(sequence, spec)),
        ("active_pieces", active),
        ("live_activations", live),
        ("shift_buffer", fixed),
    )
    step = sequence.steps[worst]
    whole = active if step.is_fallback else 0
    return _value(sequence, spec, step.operator.name, terms, proven=False, whole_bytes=whole)


def outputs_too_large(sequence: Sequence, spec: HardwareSpec) -> DoesNotFit:
    """A graph that only moves data: its tensors do not fit."""
    homes = live_homes(sequence, spec)
    return _end(sequence, spec, loose_weight_bytes(sequence, spec), homes.end, proven=True)


def _end(
    sequence: Sequence, spec: HardwareSpec, idle_bytes: int, live_bytes: int, proven: bool
) -> DoesNotFit:
    """The demand after the last operator is too large."""
    terms = (
        ("idle_weights", idle_bytes),
        ("live_activations", live_bytes),
        ("shift_buffer", spec.shift_buffer.reserved_bytes),
    )
    return _value(sequence, spec, "(graph outputs)", terms, proven)


def _value(
    sequence: Sequence,
    spec: HardwareSpec,
    operator: str,
    terms: tuple[tuple[str, int], ...],
    proven: bool,
    whole_bytes: int = 0,
) -> DoesNotFit:
    """Sum up the terms and name what would help, with the size it would take.

    `whole_bytes` are those of a fallback operator, which lie on one core however many there are.
    """
    demanded = sum(size for _, size in terms)
    fixed = whole_bytes + spec.shift_buffer.reserved_bytes
    levers = []
    if whole_bytes:
        levers.append(
            "other operators in its place: it runs on one core, with all of its operands"
            " (t10c inspect says why)"
        )
    if fixed < spec.usable_bytes or not whole_bytes:
        room = max(1, spec.usable_bytes - fixed)
        cores = -(-(demanded - fixed) * spec.core_count // room)
        levers.append(
            f"more cores: at least {cores} of {spec.sram_bytes // 1024} KiB"
            f" (--hw-set cores.count={cores}, or a spec of several chips)"
        )
    kib = -(-(demanded + spec.reserved_bytes) // 1024)
    levers += [
        f"more memory per core: at least {kib} KiB (--hw-set cores.sram={kib}KiB)",
        "a smaller batch, sequence or cache (--dim, --shape)",
        "off-chip memory for the weights: not priced by this version",
    ]
    return DoesNotFit(
        graph=sequence.graph,
        spec=spec,
        operator=operator,
        demanded_bytes=demanded,
        available_bytes=spec.usable_bytes,
        terms=terms,
        levers=tuple(levers),
        proven=proven,
    )
