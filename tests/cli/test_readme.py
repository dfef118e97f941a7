"""What README.md and docs/ show in shell and Python is run, in order, in an empty directory."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])

EXEMPT = {
    "make": "`make test` would run this test inside itself, and `make demo` needs a checkout",
    "python3 -m venv": "installs t10c from the index or the checkout: test_wheel.py does",
    "pip install": "as above",
    ". .venv/bin/activate": "as above",
}
"""Beginnings of commands that are shown and not run, and why."""


def blocks(document: Path) -> list[str]:
    """The document's ```sh and ```python blocks as shell, without exempt lines, in order."""
    found = re.findall(
        r"^```(sh|python)\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL
    )
    kept = [
        (language, "\n".join(line for line in text.splitlines() if not exempt(line)))
        for language, text in found
    ]
    return [
        text if language == "sh" else f'"{sys.executable}" -c {shlex.quote(text)}'
        for language, text in kept
        if text.strip()
    ]


def exempt(line: str) -> bool:
    return any(line == start or line.startswith(f"{start} ") for start in EXEMPT)


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """This environment with its own t10c and Dask first on PATH, the former of this checkout."""
    programs = tmp_path_factory.mktemp("bin")
    for name in ("t10c", "dask"):
        command = programs / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        command.chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def run(script: str, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if blocks(d)], ids=lambda d: str(d.relative_to(ROOT))
)
def test_commands_of_a_document_work_as_shown(
    document: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    for block in blocks(document):
        result = run(block, tmp_path, environment)
        assert result.returncode == 0, (
            f"exit {result.returncode}:\n{block}\n{result.stdout}\n{result.stderr}"
        )


def test_the_readme_shows_commands() -> None:
    shown = "\n".join(blocks(ROOT / "README.md"))
    for command in [
        "zoo build",
        "compile",
        "inspect",
        "op",
        "explain",
        "verify",
        "simulate",
        "check",
        "diff",
        "hw",
        "calibrate",
        "cache",
        "sweep",
    ]:
        assert f"t10c {command} " in shown
    assert "import t10c" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_exist_for_the_shells_named(
    shell: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    assert f"_T10C_COMPLETE={shell}_source" in (ROOT / "README.md").read_text()
    result = run(f"_T10C_COMPLETE={shell}_source t10c", tmp_path, environment)
    assert "_T10C_COMPLETE" in result.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
