"""What plans that a shortlist leaves out cost at least, by their memory and by how outputs are cut.

Hundreds of thousands of plans are summed up in a few dozen sizes: of those that take between one
size and the next of their own, the least cost at every price of idle memory. So a rate on active
memory finds those cheap that cost little in little memory, and not the sum of two that do either.
Plans that are known to cut the same dimensions of the output are a *part*, summed up by itself
(cuts.py).
"""

from dataclasses import dataclass, replace

import numpy as np

from t10c.search.space import FloatArray, IntArray

_RATIO = 1.05
_SIZES = 512
"""Sizes from one byte on, each larger by that factor than the one before: to 70 GB.

With the cuts they are numbered in 16 bits.
"""


@dataclass(frozen=True)
class Rest:
    """Least costs of plans that are not listed, at `prices` (prices,) of an idle byte.

    `cuts` (parts,) are the sets of dimensions that all plans of a part cut, by number; the first
    part's is the empty set. Per size, those of a part one after the other: `part` (sizes,);
    `active_bytes` (sizes,) are the pieces of a plan at least; `cost` (sizes, prices) is the
    least execution + setup + price * idle bytes in cycles, and `less_gain` the least of it less
    what others save by the plan at most.
    """

    prices: FloatArray
    cuts: IntArray
    part: IntArray
    active_bytes: FloatArray
    cost: FloatArray
    less_gain: FloatArray

    @property
    def is_empty(self) -> bool:
        """Whether no plan is left out."""
        return len(self.active_bytes) == 0

    def cost_at(self, price: float, own_rate: float = 0.0) -> FloatArray:
        """Least costs at a price of idle bytes and a rate of active ones, or inf: (parts,)."""
        return self._least(self._of_sizes(self.cost, price, own_rate))

    def less_gain_at(self, price: float, own_rate: float = 0.0) -> FloatArray:
        """Least costs less what others save, or inf: (parts,)."""
        return self._least(self._of_sizes(self.less_gain, price, own_rate))

    def bytes_at(self, part: int, price: float, own_rate: float) -> tuple[float, float]:
        """(idle, active) bytes of what costs least of a part, by which `cost_at` rises."""
        of_sizes = self._of_sizes(self.cost, price, own_rate)
        size = int(np.argmin(np.where(self.part == part, of_sizes, np.inf)))
        before, after, _ = self._prices_around(price)
        rise = float(self.cost[size, after] - self.cost[size, before])
        width = float(self.prices[after] - self.prices[before])
        return rise / width if width else 0.0, float(self.active_bytes[size])

    def within(self, most_bytes: float) -> "Rest":
        """Of plans whose pieces take so much at most."""
        fits = self.active_bytes <= most_bytes
        return replace(
            self,
            part=self.part[fits],
            active_bytes=self.active_bytes[fits],
            cost=self.cost[fits],
            less_gain=self.less_gain[fits],
        )

    def _least(self, of_sizes: FloatArray) -> FloatArray:
        found = np.full(len(self.cuts), np.inf)
        np.minimum.at(found, self.part, of_sizes)
        return found

    def _of_sizes(self, least: FloatArray, price: float, own_rate: float) -> FloatArray:
        """A least cost of every size at any price between the first and the last, (sizes,).

        Each plan's cost is concave in the price (it is a minimum of linear functions), so between
        two prices it is at least what lies on the line between them.
        """
        before, after, fraction = self._prices_around(price)
        of_sizes: FloatArray = least[:, after] if fraction == 1.0 else least[:, before]
        if 0.0 < fraction < 1.0:
            of_sizes = (1.0 - fraction) * least[:, before] + fraction * least[:, after]
        return of_sizes + own_rate * self.active_bytes

    def _prices_around(self, price: float) -> tuple[int, int, float]:
        """The prices on either side, by position, and how far it is between them, 0 to 1."""
        last = len(self.prices) - 1
        after = min(max(int(np.searchsorted(self.prices, price)), 1), last)
        before = max(after - 1, 0)
        width = float(self.prices[after] - self.prices[before])
        fraction = (price - float(self.prices[before])) / width if width else 0.0
        return before, after, min(max(fraction, 0.0), 1.0)


class RestCollector:
    """Sums up plans that are left out, told apart by sets of cut dimensions below `cut_sets`."""

    def __init__(self, prices: FloatArray, cut_sets: int) -> None:
        self._prices = prices
        count = cut_sets * _SIZES
        self._bytes = np.full(count, np.inf)
        self._cost = np.full((count, len(prices)), np.inf)
        self._less_gain = np.full((count, len(prices)), np.inf)

    def add(
        self,
        cuts: IntArray,
        active_bytes: FloatArray,
        cost: FloatArray,
        gain: FloatArray,
        more: FloatArray | float = 0.0,
    ) -> None:
        """Add plans of so many bytes at least, (plans,), that cost so much, (prices, plans).

        They cut such dimensions at least, and others save `gain` (plans,) by them at most; `more`
        (prices,) is added to all costs, which may then be (1, plans). In cycles.
        """
        size = np.log(np.maximum(active_bytes, 1.0)) / np.log(_RATIO)
        size = cuts * _SIZES + np.minimum(size, _SIZES - 1).astype(np.int64)
        size_of = size.astype(np.uint16)  # sorted in linear time
        order = np.argsort(size_of, kind="stable")
        sizes, firsts = np.unique(size_of[order], return_index=True)
        if not len(sizes):
            return

        def least(values: FloatArray) -> FloatArray:
            return np.asarray(np.minimum.reduceat(values[..., order], firsts, axis=-1).T)

        self._bytes[sizes] = np.minimum(self._bytes[sizes], least(active_bytes))
        self._cost[sizes] = np.minimum(self._cost[sizes], least(cost) + more)
        less_gain = least(cost - gain) + more
        self._less_gain[sizes] = np.minimum(self._less_gain[sizes], less_gain)

    def rest(self) -> Rest:
        """All that was added."""
        some = np.flatnonzero(np.isfinite(self._bytes))
        # the first part, of whatever is cut, takes up listed plans as well (kinds.py)
        cuts, part = np.unique(np.append(0, some // _SIZES), return_inverse=True)
        of_sizes = (self._bytes[some], self._cost[some], self._less_gain[some])
        return Rest(self._prices, cuts, part.ravel()[1:], *of_sizes)
