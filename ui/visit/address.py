"""The choices of a tab and its photo in the page's address: written by the browser, restored from here.

An example or a web address can be in a link, an uploaded photo cannot. assets/address.js keeps the address;
`address.js` beside this module asks for what it says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
from gradio.blocks import Block

from leaderboard.links import FRAMEWORK, MAX_LINK, quotation
from ui.components import EXAMPLES, plain_errors
from ui.components.choices import TYPED, choices_of, modes_of, value_of
from ui.components.photo import EXAMPLE_PICTURES
from ui.components.uploads import PictureInput, picture_file
from ui.serving import models

UPLOADED = "The photo that was uploaded here is not part of the address; choose it again."

RESTORED = """(text) => {
  const {tab, words, photo, run} = JSON.parse(text);
  window.meanOpinion?.restored(tab, words, photo, run);
}"""


def wire(visit: gr.HTML, rooms: Sequence[gr.Tab], photo: gr.State,
         places: Sequence[tuple[gr.Tab, PictureInput]]) -> None:
    """Has the browser write the choices of every tab, and restores those of an address.

    Args:
        visit: the component whose script asks, by its event "input".
        rooms: all tabs of the page, as `in_address` has marked their components.
        photo: the path of the visit's one photo.
        places: each photo input with its tab.
    """
    choices = {str(room.id): choices_of(room) for room in rooms}
    modes = {str(room.id): modes_of(room) for room in rooms}
    pictures = {str(room.id): picture for room, picture in places}
    settings: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    outputs: list[Block] = [photo]
    for tab, named in choices.items():
        outputs += list(named.values())
        follow = next((one for one in named.values() if hasattr(one, "brings")), None)
        if follow is not None:
            outputs += [one for one in follow.brings[1] if one not in outputs]
        if named:
            spec = json.dumps([[name, one.value, isinstance(one, TYPED)] for name, one in named.items()])
            gr.on([one.input for one in named.values()], None, list(named.values()), None, **settings,
                  js=f"(...values) => {{ window.meanOpinion?.chose({tab!r}, {spec}, values); }}")
    outputs += [tabs for sets in modes.values() for tabs, _ in sets]
    for picture in pictures.values():
        outputs += [picture, *picture.result[1]]
    done = gr.Textbox(visible=False)

    @plain_errors
    def restore(event: gr.EventData) -> dict[Block, object]:
        sent = event._data if isinstance(event._data, dict) else {}
        words = dict(parse_qsl(str(sent.get("query", ""))[:MAX_LINK].removeprefix("?"), keep_blank_values=True))
        tab = words.pop("tab", "score")
        notes: list[str] = [] if tab in choices else [f"There is no tab {quotation(tab)} here; this is the first one."]
        answer: dict[Block, object] = {}
        name, mode, run = words.pop("photo", ""), words.pop("mode", ""), False
        if tab in choices:
            answer = component_values(choices[tab], words, notes) | open_tabs(modes[tab], mode, notes)
            if tab in pictures and not sent.get("same"):
                path = _photo(name, notes) if name else None
                empty, below = pictures[tab].result
                answer |= {photo: path, pictures[tab]: path, **dict(zip(below, empty()))}
                # On ZeroGPU, opening a link would spend a visitor's quota.
                run, name = path is not None and not models.ON_ZERO_GPU, name if path else ""
            if sent.get("uploaded"):
                notes.append(UPLOADED)
        good = [[name, text] for name, text in words.items()
                if name in choices.get(tab, {}) and not value_of(name, choices[tab][name], text)[1]]
        answer[done] = json.dumps({"tab": tab, "words": good, "photo": name, "run": run})
        if notes:
            gr.Warning(" ".join(notes), duration=None)
        return answer

    # Two steps back at once are two answers; the second counts.
    both: dict[str, Any] = {**settings, "trigger_mode": "multiple"}
    visit.input(restore, None, [done, *outputs], concurrency_limit=1, **both).success(
        None, done, None, js=RESTORED, **both)


def component_values(named: Mapping[str, Any], words: Mapping[str, str], notes: list[str]) -> dict[Block, object]:
    """Component -> its value or update, for the words of an address; its own value where they say nothing."""
    values = {name: one.value for name, one in named.items()}
    for name, text in words.items():
        if name in named:
            values[name], note = value_of(name, named[name], text)
            notes += [note] if note else []
        elif not FRAMEWORK.fullmatch(name):
            notes.append(f"{quotation(name)} is not part of a link to this tab; it was ignored.")
    answer: dict[Block, object] = {one: gr.update(value=values[name]) for name, one in named.items()}
    for one in named.values():
        if hasattr(one, "brings"):
            update, outputs = one.brings
            answer |= dict(zip(outputs, update(values)))
    return answer


def open_tabs(sets: Sequence[tuple[gr.Tabs, list[str]]], mode: str, notes: list[str]) -> dict[Block, object]:
    """Tabs inside a tab -> which of them is open, for the mode of an address; the first where it says nothing."""
    if mode and not any(mode in names for _, names in sets):
        notes.append(f"There is no {quotation(mode)} in this tab; it was ignored.")
    return {tabs: gr.Tabs(selected=mode if mode in names else names[0]) for tabs, names in sets}


def _photo(name: str, notes: list[str]) -> str | None:
    """The path of a photo that an address names."""
    if name in EXAMPLE_PICTURES:
        return str(EXAMPLES / name)
    if not name.startswith(("http://", "https://")):
        notes.append(f"There is no example {quotation(name)} here; a link holds an example or a photo's web address.")
        return None
    try:
        return picture_file(name)
    except gr.Error as error:
        notes.append(str(error.message))
        return None
