"""Seeded random numbers for tensors, by what they are for."""

import hashlib
import math

import numpy as np

from t10c.verify.roles import Role

_MOSTLY = 0.9
"""Share of a boolean tensor that is true."""

_AROUND = 100
"""Integers that are computed with are up to so far from zero, twice as far without a sign."""


def draw(
    seed: int, name: str, shape: tuple[int, ...], dtype: np.dtype, role: Role | None
) -> np.ndarray:
    """An array of numbers for a tensor; they depend on seed, name, shape, type and role only.

    Floats are uniform where the role has a range, else normal with its mean and deviation.
    Integers are uniform in the role's range, truth values mostly true; divisors are not 0. A mask
    begins with ones along its last dimension and may end with zeros; distinct indices do not
    repeat.
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16], "little"))
    # NumPy makes a number, not an array, of most that it computes for a tensor without dimensions
    return np.asarray(_drawn(generator, shape, dtype, role or Role("plain")))


def _drawn(
    generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, role: Role
) -> np.ndarray:
    if role.kind == "mask":
        return _mask(generator, shape).astype(dtype)
    if dtype.kind == "b":
        return np.asarray(generator.random(shape) < _MOSTLY)
    if dtype.kind in "iu" or "int" in dtype.name:
        return _integers(generator, shape, dtype, role)
    if dtype.kind == "c":
        return (_floats(generator, shape, role) + 1j * _floats(generator, shape, role)).astype(
            dtype
        )
    if dtype.kind == "f" or dtype.kind == "V" or "float" in dtype.name:
        return _floats(generator, shape, role).astype(dtype)
    return np.full(shape, "", dtype)


def _mask(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Ones, then zeros along the last dimension: at least half of each row is ones."""
    if not shape:
        return np.ones(shape)
    length = shape[-1]
    ends = generator.integers(length - length // 4, length + 1, (*shape[:-1], 1))
    return np.arange(length) < ends


def _integers(
    generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, role: Role
) -> np.ndarray:
    low, high = integer_range(dtype, role)
    count = math.prod(shape)
    if role.distinct and count <= high - low:
        chosen = generator.choice(high - low, count, replace=False) + low
        return chosen.reshape(shape).astype(dtype)
    chosen = np.asarray(generator.integers(low, high, shape))
    if role.kind == "divisor":
        # nor -1: the least integer divided by it is more than the largest
        chosen = np.where((chosen == 0) | (chosen == -1), high - 1, chosen)
    return chosen.astype(dtype)


def integer_range(dtype: np.dtype, role: Role) -> tuple[int, int]:
    """First integer and the one after the last of a role, in what the element type can hold."""
    least, most = _limits(dtype)
    if role.low is not None and role.high is not None:
        low, high = math.floor(role.low), math.ceil(role.high)
        low = max(low, 1) if role.kind == "positive" else low
    elif role.kind == "number":
        low = least and -_AROUND
        high = low + 2 * _AROUND + 1
    elif most <= 255:
        low, high = least, most + 1  # a stored, quantised value
    else:
        low, high = 0, 2
    low = min(max(low, least), most)
    return low, max(low + 1, min(high, most + 1))


def _limits(dtype: np.dtype) -> tuple[int, int]:
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return int(info.min), int(info.max)
    bits = int("".join(filter(str.isdigit, dtype.name)) or 8)
    return (
        (0, 2**bits - 1)
        if dtype.name.startswith("u")
        else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )


def _floats(generator: np.random.Generator, shape: tuple[int, ...], role: Role) -> np.ndarray:
    if role.low is not None and role.high is not None:
        low = 1.0 if role.kind == "divisor" else role.low  # it is cast, and must not become 0
        spread = np.float32(role.high - low)
        return generator.random(shape, np.float32) * spread + np.float32(low)
    return generator.standard_normal(shape, np.float32) * np.float32(role.std)
