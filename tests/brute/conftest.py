"""Lets the slow twins use the generators of the property tests and models of the unit tests."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("property", "unit")]
