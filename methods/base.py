"""The contract of every method: a picture in, an `Assessment` with its evidence out; and the registry of methods.

A method is one folder with a `method.py`. It declares its options as a dataclass, from which the app, the command
line and the API are generated, and its evidence as a frozen dataclass, which is everything its tab draws. Nothing
here imports torch, so listing methods and reading results costs nothing.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import math
import time
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from methods.errors import InputError, suggestion

if TYPE_CHECKING:
    from methods.images import Decoded
    from methods.lmm.base import LMM

ImageSource = "Image.Image | Decoded | str | Path | bytes"


def option(default: Any, help: str, *, choices: Sequence[Any] | None = None, low: float | None = None,
           high: float | None = None, step: float | None = None, advanced: bool = False) -> Any:
    """A dataclass field of an `Options` class with what a form, a command line and a checker need to know of it.

    Args:
        default: used when the caller says nothing; the paper's setting unless the help says otherwise.
        help: one sentence a visitor understands.
        choices: the allowed values, where they are few.
        low, high: inclusive bounds of a number.
        step: a sensible step for a slider.
        advanced: shown folded away.
    """
    metadata = {"help": help, "choices": tuple(choices) if choices is not None else None,
                "low": low, "high": high, "step": step, "advanced": advanced}
    if isinstance(default, (list, dict, set)):
        raise TypeError("Option defaults are immutable; use a tuple.")
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Options:
    """Settings of one assessment; each method extends it. Every field is declared with `option(...)`.

    Raises:
        InputError: a value is outside its field's choices or bounds; the sentence names the option.
    """

    seed: int = option(0, "Seeds everything random; the same picture, options and seed give the same score.",
                       low=0, high=2**31 - 1, advanced=True)

    def __post_init__(self) -> None:
        hints = _option_types(type(self))
        for spec in dataclasses.fields(self):
            value = _typed(spec.name, hints[spec.name], getattr(self, spec.name))
            object.__setattr__(self, spec.name, value)
            _check_option(spec, value)

    def updated(self, **changes: Any) -> Options:
        """A copy with some options changed.

        Raises:
            ValueError: an option that does not exist (the sentence suggests the nearest) or a bad value.
        """
        known = [spec.name for spec in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise InputError(f"There is no option {name!r}{suggestion(name, known)}")
        return dataclasses.replace(self, **changes)


@functools.cache
def _option_types(options: type[Options]) -> dict[str, Any]:
    return typing.get_type_hints(options)


def _typed(name: str, hint: Any, value: Any) -> Any:
    """`value` as the option declares it: a slider gives 4.0 for 4, JSON a list for a tuple, numpy its own numbers."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or hint is str:
        return value
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if any(typing.get_origin(kind) is tuple for kind in kinds):
        return tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if bool in kinds and not isinstance(value, bool):
        raise InputError(f"Option {name} must be true or false; got {value}.")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if int in kinds and float not in kinds and isinstance(value, float):
        if not value.is_integer():
            raise InputError(f"Option {name} must be a whole number; got {value}.")
        return int(value)
    return float(value) if float in kinds and int not in kinds else value


def _check_option(spec: dataclasses.Field, value: Any) -> None:
    if value is None and spec.default is None:
        return
    choices, low, high = (spec.metadata.get(key) for key in ("choices", "low", "high"))
    # A tuple option (a subset of the distortions, say) is checked item by item.
    values = value if isinstance(value, tuple) else (value,)
    if choices is not None and any(item not in choices for item in values):
        raise InputError(f"Option {spec.name} must be one of {', '.join(map(str, choices))}; got {value}.")
    if low is None and high is None:
        return
    for item in values:
        number = isinstance(item, (int, float)) and not isinstance(item, bool) and math.isfinite(item)
        if not number or (low is not None and item < low) or (high is not None and item > high):
            bounds = (f"at least {low}" if high is None else f"at most {high}" if low is None
                      else f"between {low} and {high}")
            raise InputError(f"Option {spec.name} must be a number {bounds}; got {item}.")


@dataclass(frozen=True)
class Evidence:
    """Why a method gave its score: base of each method's frozen dataclass, everything that its tab draws."""


@dataclass(frozen=True)
class Assessment:
    """One picture's quality as one method sees it.

    Attributes:
        score: in [0, 1]; higher is better, always.
        native_score: on the paper's own scale.
        native_range: the lowest and highest value that `native_score` can take.
        explanation: Markdown that a person can read.
        evidence: the method's own frozen dataclass.
        seconds: wall time of this picture's assessment; in a batch, the batch's time shared equally.
        lmm: "name@revision".
        seed: the seed used.
        method: the method's registry name.
        options: the options used, by name.
        image_notes: what was changed when the picture was read, in plain words.
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
    options: dict[str, Any] = field(default_factory=dict)
    image_notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.score) and 0.0 <= self.score <= 1.0):
            raise ValueError(f"A score lies in [0, 1]; got {self.score}.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe: arrays become lists, pictures become their size, NaN and infinity become None."""
        return {spec.name: json_safe(getattr(self, spec.name)) for spec in dataclasses.fields(self)}


def json_safe(value: Any) -> Any:
    """`value` as JSON can hold it; pictures become {"width", "height"}, unknown objects their text."""
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


class Method(ABC):
    """A way to score pictures. Subclasses declare the class attributes and implement `_assess`.

    Class attributes:
        name: registry name, as in `METHODS`.
        title: as the paper writes it.
        summary: one sentence for the picker.
        citation: BibTeX.
        native_range: lowest and highest native score under the default options.
        needs_lmm: False for a method that brings its own network (the LEAF student).
        min_images: pictures in one prompt that the LMM must be able to take.

    Args:
        lmm: the model, or its name for `methods.lmm.load_lmm`; None takes the default for this method and machine.
        options: changes to the defaults, by name.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    citation: ClassVar[str]
    native_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs_lmm: ClassVar[bool] = True
    min_images: ClassVar[int] = 1
    options: Options = Options()

    def __init__(self, lmm: LMM | str | None = None, **options: Any) -> None:
        self.options = type(self).options.updated(**options)
        if self.needs_lmm:
            self.lmm = self._resolve(lmm)
            if self.lmm.image_budget < self.min_images:
                raise InputError(
                    f"{self.title} shows up to {self.min_images} pictures in one prompt, but {self.lmm.name} takes "
                    f"{self.lmm.image_budget}; choose another model."
                )
        elif lmm is not None:
            raise InputError(f"{self.title} brings its own network; leave lmm out.")

    def _resolve(self, lmm: LMM | str | None) -> LMM:
        if lmm is not None and not isinstance(lmm, str):
            return lmm
        from methods.lmm.loading import default_lmm, load_lmm

        return load_lmm(lmm or default_lmm(self.name))

    @property
    def cost(self) -> float:
        """LMM passes (prompts processed) per picture under the current options."""
        return 1.0

    def assess(self, image: ImageSource, **options: Any) -> Assessment:
        """Scores one picture.

        Args:
            image: a PIL picture, a `methods.images.Decoded`, a path or the file's bytes.
            options: changes to this method's options for this call.

        Raises:
            methods.images.ImageError: the source is not a usable picture.
            InputError: an unknown option or a bad value.
            methods.lmm.LMMError: the model failed.
        """
        return self.assess_batch([image], **options)[0]

    def assess_batch(self, images: Sequence[ImageSource], **options: Any) -> list[Assessment]:
        """Scores several pictures with as few LMM calls as the method can; the order is kept. Errors as `assess`."""
        chosen = self.options.updated(**options)
        decoded = [as_decoded(image) for image in images]
        if not decoded:
            return []
        start = time.perf_counter()
        verdicts = self._assess([one.image for one in decoded], chosen)
        seconds = (time.perf_counter() - start) / len(decoded)
        return [self._assessment(one, verdict, chosen, seconds) for one, verdict in zip(decoded, verdicts, strict=True)]

    def _assessment(self, decoded: Decoded, verdict: Verdict, options: Options, seconds: float) -> Assessment:
        return Assessment(
            # Rounding can leave a weighted mean a hair outside its range; anything further out is refused below.
            score=float(min(max(verdict.score, 0.0), 1.0) if -1e-6 <= verdict.score <= 1 + 1e-6 else verdict.score),
            native_score=float(verdict.native_score),
            native_range=verdict.native_range or self.native_range,
            explanation=verdict.explanation,
            evidence=verdict.evidence,
            seconds=seconds,
            lmm=self._lmm_id(),
            seed=options.seed,
            method=self.name,
            options=json_safe(options),
            image_notes=tuple(decoded.notes),
        )

    def _lmm_id(self) -> str:
        return f"{self.lmm.name}@{self.lmm.revision}"

    @abstractmethod
    def _assess(self, images: list[Image.Image], options: Options) -> list[Verdict]:
        """One verdict a picture, in order. Pictures are RGB."""


@dataclass(frozen=True)
class Verdict:
    """What a method itself decides; `Method.assess_batch` adds time, model and options to make the `Assessment`."""

    score: float
    native_score: float
    explanation: str
    evidence: Evidence
    native_range: tuple[float, float] | None = None


def as_decoded(image: ImageSource) -> Decoded:
    """Any picture source as `Decoded`; a PIL picture is taken through the same checks as a file."""
    from methods.images import Decoded, decode

    return image if isinstance(image, Decoded) else decode(image)


METHODS: dict[str, str] = {
    "q-bench": "methods.q_bench.method:QBench",
    "iqarag": "methods.iqarag.method:IQARAG",
    "llm-iqa": "methods.llm_iqa.method:LLMIQA",
    "visualquality-r1": "methods.visualquality_r1.method:VisualQualityR1",
    "leaf": "methods.leaf.method:LEAF",
    "q-debias": "methods.q_debias.method:QDebias",
}
"""Registry name -> "module:class". Imported on first use, so listing the methods stays cheap."""


def method_class(name: str) -> type[Method]:
    """The class behind a registry name; upper case, spaces and underscores are forgiven.

    Raises:
        InputError: no such method; the sentence suggests the nearest name.
    """
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    if key not in METHODS:
        raise InputError(f"There is no method {name!r}{suggestion(key, METHODS)}")
    module, _, attribute = METHODS[key].partition(":")
    return getattr(importlib.import_module(module), attribute)


def load_method(name: str, lmm: LMM | str | None = None, **options: Any) -> Method:
    """A ready method.

    Args:
        name: one of `METHODS`.
        lmm: a loaded model, a name for `load_lmm`, or None for the default on this machine.
        options: changes to the method's default options.

    Raises:
        InputError: an unknown method or option; the sentence suggests the nearest name.
        methods.lmm.LMMError: the model cannot be loaded.
    """
    return method_class(name)(lmm=lmm, **options)
