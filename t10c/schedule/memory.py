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
from t10c.schedule.steps import Sequence, Span
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
    sequence: Sequence, spec: HardwareSpec, home_elements: IntArray | None = None
) -> Homes:
    """Live bytes at every step; `home_elements` (steps,) gives producers' largest share per core.

    Without it every tensor is taken to be spread evenly, which no plan can undercut by much.
    """
    count = len(sequence.steps)
    size = _home_bytes(sequence.spans, spec, home_elements)
    born = np.array([span.first_step for span in sequence.spans], dtype=np.int64)
    last = np.array([span.last_step for span in sequence.spans], dtype=np.int64)
    change = np.zeros(count + 2, dtype=np.int64)
    stays = last > born + 1
    np.add.at(change, np.maximum(born + 1, 0)[stays], size[stays])
    np.subtract.at(change, last[stays], size[stays])
    dying = np.zeros(count, dtype=np.int64)
    dies = (born < last) & (last < count)
    np.add.at(dying, last[dies], size[dies])
    return Homes(np.cumsum(change)[:count], dying, int(size[last == count].sum()))


def _home_bytes(
    spans: tuple[Span, ...], spec: HardwareSpec, home_elements: IntArray | None
) -> IntArray:
    """Bytes per core of every span's home, (spans,)."""
    elements = np.array([span.elements for span in spans], dtype=np.int64)
    share = -(-elements // spec.core_count)
    if home_elements is not None:
        producer = np.array([span.producer for span in spans], dtype=np.int64)
        made = producer >= 0
        share[made] = home_elements[producer[made]]
    bits = np.array([span.bits for span in spans], dtype=np.int64)
    size = np.zeros(len(spans), dtype=np.int64)
    for width in np.unique(bits):
        alike = bits == width
        size[alike] = size_bytes(spec, share[alike], int(width))
    return size


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

    `idle`: own weights idle, `active`: all own pieces and doubled buffers, `inputs`: those of the
    inputs, `fixed_bytes`: shift buffer and loose weights.
    """
    others = int(idle.sum()) - idle
    return StepMemory(
        fetch=others + inputs + homes.live + homes.dying + fixed_bytes,
        run=others + active + homes.live + fixed_bytes,
        end=int(idle.sum()) + homes.end + fixed_bytes,
    )
