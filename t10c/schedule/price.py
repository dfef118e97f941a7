"""The price of idle memory at which a bound is best.

The bound at a price is the least cost of any choice with its idle bytes priced, less the price of
the memory there is. It is concave in the price: above the best price choices leave memory unused,
below it they take too much, and the bytes in between are its slope.
"""

from dataclasses import dataclass

_STEP = 2.0
"""Prices are tried by steps of this factor until one is known on either side of the best."""

_BELOW_LEAST = 8.0
"""Below the least price, divided by this, only 0 is tried."""

_CLOSE = 1e-3
"""The search ends when the bound can rise by less than this share."""

_INNER = 0.1
"""A price tried between two others keeps this share of their distance from both."""


@dataclass(frozen=True, slots=True)
class _Tried:
    """A price, the bound at it in cycles, and its slope in bytes."""

    price: float
    bound_cycles: float
    slope_bytes: float

    def at(self, price: float) -> float:
        """What the bound is at most at another price."""
        return self.bound_cycles + self.slope_bytes * (price - self.price)


class PriceSearch:
    """Prices to try, one after the other, from `price` on.

    `least` is the smallest price above 0; at `most` every weight lies as small as it can, so what
    takes too much memory there always does.
    """

    def __init__(self, price: float, least: float, most: float) -> None:
        self.price = price
        self._least = least
        self._most = most
        self._low: _Tried | None = None
        self._high: _Tried | None = None

    def step(self, bound_cycles: float, slope_bytes: float) -> bool:
        """Note the bound at `price` and its slope; returns whether another price is worth trying.

        If so, it is `price` now.
        """
        tried = _Tried(self.price, bound_cycles, slope_bytes)
        if slope_bytes > 0:
            self._low = tried
        else:
            self._high = tried
        following = self._following()
        if following is not None:
            self.price = following
        return following is not None

    def _following(self) -> float | None:
        low, high = self._low, self._high
        if high is None:
            if low is None or low.price >= self._most:
                return None
            return min(max(low.price * _STEP, self._least), self._most)
        if low is None:
            if high.price == 0.0:
                return None
            return high.price / _STEP if high.price > self._least / _BELOW_LEAST else 0.0
        best = max(low.bound_cycles, high.bound_cycles)
        width = high.price - low.price
        steep = low.slope_bytes - high.slope_bytes
        if width <= 0 or steep <= 0:
            return None
        crossing = (
            high.bound_cycles
            - low.bound_cycles
            + low.slope_bytes * low.price
            - high.slope_bytes * high.price
        ) / steep
        if low.at(crossing) - best <= _CLOSE * abs(best):
            return None
        return min(max(crossing, low.price + _INNER * width), high.price - _INNER * width)
