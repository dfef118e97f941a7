"""The wheel alone is enough: installed into a clean environment, it finds specs and recipes."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    """Run without anything of this environment that could lend t10c a file or a module."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    result = subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


QUIET = ("-m", "pip", "--quiet", "--disable-pip-version-check")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was built from this checkout."""
    place = tmp_path_factory.mktemp("wheel")
    run(sys.executable, *QUIET, "wheel", "--no-deps", "--wheel-dir", "dist", ROOT, cwd=place)
    (wheel,) = (place / "dist").glob("t10c-*.whl")
    return wheel


@pytest.fixture
def t10c(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a wheel that was installed by itself."""
    place = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "clean", cwd=place)
    run(place / "clean/bin/python", *QUIET, "install", wheel, cwd=place)
    return place / "clean/bin/t10c"


def test_the_wheel_holds_what_pages_are_made_of(wheel: Path) -> None:
    assets = ROOT / "t10c/report/html/assets"
    wanted = {str(path.relative_to(ROOT)) for path in assets.iterdir()}
    assert len(wanted) > 5
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())


def test_installed_wheel_works_in_an_empty_directory(t10c: Path, tmp_path: Path) -> None:
    recipes = json.loads(run(t10c, "zoo", "list", "--format", "json", cwd=tmp_path))
    assert {item["name"] for item in recipes} == {p.stem for p in (ROOT / "models").glob("*.yaml")}
    specs = run(t10c, "hw", "list", cwd=tmp_path)
    assert all(path.stem in specs for path in (ROOT / "hwspecs").glob("*.yaml"))

    run(t10c, "zoo", "build", "nerf", "-o", "nerf.onnx", cwd=tmp_path)
    summary = run(
        t10c, "compile", "nerf.onnx", "--hw", "ipu-mk2", "-o", "nerf.plan.json", cwd=tmp_path
    )
    assert summary.strip()
    assert isinstance(json.loads((tmp_path / "nerf.plan.json").read_text()), dict)
    page = (t10c, "simulate", "nerf.plan.json", "--format", "html", "-o", "nerf.html")
    refused = subprocess.run(page, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert refused.returncode == 2
    assert "pip install 't10c[report]'" in refused.stderr
    assert "Traceback" not in refused.stderr
    written = {path.name for path in tmp_path.rglob("*")}
    assert written == {"nerf.onnx", "nerf.plan.json"}
