"""Search within one operator: the exact Pareto front of its plans.

space.py enumerates splits, temporal.py their temporal factors, evaluate.py prices them,
placement.py places pieces, pareto.py keeps the best; operator.py is the public face.
"""

from t10c.search.operator import FrontEntry, SearchRecord, SearchResult, search_operator
from t10c.search.options import SearchOptions

__all__ = ["FrontEntry", "SearchOptions", "SearchRecord", "SearchResult", "search_operator"]
