"""What single instructions take: transfers as the network has them, arithmetic of real pieces.

Every charge comes with its effects: what it takes beyond a full piece that meets no one on its way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.kernels import (
    TRANSITION_SYNCS,
    epilogue_cycles,
    move_cycles,
    reduction_terms,
    sync_cycles,
)
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync
from t10c.ir.expression import TensorExpression
from t10c.ir.formula import Value
from t10c.ir.program import Buffer, Exchange, Reduce, Shift
from t10c.program.placed import per_core
from t10c.simulate.exchanges import Exchanges
from t10c.simulate.network import Flows, Network, TransferTime
from t10c.simulate.result import Breakdown, Effects, Part
from t10c.simulate.rounds import RoundCosts
from t10c.simulate.store import Lying, Store


@dataclass(frozen=True, slots=True)
class Charge:
    """What an instruction takes in `count` rounds together; `time` is that of one transfer."""

    part: Part
    text: str
    count: int
    breakdown: Breakdown
    effects: Effects
    time: TransferTime | None = None


def exchange_charge(
    exchange: Exchange, exchanges: Exchanges, store: Store, network: Network
) -> Charge:
    """An exchange phase with its syncs, those of the published transition or of setup rounds."""
    spec = network.spec
    time = network.time(exchanges.transfer(exchange, store))
    part: Part = "setup" if exchange.kind == "setup" else "transition"
    effects = Effects(contention=time.contention, hops=time.hops_cycles)
    syncs = TRANSITION_SYNCS if time.moved_bytes else 0
    if part == "setup":
        rounds = exchanges.setup_rounds(exchange, store)
        syncs = 2 * sum(count for count, _ in rounds)
        full = move_cycles(spec, sum(count * size for count, size in rounds))
        effects = replace(effects, short_blocks=time.undisturbed - float(full))
    breakdown = replace(Breakdown(sync=syncs * sync_cycles(spec)), **{part: time.cycles})
    return Charge(part, exchange.kind, 1, breakdown, effects, time)


def shift_charge(
    shift: Shift, lying: Lying, values: Mapping[str, Value], count: int, network: Network
) -> Charge:
    """A shift, `count` times: pieces change places and none changes its size, so all are alike."""
    spec, bits = network.spec, lying.buffer.bits
    sizes = -(-lying.boxes.sizes * bits // 8)
    cores = np.arange(lying.boxes.cores, dtype=np.int64)
    source = per_core(shift.source, len(cores), values)
    time = network.time(network.point_to_point(Flows(source, cores, sizes[source])))
    full_bytes = -(-lying.buffer.elements * bits // 8)
    sync = 2 * sync_cycles(spec)
    rounds = _shift_rounds(spec, lying.buffer, int(sizes.max(initial=0)))
    hops = rounds * time.hops_cycles  # every round waits for its last byte to arrive
    effects = Effects(
        short_blocks=time.undisturbed - float(move_cycles(spec, full_bytes)),
        contention=time.contention,
        hops=hops,
        transfer_rounds=(rounds - _shift_rounds(spec, lying.buffer, full_bytes)) * sync,
    )
    moving = time.undisturbed + time.contention + hops
    breakdown = Breakdown(shift=moving, sync=rounds * sync)
    name = shift.buffer.rsplit(":", 1)[-1]
    return Charge(
        "shift", f"shift {name}", count, breakdown.times(count), effects.times(count), time
    )


def _shift_rounds(spec: HardwareSpec, buffer: Buffer, size_bytes: int) -> int:
    """Rounds in which a piece passes through the shift buffer."""
    if buffer.copies > 1 or spec.shift_buffer.policy == "double":
        return 1
    return -(-size_bytes // spec.shift_buffer.size_bytes)


def reduce_charge(
    step: Reduce, lying: Lying, values: Mapping[str, Value], network: Network
) -> Charge:
    """A final reduction, as published; on links partial sums go round a ring of the group."""
    spec, bits, count = network.spec, lying.buffer.bits, step.count
    sizes = lying.boxes.sizes[: step.cores]
    terms = reduction_terms(spec, count, sizes, bits)
    full = reduction_terms(spec, count, lying.buffer.elements, bits)
    group = per_core(step.group, step.cores, values)
    rank = per_core(step.rank, step.cores, values)
    # from every core to the next one go all shares but one
    order = np.lexsort((rank, group)).reshape(-1, count)
    share = -(-sizes * bits * (count - 1) // (8 * count))
    source, target = order.reshape(-1), np.roll(order, -1, axis=1).reshape(-1)
    time = network.time(network.point_to_point(Flows(source, target, share[source])))
    transfer, sync = float(terms.transfer.max()), float(terms.sync.max())
    contention = max(0.0, time.undisturbed + time.contention - transfer)
    hops = time.hops_cycles * (count - 1)
    slowest = float(terms.arithmetic.max())
    mean = float(terms.arithmetic.sum()) / spec.core_count
    breakdown = Breakdown(
        compute=mean, idle=slowest - mean, sync=sync, reduction=transfer + contention + hops
    )
    effects = Effects(
        short_blocks=transfer + slowest - float(full.transfer) - float(full.arithmetic),
        contention=contention,
        hops=hops,
    )
    return Charge("reduction", f"reduce {count} partial pieces", 1, breakdown, effects, time)


def compute_charge(expression: TensorExpression, costs: RoundCosts, count: int) -> Charge:
    """All rounds of a compute instruction."""
    breakdown = Breakdown(compute=costs.mean, idle=costs.slowest - costs.mean)
    effects = Effects(short_blocks=costs.slowest - costs.full)
    return Charge("compute", f"compute {expression.kernel}", count, breakdown, effects)


def finish_charge(
    spec: HardwareSpec, expression: TensorExpression, made: Lying, full_elements: float
) -> Charge:
    """The epilogue on the finished piece, and the sync with which some operators end.

    `full_elements` is the share of a full piece that a core finishes.
    """
    cycles = epilogue_cycles(spec, expression, made.points)
    slowest = float(cycles.max(initial=0.0))
    mean = float(cycles.sum()) / spec.core_count
    sync = sync_cycles(spec) if ends_with_sync(expression) else 0.0
    breakdown = Breakdown(compute=mean, idle=slowest - mean, sync=sync)
    full = float(epilogue_cycles(spec, expression, full_elements))
    return Charge("compute", "finish", 1, breakdown, Effects(short_blocks=slowest - full))
