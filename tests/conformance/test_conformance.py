"""The node cases of onnx on simulated cores: those fail, and only those, that the page lists."""

import re
import unittest
import zlib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest
from onnx.backend.test import BackendTest
from scripts import docs_script

from t10c.backend import T10cBackend, T10cBackendRep

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "conformance.md"
PARTS = 16
"""Of the cases, so that workers share them."""

pytestmark = pytest.mark.skipif(
    f" onnx {onnx.__version__} " not in PAGE.read_text(encoding="utf-8"),
    reason="generated with another onnx",
)


def conformance() -> ModuleType:
    return docs_script("conformance")


@cache
def included() -> tuple[str, ...]:
    """Names of the cases within the rule."""
    page = conformance()
    return tuple(c.name for c in page.all_cases() if not page.excluded_because(c.model))


def suite(backend: type[T10cBackend], names: list[str]) -> dict[str, unittest.TestCase]:
    """The tests that onnx makes of these cases, by name."""
    runner = BackendTest(backend, __name__).include(rf"^({'|'.join(names)})_cpu$")
    made = runner.test_cases["OnnxBackendNodeModelTest"]
    return {name: made(f"{name}_cpu") for name in names}


@cache
def every_case() -> dict[str, unittest.TestCase]:
    return suite(T10cBackend, list(included()))


def failures(tests: dict[str, unittest.TestCase]) -> dict[str, str]:
    """Run tests; what those raised that did not pass."""
    found = {}
    for name, test in tests.items():
        result = unittest.TestResult()
        test.run(result)
        assert result.testsRun == 1
        assert not result.skipped, name
        for _, text in (*result.failures, *result.errors):
            found[name] = text
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_the_cases_that_fail_are_those_of_the_page(part: int) -> None:
    tests = {n: t for n, t in every_case().items() if zlib.crc32(n.encode()) % PARTS == part}
    listed = {name for name in conformance().committed_failures() if name in tests}
    failed = failures(tests)
    news = {name: text for name, text in failed.items() if name not in listed}
    assert not news, "\n".join(news.values())
    assert set(failed) == listed, "these pass now: run make conformance"


def test_a_backend_with_wrong_numbers_fails() -> None:
    """The cases can tell: of one element among twelve a bit too much."""

    class Rep(T10cBackendRep):
        def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
            (found,) = super().run(inputs)
            found.reshape(-1)[7] += 0.01
            return (found,)

    class Wrong(T10cBackend):
        @classmethod
        def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> T10cBackendRep:
            return Rep(model)

    names = ["test_matmul_2d", "test_add", "test_softmax_axis_0"]
    assert set(failures(suite(Wrong, names))) == set(names)
    assert not failures(suite(T10cBackend, names))


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def count(cell: str) -> int:
    return int(cell.replace(",", "") or 0)


def test_the_totals_of_the_page_agree() -> None:
    head, failing, by_operator, _ = re.split(r"^## .*$", PAGE.read_text("utf-8"), flags=re.M)
    total = {cells[0]: count(cells[1]) for cells in rows(head[head.index("| | cases") :])}
    total["within the rule"] = total.get("within the rule") or count(
        re.findall(r"\| within the rule \| ([\d,]+)", head)[0]
    )
    failed = len(rows(failing))
    assert total["within the rule"] == len(included())
    assert total["passed by t10c"] == len(included()) - failed
    sums = [sum(count(c[i]) for c in rows(by_operator)) for i in range(1, 7)]
    named = ("passing, layout only", "passing, folded", "of these fallback")
    assert sums == [
        total["within the rule"],
        total["of these planned"],
        *(total[name] for name in named),
        failed,
    ]
    assert total["passing compute cases"] == total["of these planned"] + total["of these fallback"]


def test_the_page_keeps_what_is_promised() -> None:
    """As many cases as ONNX Runtime, and hardly any by fallback."""
    text = PAGE.read_text(encoding="utf-8")
    shares = dict(re.findall(r"^\| ([\w ]+) \| [\d,]+ \| ([\d.]+) % \|$", text, re.MULTILINE))
    passed = float(shares["passed by t10c"])
    assert passed >= max(97.3, float(shares["passed by ONNX Runtime"]))
    assert float(shares["of these planned"]) >= 85
