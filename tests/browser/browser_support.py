"""What the tests need of a browser: screens, pages, what a page complains of or asks for."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
_PATIENCE_SECONDS = 60


class Browser:
    """One Chromium for many pages."""

    def __init__(self, program: str, driver: str, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver))

    def close(self) -> None:
        self.driver.quit()

    def reset(self) -> None:
        self.screen(1280, 900)
        self.colours("light")
        self.driver.get("about:blank")
        self.complaints()
        self.requests()

    def screen(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def colours(self, scheme: str) -> None:
        """The system's colours; it wants no motion, which tests would have to wait for."""
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, path: Path) -> None:
        """Open a report and wait until it has drawn its charts."""
        self.driver.get(path.as_uri())
        self.wait_for("return 'ready' in document.documentElement.dataset")

    def wait_for(self, script: str) -> None:
        waiting = WebDriverWait(self.driver, _PATIENCE_SECONDS, poll_frequency=0.05)
        waiting.until(lambda driver: driver.execute_script(script), script)

    def wait_for_answer(self, script: str, answer: Any) -> None:
        """Charts are drawn again a little after the rest of the page has changed."""
        waiting = WebDriverWait(self.driver, _PATIENCE_SECONDS, poll_frequency=0.05)
        with suppress(TimeoutException):
            waiting.until(lambda driver: driver.execute_script(script) == answer)
        assert self.run(script) == answer

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, name: str) -> str:
        return self.find(name).text

    def choose(self, name: str, value: str) -> None:
        Select(self.find(name)).select_by_value(value)

    def complaints(self) -> list[str]:
        """What the console has said since last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses beyond files and the page's own data that were asked for since last asked."""
        entries = [json.loads(entry["message"]) for entry in self.driver.get_log("performance")]
        asked = [
            entry["message"]["params"]["request"]["url"]
            for entry in entries
            if entry["message"]["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))]
