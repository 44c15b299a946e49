"""How long a browser is busy as the page opens and answers, with Gradio's own scripts and with the corrected ones.

    python app.py &
    python benchmarks/page_opening.py http://127.0.0.1:7860

What is timed is the page's main thread, which a busy machine stretches less than the clock: until the page is at rest,
from the click on an example to its score and the rest after it, and from the click on the tab LEAF to the same. Repeats
alternate between the page as it is and the page with the scripts as Gradio ships them, so that both meet the same
machine. The first repeat of each, which also compiles the scripts, does not count. Needs playwright and Chromium
(CHROMIUM names another one).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

STEPS = ("the page", "an example", "the tab LEAF")


def opened(context, address: str, settle: float, *, corrected: bool) -> dict[str, float]:
    """Seconds for which the main thread is busy, by step."""
    from ui.serving.corrections import CORRECTIONS
    from ui.serving.front_end import FOLDER

    page = context.new_page()
    try:
        inside = context.new_cdp_session(page)
        inside.send("Performance.enable")
        scripts = re.compile(rf"/assets/({'|'.join(CORRECTIONS)})-[\w-]+\.js")

        def served(route) -> None:
            script = FOLDER / "assets" / route.request.url.rpartition("/")[2]
            text = script.read_text("utf-8")
            change = CORRECTIONS[script.name.partition("-")[0]]
            route.fulfill(body=(corrected and change(text)) or text, content_type="text/javascript")

        page.route(scripts, served)  # both ways, so that both pay for it
        seconds = [0.0]
        page.goto(address)
        page.wait_for_selector(".rooms [role=tab][aria-selected=true]")
        _rest(page, inside, settle, seconds)
        page.locator(".examples:visible button.gallery-item").nth(2).click()
        page.wait_for_selector(".score-room .dial[data-score]")
        _rest(page, inside, settle, seconds)
        page.locator(".rooms [role=tab][data-tab-id=leaf]:visible").first.click()
        page.wait_for_selector("#leaf-picture img")
        _rest(page, inside, settle, seconds)
        return dict(zip(STEPS, (after - before for before, after in pairwise(seconds)), strict=True))
    finally:
        page.close()


def _rest(page, inside, settle: float, seconds: list[float]) -> None:
    page.wait_for_timeout(settle * 1000)
    metrics = {metric["name"]: metric["value"] for metric in inside.send("Performance.getMetrics")["metrics"]}
    seconds.append(metrics["TaskDuration"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:7860", help="of a running app")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--settle", type=float, default=3.0, help="seconds until the page is at rest")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    results: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1440, "height": 1000})
        for _ in range(args.repeats + 1):
            for corrected in results:
                results[corrected].append(opened(context, args.address, args.settle, corrected=corrected))
        browser.close()
    print(f"seconds that the main thread is busy, {args.repeats} repeats each: median (least to most)")
    for corrected, name in ((False, "Gradio's own"), (True, "corrected")):
        print(f"  {name:<14}" + "   ".join(f"{step} {statistics.median(values):.2f} ({min(values):.2f} to "
                                           f"{max(values):.2f})" for step in STEPS
                                           for values in [[one[step] for one in results[corrected][1:]]]))
    print(f"  load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
