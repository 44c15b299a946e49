"""Who cuts the image: SAM 2 as in the paper, or an embedded segmenter where no SAM 2 weights can be had.

Both give masks of the image's own size; `methods.llm_iqa.segmentation.regions` makes regions of either. The name of
the one that was used is part of every result.
"""

from __future__ import annotations

import functools
import logging
from typing import Any, Protocol

import numpy as np
from PIL import Image

from methods.lmm.base import LMMError
from methods.lmm.reuse import memory
from methods.lmm.reuse.batching import Budget, is_out_of_memory, release
from methods.locks import ForkSafeLock

logger = logging.getLogger(__name__)

# Supplementary settings of the released code; about 7.2 masks per image on SPAQ (section 4.1).
SAM2_SETTINGS = {
    "points_per_side": 8,
    "points_per_batch": 128,
    "pred_iou_thresh": 0.9,
    "stability_score_thresh": 0.8,
    "stability_score_offset": 0.7,
    "crop_n_layers": 0,
    "box_nms_thresh": 0.9,
    "crop_n_points_downscale_factor": 1.2,
    "min_mask_region_area": 1000,
    "use_m2m": False,
}

MASK_SETTINGS = ("paper", "default")
"""`SAM2_SETTINGS`, or those that SAM 2's mask generator has of its own ("Default" in Table 5)."""

POINT_BYTES = 3 * 9
"""Bytes a pixel for each point of a batch: three masks as float32 logits, a copy while they are scaled up, and as
bool."""

SAM2_CHECKPOINTS = (
    "facebook/sam2.1-hiera-large",
    "facebook/sam2.1-hiera-base-plus",
    "facebook/sam2.1-hiera-small",
    "facebook/sam2.1-hiera-tiny",
    "facebook/sam2-hiera-large",
    "facebook/sam2-hiera-tiny",
)
EMBEDDED = "felzenszwalb"
AUTOMATIC = "auto"
SEGMENTERS = (AUTOMATIC, EMBEDDED, *SAM2_CHECKPOINTS)


class SegmenterError(LMMError):
    """A segmenter cannot be had; one plain sentence that says what to do."""


class Segmenter(Protocol):
    """Attributes:
    name: shown with every result.
    """

    name: str

    def masks(self, image: Image.Image) -> list[np.ndarray]:
        """bool [H, W] masks of an RGB image, largest first; may overlap and need not cover the image."""
        ...


class FelzenszwalbSegmenter:
    """Felzenszwalb and Huttenlocher's graph segmentation, merged until few regions remain.

    It knows colour and texture, not objects. Works on a reduced image and scales the masks up, so that a photo of
    12 megapixels costs what a small one does. The masks are a partition: they neither overlap nor leave a rest.

    Args:
        most: regions that may remain; 7 is about what SAM 2 gives under the paper's settings.
        longest_side: pixels; the image is reduced to this first.
    """

    name = EMBEDDED

    def __init__(self, most: int = 7, longest_side: int = 320) -> None:
        self.most = most
        self.longest_side = longest_side

    def masks(self, image: Image.Image) -> list[np.ndarray]:
        from skimage.color import rgb2lab
        from skimage.segmentation import felzenszwalb

        small = image.convert("RGB")
        small.thumbnail((self.longest_side, self.longest_side), Image.Resampling.BOX)
        pixels = np.asarray(small)
        labels = felzenszwalb(pixels, scale=200, sigma=0.8, min_size=max(1, pixels.shape[0] * pixels.shape[1] // 400))
        labels = merge_segments(labels, rgb2lab(pixels), self.most)
        full = np.asarray(Image.fromarray(labels.astype(np.uint8)).resize(image.size, Image.Resampling.NEAREST))
        present, counts = np.unique(full, return_counts=True)
        return [full == label for label in present[np.argsort(-counts, kind="stable")]]


def merge_segments(labels: np.ndarray, features: np.ndarray, most: int) -> np.ndarray:
    """Joins neighbouring segments, the pair that adds least within-segment variance first (Ward), until `most` remain.

    Args:
        labels: int [H, W].
        features: float [H, W, C], colour for example.
        most: at least 1.

    Returns:
        int64 [H, W], labels 0..n-1 with n <= most (more only where segments do not touch).
    """
    _, labels = np.unique(labels, return_inverse=True)
    labels = labels.reshape(features.shape[:2])
    count = int(labels.max()) + 1
    sizes = np.bincount(labels.ravel(), minlength=count).astype(np.float64)
    sums = np.stack(
        [np.bincount(labels.ravel(), features[..., c].ravel(), count) for c in range(features.shape[-1])], axis=1
    )
    touching = np.zeros((count, count), dtype=bool)
    for first, second in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        touching[first, second] = touching[second, first] = True
    np.fill_diagonal(touching, False)
    owner = np.arange(count)
    for _ in range(count - max(most, 1)):
        means = sums / np.maximum(sizes, 1)[:, None]
        distance = ((means[:, None] - means[None]) ** 2).sum(axis=-1)
        cost = np.where(touching, distance * np.outer(sizes, sizes) / np.add.outer(sizes, sizes).clip(min=1), np.inf)
        survivor, victim = np.unravel_index(int(np.argmin(cost)), cost.shape)
        if not np.isfinite(cost[survivor, victim]):
            break
        sizes[survivor] += sizes[victim]
        sums[survivor] += sums[victim]
        sizes[victim] = 0
        touching[survivor] |= touching[victim]
        touching[:, survivor] |= touching[:, victim]
        touching[victim] = touching[:, victim] = False
        touching[survivor, survivor] = False
        owner[owner == victim] = survivor
    _, owner = np.unique(owner, return_inverse=True)
    return owner[labels]


class Sam2Segmenter:
    """SAM 2's automatic mask generator, by default under the released code's settings.

    Args:
        model: a `sam2` image model; `from_hub` builds one from a checkpoint.
        name: shown with every result.
        masks: one of `MASK_SETTINGS`.
        settings: changes to them.
    """

    def __init__(self, model, name: str, masks: str = "paper", **settings) -> None:
        from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

        self.name = name if masks == "paper" else f"{name} (its own settings)"
        chosen = SAM2_SETTINGS if masks == "paper" else {}
        self._generator = SAM2AutomaticMaskGenerator(model, **{**chosen, **settings})
        self._lock = ForkSafeLock()  # The predictor keeps the current image's features as state.
        self._most_points = self._generator.points_per_batch
        self._budget = Budget(lambda: memory.tower_bytes(model) or 2**62)

    @classmethod
    def from_hub(cls, checkpoint: str, device: str | None = None, **settings) -> Sam2Segmenter:
        """Loads one of `SAM2_CHECKPOINTS` from the Hub or its cache.

        Raises:
            SegmenterError: the weights cannot be had.
        """
        from methods.torchvision_compat import ensure_torchvision

        ensure_torchvision()
        import torch
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES
        except ModuleNotFoundError as error:
            if error.name != "sam2":
                raise
            raise SegmenterError(f'SAM 2 is not installed; run pip install "mean-opinion[sam2]", or choose the '
                                 f"segmenter {EMBEDDED!r}, which needs none.") from error

        if checkpoint not in HF_MODEL_ID_TO_FILENAMES:
            raise SegmenterError(f"There is no SAM 2 checkpoint {checkpoint!r}; choose from {', '.join(SEGMENTERS)}.")
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            model = _sam2_model(checkpoint, device)
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise SegmenterError(
                f"The weights of {checkpoint} could not be downloaded; check the connection to the Hub, or choose the "
                f"segmenter {EMBEDDED!r}, which needs none."
            ) from error
        return cls(model, name=checkpoint, **settings)

    def masks(self, image: Image.Image) -> list[np.ndarray]:
        """As `Segmenter.masks`. The masks of fewer points at a time are made where the memory is short: they are the
        same masks.

        Raises:
            SegmenterError: the memory does not suffice for the masks of one point.
        """
        pixels = np.array(image.convert("RGB"))
        each = POINT_BYTES * image.width * image.height
        with self._lock:
            points = max(1, min(self._most_points, self._budget.bytes() // each))
            short = False
            while (proposals := self._proposals(pixels, points)) is None:
                release()
                if points == 1:
                    raise SegmenterError(f"The memory does not suffice for {self.name} on an image of {image.width} x "
                                         f"{image.height} pixels; give it a smaller image (max_pixels), or choose "
                                         f"the segmenter {EMBEDDED!r}.")
                points, short = (points + 1) // 2, True
            if short:
                self._budget.learn(points * each)
        proposals.sort(key=lambda one: -one["area"])
        return [np.asarray(one["segmentation"], dtype=bool) for one in proposals]

    def _proposals(self, pixels: np.ndarray, points: int) -> list[dict[str, Any]] | None:
        """What the generator makes of an image with so many points at a time; None where the memory ran out."""
        import torch

        self._generator.points_per_batch = points
        device = self._generator.predictor.device.type
        precise = torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda")
        try:
            with torch.inference_mode(), precise:
                proposals: list[dict[str, Any]] = self._generator.generate(pixels)
                return proposals
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._generator.predictor.reset_predictor()
            return None


@functools.lru_cache(maxsize=2)
def _sam2_model(checkpoint: str, device: str) -> object:
    """The weights, once for all settings: ZeroGPU takes none after the app's start."""
    from sam2.build_sam import build_sam2_hf

    return build_sam2_hf(checkpoint, device=device)


@functools.lru_cache(maxsize=4)
def load_segmenter(name: str = AUTOMATIC, masks: str = "paper") -> Segmenter:
    """The segmenter behind a name, loaded once.

    Args:
        name: "auto" (SAM 2.1 large where a CUDA device and its weights are at hand, else the embedded one),
            "felzenszwalb", or one of `SAM2_CHECKPOINTS`.
        masks: one of `MASK_SETTINGS`, for SAM 2; the embedded segmenter has none.

    Raises:
        SegmenterError: an unknown name, or weights that cannot be had and were asked for by name.
    """
    if name == EMBEDDED:
        return FelzenszwalbSegmenter()
    if name != AUTOMATIC:
        return Sam2Segmenter.from_hub(name, masks=masks)
    import torch

    if not torch.cuda.is_available():
        return FelzenszwalbSegmenter()
    try:
        return Sam2Segmenter.from_hub(SAM2_CHECKPOINTS[0], masks=masks)
    except SegmenterError as error:
        logger.warning("%s Using the embedded segmenter; results name it.", error)
        return FelzenszwalbSegmenter()
