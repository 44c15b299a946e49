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
    times: dict[str, list[float]] = {"one sample": [], f"{chosen.samples} together": [], f"{chosen.samples} apart": []}
    for _ in range(chosen.repeats):
        texts = []
        for name, run in zip(times, (one, together, apart)):
            start = time.perf_counter()
            texts.append(run())
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in medians.items():
        ratio = seconds / medians["one sample"]
        print(f"{name:12s} {seconds / len(prompts):7.3f} s a picture, {ratio:5.2f} x one sample")
    print(f"texts together equal texts apart: {texts[1] == texts[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
