"""What a visitor waits for when the leaderboard's tab is opened for the first time, in a headless Chromium.

    python app.py &
    python benchmarks/leaderboard_page.py http://127.0.0.1:7860

The target is 1 s from the click to the table and the figure below it. Every repeat is a fresh browser without a cache;
repeats alternate between the page as it is and the page without fetching plotly's script ahead (a browser that asks to
save data), so that both meet the same machine. Beside the clock stands the time that the page's main thread was busy,
which a busy machine stretches less. Needs playwright and Chromium (CHROMIUM names another one).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics

WATCH = """() => {
  const seen = window.seen = {};
  document.addEventListener('click', () => { seen.click ??= performance.now(); }, true);
  const visible = (selector) => document.querySelector(selector)?.getBoundingClientRect().height > 0;
  const look = () => {
    if (!seen.table && visible('#leaderboard-table tbody tr')) seen.table = performance.now();
    if (!seen.figure && visible('#leaderboard-figure .main-svg .scatterlayer .trace')) seen.figure = performance.now();
    if (!seen.figure) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
SAVE_DATA = "Object.defineProperty(navigator, 'connection', {value: {saveData: true}})"


def opened(play, address: str, settle: float, *, ahead: bool) -> dict[str, float]:
    """Milliseconds from the click to the table and to the figure, and those that the page was busy for them."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    try:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        if not ahead:
            page.add_init_script(SAVE_DATA)
        page.goto(address)
        tab = page.get_by_role("tab", name="Leaderboard")
        tab.wait_for()
        page.wait_for_timeout(settle * 1000)
        page.evaluate(WATCH)
        inside = page.context.new_cdp_session(page)
        inside.send("Performance.enable")
        before = _busy(inside)
        tab.click()
        page.wait_for_function("() => window.seen.figure", timeout=60_000)
        busy = _busy(inside) - before
        seen = page.evaluate("window.seen")
        return {"table": seen["table"] - seen["click"], "figure": seen["figure"] - seen["click"], "busy": busy}
    finally:
        browser.close()


def _busy(inside) -> float:
    metrics = {metric["name"]: metric["value"] for metric in inside.send("Performance.getMetrics")["metrics"]}
    return metrics["TaskDuration"] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:7860", help="of a running app")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--settle", type=float, default=3.0, help="seconds that the visitor reads before the click")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    results: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    with sync_playwright() as play:
        for _ in range(args.repeats):
            for ahead in results:
                results[ahead].append(opened(play, args.address, args.settle, ahead=ahead))
    print(f"first opening of the tab, {args.repeats} repeats each, milliseconds: median (fastest to slowest)")
    for ahead, name in ((False, "script when asked for"), (True, "script fetched ahead")):
        columns = {key: [result[key] for result in results[ahead]] for key in ("table", "figure", "busy")}
        print(f"  {name:<22}" + "   ".join(
            f"{key} {statistics.median(values):5.0f} ({min(values):.0f} to {max(values):.0f})"
            for key, values in columns.items()))
    print(f"  load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
