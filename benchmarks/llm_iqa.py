"""LLM-IQA on one call against one call per region, in one run, with the digits of all compared.

The regions one by one are timed twice: through this project's own LMM layer, and as the released code has them, with
transformers as it comes (`plain_process`).

    python benchmarks/llm_iqa.py [--lmm embedded] [--pictures 6] [--repeats 3] [--standard word] [--k 7]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.plain_process import PlainProcess
from methods.llm_iqa.method import LLMIQA
from methods.llm_iqa.segmentation import regions
from methods.llm_iqa.segmenters import FelzenszwalbSegmenter
from methods.llm_iqa.standard import KINDS, LEVEL_COUNTS, Standard
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
        prompts = prompts_of(picture, segmenter, standard)
        rows = [lmm.word_logits([prompt], standard.levels.words)[0] for prompt in prompts]
        digits.append([int(standard.levels.words[int(row.argmax())]) for row in rows])
    return digits


def prompts_of(picture, segmenter, standard) -> list:
    """The question about the whole picture, then about each of its regions."""
    parts = regions(segmenter.masks(picture), (picture.height, picture.width))
    return [standard.prompt(view) for view in (picture, *(region.cut(picture) for region in parts))]


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
    parser.add_argument("--standard", choices=KINDS, default="word")
    parser.add_argument("--k", type=int, choices=LEVEL_COUNTS, default=7, help="levels of the standard")
    chosen = parser.parse_args()
    from benchmarks.pictures import photographs

    pictures = photographs(chosen.pictures)
    # Both sides encode every picture anew: a cache across calls would time the cache.
    lmm = load_lmm(chosen.lmm, vision_cache_bytes=0)
    segmenter, standard = Remembered(pictures), Standard(chosen.standard, chosen.k)
    method = LLMIQA(lmm, own_segmenter=segmenter, standard=chosen.standard, k=chosen.k)
    together(method, pictures[:1])
    plain = PlainProcess(lmm.model.name_or_path, lmm)
    plain.ask([prompt for picture in pictures for prompt in prompts_of(picture, segmenter, standard)],
              standard.levels.words)
    times: dict[str, list[float]] = {"plain transformers, region by region": [], "region by region": [], "one call": []}
    for _ in range(chosen.repeats):
        taken, rows = plain.run()
        times["plain transformers, region by region"].append(taken)
        start = time.perf_counter()
        alone = region_by_region(lmm, pictures, segmenter, standard)
        times["region by region"].append(time.perf_counter() - start)
        start = time.perf_counter()
        batch = together(method, pictures)
        times["one call"].append(time.perf_counter() - start)
    plainly = [int(standard.levels.words[int(row.argmax())]) for row in rows]
    batch, alone = list(chain(*batch)), list(chain(*alone))
    last = statistics.median(times["one call"])
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"{name:38s} {middle / len(pictures):7.3f} s per image (median of {len(seconds)}), "
              f"{middle / last:.2f} x one call")
    for name, digits in (("plain transformers", plainly), ("region by region", alone)):
        print(f"same digit as {name}: {sum(map(int.__eq__, digits, batch))} of {len(batch)} prompts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
