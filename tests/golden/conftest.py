"""Golden files: what a test makes must equal a file, or replace it with `--update-golden`."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "unit"))  # documents that someone has changed


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares text with a golden file by name."""

    def check(name: str, text: str) -> None:
        path = HERE / name
        if request.config.getoption("--update-golden", default=False):
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no {path.name}: run pytest tests/golden --update-golden"
        assert text == path.read_text(encoding="utf-8"), (
            f"{path.name} differs: if that is meant, say so in CHANGELOG.md and run"
            " pytest tests/golden --update-golden"
        )

    return check
