"""t10c as an ONNX backend: models run on the simulated cores of a small chip.

    from t10c.backend import T10cBackend

    rep = T10cBackend.prepare(model)
    outputs = rep.run([x, y])

- base.py: `T10cBackend`, the interface of onnx.backend.base.
- rep.py: `T10cBackendRep` is a prepared model, which gets its plan when its inputs are known.
- prepare.py: `prepare` imports, plans, lowers and checks a model for that chip.
"""

from t10c.backend.base import T10cBackend
from t10c.backend.prepare import CORES, PRESET, DoesNotFitError, Prepared
from t10c.backend.rep import T10cBackendRep

__all__ = ["CORES", "PRESET", "DoesNotFitError", "Prepared", "T10cBackend", "T10cBackendRep"]
