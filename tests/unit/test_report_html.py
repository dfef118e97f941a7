"""The HTML page of a simulation, without a browser: structure, data, escaping, size."""

import json
import math
import re
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from planned_simulations import renamed, simulation_of
from simulations import simulation

import t10c
from t10c.errors import UsageError
from t10c.hardware.spec import HardwareSpec
from t10c.report.html import html_report, sections
from t10c.report.html.document import page_document
from t10c.report.html.page import ASSETS
from t10c.report.html.rings import MOST_CORES, ring_picture
from t10c.report.html.roofline import link_bytes_per_cycle, peak_flop_per_cycle
from t10c.report.html.texts import compact, shown
from t10c.search import search_operator
from t10c.search.templates import named_expression
from t10c.simulate.result import Breakdown, Effects, Simulation
from t10c.timing import simulate_plan

HOSTILE = [
    "</script><script>document.title='taken'</script>",
    "<img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "a\"b'c&d<!--",
    "half \ud800 of a pair, \u2028 and \u202e turned \x00",
]


class Page(HTMLParser):
    """Tags with their attributes, and the text of scripts, of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "h1", "title", "style"):
            name = dict(self.tags[-1][1]).get("id") or self.open[-1]
            self.text[name] = self.text.get(name, "") + data

    @property
    def data(self):
        return json.loads(self.text["data"])


@pytest.fixture(scope="module")
def plan() -> t10c.ModelPlan:
    """A perceptron in whose plan operands rotate."""
    model = t10c.build_model("nerf", batch=2, seq=6, overrides={"layers": "3", "hidden": "32"})
    graph = t10c.import_model(model.SerializeToString())
    chip = t10c.load_spec("ipu-mk2", ("cores.count=12", "cores.sram=9KiB"))
    found = t10c.schedule_model(graph, chip)
    assert isinstance(found, t10c.ModelPlan)
    assert any(operator.plan.rotations for operator in found.operators)
    return found


@pytest.fixture(scope="module")
def page(plan) -> Page:
    return Page(html_report(simulate_plan(plan), plan))


def test_the_page_is_well_formed_and_complete(page):
    assert not page.open
    names = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert max(names.values()) == 1
    for _, attributes in page.tags:
        for key in ("aria-labelledby", "for"):
            assert attributes.get(key, next(iter(names))) in names, attributes
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in names
    wanted = {"timeline", "spent", "roofline", "operators", "selected", "planned", "picture"}
    assert wanted <= set(names)


def test_every_control_has_a_name_and_every_table_a_caption_and_heads(page):
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") == tags.count("thead")
    for at, (tag, attributes) in enumerate(page.tags):
        if tag in ("select", "input"):
            assert page.tags[at - 1][0] == "label", attributes
        if tag == "th":
            assert attributes.get("scope") in ("col", "row")
        if attributes.get("class", "").startswith("chart"):
            assert attributes["role"] == "img"
            assert attributes["aria-labelledby"]


def test_nothing_in_the_page_asks_for_a_network(page):
    policies = [a["content"] for t, a in page.tags if "http-equiv" in a]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none';")
    assert "http" not in policies[0]
    for tag, attributes in page.tags:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith(("#", "data:")), tag
    assert "url(" not in page.text["style"]
    assert "@import" not in page.text["style"]


def test_the_data_are_those_of_the_simulation(plan, page):
    found = simulate_plan(plan)
    data = page.data
    assert data["latency"] == pytest.approx(found.latency_cycles, abs=0.1)
    assert data["spent"] == pytest.approx(list(found.breakdown.as_dict().values()), abs=0.1)
    columns = data["sections"]
    assert columns["name"] == [operator.name for operator in found.operators]
    for number, operator in zip(columns["pattern"], found.operators, strict=True):
        pattern = columns["patterns"][number]
        assert sum(pattern["parts"]) == pytest.approx(operator.cycles, abs=1)
        assert len(pattern["phases"]) == len(operator.phases)
        spent = sum(sum(phase[9::2]) for phase in pattern["phases"])
        assert spent == pytest.approx(operator.cycles, abs=2)
        assert all(0 <= p[3] <= p[4] <= operator.cycles + 1 for p in pattern["phases"])
    activities = sum(map(sum, data["activities"].values()))
    assert activities == pytest.approx(found.latency_cycles, abs=2)
    assert data["memory"]["bytes"] == [point.core_bytes for point in found.memory]


def test_summary_says_what_the_figures_are(plan):
    text = html_report(simulate_plan(plan), plan)
    summary = text[text.index("<dl") : text.index("</dl>")]
    for name in ["Latency", "Lower bound", "Cost model", "Utilisation", "Peak memory"]:
        assert f"<dt>{name}</dt>" in summary
    assert "share of the latency that the average core computes" in summary
    assert "set by /layers.0/MatMul" in summary
    assert "All times are simulated, not measured." in text
    assert "Kernel matmul: published formula." in text
    assert all(note in text for note in plan.spec.notes)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_break_out_of_the_page(plan, page, name):
    hostile = renamed(simulate_plan(plan), name)
    text = html_report(hostile, plan)
    text.encode()  # halves of surrogate pairs would not be written
    found = Page(text)
    assert [tag for tag, _ in found.tags if tag == "script"] == ["script"] * 3
    assert not any("onerror" in a or tag == "img" for tag, a in found.tags)
    assert found.text["h1"] == shown(name)
    assert found.data["sections"]["name"] == [shown(f"{name}{i}") for i in range(3)]
    assert "\u2028" not in text.replace("\\u2028", "")
    assert "\u202e" not in text


def test_hostile_expressions_and_phases_stay_data(plan):
    hostile = HOSTILE[0]
    found = simulate_plan(plan)
    phases = tuple(replace(p, text=hostile) for p in found.operators[0].phases)
    first = replace(found.operators[0], phases=phases)
    made = Page(html_report(replace(found, operators=(first, *found.operators[1:])), plan))
    assert hostile in made.data["sections"]["texts"]
    assert [tag for tag, _ in made.tags if tag == "script"] == ["script"] * 3


def test_without_a_plan_one_line_says_what_is_absent(plan):
    found = Page(text := html_report(simulate_plan(plan), None))
    assert found.data["plans"] is None
    assert found.data["cost_parts"] is None
    assert "There is no plan beside the program" in text
    names = {attributes.get("id") for _, attributes in found.tags}
    assert not names & {"planned", "chart-front", "picture", "view"}


def test_on_another_chip_the_plan_says_nothing_of_cost(plan):
    faster = replace(plan.spec, clock_hz=2 * plan.spec.clock_hz)
    data = page_document(simulate_plan(plan, faster), plan)
    assert data["cost"] is data["bound"] is data["cost_parts"] is None
    assert data["plans"] is not None


def test_a_simulation_of_nothing_and_one_by_hand_are_shown():
    nothing = replace(simulation(), operators=(), memory=())
    assert Page(html_report(nothing, None)).data["sections"]["name"] == []
    by_hand = Page(html_report(simulation(), None)).data
    assert by_hand["latency"] == 1000
    assert by_hand["bound"] == 800


def test_same_input_same_bytes(plan):
    assert html_report(simulate_plan(plan), plan) == html_report(simulate_plan(plan), plan)


def test_thousands_of_operators_stay_small(plan):
    many = simulation_of(plan, times=5000 // len(plan.operators) + 1)
    assert len(many.operators) >= 5000
    once = len(html_report(simulation_of(plan), plan))
    data = page_document(many, plan)["sections"]
    assert len(data["patterns"]) == len(plan.operators), "layers that are alike are told once"
    assert len(html_report(many, plan)) - once < 1_000_000


def test_phases_beyond_what_a_page_holds_are_left_out_and_counted(plan, monkeypatch):
    found = simulate_plan(plan)
    longest = max(found.operators, key=lambda operator: operator.cycles)
    monkeypatch.setattr(sections, "MOST_PHASES", len(longest.phases))
    columns = page_document(found, plan)["sections"]
    kept = [i for i, p in enumerate(columns["pattern"]) if "phases" in columns["patterns"][p]]
    assert [found.operators[i].name for i in kept] == [longest.name]
    assert columns["without_phases"] == 2
    assert "2 sections show parts without single phases" in html_report(found, plan)


def test_fronts_beyond_what_a_page_holds_are_left_out(plan, monkeypatch):
    found = simulate_plan(plan)
    longest = max(found.operators, key=lambda operator: operator.cycles)
    problem = next(o.problem for o in plan.operators if o.name == longest.name)
    room = len(plan.problems[problem].front)
    monkeypatch.setattr("t10c.report.html.plans.MOST_FRONT_PLANS", room)
    fronts = [p["front"] for p in page_document(found, plan)["plans"]["problems"]]
    assert [number for number, front in enumerate(fronts) if front is not None] == [problem]


def test_pictures_beyond_what_a_page_holds_are_left_out_and_counted(plan, monkeypatch):
    monkeypatch.setattr("t10c.report.html.plans.MOST_PICTURES", 1)
    plans = page_document(simulate_plan(plan), plan)["plans"]
    assert sum("rings" in chosen for chosen in plans["plans"]) == 1
    assert plans["without_picture"] == len(plans["plans"]) - 1


def test_memory_of_many_points_keeps_the_peak(plan, monkeypatch):
    monkeypatch.setattr("t10c.report.html.document.MOST_POINTS", 3)
    found = simulation_of(plan, times=4)
    memory = page_document(found, plan)["memory"]
    assert len(memory["begin"]) <= 3
    assert memory["merged"] > 1
    assert max(memory["bytes"]) == found.peak_core_bytes


def test_fronts_and_chosen_plans(plan, page):
    plans = page.data["plans"]
    for number, operator in zip(plans["chosen"], plan.operators, strict=True):
        chosen, problem = plans["plans"][number], plan.problems[operator.problem]
        front = plans["problems"][chosen["problem"]]["front"]
        assert [entry[0] for entry in front] == [e.memory_bytes for e in problem.front]
        if chosen["front"] is not None:
            assert problem.front[chosen["front"]].plan == operator.plan
            assert chosen["at"][0] == front[chosen["front"]][0]
            assert chosen["at"][1] == pytest.approx(front[chosen["front"]][1], abs=0.2)
        assert [row[0] for row in chosen["rtensors"]] == [t.name for t in operator.rtensors]
    assert any(p["front"] is not None for p in plans["plans"])


def operators_with_rings() -> list[tuple[str, dict[str, int], HardwareSpec]]:
    chip = t10c.load_spec("ipu-mk2", ("cores.count=24", "cores.sram=64KiB"))
    large = t10c.load_spec("ipu-mk2", ("cores.sram=64KiB",))
    return [
        ("matmul", {"m": 24, "n": 24, "k": 24}, chip),
        ("bmm", {"b": 3, "m": 12, "n": 12, "k": 12}, chip),
        ("conv", {"b": 2, "o": 8, "c": 4, "h": 6, "w": 6, "kh": 3, "kw": 3, "stride": 1}, chip),
        ("matmul", {"m": 512, "n": 512, "k": 512}, large),
    ]


@pytest.mark.parametrize(("name", "lengths", "chip"), operators_with_rings())
def test_rings_hand_on_the_next_chunk_and_nothing_else(name, lengths, chip):
    expression = named_expression(name, lengths)
    turned = 0
    for entry in search_operator(expression, chip).front:
        picture = ring_picture(expression, entry.plan)
        for view in picture["views"]:
            assert len(view["cores"]) == len(set(view["cores"])) <= MOST_CORES
            radix = view.get("radix", 1)
            whole = len(view["cores"]) % radix == 0
            # every operand's rotations follow the blocks, in loop order
            rotations = [r for r in entry.plan.rotations if view["operand"] in r.operands]
            columns = [i for i, text in enumerate(view["of"]) if " chunk of " in text]
            assert len(columns) == len(rotations)
            for at in range(len(view["cores"])):
                step = at % radix
                if radix == 1 or (step == radix - 1 and not whole) or at + 1 == len(view["cores"]):
                    continue
                following = at + 1 if step < radix - 1 else at - step
                here = view["pieces"][view["held"][at]]
                there = view["pieces"][view["held"][following]]
                differing = [i for i in range(len(here)) if here[i] != there[i]]
                assert len(differing) == 1
                assert differing[0] in columns
                assert there[differing[0]] == (here[differing[0]] + 1) % radix
                turned += 1
    assert turned > 10


def test_no_operator_is_above_its_roof(plan):
    found = simulate_plan(plan)
    for operator in found.operators:
        peak = peak_flop_per_cycle(found.spec, operator.kernel)
        assert peak is not None
        assert operator.flop / operator.cycles < peak
        assert operator.moved_bytes / operator.cycles <= link_bytes_per_cycle(found.spec) * 1.001


def test_roofs_of_a_chip():
    chip = t10c.load_spec("ipu-mk2")
    published = 2 * 64 * chip.core_count  # 64 multiply-accumulates per cycle and core
    peak = peak_flop_per_cycle(chip, "matmul")
    assert peak is not None
    assert 0.9 * published < peak <= published
    assert link_bytes_per_cycle(chip) == pytest.approx(chip.core_count / 0.28)
    families = ["matmul", "conv", "pool", "pointwise", "rowwise", "reduce", "gather"]
    assert all(peak_flop_per_cycle(chip, name) for name in families)
    assert peak_flop_per_cycle(chip, "fallback") is None


@pytest.mark.parametrize("module", ["jinja2", "plotly.offline"])
def test_what_is_not_installed_is_named_with_its_remedy(plan, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=r"pip install 't10c\[report\]'") as error:
        html_report(simulation_of(plan), plan)
    assert module.partition(".")[0] in str(error.value)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_of_two_known_colours():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("sheet", ["page.css", "dark.css"])
def test_colours_can_be_told_from_what_is_behind(sheet):
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", (ASSETS / sheet).read_text()))
    back = colours["back"]
    texts = ["text", "quiet", "accent", "warn", "matmul", "conv", "pool", "pointwise", "reduce"]
    for name in [*texts, "gather", "rowwise", "fallback", "other", "work", "move"]:
        assert contrast(colours[name], back) >= 4.5, name
    for name in ["edge", "focus", "wait", "sync"]:
        assert contrast(colours[name], back) >= 3, name
    assert contrast(colours["quiet"], colours["raised"]) >= 4.5
    for piece in range(8):
        assert contrast(colours["text"], colours[f"p{piece}"]) >= 4.5, piece


def test_both_sheets_have_the_same_colours():
    names = [
        set(re.findall(r"--([\w-]+): #", (ASSETS / sheet).read_text()))
        for sheet in ("page.css", "dark.css")
    ]
    assert names[0] == names[1]


def test_the_scripts_know_all_parts_effects_and_kernels():
    script = (ASSETS / "state.js").read_text()
    for effect in Effects().as_dict():
        assert re.search(rf"^  {effect}: \"", script, re.M), effect
    assert {"compute", "idle"} < set(Breakdown().as_dict())


@pytest.mark.parametrize(
    ("value", "short"), [(0.04, 0), (1.26, 1.3), (1234567.0, 1234567), (-2.96, -3), (0, 0)]
)
def test_numbers_are_told_briefly(value, short):
    told = compact(value)
    assert told == pytest.approx(short)
    assert isinstance(told, int) == (told == math.floor(told))


def test_the_helper_makes_time_lines_that_add_up(plan):
    made: Simulation = simulation_of(plan, times=2)
    for operator in made.operators:
        total = sum((phase.breakdown for phase in operator.phases), Breakdown())
        assert total.total == pytest.approx(operator.cycles)
        assert max(phase.end_cycles for phase in operator.phases) <= operator.end_cycles + 1e-6
    assert made.latency_cycles == pytest.approx(2 * plan.latency_cycles)
