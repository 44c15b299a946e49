"""A stand-in LMM that is easy to reason about: it likes bright pictures. And small pictures for it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from methods.lmm.base import LMM


def grey(value: int, size: tuple[int, int] = (24, 16)) -> Image.Image:
    """A picture of one grey, with one odd pixel so that sizes matter to its hash."""
    return Image.new("RGB", size, (value, value, value))


class BrightnessLMM(LMM):
    """Thinks bright pictures good, and trusts the references' mean brightness with a known weight.

    Its feature of a picture is (brightness, 0), so distances are differences of brightness.
    """

    name = "brightness"
    revision = "1"
    image_budget = 12

    def __init__(self) -> None:
        self.prompts: list = []
        self.calls = 0
        self.embedded = 0

    @staticmethod
    def brightness(image: Image.Image) -> float:
        return float(np.asarray(image.convert("L"), dtype=np.float64).mean() / 255)

    def word_logits(self, prompts, words):
        self.calls += 1
        self.prompts += prompts
        rows = []
        for prompt in prompts:
            *references, query = [self.brightness(image) for image in prompt.images]
            quality = query if not references else 0.75 * query + 0.25 * float(np.mean(references))
            rows.append([-20 * (quality - weight) ** 2 for weight in (1, 0.75, 0.5, 0.25, 0)])
        return np.array(rows, dtype=np.float32).reshape(len(prompts), len(words))

    def generate(self, prompts, n=1, **sampling):
        raise NotImplementedError

    def stream(self, prompt, **sampling):
        raise NotImplementedError

    def embed(self, images):
        self.embedded += len(images)
        return np.array([[self.brightness(image), 0.0] for image in images], dtype=np.float32).reshape(-1, 2)
