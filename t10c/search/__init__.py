"""Search within one operator: the exact Pareto front of its plans.

space.py enumerates splits, temporal.py their temporal factors; both make candidates.py.
placement.py places their pieces, evaluate.py and shifts.py price them, pareto.py keeps the best,
and bound.py says what none can beat. operator.py puts it together and is the public face.
Expressions to search come by name (templates.py) or in text (notation.py).
"""

from t10c.search.operator import FrontEntry, SearchRecord, SearchResult, search_operator
from t10c.search.options import SearchOptions

__all__ = ["FrontEntry", "SearchOptions", "SearchRecord", "SearchResult", "search_operator"]
