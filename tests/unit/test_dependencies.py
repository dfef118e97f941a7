"""The oldest versions that are tested are the ones that pyproject.toml declares."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_pinned_oldest_versions_are_the_declared_lower_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    bounds = dict(entry.split(">=") for entry in declared)
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "tests/oldest.txt").read_text(), re.M))
    assert set(project_names(project["dependencies"])) <= set(pinned)
    for name, version in pinned.items():
        assert release(bounds[name]) == release(version), name


def project_names(entries: list[str]) -> list[str]:
    return [entry.split(">=")[0] for entry in entries]


def release(version: str) -> list[str]:
    return [*version.split("."), "0", "0"][:3]
