"""What everything that reads device programs shares (docs/program.md).

- `placed.py`: pieces on all cores, from whole tensors and back
- `windows.py`: views of arrays for all element types
- `views.py`: what layout-only operators do to whole tensors
- `document.py`, `schema.py`: program files, and what they look like
- `steps.py`: what the steps of kernels in a file may be
- `check.py`: whether a program is valid: `check_program`; `wellmade.py` has what it checks of
  declarations, `wrong.py` the error
- `held.py`, `coverage.py`: buffers as the checker sees them, and what an exchange finds in them
"""
