"""Imports run downwards: which package of t10c may know which (docs/code.md)."""

import ast
from pathlib import Path

import pytest

import t10c

ROOT = Path(t10c.__file__).parent
LEAVES = {
    "commons",
    "errors",
    "files",
    "json_schema",
    "resources",
    "serialise",
    "suggest",
    "yaml_nodes",
    "__init__",
}
"""Small modules that everyone may use, and that use each other at most."""

ALLOWED = {
    "ir": set(),
    "hardware": {"ir"},
    "search": {"ir", "hardware"},
    "onnx_import": {"ir"},
    "zoo": set(),
    "jobs": set(),
    "schedule": {"ir", "hardware", "search"},
    "cache": {"ir", "hardware", "search", "schedule", "onnx_import"},
    "lower": {"ir", "hardware", "search", "schedule"},
    "program": {"ir"},
    "simulate": {"ir", "hardware", "program"},
    "gates": {"hardware", "simulate"},
    "execute": {"ir", "hardware", "program"},
    "baselines": {"ir", "hardware", "search", "schedule", "lower", "program", "simulate"},
    "verify": {
        *("ir", "hardware", "onnx_import", "schedule", "lower", "program", "execute", "search"),
    },
    "backend": {
        *("ir", "hardware", "search", "schedule", "onnx_import"),
        *("lower", "program", "execute", "verify"),
    },
    "sweep": {
        *("ir", "hardware", "search", "schedule", "onnx_import", "zoo"),
        *("simulate", "timing", "jobs"),
    },
    "timing": {"ir", "hardware", "schedule", "lower", "program", "simulate"},
    "extend": {"ir", "onnx_import"},
    "report": {
        *("ir", "hardware", "search", "schedule", "onnx_import"),
        *("lower", "program", "simulate", "gates", "execute", "baselines", "verify", "sweep"),
    },
}
"""Packages a package may import, besides itself and the leaves; `cli` may import everything."""

MODULES = sorted(ROOT.rglob("*.py"))


def package_of(path: Path) -> str:
    """Top package, or the name of a module beside them."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Top packages and modules of t10c that a file imports, wherever in it."""
    module = ("t10c", *path.relative_to(ROOT).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = module[: len(module) + 1 - node.level] if node.level else ()
            parts = [*base, *((node.module or "").split(".") if node.module else [])]
            names = [".".join([*parts, alias.name]) for alias in node.names]
        else:
            continue
        for parts in (name.split(".") for name in names):
            if parts[0] == "t10c":
                inside = (parts[1:2] or ["__init__"])[0]
                known = (ROOT / inside).is_dir() or (ROOT / f"{inside}.py").exists()
                found.add(inside if known else "__init__")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downwards(path):
    package = package_of(path)
    if package in ("cli", "__main__", "__init__"):  # the face of t10c and its commands
        return
    if package in LEAVES:
        allowed = LEAVES
    else:
        assert package in ALLOWED, f"{package} is new: say in this test what it may import"
        allowed = ALLOWED[package] | LEAVES | {package}
    if package == "ir":
        allowed = {"ir"}
    assert imported(path) <= allowed


def test_imports_are_seen_in_every_form(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    for name in ("ir", "search", "cli", "report"):
        (tmp_path / name).mkdir()
    file = tmp_path / "search" / "module.py"
    for text, expected in {
        "from t10c.ir.plan import Plan": "ir",
        "import t10c.report.text as text": "report",
        "from t10c import cli": "cli",
        "from t10c import __version__": "__init__",
        "import t10c": "__init__",
        "def f():\n    from t10c.cli.output import x": "cli",
        "from ..report import text": "report",
        "from . import space": "search",
    }.items():
        file.write_text(text)
        assert imported(file) == {expected}, text


def test_no_package_cycle():
    """The rules themselves run downwards."""
    open_packages = dict(ALLOWED)
    while open_packages:
        free = [p for p, needs in open_packages.items() if not needs & set(open_packages)]
        assert free, f"cycle among {sorted(open_packages)}"
        for package in free:
            del open_packages[package]


def test_commands_use_the_public_interface_only():
    """The command line may print with `report`; all else it takes from `t10c` by name."""
    for path in sorted((ROOT / "cli").glob("*.py")):
        assert imported(path) <= {"cli", "report", "__init__", *LEAVES}, path.name


@pytest.mark.parametrize("name", list(t10c.__all__))
def test_every_public_name_exists(name):
    assert getattr(t10c, name) is not None
