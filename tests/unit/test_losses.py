"""docs/search.md: what it says is what was measured, and what was measured can be measured."""

import importlib
import json
import math
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scripts import DOCS, docs_script

import t10c
from t10c.zoo.families import FAMILIES

PAGE, FIGURES = DOCS / "search.md", DOCS / "search.json"
KNOWN = json.loads(FIGURES.read_text(encoding="utf-8"))
OPERATORS: dict[str, dict[str, Any]] = {record["key"]: record for record in KNOWN["operators"]}
MODELS: list[dict[str, Any]] = KNOWN["models"]


def script() -> ModuleType:
    return docs_script("losses")


def part(name: str) -> ModuleType:
    """One of the modules that the script is made of."""
    script()
    return importlib.import_module(f"losses_{name}")


def model(key: str) -> Any:
    (found,) = [each for each in part("cases").all_models() if each.key == key]
    return found


# The committed page


def test_the_page_is_what_the_figures_say() -> None:
    text = part("page").page(MODELS, OPERATORS)
    assert text == PAGE.read_text(encoding="utf-8"), "run make losses"


def test_a_page_that_was_edited_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "search.md"
    monkeypatch.setattr(script(), "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["losses.py", "--check"])
    text = PAGE.read_text(encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    assert script().main() == 0
    page.write_text(text.replace("| nerf |", "| nerv |"), encoding="utf-8")
    assert script().main() == 1
    assert "make losses" in capsys.readouterr().err


def test_every_model_is_there_in_both_phases_and_every_operator_accounted_for() -> None:
    recipes = t10c.list_recipes()
    decoders = {f"{r.name} decode" for r in recipes if FAMILIES[r.family].cache is not None}
    assert {m["key"] for m in MODELS} == {recipe.name for recipe in recipes} | decoders
    keys = {key for m in MODELS for _, key in m["operators"]}
    assert keys >= OPERATORS.keys()
    page = PAGE.read_text(encoding="utf-8")
    missing = len(keys - OPERATORS.keys())
    assert (f"\n- Not measured yet: {missing:,} of {len(keys):,}.\n" in page) == (missing > 0)
    for record in OPERATORS.values():
        if "over_limit" in record:
            assert f"  - {part('page').label_of(record)}, on " in page


def test_what_has_fewer_plans_is_no_better() -> None:
    for record in OPERATORS.values():
        if "hypervolumes" not in record:
            continue
        pruned, whole = record["pruned"], record["exhaustive"]
        assert pruned["best_cycles"] >= whole["best_cycles"]
        assert pruned["least_bytes"] >= whole["least_bytes"]
        assert record["hypervolumes"][0] <= record["hypervolumes"][1]


# The figures


@pytest.mark.parametrize("key", ["nerf", "lstm-ptb-large decode", "whisper-tiny-decoder decode"])
def test_operators_of_small_models_measured_again(key: str) -> None:
    cases = part("cases")
    found = cases.operators(model(key))
    (listed,) = [m for m in MODELS if m["key"] == key]
    assert json.loads(json.dumps(cases.model_record(model(key), found))) == listed
    measured = 0
    for case in found:
        if case.key in OPERATORS and case.expression.kernel != "gather":
            record = {n: v for n, v in OPERATORS[case.key].items() if n != "code"}
            assert json.loads(json.dumps(cases.measure(case))) == record, "run make losses"
            measured += 1
    assert measured > 2


def test_hypervolume_by_hand() -> None:
    """Two steps: from 2 to 4 bytes a factor of 2 in cycles, from 4 to 16 bytes one of 8."""
    hypervolume = part("cases").hypervolume
    area = hypervolume([(2, 50.0), (4, 12.5)], (16, 100.0))
    assert area == pytest.approx(math.log(2) * math.log(2) + math.log(4) * math.log(8))
    assert hypervolume([(16, 100.0)], (16, 100.0)) == 0
    assert hypervolume([(2, 12.5)], (16, 100.0)) > area


def case(template: str, **axes: int) -> Any:
    return part("cases").Case(t10c.named_expression(template, axes), "ipu-mk2")


def test_a_search_over_its_limit_is_given_up_and_said_so() -> None:
    before = signal.getsignal(signal.SIGPROF)
    record = part("cases").measure(case("matmul", m=512, n=1024, k=1024), limit_seconds=0.05)
    assert record["over_limit"] == 0.05
    assert not {"exhaustive", "hypervolumes"} & record.keys()
    assert signal.getsignal(signal.SIGPROF) == before
    assert part("page").row_of(record) is None
    with part("cases").cpu_limit(1000):
        assert signal.getitimer(signal.ITIMER_PROF)[0] > 0
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def test_reduces_that_compile_searches_without_thresholds_are_marked() -> None:
    assert not part("cases").measure(case("reduce", m=128, k=1024))["kept"]
    assert part("cases").measure(case("reduce", m=2048, k=49))["kept"]


# The script


def record(key: str, pruned: float, whole: float, kept: bool = True, **more: Any) -> dict[str, Any]:
    """A record of a matmul whose fastest plans take so many cycles; its areas are 3 and 4."""
    return {
        "key": f"ipu-mk2 {key}",
        "kernel": "matmul",
        "text": "C[m] += A[m,k]",
        "axes": {"m": 4, "k": 8},
        "kept": kept,
        "pruned": {"best_cycles": pruned, "least_bytes": 10},
        "exhaustive": {"best_cycles": whole, "least_bytes": 5},
        "hypervolumes": [3.0, 4.0],
        **more,
    }


def test_tables_by_hand() -> None:
    page = part("page")
    known = {
        each["key"]: each
        for each in (
            record("a", 150.0, 100.0),
            record("b", 80.0, 80.0),
            record("c", 400.0, 100.0, kept=False),
        )
    }
    models = [
        {"key": "one decode", "hardware": "ipu-mk2", "operators": [[2, "ipu-mk2 a"], [1, "gone"]]},
        {"key": "two", "hardware": "ipu-mk2", "operators": [[1, "ipu-mk2 a"], [1, "ipu-mk2 c"]]},
        {"key": "none", "hardware": "ipu-mk2", "operators": [[1, "gone"]]},
    ]
    rows = [page.row_of(each) for each in known.values()]
    *_, marked, everything, kept = page.kernel_table(rows)
    assert marked.startswith("| matmul \\* | 1 | 0 | 300.00 % | 300.00 % | 300.00 % | 25.00 % |")
    assert everything.startswith("| **all** | 3 | 1 | 50.00 % | 300.00 % | 300.00 % | 25.00 % |")
    assert kept.startswith("| **without \\*** | 2 | 1 | 0.00 % | 50.00 % | 50.00 % | 25.00 % |")
    _, _, one, two, none = page.model_table(models, known)
    assert one == "| one, decode | ipu-mk2 | 2 | 1 of 2 | 50.00 % | 50.00 % | 25.00 % | 25.00 % |"
    assert two == "| two | ipu-mk2 | 2 | 2 of 2 | 175.00 % | 25.00 % | 25.00 % | 25.00 % |"
    assert none == "| none | ipu-mk2 | 0 | 0 of 1 | - | - | - | - |"
    _, _, most, least, _ = page.loss_table(
        rows, [*models, {"key": "b", "operators": [[1, "ipu-mk2 b"]]}]
    )
    assert most.startswith("| `C[m] += A[m,k]`, m=4 k=8 | two | ipu-mk2 | matmul \\* | 400 |")
    assert most.endswith(" | 400 | 100 | 300.00 % | 25.00 % |")
    assert "| one, decode and 1 more |" in least
    assert page.stated(rows)["most_bytes"] == "100.00 %"


def test_what_is_in_no_table_is_listed() -> None:
    given_up = record("a", 1.0, 1.0, over_limit=60.0)
    unfit = record("b", 1.0, 1.0)
    for each in (given_up, unfit):
        del each["hypervolumes"]
    models = [{"key": "m", "operators": [[1, "ipu-mk2 a"], [1, "ipu-mk2 b"], [1, "gone"]]}]
    known = {each["key"]: each for each in (given_up, unfit)}
    lines = list(part("page").left_out(models, known))
    assert lines == [
        "- Exhaustive search given up at the limit of CPU time: 1.",
        "  - `C[m] += A[m,k]`, m=4 k=8, on ipu-mk2",
        "- No plan fits the memory, pruned or not: 1.",
        "  - `C[m] += A[m,k]`, m=4 k=8, on ipu-mk2",
        "- Not measured yet: 1 of 3.",
    ]
    assert list(part("page").left_out([], {})) == [
        "- Exhaustive search given up at the limit of CPU time: none.",
        "- No plan fits the memory, pruned or not: none.",
    ]


def test_measured_operators_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = script()
    cases = [case("matmul", m=4, n=4, k=4), case("matmul", m=4, n=4, k=8)]
    models = [part("cases").model_record(model("nerf"), dict.fromkeys(cases, 1))]
    done: list[str] = []

    def measured(each: Any) -> dict[str, Any]:
        if done[1:]:
            raise KeyboardInterrupt
        done.append(each.key)
        return {"key": each.key}

    monkeypatch.setattr(losses, "FIGURES", tmp_path / "search.json")
    monkeypatch.setattr(losses, "measure", measured)
    with pytest.raises(KeyboardInterrupt):
        losses.measure_all([*cases, case("matmul", m=8, n=4, k=8)], models, {}, anew=False)
    kept = losses.measured.read_records(losses.FIGURES, "operators")
    assert list(kept) == done == [each.key for each in cases]
    losses.measure_all(cases, models, kept, anew=False)
    assert len(done) == 2
    assert losses.measured.read_records(losses.FIGURES, "models") == {"nerf": models[0]}
