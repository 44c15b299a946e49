"""LLM-IQA on one call a picture against one call a region, in one run, with the digits of both compared.

    python benchmarks/llm_iqa.py [--lmm embedded] [--pictures 6] [--repeats 3]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from methods.llm_iqa.method import LLMIQA
from methods.llm_iqa.segmentation import regions
from methods.llm_iqa.segmenters import FelzenszwalbSegmenter
from methods.llm_iqa.standard import Standard
from methods.lmm import load_lmm


class Remembered:
    """Masks that are cut once, so that both sides are timed on the LMM alone."""

    name = "remembered"

    def __init__(self, pictures) -> None:
        segmenter = FelzenszwalbSegmenter()
        self._masks = {picture.tobytes(): segmenter.masks(picture) for picture in pictures}

    def masks(self, image):
        return self._masks[image.tobytes()]


def region_by_region(lmm, pictures, segmenter, standard) -> list[list[int]]:
    """The digits as the released code gets them: one prompt after the other."""
    digits = []
    for picture in pictures:
        found = regions(segmenter.masks(picture), (picture.height, picture.width))
        views = [picture, *(region.cut(picture) for region in found)]
        rows = [lmm.word_logits([standard.prompt(view)], standard.levels.words)[0] for view in views]
        digits.append([int(standard.levels.words[int(row.argmax())]) for row in rows])
    return digits


def together(method, pictures) -> list[list[int]]:
    digits = []
    for result in method.assess_batch(pictures):
        scores = result.evidence.lmms[0]
        digits.append([scores.whole.digit, *(one.digit for one in scores.regions)])
    return digits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lmm", default="embedded")
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    from benchmarks.pictures import photographs

    pictures = photographs(chosen.pictures)
    # Both sides encode every picture anew: a cache across calls would time the cache.
    lmm = load_lmm(chosen.lmm, vision_cache_bytes=0)
    segmenter, standard = Remembered(pictures), Standard()
    method = LLMIQA(lmm, segmenter=segmenter)
    together(method, pictures[:1])
    times: dict[str, list[float]] = {"region by region": [], "one call": []}
    for _ in range(chosen.repeats):
        start = time.perf_counter()
        alone = region_by_region(lmm, pictures, segmenter, standard)
        times["region by region"].append(time.perf_counter() - start)
        start = time.perf_counter()
        batch = together(method, pictures)
        times["one call"].append(time.perf_counter() - start)
    prompts = sum(map(len, alone))
    same = sum(one == other for one, other in zip(chain(*alone), chain(*batch)))
    for name, seconds in times.items():
        print(f"{name:18s} {statistics.median(seconds) / len(pictures):8.3f} s a picture (median of {len(seconds)})")
    ratio = statistics.median(times["region by region"]) / statistics.median(times["one call"])
    print(f"ratio {ratio:.2f}; same digit in {same} of {prompts} prompts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
