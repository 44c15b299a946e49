"""Draws the component of a visit and answers what its scripts send: photos that arrived, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block

from ui.components import plain_errors, upload_path
from ui.components.uploads import PictureInput, picture_file
from ui.serving.zips import MOST_FILES
from ui.visit import address as visit_address

HERE = Path(__file__).parent

HTML = """
<p class="arriving" role="status"></p>
<section class="results-strip" aria-label="Last results" hidden>
  <header><h2>Your last results</h2><p>Kept in this browser alone, until its tab is closed.</p>
  <button type="button" class="clear-results">Clear</button></header><ol></ol>
</section>
<dialog class="kept-dialog" aria-label="A result of this visit"><button type="button" class="close-result"
  aria-label="Close">×</button><div class="kept-result"></div></dialog>
"""

PROBLEMS = {
    "kind": "That holds no photo; take a picture file, or a zip of some.",
    "many": f"There are more than {MOST_FILES} photos; take fewer at once, or a zip in parts.",
    "address": "That is no web address of a photo; it starts with https:// or http://.",
    "upload": "The photos could not be uploaded; check the connection and the size of the files, and try again.",
}


COMING = "(text) => { if (window.meanOpinion) window.meanOpinion.coming = text.trim(); return text; }"


@dataclass(frozen=True)
class Several:
    """Where several photos go: the page's tabs, the modes of the Compare tab, and the input of its folder mode."""

    tabs: gr.Tabs
    modes: gr.Tabs
    files: gr.File


def build(photo: gr.State, rooms: Sequence[gr.Tab], places: Sequence[tuple[gr.Tab, PictureInput]], several: Several,
          address: gr.Textbox) -> None:
    """Draws the component below the tabs and wires it.

    Args:
        photo: the path of the visit's one photo.
        rooms: all tabs of the page.
        places: each photo input with the tab of the page that it lies in; the first is where photos go from tabs
            without one.
        several: where more than one photo goes.
        address: a field for the web address of a photo.
    """
    scripts = "\n".join((HERE / name).read_text("utf-8") for name in ("arrivals.js", "history.js", "address.js"))
    style = (HERE / "visit.css").read_text("utf-8")
    visit = gr.HTML(f"<style>{style}</style>{HTML}", elem_id="visit", padding=False, apply_default_css=False,
                    js_on_load=scripts)
    outputs: list[Block] = [several.tabs, several.modes, several.files, photo, address]
    for _, picture in places:
        outputs += [picture, *picture.result[1]]

    def in_tab(path: str, title: str) -> list[object]:
        """Values that put the photo into the tab with this title (else the first) and clear its result."""
        labels = [room.label for room, _ in places]
        index_of_tab = labels.index(title) if title in labels else 0
        values = [gr.Tabs(selected=places[index_of_tab][0].id), gr.skip(), gr.skip(), path, ""]
        for index, (_, picture) in enumerate(places):
            empty, below = picture.result
            values += [path, *empty()] if index == index_of_tab else [gr.skip()] * (1 + len(below))
        return values

    @plain_errors
    def arrived(event: gr.EventData) -> list[object]:
        sent = event._data if isinstance(event._data, dict) else {}
        if (problem := PROBLEMS.get(str(sent.get("problem")))) is not None:
            raise gr.Error(problem, print_exception=False)
        title = str(sent.get("tab"))
        if isinstance(sent.get("address"), str):
            return in_tab(picture_file(sent["address"]), title)
        paths = [upload_path(str(path)) for path in sent.get("paths") or []]
        if not paths:
            raise gr.Error(PROBLEMS["kind"], print_exception=False)
        if len(paths) == 1 and not paths[0].lower().endswith(".zip"):
            return in_tab(paths[0], title)
        rest = [gr.skip()] * (len(outputs) - 3)
        return [gr.Tabs(selected="compare"), gr.Tabs(selected="folder"), paths, *rest]

    @plain_errors
    def fetched(text: str) -> list[object]:
        address = (text or "").strip()
        if not address.lower().startswith(("http://", "https://")):
            raise gr.Error(PROBLEMS["address"], print_exception=False)
        return in_tab(picture_file(address), str(places[0][0].label))

    settings: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    runs = [run for _, picture in places for run in picture.runs]
    arrive = visit.upload(arrived, None, outputs, cancels=list(runs), **settings)
    fetch = address.submit(fetched, address, outputs, js=COMING, cancels=list(runs), **settings)
    for event in (arrive, fetch):
        event.success(None, None, None, js="() => window.meanOpinion?.came()", **settings)
    visit_address.wire(visit, rooms, photo, places)
