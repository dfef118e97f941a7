"""Whether what a program declares is well made: sizes, views, loops and buffers.

Files may say anything. What passes here has sizes that 64 bits hold, so that everyone after it can
compute with them.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from t10c.errors import InvalidInputError
from t10c.ir.expression import ELEMENT_LIMIT, MOST_BITS, Dim, ScalarStep, TensorExpression
from t10c.ir.formula import FormulaError
from t10c.ir.graph import Tensor
from t10c.ir.program import Access, Buffer, Instruction, Loop, Piece, Program, Range
from t10c.program.placed import Placed, per_core
from t10c.program.steps import is_number
from t10c.program.wrong import WrongError, shown

CORE_LIMIT = 2**24
"""Most cores of a chip; more are taken for a mistake."""

TENSOR_LIMIT = 2**34
"""Most elements of a tensor; more are taken for a mistake."""

PIECE_LIMIT = 2**36
"""Most points of a piece on one core; more are taken for a mistake."""

ROUND_LIMIT = 2**18
"""Most rounds of a loop, those of the loops around it included; more are taken for a mistake."""

EXECUTED_LIMIT = 2**24
"""Most instructions of one inference, every round of a loop counted."""

_BITS_LIMIT = 2**10
_STRIDE_LIMIT = 2**40
_INDEX_LIMIT = 2**62


def check_declared(program: Program) -> None:
    """InvalidInputError for cores, tensors, kernels, views or loops that nothing real has."""
    if not 1 <= program.core_count <= CORE_LIMIT:
        raise InvalidInputError(f"core_count: {shown(program.core_count)} cores")
    if not 1 <= program.element_bits <= MOST_BITS:
        raise InvalidInputError(f"element_bits: {shown(program.element_bits)} bits")
    if program.reserved_bytes < 0:
        raise InvalidInputError(f"reserved_bytes: {shown(program.reserved_bytes)} bytes")
    for tensor in program.tensors:
        if any(size < 0 for size in tensor.shape) or math.prod(tensor.shape) > TENSOR_LIMIT:
            shape = shown(str(list(tensor.shape)))
            raise InvalidInputError(f"tensor '{shown(tensor.name)}' has the shape {shape}")
    for number, kernel in enumerate(program.kernels):
        if kernel.points > ELEMENT_LIMIT:
            raise InvalidInputError(f"kernel {number}: has more than {ELEMENT_LIMIT:,} points")
        _check_reduction(kernel, f"kernel {number}")
        for operand in kernel.operands:
            if any(map(_is_far, operand.dims)):
                name = shown(operand.name)
                raise InvalidInputError(f"kernel {number}, operand {name}: reads too far away")
    _check_positions(program)
    _check_views(program)
    _check_loops(program)


def _check_positions(program: Program) -> None:
    """No two cores are at one place, and none is left of or above the grid."""
    if program.positions is None:
        return
    values = {"core": np.arange(program.core_count, dtype=np.int64)}
    try:
        x, y = (per_core(formula, program.core_count, values) for formula in program.positions)
    except FormulaError as error:
        raise InvalidInputError(f"positions: {error}") from error
    outside = (np.minimum(x, y) < 0) | (np.maximum(x, y) >= CORE_LIMIT)
    if outside.any():
        core = int(np.argmax(outside))
        raise InvalidInputError(
            f"positions: core {core} is at ({x[core]}, {y[core]}), off any grid"
        )
    order = np.lexsort((y, x))
    same = (np.diff(x[order]) == 0) & (np.diff(y[order]) == 0)
    if same.any():
        one, other = sorted(order[np.argmax(same) :][:2].tolist())
        raise InvalidInputError(
            f"positions: cores {one} and {other} are both at ({x[one]}, {y[one]})"
        )


def _check_reduction(kernel: TensorExpression, at: str) -> None:
    """Axes are reduced, by some operation, where the output lacks them."""
    kept = set(kernel.output.axes)
    for axis in kernel.axes if kernel.kernel != "fallback" else ():
        if axis.reduction == (axis.name in kept):
            what = "is reduced, but" if axis.reduction else "is not reduced, but not"
            raise InvalidInputError(f"{at}: axis {shown(axis.name)} {what} in the output")
        if axis.reduction and kernel.reduce_op is None:
            raise InvalidInputError(f"{at}: has no reduce_op for axis {shown(axis.name)}")


def _is_far(dim: Dim) -> bool:
    numbers = (dim.offset, dim.size, *(stride for _, stride in dim.terms))
    return any(abs(number) > _STRIDE_LIMIT for number in numbers)


def _check_views(program: Program) -> None:
    """Views are of tensors, one for each at most, and of views before them only."""
    tensors = {tensor.name for tensor in program.tensors}
    later = {view.output for view in program.views}
    for view in program.views:
        at = f"view '{shown(view.name)}'"
        if view.output not in later:
            raise InvalidInputError(f"{at}: '{shown(view.output)}' has a view before this one")
        for name in view.inputs:
            if name in later:
                raise InvalidInputError(f"{at}: reads '{shown(name)}', which is a later view")
        for name in (*view.inputs, view.output):
            if name not in tensors:
                raise InvalidInputError(f"{at}: there is no tensor '{shown(name)}'")
        if any(abs(n) > TENSOR_LIMIT for n in (*view.starts, *view.steps)):
            raise InvalidInputError(f"{at}: begins or steps beyond all tensors")
        if not view.inputs or not is_number(view.fill):
            raise InvalidInputError(f"{at}: has no inputs, or its fill is no number")
        later.remove(view.output)


def _check_loops(program: Program) -> None:
    executed = 0
    for section in program.all_sections():
        at = f"section '{shown(section.name)}'"
        executed += _executed(section.instructions, at, 1)
        if executed > EXECUTED_LIMIT:
            raise InvalidInputError(f"{at}: loops make more than {EXECUTED_LIMIT:,} instructions")


def _executed(instructions: Iterable[Instruction], place: str, rounds: int) -> int:
    """How many instructions run, where they stand in loops of so many rounds."""
    total = 0
    for number, instruction in enumerate(instructions):
        total += rounds
        if isinstance(instruction, Loop):
            at = f"{place}, instruction {number}"
            inner = rounds * instruction.count
            if instruction.count < 1 or inner > ROUND_LIMIT:
                outside = f", in {rounds} rounds of those around it" if rounds > 1 else ""
                raise InvalidInputError(
                    f"{at} (loop): runs {shown(instruction.count)} times{outside}; "
                    f"1 to {ROUND_LIMIT:,} rounds are possible"
                )
            total += _executed(instruction.body, f"{at}, body", inner)
            total += _executed(instruction.between, f"{at}, between", inner)
    return total


# Buffers


def check_buffer(buffer: Buffer, tensors: Mapping[str, Tensor], program: Program) -> None:
    """WrongError unless a buffer is a piece of a tensor, on cores there are, of its size."""
    piece, name = buffer.piece, shown(buffer.name)
    if buffer.tensor not in tensors:
        raise WrongError(f"{name} is a piece of the unknown tensor '{shown(buffer.tensor)}'")
    tensor = tensors[buffer.tensor]
    if not 1 <= piece.cores <= program.core_count:
        raise WrongError(f"{name} lies on {shown(piece.cores)} cores")
    if buffer.copies not in (1, 2):
        raise WrongError(f"{name} has {shown(buffer.copies)} copies")
    least = tensor.bits or program.element_bits
    if not least <= buffer.bits <= _BITS_LIMIT:
        raise WrongError(
            f"{name} has {shown(buffer.bits)} bits for an element, "
            f"{shown(tensor.name)} needs {least}"
        )
    if not piece.flat and tuple(dim.size for dim in piece.dims) != tensor.shape:
        raise WrongError(f"{name} has not the shape of {shown(tensor.name)}")
    _check_piece(piece, name)
    points = math.prod(piece.lengths.values())
    if not min(points, math.prod(piece.shape)) <= buffer.elements <= PIECE_LIMIT:
        raise WrongError(
            f"{name} counts {shown(buffer.elements)} elements, but has {points} points"
        )


def _check_piece(piece: Piece, name: str) -> None:
    """The piece has no axis that makes points without memory, and no size beyond all memory."""
    if any(map(_is_far, piece.dims)):
        raise WrongError(f"{name} reads too far away")
    strides: dict[str, int] = {}
    for dim in piece.dims:
        for axis, stride in dim.terms:
            strides[axis] = strides.get(axis, 0) + abs(stride)
    for r in piece.ranges:
        check_length(r, name, PIECE_LIMIT)
        if not piece.flat and not strides.get(r.axis) and r.length > 1:
            raise WrongError(
                f"{name} has {shown(r.length)} points along {shown(r.axis)} in one place"
            )
    if math.prod(piece.shape) > PIECE_LIMIT or math.prod(piece.lengths.values()) > PIECE_LIMIT:
        raise WrongError(f"{name} is larger than any memory")


def check_length(r: Range, name: str, most: int) -> None:
    """WrongError unless a range has 1 to `most` indices."""
    if not 1 <= r.length <= most:
        raise WrongError(
            f"{name} has {shown(r.length)} indices along {shown(r.axis)}, not 1 to {most}"
        )


def check_placed(placed: Placed, name: str) -> None:
    """WrongError where a core holds what lies so far away that no index counts it."""
    far = [
        max(abs(int(array.min())), abs(int(array.max())))
        for array in (*placed.start.values(), *placed.stop.values())
    ]
    strides = [abs(stride) for dim in placed.piece.dims for _, stride in dim.terms]
    if max(far, default=0) * max(sum(strides), 1) > _INDEX_LIMIT:
        axis = list(placed.start)[int(np.argmax(far)) % len(placed.start)]
        raise WrongError(f"{name} lies too far away along {shown(axis)}")


def check_operands(
    expression: TensorExpression,
    steps: Iterable[ScalarStep],
    inputs: tuple[Access, ...],
    output: Access,
) -> None:
    """WrongError unless the output and, once each, the inputs that the steps use are given."""
    if output.operand != expression.output.name:
        raise WrongError(f"the kernel does not put out {shown(output.operand)}")
    axes = {operand.name: operand.axes for operand in expression.operands}
    given = [access.operand for access in inputs]
    own = {operand.name for operand in expression.inputs}
    for name in given:
        if name not in own:
            raise WrongError(f"the kernel has no operand {shown(name)}")
        if given.count(name) > 1:
            raise WrongError(f"operand {shown(name)} is given twice")
    for name in sorted({name for step in steps for name in step.inputs} & own - set(given)):
        raise WrongError(f"operand {shown(name)} is not given")
    for access in (*inputs, output):
        for axis, _ in access.offsets:
            if axis not in axes[access.operand]:
                raise WrongError(f"operand {shown(access.operand)} has no axis {shown(axis)}")
