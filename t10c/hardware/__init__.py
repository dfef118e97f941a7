"""Hardware: specification files, kernel cost models and their calibration.

Public face: `HardwareSpec` (spec.py), `load_spec` (load.py), the cost functions (kernels.py), hops
and link loads (topology.py).
"""
