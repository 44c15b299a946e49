"""What a visitor does and reads on any tab. Every step waits for what it needs, never for a time."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect


def open_tab(page: Page, name: str) -> None:
    """Opens a tab; all of them are in sight, also on a phone."""
    tabs = page.locator(".rooms > .tab-wrapper > .tab-container:not(.visually-hidden)")
    tabs.get_by_role("tab", name=name, exact=True).click()
    expect(page.locator(".rooms [role=tab][aria-selected=true]").first).to_have_text(name)


def sentence(page: Page) -> str:
    """What the page complained of: one plain sentence, which is closed again."""
    # Read in one step, because the box goes by itself after a while.
    text = page.wait_for_function("""() => {
      const boxes = document.querySelectorAll('.toast-body');
      return boxes.length === 1 && boxes[0].innerText.trim();
    }""").json_value()
    page.evaluate("document.querySelector('.toast-close')?.click()")
    expect(page.locator(".toast-body")).to_have_count(0)
    said = text.splitlines()[-1].strip()  # below the title and the cross
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
