"""Independent pieces of work: in this process, in several, or on a Dask cluster.

run.py: the one entrance, `run_jobs`; place.py: where work may run; processes.py, cluster.py: how it
does there; identity.py: what must be equal for results to be.
"""

from t10c.jobs.place import HERE, Place
from t10c.jobs.run import run_jobs

__all__ = ["HERE", "Place", "run_jobs"]
