"""Metrics, limits and differences of reports, and how they are told."""

import json
from dataclasses import replace

import pytest
from simulations import operator, phase, simulation

from t10c.errors import InvalidInputError, UsageError
from t10c.gates.difference import Difference, ReportSource, diff_reports
from t10c.gates.limits import Limit, Outcome, read_allowance
from t10c.gates.metrics import METRICS, metric_named
from t10c.hardware.load import changed_spec
from t10c.report.difference import difference_document, difference_lines, difference_markdown
from t10c.report.metrics import change_texts, outcome_text
from t10c.report.text import LINE_WIDTH
from t10c.simulate.document import SimulationReport, simulation_report
from t10c.simulate.result import Simulation

CLOCK = 1.325e9


def report(made: Simulation | None = None) -> SimulationReport:
    return simulation_report(made or simulation())


def slower(cycles: float = 100.0, **more: object) -> Simulation:
    """The same whose second operator takes longer."""
    one, two = simulation().operators
    spent = replace(two.breakdown, shift=two.breakdown.shift + cycles)
    return simulation(operators=(one, replace(two, breakdown=spent, **more)))


def difference(before: Simulation, after: Simulation) -> Difference:
    return diff_reports(
        ReportSource("a.json", "plan", report(before)),
        ReportSource("b.json", "report", report(after)),
    )


def outcome(text: str, after: Simulation | None = None) -> Outcome:
    return read_allowance(text, "--fail-on").outcome(report(), report(after))


# Metrics


def test_every_number_of_a_report_is_a_metric() -> None:
    known = report()
    values = {name: metric.of(known) for name, metric in METRICS.items()}
    assert values["latency_cycles"] == 1000.0
    assert values["latency_ms"] == pytest.approx(1000.0 / CLOCK * 1e3)
    assert values["peak_core_bytes"] == 4096
    assert values["utilisation"] == 0.5
    parts = known.breakdown_cycles.as_dict()
    assert {f"{part}_cycles": cycles for part, cycles in parts.items()}.items() <= values.items()
    fixed = {"chip_count", "core_count", "core_bytes", "clock_hz"}
    numbers = {
        name
        for name in SimulationReport.__dataclass_fields__
        if isinstance(getattr(known, name), int | float)
    }
    assert numbers - fixed <= set(METRICS)


def test_a_metric_may_have_a_short_name() -> None:
    assert metric_named("latency", "x").name == "latency_ms"
    with pytest.raises(UsageError, match=r"--x: no metric 'peak_core_byte'; did you mean peak_co"):
        metric_named("peak_core_byte", "--x")
    with pytest.raises(UsageError, match=r"no metric '##'; there are latency, latency_ms, "):
        metric_named("##", "--x")


@pytest.mark.parametrize(
    ("name", "text", "amount"),
    [
        ("latency", "5ms", 5.0),
        ("latency", "50us", 0.05),
        ("latency", "0.25", 0.25),
        ("latency", "1325cycles", 1e-3),
        ("latency_cycles", "100", 100.0),
        ("latency_cycles", "100cycles", 100.0),
        ("latency_cycles", "1us", 1325.0),
        ("peak_core_bytes", "600KiB", 600 * 1024.0),
        ("peak_core_bytes", "7", 7.0),
        ("utilisation", "0.3", 0.3),
        ("achieved_bytes_per_second", "2GB/s", 2e9),
    ],
)
def test_amounts_take_units(name: str, text: str, amount: float) -> None:
    assert metric_named(name, "x").amount(text, CLOCK, plain=True) == pytest.approx(amount)


# Limits of a report


@pytest.mark.parametrize(
    ("name", "bound", "value", "holds"),
    [
        ("latency_cycles", "at most", "1000cycles", True),
        ("latency_cycles", "at most", "999cycles", False),
        ("latency", "at most", "1us", True),
        ("latency", "at most", "0.7us", False),
        ("peak_core_bytes", "at most", "4KiB", True),
        ("peak_core_bytes", "at most", "4095B", False),
        ("utilisation", "at least", "0.5", True),
        ("utilisation", "at least", "0.51", False),
    ],
)
def test_a_limit_holds_up_to_itself(name: str, bound: str, value: str, holds: bool) -> None:
    limit = Limit("--option", metric_named(name, "x"), bound, value)
    limit.check()
    found = limit.outcome(report())
    assert found.holds is holds
    assert outcome_text(found).endswith("holds" if holds else "VIOLATED")
    assert outcome_text(found).startswith(f"--option {value}: ")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("latency", "5", "has no unit; write a duration"),
        ("peak_core_bytes", "4096", "has no unit; write a size"),
        ("latency", "5KiB", "not a duration"),
        ("latency", "fast", "write it like"),
        ("latency", "-5ms", "negative"),
        ("latency", "", "write it like"),
        ("latency", "nan", "write it like"),
        ("peak_core_bytes", "600kb", "allowed units"),
        ("utilisation", "30%", r"write it like 0\.25"),
        ("utilisation", "30", r"more than 1; no share is: write 0\.3 for 30 %"),
    ],
)
def test_values_that_are_none(name: str, value: str, said: str) -> None:
    limit = Limit("--option", metric_named(name, "x"), "at most", value)
    with pytest.raises(UsageError, match=said) as caught:
        limit.check()
    assert str(caught.value).startswith("--option ")


# Limits of a change


@pytest.mark.parametrize(
    ("text", "cycles", "holds"),
    [
        ("latency:+10%", 100.0, True),
        ("latency:+9.99%", 100.0, False),
        ("latency_cycles:+100", 100.0, True),
        ("latency_cycles:+99cycles", 100.0, False),
        ("shift_cycles:+100", 100.0, True),
        ("shift_cycles:+82%", 100.0, False),
        ("compute_cycles:+0", 100.0, True),
        ("utilisation:-0.05", 100.0, True),
        ("utilisation:-9%", 100.0, False),
        ("latency:-5%", -100.0, False),
        ("latency:-5%", 0.0, True),
        ("latency:+0%", 0.0, True),
        (" latency : +10 %", 100.0, True),
        ("offchip_cycles:+50%", 0.0, True),
    ],
)
def test_a_change_is_allowed_up_to_its_limit(text: str, cycles: float, holds: bool) -> None:
    assert outcome(text, slower(cycles)).holds is holds


def test_what_grows_from_nothing_is_more_than_any_percentage() -> None:
    one, two = simulation().operators
    spent = replace(two.breakdown, offchip=1.0)
    after = simulation(operators=(one, replace(two, breakdown=spent)))
    assert not outcome("offchip_cycles:+1000%", after).holds
    assert outcome("offchip_cycles:+1", after).holds


def test_a_violation_names_both_values() -> None:
    found = outcome("peak_core_bytes:+1KiB", slower(0.0, peak_core_bytes=0))
    assert outcome_text(found) == (
        "peak_core_bytes:+1KiB: peak_core_bytes is 4.0 KiB (was 4.0 KiB),"
        " allowed at most 5.0 KiB: holds"
    )
    text = outcome_text(outcome("latency_cycles:+2%", slower()))
    assert text == (
        "latency_cycles:+2%: latency_cycles is 1,100 cycles (was 1,000 cycles),"
        " allowed at most 1,020 cycles: VIOLATED"
    )
    close = outcome_text(outcome("latency_cycles:+0.01%", slower(0.2)))
    assert "is 1000.2 cycles (was 1000 cycles), allowed at most 1000.1 cycles" in close


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency", r"write METRIC:\+N% or METRIC:\+N"),
        ("latency:2%", r"write METRIC:\+N%"),
        ("latency:+", "write METRIC"),
        ("latency:+%", "write METRIC"),
        (":+2%", "write METRIC"),
        ("latency:+-2%", "write METRIC"),
        ("latency:+2%%", "write METRIC"),
        ("latency:+nan%", "write METRIC"),
        ("latency:+2x%", "'2x' is not a number"),
        ("latency:+1e999%", "'1e999' is too large for a percentage"),
        ("latency:+2KiB", "not a duration"),
        ("latncy:+2%", "did you mean latency"),
        ("LATENCY:+2%", r"did you mean latency\?"),
        ("operators:+2%", "no metric"),
    ],
)
def test_changes_that_are_none(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        read_allowance(text, "--fail-on")
    assert str(caught.value).startswith(f"--fail-on {text}: ")


def test_what_one_report_does_not_know_cannot_be_limited() -> None:
    after = simulation(lower_bound_cycles=None)
    with pytest.raises(InvalidInputError, match=r"lower_bound_cycles is not known of the second"):
        outcome("lower_bound_cycles:+2%", after)


# Differences


def test_equal_reports_have_no_difference() -> None:
    found = difference(simulation(), simulation())
    assert (found.changed, found.added, found.removed, found.cautions) == ((), (), (), ())
    assert found.same_count == 2
    assert all(change.before == change.after for change in found.totals)


def test_operators_are_matched_by_name() -> None:
    one, two = simulation().operators
    new = operator("/new/MatMul", 1000.0, phase("compute", 1000.0, 1050.0))
    after = simulation(operators=(replace(one, breakdown=replace(one.breakdown, setup=0.0)), new))
    found = difference(simulation(), after)
    assert [pair.after.name for pair in found.changed] == [one.name]
    assert found.changed[0].change_cycles == -40.0
    assert [o.name for o in found.added] == ["/new/MatMul"]
    assert [o.name for o in found.removed] == [two.name]
    assert found.same_count == 0
    text = "\n".join(difference_lines(found))
    assert "operators  1 changed, 1 added, 1 removed, 0 the same" in text
    assert "added      /new/MatMul (matmul): 50 cycles" in text
    assert "removed    /layers.1/MatMul (conv): 400 cycles" in text


def test_those_that_changed_most_come_first_and_memory_counts() -> None:
    one, two = simulation().operators
    layers = [replace(one, name=f"op{n}") for n in range(20)]
    changed = [
        replace(o, breakdown=replace(o.breakdown, compute=o.breakdown.compute + (-1) ** n * n))
        for n, o in enumerate(layers)
    ]
    changed[0] = replace(changed[0], peak_core_bytes=changed[0].peak_core_bytes + 1)
    found = difference(simulation(operators=(*layers, two)), simulation(operators=(*changed, two)))
    assert [pair.after.name for pair in found.changed] == [f"op{n}" for n in range(19, -1, -1)]
    assert found.same_count == 1
    lines = difference_lines(found)
    assert sum(line.startswith("op1") for line in lines) == 8
    assert max(map(len, lines)) <= LINE_WIDTH


def test_operators_of_one_name_are_matched_in_order() -> None:
    one = simulation().operators[0]
    found = difference(simulation(operators=(one, one)), simulation(operators=(one, one, one)))
    assert (found.same_count, len(found.added)) == (2, 1)


def test_what_cannot_be_compared_is_said() -> None:
    other = changed_spec(simulation().spec, ["cores.sram=1MiB"])
    assert difference(simulation(), simulation(spec=other)).cautions == ("the chips differ",)
    faster = changed_spec(simulation().spec, ["clock=2GHz"])
    (caution,) = difference(simulation(), simulation(spec=faster)).cautions
    assert caution == "the clocks differ: equal cycles are not equal times"
    assert "the models differ" in difference(simulation(), simulation(model="x")).cautions[0]
    lines = difference_lines(difference(simulation(), simulation(model="x")))
    assert any(line.startswith("caution    the models differ") for line in lines)


def test_totals_that_are_not_known_are_dashes() -> None:
    found = difference(simulation(), simulation(lower_bound_cycles=None))
    row = next(t for t in difference_lines(found) if t.startswith("lower_bound_cycles"))
    assert row.split() == ["lower_bound_cycles", "800", "cycles", "-"]
    document = difference_document(found)
    assert document["totals"]["lower_bound_cycles"] == {
        "before": 800.0,
        "after": None,
        "change_percent": None,
    }


def test_changes_as_text() -> None:
    cycles, share = METRICS["latency_cycles"], METRICS["utilisation"]
    assert change_texts(cycles, 1000.0, 1100.0) == ("1,000 cycles", "1,100 cycles", "+10.00 %")
    assert change_texts(cycles, 1000.0, 1000.0)[2] == "same"
    assert change_texts(cycles, 0.0, 5.0)[2] == "new"
    assert change_texts(share, 0.5, 0.25) == ("50.0 %", "25.0 %", "-25.00 points")
    assert change_texts(cycles, 1000.1, 1000.2)[:2] == ("1000.1 cycles", "1000.2 cycles")


def test_documents_have_all_and_limits() -> None:
    limits = [outcome("latency:+2%", slower()), outcome("utilisation:-0.1", slower())]
    document = json.loads(
        json.dumps(difference_document(difference(simulation(), slower()), tuple(limits)))
    )
    assert document["before"]["file"] == "a.json"
    assert document["after"]["kind"] == "report"
    assert document["totals"]["latency_cycles"] == {
        "before": 1000.0,
        "after": 1100.0,
        "change_percent": 10.0,
    }
    (changed,) = document["operators"]["changed"]
    assert changed["latency_cycles"] == {"before": 400.0, "after": 500.0}
    assert changed["breakdown_change_cycles"] == {"shift": 100.0}
    assert [limit["holds"] for limit in document["limits"]] == [False, True]
    assert document["limits"][0]["metric"] == "latency_ms"


def test_markdown_shows_what_is_violated() -> None:
    found = difference(simulation(), slower())
    limits = (outcome("latency:+2%", slower()), outcome("latency:+20%", slower()))
    shown = difference_markdown(found, limits)
    assert sum("VIOLATED" in line for line in shown) == 1
    assert r"**latency:+2%: latency\_ms is" in "\n".join(shown)
    assert "| latency_cycles | 1,000 cycles | 1,100 cycles | +10.00 % |" in shown
    assert any(line.startswith("| `/layers.1/MatMul` | conv | 400 | 500 |") for line in shown)


def test_what_is_long_is_wrapped_and_says_all() -> None:
    """Neither the chip nor the figure that was found may fall to a limit of columns."""
    many = ("cores.sram=1MiB", "interconnect.sync=100cycles", "shift_buffer.policy=double")
    found = difference(simulation(), replace(simulation(), overrides=many, model="m" * 60))
    limits = (outcome("cost_model_cycles:+1000000000cycles"),)
    lines = difference_lines(found, limits)
    assert max(map(len, lines)) <= LINE_WIDTH
    text = " ".join(" ".join(lines).split())
    assert f"on ipu-mk2: 64 cores x 624.0 KiB ({', '.join(many)})" in text
    assert outcome_text(limits[0]) in text
    assert all(line.startswith(" " * 11) for line in lines if line.endswith("holds"))
