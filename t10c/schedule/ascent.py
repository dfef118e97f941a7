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
_PART = 0.02
"""The ascent ends when the bound can rise by less than this share of it, or of what is missing."""

_CLOSEST = 1e-4
"""The same where nothing else can make the bound rise."""

_MOST_ROUNDS = 12
_RADIUS = 0.5
"""The first step changes rates by this share of their sum at most, all in all."""

_ALIKE = 0.05
"""Limits whose slopes differ by less than this share are priced together."""

_LONGER = 1.5
_HALVINGS = 12
"""Steps that reach the radius to a factor are looked for so often at most."""

_MIXINGS = 400
_EVEN = 1e-6
"""A mix of planes is found when those in it differ by less than this share."""


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

    `least` is a small total of rates: where they are all zero, the first step is by a share of it.
    `thorough` says that the bound is to be as high as can be.
    """

    def __init__(self, rates: FloatArray, least: float, thorough: bool = False) -> None:
        self.rates = rates
        self._thorough = thorough
        self._least = least
        self._planes: list[_Plane] = []
        self._best: _Plane | None = None
        self._groups = _groups_of(rates)
        self._radius = _RADIUS * (float(rates.sum()) or least)

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
        following, mixed_slopes = self._highest(self._best)
        if self._price_more(mixed_slopes):
            following, _ = self._highest(self._best)
        rise_cycles = min(plane.at(following) for plane in self._planes) - self._best.bound_cycles
        if rise_cycles <= self._little(missing_cycles):
            return False
        self.rates = following
        return True

    def _little(self, missing_cycles: float) -> float:
        """A rise of the bound that is not worth a round."""
        assert self._best is not None, "there is a bound to rise above"
        best_cycles = abs(self._best.bound_cycles)
        if self._thorough:
            return _CLOSEST * best_cycles
        return max(_CLOSE * best_cycles, _PART * missing_cycles)

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
        mix = np.zeros(len(values))
        mix[int(np.argmin(values))] = 1.0
        shortest, longest = 0.0, np.inf
        length = self._radius / float(np.abs(of_groups).max() or 1.0)
        found, found_mix = begin, mix
        for _ in range(_HALVINGS):  # longer steps, until they reach the radius
            moved, mix = _climb(begin, length, values, of_groups, mix)
            if np.abs(moved - begin).sum() > self._radius:
                longest = length
            else:
                shortest, found, found_mix = length, moved, mix
            if shortest > 0 and longest < _LONGER * shortest:
                break
            length = shortest * _LONGER**2 if np.isinf(longest) else (shortest + longest) / 2
        return found @ self._groups, found_mix @ slopes


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
    begin: FloatArray, length: float, values: FloatArray, slopes: FloatArray, mix: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Rates of groups (groups,) where the least of planes, less their distance, is highest.

    Planes have `values` (planes,) at `begin` and `slopes` (planes, groups); distance counts as its
    square over twice the `length`. `mix` is a mix of planes (planes,) to start from; returned with
    the rates is that which no rates rise above. Found by moving shares of the mix between pairs.
    """

    def rates(mix: FloatArray) -> FloatArray:
        return np.maximum(begin + length * (mix @ slopes), 0.0)

    for _ in range(_MIXINGS):
        reached = values + slopes @ (rates(mix) - begin)
        least = int(np.argmin(reached))
        most = int(np.argmax(np.where(mix > 0, reached, -np.inf)))
        fall = float(reached[most] - reached[least])
        if fall <= _EVEN * abs(float(reached[least])):
            break
        turn = slopes[least] - slopes[most]
        bend = length * float(turn @ turn)
        share = min(fall / bend, float(mix[most])) if bend > 0 else float(mix[most])
        mix = mix.copy()
        mix[least] += share
        mix[most] -= share
    return rates(mix), mix
