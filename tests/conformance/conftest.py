"""Lets the conformance tests use what the unit tests share."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "unit"))
