"""An LMM for tests of pages: it has only to say what it thinks of a picture."""

from __future__ import annotations

import numpy as np

from methods.lmm.base import LMM, LMMError


class Mute(LMM):
    """Gives word logits, which a subclass has to make up, and cannot speak."""

    revision, image_budget = "1", 8

    def generate(self, prompts, n=1, **settings):
        raise LMMError("This model cannot speak.")

    def stream(self, prompt, **settings):
        raise LMMError("This model cannot speak.")

    def embed(self, images):
        return np.zeros((len(images), 4), np.float32)
