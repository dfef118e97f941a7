"""The rates of memory at which a network's bound is highest.

The bound is concave in the rates, so what is known of it at the rates tried so far, its values and
slopes, says what it is at most at any others: the least of as many planes. The next rates are where
that is highest close to the best ones (a proximal bundle method; Lemarechal, 1975). Limits are
priced in groups that are exceeded alike; a group joins when it is exceeded more than the priced.
"""

from dataclasses import dataclass

import numpy as np

from t10c.search.space import FloatArray

_CLOSE = 1e-3
_PART = 0.05
"""The ascent ends when the bound can rise by less than this share of it, or of what is missing."""

_MOST_ROUNDS = 12
_RADIUS = 0.5
"""The first rates differ from those begun with by this share of their sum at most, all in all."""

_ALIKE = 0.05
"""Limits whose slopes differ by less than this share are priced together."""

_LEAST_SCALE = 0.05
"""Every rate moves as if it were this share of the sum at least."""

_HALVINGS = 16
_MIXINGS = 64


@dataclass(frozen=True)
class _Plane:
    """What the bound is at most by its value and slopes (limits,) at some rates (limits,)."""

    rates: FloatArray
    bound_cycles: float
    slopes: FloatArray

    def at(self, rates: FloatArray) -> float:
        """Its value at other rates."""
        return self.bound_cycles + float(self.slopes @ (rates - self.rates))


class Ascent:
    """Rates to try, one after the other, from `rates` (limits,) on, in cycles per byte.

    `least` is a small total: where rates are all zero the first steps are of its size.
    """

    def __init__(self, rates: FloatArray, least: float) -> None:
        self.rates = rates
        self._least = least
        self._planes: list[_Plane] = []
        self._best: _Plane | None = None
        self._groups = _groups_of(rates)
        self._radius = _RADIUS * max(float(rates.sum()), least)

    def step(self, bound_cycles: float, slopes: FloatArray, missing_cycles: float) -> bool:
        """Note the bound at `rates` and its slopes; returns whether others are worth trying.

        If so, they are `rates` now. `missing_cycles` is how far the bound is from the best known.
        """
        plane = _Plane(self.rates, bound_cycles, slopes)
        self._planes.append(plane)
        if self._best is None:
            self._best = plane
        elif bound_cycles > self._best.bound_cycles:
            self._best = plane
            self._radius *= 2
        else:
            self._radius /= 2
        if len(self._planes) == _MOST_ROUNDS:
            return False
        following, slopes = self._highest(self._best)
        if self._price_more(slopes):
            following, _ = self._highest(self._best)
        most = min(plane.at(following) for plane in self._planes)
        rise = most - self._best.bound_cycles
        if rise <= max(_CLOSE * abs(self._best.bound_cycles), _PART * missing_cycles):
            return False
        self.rates = following
        return True

    def _price_more(self, slopes: FloatArray) -> bool:
        """Let the limits with the largest slopes be priced, if none like them are."""
        priced = float((self._groups @ slopes).max())
        most = float(slopes.max())
        if most <= 0 or most <= priced + _ALIKE * abs(priced):
            return False
        alike = slopes >= most - _ALIKE * (most - max(priced, 0.0))
        self._groups = np.vstack([self._groups, alike / alike.sum()])
        return True

    def _highest(self, best: _Plane) -> tuple[FloatArray, FloatArray]:
        """Rates near the best that are highest by all planes, and the mix of slopes there."""
        begin = _by_group(self._groups, best.rates)
        slopes = np.stack([plane.slopes for plane in self._planes])
        values = np.array([plane.at(best.rates) for plane in self._planes])
        of_groups = slopes @ self._groups.T
        scale = np.maximum(begin, _LEAST_SCALE * max(float(begin.sum()), self._least))
        low, high = 0.0, 1.0
        length = self._radius / float((scale * np.abs(of_groups).max(axis=0)).sum() or 1.0)
        for _ in range(_HALVINGS):  # longer and longer steps, until they reach the radius
            moved, mix = _climb(begin, scale * length * high, values, of_groups)
            if np.abs(moved - begin).sum() >= self._radius:
                break
            low, high = high, 2 * high
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            other, other_mix = _climb(begin, scale * length * middle, values, of_groups)
            if np.abs(other - begin).sum() > self._radius:
                high = middle
            else:
                low, moved, mix = middle, other, other_mix
        return moved @ self._groups, mix @ slopes


def _groups_of(rates: FloatArray) -> FloatArray:
    """Limits with equal rates, and the last one, (groups, limits): rows sum to 1."""
    groups = [np.zeros(len(rates))]
    groups[0][-1] = 1.0
    for rate in np.unique(rates[:-1]):
        if rate > 0:
            alike = np.append(rates[:-1] == rate, False)
            groups.append(alike / alike.sum())
    return np.stack(groups)


def _by_group(groups: FloatArray, rates: FloatArray) -> FloatArray:
    """The rates of groups that give the limits theirs, (groups,)."""
    found = np.linalg.lstsq(groups.T, rates, rcond=None)[0]
    return np.asarray(found, dtype=np.float64)


def _climb(
    begin: FloatArray, lengths: FloatArray, values: FloatArray, slopes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Rates of groups (groups,) where the least of planes is highest, distance from `begin` paid.

    Planes have `values` (planes,) at `begin` and `slopes` (planes, groups). Also returned is the
    mix of planes (planes,) that no rates can rise above; Frank and Wolfe's method finds it.
    """
    mix = np.zeros(len(values))
    mix[int(np.argmin(values))] = 1.0
    for _ in range(_MIXINGS):
        moved = np.maximum(begin + lengths * (mix @ slopes), 0.0)
        reached = values + slopes @ (moved - begin)
        least = int(np.argmin(reached))
        towards = -mix
        towards[least] += 1.0
        fall = -float(reached @ towards)
        turn = towards @ slopes
        bend = float(turn @ (lengths * turn))
        if fall <= 1e-9 * abs(float(reached[least])) or bend <= 0:
            break
        mix = mix + min(fall / bend, 1.0) * towards
    return np.maximum(begin + lengths * (mix @ slopes), 0.0), mix
