"""What Q-Debias costs: each distortion per megapixel, and an image against one vanilla pass and the naive loop.

    python benchmarks/q_debias.py [--lmm embedded] [--pictures 8] [--repeats 3] [--threads 1] [--images DIR]

Everything is timed in one run, in turns, so that what else the machine does falls on all sides alike; the time of the
processors is printed beside the time on the clock, because a busy machine stretches only the latter. No encoding is
kept from one call to the next. The vanilla pass and the naive loop are timed twice: in this process, where the tower is
laid out as this project does it, and with transformers as it comes (`plain_process`), there without degrading.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from benchmarks.plain_process import PlainProcess
from methods.lmm import load_lmm
from methods.lmm.plain import PlainRunner
from methods.lmm.transformers_lmm import TransformersLMM
from methods.q_bench.method import QBench
from methods.q_debias.distortions import DISTORTIONS
from methods.q_debias.evidence import degrade
from methods.q_debias.method import QDebias, degrade_all
from methods.q_debias.prompts import WORDS, condition_prompt, similarity_prompt, vanilla_prompt

LIMIT_MS = 150.0


def time_distortions(repeats: int) -> None:
    """Processor milliseconds for 1 megapixel in one thread, for a square, a photo's shape and a panorama."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    print(f"{'milliseconds of one core for 1 megapixel':40}" + "".join(f"{name:>11}" for name in DISTORTIONS))
    for height, width in ((1000, 1000), (864, 1152), (500, 2000)):
        picture = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
        row = []
        for distort in DISTORTIONS.values():
            call = partial(distort, picture, rng=np.random.default_rng(0))
            times = [seconds(call)[1] for _ in range(repeats + 1)][1:]
            row.append(1000 * min(times) * 1e6 / (height * width))
        print(f"{f'{width} x {height}':40}" + "".join(f"{value:11.1f}" for value in row)
              + ("" if max(row) < LIMIT_MS else f"   above {LIMIT_MS:g}"))
    cv2.setNumThreads(threads)


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """On the clock, and of all processors together."""
    start, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - used


def naive(lmm: TransformersLMM, picture) -> float:
    """The released script: every prompt by itself, both pictures through the vision tower each time."""
    quality, similarity = [], []
    good_poor, yes_no = WORDS["lower"][:2], WORDS["lower"][2:]
    for name in DISTORTIONS:
        copy = degrade(picture, name)
        quality.append(softmax(lmm.word_logits([condition_prompt(copy, picture)], good_poor)[0])[0])
        similarity.append(softmax(lmm.word_logits([similarity_prompt(copy, picture)], yes_no)[0])[0])
    return float(softmax(np.array(similarity)) @ quality)


def softmax(values: np.ndarray) -> np.ndarray:
    exponentials = np.exp(values.astype(np.float64) - values.max())
    return exponentials / exponentials.sum()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lmm", default="embedded", help="a name for load_lmm")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="threads of torch and OpenCV; by default one per core")
    parser.add_argument("--images", type=Path, help="a folder of pictures; by default photographs of scikit-image")
    chosen = parser.parse_args()
    time_distortions(chosen.repeats)

    if chosen.threads:
        import torch

        torch.set_num_threads(chosen.threads)
        cv2.setNumThreads(chosen.threads)
    pictures = load_pictures(chosen.images, chosen.pictures)
    lmm = load_lmm(chosen.lmm, vision_cache_bytes=0)
    plain = TransformersLMM.__new__(TransformersLMM)
    plain.__dict__.update(lmm.__dict__)
    plain._runner = PlainRunner(lmm.model, lmm.processor)
    vanilla, method = QBench(lmm), QDebias(lmm)
    sides: dict[str, Callable[[], object]] = {
        "vanilla pass": lambda: [vanilla.assess(one) for one in pictures],
        "Q-Debias": lambda: [method.assess(one) for one in pictures],
        "Q-Debias, a folder at once": lambda: method.assess_batch(pictures),
        "naive loop": lambda: [naive(plain, one) for one in pictures],
        "of which degrading": lambda: [degrade_all([one], method.options) for one in pictures],
    }
    for call in sides.values():
        call()
    released = PlainProcess(lmm.model.name_or_path, lmm)
    asked = {"vanilla pass": [vanilla_prompt(one) for one in pictures],
             "naive loop": [ask(degrade(one, name), one) for one in pictures for name in DISTORTIONS
                            for ask in (condition_prompt, similarity_prompt)]}
    numbers = {name: released.ask(prompts, WORDS["lower"]) for name, prompts in asked.items()}
    plainly: dict[str, list[float]] = {name: [] for name in asked}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(chosen.repeats):
        for name, number in numbers.items():
            plainly[name].append(released.run(number)[0])
        for name, call in sides.items():
            times[name].append(seconds(call))
    middle = {name: [statistics.median(values) / len(pictures) for values in zip(*taken)]
              for name, taken in times.items()}
    difference = max(abs(method.assess(one).score - naive(plain, one)) for one in pictures)
    size = f"{pictures[0].width} x {pictures[0].height}"
    print(f"\n{lmm.name}@{lmm.revision[:12]}, {len(pictures)} pictures such as {size}, median of {chosen.repeats}, "
          f"seconds per image:")
    print(f"  {'':28}{'clock':>9}{'x vanilla':>11}{'processors':>13}{'x vanilla':>11}")
    base = middle["vanilla pass"]
    for name, (clock, used) in middle.items():
        print(f"  {name:28}{clock:9.4f}{clock / base[0]:11.2f}{used:13.4f}{used / base[1]:11.2f}")
    plain_base, plain_naive = (statistics.median(plainly[name]) / len(pictures) for name in asked)
    print("  transformers as it comes:")
    print(f"  {'vanilla pass':33}{plain_base:9.4f}{1:11.2f}")
    print(f"  {'naive loop':33}{plain_naive:9.4f}{plain_naive / plain_base:11.2f}")
    for name in ("Q-Debias", "Q-Debias, a folder at once"):
        print(f"  {name + ', here':33}{middle[name][0]:9.4f}{middle[name][0] / plain_base:11.2f}")
    print(f"  largest difference of the scores, ours against the naive loop: {difference:.1e}")
    return 0


def load_pictures(folder: Path | None, count: int) -> list:
    if folder is None:
        from benchmarks.pictures import photographs

        return photographs(count)
    from methods.images import PICTURE_SUFFIXES, decode

    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)[:count]
    return [decode(path).image for path in paths]


if __name__ == "__main__":
    raise SystemExit(main())
