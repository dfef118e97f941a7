"""The HTML page of a sweep in a real browser: fronts, heat map and table answer."""

from pathlib import Path

import pytest
from sweep_tables import AXES, made_table

from t10c.report.html import sweep_page

HOSTILE = (
    "</script><img src=x onerror=\"document.title='taken'\"><a href='http://a.test/'>%{x}&amp;"
)
MARKS = """
    return document.getElementById('chart-fronts').data
        .filter(t => t.mode === 'markers').map(t => t.x.length)"""
LINE = "return document.getElementById('chart-fronts').data.at(-1).x"
HEAT = "return document.getElementById('chart-heat').data[0]"


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("sweeps")
    tables = {
        "full": made_table(simulated=True),
        "hostile": made_table((HOSTILE,)),
        "flat": made_table(("one",), AXES[1:2]),
        "single": made_table(("one",), ()),
    }
    for name, table in tables.items():
        (place / f"{name}.html").write_text(sweep_page(table), encoding="utf-8")
    return {name: place / f"{name}.html" for name in tables}


@pytest.mark.parametrize("name", ["full", "hostile", "flat", "single"])
@pytest.mark.parametrize("width", [320, 1280])
def test_a_page_opens_without_complaint_and_asks_for_nothing(browser, pages, name, width):
    browser.screen(width, 800)
    browser.open(pages[name])
    for closed in browser.all("summary"):
        if closed.is_displayed():
            browser.run("arguments[0].click()", closed)
    assert browser.complaints() == []
    assert browser.requests() == []
    assert not browser.find("failure").is_displayed()
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.find("heat-none").is_displayed() == (name in ("flat", "single"))
    assert browser.all("img, table a, .chart a") == []


def test_fronts_are_of_the_chosen_model_and_marks_tell_an_override(browser, pages):
    browser.open(pages["full"])
    assert browser.run(MARKS) == [6, 6, 6]
    assert browser.run(LINE) == [64, 256, 1024]
    assert "18 of 24 points of one fit" in browser.text("caption-fronts")
    browser.choose("front-by", "link_bandwidth")
    assert browser.run(MARKS) == [9, 9]
    assert [item.text for item in browser.all("#legend-fronts li")] == [
        *("link bandwidth 5GB/s", "link bandwidth 10GB/s")
    ]
    before = browser.run("return document.getElementById('chart-fronts').data.at(-1).y")
    browser.choose("front-model", "two")
    after = browser.run("return document.getElementById('chart-fronts').data.at(-1).y")
    assert after == pytest.approx([2 * value for value in before], rel=1e-5)


def test_a_heat_map_has_two_overrides_and_the_best_of_the_others(browser, pages):
    browser.open(pages["full"])
    heat = browser.run(HEAT)
    assert (heat["x"], heat["y"]) == (["32", "64", "128"], list(AXES[1].values))
    assert heat["z"][0] == [None] * 3, "16 KiB fit nothing"
    assert heat["z"][3] == pytest.approx([2 / (1 + 4 + at) for at in range(3)])
    browser.choose("heat-link_bandwidth", "5GB/s")
    assert browser.run(HEAT)["z"][3] == pytest.approx([2 / (1 + 3 + at) for at in range(3)])
    browser.choose("heat-figure", "gap")
    assert browser.run(HEAT)["z"][3] == [0.25] * 3
    browser.choose("heat-x", "sram")
    assert browser.run(HEAT)["y"] != browser.run(HEAT)["x"]
    assert browser.complaints() == []


def test_the_table_is_searched_and_sorted(browser, pages):
    browser.open(pages["full"])
    assert browser.text("found") == "Rows 1 to 25 of 48."
    browser.find("search").send_keys("two 128 5gb")
    assert browser.text("found") == "Rows 1 to 4 of 4."
    head = next(head for head in browser.all("#table-head th") if head.text == "latency ms")
    head.find_element("tag name", "button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [row.text.split()[3] for row in browser.all("#table-rows tr")] == [
        *("1MiB", "256KiB", "64KiB", "16KiB")
    ]


def test_dark_colours_redraw_the_charts(browser, pages):
    browser.open(pages["full"])
    colours = "return [...arguments[0].querySelectorAll('.points path')].map(p => p.style.fill)[0]"
    chart = browser.find("chart-fronts")
    light = browser.run(colours, chart)
    browser.choose("theme", "dark")
    assert browser.run(colours, chart) != light
