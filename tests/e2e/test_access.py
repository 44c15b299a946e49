"""axe-core finds nothing on any tab, light and dark, on a desktop and on a phone; the keyboard reaches everything."""

from __future__ import annotations

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import expect

from tests.e2e.steps import expect_no_sideways_scrolling

TABS = ("score", "iqarag", "llm_iqa", "visualquality_r1", "leaf", "q_debias", "compare", "leaderboard", "api", "about")

RUN = """(rules) => axe.run(document, {resultTypes: ['violations'], ...rules}).then((done) => done.violations.flatMap(
  (one) => one.nodes.map((node) => `${one.id}: ${node.target.join(' ')} ${node.html.slice(0, 160)}`)))"""


def select(page, name: str) -> None:
    """Opens a tab by its id, wherever a narrow page keeps it."""
    button = page.locator(f".rooms [role=tab][data-tab-id={name}]").first
    button.evaluate("node => node.click()")
    expect(button).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("tab", TABS)
def test_axe_finds_nothing(open_page, size, tab):
    page = open_page(size=size)
    page.emulate_media(reduced_motion="reduce")  # a colour on its way to another one is neither
    select(page, tab)
    if tab == "leaderboard":
        page.locator("#leaderboard-figure .main-svg").first.wait_for()
    # Names are given a moment after something is drawn.
    page.wait_for_function("() => !document.querySelector('.examples button.gallery-item:not([aria-label])')")
    page.evaluate(AXE_SCRIPT)
    faults = [f"light, {fault}" for fault in page.evaluate(RUN, {})]
    page.evaluate("document.body.classList.add('dark')")
    # Only the colours differ.
    faults += [f"dark, {fault}" for fault in page.evaluate(RUN, {"runOnly": ["color-contrast"]})]
    assert not faults, "\n".join(faults)


def test_the_photo_is_at_most_eight_stops_away_and_every_stop_is_visible(open_page):
    page = open_page()
    page.wait_for_function("document.querySelectorAll('.rooms [role=tab][tabindex=\"0\"]').length > 0")
    for stop in range(1, 9):
        page.keyboard.press("Tab")
        inside, outline = page.evaluate("""() => {
          const node = document.activeElement;
          return [!!node.closest('#score-picture'), getComputedStyle(node).outlineStyle];
        }""")
        assert outline != "none", f"stop {stop} does not show its focus"
        if inside:
            return
    pytest.fail("eight stops and no photo")


def test_arrow_keys_move_between_the_tabs(open_page):
    page = open_page()
    page.wait_for_function("document.querySelectorAll('.rooms [role=tab][tabindex=\"0\"]').length > 0")
    page.locator(".rooms [role=tab][aria-selected=true]").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".rooms [role=tab][data-tab-id=iqarag]").first).to_have_attribute("aria-selected", "true")
    assert page.evaluate("document.activeElement.dataset.tabId") == "iqarag"
    page.keyboard.press("Home")
    expect(page.locator(".rooms [role=tab][data-tab-id=score]").first).to_have_attribute("aria-selected", "true")


def test_a_figure_says_what_it_draws_and_motion_follows_the_reader(open_page):
    page = open_page()
    select(page, "leaderboard")
    page.locator("#leaderboard-figure .js-plotly-plot[role=figure]").wait_for()
    text = page.locator("#leaderboard-figure .js-plotly-plot").get_attribute("aria-label")
    assert "SRCC" in text
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate("""() => [...document.querySelectorAll('button')].every(
      (node) => getComputedStyle(node).transitionDuration.split(', ').every((one) => one === '0s'))""")


def test_a_slider_answers_to_the_keyboard(open_page):
    page = open_page()
    select(page, "llm_iqa")
    page.locator(".examples:visible button.gallery-item").first.click()
    number = page.locator("#llm-iqa-lambda input[type=number]")
    number.fill("3")
    with page.expect_request("**/queue/join*") as asked:
        number.press("Enter")
    assert 3 in asked.value.post_data_json["data"]
    with page.expect_request("**/queue/join*") as asked:
        page.locator("#llm-iqa-lambda input[type=range]").press("ArrowLeft")
    assert 2.9 in asked.value.post_data_json["data"]


def test_every_tab_is_in_sight_on_a_phone(open_page):
    page = open_page(size="phone")
    tabs = page.locator(".rooms > .tab-wrapper > .tab-container:not(.visually-hidden) [role=tab]")
    expect(tabs).to_have_count(len(TABS))
    assert tuple(tab.get_attribute("data-tab-id") for tab in tabs.all()) == TABS
    for tab in tabs.all():
        box = tab.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.viewport_size["width"]
    expect_no_sideways_scrolling(page)
