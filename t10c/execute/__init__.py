"""Numeric execution of device programs on all simulated cores at once (docs/program.md).

- `element_types.py`, `scalar.py`, `kernels.py`: what a compute instruction does on a tile
- `views.py`: layout-only operators
- `memory.py`, `parts.py`: buffers, whole tensors collected from them, and their parts
- `section.py`: what instructions do
- `machine.py`: `Machine` runs a program, inference after inference
"""
