"""docs/operators.md and the table of README.md say what the program does."""

from pathlib import Path
from types import ModuleType

import onnx
import pytest
from scripts import docs_script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return docs_script("generate")


def page() -> str:
    return (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")


pytestmark = pytest.mark.skipif(
    f"with onnx {onnx.__version__}," not in page(), reason="generated with another onnx"
)


def test_the_page_of_operators_is_current(generate: ModuleType) -> None:
    assert generate.operators_page() == page(), "run make docs"


def test_the_columns_of_sweeps_are_current(generate: ModuleType) -> None:
    text = (ROOT / "docs" / "sweep.md").read_text(encoding="utf-8")
    assert generate.with_columns(text) == text, "run make docs"


def test_the_table_of_the_readme_is_current(generate: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert generate.with_coverage(readme) == readme, "run make docs"
