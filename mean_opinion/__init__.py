"""No-reference image quality assessment with large multimodal models: the public names, in one place.

    >>> import mean_opinion
    >>> good, bad = mean_opinion.score(["assets/examples/coffee.jpg", "assets/examples/coffee-dark-and-noisy.jpg"])
    >>> bool(good > bad)
    True

A method that is kept is loaded once, and gives its evidence; a model can be shared by several methods:

    >>> lmm = mean_opinion.load_lmm("embedded", device="cpu")
    >>> method = mean_opinion.load_method("q-bench", lmm, max_pixels=1_000_000, question="five-level")
    >>> image = mean_opinion.decode("assets/examples/coffee.jpg").image
    >>> method.assess(image).evidence.words
    ('excellent', 'good', 'fair', 'poor', 'bad')
    >>> method.cost()
    1.0

What a score means, from scores of images that people have rated; None where nobody has measured that:

    >>> meaning = mean_opinion.explain(mean_opinion.load_method("leaf").assess(image))
    >>> meaning.low < meaning.mos < meaning.high, meaning.n
    (True, 399)

Importing it loads no model and no heavy library; that happens when something is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import IOBase
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from methods.base import ImageSource, Method, as_decoded, load_method, method_names
from methods.errors import InputError
from methods.images import Decoded, ImageError, decode
from methods.lmm.loading import load_lmm
from methods.meaning import explain
from methods.options import all_options
from methods.version import VERSION as __version__

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from methods.lmm.base import LMM

__all__ = ["__version__", "decode", "explain", "list_methods", "load_lmm", "load_method", "score"]

_ONE = (str, bytes, bytearray, memoryview, IOBase)
"""Kinds of one image that Python could also iterate over."""


def score(images: ImageSource | Iterable[ImageSource], method: str | Method = "leaf", lmm: LMM | str | None = None, *,
          device: str | None = None, dtype: str | torch.dtype | None = None, max_pixels: int | None = None,
          batch_size: int = 8, options: Mapping[str, object] | None = None, **more: object) -> NDArray[np.float64]:
    """The quality of one or many images: higher is better.

    Args:
        images: one image or many, each a path, a file's bytes, a PIL image or what `decode` gave.
        method: a name of `list_methods`, or a ready method of `load_method`, which spares loading it again.
        lmm, device, dtype, max_pixels: as `load_method`; to be left out with a ready method.
        batch_size: images that are decoded and handed to the method at once.
        options, more: changes to the method's options, as a mapping and by name.

    Returns:
        float64 [n] in [0, 1], in the order of `images`; n is 1 for one image.

    Raises:
        methods.errors.InputError: an unknown name or a bad value.
        methods.images.ImageError: an image cannot be used; of a path, the sentence names it.
        methods.lmm.LMMError: the model cannot be loaded, or failed.

    Example:
        >>> import mean_opinion
        >>> photo = "assets/examples/coffee.jpg"
        >>> mean_opinion.score(photo, "q-bench", lmm="embedded", question="five-level").shape
        (1,)
    """
    if isinstance(method, Method):
        if not (lmm is device is dtype is max_pixels is None):
            raise InputError("A ready method has its model and limits; give them to load_method.")
        ready, changes = method, all_options(options, more)
    else:
        ready = load_method(method, lmm, device, dtype, max_pixels, options, **more)
        changes = {}
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1; got {batch_size}.")
    is_one = isinstance(images, _ONE) or not isinstance(images, Iterable)
    several = cast("Iterable[ImageSource]", [images] if is_one else images)
    scores: list[float] = []
    batch: list[Decoded] = []
    for image in several:
        batch.append(_decoded(image, ready.max_pixels))
        if len(batch) == batch_size:
            scores += [one.score for one in ready.assess_batch(batch, **changes)]
            batch = []
    scores += [one.score for one in ready.assess_batch(batch, **changes)]
    return np.array(scores, dtype=np.float64)


def list_methods() -> list[str]:
    """The names of all methods: those that ship, then those that other installed packages add.

    Example:
        >>> import mean_opinion
        >>> mean_opinion.list_methods()[:3]
        ['q-bench', 'iqarag', 'llm-iqa']
    """
    return list(method_names())


def _decoded(image: ImageSource, max_pixels: int | None) -> Decoded:
    try:
        return as_decoded(image, max_pixels)
    except ImageError as error:
        if isinstance(image, (str, Path)):
            raise ImageError(f"{image}: {error}") from error
        raise
