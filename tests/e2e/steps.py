"""What a visitor does and reads on any tab. Every step waits for what it needs, never for a time."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

REMEMBER = """() => {
  window.complaints = [];
  window.spoken = [];
  new MutationObserver(() => {
    for (const box of document.querySelectorAll('.toast-body:not([data-remembered])')) {
      box.dataset.remembered = '';
      complaints.push(box);
    }
    const words = document.querySelector('.spoken-errors')?.textContent;
    if (words && words !== spoken.at(-1)) spoken.push(words);
  }).observe(document, {childList: true, subtree: true});
}"""
"""JavaScript for a page that is being opened: keeps the boxes that come and go, and what is read out of them."""


def open_tab(page: Page, name: str) -> None:
    """Opens a tab; all of them are in sight, also on a phone."""
    tabs = page.locator(".rooms > .tab-wrapper > .tab-container:not(.visually-hidden)")
    tabs.get_by_role("tab", name=name, exact=True).click()
    expect(page.locator(".rooms [role=tab][aria-selected=true]").first).to_have_text(name)


def sentence(page: Page) -> str:
    """What the page complained of: one plain sentence, which is closed again."""
    # The box goes by itself after a while, and may have gone: the page keeps it for us.
    said = page.wait_for_function("""() => complaints.length === 1
      && complaints[0].querySelector('[data-testid=toast-text]')?.textContent.trim()""").json_value()
    page.evaluate("complaints.pop().querySelector('.toast-close').click()")
    expect(page.locator(".toast-body")).to_have_count(0)
    assert re.search(r"[.!]$", said), said
    assert "Traceback" not in said
    assert "Something went wrong" not in said
    return said


def expect_no_sideways_scrolling(page: Page) -> None:
    """Figures take the width of their place in a step after their first."""
    page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")


def expect_figure_without_background(page: Page, place: str) -> None:
    """A plotly figure inside `place` shows the page behind it, light or dark."""
    drawing = page.locator(f"{place} .main-svg").first
    expect(drawing).to_be_visible()
    background = drawing.evaluate("node => getComputedStyle(node).backgroundColor")
    assert background in ("rgba(0, 0, 0, 0)", "transparent")
