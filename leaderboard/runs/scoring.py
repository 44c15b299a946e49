"""Scores the pictures of a run in batches whose bounds are fixed, so that a prediction never depends on a kill.

The same picture in another batch can differ in the last bit of a float. Batches are therefore cut from the whole list
once; a run that is resumed, or spread over many machines, scores the same batches and writes the same numbers.
A picture that fails costs one row; a model that cannot be reached ends the run, because no picture is to blame.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from leaderboard.runs.folder import Prediction
from methods.base import Assessment, Method, json_safe, load_method
from methods.data.rated import Rated
from methods.images import Decoded, ImageError, decode
from methods.lmm.base import LMM, LMMError
from methods.lmm.errors import ModelUnavailable

EMBEDDED_TRAINED_ON = "live-challenge-dev+kadid-10k"
"""Sets whose opinions the weights in assets/ have seen, as their cards say; KADID-10k's only as means of its levels."""

_PIXELS_AT_ONCE = 32_000_000  # Full-size photos go through in smaller groups, so that memory does not grow with them.


def batches(items: Sequence[Rated], size: int) -> list[tuple[Rated, ...]]:
    """The list cut into runs of `size`, always from its start; the pictures of one fold come together."""
    found = []
    for fold in dict.fromkeys(sorted(item.fold or 0 for item in items)):
        own = [item for item in items if (item.fold or 0) == fold]
        found += [tuple(own[start:start + size]) for start in range(0, len(own), size)]
    return found


class Scorer:
    """A loaded method that turns rated pictures into predictions; one a process.

    Args:
        method: registry name, or a ready `Method`.
        lmm: name of the model, None for the method's default.
        options: changes to the method's options, by name.

    Raises:
        ValueError, methods.lmm.LMMError: as `methods.base.load_method`.
    """

    def __init__(self, method: str | Method, lmm: str | LMM | None = None,
                 options: dict[str, Any] | None = None) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            self.method = method if isinstance(method, Method) else load_method(method, lmm, options=options)

    def identity(self) -> dict[str, Any]:
        """What every row of one run has in common: method, options, model and its exact weights."""
        model = self.method.lmm if self.method.needs_lmm else None
        return {
            "method": self.method.name,
            "options": json_safe(self.method.options),
            "lmm": None if model is None else model.name,
            "lmm_revision": None if model is None else model.revision,
            "weights": self.method.lmm_id,
        }

    def about(self) -> dict[str, Any]:
        """Facts for the leaderboard that do not decide a score: passes per image, parameters, training sets."""
        from methods.lmm.catalogue import find

        facts: dict[str, Any] = {"lmm_passes": self.method.cost()}
        model = self.method.lmm if self.method.needs_lmm else None
        network = getattr(model, "model", None)
        if hasattr(network, "parameters"):
            count = sum(parameter.numel() for parameter in network.parameters())
            facts["parameters_billion"] = float(f"{count / 1e9:.3g}")
        entry = None if model is None else find(model.name.rpartition("#")[2])
        if entry is not None and entry.trained_on is not None:
            facts["training_set"] = "+".join(entry.trained_on) or "none"
        elif self.method.lmm_id.partition("@")[0] == "embedded":
            facts["training_set"] = EMBEDDED_TRAINED_ON
            # A method without training of its own is not training-free on a model that was trained on opinions.
            facts["training_free"] = False
        return facts

    def score(self, pictures: Sequence[Rated]) -> list[Prediction]:
        """One row a picture, in order; all of them are scored, so the numbers depend on this batch alone.

        Raises:
            methods.lmm.errors.ModelUnavailable: the model cannot be reached; none of these rows exists.
        """
        rows: dict[str, Prediction] = {}
        group: list[tuple[Rated, Decoded]] = []
        pixels = 0
        for picture in pictures:
            try:
                decoded = decode(picture.path) if picture.path else None
            except ImageError as refused:
                rows[picture.name] = _failed(picture, str(refused))
                continue
            if decoded is None:
                rows[picture.name] = _failed(picture, "There is no file of this name in the folder of pictures.")
                continue
            group.append((picture, decoded))
            pixels += decoded.image.width * decoded.image.height
            if pixels >= _PIXELS_AT_ONCE:
                rows |= self._scored(group)
                group, pixels = [], 0
        rows |= self._scored(group)
        return [rows[picture.name] for picture in pictures]

    def _scored(self, group: list[tuple[Rated, Decoded]]) -> dict[str, Prediction]:
        if len(group) > 1:
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    found = self.method.assess_batch([decoded for _, decoded in group])
                return {picture.name: _prediction(picture, one)
                        for (picture, _), one in zip(group, found, strict=True)}
            except ModelUnavailable:
                raise
            except Exception as error:  # One picture may be at fault: each is tried by itself, and its row says so.
                print(f"A batch of {len(group)} failed ({_sentence(error)}); scoring one by one.", file=sys.stderr)
        return {picture.name: self._alone(picture, decoded) for picture, decoded in group}

    def _alone(self, picture: Rated, decoded: Decoded) -> Prediction:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return _prediction(picture, self.method.assess(decoded))
        except ModelUnavailable:
            raise
        except Exception as error:  # A picture that fails is a row with its error, never the end of the run.
            if not isinstance(error, (ValueError, LMMError)):
                traceback.print_exc(file=sys.stderr)
            return _failed(picture, _sentence(error))


def _prediction(picture: Rated, found: Assessment) -> Prediction:
    return Prediction(picture.name, picture.mos, found.score, found.native_score, found.seconds)


def _failed(picture: Rated, why: str) -> Prediction:
    return Prediction(picture.name, picture.mos, None, None, None, why or "It failed without a message.")


def _sentence(error: Exception) -> str:
    """One line; errors that are not this project's own sentences are named by their kind."""
    text = " ".join(str(error).split())
    own = text and isinstance(error, (ValueError, LMMError))
    return text if own else f"{type(error).__name__}: {text}".rstrip(": ")
