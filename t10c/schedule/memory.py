"""Memory per core at every step, for a given choice at every step.

At step i: the idle plans of all other operators' weights, i's operands in its active plan, the
homes of tensors that live on beyond i, and the shift buffer. While i's operands are being fetched,
the homes of those it reads for the last time are still there, but its output is not. After the last
step all weights are idle, and the graph's outputs are there.
"""

from dataclasses import dataclass

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes
from t10c.schedule.steps import Sequence
from t10c.search.space import IntArray


@dataclass(frozen=True)
class Homes:
    """Bytes per core of live tensors at every step, (steps,) each.

    `live`: homes that stay beyond the step (its own output excluded); `dying`: homes of tensors
    that the step reads for the last time. `end`: homes that are there after the last step.
    """

    live: IntArray
    dying: IntArray
    end: int


def live_homes(
    sequence: Sequence, spec: HardwareSpec, home_elements: dict[int, int] | None = None
) -> Homes:
    """Live bytes at every step; `home_elements` gives producers' largest share per core.

    Without it every tensor is taken to be spread evenly, which no plan can undercut by much.
    """
    count = len(sequence.steps)
    live = np.zeros(count, dtype=np.int64)
    dying = np.zeros(count, dtype=np.int64)
    end = 0
    for span in sequence.spans:
        share = -(-span.elements // spec.core_count)
        if home_elements is not None and span.producer >= 0:
            share = home_elements[span.producer]
        size = size_bytes(spec, share, span.bits)
        live[max(span.first_step + 1, 0) : span.last_step] += size
        if span.first_step < span.last_step < count:
            dying[span.last_step] += size
        if span.last_step == count:
            end += size
    return Homes(live, dying, end)


@dataclass(frozen=True)
class StepMemory:
    """Demand per core in bytes: `fetch` before a step's loops, `run` during them, (steps,) each.

    `end` is the demand after the last step.
    """

    fetch: IntArray
    run: IntArray
    end: int

    @property
    def peak(self) -> IntArray:
        """The larger of fetching and running at every step."""
        return np.maximum(self.fetch, self.run)

    @property
    def most(self) -> int:
        """The largest demand at any time."""
        return max(int(self.peak.max(initial=0)), self.end)


def loose_weight_bytes(sequence: Sequence, spec: HardwareSpec) -> int:
    """Bytes per core of the weights that no operator owns, evenly spread."""
    total = 0
    for name in sequence.loose_weights:
        weight = sequence.graph.tensor[name]
        elements = int(np.prod(weight.shape, dtype=np.int64))
        total += size_bytes(spec, -(-elements // spec.core_count), weight.bits)
    return total


def fixed_demand_bytes(sequence: Sequence, spec: HardwareSpec) -> int:
    """Bytes per core that are taken at all times, whatever is chosen: buffer, loose weights."""
    return spec.shift_buffer.reserved_bytes + loose_weight_bytes(sequence, spec)


def step_memory(
    idle: IntArray, active: IntArray, inputs: IntArray, homes: Homes, fixed_bytes: int
) -> StepMemory:
    """Demand of every step from its chosen bytes; all arrays (steps,).

    `idle`: own weights idle, `active`: all own pieces and doubled buffers, `inputs`: pieces of the
    inputs, `fixed_bytes`: shift buffer and loose weights.
    """
    others = int(idle.sum()) - idle
    return StepMemory(
        fetch=others + inputs + homes.live + homes.dying + fixed_bytes,
        run=others + active + homes.live + fixed_bytes,
        end=int(idle.sum()) + homes.end + fixed_bytes,
    )
