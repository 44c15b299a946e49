"""What axe-core says of a page."""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# Names and stops are given a moment after something is drawn.
NAMED = """() => !document.querySelector('.examples button.gallery-item:not([aria-label])')
  && !document.querySelector('.image-container > button:not([aria-label])')
  && !document.querySelector('button.icon-button:not([hidden]) button.upload-container')
  && !document.querySelector('.empty[aria-label]:not([role])')
  && !document.querySelector('a.download-link > button:not([tabindex])')
  && [...document.querySelectorAll('.rooms [role=tab][aria-selected=false]')].every((tab) => tab.tabIndex === -1)
  && [...document.querySelectorAll('.js-plotly-plot, .cm-content')].every((node) => node.hasAttribute('aria-label'))
  && [...document.querySelectorAll('pre, .pipeline, .cm-scroller, .table-wrap')].every(
    (node) => node.tabIndex === 0 || node.scrollWidth <= node.clientWidth && node.scrollHeight <= node.clientHeight)"""

# A page that changes while it is read, as where a figure is drawn anew, is read again: half of what was read has gone.
AXE = """async () => {
  let changes = 0;
  const watch = new MutationObserver(() => changes += 1);
  watch.observe(document.body, {childList: true, subtree: true});
  for (let readings = 1; ; readings++) {
    for (let before = -1, waits = 0; before !== changes && waits < 20; waits++) {
      before = changes;
      await new Promise((go) => setTimeout(go, 300));
    }
    changes = 0;
    const done = await axe.run(document, {resultTypes: ['violations'], rules: {'target-size': {enabled: true}}});
    if (done.violations.length && changes && readings < 5) continue;
    watch.disconnect();
    return done.violations.flatMap((one) => one.nodes.map(
      (node) => `${one.id}: ${node.target.join(' ')} ${node.html.slice(0, 160)}`));
  }
}"""


def faults(page: Page, *, themes: tuple[str, ...] = ("dark", "light")) -> list[str]:
    """Every fault that axe finds in these themes, with its place; the page keeps the last of them."""
    page.emulate_media(reduced_motion="reduce")  # a colour on its way to another one is neither
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    every = []
    for theme in themes:
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
        page.wait_for_function(NAMED)
        every += [f"{theme}: {fault}" for fault in page.evaluate(AXE)]
    return every
