"""How many pixels of an image an LMM is shown: the limit that decides what a photo costs.

A photo of 12 megapixels is 11,844 tokens to Qwen3-VL and 768 at 1024 x 768, so the limit is a setting of the model, is
recorded with every result, and belongs to a run. It never goes above what the checkpoint itself takes. By default:

    family                          limit                             tokens of a photo, at most
    Qwen2.5-VL                      2^20, 1024 x 1024                 1,337
    Qwen3-VL                        2^20, 1024 x 1024                 1,024
    InternVL                        6 tiles of 448 x 448              1,792 with the thumbnail
    LLaVA-NeXT, LLaVA-OneVision     6 tiles of the tower's size       5,265 of 384 x 384, with the whole and line ends
    Idefics3, SmolVLM               the checkpoint's own              1,377 in 4 x 4 tiles and the whole (SmolVLM2)
    LLaVA, Gemma 3, the embedded    none: they scale every image      576, 256, 1
                                    to one size themselves
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from methods.errors import InputError
from methods.lmm.base import LMMError

if TYPE_CHECKING:
    from methods.lmm.loaded import Model, Processor

DEFAULT_PIXELS = 2**20
DEFAULT_TILES = 6
_QWENS_SLIMMEST = 200


@dataclass(frozen=True)
class PixelLimit:
    """The limit of one model.

    Attributes:
        pixels: the most that an image may have, or that its tiles may have together; None where every image is
            scaled to one size anyway and nobody asked for less.
        beforehand: larger images are scaled down before the processor sees them, since it has no limit of its own.
        slimmest: how many times longer than wide an image may be; None for any.
        varies: whether the processor alone holds the limit, so that one model can serve several.
    """

    pixels: int | None = None
    beforehand: bool = False
    slimmest: int | None = None
    varies: bool = False

    def scaled(self, image: Image.Image) -> Image.Image:
        """The image as the processor is handed it. Errors as `size`."""
        size = self.size(image.size)
        return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of an image as the processor is handed it.

        Raises:
            LMMError: the image is too slim for the processor.
        """
        from methods.images.decoding import size_within

        if self.slimmest is not None and max(size) > self.slimmest * min(size):
            raise LMMError(f"An image of {size[0]} x {size[1]} pixels is too slim for this model, which takes none "
                           f"that is more than {self.slimmest} times longer than wide; cut it.")
        return size_within(size, self.pixels) if self.pixels is not None and self.beforehand else size


UNLIMITED = PixelLimit()


def limited(model: Model, processor: Processor, request: int | None, default: bool = True) -> PixelLimit:
    """Sets the limit of a processor, and of the model's config where the two must agree.

    Args:
        model: a transformers model.
        processor: its processor; changed in place.
        asked: the most pixels of one image, at least 1; None for the family's default.
        default: False leaves the checkpoint's own limit where nothing is asked.

    Returns:
        the limit in force: what was asked, or the checkpoint's own where that is less.

    Raises:
        InputError: a limit below 1.
    """
    if request is not None and request < 1:
        raise InputError(f"max_pixels must be at least 1; got {request}.")
    images: Any = getattr(processor, "image_processor", None)
    size = getattr(images, "size", None) or {}
    tile = (_edge(size, "height") or 0) * (_edge(size, "width") or 0)

    def chosen(own: int, usual: int) -> int:
        return min(own, request if request is not None else usual if default else own)

    if (most := _edge(size, "longest_edge")) and hasattr(images, "merge_size"):  # Qwen: limits on the area
        pixels = chosen(most, DEFAULT_PIXELS)
        if pixels < most:
            least = min(_edge(size, "shortest_edge") or pixels, pixels)
            images.size = {"shortest_edge": least, "longest_edge": pixels}
        return PixelLimit(pixels, slimmest=_QWENS_SLIMMEST, varies=True)
    if tile and getattr(images, "crop_to_patches", None) is not None:  # InternVL: a number of tiles
        pixels = chosen(images.max_patches * tile, DEFAULT_TILES * tile)
        images.max_patches = max(images.min_patches, pixels // tile)
        return PixelLimit(pixels, varies=True)
    if shapes := getattr(images, "image_grid_pinpoints", None):  # LLaVA-OneVision: shapes that tiles are laid in
        areas = [height * width for height, width in shapes]
        pixels = chosen(max(areas), DEFAULT_TILES * min(areas))
        fitting = [shape for shape, area in zip(shapes, areas) if area <= max(pixels, min(areas))]
        images.image_grid_pinpoints = fitting
        # The model finds by it how the tiles lie.
        model.config.image_grid_pinpoints = fitting
        return PixelLimit(pixels)
    split = _edge(getattr(images, "max_image_size", None) or {}, "longest_edge")
    if most and split and images.do_image_splitting:  # Idefics3: the longer side, in whole tiles
        pixels = chosen(most**2, most**2)
        if pixels < most**2:
            images.size = {"longest_edge": max(math.isqrt(pixels) // split, 1) * split}
        return PixelLimit(pixels, varies=True)
    return PixelLimit(request, beforehand=True)


def _edge(size: object, name: str) -> int | None:
    """One entry of a size of transformers, which is a dictionary or looks like one."""
    value = size.get(name) if isinstance(size, dict) else getattr(size, name, None)
    return None if value is None else int(value)
