"""Numeric execution of device programs on all simulated cores at once (docs/program.md).

- `element_types.py`: types in NumPy, and which ones kernels compute and accumulate in
- `scalar.py`: steps of bodies and epilogues, by functions.py (erf.py), rows.py and reference.py
- `kernels.py`: what a compute instruction does on a tile (tiles.py), by the form of its expression
  (form.py): products.py, reductions.py (counts.py for means) and gather.py
- `views.py`: layout-only operators
- `memory.py`, `parts.py`: buffers, whole tensors collected from them, and their parts
- `section.py`: what instructions do, those that compute in computing.py; scope.py is what they see
- `machine.py`: `Machine` runs a program, inference after inference
"""
