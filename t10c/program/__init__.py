"""What everything that reads device programs shares (docs/program.md).

- `placed.py`: pieces on all cores, from whole tensors and back
- `check.py`: whether a program is valid: `check_program`
"""
