"""A headless Chromium, driven by selenium; without one the tests are skipped, unless CI asks."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "unit"))

from browser_support import Browser

NEEDED = "T10C_TEST_BROWSER"
"""Set where the tests must run: a Chromium that is absent fails them then."""


def first(*names: str) -> str | None:
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = first("chromium", "chromium-browser", "google-chrome")
    driver = first("chromedriver", "chromium.chromedriver")
    if program is None or driver is None:
        reason = "there is no Chromium with its driver; install both with: make browser"
        if os.environ.get(NEEDED):
            pytest.fail(reason)
        pytest.skip(reason)
    browser = Browser(program, driver, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """The browser as a wide, light screen that has seen nothing yet."""
    chromium.reset()
    return chromium
