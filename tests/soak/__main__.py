"""Everything at once, for a while, with kills: what held, and for how long whoever only reads had to wait.

    python -m tests.soak [--seconds 600] [--visitors 50] [--kills 2] [--json FILE]

Starts an app with the embedded model and sends it visitors who score, compare, share, read, leave, and mean harm. A
kill is SIGKILL followed by a start on the same folders, after which every link that was given before has to open.
Status 1 if anything broke: a crash, an error that nobody can explain, a share that was lost, memory that grows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.soak import visitors
from tests.soak.running import App, Client
from tests.soak.visitors import DEFECT, DOWN, OK, READS, REFUSED, SENTENCE, Record, Visitor, load_all, opens, share

SECONDS_TO_END = 30.0
FLAT = 0.05
"""How far the mean memory of the last quarter may lie above that of the one before."""

CEILING_GB, READING_SECONDS = 2.0, 0.5
"""What docs/OPERATING.md promises: memory beside the models, and how long whoever reads waits at p95."""


@dataclass
class Report:
    """Attributes:
    requests: HTTP requests.
    calls: things that visitors did, by outcome.
    actions: action -> [answered, p50, p95, p99] in seconds.
    memory: [seconds, gigabytes] samples.
    beside: gigabytes at most above what the app took with all its models before its first visitor, as the system
        counted them.
    growth: of the last quarter's mean memory over that of the one before, as a share; kills begin a new measure.
    lost: shares that did not open after a kill.
    opened: shares that did.
    crashes: ends of the process that were not kills.
    tracebacks: in the log.
    defects: what no visitor should see.
    """

    requests: int
    calls: dict[str, int]
    actions: dict[str, list[float]]
    memory: list[list[float]]
    beside: float
    growth: float
    lost: int
    opened: int
    crashes: int
    tracebacks: int
    defects: list[str]

    @property
    def broken(self) -> list[str]:
        """What did not hold, in words; empty if all did."""
        faults = [f"{self.crashes} crashes"] * bool(self.crashes) + [f"{self.lost} shares were lost"] * bool(self.lost)
        if self.beside > CEILING_GB:
            faults.append(f"it took {self.beside:.2f} GB beside the models, and {CEILING_GB:.0f} are promised")
        faults += [f"{self.tracebacks} tracebacks in the log"] * bool(self.tracebacks)
        faults += [f"{len(self.defects)} unexplained errors, such as: {self.defects[0]}"] if self.defects else []
        return faults

    def text(self) -> str:
        lines = [f"{self.requests} requests; " + ", ".join(f"{count} {name}" for name, count in self.calls.items())]
        lines.append(f"{'':34}{'answered':>9}{'p50':>8}{'p95':>8}{'p99':>8}")
        lines += [f"{name:34}{values[0]:9.0f}" + "".join(f"{value:8.2f}" for value in values[1:])
                  for name, values in self.actions.items()]
        marks = [self.memory[round(place * (len(self.memory) - 1) / 8)] for place in range(9)] if self.memory else []
        lines.append("memory, GB: " + ", ".join(f"{size:.2f} at {seconds:.0f} s" for seconds, size in marks)
                     + f"; {self.beside:.2f} beside the models at most; growth {self.growth:+.1%}")
        lines.append(f"{self.opened} shares open after a kill, {self.lost} do not; {self.crashes} crashes; "
                     f"{self.tracebacks} tracebacks; {len(self.defects)} unexplained errors")
        lines += [f"  {defect}" for defect in self.defects[:10]]
        return "\n".join(lines)


def soak(folder: Path, seconds: float, count: int, kills: int, **variables: str) -> Report:
    """Runs it.

    Args:
        folder: for the app's uploads, shares and log.
        seconds: of visitors.
        count: visitors at the same time.
        kills: spread evenly over the first half.
        variables: further ones of the app's environment.
    """
    app = App(folder, variables={"MEAN_OPINION_PROXIES": "127.0.0.1", **variables}).start()
    _ = app.config, app.endpoints  # asked for once, by nobody who is counted
    load_all(app)
    models, peak = app.memory(), 0.0
    app.forget_peak()
    record, up, ended, memory = Record(), threading.Event(), threading.Event(), []
    up.set()
    crowd = [Visitor(app, record, number, up, ended) for number in range(count)]
    crowd[0].one(share)  # so that there is one before the first kill, however slow the machine
    begun, lost, opened, crashes, last_kill = time.monotonic(), 0, 0, 0, 0.0
    killing = [seconds * (number + 1) / (2 * kills + 2) for number in range(kills)]
    try:
        for visitor in crowd:
            visitor.start()
        while (now := time.monotonic() - begun) < seconds:
            time.sleep(0.5)
            if app.process.poll() is not None:
                crashes += 1
                begun += _restarted(app, up)
                continue
            memory.append([round(now, 1), round(app.memory(), 3)])
            peak = max(peak, app.peak())
            if killing and now > killing[0]:
                killing.pop(0)
                with record.lock:
                    before = [name for when, name in record.shares if when < time.monotonic() - 1]
                up.clear()
                app.kill()
                begun += _restarted(app, up)
                checks = [opens(Client(app, headers={"X-Forwarded-For": "198.51.100.1"}), name)
                          for name in before[-20:]]
                opened, lost = opened + sum(checks), lost + len(checks) - sum(checks)
                last_kill = time.monotonic() - begun
    finally:
        ended.set()
        up.set()
        patience = time.monotonic() + SECONDS_TO_END
        for visitor in crowd:
            visitor.join(max(patience - time.monotonic(), 0))
        record.closed = True  # who still waits then was cut off by the end
        log = app.log
        app.kill()
    actions = {name: [len(values), *_percentiles(values)] for name, values in sorted(record.seconds.items())}
    growth = _growth([size for when, size in memory if when > last_kill])
    return Report(record.requests, {name: record.total(name) for name in (OK, SENTENCE, REFUSED, DOWN, DEFECT)},
                  actions, memory, max(peak - models, 0.0), growth, lost, opened, crashes, log.count("Traceback"),
                  list(record.defects))


def _restarted(app: App, up: threading.Event) -> float:
    """Starts the app again; the seconds that it took, which do not count as time of the soak."""
    begun = time.monotonic()
    up.clear()
    app.start()
    app.forget_peak()
    up.set()
    return time.monotonic() - begun


def _percentiles(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.5, 0.95, 0.99)]


def _growth(sizes: Sequence[float]) -> float:
    quarter = len(sizes) // 4
    if not quarter:
        return 0.0
    return statistics.mean(sizes[-quarter:]) / statistics.mean(sizes[-2 * quarter : -quarter]) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--pause", type=float, default=visitors.PAUSE, help="seconds between two things that one does")
    parser.add_argument("--json", type=Path, help="file for the whole report")
    parser.add_argument("--log", type=Path, help="file for the app's log")
    arguments = parser.parse_args()
    visitors.PAUSE = arguments.pause
    with tempfile.TemporaryDirectory() as folder:
        report = soak(Path(folder), arguments.seconds, arguments.visitors, arguments.kills)
        if arguments.log:
            arguments.log.write_text((Path(folder) / "app.log").read_text(errors="replace"))
    print(report.text())
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(report), indent=1))
    faults = [*report.broken, *([f"memory grew by {report.growth:.0%} in the last half"] * (report.growth > FLAT))]
    if READS in report.actions and (slow := report.actions[READS][2]) > READING_SECONDS:
        faults.append(f"the leaderboard took {slow:.2f} s at p95")
    print("held" if not faults else "did not hold: " + "; ".join(faults))
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
