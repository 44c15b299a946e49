"""K samples of VisualQuality-R1 from one prefill, against one sample and against K separate runs, in one run.

    python benchmarks/visualquality_r1.py [--lmm embedded] [--samples 6] [--pictures 4] [--repeats 3]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.pictures import photographs
from methods.lmm import load_lmm
from methods.visualquality_r1.prompts import prompt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lmm", default="embedded")
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-new-tokens", type=int, default=256)
    chosen = parser.parse_args()
    # Every call encodes its picture anew: a cache across calls would time the cache.
    lmm = load_lmm(chosen.lmm, vision_cache_bytes=0)
    prompts = [prompt(picture) for picture in photographs(chosen.pictures)]
    settings = {"max_new_tokens": chosen.max_new_tokens, "temperature": 1.0, "top_k": 50}

    def one() -> list[list[str]]:
        return [lmm.generate([each], n=1, seed=0, **settings)[0] for each in prompts]

    def together() -> list[list[str]]:
        return [lmm.generate([each], n=chosen.samples, seed=0, **settings)[0] for each in prompts]

    def apart() -> list[list[str]]:
        return [[lmm.generate([each], n=1, seed=seed, **settings)[0][0] for seed in range(chosen.samples)]
                for each in prompts]

    one()
    runs = {"one sample": one, f"{chosen.samples} together": together, f"{chosen.samples} apart": apart}
    texts: dict[str, list[list[str]]] = {}
    clocks = {"s by the clock": time.perf_counter, "s of processor": time.process_time}
    times = {(name, clock): [] for name in runs for clock in clocks}
    for _ in range(chosen.repeats):
        for name, run in runs.items():
            starts = {clock: read() for clock, read in clocks.items()}
            texts[name] = run()
            for clock, read in clocks.items():
                times[name, clock].append((read() - starts[clock]) / len(prompts))
    # Beside other programs the clock says little; the processor's time is this program's own.
    for clock in clocks:
        alone = statistics.median(times["one sample", clock])
        for name in runs:
            seconds = statistics.median(times[name, clock])
            print(f"{name:12s} {seconds:7.3f} {clock} a picture, {seconds / alone:5.2f} x one sample")
    _, first, second = texts.values()
    print(f"texts together equal texts apart: {first == second}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
