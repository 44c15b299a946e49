"""transformers as it comes, in a process of its own: what this project sets on a model or a process cannot help it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from methods.lmm import Prompt
from methods.lmm.transformers_lmm import TransformersLMM


class PlainProcess:
    """One prompt after the other, pictures as pixels, one forward pass of `AutoModelForImageTextToText` each.

    Args:
        folder: the checkpoint.
        lmm: the same model, asked only how it words its prompts.
    """

    def __init__(self, folder: Path, lmm: TransformersLMM) -> None:
        self._lmm = lmm
        self._pipe, theirs = multiprocessing.Pipe()
        multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, theirs), daemon=True).start()

    def ask(self, prompts: Sequence[Prompt], words: Sequence[str]) -> int:
        """Hands over what `run` shall do when it is given the number returned."""
        self._pipe.send(self._lmm.as_sent(prompts, words))
        return self._pipe.recv()

    def run(self, number: int = 0) -> tuple[float, np.ndarray]:
        """Seconds that the prompts take, and their logits, float32 [prompts, words]."""
        self._pipe.send(number)
        return self._pipe.recv()


def _serve(folder: Path, pipe: Connection) -> None:
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from methods.lmm.plain import PlainRunner

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    runner = PlainRunner(model, AutoProcessor.from_pretrained(folder))
    works: list[Any] = []
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        if not isinstance(message, int):
            works.append(message)
            runner.word_logits(message[0][:1], message[1][:1])
            pipe.send(len(works) - 1)
            continue
        start = time.perf_counter()
        rows = runner.word_logits(*works[message])
        pipe.send((time.perf_counter() - start, rows))
