"""What one assessment asks of a device, counted before a model is loaded: so that time can be asked for in advance."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """The work on some images with one LMM.

    Attributes:
        prompts: that are processed.
        pixels: of all images in all prompts, as the LMM is shown them.
        tokens: decoding steps, one after the other, at most; several samples of a prompt take them together.
        seconds: of anything beside the LMM, as on the slowest device that the project speaks of.
    """

    prompts: float = 0.0
    pixels: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.prompts + other.prompts, self.pixels + other.pixels, self.tokens + other.tokens,
                    self.seconds + other.seconds)
