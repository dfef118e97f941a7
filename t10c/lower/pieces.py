"""Pieces of operands as formulas: where they lie before, during and after the loops."""

from t10c.ir.expression import Operand
from t10c.ir.formula import Terms, whole
from t10c.ir.plan import Share, piece_axis_lengths, reduction_shares
from t10c.ir.program import Access, Formula, Piece, Range
from t10c.lower.frame import Frame

Offsets = tuple[tuple[str, Formula], ...]


def operand_piece(frame: Frame, operand: Operand, after_loops: bool = False) -> Piece:
    """What every core holds of an operand before the loops, or after them."""
    ranges = tuple(_piece_range(frame, operand, axis, after_loops) for axis in operand.axes)
    return Piece(frame.cores, operand.dims, ranges)


def tile_ranges(frame: Frame) -> tuple[Range, ...]:
    """The box of the iteration space that a compute step covers, one range per axis."""
    found = []
    for index, axis in enumerate(frame.expression.axes):
        start, covered = _block_start(frame, index), 1
        for level in reversed(frame.levels_on(axis.name)):
            start = start + frame.step_digit(level) * (covered * frame.tiles[index])
            covered *= frame.rotation(level).radix
        length = frame.tiles[index]
        found.append(Range(axis.name, str(start), length, _stops(frame, index, covered * length)))
    return tuple(found)


def tile_access(frame: Frame, operand: Operand, buffer: str) -> Access:
    """Where a compute step finds its tile within the operand's piece: by the rotations without it.

    The operand's own rotations are the more significant digits, so the others count tiles within
    the piece.
    """
    offsets = []
    for axis in operand.axes:
        index = frame.expression.axis_index[axis]
        start, covered = whole(0), 1
        for level in reversed(frame.levels_on(axis)):
            if operand.name not in frame.rotation(level).operands:
                start = start + frame.step_digit(level) * (covered * frame.tiles[index])
                covered *= frame.rotation(level).radix
        if start.number != 0:
            offsets.append((axis, str(start)))
    return Access(operand.name, buffer, tuple(offsets))


def share_of_output(frame: Frame) -> tuple[Piece, Offsets]:
    """A core's share of the output after the loops and the reduction, and where it begins."""
    output = frame.expression.output
    piece = operand_piece(frame, output, after_loops=True)
    return cut_piece(
        piece, frame.replica_rank(output), reduction_shares(frame.expression, frame.plan)
    )


def idle_piece(
    frame: Frame, operand: Operand, factors: tuple[tuple[str, int], ...], after_loops: bool
) -> tuple[Piece, Offsets]:
    """The part of a weight that a core keeps while other operators run, and where it begins."""
    piece = operand_piece(frame, operand, after_loops)
    lengths = piece_axis_lengths(frame.expression, frame.plan, operand)
    cuts = tuple(Share(axis, parts, -(-lengths[axis] // parts)) for axis, parts in factors)
    return cut_piece(piece, frame.replica_rank(operand), cuts, owned=True)


def even_piece(elements: int, core_count: int) -> Piece:
    """A tensor spread evenly: core i holds the i-th run of ceil(elements / cores)."""
    share = -(-elements // core_count)
    start = f"core*{share}" if share > 1 else "core"
    return Piece(core_count, (), (Range("element", start, share, (str(elements),)),), flat=True)


def cut_piece(
    piece: Piece, rank: Terms, cuts: tuple[Share, ...], owned: bool = False
) -> tuple[Piece, Offsets]:
    """The part of a piece that a core's rank among the replicas selects, and where it begins.

    The rank is read in mixed radix, the first cut being the least significant digit. Where `owned`,
    replicas that are left hold the same part; else only the first of them has it.
    """
    offsets: dict[str, Terms] = {}
    ranges = {r.axis: r for r in piece.ranges}
    for cut in cuts:
        part = rank % cut.parts
        rank = rank // cut.parts
        old = ranges[cut.axis]
        start = part * cut.length
        stops = old.stops
        if cut.parts * cut.length > old.length:  # the last part may be short, or empty
            stops = (*stops, f"{old.start} + {old.length}")
        ranges[cut.axis] = Range(cut.axis, _sum(old.start, start), cut.length, stops)
        offsets[cut.axis] = offsets.get(cut.axis, whole(0)) + start
    found = list(ranges.values())
    if not owned and rank.number != 0:
        found.append(Range("replica", str(rank), 1, ("1",)))
    begin = tuple((axis, str(offset)) for axis, offset in offsets.items() if offset.number != 0)
    return Piece(piece.cores, piece.dims, tuple(found)), begin


def _sum(text: Formula, more: Terms) -> Formula:
    if more.number == 0:
        return text
    return str(more) if text == "0" else f"{text} + {more}"


def _piece_range(frame: Frame, operand: Operand, axis: str, after_loops: bool) -> Range:
    """Interval of one axis: the block, or the operand's chunk of it."""
    index = frame.expression.axis_index[axis]
    tiles, start, covered = 1, _block_start(frame, index), 1
    for level in reversed(frame.levels_on(axis)):
        rotation = frame.rotation(level)
        if operand.name in rotation.operands:
            digit = frame.end(level) if after_loops else frame.offset(level)
            start = start + digit * (covered * frame.tiles[index])
        else:
            tiles *= rotation.radix
        covered *= rotation.radix
    length = min(frame.blocks[index], tiles * frame.tiles[index])
    return Range(axis, str(start), length, _stops(frame, index, covered * frame.tiles[index]))


def _block_start(frame: Frame, index: int) -> Terms:
    return frame.coordinate(index) * frame.blocks[index]


def _stops(frame: Frame, index: int, covered: int) -> tuple[Formula, ...]:
    """Ends of the core's block and of the axis, where steps or blocks reach beyond them."""
    stops: list[Formula] = []
    block, length = frame.blocks[index], frame.expression.axes[index].length
    if covered > block:
        stops.append(str(_block_start(frame, index) + block))
    if block * frame.plan.split[index] > length or covered > length:
        stops.append(str(length))
    return tuple(stops)
