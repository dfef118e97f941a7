"""A slow, obvious executor: one Python object per core, pieces as dictionaries of elements.

It runs a plan from a placement: nested loops, shifts between cores of a sharing group, the final
reduction. A core computes with what it holds and nothing else. Run it twice: weights stay where
the loops left them, and fresh operands are placed to meet them.
"""

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import Plan

from .geometry import (
    block_length,
    core_coordinates,
    levels_on_axis,
    piece_elements,
    rotations_of,
    sharing_groups,
    tile_length,
    tiles_in_piece,
)
from .placement import Offsets
from .scalars import (
    Coordinates,
    Tensor,
    Value,
    combine,
    contributions,
    epilogue_value,
    finish,
    index_of,
    output_point,
)


class NotHeldError(Exception):
    """A core needs an element that it does not hold: the operands do not meet."""


@dataclass
class Core:
    """One core: its coordinates in the split and the piece of every operand that it holds."""

    number: int
    coordinates: dict[str, int]
    pieces: dict[str, dict[Coordinates, Value | None]] = field(default_factory=dict)

    def read(self, operand: Operand, coordinates: Coordinates) -> Value:
        """An element of an operand from the core's own memory."""
        if coordinates not in self.pieces[operand.name]:
            raise NotHeldError(f"core {self.number} lacks {operand.name}{list(coordinates)}")
        return self.pieces[operand.name][coordinates]


class Machine:
    """Simulated cores that run one plan, again and again.

    `start` holds the offset of every core in every rotation before the next run; `position` counts
    the shifts of each rotation within the run.
    """

    def __init__(self, expression: TensorExpression, plan: Plan, offsets: Offsets) -> None:
        self.expression = expression
        self.plan = plan
        self.start = [list(row) for row in offsets]
        self.position = [0] * len(plan.rotations)
        names = [axis.name for axis in expression.axes]
        self.cores = [
            Core(number, dict(zip(names, coordinates, strict=True)))
            for number, coordinates in enumerate(core_coordinates(plan.split))
        ]

    def digit(self, core: Core, level: int) -> int:
        """Which chunk of a rotation a core is at."""
        shifted = self.start[level][core.number] + self.position[level]
        return shifted % self.plan.rotations[level].radix

    def chunk(self, core: Core, axis: str, operand: Operand | None) -> int:
        """Index of a core's chunk along an axis: of the operand's rotations, or of all of them."""
        index = 0
        for level in levels_on_axis(self.plan, axis):
            rotation = self.plan.rotations[level]
            if operand is None or operand.name in rotation.operands:
                index = index * rotation.radix + self.digit(core, level)
        return index

    def axis_range(self, core: Core, axis: str, operand: Operand | None) -> range:
        """What a core's piece of an operand covers of an axis; without operand, its tile."""
        block = block_length(self.expression, self.plan.split, axis)
        (whole,) = [a.length for a in self.expression.axes if a.name == axis]
        length = tile_length(self.expression, self.plan, axis)
        if operand is not None:
            length *= tiles_in_piece(self.plan, operand, axis)
        begin = self.chunk(core, axis, operand) * length
        end = min(begin + length, block)
        origin = core.coordinates[axis] * block
        return range(min(origin + begin, whole), min(origin + end, whole))

    def piece(self, core: Core, operand: Operand) -> list[Coordinates]:
        """Coordinates of the elements of an operand that belong on a core now, halo included."""
        spans = []
        for dim in operand.dims:
            low = high = dim.offset
            for axis, stride in dim.terms:
                covered = self.axis_range(core, axis, operand)
                if len(covered) == 0:
                    return []
                reach = (stride * covered[0], stride * covered[-1])
                low, high = low + min(reach), high + max(reach)
            spans.append(range(max(low, 0), min(high + 1, dim.size)))
        return list(itertools.product(*spans))

    def place(self, name: str, tensor: Tensor) -> None:
        """Lay an input over the cores so that it meets what the cores are at."""
        (operand,) = [x for x in self.expression.inputs if x.name == name]
        for core in self.cores:
            piece = {c: tensor[c] for c in self.piece(core, operand)}
            assert len(piece) <= piece_elements(self.expression, self.plan, operand)
            core.pieces[name] = piece

    def run(self) -> Tensor:
        """One inference on the inputs in place; returns the output, gathered from the cores."""
        output = self.expression.output
        for core in self.cores:
            core.pieces[output.name] = dict.fromkeys(self.piece(core, output))
        self.loop(0)
        result = self.reduce()
        for level, rotation in enumerate(self.plan.rotations):
            for core in self.cores:
                moved = self.start[level][core.number] + self.position[level]
                self.start[level][core.number] = moved % rotation.radix
            self.position[level] = 0
        return result

    def loop(self, level: int) -> None:
        """The loop nest from one level inwards: radix - 1 shifts between radix inner rounds."""
        if level == len(self.plan.rotations):
            for core in self.cores:
                self.compute(core)
            return
        rotation = self.plan.rotations[level]
        for turn in range(rotation.radix):
            if turn > 0:
                for name in rotation.operands:
                    self.shift(level, name)
                self.position[level] += 1
            self.loop(level + 1)

    def compute(self, core: Core) -> None:
        """The compute step of one core, from its own memory to its own memory."""
        output = self.expression.output
        tile = {a.name: self.axis_range(core, a.name, None) for a in self.expression.axes}
        for coordinates, value in contributions(self.expression, core.read, tile):
            before = core.read(output, coordinates)
            after = combine(self.expression.reduce_op, before, value)
            core.pieces[output.name][coordinates] = after

    def shift(self, level: int, name: str) -> None:
        """Every core takes the piece of a core of its group one offset ahead in this rotation."""
        arriving = {
            core.number: self.cores[source].pieces[name]
            for core, source in zip(self.cores, self.sources(level, name), strict=True)
        }
        for core in self.cores:
            core.pieces[name] = arriving[core.number]

    def sources(self, level: int, name: str) -> list[int]:
        """For every core the core that its next piece comes from."""
        (operand,) = [x for x in self.expression.operands if x.name == name]
        levels = rotations_of(self.plan, operand)
        ranked: dict[tuple[int, tuple[int, ...], int], int] = {}
        place: list[tuple[int, tuple[int, ...], int]] = [(0, (), 0)] * len(self.cores)
        for number, group in enumerate(sharing_groups(self.expression, self.plan.split, operand)):
            seen: dict[tuple[int, ...], int] = {}
            for core in group:
                offsets = tuple(self.start[i][core] for i in levels)
                place[core] = (number, offsets, seen.get(offsets, 0))
                seen[offsets] = seen.get(offsets, 0) + 1
                ranked[place[core]] = core
        found = []
        for number, offsets, rank in place:
            ahead = tuple(
                (o + 1) % self.plan.rotations[i].radix if i == level else o
                for i, o in zip(levels, offsets, strict=True)
            )
            found.append(ranked[number, ahead, rank])
        return found

    def reduce(self) -> Tensor:
        """Combine the replicas of every output piece; each of them then finishes its share."""
        output = self.expression.output
        result: Tensor = {}
        levels = rotations_of(self.plan, output)
        for group in sharing_groups(self.expression, self.plan.split, output):
            holders: dict[tuple[int, ...], list[Core]] = {}
            for number in group:
                core = self.cores[number]
                holders.setdefault(tuple(self.digit(core, i) for i in levels), []).append(core)
            for cores in holders.values():
                result.update(self.reduce_scatter(cores, result))
        missing = math.prod(dim.size for dim in output.dims) - len(result)
        if missing:
            raise NotHeldError(f"{missing} elements of {output.name} are on no core")
        return result

    def reduce_scatter(self, cores: list[Core], result: Mapping[Coordinates, Value]) -> Tensor:
        """What the replicas of one output piece end up with, a share of the piece each."""
        output = self.expression.output
        held = [core.pieces[output.name] for core in cores]
        if any(set(piece) != set(held[0]) for piece in held):
            raise NotHeldError(f"replicas of {output.name} hold different pieces")
        if set(held[0]) & set(result):
            raise NotHeldError(f"elements of {output.name} are on unrelated cores")
        everything = sorted(held[0])
        share = max(1, math.ceil(len(everything) / len(cores)))
        finished = {}
        for rank, core in enumerate(cores):
            for coordinates in everything[rank * share : (rank + 1) * share]:
                total = None
                for piece in held:
                    total = combine(self.expression.reduce_op, total, piece[coordinates])
                finished[coordinates] = self.finish(core, coordinates, total)
        return finished

    def finish(self, core: Core, coordinates: Coordinates, total: Value | None) -> Value:
        """An output element after the reduction: mean, then epilogue with local operands."""
        point = output_point(self.expression, coordinates)
        fused = {
            x.name: core.read(x, index_of(x, point))
            for x in self.expression.inputs
            if any(x.name in step.inputs for step in self.expression.epilogue)
        }
        return epilogue_value(self.expression, finish(self.expression, total), fused)


def run_twice(
    machine: Machine,
    first: Mapping[str, Tensor],
    second: Mapping[str, Tensor],
    weights: Collection[str],
) -> tuple[Tensor, Tensor]:
    """Two inferences; operands in `weights` are placed before the first one only."""
    for name, tensor in first.items():
        machine.place(name, tensor)
    once = machine.run()
    for name, tensor in second.items():
        if name not in weights:
            machine.place(name, tensor)
    return once, machine.run()
