"""What a visitor waits for when the page is opened, in a headless Chromium.

    python app.py &
    python benchmarks/first_paint.py http://127.0.0.1:7860

Several addresses are opened in turn, so that two states of the code are compared on the same machine at the same time.

The targets are a first paint within 1 s, a usable page within 2 s and a layout shift below .05. Usable means that the
photo's input and the buttons stand on the page and its main thread has come to rest. Every repeat is a fresh browser
without a cache, then the same page once more in that browser. Beside the clock stand the processor time of the page's
main thread and how much was asked for and sent until then, which a busy machine hardly changes. Needs playwright and
Chromium (CHROMIUM names another one).
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
    """Milliseconds to the first paint and to a usable page, processor time of its thread, requests and kilobytes until
    then, and its layout shift."""
    inside = page.context.new_cdp_session(page)
    inside.send("Performance.enable", {"timeDomain": "threadTicks"})
    inside.send("Network.enable")
    asked: list[object] = []
    sent: list[float] = []
    inside.on("Network.requestWillBeSent", lambda event: asked.append(event) if
              event["request"]["url"].startswith("http") else None)
    inside.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    page.goto(address)
    page.wait_for_function("window.told?.usable", timeout=120_000)
    metrics = {metric["name"]: metric["value"] for metric in inside.send("Performance.getMetrics")["metrics"]}
    usable, paint = page.evaluate("window.told.usable"), page.evaluate(PAINT)
    requests, kilobytes = len(asked), sum(sent) / 1000
    page.wait_for_timeout(settle * 1000)
    return {"paint": paint, "usable": usable, "busy": metrics["TaskDuration"] * 1000,
            "requests": requests, "kB": kilobytes, "shift": page.evaluate("window.told.shift")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("addresses", nargs="*", default=["http://127.0.0.1:7860"], help="of running apps")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--settle", type=float, default=2.0, help="seconds in which layout shifts still count")
    parser.add_argument("--size", default="1440x900", help="of the window")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    from playwright.sync_api import sync_playwright

    names = ("without a cache", "once more")
    results: dict[str, dict[str, list[dict[str, float]]]] = {
        address: {name: [] for name in names} for address in args.addresses}
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play:
        for _ in range(args.repeats):
            for address in args.addresses:
                browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                context = browser.new_context(viewport={"width": width, "height": height})
                context.add_init_script(f"({WATCH})()")
                for name in names:
                    page = context.new_page()
                    results[address][name].append(opened(page, address, args.settle))
                    page.close()
                browser.close()
    print(f"the page at {args.size}, {args.repeats} repeats, milliseconds: median (fastest to slowest)")
    for address, measured in results.items():
        print(address)
        for name, runs in measured.items():
            columns = {key: [run[key] for run in runs] for key in ("paint", "usable", "busy", "requests", "kB")}
            shift = max(run["shift"] for run in runs)
            print(f"  {name:<16}" + "   ".join(
                f"{key} {statistics.median(values):5.0f} ({min(values):.0f} to {max(values):.0f})"
                for key, values in columns.items()) + f"   largest layout shift {shift:.3f}")
    print(f"  load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
