"""What a search may look at."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Options of one operator's search; they are part of its identity.

    `pruned` applies T10's utilisation and padding thresholds, `exhaustive` drops both.
    `max_candidates` ends the search early (the record then says that it is not exhausted).
    """

    pruning: Literal["pruned", "exhaustive"] = "pruned"
    max_candidates: int = 200_000_000


DEFAULT_SEARCH = SearchOptions()
