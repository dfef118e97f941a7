"""What a visitor of a search may say of plans that it need not see."""

from typing import Protocol

from t10c.search.blocks import Block
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.join import Prefixes
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.tile_table import TileTable


class Sieve(Protocol):
    """Says which plans a visitor need not see, because they would change nothing for it."""

    def enter(self, block: Block, tiles: TileTable) -> IntArray:
        """Rows of the splits of a block whose plans are to be learnt first, ascending.

        Blocks come in order, and all that is asked next is about this one.
        """

    def learn(self, candidates: Candidates, costs: Costs) -> object:
        """Let feasible plans be known, which are seen again in their turn."""

    def wanted(self, plans: Prefixes, cycles: FloatArray) -> BoolArray:
        """Which feasible plans of the block the visitor has to see, (plans,).

        `cycles` are floors, computing included.
        """
