"""Schemes to compare compute-shift with: a virtual global memory (docs/baseline.md).

- result.py: what is planned: `VgmPlan`, its operators, their memory and cycles
- tiles.py: costs of splits and tilings of one operator, as arrays
- search.py: the fastest split and tiling of one operator in the memory there is: `find_tiling`
- model.py: a whole model: `plan_vgm`
- frame.py, section.py: the instructions of one operator
- program.py: the device program: `lower_vgm`
"""
