"""docs/validation.md: what it says is what was measured, and what was measured can be measured."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from scripts import DOCS, docs_script

import t10c
from t10c.cli.compare import compare_command
from t10c.zoo.families import FAMILIES

PAGE, FIGURES = DOCS / "validation.md", DOCS / "validation.json"
KNOWN: dict[str, dict[str, Any]] = {
    record["key"]: record for record in json.loads(FIGURES.read_text(encoding="utf-8"))["cases"]
}


def script() -> ModuleType:
    return docs_script("validation")


def part(name: str) -> ModuleType:
    """One of the modules that the script is made of."""
    script()
    return importlib.import_module(f"validation_{name}")


def case(key: str) -> Any:
    (found,) = [each for each in part("cases").all_cases() if each.key == key]
    return found


# The committed page


def test_the_page_is_what_the_figures_say() -> None:
    assert script().page(KNOWN) == PAGE.read_text(encoding="utf-8"), "run make validation"


def test_a_page_that_was_edited_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "validation.md"
    monkeypatch.setattr(script(), "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["validation.py", "--check"])
    text = PAGE.read_text(encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    assert script().main() == 0
    edited = text.replace("| 1.", "| 2.", 1)
    page.write_text(edited, encoding="utf-8")
    assert script().main() == 1
    assert "make validation" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == edited


def test_every_case_was_measured_or_is_named_as_missing() -> None:
    keys = [each.key for each in part("cases").all_cases()]
    assert len(set(keys)) == len(keys)
    text = PAGE.read_text(encoding="utf-8")
    _, _, missing = text.partition(" are not measured yet:\n")
    named = missing.partition(".\n\n")[0].split("; ") if missing else []
    assert sorted([*KNOWN, *named]) == sorted(keys)


def test_every_model_of_the_zoo_is_compared_at_four_batches_in_both_phases() -> None:
    compared = part("cases").COMPARED
    assert all(len(set(model.batches)) >= 4 for model in compared)
    recipes = t10c.list_recipes()
    assert {model.name for model in compared} == {recipe.name for recipe in recipes}
    decoders = {recipe.name for recipe in recipes if FAMILIES[recipe.family].cache is not None}
    assert {model.name for model in compared if model.phase == "decode"} == decoders


def test_operators_without_padding_agree_and_effects_explain_the_rest() -> None:
    """Contention has nothing to do with padding, and is no matter of the cost model."""
    cases, operators = part("cases"), part("operators")
    runs = list(operators.operator_runs((*cases.COMPARED, *cases.ON_MESHES), KNOWN))
    assert max(run.unexplained for run in runs) < 0.1
    flat = list(operators.operator_runs(cases.COMPARED, KNOWN))
    full = [operators.without_contention(run) for run in flat if run.padded is False]
    assert sum(run.count for run in full) > 100
    assert operators.near_share(full) == 1


# The figures


@pytest.mark.parametrize(
    "key",
    [
        "nerf ipu-mk2 batch=64",
        "nerf tenstorrent-wormhole-like batch=64",
        "lstm-ptb-large ipu-mk2 phase=decode batch=1",
    ],
)
def test_small_cases_measured_again(key: str) -> None:
    measured = part("cases").measure(case(key))
    committed = {name: value for name, value in KNOWN[key].items() if name != "code"}
    assert measured == committed, "run make validation"


def test_the_commands_shown_make_the_cases() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for model in part("cases").COMPARED:
        assert f"\n{model.command()}\n" in page
        words = model.command().split()
        assert words[:2] == ["t10c", "compare"]
        given = compare_command.make_context("compare", words[2:]).params
        assert given["model"] == f"zoo:{model.name}"
        assert given["hardware"] == model.hardware
        assert given["settings"] == model.zoo_settings
        assert given["batches"] == ",".join(map(str, model.batches))


def test_a_command_shown_prints_the_figures() -> None:
    command = "zoo:nerf --hw ipu-mk2 --batches 64"
    assert f"\nt10c compare {command}\n" in PAGE.read_text(encoding="utf-8")
    printed = CliRunner().invoke(compare_command, [*command.split(), "--format", "json", "-q"])
    (batch,) = json.loads(printed.stdout)["batches"]
    known = KNOWN["nerf ipu-mk2 batch=64"]
    for scheme in ("compute_shift", "baseline"):
        for name in ("latency_cycles", "transfer_share", "peak_core_bytes"):
            assert batch[scheme][name] == pytest.approx(known[scheme][name], abs=0.01)
    assert batch["speedup"] == pytest.approx(part("page").speedup(known), abs=1e-4)


# The script


def runs(*rows: tuple[int, float, float]) -> list[Any]:
    """Operators of (count, simulated, predicted), all between them contention."""
    make = part("operators").Runs
    return [make(n, "matmul", True, s, p, (0.0, s - p, 0.0, 0.0, 0.0, 0.0)) for n, s, p in rows]


def test_distribution_by_hand() -> None:
    operators = part("operators")
    some = runs((6, 100.0, 100.0), (3, 100.0, 99.0), (1, 100.0, 150.0))
    assert operators.percentile(some, 0.5) == 0
    assert operators.percentile(some, 0.6) == 0
    assert operators.percentile(some, 0.61) == pytest.approx(0.01)
    assert operators.percentile(some, 0.9) == pytest.approx(0.01)
    assert operators.percentile(some, 1) == pytest.approx(0.5)
    assert operators.near_share(some) == pytest.approx(0.9)
    *_, kernel, total = operators.error_table(some)
    assert kernel == "| matmul | 10 | 0.00 % | 1.00 % | 50.00 % | 50.00 % | 90.00 % |"
    assert total == kernel.replace("matmul", "**all**")


def test_causes_by_hand() -> None:
    operators = part("operators")
    some = [
        *runs((2, 100.0, 90.0)),
        operators.Runs(1, "conv", False, 200.0, 150.0, (40.0, 5.0, 0.0, 0.0, 0.0, 2.0)),
    ]
    table = list(operators.cause_table(some))
    assert table[2] == "| short_blocks | +10.00 % | +40 cycles | 1 |"
    assert table[3] == "| contention | +6.25 % | +10 cycles | 2 |"
    assert table[-2] == "| **all** | +17.50 % | | 3 |"
    assert table[-1] == "| not named | | 3.00 cycles | 0 |"
    full, short = list(operators.even_table(some))[2:]
    assert full == "| all blocks full | 1 | 0.00 % | 0.00 % | 23.08 % |"
    assert short == "| some short | 2 | 0.00 % | 100.00 % | 0.00 % |"


def test_means_by_hand() -> None:
    page, nerf = part("page"), part("cases").COMPARED[0]
    assert nerf.batches[:2] == (64, 256)
    known = {
        f"nerf ipu-mk2 batch={batch}": {
            "compute_shift": {"latency_cycles": 100.0},
            "baseline": {"latency_cycles": latency},
        }
        for batch, latency in ((64, 100.0), (256, 400.0))
    }
    known["nerf ipu-mk2 batch=1024"] = {
        "compute_shift": {"latency_cycles": 100.0},
        "baseline": {"misfit": "matmul"},
    }
    assert list(page.ratio_table(known))[2] == "| nerf | 2 | 2.00 | 2.50 | 4.00 |"


def test_what_does_not_fit_says_what_it_wants() -> None:
    misfit = {"misfit": "/MatMul", "demanded_bytes": 2048000, "available_bytes": 1024000}
    figures = {
        "latency_cycles": 1000.0,
        "latency_ms": 0.02439,
        "transfer_share": 0.66292,
        "achieved_bytes_per_second": 1276635835,
        "peak_core_bytes": 4384,
    }
    known = {"nerf ipu-mk2 batch=64": {"compute_shift": misfit, "baseline": figures}}
    assert list(part("page").compared_table("ipu-mk2", known))[2] == (
        "| nerf | 64 | does not fit: 2,000 of 1,000 KiB | 0.0244 ms | - | - / 66 % | - / 1.28"
        " | - / 4 |"
    )


def layer(batch: int, width: int) -> t10c.ModelPlan:
    """A plan of one layer on eight cores."""
    settings = {"layers": "1", "hidden": str(width), "frequencies": "1", "outputs": str(width)}
    model = t10c.build_model("nerf", batch=batch, seq=1, overrides=settings)
    graph = t10c.import_model(model.SerializeToString())
    plan = t10c.schedule_model(graph, t10c.load_spec("ipu-mk2", ["cores.count=8"]))
    assert isinstance(plan, t10c.ModelPlan)
    return plan


def test_padding_of_blocks() -> None:
    padded = part("cases").padded_operators
    assert padded(layer(64, 64)) == {"/layers.0/MatMul": 0}
    assert padded(layer(61, 61)) == {"/layers.0/MatMul": 1}  # primes


@pytest.mark.parametrize(("pieces", "uneven"), [(3, 0), (5, 1)])
def test_padding_of_idle_pieces(pieces: int, uneven: int) -> None:
    plan = layer(64, 64)
    (operator,) = plan.operators
    weight = operator.idle[0]
    assert plan.graph.tensor[weight.tensor].shape == (9, 64)
    cut = replace(weight.cut, ratio=pieces, factors=(("k", pieces),))
    changed = replace(operator, idle=(replace(weight, cut=cut), *operator.idle[1:]))
    plan = replace(plan, operators=(changed,))
    assert part("cases").padded_operators(plan) == {"/layers.0/MatMul": uneven}


def test_measured_cases_are_kept_and_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validation = script()
    cases = [case("nerf ipu-mk2 batch=64"), case("resnet-18 ipu-mk2 batch=1")]
    done: list[str] = []

    def measured(each: Any) -> dict[str, Any]:
        done.append(each.key)
        return {"key": each.key}

    def interrupted(each: Any) -> dict[str, Any]:
        if done:
            raise KeyboardInterrupt
        return measured(each)

    monkeypatch.setattr(validation, "FIGURES", tmp_path / "validation.json")
    monkeypatch.setattr(validation, "measure", interrupted)
    assert validation.known_figures() == {}
    with pytest.raises(KeyboardInterrupt):
        validation.measure_all(cases, {}, anew=False)
    kept = validation.known_figures()
    assert set(kept) == {"nerf ipu-mk2 batch=64"}
    monkeypatch.setattr(validation, "measure", measured)
    validation.measure_all(cases, kept, anew=False)
    assert done == [each.key for each in cases]
    validation.measure_all(cases, validation.known_figures(), anew=True)
    assert len(done) == 4
    monkeypatch.setattr(validation, "code_hash", lambda: "other")
    validation.measure_all(cases, validation.known_figures(), anew=False)
    assert len(done) == 6
