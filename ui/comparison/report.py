"""A shared comparison as a page of its own, read-only and without JavaScript: results first, then what they rest on.

The same page is the frozen copy: then its images lie inside it, and its whole record as JSON, so that one file holds
everything for as long as there are browsers. Its head says in the words of link previews (Open Graph), reference
managers (citation_*) and search engines (schema.org) what it is.
"""

from __future__ import annotations

import base64
import functools
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from PIL import Image

from methods.base import method_class
from methods.errors import InputError
from ui.comparison.agreement import verdict
from ui.comparison.card import PREVIEW
from ui.comparison.exports import record
from ui.comparison.records import Cell, Comparison
from ui.comparison.tables import to_html
from ui.components.inline_images import data_url
from ui.components.results import short_model

HERE = Path(__file__).parent
COMPARISON_STYLE = HERE.parent / "tabs" / "compare" / "compare.css"


@dataclass(frozen=True)
class Place:
    """Where a report is shown.

    Attributes:
        root: the page's address without a slash at its end.
        id: the comparison's content id.
        until: the day until which the link holds, in words.
        frozen: the day on which it was taken out of there, ISO; "" for the page itself.
    """

    root: str
    id: str
    until: str = ""
    frozen: str = ""

    @property
    def link(self) -> str:
        return f"{self.root}/?share={self.id}"

    @property
    def files(self) -> str:
        """Start of the addresses of its files."""
        return f"{self.root}/shared/{self.id}"


def report(comparison: Comparison, pictures: Sequence[bytes], place: Place, theme: str = "") -> str:
    """HTML.

    Args:
        pictures: WebP copies in the comparison's order.
        theme: "light" or "dark"; "" follows the reader's own setting.
    """
    thumbnails = tuple(data_url(Image.open(io.BytesIO(content)), 96) for content in pictures)
    sources = [f"data:image/webp;base64,{base64.b64encode(content).decode('ascii')}" if place.frozen
               else f"{place.files}/photo-{index}.webp" for index, content in enumerate(pictures)]
    sizes = [Image.open(io.BytesIO(content)).size for content in pictures]
    return _templates().get_template("report.html").render(
        place=place, theme=theme, title=title(comparison), description=description(comparison),
        verdict=verdict(comparison), comparison=comparison, table=to_html(comparison, thumbnails=thumbnails),
        photos=list(zip(comparison.pictures, sources, sizes)), scores=[_evidence(comparison, cell) for cell in
                                                                       comparison.scored],
        style=_style(), linked=linked_data(comparison, place), preview=PREVIEW, day=comparison.created[:10],
        bibtex=bibtex(comparison, place), record=record(comparison) if place.frozen else None,
    )


def missing_page(sentence: str, root: str, theme: str = "") -> str:
    """HTML of a link that leads to nothing."""
    return _templates().get_template("gone.html").render(sentence=sentence, root=root, theme=theme, style=_style())


def title(comparison: Comparison) -> str:
    """Which systems on which images, in a line."""
    systems = [system.title for system in comparison.systems]
    names = [picture.name for picture in comparison.pictures]
    return f"{_listed(systems)} on {_listed(names) if len(names) < 3 else f'{len(names)} photos'}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def description(comparison: Comparison) -> str:
    """What came out, for a preview: the verdict, or the one score."""
    cells = comparison.scored
    if len(cells) == 1:
        text = comparison.text(cells[0])
        return f"{text} on 0 to 100." if comparison.calibrated else f"{text} on 0 to 1, not calibrated."
    return verdict(comparison)


def linked_data(comparison: Comparison, place: Place) -> dict[str, object]:
    """schema.org's description of the comparison as a data set."""
    return {
        "@context": "https://schema.org", "@type": "Dataset", "name": f"Mean Opinion: {title(comparison)}",
        "description": f"Image quality scores by {_listed([one.title for one in comparison.systems])}, with their "
                       f"evidence. {description(comparison)}",
        "url": place.link, "identifier": place.id, "dateCreated": comparison.created,
        "version": comparison.versions.get("mean-opinion", ""), "isAccessibleForFree": True,
        "image": f"{place.files}/preview.png",
        "creator": {"@type": "Organization", "name": "Mean Opinion contributors"},
        "measurementTechnique": [one.title for one in comparison.systems],
        "variableMeasured": [_measured(comparison, cell) for cell in comparison.scored],
        "distribution": [
            {"@type": "DataDownload", "encodingFormat": "application/json", "contentUrl": f"{place.files}/record.json"},
            {"@type": "DataDownload", "encodingFormat": "text/html", "contentUrl": f"{place.files}/frozen.html"}],
    }


def _measured(comparison: Comparison, cell: Cell) -> dict[str, object]:
    name = f"{comparison.systems[cell.system].title} on {comparison.pictures[cell.picture].name}"
    calibrated = comparison.calibrated and cell.opinion is not None
    return {"@type": "PropertyValue", "name": name, "value": cell.opinion.mos if calibrated else cell.score,
            "minValue": 0, "maxValue": 100 if calibrated else 1}


def bibtex(comparison: Comparison, place: Place) -> str:
    """The comparison, then every method in it."""
    latex = title(comparison).translate({ord(c): f"\\{c}" for c in "&%$#_{}"} | {ord(c): " " for c in "\\~^"})
    own = (f"@misc{{meanopinion{place.id[:8]},\n  title = {{Mean Opinion comparison: {latex}}},\n"
           f"  author = {{{{Mean Opinion contributors}}}},\n  year = {{{comparison.created[:4]}}},\n"
           f"  howpublished = {{\\url{{{place.link}}}}},\n  note = {{Content id {place.id}}}\n}}")
    entries = [own]
    for name in dict.fromkeys(system.method for system in comparison.systems):
        try:
            entries.append(method_class(name).citation.strip())
        except InputError:
            continue  # a method that this version does not have any more
    return "\n\n".join(dict.fromkeys(entries))


def _evidence(comparison: Comparison, cell: Cell) -> dict[str, object]:
    options = ", ".join(f"{name} {value}" for name, value in sorted(cell.options.items()))
    return {"title": comparison.systems[cell.system].title, "photo": comparison.pictures[cell.picture].name,
            "score": comparison.text(cell), "raw": cell.score, "html": _markdown().render(cell.explanation),
            "seed": cell.seed, "options": options, "model": short_model(cell.lmm), "full": cell.lmm,
            "seconds": cell.seconds, "meaning": cell.spread.meaning if cell.spread else ""}


@functools.cache
def _markdown() -> MarkdownIt:
    """For words that a model may have written: neither markup of its own, nor addresses."""
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])


@functools.cache
def _templates() -> jinja2.Environment:
    pages = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True,
                               lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    pages.policies["json.dumps_function"] = functools.partial(json.dumps, ensure_ascii=False, allow_nan=False)
    pages.policies["json.dumps_kwargs"] = {}
    return pages


@functools.cache
def _style() -> str:
    return (HERE / "report.css").read_text("utf-8") + COMPARISON_STYLE.read_text("utf-8")
