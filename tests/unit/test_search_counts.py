"""What searches look at, in counts that are the same on every machine: the cases of benchmarks/.

A search that prices or enumerates more has become slower; one that enumerates other plans searches
another space. A change that means to alter these counts writes the new ones here.
"""

import json
from argparse import Namespace
from pathlib import Path

import pytest
from scripts import benchmark_script

BENCH = benchmark_script("bench_search")
MEASURE = benchmark_script("measure")

COLUMNS = ("splits", "candidates", "priced", "bounded splits", "uncounted", "front")

EXPECTED = {
    "matmul 512x1024x1024": (3791, 389217, 160, 0, 0, 26),
    "matmul 128x4096x1024": (3407, 287852, 102, 0, 0, 30),
    "matmul 1x4096x4096": (1122, 16844, 20, 0, 0, 13),
    "bmm 16x128x128x64": (1132, 91815, 61, 0, 0, 16),
    "pointwise 128x4096": (562, 562, 1, 0, 0, 1),
    "reduce 128x1024": (279, 560, 2, 0, 0, 2),
    "conv 64->64 56x56 3x3": (2425, 657852, 809, 0, 0, 34),
    "conv 512->512 7x7 3x3": (1048, 12965, 59, 0, 0, 23),
    "conv 4 of 256->256 28x28 3x3": (7857, 5635730, 800, 0, 0, 35),
    "conv 8 of 32x8->8 28x28 3x3": (3290, 2952479, 180, 0, 0, 8),
    "pool 64 56x56 3x3": (379, 818, 5, 0, 0, 2),
    "gather 128 of 30522x1024": (1376, 107014, 81, 0, 0, 15),
    "matmul 512x1024x1024 exhaustive": (45491, 5789917, 574, 0, 0, 30),
    "matmul 128x4096x1024 exhaustive": (41964, 4861504, 551, 0, 0, 31),
    "matmul 1x4096x4096 exhaustive": (10972, 157766, 24, 0, 0, 16),
    "bmm 16x128x128x64 exhaustive": (89708, 6201, 106, 88831, 45713540, 16),
    "matmul 4096x4096x4096 on 5,888": (24481, 5359169, 1944, 0, 0, 40),
}
UNTESTED = {"matmul 4096x4096x4096 on 562,500": "takes half a minute"}


def test_every_case_has_its_counts() -> None:
    assert {*EXPECTED, *UNTESTED} == set(BENCH.CASES)


@pytest.mark.parametrize("name", EXPECTED)
def test_counts_of_searches(name: str) -> None:
    found = BENCH.counts(BENCH.search(BENCH.CASES[name]))
    assert found == dict(zip(COLUMNS, EXPECTED[name], strict=True))


def test_counts_are_what_reports_of_benchmarks_compare() -> None:
    assert MEASURE.COUNTS == COLUMNS


def test_a_report_names_what_changed_since_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, later = tmp_path / "old.json", tmp_path / "new.json"
    row = {"case": "matmul", "CPU s": 0.25, "candidates": 1000, "priced": 7}
    MEASURE.report([row], Namespace(json=file, against=None))
    assert "before" not in capsys.readouterr().out
    new = {**row, "CPU s": 0.5, "priced": 8}
    MEASURE.report([new, {**row, "case": "conv"}], Namespace(json=later, against=file))
    *_, matmul, conv, changed = capsys.readouterr().out.splitlines()
    assert matmul.split() == ["matmul", "0.500", "1,000", "8", "0.250"]
    assert conv.split() == ["conv", "0.250", "1,000", "7", "-"]
    assert changed == "matmul: priced were 7, are 8"
    assert [row["priced"] for row in json.loads(later.read_text())["rows"]] == [8, 7]


def test_a_file_that_is_no_report_is_named(tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    file.write_text("[]")
    with pytest.raises(SystemExit, match="is no report of a benchmark"):
        MEASURE.report([], Namespace(json=None, against=file))
