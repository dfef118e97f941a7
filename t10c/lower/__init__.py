"""A model plan as a device program (docs/program.md).

- `frame.py`: a plan's cores as formulas: coordinates, offsets, replicas, rings
- `pieces.py`: pieces of operands as formulas, before, during and after the loops
- `homes.py`: where tensors lie between operators, and how long
- `ends.py`: sections of all schemes: graph inputs, outputs and copies
- `section.py`: the instructions of one planned operator
- `model.py`: the whole program: `lower_plan`
- `single.py`: any plan of a single operator, which tests run: `operator_program`
"""
