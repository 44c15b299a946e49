"""What a page says of one score: the dial in opinions, the photos that people rated about the same, and the model.

Pure functions from an `Assessment` to HTML. The meaning comes from measured runs alone (`methods.meaning`).
"""

from __future__ import annotations

import csv
import functools
import html
import json
from typing import TYPE_CHECKING

from assets import FOLDER
from methods import meaning
from methods.base import method_class
from methods.meaning import Consensus, Meaning, Table
from ui.components.inline_images import thumbnail_url
from ui.components.results import cost_line, dial, short_model

if TYPE_CHECKING:
    from methods.base import Assessment

REFERENCES = FOLDER / "reference-set"
REFERENCES_ARE = "live-challenge-dev"
"""The dataset that the photos of the reference set are from, the only rated ones whose licence lets them ship."""

SYSTEM = ("method", "options", "seed", "lmm", "max_pixels", "basis")
"""Of a record: what scored the photo. Of results that differ in nothing of it, the visit keeps the last."""

THUMBNAIL = 240
MILLION, BILLION = 1e6, 1e9


def verdict_html(assessment: Assessment) -> str:
    """Dial, neighbours and badge of one assessment."""
    table = meaning.table_of(assessment)
    opinion = None if table is None else table.meaning(assessment.score)
    how = ("" if opinion else '<details class="advice"><summary>How to calibrate it</summary>'
           f"{html.escape(meaning.advice(assessment))}</details>")
    record = assessment.to_dict()
    words = " · ".join(filter(None, (assessment.evidence.reason(assessment.score), cost_line(assessment))))
    kept = result_to_keep(method_class(assessment.method).title, opinion, words.replace("`", ""), assessment.score,
                          {name: value for name, value in record.items() if name not in ("evidence", "explanation")})
    return (f'<div class="verdict"{kept}>{dial(assessment.score, known=opinion)}{neighbours_html(opinion)}'
            f"{badge_html(assessment, table)}{how}</div>")


def result_to_keep(title: str, known: Meaning | Consensus | None, words: str, score: float, record: dict[str, object]
                   ) -> str:
    """An attribute from which the browser keeps a result among the last of the visit, see ui/visit/history.js; HTML.

    Args:
        title: of the method.
        words: why, and what it cost, in plain text.
        record: JSON-safe; without the evidence, which can hold whole images.
    """
    value, spoken = f"{score:.2f}", f"raw score {score:.2f}"
    if known is not None:
        value, spoken = f"{known.mos:.0f}", f"{known.mos:.0f} of 100, nine of ten {known.low:.0f} to {known.high:.0f}"
    system = json.dumps([title, *(record.get(name) for name in SYSTEM)], sort_keys=True)
    kept = {"title": title, "value": value, "spoken": spoken, "words": words, "record": record, "system": system}
    return f' data-result="{html.escape(json.dumps(kept))}"'


def neighbours_html(known: Meaning | Consensus | None) -> str:
    """The photos that ship whose opinions lie next to the expected one, as pictures; "" where none may be shown."""
    if known is None or known.dataset != REFERENCES_ARE:
        return ""
    cards = "".join(
        f'<figure><img src="{thumbnail_url(REFERENCES / photo.name, THUMBNAIL)}" '
        f'alt="A rated photo, {photo.mos:.0f} of 100">'
        f"<figcaption>people: <strong>{photo.mos:.0f}</strong></figcaption></figure>"
        for photo in meaning.neighbours(_references(), known.mos) if photo is not None)
    return f'<aside class="neighbours"><p>Photos that people rated about the same</p><div>{cards}</div></aside>'


@functools.cache
def _references() -> tuple[tuple[str, float], ...]:
    """(file name, opinion on 0 to 100) of every photo of the reference set."""
    with (REFERENCES / "references.csv").open(newline="", encoding="utf-8") as file:
        return tuple((row["image"], 100 * float(row["mos"])) for row in csv.DictReader(file))


def badge_html(assessment: Assessment, table: Table | None) -> str:
    """Which model said this, how large it is, and how well it was measured to agree with people."""
    name, size, small = model_of(assessment, table)
    measured = "not measured here" if table is None else measured_text(table)
    parts = [f"<strong>{html.escape(name)}</strong>", *([size] if size else []), html.escape(measured)]
    more = ""
    if small:
        parts.insert(1, '<em class="demonstration">demonstration model</em>')
        more = (" It is small so that every method runs anywhere; the numbers of the papers are those of models a "
                "thousand times its size. A GPU brings one, or <code>MEAN_OPINION_LMM=NAME</code>.")
        if note := method_class(assessment.method).embedded_note:
            more += f" {html.escape(note, quote=False)}"
    return f'<p class="badge">{" · ".join(parts)}.{more}</p>'


def measured_text(table: Table) -> str:
    """The measured agreement with people, and on what, in half a sentence."""
    srcc, folds = table.srcc, ", by models that had not seen them" if table.folds else ""
    return f"SRCC {srcc.value:.2f} [{srcc.low:.2f}, {srcc.high:.2f}] on {table.population}{folds}"


def model_of(assessment: Assessment, table: Table | None) -> tuple[str, str, bool]:
    """Name and size of what computed a score, and whether it is the embedded LMM."""
    kind = method_class(assessment.method)
    name = short_model(assessment.lmm).partition("@")[0]
    if not kind.needs_lmm:
        weights = _weights(f"embedded-student{name.removeprefix('embedded')}") if name.startswith("embedded") else None
        return f"{kind.title} student {name}", _size(weights), False
    if name == "embedded":
        return "Embedded LMM", _size(_weights("embedded-lmm")), True
    billions = table.parameters_billion if table is not None else None
    return name, _size(None if billions is None else billions * BILLION), False


def _size(weights: float | None) -> str:
    if weights is None:
        return ""
    return f"{weights / BILLION:.3g} B weights" if weights >= BILLION else f"{weights / MILLION:.2g} M weights"


@functools.cache
def _weights(folder: str) -> float | None:
    """How many numbers the weights of a model in assets/ hold; None where it is none of ours."""
    from safetensors import safe_open

    path = next((FOLDER / folder).glob("*.safetensors"), None)
    if path is None:
        return None
    total = 0
    with safe_open(path, "numpy") as file:
        for name in file.keys():  # noqa: SIM118  it is no mapping
            count = 1
            for side in file.get_slice(name).get_shape():
                count *= side
            total += count
    return float(total)
