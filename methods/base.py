"""The contract of every method: an image in, an `Assessment` with its evidence out.

A method is one folder with a `method.py`. It declares its options as a dataclass, from which the app, the command
line and the API are generated, and its evidence as a frozen dataclass, which is everything its tab draws. `about.md`
and `pipeline.svg` beside it are what the page says of it. Nothing here imports torch, so listing methods and reading
results costs nothing. Names are resolved in `methods.registry`.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from methods.errors import InputError
from methods.evidence import Evidence, Spread
from methods.options import Options, all_options, option
from methods.registry import METHODS, load_method, method_class, method_names
from methods.work import Work

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from methods.images import Decoded
    from methods.images.decoding import AheadWork
    from methods.lmm.base import LMM

ImageSource: TypeAlias = "Image.Image | Decoded | str | Path | bytes"
MethodOptions = TypeVar("MethodOptions", bound=Options)
"""The options of a method."""

__all__ = ["METHODS", "RESERVED", "Assessment", "Evidence", "ImageSource", "Method", "Options", "Spread", "Verdict",
           "as_decoded", "json_safe", "load_method", "method_class", "method_names", "option"]

RESERVED = frozenset({"self", "name", "method", "image", "images", "lmm", "device", "dtype", "max_pixels", "options",
                      "batch_size", "updated"})
"""Names that no option may have: the keywords of `load_method`, `Method.assess` and `mean_opinion.score`."""


@dataclass(frozen=True)
class Assessment:
    """One image's quality as one method sees it.

    Attributes:
        score: in [0, 1]; higher is better, always.
        native_score: on the paper's own scale.
        native_range: the lowest and highest value that `native_score` can take.
        explanation: Markdown that a person can read.
        evidence: the method's own frozen dataclass.
        seconds: wall time of this image's assessment; in a batch, the batch's time shared equally.
        lmm: "name@revision".
        seed: the seed used.
        method: the method's registry name.
        options: the options used, by name.
        image_notes: what was changed when the image was read, in plain words.
        max_pixels: the most pixels of an image that were looked at: the method's limit or its model's, whichever is
            less; None where neither has one, for `methods.images.MAX_PIXELS`.
        basis: what else the score rests on, as `Method.basis`.
    """

    score: float
    native_score: float
    native_range: tuple[float, float]
    explanation: str
    evidence: Evidence
    seconds: float
    lmm: str
    seed: int
    method: str = ""
    options: dict[str, object] = field(default_factory=dict)
    image_notes: tuple[str, ...] = ()
    max_pixels: int | None = None
    basis: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.score) and 0.0 <= self.score <= 1.0):
            raise ValueError(f"A score lies in [0, 1]; got {self.score}.")
        if not math.isfinite(self.native_score):
            raise ValueError(f"A native score is a finite number; got {self.native_score}.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe: arrays become lists, images become their size, NaN and infinity become None."""
        return {spec.name: json_safe(getattr(self, spec.name)) for spec in dataclasses.fields(self)}


def json_safe(value: object) -> Any:
    """`value` as JSON can hold it; images become {"width", "height"}, unknown objects their text."""
    if isinstance(value, enum.Enum):
        return json_safe(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {spec.name: json_safe(getattr(value, spec.name)) for spec in dataclasses.fields(value)}
    if isinstance(value, Image.Image):
        return {"width": value.width, "height": value.height}
    if isinstance(value, np.ndarray):
        return json_safe(value.tolist())
    if isinstance(value, np.generic):
        return json_safe(value.item())
    if isinstance(value, dict):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_safe(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


class _OnClassAndInstance:
    """Decorates a method that can be called on a class and on an instance: its first argument is the one or the other.

    A class and its instances both have `options`, so that a cost can be asked for before a model is loaded.
    """

    def __init__(self, function: Callable[..., float]) -> None:
        self._function = function
        functools.update_wrapper(self, function)  # type: ignore[arg-type]

    def __get__(self, instance: object, owner: type) -> Callable[..., float]:
        return functools.partial(self._function, owner if instance is None else instance)


class Method(ABC, Generic[MethodOptions]):
    """A way to score images. Subclasses declare the class attributes and implement `_assess`.

    Class attributes:
        name: registry name.
        title: as the paper writes it.
        summary: one sentence for the picker.
        citation: BibTeX.
        native_range: lowest and highest native score under the default options.
        needs_lmm: False for a method that brings its own network (the LEAF student).
        min_images: images in one prompt that the LMM must be able to take.
        networks: by option, those of its choices that load a network of their own when they are first asked for.
        own_lmm: an LMM that was trained for this method, as the catalogue has it; the default where a GPU has room.
        training_free: False for a method whose weights were learnt from people's opinions.
        embedded_note: what a page adds in a sentence where the embedded LMM stands in; "" for nothing.
        map_legend: what the map shows that the method's own evidence draws (`Evidence.map_over`), in a sentence; ""
            where an image's map is made by asking the LMM.

    Attributes:
        lmms: the loaded models; one, several in an ensemble, none for a method that brings its own network.

    Args:
        lmm: the model, or its name for `methods.lmm.load_lmm`; None takes the default for this method and machine.
        device, dtype, max_pixels: as `load_method`.
        options: changes to the defaults, by name.
        more: the same as keywords. No option has the name of a constructor's keyword; the class is refused if one has.

    Raises:
        InputError: an unknown option, a bad value, or a model that cannot be used with this method.
        methods.lmm.LMMError: the model cannot be loaded.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    citation: ClassVar[str]
    native_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs_lmm: ClassVar[bool] = True
    min_images: ClassVar[int] = 1
    networks: ClassVar[Mapping[str, Sequence[str]]] = MappingProxyType({})
    own_lmm: ClassVar[str | None] = None
    training_free: ClassVar[bool] = True
    embedded_note: ClassVar[str] = ""
    map_legend: ClassVar[str] = ""
    options: MethodOptions = Options()  # type: ignore[assignment]
    lmms: tuple[LMM, ...] = ()

    def __init_subclass__(cls, **settings: object) -> None:
        super().__init_subclass__(**settings)
        own = {spec.name for spec in dataclasses.fields(cls.options)}
        keywords = {name for kind in cls.__mro__ if "__init__" in vars(kind) and kind is not object
                    for name, parameter in inspect.signature(vars(kind)["__init__"]).parameters.items()
                    if parameter.kind is not parameter.VAR_KEYWORD}
        if clashes := sorted(own & (keywords | RESERVED)):
            raise TypeError(f"{cls.__name__} has an option {clashes[0]!r}, which is a keyword of its constructor or of "
                            "load_method, assess or score, and could not be set there; rename one of the two.")

    def __init__(self, lmm: LMM | str | None = None, *, device: str | None = None,
                 dtype: str | torch.dtype | None = None, max_pixels: int | None = None,
                 options: Mapping[str, object] | None = None, **more: object) -> None:
        self.options = type(self).options.updated(**all_options(options, more))
        if max_pixels is not None and max_pixels < 1:
            raise InputError(f"max_pixels must be at least 1; got {max_pixels}.")
        self.max_pixels, self._device, self._dtype = max_pixels, device, dtype
        if self.needs_lmm:
            self.lmm = self._resolve(lmm)
            self.lmms = (self.lmm,)
            needed = self.images_per_prompt(self.options)
            if self.lmm.image_budget < needed:
                raise InputError(f"{self.title} shows up to {needed} images in one prompt, but {self.lmm.name} takes "
                                 f"{self.lmm.image_budget}; choose another model.")
        elif lmm is not None:
            raise InputError(f"{self.title} brings its own network; leave lmm out.")
        elif device is not None or dtype is not None:
            raise InputError(f"{self.title} brings its own network; leave device and dtype out.")

    def _resolve(self, lmm: LMM | str | None) -> LMM:
        if lmm is not None and not isinstance(lmm, str):
            if self._device is not None or self._dtype is not None:
                raise InputError("This model is loaded already; give device and dtype to load_lmm, or name the model.")
            return lmm
        from methods.lmm.loading import default_lmm, load_lmm

        # A limit above the model's default is a limit for the model too.
        limit = {} if self.max_pixels is None else {"max_pixels": self.max_pixels}
        return load_lmm(lmm or default_lmm(self.name, self.own_lmm), self._device, self._dtype, **limit)

    @_OnClassAndInstance
    def cost(self: Method | type[Method], options: Options | Mapping[str, object] | None = None) -> float:
        """LMM passes (prompts processed) per image. Called on the class, it needs no model.

        Args:
            options: all of them, or changes by name; None takes those of the class or instance that is asked.

        Raises:
            InputError: an unknown option or a bad value.
        """
        settings = options if isinstance(options, Options) else self.options.updated(**(options or {}))
        return float(self.passes(settings) * max(len(self.lmms), 1))

    @classmethod
    def passes(cls, options: MethodOptions) -> float:
        """What a subclass says of its cost: passes per image and LMM under these options."""
        return 1.0

    @classmethod
    def work(cls, options: MethodOptions, pixels: int, limit: int) -> Work:
        """What one image costs with one LMM under these options.

        Args:
            pixels: of the image.
            limit: the most pixels of an image that the LMM is shown.
        """
        prompts = cls.passes(options)
        return Work(prompts, prompts * cls.images_per_prompt(options) * min(pixels, limit))

    def first_work(self, options: MethodOptions) -> Work:
        """What the next call under these options does once, before its first image."""
        return Work()

    @classmethod
    def images_per_prompt(cls, options: MethodOptions) -> int:
        """The most images in one prompt under these options."""
        return cls.min_images

    @classmethod
    def images_in_use(cls, options: MethodOptions) -> frozenset[str]:
        """File names of the rated images that a score under these options is made with; nothing can be measured on
        them."""
        return frozenset()

    @classmethod
    def preload(cls) -> None:
        """Loads what the method needs besides its LMM; called once where a GPU is made ready for visitors."""

    @property
    def lmm_id(self) -> str:
        """What computes the score: "name@revision", of an ensemble all of them, joined by commas."""
        return ", ".join(f"{lmm.name}@{lmm.revision}" for lmm in self.lmms)

    @property
    def trained_as(self) -> tuple[str, ...]:
        """Names under which the training data of the models are looked up."""
        return tuple(lmm.name for lmm in self.lmms)

    @property
    def label_sets(self) -> tuple[str, ...]:
        """Slugs of the datasets whose opinions are read for a score, or were calibrated with; () where none is known.

        A result on one of them is marked: the method has labels of the tested domain at hand.
        """
        return ()

    def basis(self, options: MethodOptions) -> dict[str, str]:
        """What a score rests on besides options and models, by name: the segmenter that "auto" stands for, the content
        of a reference set. Scores with another basis are not comparable."""
        return {}

    @property
    def lmm_limits(self) -> tuple[int | None, ...]:
        """The pixel limit of each model in `lmms`; None for one without."""
        return tuple(getattr(lmm, "max_pixels", None) for lmm in self.lmms)

    def has_learnt(self, image: Image.Image) -> bool:
        """Whether the method's own network was trained on people's opinion of this very image, as far as its record of
        that says; nothing can be measured on such an image."""
        return False

    def prepare(self, image: Decoded, **options: object) -> Decoded:
        """What can be done for an image before its turn, on another thread while the device works on others.

        Args:
            image: decoded.
            options: those that `assess` will be given.

        Returns:
            what `assess` takes in its place, with the same result; it holds what was made (`Decoded.ahead`).

        Raises:
            InputError: an unknown option or a bad value.
            methods.lmm.LMMError: the model cannot be shown this image.
        """
        decoded = as_decoded(image, self.max_pixels)
        ahead = self._ahead(decoded.image, self.options.updated(**options))
        return dataclasses.replace(decoded, ahead=(*decoded.ahead, *ahead))

    def _ahead(self, image: Image.Image, options: MethodOptions) -> list[AheadWork]:
        """What is made of an image ahead, each with `nbytes`: here, what the models make of the image itself."""
        return self._prepare([image], options)

    def _prepare(self, images: Sequence[Image.Image], options: MethodOptions) -> list[AheadWork]:
        """What the models make of images before they are shown."""
        alone = self.images_per_prompt(options) == 1
        return [work for lmm in self.lmms for image in images if (work := lmm.prepare(image, alone)) is not None]

    def assess(self, image: ImageSource, **options: object) -> Assessment:
        """Scores one image.

        Args:
            image: a PIL image, a `methods.images.Decoded`, a path or the file's bytes.
            options: changes to this method's options for this call.

        Raises:
            methods.images.ImageError: the source is not a usable image.
            InputError: an unknown option or a bad value.
            methods.lmm.LMMError: the model failed.
        """
        return self.assess_batch([image], **options)[0]

    def assess_batch(self, images: Sequence[ImageSource], **options: object) -> list[Assessment]:
        """Scores several images with as few LMM calls as the method can; the order is kept. Errors as `assess`."""
        settings = self.options.updated(**options)
        decoded = [as_decoded(image, self.max_pixels) for image in images]
        if not decoded:
            return []
        start = time.perf_counter()
        verdicts = self._assess([one.image for one in decoded], settings)
        seconds = (time.perf_counter() - start) / len(decoded)
        return [self._assessment(one, verdict, settings, seconds)
                for one, verdict in zip(decoded, verdicts, strict=True)]

    def _assessment(self, decoded: Decoded, verdict: Verdict, options: MethodOptions, seconds: float) -> Assessment:
        return Assessment(
            # Rounding can leave a weighted mean a hair outside its range; anything further out is refused below.
            score=float(min(max(verdict.score, 0.0), 1.0) if -1e-6 <= verdict.score <= 1 + 1e-6 else verdict.score),
            native_score=float(verdict.native_score),
            native_range=verdict.native_range or self.native_range,
            explanation=verdict.explanation,
            evidence=verdict.evidence,
            seconds=seconds,
            lmm=self.lmm_id,
            seed=options.seed,
            method=self.name,
            options=json_safe(options),
            image_notes=tuple(decoded.notes),
            max_pixels=min(filter(None, (self.max_pixels, *self.lmm_limits)), default=None),
            basis=self.basis(options),
        )

    @abstractmethod
    def _assess(self, images: list[Image.Image], options: MethodOptions) -> list[Verdict]:
        """One verdict per image, in order. Images are RGB."""


@dataclass(frozen=True)
class Verdict:
    """What a method itself decides; `Method.assess_batch` adds time, model and options to make the `Assessment`."""

    score: float
    native_score: float
    explanation: str
    evidence: Evidence
    native_range: tuple[float, float] | None = None


def as_decoded(image: ImageSource, max_pixels: int | None = None) -> Decoded:
    """Any source of an image as `Decoded`; a PIL image is taken through the same checks as a file.

    Args:
        max_pixels: larger images are scaled down to so many pixels, and noted; None for `methods.images.MAX_PIXELS`.
    """
    from methods.images import MAX_PIXELS, Decoded, decode

    if not isinstance(image, Decoded):
        return decode(image, max_pixels=max_pixels or MAX_PIXELS)
    if max_pixels is None or image.image.width * image.image.height <= max_pixels:
        return image
    smaller = decode(image.image, max_pixels=max_pixels)
    return Decoded(smaller.image, (*image.notes, *smaller.notes))
