"""Balanced linear maps over GF(p): what places plans whose sharing groups overlap.

A pattern has columns (digits of core coordinates, each shared by some operands) and rows (digits of
rotation offsets, each moved by some operands). A matrix balances an operand if the rows that move
it have full rank on the columns it is shared across (docs/decisions/0003).
"""

import itertools
import random
from collections.abc import Sequence
from functools import lru_cache

_SPARSE_TRIES = 2000
_RANDOM_TRIES = 400

PrimePattern = tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]
"""Operands shared across each coordinate digit, and operands moved by each offset digit."""


@lru_cache(maxsize=65536)
def balanced_matrix(prime: int, pattern: PrimePattern) -> tuple[tuple[int, ...], ...] | None:
    """A matrix over GF(prime), one row per offset digit, of full rank for every operand.

    Sparse rows are tried first; they nearly always do. Else small matrices are searched in full,
    larger ones by seeded random choice. None if none is found.
    """
    sparse = _sparse_matrix(prime, pattern)
    if sparse is not None:
        return sparse
    columns, rows = pattern
    operands = sorted({operand for row in rows for operand in row})
    needs = [
        (
            [i for i, row in enumerate(rows) if operand in row],
            [j for j, shared in enumerate(columns) if operand in shared],
        )
        for operand in operands
    ]
    if any(len(r) > len(c) for r, c in needs):
        return None

    def balanced(matrix: Sequence[Sequence[int]]) -> bool:
        return all(
            _rank([[matrix[i][j] for j in cols] for i in lines], prime) == len(lines)
            for lines, cols in needs
        )

    size = len(rows) * len(columns)
    if prime**size <= 1 << 12:
        for entries in itertools.product(range(prime), repeat=size):
            matrix = [entries[i * len(columns) : (i + 1) * len(columns)] for i in range(len(rows))]
            if balanced(matrix):
                return tuple(tuple(line) for line in matrix)
        return None
    source = random.Random(0)
    for _ in range(_RANDOM_TRIES):
        lines = [[source.randrange(prime) for _ in columns] for _ in rows]
        if balanced(lines):
            return tuple(tuple(line) for line in lines)
    return None


def _sparse_matrix(prime: int, pattern: PrimePattern) -> tuple[tuple[int, ...], ...] | None:
    """A balanced matrix whose rows are 1 in at most one column per operand, or None.

    Row by row, fewest ones first, a row is taken if it is independent of those before it on the
    columns of every operand it moves; if there is none, the row before is changed.
    """
    columns, rows = pattern
    shared = {
        operand: tuple(j for j, sharing in enumerate(columns) if operand in sharing)
        for row in rows
        for operand in row
    }
    bits = {operand: sum(1 << j for j in at) for operand, at in shared.items()}
    lines: dict[int, list[int]] = {operand: [] for operand in shared}
    chosen: list[int] = []
    tries = _SPARSE_TRIES

    def extend() -> bool:
        nonlocal tries
        if len(chosen) == len(rows):
            return True
        moving = rows[len(chosen)]
        for pick in _sparse_picks(tuple(shared[operand] for operand in moving)):
            if tries <= 0:
                return False
            tries -= 1
            if all(_independent(lines[operand], pick & bits[operand], prime) for operand in moving):
                chosen.append(pick)
                for operand in moving:
                    lines[operand].append(pick & bits[operand])
                if extend():
                    return True
                chosen.pop()
                for operand in moving:
                    lines[operand].pop()
        return False

    if not extend():
        return None
    return tuple(tuple(pick >> j & 1 for j in range(len(columns))) for pick in chosen)


def _independent(lines: Sequence[int], new: int, prime: int) -> bool:
    """Whether a row is independent of those before it, all ones and zeros and each the bits of a
    number, if those before are independent of each other.
    """
    if new in lines:
        return False
    covered = 0
    for line in lines:
        covered |= line
    if new & ~covered:
        return True  # the rows before have no share in this column
    columns = range(covered.bit_length())
    every = (*lines, new)
    return _rank([[line >> j & 1 for j in columns] for line in every], prime) == len(every)


@lru_cache(maxsize=4096)
def _sparse_picks(columns: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Sets with a column of every operand, fewest columns first, each as the bits of a number."""
    picks = {frozenset(pick) for pick in itertools.product(*columns)}
    ordered = sorted(picks, key=lambda ones: (len(ones), sorted(ones)))
    return tuple(sum(1 << j for j in ones) for ones in ordered)


def _rank(matrix: list[list[int]], prime: int) -> int:
    """Rank over GF(prime) by elimination."""
    lines = [list(line) for line in matrix]
    rank = 0
    for column in range(len(lines[0]) if lines else 0):
        pivot = next((i for i in range(rank, len(lines)) if lines[i][column] % prime), None)
        if pivot is None:
            continue
        lines[rank], lines[pivot] = lines[pivot], lines[rank]
        inverse = pow(lines[rank][column], -1, prime)
        for i in range(rank + 1, len(lines)):
            factor = lines[i][column] * inverse % prime
            if factor:
                lines[i] = [
                    (a - factor * b) % prime for a, b in zip(lines[i], lines[rank], strict=True)
                ]
        rank += 1
    return rank


def pivot_inverse(
    matrix: Sequence[Sequence[int]], prime: int
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Pivot columns of a matrix of full row rank over GF(prime), and the inverse on them.

    Column k of the inverse, one entry per pivot, is what to add to the pivots for the matrix's
    product to change by one in row k only. ValueError without full rank.
    """
    count = len(matrix)
    lines = [[*row, *(int(i == k) for k in range(count))] for i, row in enumerate(matrix)]
    width = len(matrix[0]) if count else 0
    pivots: list[int] = []
    for column in range(width):
        rank = len(pivots)
        found = next((i for i in range(rank, count) if lines[i][column] % prime), None)
        if found is None:
            continue
        lines[rank], lines[found] = lines[found], lines[rank]
        scale = pow(lines[rank][column], -1, prime)
        lines[rank] = [entry * scale % prime for entry in lines[rank]]
        for i in range(count):
            factor = lines[i][column]
            if i != rank and factor:
                lines[i] = [
                    (a - factor * b) % prime for a, b in zip(lines[i], lines[rank], strict=True)
                ]
        pivots.append(column)
    if len(pivots) < count:
        raise ValueError("the matrix has no full row rank")
    return tuple(pivots), tuple(tuple(line[width:]) for line in lines)
