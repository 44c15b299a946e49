"""Scores the images of a run in batches whose bounds are fixed, so that a prediction never depends on a kill.

The same image in a batch of another size can differ in the last bits of a float: with the embedded LMM by up to 2e-6 of
the score for Q-Bench and 1e-6 for IQARAG, not at all for methods that score one image at a time. Batches are therefore
cut from the whole list once; a run that is resumed, or spread over many machines, scores the same batches and writes
the same numbers. An image that fails costs one row; a model that cannot be reached ends the run, because no image is to
blame.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from leaderboard.runs.folder import Prediction
from leaderboard.schema import Facts
from methods.base import Assessment, Method, json_safe, load_method
from methods.data import RatedPicture
from methods.errors import InputError
from methods.images import MAX_PIXELS
from methods.lmm.base import LMM
from methods.lmm.catalogue import find
from methods.scoring import Row, score_batches

Fact = TypeVar("Fact")

EMBEDDED_TRAINED_ON = dict.fromkeys(("embedded", "embedded-biq2021"), "biq2021+kadid-10k")
"""Sets whose opinions the weights in assets/ have seen, as their cards say; KADID-10k's only as means of its levels."""


def trained_on(name: str) -> tuple[str, ...] | None:
    """Slugs of the sets whose opinions a model has seen; () where none is known, None where nobody says."""
    if name in EMBEDDED_TRAINED_ON:
        return tuple(EMBEDDED_TRAINED_ON[name].split("+"))
    entry = find(name.rpartition("#")[2])
    return None if entry is None else entry.trained_on


def batches(items: Sequence[RatedPicture], size: int) -> list[tuple[RatedPicture, ...]]:
    """The list cut into runs of `size`, always from its start; the images of one fold come together."""
    cut = []
    for fold in dict.fromkeys(sorted(item.fold or 0 for item in items)):
        own = [item for item in items if (item.fold or 0) == fold]
        cut += [tuple(own[start:start + size]) for start in range(0, len(own), size)]
    return cut


class Scorer:
    """A loaded method that turns rated images into predictions; one per process.

    Args:
        method: registry name, or a ready `Method`.
        lmm: name of the model, None for the method's default.
        options: changes to the method's options, by name.

    Raises:
        ValueError, methods.lmm.LMMError: as `methods.base.load_method`.
    """

    def __init__(self, method: str | Method, lmm: str | LMM | None = None,
                 options: Mapping[str, object] | None = None) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            self.method = method if isinstance(method, Method) else load_method(method, lmm, options=options)

    def identity(self) -> Facts:
        """What every row of a run has in common: method, options, models, their exact weights, and the pixel limit."""
        return {
            "method": self.method.name,
            "options": json_safe(self.method.options),
            "lmm": ", ".join(model.name for model in self.method.lmms) or None,
            "lmm_revision": ", ".join(model.revision for model in self.method.lmms) or None,
            "weights": self.method.lmm_id,
            "max_pixels": self.method.max_pixels or MAX_PIXELS,
            "lmm_max_pixels": _same(list(self.method.lmm_limits)),
        }

    def about(self) -> Facts:
        """Facts for the leaderboard that do not decide a score.

        Passes per image; parameters, of an ensemble all together; the sets that a model was trained on and those whose
        labels the method reads. Where one model of several is not known, nothing is said of all.
        """
        models = self.method.lmms
        facts: Facts = {"lmm_passes": self.method.cost()}
        if basis := self.method.basis(self.method.options):
            facts["basis"] = basis
        if settings := [dict(own) for one in models if (own := getattr(one, "settings", None))]:
            facts["lmm_settings"] = _same(settings)
        networks: list[Any] = [getattr(model, "model", None) for model in models]
        if networks and all(hasattr(network, "parameters") for network in networks):
            count = sum(parameter.numel() for network in networks for parameter in network.parameters())
            facts["parameters_billion"] = float(f"{count / 1e9:.3g}")
        trained = [trained_on(name) for name in self.method.trained_as]
        training_sets = [sets for sets in trained if sets is not None]
        if trained and len(training_sets) == len(trained):
            facts["training_set"] = "+".join(dict.fromkeys(one for sets in training_sets for one in sets)) or "none"
        if set(EMBEDDED_TRAINED_ON) & set(self.method.trained_as):
            # A method without training of its own is not training-free on a model that was trained on opinions.
            facts["training_free"] = False
        if self.method.label_sets:
            facts["label_sets"] = "+".join(self.method.label_sets)
        return facts

    def score(self, pictures: Sequence[RatedPicture]) -> list[Prediction]:
        """One row per image, in order; all of them are scored, so the numbers depend on this batch alone.

        Raises:
            methods.lmm.errors.ModelUnavailable: the model cannot be reached; none of these rows exists.
        """
        return next(iter(self.score_all([pictures])))

    def score_all(self, batches: Sequence[Sequence[RatedPicture]]) -> Iterator[list[Prediction]]:
        """`score` of each batch, in order; the images of later batches are decoded meanwhile."""
        # A prediction holds nothing of what only explains a score.
        assess = functools.partial(self.method.assess_batch, **self.method.options.score_alone())
        for rows in score_batches(batches, _file, assess, prepare=self.method.prepare):
            yield [_prediction(row.item, row) for row in rows]


def _same(values: list[Fact]) -> Fact | list[Fact] | None:
    """What all models of an ensemble have in common, else the list; None where there is no model."""
    return values[0] if values and all(value == values[0] for value in values) else values or None


def _file(picture: RatedPicture) -> Path:
    if picture.path is None:
        raise InputError("There is no file of this name in the folder of images.")
    return picture.path


def _prediction(picture: RatedPicture, row: Row[RatedPicture, Assessment]) -> Prediction:
    if row.assessment is None:
        return Prediction(picture.name, picture.mos, None, None, None, row.error or "It failed without a message.")
    one = row.assessment
    return Prediction(picture.name, picture.mos, one.score, one.native_score, one.seconds)
