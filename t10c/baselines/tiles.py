"""Costs of tilings of one operator under a virtual global memory, for arrays of them at once.

A tiling cuts every axis a into F[a] blocks over cores and a block into T[a] tiles in time; the core
loops over the tiles, parallel axes outside, reduction axes inside. Rows of arrays are tilings:
`splits` (F), `rounds` (T), `blocks` (S) and `tiles` (u) are (tilings, axes).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from t10c.hardware.kernels import (
    TRANSITION_SYNCS,
    epilogue_cycles,
    move_cycles,
    reduction_cycles,
    sync_cycles,
)
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync, tile_cycles
from t10c.hardware.width import partial_bits, size_bytes, stored_bits
from t10c.ir.expression import Operand, TensorExpression
from t10c.search.space import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class TilingCosts:
    """Cycles and bytes per core of tilings, (tilings,) each.

    `memory_bytes` are those of the tile buffers; `transfer` and `syncs` are of the exchanges that
    load and store tiles, `end` of the syncs with which some operators end, once per output tile.
    """

    memory_bytes: IntArray
    compute: FloatArray
    transfer: FloatArray
    syncs: FloatArray
    reduction: FloatArray
    epilogue: FloatArray
    end: FloatArray

    @property
    def total(self) -> FloatArray:
        """Cycles from the first load to the last store."""
        moved = self.transfer + self.syncs + self.reduction
        return self.compute + self.epilogue + moved + self.end


class Tilings:
    """What tilings of one expression on one chip cost."""

    def __init__(self, expression: TensorExpression, spec: HardwareSpec) -> None:
        self.expression, self.spec = expression, spec
        self.lengths = np.array(expression.lengths, dtype=np.int64)
        own = set(expression.output.axes)
        self.parallel = np.array([axis.name in own for axis in expression.axes], dtype=bool)

    @cached_property
    def has_axis(self) -> BoolArray:
        """Which operand has which axis, (operands, axes)."""
        rows = [
            [axis.name in operand.axes for axis in self.expression.axes]
            for operand in self.expression.operands
        ]
        return np.array(rows, dtype=bool).reshape(len(rows), len(self.lengths))

    def tile_lengths(self, splits: IntArray, rounds: IntArray) -> IntArray:
        """u of every axis, (tilings, axes)."""
        blocks = -(-self.lengths // splits)
        return -(-blocks // rounds)

    def elements(self, operand: Operand, tiles: IntArray) -> IntArray:
        """Elements of an operand's tile, halo included, (tilings,)."""
        total = np.ones(len(tiles), dtype=np.int64)
        for dim in operand.dims:
            span = np.full(len(tiles), dim.reach, dtype=np.int64)
            for axis, stride in dim.terms:
                span += abs(stride) * (tiles[:, self.expression.axis_index[axis]] - 1)
            total *= span
        return total

    def least_elements(self, operand: Operand, blocks: IntArray) -> IntArray:
        """Elements of an operand's block that some tile must load, at least, (tilings,)."""
        total = np.ones(len(blocks), dtype=np.int64)
        for dim in operand.dims:
            most = np.full(len(blocks), dim.reach, dtype=np.int64)
            for axis, _ in dim.terms:
                np.maximum(most, blocks[:, self.expression.axis_index[axis]], out=most)
            total *= np.minimum(most, dim.size)
        return total

    def shares(self, splits: IntArray) -> IntArray:
        """Cores that hold partial results of the same output tile, (tilings,)."""
        return np.asarray(np.prod(splits[:, ~self.parallel], axis=1), dtype=np.int64)

    def tile_bytes(self, splits: IntArray, tiles: IntArray) -> IntArray:
        """Bytes of every operand's tile buffer, (tilings, operands)."""
        expression, found = self.expression, []
        for operand in expression.inputs:
            found.append(size_bytes(self.spec, self.elements(operand, tiles), operand.bits))
        output = self.elements(expression.output, tiles)
        narrow = size_bytes(self.spec, output, expression.output.bits)
        wide = size_bytes(self.spec, output, partial_bits(self.spec, expression))
        return np.stack([*found, np.where(self.shares(splits) > 1, wide, narrow)], axis=1)

    def evaluate(
        self, splits: IntArray, rounds: IntArray, available_bytes: int
    ) -> tuple[IntArray, TilingCosts]:
        """Which tilings fit, as numbers of rows, and the costs of those."""
        tiles = self.tile_lengths(splits, rounds)
        sizes = self.tile_bytes(splits, tiles)
        memory = sizes.sum(axis=1)
        fits = np.flatnonzero(memory <= available_bytes)
        splits, rounds, tiles = splits[fits], rounds[fits], tiles[fits]
        return fits, self._costs(splits, rounds, tiles, sizes[fits])

    def _costs(
        self, splits: IntArray, rounds: IntArray, tiles: IntArray, sizes: IntArray
    ) -> TilingCosts:
        spec, expression = self.spec, self.expression
        count = self.shares(splits)
        steps = np.prod(rounds, axis=1).astype(np.float64)
        outer = np.prod(np.where(self.parallel, rounds, 1), axis=1).astype(np.float64)
        results = self.elements(expression.output, tiles).astype(np.float64)
        points = np.prod(np.where(self.parallel, tiles, 1), axis=1).astype(np.float64)
        reduction = reduction_cycles(spec, count, results, partial_bits(spec, expression))
        end = sync_cycles(spec) if ends_with_sync(expression) else 0.0
        return TilingCosts(
            memory_bytes=sizes.sum(axis=1),
            compute=steps * tile_cycles(spec, expression, tiles),
            transfer=self._transfer(splits, rounds, tiles, sizes),
            syncs=(steps + 1) * TRANSITION_SYNCS * sync_cycles(spec),
            reduction=outer * reduction,
            epilogue=outer * epilogue_cycles(spec, expression, points / count),
            end=outer * end,
        )

    # Exchanges

    def _transfer(
        self, splits: IntArray, rounds: IntArray, tiles: IntArray, sizes: IntArray
    ) -> FloatArray:
        """Cycles in which tiles are loaded and stored, (tilings,)."""
        each, first, last = self._round_bytes(splits, rounds, tiles, sizes)
        order = self._order(each)
        sorted_rounds = np.take_along_axis(rounds, order, axis=1).astype(np.float64)
        outside = np.cumprod(sorted_rounds, axis=1) / sorted_rounds
        again = outside * (sorted_rounds - 1) * np.take_along_axis(each, order, axis=1)
        return move_cycles(self.spec, first + last + again.sum(axis=1))

    def _round_bytes(
        self, splits: IntArray, rounds: IntArray, tiles: IntArray, sizes: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Bytes of the exchange before a loop's next round, (tilings, axes), of first and last.

        An exchange loads the tiles of the inputs that have the axis, and stores the output's if it
        has it. Bytes are those of the core that receives or sends most.
        """
        loads = sizes[:, :-1].astype(np.float64)
        sends = np.zeros_like(loads)
        for index in range(sends.shape[1]):
            sends[:, index] = self._sent(index, splits, rounds, tiles)
        kept, given = self._stored(splits, rounds, tiles)
        first = np.maximum(loads.sum(axis=1), sends.sum(axis=1))
        has = self.has_axis[:-1].astype(np.float64)
        arriving = loads @ has + kept[:, None] * self.parallel
        leaving = sends @ has + given[:, None] * self.parallel
        return np.maximum(arriving, leaving), first, np.maximum(kept, given)

    def _order(self, each: FloatArray) -> IntArray:
        """Axes, outermost first, (tilings, axes): parallel ones, then reduced ones, dearest first.

        Exchanging two neighbouring loops shows that this order moves least (docs/plans.md).
        """
        behind = np.where(self.parallel, 0.0, each.max(initial=0.0) + 1.0)
        return np.argsort(behind - each, axis=1, kind="stable")

    def loop_order(self, split: IntArray, rounds: IntArray) -> tuple[int, ...]:
        """The axes of one tiling in the order of its loops, the outermost first."""
        splits, cuts = split[None], rounds[None]
        tiles = self.tile_lengths(splits, cuts)
        sizes = self.tile_bytes(splits, tiles)
        each, _, _ = self._round_bytes(splits, cuts, tiles, sizes)
        return tuple(int(axis) for axis in self._order(each)[0])

    def _sent(self, index: int, splits: IntArray, rounds: IntArray, tiles: IntArray) -> FloatArray:
        """Bytes that a core sends of its share of an input in one step, at most, (tilings,).

        Cores begin their loops with different tiles, so that those that need the same block ask for
        different parts of it, as far as there are as many cores. A run of the tensor is cut into
        the tiles that it crosses.
        """
        operand = self.expression.inputs[index]
        has = self.has_axis[index]
        elements = math.prod(dim.size for dim in operand.dims)
        share = -(-elements // self.spec.core_count)
        cores = np.prod(splits, axis=1)
        alike = np.prod(np.where(has, 1, splits), axis=1)
        parts = np.prod(np.where(has, rounds, 1), axis=1)
        each = -(-alike // parts)
        crossed = np.clip(share // self._run(operand, tiles), 1, parts)
        most = each * share / crossed
        mean = cores * self.elements(operand, tiles) / self.spec.core_count
        width = stored_bits(self.spec, operand.bits) / 8
        return np.asarray(np.maximum(most, mean) * width, dtype=np.float64)

    def _run(self, operand: Operand, tiles: IntArray) -> IntArray:
        """Elements of a tile that follow each other in the tensor, (tilings,)."""
        run = np.ones(len(tiles), dtype=np.int64)
        whole = np.ones(len(tiles), dtype=bool)
        for dim in reversed(operand.dims):
            span = np.full(len(tiles), dim.reach, dtype=np.int64)
            for axis, stride in dim.terms:
                span += abs(stride) * (tiles[:, self.expression.axis_index[axis]] - 1)
            run = np.where(whole, run * np.minimum(span, dim.size), run)
            whole &= span >= dim.size
        return run

    def _stored(
        self, splits: IntArray, rounds: IntArray, tiles: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """Bytes that a core receives to keep, and sends, as output tiles are stored, (tilings,)."""
        output = self.expression.output
        width = stored_bits(self.spec, output.bits) / 8
        share = -(-math.prod(dim.size for dim in output.dims) // self.spec.core_count)
        points = np.prod(np.where(self.parallel, tiles, 1), axis=1)
        given = points / self.shares(splits) * width
        parts = np.prod(np.where(self.parallel, rounds, 1), axis=1)
        crossed = np.clip(share // self._run(output, tiles), 1, parts)
        mean = points * np.prod(np.where(self.parallel, splits, 1), axis=1) / self.spec.core_count
        return np.maximum(share / crossed, mean) * width, given
