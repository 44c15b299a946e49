"""What a run costs beside the model: resuming and measuring long runs, and the rate of Ray actors against one process.

    python benchmarks/evaluate.py rows [--rows 100000]
    python benchmarks/evaluate.py ray --method q-bench --lmm embedded --images DIR --scores CSV [--actors 2]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))


def rows(count: int) -> None:
    """Resumes a finished run of `count` rows, one row short and torn, and writes its metrics."""
    import numpy as np

    from leaderboard.runs.folder import Prediction, RunFolder
    from methods.agreement import metrics as stats

    rng = np.random.default_rng(0)
    mos = rng.uniform(1, 5, count).round(4)
    scores = np.clip((mos - 1) / 4 + rng.normal(0, 0.15, count), 0, 1)
    with tempfile.TemporaryDirectory() as folder:
        made, busy = time.perf_counter(), time.process_time()
        with RunFolder(folder) as run:
            for first in range(0, count, 8):
                run.append(Prediction(f"{number:06d}.png", float(mos[number]), float(scores[number]),
                                      float(scores[number]), 0.1) for number in range(first, min(first + 8, count)))
        appended = time.perf_counter() - made
        path = Path(folder, "predictions.csv")
        os.truncate(path, path.stat().st_size - 5)
        begun = time.perf_counter()
        with RunFolder(folder) as run:
            rows = run.resume()
        resumed = time.perf_counter()
        kept = list(rows.values())
        metrics = stats.summary([row.score for row in kept], [row.mos for row in kept])
        ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{count} rows: appended in batches of 8 in {appended:.1f} s, resumed {len(kept)} in "
          f"{resumed - begun:.2f} s, "
          f"five metrics with intervals in {ended - resumed:.1f} s; {time.process_time() - busy:.1f} s of processor "
          f"for all three, {peak:.2f} GiB at most; "
          f"SRCC {metrics['srcc'].value:.4f} ({metrics['srcc'].low:.4f} to {metrics['srcc'].high:.4f})")


def ray(words: list[str], actors: int, limit: int, repeats: int) -> None:
    """One process of one thread against Ray actors of one thread each: rates, processor time, and whether rows agree.

    Wall time says little on a busy machine, where the processes of others count too. Processor time per image, with all
    that Ray itself spends, says what free cores would give: `actors` cores do `actors` / seconds images per second.
    """
    from leaderboard.runs.evaluation import load_run

    ways = {"one process": [], f"{actors} actors": ["--ray", "--actors", str(actors)]}
    one, several = ways
    tables, ratios, free = {}, [], []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats):
            wall, spent = {}, {}
            # The difference of a long and a short run leaves the start of processes and the loading of models out.
            for size in (limit // 4, limit):
                for name, more in ways.items():
                    out = Path(folder, f"{name}-{size}-{repeat}".replace(" ", "-"))
                    wall[name, size], spent[name, size] = _timed(
                        [sys.executable, "-m", "leaderboard", "evaluate", *words, "--limit", str(size), "--out",
                         str(out), *more])
                    tables[name, repeat] = {row.image: row.cells()[:4] for row in load_run(out)}
            pictures = limit - limit // 4
            seconds = {name: wall[name, limit] - wall[name, limit // 4] for name in ways}
            each = {name: (spent[name, limit] - spent[name, limit // 4]) / pictures for name in ways}
            ratios.append(seconds[one] / seconds[several])
            free.append(actors * each[one] / each[several])
            for name in ways:
                print(f"{name}: {pictures / seconds[name]:.2f} images/s, {each[name]:.3f} s of processor per image")
            print(f"  {ratios[-1]:.2f} times as many per second as measured; {free[-1]:.2f} times by processor time")
    same = all(rows == tables[one, 0] for rows in tables.values())
    print(f"{actors} actors against one process, median of {repeats}: {statistics.median(ratios):.2f} times as many, "
          f"{statistics.median(free):.2f} times by processor time; predictions "
          f"{'equal bit for bit' if same else 'DIFFER'}")


def _timed(command: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a command with everything that it starts, Ray's own processes included."""
    import psutil

    begun = time.perf_counter()
    process = psutil.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
                                "RAY_worker_niceness": "0"})
    spent: dict[tuple[int, float], float] = {}
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            for one in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    times = one.cpu_times()
                    spent[one.pid, one.create_time()] = times.user + times.system
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}.")
    return time.perf_counter() - begun, sum(spent.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    made = what.add_parser("rows")
    made.add_argument("--rows", type=int, default=100_000)
    spread = what.add_parser("ray")
    for name in ("--method", "--lmm", "--images", "--scores"):
        spread.add_argument(name, required=name != "--lmm")
    spread.add_argument("--actors", type=int, default=2)
    spread.add_argument("--limit", type=int, default=320)
    spread.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    if args.what == "rows":
        rows(args.rows)
    else:
        words = ["--method", args.method, "--images", os.path.abspath(args.images), "--scores",
                 os.path.abspath(args.scores), *(["--lmm", args.lmm] if args.lmm else [])]
        ray(words, args.actors, args.limit, args.repeats)


if __name__ == "__main__":
    main()
