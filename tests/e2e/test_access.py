"""axe-core finds nothing on any tab, light on a desktop and dark on a phone, whose first screen holds what a tab of a
method is for; the keyboard reaches everything."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from app import TABS
from tests.e2e.access import NAMED, faults
from tests.e2e.steps import expect_no_sideways_scrolling

FIRST_SCREEN = """(name) => [
  `#${name}-picture`, name === 'score' ? '#score-all' : `#${name}-run`, '.result-dial svg'].every((place) =>
    [...document.querySelectorAll(place)].some((node) =>
      node.checkVisibility() && node.getBoundingClientRect().bottom + scrollY <= innerHeight))"""
"""Photo, button and dial of a method's tab."""


def select(page, name: str) -> None:
    page.locator(f".rooms [role=tab][data-tab-id={name}]:visible").first.click()
    expect(page.locator(f".rooms [role=tab][data-tab-id={name}]:visible").first).to_have_attribute(
        "aria-selected", "true")


# Contrast is a matter of the theme, all the rest one of the size.
@pytest.mark.parametrize(("theme", "size"), [("light", "desktop"), ("dark", "phone")])
def test_axe_finds_nothing_on_any_tab(open_page, theme, size):
    page = open_page(theme, size)
    every = []
    for tab in TABS:
        select(page, tab)
        if tab == "leaderboard":
            page.locator("#leaderboard-figure .main-svg").first.wait_for()
        every += [f"{tab}: {fault}" for fault in faults(page, themes=(theme,))]
        expect_no_sideways_scrolling(page)
        if size == "phone" and tab not in ("compare", "leaderboard", "api", "about"):
            page.wait_for_function(FIRST_SCREEN, arg=tab.replace("_", "-"))
    assert not every, "\n".join(every)


def test_the_place_of_a_figure_has_a_role_before_it_is_drawn(open_page):
    role = open_page().evaluate("""async () => {
      const outer = document.createElement('div');
      outer.innerHTML = '<p><i class="empty" aria-label="Empty value"></i></p>';
      document.querySelector('main').append(outer);
      await null;
      return outer.querySelector('i').role;
    }""")
    assert role == "img"


def test_the_keyboard_reaches_everything(open_page):
    page = open_page()
    page.wait_for_function(NAMED)
    stops = []
    for _ in range(12):
        page.keyboard.press("Tab")
        inside, outline = page.evaluate("""() => {
          const node = document.activeElement;
          return [!!node.closest('#score-picture'), getComputedStyle(node).outlineStyle];
        }""")
        stops.append(inside)
        assert outline != "none", f"stop {len(stops)} does not show its focus"
    assert True in stops[:8], "the photo is more than eight stops away"

    # Arrow keys move between the tabs.
    page.locator(".rooms [role=tab][data-tab-id=score]:visible").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".rooms [role=tab][data-tab-id=iqarag]:visible").first).to_have_attribute(
        "aria-selected", "true")
    assert page.evaluate("document.activeElement.dataset.tabId") == "iqarag"
    page.keyboard.press("ArrowRight")

    # A slider answers to its number and to the keys on its bar.
    page.locator(".examples:visible button.gallery-item").first.click()
    number = page.locator("#llm-iqa-lambda input[type=number]")
    number.fill("3")
    with page.expect_request("**/queue/join*") as asked:
        number.press("Enter")
    assert 3 in asked.value.post_data_json["data"]
    # Leaving the number may tell of it once more, before the key does.
    with page.expect_request(lambda request: "/queue/join" in request.url and 2.9 in request.post_data_json["data"]):
        page.locator("#llm-iqa-lambda input[type=range]").press("ArrowLeft")

    # A figure says what it draws, and motion follows the reader's setting.
    select(page, "leaderboard")
    plot = page.locator("#leaderboard-figure .js-plotly-plot[role=figure]")
    plot.wait_for()
    assert "SRCC" in plot.get_attribute("aria-label")
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate("""() => [...document.querySelectorAll('button')].every(
      (node) => getComputedStyle(node).transitionDuration.split(', ').every((one) => one === '0s'))""")
