"""What a visitor waits for when the leaderboard's tab is opened for the first time, in a headless Chromium.

    python app.py &
    python benchmarks/leaderboard_page.py http://127.0.0.1:7860
    python benchmarks/leaderboard_page.py --rows 2000

With --rows it starts an app of its own whose leaderboard has so many rows, and times filters too: all rows, then the
training-free ones, then the costs, from the click to the new table. The targets are 0.5 s from the click on the tab
to the table, 1 s to the figure below it, and 0.2 s per filter, on a quiet machine. Every repeat is a fresh browser
without a cache; repeats alternate between the page as it is and the page without fetching plotly's script ahead (a
browser that asks to save data), so that both meet the same machine. Beside the clock stands the time that the page's
main thread was busy, which a busy machine stretches less. Needs playwright and Chromium (CHROMIUM names another one).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PORT = 7968

WATCH = """() => {
  const at = window.meanOpinionTimes = {};
  document.addEventListener('click', () => { at.click ??= performance.now(); }, true);
  const visible = (selector) => document.querySelector(selector)?.getBoundingClientRect().height > 0;
  const look = () => {
    if (!at.table && visible('#leaderboard-table tbody tr')) at.table = performance.now();
    if (!at.figure && visible('#leaderboard-figure .main-svg .scatterlayer .trace')) at.figure = performance.now();
    if (!at.figure) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
# Every filter is one click, and done when the table's caption says something else.
CLICK = """(selector) => new Promise((done) => {
  const said = () => document.querySelector('#leaderboard-table caption')?.textContent;
  const heads = () => document.querySelectorAll('#leaderboard-table thead th').length;
  const [before, columns, start] = [said(), heads(), performance.now()];
  const look = () => said() !== before || heads() !== columns ? done(performance.now() - start)
    : requestAnimationFrame(look);
  document.querySelector(selector).click();
  look();
})"""
FILTERS = {"all rows": "#leaderboard-rows input[value=all]",
           "training-free": "#leaderboard-training input[value=free]",
           "without weights": "#leaderboard-columns input[title=weights]"}
ENLARGED = """
import sys; sys.path.insert(0, ".")
import runpy
from benchmarks.leaderboard import enlarged
from leaderboard import schema
board = enlarged(schema.load_board(), int(sys.argv[1]))
real = schema._cached_board
schema._cached_board = lambda folder, stamp: board if folder == schema.DATA else real(folder, stamp)
sys.argv = ["app.py"]
runpy.run_path("app.py", run_name="__main__")
"""
SAVE_DATA = "Object.defineProperty(navigator, 'connection', {value: {saveData: true}})"


def opened(play, address: str, settle: float, *, ahead: bool, filters: bool = False) -> dict[str, float]:
    """Milliseconds from the click to the table and to the figure, those that the page was busy for them, and the same
    of every filter where these are asked for."""
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
        page.wait_for_function("() => window.meanOpinionTimes.figure", timeout=60_000)
        busy = _busy(inside) - before
        at = page.evaluate("window.meanOpinionTimes")
        times = {}
        if filters:
            page.locator("button.label-wrap", has_text="Columns").click()
            page.locator(FILTERS["without weights"]).wait_for()
        for name, selector in FILTERS.items() if filters else ():
            page.wait_for_timeout(settle * 1000)
            before = _busy(inside)
            times[name] = page.evaluate(CLICK, selector)
            times[f"{name}, busy"] = _busy(inside) - before
        return {**times, "table": at["table"] - at["click"], "figure": at["figure"] - at["click"], "busy": busy}
    finally:
        browser.close()


def _busy(inside) -> float:
    metrics = {metric["name"]: metric["value"] for metric in inside.send("Performance.getMetrics")["metrics"]}
    return metrics["TaskDuration"] * 1000


@contextlib.contextmanager
def enlarged_app(rows: int) -> Iterator[str]:
    """The address of an app whose leaderboard has about so many rows; it ends with the block."""
    process = subprocess.Popen([sys.executable, "-c", ENLARGED, str(rows)], cwd=REPOSITORY, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env={**os.environ, "GRADIO_SERVER_PORT": str(PORT)})
    address = f"http://127.0.0.1:{PORT}"
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/config", timeout=5):
                yield address
                return
            time.sleep(0.5)
        raise SystemExit("The app ended before it answered.")
    finally:
        process.terminate()
        process.wait(timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:7860", help="of a running app")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--settle", type=float, default=3.0, help="seconds that the visitor reads before a click")
    parser.add_argument("--rows", type=int, help="start an app with so many rows, and time filters too")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    results: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    app = enlarged_app(args.rows) if args.rows else contextlib.nullcontext(args.address)
    with sync_playwright() as play, app as address:
        for _ in range(args.repeats):
            for ahead in results:
                results[ahead].append(opened(play, address, args.settle, ahead=ahead, filters=bool(args.rows)))
    print(f"first opening of the tab, {args.repeats} repeats each, milliseconds: median (fastest to slowest)")
    for ahead, name in ((False, "script when asked for"), (True, "script fetched ahead")):
        columns = {key: [result[key] for result in results[ahead]] for key in results[ahead][0]}
        print(f"  {name:<22}" + "   ".join(
            f"{key} {statistics.median(values):5.0f} ({min(values):.0f} to {max(values):.0f})"
            for key, values in columns.items()))
    print(f"  load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
