"""What the student sees: networks that turn an image into a row of features, behind one protocol.

The embedded backbone is an EfficientNet-Lite tower whose weights lie in the repository, so a fresh clone scores its
first image offline. Any vision model of the Hub serves as well: ConvNeXt as in the paper, MobileNet, ResNet, DINOv2.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from methods import files
from methods.errors import UserError
from methods.hub import loading
from methods.images import decode
from methods.leaf.efficientnet import EfficientNetLite, normalise
from methods.lmm.cpu import keep_freed_memory, side_by_side

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of red, green and blue

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


class BackboneError(UserError, RuntimeError):
    """The network cannot be had; one sentence says what to do."""


class Backbone(ABC):
    """A frozen network.

    Attributes:
        name: what `load_backbone` was asked for.
        width: number of features.
    """

    name: str
    width: int

    @abstractmethod
    def features_of(self, image: Image.Image) -> np.ndarray:
        """float32 [width] of one RGB image."""

    def whole_and_local(self, image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
        """`features_of`, and float32 [rows, columns, width], the features of each neighbourhood; None where the network
        has no maps. One pass."""
        return self.features_of(image), None

    def config(self) -> dict[str, object]:
        """What a student's card needs to build this backbone again."""
        return {"name": self.name}

    def tensors(self) -> dict[str, Tensor]:
        """Weights that have to be saved with a student; none for a model of the Hub."""
        return {}

    def features(self, images: Sequence[object], progress: Progress | None = None) -> np.ndarray:
        """Features of many images, float32 [n, width]; images are worked on side by side, one core each.

        Args:
            images: anything that `methods.images.decode` takes.
            progress: told after every image.

        Raises:
            methods.images.ImageError: one of the sources is not a usable image.
        """
        if not len(images):
            return np.zeros((0, self.width), dtype=np.float32)
        rows = []
        # One image per thread on one core each beats one image on all cores: its maps stay in the core's cache.
        for row in side_by_side(lambda image: self.features_of(decode(image).image), images):
            rows.append(row)
            if progress is not None:
                progress(len(rows), len(images))
        return np.stack(rows)

    def features_and_maps(self, images: Sequence[object], score: Callable[[np.ndarray], np.ndarray]
                          ) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """`features_of` each image with the scores of its neighbourhoods, float [rows, columns], or None without maps.

        Args:
            images: as for `features`; worked on side by side as there, errors as there.
            score: float32 [rows, columns, width] -> float [rows, columns]. Called at once, since a map of features is a
                hundred times as large as the image.
        """
        def of_one(image: object) -> tuple[np.ndarray, np.ndarray | None]:
            row, local = self.whole_and_local(decode(image).image)
            return row, None if local is None else score(local)

        return side_by_side(of_one, images)


class TowerBackbone(Backbone):
    """Statistics of an EfficientNet-Lite tower's activations.

    Per channel of the wide maps of the blocks in `taps`: the square roots of the mean, of the standard deviation, and
    of the mean over the quarter of the image in which the channel is least active. Per channel of the narrow maps: mean
    and standard deviation. The quarter is there because people rate an image by its worst part too.

    Args:
        tower: with at least as many blocks as are tapped.
        taps: numbers of the blocks whose wide maps are looked at, ascending.
        narrow: numbers of the blocks whose narrow outputs are, ascending.
        longest_side: images are scaled down to it in pixels, never up beyond `shortest_side`.
    """

    STATISTICS, NARROW_STATISTICS = 3, 2

    def __init__(self, tower: EfficientNetLite, taps: Sequence[int], narrow: Sequence[int] = (),
                 longest_side: int = 500, name: str = "embedded") -> None:
        # The maps of one image are tens of megabytes; paging them in anew takes a quarter of the time.
        keep_freed_memory()
        self.name = name
        self.tower = tower.float().eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.taps, self.narrow = tuple(taps), tuple(narrow)
        self.longest_side = longest_side
        self.width = sum(self.widths().values())

    def widths(self) -> dict[tuple[str, int], int]:
        """Number of features of each ("wide" or "narrow", block), in their order."""
        wide = {("wide", tap): self.STATISTICS * self.tower.widths[tap] for tap in self.taps}
        return wide | {("narrow", block): self.NARROW_STATISTICS * self.tower.outputs[block] for block in self.narrow}

    def config(self) -> dict[str, object]:
        return {"name": self.name, "variant": self.tower.variant, "taps": list(self.taps),
                "narrow": list(self.narrow), "longest_side": self.longest_side}

    def tensors(self) -> dict[str, Tensor]:
        return dict(self.tower.state_dict())

    def input_of(self, image: Image.Image) -> Tensor:
        """The image as the tower takes it, float32 [1, 3, H, W]."""
        return normalise(torch.from_numpy(np.array(image_within(image, self.longest_side)))[None])

    @torch.inference_mode()
    def features_of(self, image: Image.Image) -> np.ndarray:
        return self.statistics(*self.tower(self.input_of(image), self.taps, self.narrow))[0].numpy()

    @staticmethod
    def statistics(wide: Sequence[Tensor], narrow: Sequence[Tensor] = ()) -> Tensor:
        """Statistics of maps [n, c, h, w] each: [n, width]."""
        parts = []
        for maps in wide:
            cells, mean, deviation = _moments(maps)
            rows, columns = ((slice(0, (side + 1) // 2), slice(side // 2, side)) for side in maps.shape[2:])
            halves = [cells[:, part].mean(1) for part in rows]
            quarters = torch.stack([half[:, part].mean(1) for half in halves for part in columns])
            parts += [_evened(part) for part in (mean, deviation, quarters.amin(0))]
        for maps in narrow:
            _, mean, deviation = _moments(maps)
            parts += [mean, deviation]
        return torch.cat(parts, dim=1)

    @torch.inference_mode()
    def whole_and_local(self, image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
        """A neighbourhood is a window of 7x7 cells around one of the last map's cells (about 220 pixels)."""
        wide, narrow = self.tower(self.input_of(image), self.taps, self.narrow)
        return self.statistics(wide, narrow)[0].numpy(), self._local(wide, narrow)

    @staticmethod
    def _local(wide: Sequence[Tensor], narrow: Sequence[Tensor]) -> np.ndarray:
        """The `statistics` of each neighbourhood: float32 [rows, columns, width]."""
        grid, parts = (narrow or wide)[-1].shape[2:], []
        size = _window(grid)
        half = max(size // 2, 1) // 2 * 2 + 1
        reach = max(size // 4, 1)
        for of_wide, maps in (*((True, maps) for maps in wide), *((False, maps) for maps in narrow)):
            # Moments of finer maps over the coarsest one's cells: a window is then the same region in all of them.
            mean, square = (F.adaptive_avg_pool2d(part, grid) for part in (maps, maps * maps))
            quarters = -F.max_pool2d(-_averaged(mean, half), 2 * reach + 1, 1, reach)
            mean, square = _averaged(mean, size), _averaged(square, size)
            deviation = (square - mean * mean).clamp_min(0).sqrt()
            parts += [_evened(part) for part in (mean, deviation, quarters)] if of_wide else [mean, deviation]
        return torch.cat(parts, dim=1)[0].permute(1, 2, 0).numpy()


def _moments(maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maps [n, c, h, w] as cells [n, h, w, c], with the mean and the standard deviation of each channel [n, c]."""
    # Channels lie next to each other in memory: summing over the rows before them is four times as fast as the same
    # sum over the last two axes.
    cells = maps.permute(0, 2, 3, 1)
    mean = cells.mean((1, 2))
    return cells, mean, (cells - mean[:, None, None]).square().mean((1, 2)).sqrt()


def _evened(statistics: Tensor) -> Tensor:
    """Under a square root, which evens out activations that pile up near zero; the shift keeps its gradient finite."""
    return (statistics.clamp_min(0) + 1e-6).sqrt()


def _window(grid: Sequence[int]) -> int:
    """Side of a neighbourhood in cells: 7, or what is odd and fits a smaller grid."""
    return min(7, min(grid) // 2 * 2 + 1)


def _averaged(maps: Tensor, size: int) -> Tensor:
    """Mean over a window of size x size cells around each cell, those beyond the edge left out."""
    return F.avg_pool2d(maps, size, 1, size // 2, count_include_pad=False)


def image_within(image: Image.Image, longest_side: int, shortest_side: int = 64) -> Image.Image:
    """RGB, scaled down to `longest_side`; a side that is then below `shortest_side` is enlarged to it."""
    image = image.convert("RGB")
    scale = min(1.0, longest_side / max(image.size))
    size = tuple(max(shortest_side, round(side * scale)) for side in image.size)
    if size == image.size:
        return image
    # Halving by boxes first is several times faster than one bicubic step and as good at this ratio.
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


class HubBackbone(Backbone):
    """Mean and standard deviation of every stage of a vision model from the Hub or a folder.

    Args:
        name: a Hub id ("facebook/convnext-base-224-22k"), a folder, or "timm:NAME" for a model of the timm package.
        longest_side: images are scaled down to it where the network takes any size.

    Raises:
        BackboneError: the model cannot be loaded; one sentence.
    """

    def __init__(self, name: str, longest_side: int = 512) -> None:
        self.name = name
        self.longest_side = longest_side
        self._mean, self._deviation = torch.tensor(_IMAGENET[0]), torch.tensor(_IMAGENET[1])
        self._stages = self._from_timm(name[5:]) if name.startswith("timm:") else self._from_transformers(name)
        self.width = len(self.features_of(Image.new("RGB", (self._side, self._side))))

    def config(self) -> dict[str, object]:
        return {"name": self.name, "longest_side": self.longest_side}

    def _from_timm(self, name: str) -> Callable[[Tensor], Sequence[Tensor]]:
        from methods.torchvision_compat import ensure_torchvision

        ensure_torchvision()
        try:
            import timm
        except ImportError:
            raise BackboneError(f"timm:{name} needs the timm package; run pip install timm.") from None
        with self._loading():
            model = timm.create_model(name, pretrained=True, features_only=True).eval()
        settings = model.pretrained_cfg if hasattr(model, "pretrained_cfg") else model.default_cfg
        self._normalised_by(settings.get("mean"), settings.get("std"))
        self._side, self._fixed = settings.get("input_size", (3, 224, 224))[-1], False
        return model

    def _from_transformers(self, name: str) -> Callable[[Tensor], Sequence[Tensor]]:
        from methods.torchvision_compat import ensure_torchvision

        ensure_torchvision()
        from transformers import AutoConfig, AutoModel
        from transformers.image_processing_base import ImageProcessingMixin

        with self._loading():
            config = AutoConfig.from_pretrained(name)
            model = AutoModel.from_pretrained(name).eval()
        try:
            processor, _ = ImageProcessingMixin.get_image_processor_dict(name)
        except OSError:
            processor = {}  # weights without one: ImageNet's normalisation
        self._normalised_by(processor.get("image_mean"), processor.get("image_std"))
        vision = getattr(model, "vision_model", model)
        side = getattr(getattr(config, "vision_config", config), "image_size", 224)
        self._side = int(side[0] if isinstance(side, (list, tuple)) else side)
        # Transformers with learned positions take one size; convolutional ones take any.
        self._fixed = any(hasattr(module, "position_embeddings") or hasattr(module, "position_embedding")
                          for module in vision.modules())
        return lambda images: vision(pixel_values=images, output_hidden_states=True).hidden_states

    def _loading(self) -> contextlib.AbstractContextManager[None]:
        return loading(self.name, BackboneError, "give a vision model's Hub id or folder, or 'embedded'")

    def _normalised_by(self, mean: Sequence[float] | None, deviation: Sequence[float] | None) -> None:
        if mean and deviation:
            self._mean, self._deviation = torch.tensor(mean), torch.tensor(deviation)

    def _states(self, image: Image.Image) -> Sequence[Tensor]:
        if self._fixed:
            image = image.convert("RGB").resize((self._side, self._side), Image.Resampling.BICUBIC)
        else:
            image = image_within(image, self.longest_side)
        pixels = torch.from_numpy(np.array(image)).float() / 255
        return self._stages(((pixels - self._mean) / self._deviation).permute(2, 0, 1)[None])

    @torch.inference_mode()
    def features_of(self, image: Image.Image) -> np.ndarray:
        return self._whole(self._states(image))

    @staticmethod
    def _whole(states: Sequence[Tensor]) -> np.ndarray:
        parts = []
        for state in states:
            # [1, tokens, channels] of transformers, [1, channels, h, w] of convolutional networks.
            cells = state[0] if state.ndim == 3 else state[0].flatten(1).T
            deviation, mean = torch.std_mean(cells.float(), dim=0, correction=0)
            parts += [mean, deviation]
        return torch.cat(parts).numpy()

    @torch.inference_mode()
    def whole_and_local(self, image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
        """A neighbourhood is a window of 7x7 cells around one of the last stage's cells; None for transformers."""
        states = self._states(image)
        return self._whole(states), self._local(states)

    @staticmethod
    def _local(states: Sequence[Tensor]) -> np.ndarray | None:
        if any(state.ndim != 4 for state in states):
            return None
        grid, parts = states[-1].shape[2:], []
        for state in states:
            mean, square = (_averaged(F.adaptive_avg_pool2d(part, grid), _window(grid))
                            for part in (state.float(), state.float().square()))
            parts += [mean, (square - mean * mean).clamp_min(0).sqrt()]
        return torch.cat(parts, dim=1)[0].permute(1, 2, 0).numpy()


def load_backbone(config: dict[str, Any], tensors: dict[str, Tensor] | None = None) -> Backbone:
    """A backbone from a student's card: with weights a tower, without them a model of the Hub.

    Raises:
        BackboneError: the weights are missing or do not fit.
    """
    if "variant" not in config:
        return HubBackbone(config["name"], config.get("longest_side", 512))
    taps, narrow = config["taps"], config.get("narrow", [])
    tower = EfficientNetLite(config["variant"], max(*taps, *narrow) + 1)
    try:
        tower.load_state_dict({name: tensor.float() for name, tensor in (tensors or {}).items()})
    except RuntimeError:
        raise BackboneError("The student's weights do not fit its card; save or download it again.") from None
    return TowerBackbone(tower, taps, narrow, config.get("longest_side", 500), config["name"])


def digest(tensors: dict[str, Tensor]) -> str:
    """Twelve hexadecimal digits of the weights' content, by which a student is told from another."""
    pieces = ((name, tensors[name].detach().contiguous().cpu().numpy().tobytes()) for name in sorted(tensors))
    return files.hash_joined(piece for pair in pieces for piece in pair)[:12]
