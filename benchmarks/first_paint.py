"""What a visitor waits for when the page is opened, in a headless Chromium.

    python app.py &
    python benchmarks/first_paint.py http://127.0.0.1:7860

The targets are a first paint within 1 s, a usable page within 2 s and a layout shift below .05. Usable means that the
photo's input and the buttons stand on the page and its main thread has come to rest. Every repeat is a fresh browser
without a cache, then the same page once more in that browser. Beside the clock stands the processor time of the page's
main thread, which a busy machine hardly stretches. Needs playwright and Chromium (CHROMIUM names another one).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics

WATCH = """() => {
  const told = window.told = {shift: 0, usable: null};
  let session = 0, first = 0, last = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.hadRecentInput) continue;
      // As the field counts it: the largest burst, of at most 5 s and without a second's pause.
      const together = entry.startTime - last < 1000 && entry.startTime - first < 5000;
      session = together ? session + entry.value : entry.value;
      if (!together) first = entry.startTime;
      last = entry.startTime;
      told.shift = Math.max(told.shift, session);
    }
  }).observe({type: 'layout-shift', buffered: true});
  const look = () => {
    if (document.querySelector('#score-run') && document.querySelector('#score-picture input[type=file]'))
      requestIdleCallback(() => { told.usable = performance.now(); });
    else setTimeout(look, 20);
  };
  addEventListener('DOMContentLoaded', look);
}"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def opened(page, address: str, settle: float) -> dict[str, float]:
    """Milliseconds to the first paint and to a usable page, processor time of its thread, and its layout shift."""
    inside = page.context.new_cdp_session(page)
    inside.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address)
    page.wait_for_function("window.told?.usable", timeout=120_000)
    metrics = {metric["name"]: metric["value"] for metric in inside.send("Performance.getMetrics")["metrics"]}
    usable, paint = page.evaluate("window.told.usable"), page.evaluate(PAINT)
    page.wait_for_timeout(settle * 1000)
    return {"paint": paint, "usable": usable, "busy": metrics["TaskDuration"] * 1000,
            "shift": page.evaluate("window.told.shift")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:7860", help="of a running app")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--settle", type=float, default=2.0, help="seconds in which layout shifts still count")
    parser.add_argument("--size", default="1440x900", help="of the window")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    from playwright.sync_api import sync_playwright

    results: dict[str, list[dict[str, float]]] = {"without a cache": [], "once more": []}
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play:
        for _ in range(args.repeats):
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            context = browser.new_context(viewport={"width": width, "height": height})
            context.add_init_script(f"({WATCH})()")
            for measured in results.values():
                page = context.new_page()
                measured.append(opened(page, args.address, args.settle))
                page.close()
            browser.close()
    print(f"the page at {args.size}, {args.repeats} repeats, milliseconds: median (fastest to slowest)")
    for name, measured in results.items():
        columns = {key: [result[key] for result in measured] for key in ("paint", "usable", "busy")}
        shift = max(result["shift"] for result in measured)
        print(f"  {name:<16}" + "   ".join(
            f"{key} {statistics.median(values):5.0f} ({min(values):.0f} to {max(values):.0f})"
            for key, values in columns.items()) + f"   largest layout shift {shift:.3f}")
    print(f"  load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
