"""Images to encoder outputs: each distinct image goes through the vision tower once.

An image is known by its content, so the same photo loaded twice is one image. What the tower and the projector
make of it can be handed to the model in the place of pixels (`mm_encoder_outputs`), any number of times. Outputs are
kept across calls in a cache of bounded size, least recently used first out: a reference set is encoded once.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np
from PIL import Image

from methods import files
from methods.lmm.cpu import channels_last, keep_freed_memory, side_by_side
from methods.lmm.pixels import UNLIMITED, PixelLimit
from methods.lmm.reuse import memory
from methods.lmm.reuse.batching import Budget, halving
from methods.lmm.reuse.windows import few_calls
from methods.patience import steps

if TYPE_CHECKING:
    import torch
    from transformers.utils import ModelOutput

    from methods.lmm.loaded import Model, Processor

# Images in one pass of the tower at most: more gains nothing, and one image can be thousands of patches.
TOWER_BATCH = 8

_TEXT_INPUTS = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "text_replacement_offsets"}


@dataclass(frozen=True)
class ImageKey:
    """What an encoding depends on: the content, and for LLaVA-OneVision whether the prompt shows other images."""

    content: str
    alone: bool


def content_key(image: Image.Image) -> str:
    """A hash of an image's mode, size and pixels."""
    return files.hash_parts((f"{image.mode}:{image.size}", image.tobytes()))


@dataclass(frozen=True)
class Encoding:
    """One image as the text model sees it.

    Attributes:
        features: [tokens, hidden], in the order of the image's tokens.
        deepstack: Qwen3-VL's features for the first text layers, each [tokens, hidden]; empty in other families.
        pooled: float32 [features] on the host: the tower's output averaged over its tokens.
        placeholder: the text that stands for the image; it holds one image token per feature.
        grid: Qwen's (time, height, width) in patches, int64 [3]; None in other families.
    """

    features: torch.Tensor
    deepstack: tuple[torch.Tensor, ...]
    pooled: np.ndarray
    placeholder: str
    grid: torch.Tensor | None

    @property
    def bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (self.features, *self.deepstack)) + self.pooled.nbytes


@dataclass(frozen=True)
class _Prepared:
    key: ImageKey
    inputs: dict[str, torch.Tensor]
    placeholder: str

    def signature(self) -> tuple:
        """Images with equal signatures stack: same shapes, and same values where those are sizes."""
        return tuple(
            (name, tuple(value.shape), None if value.is_floating_point() or value.numel() > 16 else
             tuple(value.flatten().tolist()))
            for name, value in sorted(self.inputs.items())
        )


@dataclass(frozen=True, eq=False)
class Ahead:
    """What was made of an image before its turn.

    Attributes:
        image: held, so that no other object takes its identity meanwhile.
        key: its content, read once.
        prepared: what the processor made of it; None where its encoding was in the cache already.
    """

    image: Image.Image
    key: ImageKey
    prepared: _Prepared | None

    @property
    def nbytes(self) -> int:
        """Without the image's own pixels."""
        return 0 if self.prepared is None else sum(value.nbytes for value in self.prepared.inputs.values())


class VisionEncoder:
    """The vision tower of a model with a cache behind it.

    Args:
        model: a transformers model whose base has `get_image_features`.
        processor: its processor.
        cache_bytes: how much encoder output is kept across calls; 0 keeps none, None what the memory allows.
        limit: on the pixels of an image.
        frozen: whether the weights stay as they are; a tower that is being trained is run as it stands.
    """

    def __init__(self, model: Model, processor: Processor, cache_bytes: int | None, frozen: bool = False,
                 limit: PixelLimit = UNLIMITED) -> None:
        from methods.lmm.reuse.towers import with_fast_tower

        self._model, self._frozen = model, frozen
        self._processor = processor
        self._limit = limit
        self._takes = set(inspect.signature(model.model.get_image_features).parameters)
        on_cpu = model.device.type == "cpu"
        self._channels_last = on_cpu and channels_last(model)
        self._base = with_fast_tower(model.model) if self._channels_last and frozen else model.model
        if self._channels_last:
            keep_freed_memory()
        self.context_matters = "batch_num_images" in self._takes
        self._cache: OrderedDict[ImageKey, Encoding] = OrderedDict()
        # Planned on first use: a model may be loaded in a process that has no device yet.
        self._cache_bytes = self._given_bytes = cache_bytes
        self._share = 1.0
        self._patch_bytes = memory.patch_bytes(model)
        self._budget = Budget(lambda: memory.tower_bytes(model) or 2**62)
        self.cached_bytes = 0
        self._ahead: WeakValueDictionary[int, Ahead] = WeakValueDictionary()
        self._tokens: dict[tuple[int, int], int] = {}
        self.encoded = 0
        self.output_class: type[ModelOutput] | None = None
        self.as_list = False

    def limited_to(self, processor: Processor, limit: PixelLimit) -> VisionEncoder:
        """The same tower behind another processor; its cache begins empty, and is a quarter as large where the memory
        decides."""
        lower = VisionEncoder(self._model, processor, self._given_bytes, self._frozen, limit)
        lower._share = self._share / 4
        return lower

    def prepare(self, image: Image.Image, alone: bool = True) -> Ahead:
        """What the processor makes of an image, on any thread; `encode` uses it for as long as the caller holds it.

        Args:
            image: RGB; not to be changed afterwards.
            alone: whether its prompts show no other images.
        """
        key = ImageKey(content_key(image), alone or not self.context_matters)
        ahead = Ahead(image, key, None if key in self._cache else self._prepare(key, image))
        self._ahead[id(image)] = ahead
        return ahead

    def content(self, image: Image.Image) -> str:
        """`content_key` of an image; of one that was prepared, as it was then."""
        ahead = self._ahead.get(id(image))
        return content_key(image) if ahead is None else ahead.key.content

    def _prepared(self, key: ImageKey, image: Image.Image) -> _Prepared:
        ahead = self._ahead.get(id(image))
        if ahead is not None and ahead.prepared is not None and ahead.key == key:
            return ahead.prepared
        return self._prepare(key, image)

    def encode(self, images: dict[ImageKey, Image.Image]) -> dict[ImageKey, Encoding]:
        """Encodings of distinct images; from the cache where they are there.

        Raises:
            LMMError: the memory does not suffice for one image.
        """
        cached = {key: self._cached(key) for key in images}
        encodings = {key: encoding for key, encoding in cached.items() if encoding is not None}
        missing = [(key, image) for key, image in images.items() if key not in encodings]
        if self._channels_last:
            # Each by itself with a core of its own: in one pass eight images' activations leave a core's caches, and
            # each takes 1.6 times as long.
            for (key, _), encoding in zip(missing, side_by_side(self._encode_one, missing), strict=True):
                encodings[key] = encoding
        else:
            for start in steps(range(0, len(missing), TOWER_BATCH)):
                encodings.update(self._run([self._prepared(*one) for one in missing[start : start + TOWER_BATCH]]))
        self.encoded += len(missing)
        for key, encoding in encodings.items():
            self._keep(key, encoding)
        return {key: encodings[key] for key in images}

    def clear(self) -> None:
        """Empties the cache."""
        self._cache.clear()
        self.cached_bytes = 0

    def shed(self) -> bool:
        """Empties the cache, which is half as large from then on; whether there was anything in it."""
        had_encodings = bool(self._cache)
        self._cache_bytes = self._most_cached() // 2
        self.clear()
        return had_encodings

    def _most_cached(self) -> int:
        if self._cache_bytes is None:
            self._cache_bytes = int(self._share * memory.cache_bytes(self._model))
        return self._cache_bytes

    def tokens(self, size: tuple[int, int]) -> int:
        """How many tokens an image of (width, height) pixels takes that stands alone in its prompt."""
        if size not in self._tokens:
            count = getattr(self._processor, "_get_num_multimodal_tokens", None)
            if count is not None:
                self._tokens[size] = int(count(image_sizes=[self._limit.size(size)[::-1]])["num_image_tokens"][0])
            else:  # SmolVLM's processor: it is asked with a blank image
                blank = self._prepare(ImageKey("", alone=True), Image.new("RGB", size))
                self._tokens[size] = blank.placeholder.count(self._processor.image_token)
        return self._tokens[size]

    def _cached(self, key: ImageKey) -> Encoding | None:
        if key in self._cache:
            self._cache.move_to_end(key)
        return self._cache.get(key)

    def _keep(self, key: ImageKey, encoding: Encoding) -> None:
        most = self._most_cached()
        if key in self._cache or encoding.bytes > most:
            return
        self._cache[key] = encoding
        self.cached_bytes += encoding.bytes
        while self.cached_bytes > most:
            _, oldest = self._cache.popitem(last=False)
            self.cached_bytes -= oldest.bytes

    def _prepare(self, key: ImageKey, image: Image.Image) -> _Prepared:
        processor = self._processor
        image = self._limit.scaled(image)
        # Where the context matters, the image is shown twice and the second one is dropped.
        copies = 1 if key.alone else 2
        features = processor(
            text=[processor.image_token * copies], images=[[image] * copies], return_tensors="pt",
            return_text_replacement_offsets=True,
        )
        placeholder = features["text_replacement_offsets"][0][0]["replacement"]
        inputs = {name: value for name, value in features.items() if name not in _TEXT_INPUTS}
        if not key.alone:
            inputs = {name: value[: len(value) // copies] if name != "batch_num_images" else value
                      for name, value in inputs.items()}
        # In the model's precision at once: what waits for its turn then takes half the room on a GPU.
        inputs = {name: value.to(self._model.dtype) if value.is_floating_point() else value
                  for name, value in inputs.items() if name in self._takes}
        return _Prepared(key, inputs, placeholder)

    def _run(self, prepared: Sequence[_Prepared]) -> dict[ImageKey, Encoding]:
        groups: dict[tuple, list[_Prepared]] = {}
        for one in prepared:
            groups.setdefault(one.signature(), []).append(one)
        encodings: dict[ImageKey, Encoding] = {}
        for group in groups.values():
            most = max(1, self._budget.bytes() // max(self._cost(group[:1]), 1))
            for start in range(0, len(group), most):
                part = group[start : start + most]
                results = halving(self._forward, part, "one image",
                                  lambda fitted: self._budget.learn(self._cost(fitted)), self.shed)
                encodings.update({one.key: encoding for one, encoding in zip(part, results, strict=True)})
        return encodings

    def _cost(self, group: Sequence[_Prepared]) -> int:
        """Bytes of the tower's activations while it works on a group."""
        if "pixel_values" not in group[0].inputs:
            return 0
        return len(group) * memory.patches(self._model, group[0].inputs["pixel_values"]) * self._patch_bytes

    def _encode_one(self, entry: tuple[ImageKey, Image.Image]) -> Encoding:
        (encoding,) = halving(self._forward, [self._prepared(*entry)], "one image")
        return encoding

    def _forward(self, group: list[_Prepared]) -> list[Encoding]:
        import torch

        count = len(group)
        inputs = {}
        for name in group[0].inputs:
            value = inputs[name] = torch.cat([one.inputs[name] for one in group]).to(self._model.device)
            if self._channels_last and value.dim() == 4:
                inputs[name] = inputs[name].contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), few_calls(self._base):
            output = self._base.get_image_features(**inputs, return_dict=True)
        self.output_class, self.as_list = type(output), isinstance(output.pooler_output, (list, tuple))
        features = _shares(output.pooler_output, count)
        layers = [_shares(layer, count) for layer in getattr(output, "deepstack_features", None) or []]
        hidden = output.last_hidden_state
        if hidden.dim() == 4:
            # A convolutional tower: [images, channels, height, width].
            hidden = hidden.flatten(2).transpose(1, 2)
        pooled = [share.flatten(0, -2).float().mean(dim=0).cpu().numpy() for share in hidden.chunk(count)]
        return [
            Encoding(
                features=features[index],
                deepstack=tuple(layer[index] for layer in layers),
                pooled=pooled[index],
                placeholder=one.placeholder,
                grid=one.inputs["image_grid_thw"][0] if "image_grid_thw" in one.inputs else None,
            )
            for index, one in enumerate(group)
        ]


def _shares(features: torch.Tensor | Sequence[torch.Tensor], count: int) -> list[torch.Tensor]:
    """Cuts the features of `count` images with equal inputs into one [tokens, hidden] tensor per image."""
    import torch

    if isinstance(features, torch.Tensor):
        return [share.flatten(0, -2).clone() for share in features.chunk(count)]
    each = len(features) // count
    return [
        torch.cat([part.flatten(0, -2) for part in features[index * each : (index + 1) * each]])
        for index in range(count)
    ]
