"""Simulation reports as table, CSV and Markdown."""

import csv
import io
from dataclasses import replace

import pytest
from simulations import operator, phase, simulation

from t10c.report.simulation import cost_gap, longest, simulation_lines
from t10c.report.simulation_csv import csv_columns, simulation_csv
from t10c.report.simulation_markdown import simulation_markdown
from t10c.report.text import LINE_WIDTH
from t10c.simulate.document import simulation_report
from t10c.simulate.result import Breakdown, Effects, Simulation


def lines(made: Simulation) -> list[str]:
    return simulation_lines(simulation_report(made))


def line(made: Simulation, head: str) -> str:
    return next(text for text in lines(made) if text.startswith(head))


def crowded() -> Simulation:
    """A simulation whose report is as long as it gets: everything is there, with long names."""
    name = "/a/very/long/name/of/an/operator/" * 4
    parts = dict.fromkeys(Breakdown().as_dict(), 1234567.25)
    operators = tuple(
        operator(
            f"{name}{number}",
            number * 9876538.0,
            phase("compute", 0, 1, **parts),
            effects=Effects(-1e5, 2e5, 3e5, 4e5, -5e5, -6e5),
            cost_model_cycles=9e6,
            peak_core_bytes=600 * 1024 + number,
            flop=float(number),
        )
        for number in range(40)
    )
    notes = tuple(f"note {number} " + "which is long " * 20 for number in range(9))
    overrides = ("cores.sram=1MiB", "interconnect.kind=torus2d", "clock=2GHz")
    return simulation(operators=operators, notes=notes, overrides=overrides, model=name)


def test_the_table_says_it_all() -> None:
    text = "\n".join(lines(simulation(notes=("lies evenly",))))
    for part in (
        "model      two layers",
        "chip       ipu-mk2: 64 cores x 624.0 KiB",
        "latency    0.0007547 ms = 1,000 cycles (simulated, 2 operators and copies)",
        "compute 50.0 %, shift 12.0 %, sync 10.0 %, reduction 15.0 %, transition 4.0 %,"
        " setup 4.0 %, idle 5.0 %",
        "memory     peak 4.0 KiB of 624.0 KiB per core (0.6 %), at /layers.1/MatMul",
        "utilisation 50.0 %: of the latency the average core computes",
        "transfers  45.0 % of the latency with syncs",
        "bound      800 cycles",
        "gap 20.0 %",
        "note       lies evenly",
    ):
        assert part in text, part
    assert "overhead" not in text


def test_a_latency_below_the_bound_has_no_gap() -> None:
    """Events may take less than the cost model says of them, by which the bound holds."""
    assert line(simulation(lower_bound_cycles=1200.0), "bound") == (
        "bound      1,200 cycles: no plan searched can be faster by the cost model, simulated this"
        " one is"
    )


def test_it_has_at_most_25_lines_of_their_width() -> None:
    for made in (simulation(), crowded(), simulation(operators=(), memory=())):
        shown = lines(made)
        assert len(shown) <= 24  # and one of the search, where a plan is known
        assert max(map(len, shown)) <= LINE_WIDTH
    assert "lines more in JSON" in lines(crowded())[-1]


def test_differences_from_the_cost_model_are_named() -> None:
    text = line(simulation(), "cost model")
    assert text == (
        "cost model 980 cycles; simulated +2.0 %: short blocks -2.0 %, contention +3.1 %,"
        " transfer rounds +1.0 %"
    )
    odd = replace(simulation().operators[0], cost_model_cycles=510.0)
    made = simulation(operators=(odd, simulation().operators[1]))
    assert line(made, "cost model").endswith("other +11.4 %")
    gap = cost_gap(simulation_report(made))
    assert gap is not None
    assert gap.total == pytest.approx(1000.0 - 880.0)
    assert gap.other == pytest.approx(100.0)


def test_what_is_not_known_is_not_said() -> None:
    known = simulation()
    made = replace(
        known,
        lower_bound_cycles=None,
        operators=tuple(replace(o, cost_model_cycles=None) for o in known.operators),
    )
    text = "\n".join(lines(made))
    assert "bound" not in text
    assert "cost model" not in text
    assert cost_gap(simulation_report(made)) is None


def test_layers_that_are_alike_are_one_entry() -> None:
    layers = tuple(
        operator(f"/layers.{n}/MatMul", 100.0 * n, phase("compute", 100.0 * n, 100.0 * n + 100.0))
        for n in range(6)
    )
    other = operator("/head/MatMul", 600.0, phase("shift", 600.0, 900.0))
    found = longest(simulation_report(simulation(operators=(*layers, other))))
    assert [(a.name, a.count, a.latency_cycles) for a in found] == [
        ("/layers.0/MatMul", 6, 600.0),
        ("/head/MatMul", 1, 300.0),
    ]
    shown = lines(simulation(operators=(*layers, other)))
    row = next(text for text in shown if text.startswith("/head/MatMul"))
    assert row.split()[:3] == ["/head/MatMul", "matmul", "1"]
    assert row.endswith("shift 100.0 %")


def test_an_empty_model_has_a_table() -> None:
    shown = lines(simulation(operators=(), memory=(), lower_bound_cycles=0.0))
    assert shown[2] == "latency    0 ms = 0 cycles (simulated, 0 operators and copies)"


def test_csv_has_a_row_per_operator_with_names_that_do_not_change() -> None:
    assert csv_columns() == (
        *("name", "op_type", "kernel", "core_count", "begin_cycles", "latency_cycles"),
        *("compute_cycles", "shift_cycles", "sync_cycles", "reduction_cycles"),
        *("transition_cycles", "setup_cycles", "offchip_cycles", "idle_cycles"),
        *("effect_short_blocks_cycles", "effect_contention_cycles", "effect_hops_cycles"),
        *("effect_transfer_rounds_cycles", "effect_overlap_cycles", "effect_held_cycles"),
        *("cost_model_cycles", "peak_core_bytes", "moved_bytes", "flop"),
    )
    odd = replace(simulation().operators[1], name='a,"b"', cost_model_cycles=None)
    made = simulation(operators=(simulation().operators[0], odd))
    text = simulation_csv(simulation_report(made))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["/layers.0/MatMul", 'a,"b"']
    assert float(rows[0]["shift_cycles"]) == 120.0
    assert float(rows[0]["effect_short_blocks_cycles"]) == -20.0
    assert rows[1]["cost_model_cycles"] == ""
    assert rows[1]["peak_core_bytes"] == "4096"
    assert "\r" not in text


def test_csv_keeps_any_name() -> None:
    names = ["one\rtwo", "a\r\nb", 'c,"d"', " ", "=1+1"]
    one = simulation().operators[0]
    made = simulation(operators=tuple(replace(one, name=name) for name in names))
    text = simulation_csv(simulation_report(made))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["name"] for row in rows] == names
    assert {row["shift_cycles"] for row in rows} == {"120.0"}


def test_names_neither_break_lines_nor_steer_terminals() -> None:
    wild = "a\nb\x1b[31mc\u2028d\u202ee"
    one, two = simulation().operators
    made = simulation(operators=(replace(one, name=wild), two), model=wild)
    for text in (*lines(made), *simulation_markdown(simulation_report(made))):
        assert text.isprintable(), text
    assert line(made, "model") == r"model      a\nb\x1b[31mc\u2028d\u202ee"
    assert len(lines(made)) == len(lines(simulation()))


def test_markdown_is_a_table_of_figures() -> None:
    odd = replace(simulation().operators[0], name="a|b`c")
    shown = simulation_markdown(
        simulation_report(
            simulation(operators=(odd, simulation().operators[1]), model="two_<b>", notes=("*x*",))
        )
    )
    assert shown[0] == r"### two\_\<b\> on ipu-mk2, simulated"
    assert "| latency | **0.0007547 ms** = 1,000 cycles |" in shown
    assert any(text.startswith("| `a/b'c` | matmul | 1 | 600 | 60.0 % |") for text in shown)
    assert r"Note: \*x\*" in shown
    assert r"Note: estimated, not measured: cores.reserved, interconnect.hop\_latency" in shown
    cells = [text.replace(r"\|", "").count("|") for text in shown if text.startswith("|")]
    assert set(cells) == {3, 7}


def test_markdown_of_a_crowded_report() -> None:
    shown = simulation_markdown(simulation_report(crowded()))
    tables = [text for text in shown if text.startswith("|")]
    assert len(tables) == 2 + 8 + 2 + 10
    assert "hardware_overrides" not in "".join(shown)
    assert "torus2d" in "".join(shown)
