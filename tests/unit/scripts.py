"""Scripts of docs/ and benchmarks/, which are in no package, as modules."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
DOCS, BENCHMARKS = ROOT / "docs", ROOT / "benchmarks"


def docs_script(name: str) -> ModuleType:
    """The module docs/NAME.py, which is run once."""
    return _script(DOCS, name)


def benchmark_script(name: str) -> ModuleType:
    """The module benchmarks/NAME.py, which is run once, with those that it imports."""
    if str(BENCHMARKS) not in sys.path:
        sys.path.insert(0, str(BENCHMARKS))
    return _script(BENCHMARKS, name)


@cache
def _script(folder: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
