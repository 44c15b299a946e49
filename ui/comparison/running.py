"""Scores a comparison cell by cell: every image and system is one turn in the queue, and a failure is one cell."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import gradio as gr

from leaderboard.runs import provenance
from methods import meaning
from methods.base import Assessment, json_safe, method_class
from methods.errors import InputError
from methods.files import hash_joined
from methods.images import ImageError, decode
from methods.version import VERSION
from ui.comparison.records import MOST_CELLS, MOST_PICTURES, Cell, Comparison, Opinion, Picture, System
from ui.components.evidence import render_evidence
from ui.components.texts import distinct_names
from ui.serving import gpu, models
from ui.serving.workers import PHOTOS

log = logging.getLogger(__name__)


def plan(paths: Sequence[str], methods: Sequence[str], lmms: Sequence[str] = (),
         options: Mapping[str, Mapping[str, object]] | None = None) -> Comparison:
    """A comparison without cells, its images read and its systems checked.

    Args:
        paths: of images.
        methods: registry names.
        lmms: names from `models.offered`; each method runs on every one, on its default where none is named.
        options: method -> changes to its default options.

    Raises:
        InputError: nothing to compare, too much at once, an unknown name or option.
        methods.images.ImageError: an image cannot be read; the sentence names it.
    """
    if not paths:
        raise InputError("Add a photo first.")
    if not methods:
        raise InputError("Choose at least one method.")
    if len(paths) > MOST_PICTURES:
        raise InputError(f"A comparison takes up to {MOST_PICTURES} photos; there are {len(paths)}. Score more of "
                         "them in the folder mode.")
    systems = _systems(methods, lmms, options or {})
    if len(paths) * len(systems) > MOST_CELLS:
        raise InputError(f"This would take {len(paths) * len(systems)} scores, and {MOST_CELLS} are the most at once; "
                         "leave out some photos, methods or models.")
    return Comparison(_pictures(paths), systems, versions=versions(),
                      created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))


def _systems(methods: Sequence[str], lmms: Sequence[str], options: Mapping[str, Mapping[str, object]]
             ) -> tuple[System, ...]:
    available = models.available_methods()
    for name in (*methods, *options):
        if name not in available:
            raise InputError(f"There is no method {name!r}; choose from {', '.join(available)}.")
    labels = {name: label for label, name in models.offered()}
    for name in lmms:
        if name not in labels:
            raise InputError(f"This page does not offer the model {name}; choose from {', '.join(labels)}.")
    systems = []
    for name in dict.fromkeys(methods):
        kind = method_class(name)
        kind.options.updated(**options.get(name, {}))
        changes = json_safe(dict(options.get(name, {})))
        names = list(dict.fromkeys(lmms)) or [models.default_for(name)]
        for lmm in names if kind.needs_lmm else [""]:
            title = f"{kind.title}, {labels.get(lmm, lmm)}" if lmm and len(names) > 1 else kind.title
            systems.append(System(name, title, lmm, changes))
    return tuple(systems)


def _pictures(paths: Sequence[str]) -> tuple[Picture, ...]:
    return tuple(PHOTOS.run(_picture, path, name) for path, name in zip(paths, distinct_names(paths)))


def _picture(path: str, name: str) -> Picture:
    try:
        decoded = decode(path)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    image = decoded.image
    digest = hash_joined((f"{image.width}x{image.height}:", image.tobytes()))
    return Picture(name, image.width, image.height, digest, decoded.notes)


def run(comparison: Comparison, paths: Sequence[str], progress: gr.Progress | None = None
        ) -> Iterator[tuple[Comparison, tuple[int, int] | None]]:
    """Fills the cells, the cheapest system first, and yields the comparison before and after each of them.

    Args:
        comparison: from `plan`, for the same `paths`.
        progress: the handler's.

    Yields:
        The comparison so far and the (image, system) that is being scored; None at the end.
    """
    places = [(picture, system) for system in _by_cost(comparison.systems) for picture in range(len(paths))]
    for done, (picture, system) in enumerate(places, start=1):
        yield comparison, (picture, system)
        comparison = comparison.with_cell(_score(comparison, picture, system, paths[picture]))
        if progress is not None:
            progress((done, len(places)), desc=f"{done} of {len(places)} scored")
    yield comparison, None


def _by_cost(systems: Sequence[System]) -> list[int]:
    """Quick ones first, so that something is there at once; of equal cost, in the given order."""
    def cost(index: int) -> float:
        return method_class(systems[index].method).cost(systems[index].options)

    return sorted(range(len(systems)), key=cost)


def _score(comparison: Comparison, picture: int, system: int, path: str) -> Cell:
    recipe = comparison.systems[system]
    try:
        assessment = gpu.assess(recipe.method, [path], recipe.lmm or None, recipe.options, one_of_many=True)[0]
    except gr.Error as error:
        return Cell(picture, system, error=str(error.message))
    return cell_of(assessment, picture, system)


def cell_of(assessment: Assessment, picture: int, system: int) -> Cell:
    """An assessment as a comparison keeps it."""
    record, opinion = assessment.to_dict(), meaning.explain(assessment)
    return Cell(
        picture=picture, system=system, score=assessment.score, native_score=assessment.native_score,
        native_range=tuple(assessment.native_range), seconds=assessment.seconds, lmm=_public(assessment.lmm),
        seed=assessment.seed, options=record["options"], explanation=assessment.explanation,
        why=assessment.evidence.reason(assessment.score), spread=assessment.evidence.spread(assessment.score),
        evidence=record["evidence"], figure=_figure(assessment),
        opinion=None if opinion is None else Opinion(opinion.mos, opinion.low, opinion.high),
    )


def _figure(assessment: Assessment) -> str:
    figure = render_evidence(assessment)
    return "" if figure is None else figure.update_layout(template="none").to_json()


def _public(lmm: str) -> str:
    """"name@revision" without the folder of a local checkpoint or the address of a server."""
    name, at, revision = lmm.rpartition("@")
    if not at:
        name, revision = revision, ""
    if name.startswith(("/", ".", "~", "server:")) or "\\" in name:
        name = name.rpartition("#")[2].replace("\\", "/").rstrip("/").rpartition("/")[2]
    return f"{name}@{revision}" if revision else name


@cache
def versions() -> dict[str, str]:
    """What computes scores here: this app's version and commit, Python, and the packages that a score depends on."""
    return {"mean-opinion": _app_version(), **provenance.versions(), "gradio": gr.__version__}


def _app_version() -> str:
    commit, _, changes = (os.environ.get("MEAN_OPINION_COMMIT") or provenance.commit()).partition("+")
    if commit == provenance.UNKNOWN:
        return VERSION
    return f"{VERSION}+{commit[:8]}" + (f".{changes}" if changes else "")
