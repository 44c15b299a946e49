"""Keeping a comparison: a link that opens it again, a link that deletes it, and files to take along.

The page says what is stored, for how long and where before the button is pressed. The delete token stands behind the
"#" of its link: that part of an address stays in the browser and reaches no server's log.
"""

from __future__ import annotations

import datetime
import functools
import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from methods.errors import UserError
from ui.comparison.card import write_card
from ui.comparison.exports import write_csv, write_json
from ui.comparison.records import Comparison, from_dict
from ui.comparison.report import Place
from ui.comparison.running import versions
from ui.components import plain_errors
from ui.components.results import short_model
from ui.components.texts import plain, web_address
from ui.share.entry import ID, LONGEST_SIDE, TOKEN, DamagedError, Entry, GoneError
from ui.share.settings import Settings, from_environment, open_store
from ui.share.store import Store
from ui.tabs.compare.results import QUIET, Held, Results, hold

log = logging.getLogger(__name__)

FORMATS = {"Card as PNG": "png", "Card as PDF": "pdf", "Record as JSON": "json", "Table as CSV": "csv"}

TO_LINK = "(query) => query ? location.origin + location.pathname + query : ''"
COPY = """(query) => {
  const link = query ? location.origin + location.pathname + query : '';
  if (link && navigator.clipboard) navigator.clipboard.writeText(link).catch(() => {});
  return link;
}"""
FRAGMENT = "() => location.hash"
FORGET = "() => { history.replaceState(null, '', location.pathname + location.search); }"


@functools.cache
def settings() -> Settings:
    """Of this process."""
    return from_environment()


@functools.cache
def store() -> Store:
    """The one store of this process."""
    return open_store(settings())


def wire(page: gr.Blocks, tabs: gr.Tabs, modes: gr.Tabs, outcome: Results, methods: gr.CheckboxGroup) -> None:
    """Draws the sharing part below the results and restores the comparison of the page's address."""
    sharing = settings()
    fragment = gr.Textbox(visible=False)
    token = gr.State("")
    with outcome.sharing:
        with gr.Row():
            kind = gr.Dropdown(list(FORMATS), value=next(iter(FORMATS)), show_label=False, container=False,
                               min_width=150)
            export = gr.Button("Export", min_width=100, elem_id="compare-export")
        file = gr.File(visible=False, label="Exported file", interactive=False, elem_id="compare-file")
        gr.Markdown(terms(sharing), elem_id="compare-terms")
        share = gr.Button("Share: store this and give me a link", variant="primary", visible=sharing.enabled,
                          elem_id="compare-share")
        query, deletion, address = (gr.Textbox(visible=False) for _ in range(3))
        link = gr.Textbox(visible=False, interactive=False, label="Link to this comparison", buttons=["copy"],
                          elem_id="compare-link")
        delete_link = gr.Textbox(visible=False, interactive=False, buttons=["copy"], elem_id="compare-delete-link",
                                 label="Link that deletes it: keep it to yourself")
        said = gr.Markdown(visible=False, elem_id="compare-shared")
        delete = gr.Button("Delete it now", variant="stop", visible=False, elem_id="compare-delete")
    fresh = [file, link, delete_link, said, delete, token, share]

    def nothing() -> list[object]:
        return [*[gr.update(visible=False)] * 5, "", gr.update(visible=sharing.enabled)]

    def stale(held: Held | None) -> list[object]:
        """A new comparison makes the links and files of the one before disappear."""
        return [gr.skip()] * len(fresh) if held is not None and held.id else nothing()

    @plain_errors
    def put(held: Held | None) -> list[object]:
        if held is None or not held.comparison.scored:
            raise gr.Error("Compare something first.", print_exception=False)
        if held.id:
            # A reader who could store it again would keep it from being deleted by the person who shared it.
            raise gr.Error("This comparison is shared already; its link opens it.", print_exception=False)
        receipt = store().put(Entry(held.comparison.to_dict(), held.pictures, time.time()))
        note = f"Stored until {_day(receipt.expires)}. {receipt.note}".strip()
        address = f"?share={receipt.id}"
        return [replace(held, id=receipt.id), address, f"{address}#delete={receipt.token}", receipt.token,
                gr.update(value=note, visible=True), gr.update(visible=True), gr.update(visible=False)]

    @plain_errors
    def restore(hash_part: str, request: gr.Request) -> list[object]:
        _sweep()
        name = dict(request.query_params).get("share")
        if name is None:
            return [gr.skip()] * (3 + len(outcome.outputs) + 3)
        token = str(hash_part or "").removeprefix("#delete=")
        own = token if TOKEN.fullmatch(token) else ""
        here = [gr.Tabs(selected="compare"), gr.Tabs(selected="side-by-side")]
        try:
            held, entry = load(name)
        except GoneError as error:
            values = outcome.cleared()
            values[1] = gr.Markdown(f"**{error}**", visible=True, elem_classes="gone")
            return [*here, gr.skip(), *values, "", gr.update(visible=False), gr.skip()]
        there = {system.method for system in held.comparison.systems}
        chosen = gr.CheckboxGroup(value=[name for _, name in methods.choices if name in there])
        values = outcome.show(held, notice=notice(held.comparison, entry, bool(own)))
        return [*here, chosen, *values, own, gr.update(visible=bool(own)), gr.update(visible=False)]

    @plain_errors
    def remove(held: Held | None, own: str) -> list[object]:
        if held is None or not held.id or not own:
            raise gr.Error("Open the delete link first.", print_exception=False)
        last = store().delete(held.id, own)
        text = ("**Deleted.** Its link now says that it is gone." if last else
                "**Deleted for you.** Somebody else shared exactly the same comparison, and their link still holds.")
        values = outcome.cleared()
        values[1] = gr.Markdown(text, visible=True)
        return [*values, *nothing()]

    @plain_errors
    def save(held: Held | None, chosen: str, address: str) -> dict[str, object]:
        if held is None or not held.comparison.scored:
            raise gr.Error("Compare something first.", print_exception=False)
        if chosen not in FORMATS:
            raise gr.Error(f"An export is one of {', '.join(FORMATS)}.", print_exception=False)
        root = web_address(address).rstrip("/")
        return gr.update(value=str(export_file(held, FORMATS[chosen], root)), visible=True)

    # Gradio walks the whole page for each output that may show progress, twice before a page can be used.
    page.load(restore, fragment, [tabs, modes, methods, *outcome.outputs, token, delete, share], js=FRAGMENT,
              show_progress_on=fragment, **QUIET)
    share.click(put, outcome.state, [outcome.state, query, deletion, token, said, delete, share],
                show_progress="minimal", api_visibility="private").success(
        lambda a, b: [gr.update(value=a, visible=True), gr.update(value=b, visible=True)], [query, deletion],
        [link, delete_link], **QUIET).then(None, link, link, js=COPY, **QUIET).then(
        None, delete_link, delete_link, js=TO_LINK, **QUIET)
    delete.click(remove, [outcome.state, token], [*outcome.outputs, *fresh], show_progress="minimal",
                 api_visibility="private").success(None, None, None, js=FORGET, **QUIET)
    export.click(save, [outcome.state, kind, address], file, show_progress="minimal", api_visibility="private",
                 js="(held, kind) => [held, kind, location.origin + location.pathname]")
    outcome.table.change(stale, outcome.state, fresh, **QUIET)


def _sweep() -> None:
    try:
        store().sweep()
    except UserError as error:  # the visitor who happens to trigger it has nothing to do with it
        log.warning("Old comparisons could not be swept: %s", error)


def load(name: str) -> tuple[Held, Entry]:
    """The comparison of a link.

    Raises:
        GoneError: there is none; one sentence.
    """
    if not ID.fullmatch(str(name)):
        raise GoneError("This is not a link to a comparison; copy it again as it was given.")
    entry = store().get(name)
    try:
        comparison = from_dict(entry.record)
        if len(entry.pictures) != len(comparison.pictures):
            raise DamagedError("This comparison is damaged.")
    except UserError as error:
        log.error("The shared comparison %s cannot be read.", name, exc_info=error)
        raise GoneError(str(error)) from error
    return hold(comparison, entry.pictures, name), entry


def last_day(entry: Entry) -> str:
    """Until when it is kept, in words."""
    return _day(entry.created + settings().days * 86_400)


def terms(sharing: Settings) -> str:
    """What sharing stores, where and for how long; shown before anything is stored."""
    if not sharing.enabled:
        return "Sharing is switched off on this page; exports work."
    where = "on the machine that runs this page"
    if sharing.repo:
        where += f" and in the Hub dataset {sharing.repo}"
    return (
        f"**What sharing stores:** a copy of each photo (at most {LONGEST_SIDE} pixels per side, encoded anew, without "
        "EXIF, location or other metadata), the file names you see, all scores with their evidence, options and "
        f"times, and the versions of methods and models. It is kept {where} for {sharing.days} days, or less if space "
        "runs out; everybody who has the link can see it. Nothing is stored before you press the button, and you get "
        "a second link that deletes it."
    )


def notice(comparison: Comparison, entry: Entry, own: bool) -> str:
    """The notice above a shared comparison: its date, its models, and what has changed since."""
    models = ", ".join(f"`{short_model(name)}`" for name in dict.fromkeys(cell.lmm for cell in comparison.scored))
    then = comparison.versions
    until = last_day(entry)
    lines = [f"**Shared comparison** of {comparison.created[:10]}, kept until {until}. Scored by {models} with Mean "
             f"Opinion {plain(then.get('mean-opinion', 'of unknown version'))}, torch {plain(then.get('torch', '?'))}, "
             f"transformers {plain(then.get('transformers', '?'))}."]
    changed = [f"{name} {then[name]} → {now}" for name, now in versions().items() if then.get(name) not in (None, now)]
    if changed:
        lines.append(f"This page now runs other versions ({plain(', '.join(changed))}), so new scores may differ; "
                     "what is shown are the numbers of then.")
    if own:
        lines.append("**You have its delete link:** the button below the results deletes it.")
    return " ".join(lines)


def export_file(held: Held, kind: str, root: str = "") -> Path:
    """The comparison as a file that the page may serve.

    Args:
        root: the page's address, for the link of a shared one; "" where it is unknown.
    """
    Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="comparison-", dir=get_upload_folder()))
    path = folder / f"mean-opinion-{held.comparison.created[:10]}.{kind}"
    if kind == "json":
        write_json(held.comparison, path, share_id=held.id)
    elif kind == "csv":
        write_csv(held.comparison, path)
    else:
        link = Place(root, held.id).link if held.id and root else ""
        write_card(held.comparison, held.pictures, path, link=link)
    return path


def _day(seconds: float) -> str:
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%-d %B %Y}"
