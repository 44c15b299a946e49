"""Vision encoders that turn an image into a retrieval feature (IQARAG Eq. 1-2, Table III).

"VE", the LMM's own tower, is the paper's best and the default: its features are computed anyway. The other
four of Table III are loaded by Hub id when they are first asked for. Beyond the table, "LEAF" is the tower of the
embedded student: a second encoder that needs no download.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from methods.errors import InputError, suggestion
from methods.hub import loading

if TYPE_CHECKING:
    from methods.lmm.base import LMM

OWN = "VE"
"""The name of the LMM's own tower, as in Table III."""

CATALOGUE: dict[str, str] = {
    "ResNet-50": "microsoft/resnet-50",
    "Swin-B": "microsoft/swin-base-patch4-window7-224",
    "DINOv2": "facebook/dinov2-base",
    "CLIP": "openai/clip-vit-base-patch32",
}
"""Table III's other encoders -> Hub id. The paper names no checkpoint sizes but Swin's; these are the base sizes."""

STUDENT = "LEAF"
"""The name of the embedded student's tower."""

ENCODERS: tuple[str, ...] = (OWN, STUDENT, *CATALOGUE)

_FOLDERS: ContextVar[Mapping[str, str] | None] = ContextVar("folders of encoders", default=None)


@contextmanager
def encoder_folders(folders: Mapping[str, str]) -> Iterator[None]:
    """Inside it, encoders of `CATALOGUE` are loaded from folders: for machines that cannot reach the Hub.

    Raises:
        InputError: a name that is not in `CATALOGUE`.
    """
    for name in folders:
        if name not in CATALOGUE:
            raise InputError(f"There is no encoder {name!r} to be found in a folder{suggestion(name, CATALOGUE)}")
    token = _FOLDERS.set(folders)
    try:
        yield
    finally:
        _FOLDERS.reset(token)


class Encoder(ABC):
    """Images to features.

    Attributes:
        name: "VE", "LEAF", a name of `CATALOGUE`, a Hub id or a folder.
        revision: which weights; features of two revisions must not be compared.
    """

    name: str
    revision: str

    @abstractmethod
    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        """RGB images to float32 [images, features]."""


class OwnEncoder(Encoder):
    """The LMM's own tower, mean-pooled over an image's tokens."""

    name = OWN

    def __init__(self, lmm: LMM) -> None:
        self.lmm = lmm
        self.revision = f"{lmm.name}@{lmm.revision}"

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        return np.asarray(self.lmm.embed(list(images)), dtype=np.float32)


class StudentEncoder(Encoder):
    """The tower of the student in assets/embedded-student: mean and deviation of its last narrow maps' channels.

    Each is standardised by the student's training images, so that no channel outweighs the others in a distance.
    """

    name = STUDENT

    def __init__(self) -> None:
        from methods.leaf.student import Student

        self._student = Student.load()
        self._width = sum(width for (kind, _), width in self._student.backbone.widths().items() if kind == "narrow")
        self.revision = f"leaf@{self._student.revision}"

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        features = self._student.head.standardised(self._student.features(list(images)))
        return features[:, -self._width:] / np.float32(self._width**0.5)


class HubEncoder(Encoder):
    """A vision model of transformers: one pooled vector per image.

    Args:
        name: a name of `CATALOGUE`, a Hub id or a local folder.
        device: where it runs; None takes CUDA where there is one.

    Raises:
        InputError: it cannot be loaded or has no pooled vision output.
    """

    batch = 16

    def __init__(self, name: str, device: str | None = None) -> None:
        from methods.torchvision_compat import ensure_torchvision

        ensure_torchvision()
        import torch
        from transformers import AutoImageProcessor, AutoModel

        self.name = name
        source = (_FOLDERS.get() or {}).get(name) or CATALOGUE.get(name, name)
        with loading(source, InputError, f"use the encoder {OWN} or {STUDENT}, which need no download"):
            self._processor = AutoImageProcessor.from_pretrained(source)
            self._model = AutoModel.from_pretrained(source)
        self.revision = f"{source}@{getattr(self._model.config, '_commit_hash', None) or 'local'}"
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model = self._model.eval().to(self._device)

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        import torch

        rows = []
        for start in range(0, len(images), self.batch):
            inputs = self._processor(images=list(images[start:start + self.batch]), return_tensors="pt")
            with torch.inference_mode():
                rows.append(self._pooled(inputs.to(self._device)).float().cpu().numpy())
        return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)

    def _pooled(self, inputs):
        # A model of both images and text (CLIP) has a method for its images' place in the shared space.
        if hasattr(self._model, "get_image_features"):
            output = self._model.get_image_features(**inputs)
        else:
            output = self._model(**inputs)
        pooled = getattr(output, "pooler_output", output)
        if pooled is None or not hasattr(pooled, "flatten"):
            raise InputError(f"{self.name} gives no pooled feature; choose one of {', '.join(ENCODERS)}.")
        return pooled.flatten(1)


def load_encoder(name: str, lmm: LMM | None) -> Encoder:
    """The encoder behind a name; "VE" needs the LMM.

    Raises:
        InputError: "VE" without an LMM, or an encoder that cannot be loaded.
    """
    if name == OWN:
        if lmm is None:
            raise InputError(f"{OWN} is the LMM's own vision encoder; name an LMM as well.")
        return OwnEncoder(lmm)
    if name == STUDENT:
        return StudentEncoder()
    return HubEncoder(name)
