"""Many models on many chips: every point of a grid planned, as one table.

document.py: a sweep file, nodes.py: how it is read; grid.py: its points, in a fixed order;
models.py: models as graphs, imported once; point.py: one point planned, in whatever process;
result.py: the figures of a point; journal.py: points that are done, kept through a kill; run.py:
a sweep from its file to rows; table.py: rows as CSV and Parquet.
"""

from t10c.sweep.result import PointResult
from t10c.sweep.run import Sweep, SweepRow, open_sweep

__all__ = ["PointResult", "Sweep", "SweepRow", "open_sweep"]
