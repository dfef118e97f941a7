"""What all steps that share choices have in common about their neighbours.

It says what an exchange costs at least, and what neighbours save at most by a plan.
"""

import math
from dataclasses import dataclass

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import stored_bits
from t10c.schedule.problem import FEW_READERS
from t10c.schedule.setting import Setting
from t10c.schedule.steps import Read, Step


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The neighbours of every step with some choices.

    `floored` are operands that all steps receive from one copy, one to one, and no narrower than
    the operand is, so that they receive the floor's bytes at least. `copied` are operands of which
    the next step may use the copy; the output is read `readers` times at most. `bounded` says that
    what others save by a plan is bounded: `readers` is at most `Problem.readers`, `Problem.lent`
    are all reads of weights, and whatever is read of a piece is at most the piece.
    """

    floored: tuple[int, ...] = ()
    copied: tuple[int, ...] = ()
    readers: int = FEW_READERS
    bounded: bool = False


UNKNOWN = Surroundings()


def find_surroundings(setting: Setting, spec: HardwareSpec) -> list[Surroundings]:
    """The surroundings of all choices of a setting."""
    steps = setting.sequence.steps
    lent: list[list[int]] = [[] for _ in steps]
    reads = [0] * len(steps)
    bounded = [True] * len(steps)
    for step in steps:
        bounded[step.index] &= _as_narrow(step, setting, spec)
        for read in step.reads:
            whole = one_to_one(read, setting)
            for source in read.sources:
                if source.weight_of >= 0:
                    owner = steps[source.weight_of]
                    operand = owner.operator.inputs.index(source.tensor)
                    lent[owner.index].append(operand)
                    bounded[owner.index] &= whole
                elif source.step >= 0:
                    reads[source.step] += 1
                    bounded[source.step] &= whole
    found: list[Surroundings | None] = [None] * len(setting.choices)
    for step in steps:
        copied = _copied(step, setting)
        problem = step.problem
        known = bounded[step.index] and len(set(copied)) == len(copied)
        known &= reads[step.index] <= problem.readers
        known &= sorted(lent[step.index]) == sorted(problem.lent)
        own_floored = _floored(step, setting, spec)
        number = setting.choice_of[step.index]
        before = found[number] or Surroundings(own_floored, readers=0, bounded=True)
        found[number] = Surroundings(
            tuple(sorted(set(before.floored) & set(own_floored))),
            tuple(sorted({*before.copied, *copied})),
            max(before.readers, reads[step.index]),
            before.bounded and known,
        )
    return [own or UNKNOWN for own in found]


def _copied(step: Step, setting: Setting) -> tuple[int, ...]:
    """Operands whose copies the next step may use, once for every read that may."""
    following = step.index + 1
    if following == len(setting.sequence.steps):
        return ()
    operands = (
        setting.pricer.reuse_operand(following, position)
        for position in range(len(setting.sequence.steps[following].reads))
    )
    return tuple(operand for operand in operands if operand >= 0)


def _floored(step: Step, setting: Setting, spec: HardwareSpec) -> tuple[int, ...]:
    tensors = setting.sequence.graph.tensor
    operands = step.problem.expression.inputs
    return tuple(
        read.operand
        for position, read in enumerate(step.reads)
        if len(read.sources) == 1
        and read.sources[0].weight_of < 0
        and one_to_one(read, setting)
        and setting.pricer.reuse_operand(step.index, position) < 0
        and relative_width(spec, tensors[read.sources[0].tensor].bits, operands[read.operand].bits)
        >= 1
    )


def _as_narrow(step: Step, setting: Setting, spec: HardwareSpec) -> bool:
    """Whether what moves to and from a step is no wider than its operands are."""
    tensors = setting.sequence.graph.tensor
    expression, operator = step.problem.expression, step.operator
    pairs = [*zip(operator.inputs, expression.inputs, strict=True)]
    pairs += [(operator.output, expression.output)]
    pairs += [
        (source.tensor, expression.inputs[read.operand])
        for read in step.reads
        for source in read.sources
    ]
    return all(
        stored_bits(spec, tensors[name].bits) <= stored_bits(spec, operand.bits)
        for name, operand in pairs
    )


def relative_width(spec: HardwareSpec, moved_bits: int, operand_bits: int) -> float:
    """Bytes that move per byte of an operand, at least: what moves is stored in its own width.

    A piece of elements below a byte is rounded up, so a share of it says nothing.
    """
    moved, own = stored_bits(spec, moved_bits), stored_bits(spec, operand_bits)
    if moved == own:
        return 1.0
    return moved / own if own % 8 == 0 else 0.0


def one_to_one(read: Read, setting: Setting) -> bool:
    """Whether every element of the operand's tensor is one of a source's own."""
    shape = setting.sequence.graph.tensor[read.tensor].shape
    covered = sum(math.prod(view.extent) for view in read.views)
    sources = all(atom.source for view in read.views for atom in view.atoms)
    return sources and covered == math.prod(shape)
