"""Costs of candidates: memory per core and cycles, for arrays of (split, t) at once.

Formulas: docs/plans.md (memory, shifts) and docs/cost-model.md (kernel costs).
"""

from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.kernels import (
    epilogue_cycles,
    exchange_cycles,
    reduction_cycles,
    sync_cycles,
)
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync, tile_cycles
from t10c.hardware.width import partial_bits, size_bytes, stored_bits
from t10c.ir.expression import TensorExpression
from t10c.search.candidates import Candidates
from t10c.search.shifts import shift_cycles
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.temporal import SlotTable


@dataclass(frozen=True)
class Costs:
    """Memory and time of candidates, each (candidates,) unless noted; cycles, bytes per core.

    `piece_bytes` is (candidates, operands). `end` is the uniform transition or, for pointwise and
    pool operators, the closing sync.
    """

    piece_bytes: IntArray
    memory_bytes: IntArray
    compute: FloatArray
    shift: FloatArray
    reduction: FloatArray
    epilogue: FloatArray
    end: FloatArray

    @property
    def total(self) -> FloatArray:
        """Cycles of the operator with the uniform transition."""
        return self.compute + self.epilogue + self.shift + self.reduction + self.end

    def take(self, selection: IntArray | BoolArray) -> "Costs":
        """The selected candidates, in the order of the selection."""
        return Costs(
            self.piece_bytes[selection],
            self.memory_bytes[selection],
            self.compute[selection],
            self.shift[selection],
            self.reduction[selection],
            self.epilogue[selection],
            self.end[selection],
        )


def evaluate_unshifted(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, spec: HardwareSpec
) -> Costs:
    """Memory per core, and cycles without the shifts: a bound from below on the cycles."""
    piece_bytes, memory = memory_bytes(expression, table, candidates, spec)
    steps = np.prod(candidates.steps, axis=1)
    output = candidates.piece_elements[:, -1].astype(np.float64)
    own_output = output / candidates.replicas
    return Costs(
        piece_bytes=piece_bytes,
        memory_bytes=memory,
        compute=steps * tile_cycles(spec, expression, candidates.tiles),
        shift=np.zeros(len(candidates)),
        reduction=reduction_cycles(
            spec, candidates.replicas, output, partial_bits(spec, expression)
        ),
        epilogue=epilogue_cycles(spec, expression, own_output),
        end=end_cycles(spec, expression, piece_bytes[:, -1]),
    )


def memory_bytes(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, spec: HardwareSpec
) -> tuple[IntArray, IntArray]:
    """Bytes of all pieces, (candidates, operands), and memory per core, (candidates,)."""
    rotating = [np.any(candidates.factors[:, list(own)] > 1, axis=1) for own in table.by_operand]
    partial = rotating[-1] | (candidates.replicas > 1)
    piece_bytes = _piece_bytes(expression, candidates.piece_elements, partial, spec)
    memory: IntArray = np.sum(piece_bytes, axis=1)
    memory += spec.shift_buffer.reserved_bytes
    if spec.shift_buffer.policy == "double":
        for index, moves in enumerate(rotating):
            memory += np.where(moves, piece_bytes[:, index], 0)
    return piece_bytes, memory


def input_bytes(
    table: SlotTable, candidates: Candidates, costs: Costs, spec: HardwareSpec
) -> IntArray:
    """Bytes per core of all inputs as they are held, rotating ones twice if so, (candidates,)."""
    output = costs.piece_bytes[:, -1]
    if spec.shift_buffer.policy == "double":
        moves = np.any(candidates.factors[:, list(table.by_operand[-1])] > 1, axis=1)
        output = output * (1 + moves)
    held: IntArray = costs.memory_bytes - spec.shift_buffer.reserved_bytes - output
    return held


def _piece_bytes(
    expression: TensorExpression, piece_elements: IntArray, partial: BoolArray, spec: HardwareSpec
) -> IntArray:
    """Bytes of pieces, (candidates, operands), at the stored width of every operand.

    `partial` (candidates,) says where the output's piece is a partial sum, held in an accumulator.
    """
    sizes = np.empty_like(piece_elements)
    for index, operand in enumerate(expression.operands):
        sizes[:, index] = size_bytes(spec, piece_elements[:, index], operand.bits)
    wide = partial_bits(spec, expression)
    if wide != stored_bits(spec, expression.output.bits):
        sizes[partial, -1] = size_bytes(spec, piece_elements[partial, -1], wide)
    return sizes


def with_shifts(
    table: SlotTable, candidates: Candidates, costs: Costs, spec: HardwareSpec
) -> Costs:
    """The costs with the cycles of all shifts added."""
    return replace(costs, shift=shift_cycles(table, candidates, costs.piece_bytes, spec))


def end_cycles(
    spec: HardwareSpec, expression: TensorExpression, output_bytes: IntArray
) -> FloatArray:
    """The end of an operator: a sync, or the exchange of its output (the uniform transition)."""
    if ends_with_sync(expression):
        return np.full(np.shape(output_bytes), sync_cycles(spec))
    return exchange_cycles(spec, output_bytes)
