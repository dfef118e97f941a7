"""Numeric execution of device programs on all simulated cores at once (docs/program.md).

- `element_types.py`, `scalar.py`, `kernels.py`: what a compute instruction does on a tile
- `views.py`: layout-only operators
- `machine.py`: memory of the cores, and instructions
"""
