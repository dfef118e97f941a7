"""The HTML page of a simulation in a real browser: it opens, answers, and asks for nothing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from browser_support import Browser
from planned_simulations import renamed, simulation_of
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

import t10c
from t10c.report.html import html_report
from t10c.timing import simulate_plan

HOSTILE = (
    "</script><img src=x onerror=\"document.title='taken'\"><a href='http://a.test/'>%{x}&amp;"
)
RANGE = "return document.getElementById('chart-timeline')._fullLayout.xaxis.range"
BARS = """
    return document.getElementById('chart-timeline').data
        .filter(t => t.type === 'bar').reduce((n, t) => n + t.x.length, 0)"""
FRONT = "return document.getElementById('chart-front').data[0].y.join()"
HELD = "return [...document.querySelectorAll('.cell-piece')].map(t => t.textContent).join()"


@pytest.fixture(scope="session")
def plan() -> t10c.ModelPlan:
    """A small perceptron, in whose first operator pieces pass round rings of three cores."""
    model = t10c.build_model("nerf", batch=2, seq=6, overrides={"layers": "3", "hidden": "48"})
    graph = t10c.import_model(model.SerializeToString())
    chip = t10c.load_spec("ipu-mk2", ("cores.count=18", "cores.sram=9KiB"))
    found = t10c.schedule_model(graph, chip)
    assert isinstance(found, t10c.ModelPlan)
    return found


@pytest.fixture(scope="session")
def places(plan, tmp_path_factory) -> dict[str, Path]:
    """Reports: of a small model, a large one, one of hostile names, and of a program alone."""
    place = tmp_path_factory.mktemp("reports")
    found = simulate_plan(plan)
    pages = {
        "small": html_report(found, plan),
        "large": html_report(simulation_of(plan, times=1700), plan),
        "hostile": html_report(renamed(found, HOSTILE), plan),
        "bare": html_report(found, None),
        "empty": html_report(replace(found, operators=(), memory=()), None),
    }
    for name, page in pages.items():
        (place / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: place / f"{name}.html" for name in pages}


def width_of(browser: Browser) -> float:
    low, high = browser.run(RANGE)
    return high - low


@pytest.mark.parametrize("name", ["small", "large", "hostile", "bare", "empty"])
def test_a_page_opens_without_complaint_and_asks_for_nothing(browser, places, name):
    browser.open(places[name])
    for button in browser.all("#zoom-in, #zoom-right, #zoom-all"):
        if button.is_enabled():
            button.click()
    assert browser.complaints() == []
    assert browser.requests() == []
    assert not browser.find("failure").is_displayed()


def test_a_request_or_an_error_would_be_seen(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<img src='http://127.0.0.1:9/x.png'><script>nothing.here()</script>")
    browser.driver.get(page.as_uri())
    browser.wait_for("return document.readyState === 'complete'")
    assert any("nothing is not defined" in text for text in browser.complaints())
    assert browser.requests() == ["http://127.0.0.1:9/x.png"]


def test_the_policy_of_the_page_stops_requests(browser, places):
    browser.open(places["small"])
    browser.run("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/'}))")
    browser.run("fetch('http://127.0.0.1:9/').catch(() => document.body.dataset.refused = '')")
    browser.wait_for("return 'refused' in document.body.dataset")
    assert sum("Content Security Policy" in text for text in browser.complaints()) >= 2


def test_names_are_texts_wherever_they_appear(browser, places):
    browser.open(places["hostile"])
    assert browser.driver.title.startswith("</script><img")
    assert browser.text("selection").startswith("1 of 3: </script><img")
    assert browser.all("img, #chart-timeline a, #chart-roofline a, table a") == []
    assert browser.text("operator").count("</script><img") == 3
    drawn = browser.run("return document.getElementById('chart-timeline').textContent")
    assert "&amp;0" in drawn, "the end of a name is written in its bar"
    browser.find("search").send_keys("<IMG")
    assert "Rows 1 to 3 of 3" in browser.text("found")


def test_the_time_line_zooms_by_buttons(browser, places):
    browser.open(places["small"])
    everything = width_of(browser)
    browser.find("zoom-in").click()
    assert width_of(browser) == pytest.approx(everything / 2)
    browser.find("zoom-left").click()
    assert browser.run(RANGE)[0] == pytest.approx(0)
    browser.find("zoom-out").click()
    assert width_of(browser) == pytest.approx(everything)
    browser.find("zoom-selected").click()
    assert width_of(browser) < everything * 0.6
    assert "cycles:" in browser.text("range")
    browser.find("zoom-all").click()
    assert width_of(browser) == pytest.approx(everything)
    assert not browser.find("zoom-all").is_enabled()


def test_the_time_line_zooms_by_dragging_and_back_by_a_double_click(browser, places):
    browser.open(places["small"])
    everything = width_of(browser)
    area = browser.all("#chart-timeline .nsewdrag")[1]
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", area)
    ActionChains(browser.driver).move_to_element_with_offset(area, -100, 0).click_and_hold(
    ).move_by_offset(60, 0).move_by_offset(140, 0).release().perform()  # fmt: skip
    browser.wait_for(RANGE + f"[1] < {everything * 0.9}")
    assert width_of(browser) < everything / 3
    area = browser.all("#chart-timeline .nsewdrag")[1]
    ActionChains(browser.driver).move_to_element(area).double_click().perform()
    browser.wait_for(RANGE + f"[1] > {everything * 0.99}")


def test_operators_too_short_to_be_seen_are_merged_until_zoomed_in(browser, places):
    browser.open(places["large"])
    shown = browser.run(BARS)
    assert shown < 1500
    assert "5,100 sections" in browser.text("caption-timeline")
    everything = width_of(browser)
    for _ in range(9):
        browser.find("zoom-in").click()
    assert width_of(browser) == pytest.approx(everything / 2**9)
    singles = browser.run(
        "return document.getElementById('chart-timeline').data"
        ".filter(t => t.type === 'bar').flatMap(t => t.width)"
    )
    assert all(height == 1 for height in singles), "every operator has a bar of its own now"
    assert browser.run("return document.querySelectorAll('*').length") < 30_000


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_bar_of_the_time_line_tells_and_selects_its_operator(browser, places, plan, number):
    browser.open(places["small"])
    browser.choose("operator", str((number + 1) % 3))
    bar = browser.all("#chart-timeline .bars .point path")[number]
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", bar)
    ActionChains(browser.driver).move_to_element(bar).pause(0.1).move_by_offset(3, 2).perform()
    browser.wait_for("return document.querySelector('#chart-timeline .hovertext') !== null")
    told = browser.all("#chart-timeline .hovertext")
    assert len(told) == 1
    assert told[0].text.startswith(plan.operators[number].name)
    ActionChains(browser.driver).click().perform()
    wanted = f"{number + 1} of 3"
    browser.wait_for(
        f"return document.getElementById('selection').textContent.startsWith('{wanted}')"
    )


def test_the_lanes_tell_the_parts_of_an_interval(browser, places):
    browser.open(places["small"])
    lanes = browser.all("#chart-timeline .nsewdrag")[1]
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", lanes)
    ActionChains(browser.driver).move_to_element_with_offset(lanes, 40, -60).pause(
        0.1
    ).move_by_offset(3, 2).perform()
    browser.wait_for("return document.querySelector('#chart-timeline .hovertext') !== null")
    (told,) = browser.all("#chart-timeline .hovertext")
    shares = [float(number) for number in re.findall(r"([\d.]+) %", told.text)]
    assert sum(shares) == pytest.approx(100, abs=0.5)


def test_search_filters_the_table_and_heads_sort_it(browser, places):
    browser.open(places["large"])
    assert "of 5,100." in browser.text("found")
    assert len(browser.all("#table-rows tr")) == 25
    browser.find("search").send_keys("layers.1")
    assert "of 1,700, found among 5,100" in browser.text("found")
    assert all("layers.1" in row.text for row in browser.all("#table-rows tr"))
    browser.find("search").send_keys(" zebra")
    assert browser.text("found") == "Nothing found among 5,100 sections."
    browser.find("search").clear()
    browser.find("search").send_keys("matmul")
    browser.choose("rows", "100")
    assert len(browser.all("#table-rows tr")) == 100
    order = {head.text.strip(" ▲▼"): head for head in browser.all("#table-head th")}
    order["Order"].find_element("tag name", "button").click()
    assert order["Order"].get_attribute("aria-sort") == "ascending"
    assert order["Cycles"].get_attribute("aria-sort") is None
    assert browser.all("#table-rows tr td:last-child")[99].text == "100"
    order["Order"].find_element("tag name", "button").click()
    assert browser.all("#table-rows tr td:last-child")[0].text == "5,100"
    browser.find("page-on").click()
    assert browser.all("#table-rows tr td:last-child")[0].text == "5,000"


def test_selecting_an_operator_changes_its_front_and_its_picture(browser, places):
    browser.open(places["small"])
    browser.choose("operator", "0")
    front, held, facts = browser.run(FRONT), browser.run(HELD), browser.text("facts")
    browser.choose("operator", "1")
    assert browser.run(FRONT) != front
    assert browser.text("facts") != facts
    pictures = {held, browser.run(HELD)}
    browser.find("operator-on").click()
    pictures.add(browser.run(HELD))
    assert len(pictures) > 1
    assert browser.text("selection").startswith("3 of 3")
    assert not browser.find("operator-on").is_enabled()


def test_another_operand_and_a_shift_change_the_picture(browser, places):
    browser.open(places["small"])
    browser.choose("operator", "0")
    first, caption = browser.run(HELD), browser.text("caption-picture")
    assert "18 of 18 cores are drawn, 6 whole rings" in caption
    browser.find("shifts").send_keys(Keys.ARROW_UP)
    moved = browser.run(HELD)
    rings = [first.split(",")[at : at + 3] for at in range(0, 18, 3)]
    assert len({*rings[0]}) == 3
    assert moved == ",".join(",".join((*ring[1:], ring[0])) for ring in rings)
    assert "after 1 shift" in browser.text("caption-picture")
    options = [option.text for option in browser.all("#view option")]
    assert "A: rings of 3 along m1" in options
    browser.choose("view", str(options.index("B: does not rotate")))
    assert "B stays where it is" in browser.text("caption-picture")
    assert not browser.find("shifts").is_enabled()
    assert browser.run("return document.querySelectorAll('#core-rows tr').length") == 18


FOCUS = """
    const e = document.activeElement, r = e.getBoundingClientRect();
    const name = e.id || e.textContent.trim().slice(0, 40);
    return [name, getComputedStyle(e).outlineStyle, r.width, r.left]"""
REACHABLE = """
    return [...document.querySelectorAll('a[href], button, select, input, summary, [tabindex="0"]')]
        .filter(e => !e.disabled && e.checkVisibility({contentVisibilityAuto: true}))
        .map(e => e.id || e.textContent.trim().slice(0, 40))"""


def test_everything_is_reached_by_keyboard_in_order_and_visibly(browser, places):
    browser.open(places["small"])
    wanted = browser.run(REACHABLE)
    assert len(wanted) > 40
    reached = []
    for _ in wanted:
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        name, outline, width, left = browser.run(FOCUS)
        reached.append(name)
        assert outline != "none", f"{name} does not show that it has the focus"
        assert width > 0
        assert left > -1
    assert reached == wanted


def test_the_skip_link_and_the_names_of_the_table_work_by_keyboard(browser, places):
    browser.open(places["small"])
    ActionChains(browser.driver).send_keys(Keys.TAB).perform()
    assert browser.run(FOCUS)[0] == "Skip to the report"
    ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
    assert browser.run("return document.activeElement.id") == "main"
    names = browser.all("#table-rows th button")
    browser.run("arguments[0].focus()", names[2])
    chosen = names[2].text
    ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
    assert browser.text("selection").endswith(chosen)
    assert browser.run("return document.activeElement.id") == "selected-title"


COLOURS = """
    const c = e => getComputedStyle(e);
    return [c(document.body).backgroundColor, c(document.body).color,
        c(document.querySelector('#chart-spent text')).fill,
        c(document.querySelector('#chart-timeline .bars path')).fill]"""


def test_dark_colours_follow_the_system_and_the_switch(browser, places):
    browser.open(places["small"])
    light = browser.run(COLOURS)
    browser.choose("theme", "dark")
    dark = browser.run(COLOURS)
    assert all(one != other for one, other in zip(light, dark, strict=True))
    browser.choose("theme", "")
    browser.wait_for_answer(COLOURS, light)
    browser.colours("dark")
    browser.wait_for_answer(COLOURS, dark)
    browser.choose("theme", "light")
    browser.wait_for_answer(COLOURS, light)
    browser.open(places["small"])
    assert browser.run(COLOURS) == dark


@pytest.mark.parametrize("name", ["small", "large", "hostile", "bare", "empty"])
@pytest.mark.parametrize("width", [320, 360, 768])
def test_a_narrow_screen_does_not_scroll_sideways(browser, places, name, width):
    browser.screen(width, 700)
    browser.open(places[name])
    for closed in browser.all("summary"):
        if closed.is_displayed():
            browser.run("arguments[0].click()", closed)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    charts = browser.all(".chart")
    assert all(chart.size["width"] <= width for chart in charts)


def test_charts_follow_the_size_of_the_window(browser, places):
    browser.open(places["small"])
    browser.screen(500, 800)
    browser.wait_for("return document.querySelector('#chart-spent svg').clientWidth < 500")
    browser.wait_for("return document.querySelector('#chart-timeline svg').clientWidth < 500")
    assert browser.run("return document.documentElement.scrollWidth") <= 500


def test_without_a_plan_its_parts_are_absent(browser, places):
    browser.open(places["bare"])
    assert browser.all("#planned, #chart-front") == []
    assert "There is no plan beside the program" in browser.find("main").text
    browser.find("operator-on").click()
    assert browser.complaints() == []
