"""What sharing pictures and prefixes saves: four prompts about the same three pictures, the plain way and ours.

    python -m benchmarks.lmm_reuse                      a random Qwen3-VL of about 10 million parameters
    python -m benchmarks.lmm_reuse --lmm embedded       any LMM that runs in this process

The plain way sends one prompt at a time through the whole model, pictures as pixels. Ours encodes each picture once
and computes the common prefix once. The two are timed in turns, in one process, from an empty cache; the table gives
the median of the runs, and the largest difference between the logits.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from methods.lmm import Prompt
from methods.lmm.loading import load_lmm
from methods.lmm.plain import PlainRunner
from methods.lmm.transformers_lmm import TransformersLMM

WORDS = ["good", "poor"]
QUESTIONS = (
    "Rate the quality of the last image. Good or poor?",
    "Is the last image sharp? Good or poor?",
    "How is the noise of the last image? Good or poor?",
    "Rate the colours of the last image. Good or poor?",
)


def prompts(pictures: list[Image.Image]) -> list[Prompt]:
    """Pictures first, so that the prompts share them as a prefix; the questions differ."""
    return [Prompt.ask(*pictures, question, answer_prefix="The quality of the image is") for question in QUESTIONS]


def photos(count: int, side: int) -> list[Image.Image]:
    """Smooth colours with noise, in three aspect ratios."""
    rng = np.random.default_rng(0)
    shapes = [(side, side), (side, side * 3 // 4), (side * 3 // 4, side)]
    made = []
    for index in range(count):
        height, width = shapes[index % len(shapes)]
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((width, height))
        noisy = np.asarray(coarse, dtype=float) + rng.normal(0, 10, (height, width, 3))
        made.append(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)))
    return made


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lmm", help="a name for load_lmm; by default a random Qwen3-VL is built")
    parser.add_argument("--pictures", type=int, default=3)
    parser.add_argument("--side", type=int, default=512, help="pixels of a picture's longer side")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lmm = load_lmm(arguments.lmm) if arguments.lmm else random_model(folder)
    asked = prompts(photos(arguments.pictures, arguments.side))
    plain = PlainRunner(lmm.model, lmm.processor)
    rendered, tokens = lmm.as_sent(asked, WORDS)

    def ours() -> np.ndarray:
        lmm.vision.clear()
        return lmm.word_logits(asked, WORDS)

    def naive() -> np.ndarray:
        return plain.word_logits(rendered, tokens)

    difference = float(np.abs(ours() - naive()).max())
    timed = [(seconds(naive), seconds(ours)) for _ in range(arguments.runs)]
    slow, fast = (statistics.median(column) for column in zip(*timed))
    parameters = sum(parameter.numel() for parameter in lmm.model.parameters())
    print(f"{lmm.name}, {parameters / 1e6:.1f} M parameters on {lmm.model.device}: {len(asked)} prompts, "
          f"{arguments.pictures} pictures each, {arguments.runs} runs in turns")
    print(f"{'':<34}{'seconds':>9}")
    print(f"{'one prompt at a time, pixels':<34}{slow:>9.3f}")
    print(f"{'shared pictures and prefix':<34}{fast:>9.3f}")
    print(f"{'times faster':<34}{slow / fast:>9.2f}")
    print(f"{'largest difference of a logit':<34}{difference:>9.1e}")


def random_model(folder: str) -> TransformersLMM:
    from tests import tiny_lmm

    tiny_lmm.build("qwen3_vl", folder, width=256, layers=6, most_pixels=224 * 224)
    return TransformersLMM(folder, name="random Qwen3-VL")


if __name__ == "__main__":
    main()
