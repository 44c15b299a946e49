"""Prompts as rows of tokens in which every image token knows its image.

Two prompts with different photos have the same token ids: a run of image tokens each. Compared by ids alone they
would share a prefix that they do not share. So each row carries, beside its ids, keys in which an image's tokens are
numbered by content; equal keys mean equal hidden states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from methods.lmm.base import LMMError
from methods.lmm.rendering import Rendered, tokenize
from methods.lmm.reuse.vision import Encoding, ImageKey, VisionEncoder

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from methods.lmm.loaded import Model, Processor

# More tokens than any image has; keeps the numbers of one image's tokens apart from the next one's.
_TOKENS_PER_PICTURE = 2**24


@dataclass(frozen=True)
class Row:
    """One prompt, ready for the text model.

    Attributes:
        ids: int64 [tokens].
        keys: int64 [tokens]; the id of a text token, a negative number for an image's token.
        positions: int64 [tokens], or [3, tokens] (time, height, width) for M-RoPE.
        encodings: the images in the order of their tokens.
        ends: for each image, the index after its last token.
    """

    ids: np.ndarray
    keys: np.ndarray
    positions: torch.Tensor
    encodings: tuple[Encoding, ...]
    ends: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def encodings_in(self, start: int, stop: int) -> list[Encoding]:
        """The images whose tokens lie within [start, stop); prefixes never cut an image."""
        return [encoding for encoding, end in zip(self.encodings, self.ends) if start < end <= stop]


class Layout:
    """Makes rows for one model.

    Args:
        model: a transformers model of a family in `runner.SHARING_FAMILIES`.
        processor: its processor.
        vision: encodes the images.
        max_tokens: the text model's longest input.
    """

    def __init__(self, model: Model, processor: Processor, vision: VisionEncoder, max_tokens: int) -> None:
        self._model = model
        self._processor = processor
        self._vision = vision
        self._max_tokens = max_tokens
        self.image_token = model.config.image_token_id

    def rows(self, rendered: Sequence[Rendered]) -> list[Row]:
        """One row per prompt; every distinct image among them is encoded once.

        Raises:
            LMMError: a prompt is longer than the model's longest input, or the memory does not suffice.
        """
        contents: dict[int, str] = {}
        images: dict[ImageKey, Image] = {}
        keys_of: list[list[ImageKey]] = []
        for one in rendered:
            keys = []
            for image in one.images:
                if id(image) not in contents:
                    contents[id(image)] = self._vision.content(image)
                key = ImageKey(contents[id(image)], alone=len(one.images) == 1 or not self._vision.context_matters)
                images[key] = image
                keys.append(key)
            keys_of.append(keys)
        encodings = self._vision.encode(images)
        numbers = {key: number for number, key in enumerate(images)}
        return [
            self._row(one, [encodings[key] for key in keys], [numbers[key] for key in keys])
            for one, keys in zip(rendered, keys_of, strict=True)
        ]

    def _row(self, rendered: Rendered, encodings: list[Encoding], numbers: list[int]) -> Row:
        pieces = rendered.text.split(self._processor.image_token)
        text = pieces[0] + "".join(
            encoding.placeholder + piece for encoding, piece in zip(encodings, pieces[1:], strict=True)
        )
        ids = np.asarray(tokenize(self._processor, text), dtype=np.int64)
        if len(ids) > self._max_tokens:
            raise LMMError(
                f"The prompt has {len(ids)} tokens but the model reads at most {self._max_tokens}; show fewer or "
                f"smaller images, or shorten the text."
            )
        places = np.flatnonzero(ids == self.image_token)
        counts = [len(encoding.features) for encoding in encodings]
        if len(places) != sum(counts):
            raise RuntimeError(f"{len(places)} image tokens stand for {sum(counts)} image features.")
        keys, ends, start = ids.copy(), [], 0
        for number, count in zip(numbers, counts):
            own = places[start : start + count]
            keys[own] = -(number * _TOKENS_PER_PICTURE + np.arange(count) + 1)
            ends.append(int(own[-1]) + 1)
            start += count
        return Row(ids, keys, self._positions(ids, encodings), tuple(encodings), tuple(ends))

    def _positions(self, ids: np.ndarray, encodings: list[Encoding]) -> torch.Tensor:
        import torch

        base = self._model.model
        if not hasattr(base, "get_rope_index"):
            return torch.arange(len(ids))
        tokens = torch.from_numpy(ids)[None]
        known = [encoding.grid for encoding in encodings if encoding.grid is not None]
        grids = torch.stack(known) if known else None
        positions: torch.Tensor
        positions, _ = base.get_rope_index(
            tokens, mm_token_type_ids=(tokens == self.image_token).int(), image_grid_thw=grids
        )
        return positions[:, 0]
