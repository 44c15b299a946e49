"""The leaderboard tab: every published number with its source, filtered, drawn, linked, cited and exported.

All decisions are the `leaderboard` package's; here they are wired to components. The whole state of the tab is one
`View`, so that a link, the table, the figure and the exports can never disagree.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from fastapi import HTTPException

from leaderboard import schema
from leaderboard.cards import cards
from leaderboard.citations import bibtex
from leaderboard.details import contrast, details
from leaderboard.export import FORMATS, as_text
from leaderboard.links import MAX_LINK, OPENING, TAB, Restored, View, board_of, columns, decode, encode
from leaderboard.markup import cards_html, rows_html, to_html
from leaderboard.tables import table
from methods.errors import InputError
from ui.components.page import enclosing, type_check
from ui.components.plotly_script import warm_up
from ui.components.texts import plain
from ui.errors import plain_errors
from ui.tabs.leaderboard import look, submit
from ui.tabs.leaderboard.view import (
    Controls,
    Screen,
    changed,
    column_controls,
    figure_controls,
    more_controls,
    top_controls,
    values_of,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

TITLE = "Leaderboard"

HERE = Path(__file__).resolve().parent
INTRO = ("Published results of five papers and four repositories as their sources print them, beside results measured "
         "here. Hover over or tap a number for its source and protocol. Numbers of different papers are not directly "
         "comparable: splits, PLCC mapping and prompts differ.")
DOWNLOADS = [("CSV", "csv"), ("Markdown", "markdown"), ("LaTeX", "latex"), ("BibTeX", "bibtex"),
             ("Figure as SVG", "svg"), ("Figure as PNG", "png"), ("Figure as PDF", "pdf")]
# The page's address is only known to the browser; where the clipboard is refused, the text can still be copied.
SCREEN = f"""() => {{
  {warm_up(TAB)}
  return [window.innerWidth, location.origin + location.pathname];
}}"""
COPY = """(query) => {
  const link = location.origin + location.pathname + query;
  if (navigator.clipboard) navigator.clipboard.writeText(link).catch(() => {});
  return link;
}"""


TO_ADDRESS = "(query) => { window.meanOpinion?.show(query); }"
AND_TO_ADDRESS = "(screen, state, query) => { window.meanOpinion?.show(query); return [screen, state, query]; }"
"""See assets/address.js."""

OF_TABLE = ("metric", "search", "training", "origin", "rows", "methods", "datasets", "kinds", "papers", "backbones",
            "training_sets", "rank_on", "hide", "cells", "columns")
"""Controls that change the table."""


def build(page: gr.Blocks) -> None:
    """Draws the tab and restores the view that the page's address names."""
    board = schema.load_board()
    first = table(board, OPENING)
    # Not scoped to one component: the box with a cell's source floats over the page. Its names start with "lb-".
    style = (HERE / "leaderboard.css").read_text("utf-8")
    gr.HTML(f'<style>{style}</style><p class="lb-intro">{INTRO}</p>{cards_html(cards(board))}', padding=False)
    parts = top_controls(board)
    with gr.Accordion("Columns", open=False):
        parts |= column_controls(board)
    with gr.Accordion("More filters", open=False):
        parts |= more_controls(board)
    notes = gr.Markdown(visible=False, elem_classes="lb-notes")
    opening = encode(OPENING, board=board)
    ranking = gr.HTML(to_html(first, sources=_titles(board), query=opening), elem_id="leaderboard-table",
                      apply_default_css=False, server_functions=[more_rows],
                      js_on_load=(HERE / "leaderboard.js").read_text("utf-8"))
    looked = look.panel()
    with gr.Row():
        copy = gr.Button("Copy link", variant="primary", min_width=96)
        cite = gr.Button("Cite this view", min_width=120)
        reset = gr.Button("Reset", min_width=96)
        kind = gr.Dropdown(DOWNLOADS, value="csv", show_label=False, container=False, min_width=130,
                           elem_id="leaderboard-format")
        export = gr.Button("Export", min_width=96)
    link = gr.Textbox(visible=False, elem_id="leaderboard-link", label="Link to this view", interactive=False,
                      buttons=["copy"])
    citation = gr.Code(visible=False, label="BibTeX of this app and every source in view", language=None)
    file = gr.File(visible=False, label="Exported file", interactive=False, elem_id="leaderboard-file")
    parts |= figure_controls(board)
    plot = gr.Plot(show_label=False, elem_id="leaderboard-figure")
    with gr.Accordion("Submit a result", open=False, elem_id="leaderboard-submit"):
        submit.panel(board)
    query = gr.State(opening)
    controls = Controls(**parts, row=looked.run, inside=looked.kind, beside=looked.other)
    screen = gr.State(Screen())
    opened = look.wire(looked, ranking, controls.metric, screen)
    _wire(page, controls, ranking, plot, query, notes, copy, cite, reset, kind, export, link, citation, file, screen,
          looked, opened)


def _wire(page, controls, ranking, plot, query, notes, copy, cite, reset, kind, export, link, citation, file,
          screen, looked, opened_row) -> None:
    settings = {"show_progress": "hidden", "api_visibility": "private"}
    # Links, citations and files of the view before. The browser looks through the whole page for every input and output
    # of an event, and three times for one out of sight: they are outputs only where there is something to take away.
    given, of_view = gr.State(False), [link, citation, file]
    # The same as the state, for the browser. What is drawn is compared with the state: a browser reports the search box
    # as changed before it has this.
    to_browser = gr.Textbox(visible=False)

    def draw_table(view: View, screen: Screen) -> list[object]:
        data = screen.board()
        text = encode(view, board=data)
        return [to_html(_table(data, view), sources=_titles(data), query=text), text, text, False]

    def draw_plot(view: View, screen: Screen) -> go.Figure:
        from leaderboard.figures import draw

        return draw(screen.board(), view, narrow=screen.narrow)

    def draw_figure(view: View, screen: Screen) -> list[object]:
        return [draw_plot(view, screen), gr.update(visible=view.figure == "cost"),
                gr.update(visible=view.figure == "ablation")]

    outputs = [ranking, query, to_browser, given]
    figure = [plot, controls.axis, controls.ablation]

    def drawn_view(drawn_query: str, screen: Screen) -> View:
        return decode(drawn_query, board=screen.board()).view

    def of_table(name: str) -> Callable[[str, Screen, object], list[object]]:
        @plain_errors
        def refresh(drawn_query: str, screen: Screen, value: object) -> list[object]:
            before = drawn_view(drawn_query, screen)
            view = changed(before, name, value)
            # A dropdown tells its value also when it only loses the focus, and the search box when a link fills it in.
            return [gr.skip()] * len(outputs) if view == before else draw_table(view, screen)

        return refresh

    @plain_errors
    def refresh_plot(screen: Screen, drawn_query: str, address: str) -> object:
        return draw_plot(drawn_view(drawn_query, screen), screen)

    def of_figure(name: str) -> Callable[[str, Screen, object], list[object]]:
        @plain_errors
        def refresh_figure(drawn_query: str, screen: Screen, value: object) -> list[object]:
            view = changed(drawn_view(drawn_query, screen), name, value)
            return [*draw_figure(view, screen), *[encode(view, board=screen.board())] * 2]

        return refresh_figure

    @plain_errors
    def sort(event: gr.EventData, drawn_query: str, screen: Screen) -> list[object]:
        before = drawn_view(drawn_query, screen)
        column = str(event._data.get("value", ""))
        if column not in columns(screen.board()):
            column = "rank"
        return draw_table(replace(before, sort=column, reverse=column == before.sort and not before.reverse), screen)

    @plain_errors
    def start(width: float | None, address: str | None, request: gr.Request) -> list[object]:
        screen = Screen.of(width, address)
        parameters = dict(request.query_params)
        if parameters.get("tab") != TAB:
            # Nothing to restore, and a visitor may have chosen something already: only the figure is due.
            return [screen, *[gr.skip()] * len(state), draw_plot(OPENING, screen)]
        screen, *rest = opened(parameters, screen)
        return [screen, gr.Tabs(selected=TAB), *rest]

    def opened(link: str | dict[str, str], screen: Screen) -> list[object]:
        restored = _paired(decode(link, board=board_of(link)))
        screen = replace(screen, revision=restored.revision)
        # What is no choice any more is in the table of that revision, but not in the controls of today.
        return [screen, *everything(restored.view, screen, restored.notes, decode(link).view)]

    @plain_errors
    def go(event: gr.EventData, screen: Screen) -> list[object]:
        """Back and Forward."""
        return opened(str(event._data.get("value", ""))[:MAX_LINK], screen)

    def everything(view: View, screen: Screen, sentences: tuple[str, ...] = (),
                   chosen: View | None = None) -> list[object]:
        text = "\n".join(f"- {plain(sentence)}" for sentence in sentences)
        values = values_of(chosen or view)
        names = list(controls.__dataclass_fields__)
        values[names.index("axis")] = gr.update(value=view.axis, visible=view.figure == "cost")
        values[names.index("ablation")] = gr.update(value=view.ablation or None, visible=view.figure == "ablation")
        start = names.index("row")
        drawn: list[object] = [gr.Column(visible=False), *[gr.skip()] * (len(looked.drawn) - 1)]
        values[names.index("beside")] = None
        if view.row:
            panel = look.of_run(view.row, view.inside, view.beside, screen.narrow, view.metric)
            values[start:start + 3], drawn = panel[:3], panel[3:]
        return [gr.update(value=text, visible=bool(text)), *values, *draw_table(view, screen), *drawn,
                draw_plot(view, screen)]

    def newest(screen: Screen) -> list[object]:
        screen = replace(screen, revision="")
        return [screen, *everything(OPENING, screen)]

    @plain_errors
    def references(screen: Screen, drawn_query: str) -> tuple[dict[str, object], bool]:
        data = screen.board()
        view = drawn_view(drawn_query, screen)
        link = encode(view, base=screen.address, board=data) if screen.address else ""
        return gr.update(value=bibtex(data, _table(data, view), link=link), visible=True), True

    @plain_errors
    def save(chosen: str, screen: Screen, drawn_query: str) -> tuple[dict[str, object], bool]:
        from leaderboard.commands.export import FILES, write

        if chosen not in FILES:
            raise gr.Error(f"An export is one of {', '.join(FILES)}.", print_exception=False)
        folder = Path(tempfile.mkdtemp(prefix="mean-opinion-", dir=_upload_folder(file)))
        paths = write(screen.board(), drawn_view(drawn_query, screen), folder, (chosen,), base=screen.address)
        return gr.update(value=str(paths[0]), visible=True), True

    state = [notes, *controls.inputs, *outputs, *looked.drawn, plot]
    tabs = enclosing(gr.Tabs)
    width, page_address = gr.Number(visible=False), gr.Textbox(visible=False)
    # As for every load event: Gradio walks the whole page for each output that may show progress.
    page.load(start, [width, page_address], [screen, tabs, *state], js=SCREEN, show_progress_on=width, **settings).then(
        None, to_browser, None, js="(query) => { if (query) window.meanOpinion?.know(query); }", **settings)
    # "always_last" would run for ever where two handlers share a trigger; one at a time, in order, is quick enough. All
    # in one line: each reads the view that the one before it has drawn. A browser looks through the whole page for each
    # input, so that a control sends its own value alone.
    every: dict[str, Any] = {**settings, "trigger_mode": "multiple", "concurrency_limit": 1,
                             "concurrency_id": "the view of the leaderboard"}
    table_of, figure_of = controls.named(*OF_TABLE), controls.named("figure", "axis", "ablation")
    drawn = [
        # Text that is pasted or filled in at once changes the box without a key press, so that "input" would miss it.
        (component.change if name == "search" else component.input)(
            of_table(name), [query, screen, component], outputs, **every)
        for name, component in table_of.items()]
    drawn.append(ranking.select(sort, [query, screen], outputs, **every))
    for event in drawn:
        event.then(refresh_plot, [screen, query, to_browser], plot, js=AND_TO_ADDRESS, **settings)

    def named(drawn_query: str, screen: Screen, row: str, inside: str, beside: str | None) -> list[str]:
        view = replace(drawn_view(drawn_query, screen), row=row, inside=inside, beside=beside or "")
        return [encode(view, board=screen.board())] * 2

    named_anew = [component.input(of_figure(name), [query, screen, component], [*figure, query, to_browser], **every)
                  for name, component in figure_of.items()]
    row = [looked.run, looked.kind, looked.other]
    named_anew += [event.then(named, [query, screen, *row], [query, to_browser], **every) for event in opened_row]
    for event in (*named_anew, reset.click(newest, screen, [screen, *state], **every)):
        event.then(None, to_browser, None, js=TO_ADDRESS, **settings)
    # Two steps back at once are two answers; the second counts.
    ranking.input(go, screen, [screen, *state], **every).then(
        None, to_browser, None, js="(query) => { window.meanOpinion?.back(query); }", **settings)
    given.change(lambda given: [gr.skip() if given else gr.update(visible=False)] * len(of_view), given, of_view,
                 **settings)
    copy.click(lambda text: (gr.update(value=text, visible=True), True), query, [link, given], **settings).then(
        None, link, link, js=COPY, **settings)
    cite.click(references, [screen, query], [citation, given], **settings)
    export.click(save, [kind, screen, query], [file, given], show_progress="minimal", api_visibility="private")
    gr.api(leaderboard, api_name="leaderboard")


@plain_errors
@type_check
def leaderboard(link: str = "", format: str = "csv") -> str:
    """The table of a leaderboard link as text.

    Args:
        link: a link copied from the leaderboard, or its query; empty for the default view.
        format: "csv", "markdown" or "latex".
    """
    if format not in FORMATS:
        raise InputError(f"The format is one of {', '.join(FORMATS)}.")
    # A link of the page is short; what is not could fill the memory with copies of itself.
    return _table_text(link, format) if len(link) <= LONGEST_LINK else _table_text.__wrapped__(link, format)


LONGEST_LINK = 2000


@functools.lru_cache(maxsize=256)  # the board is the same as long as the process lives
def _table_text(link: str, format: str) -> str:
    board = board_of(link)
    return as_text(board, table(board, decode(link, board=board).view), format)


def _paired(restored: Restored) -> Restored:
    """Drops the second run where it cannot be compared with the open row."""
    view, board = restored.view, schema.load_board()
    if not view.beside:
        return restored
    try:
        contrast(details(board, view.row), details(board, view.beside), view.metric)
    except InputError as error:
        return restored._replace(view=replace(view, beside=""), notes=(*restored.notes, str(error)))
    return restored


MOST_AT_ONCE = 300
"""Rows that one request may ask for; leaderboard.js asks for no more."""


def more_rows(asked: list[object]) -> str:
    """Rows of a table for the page that shows its first ones.

    Args:
        asked: the query of the table's link, the first row and the one after the last, from 0.

    Raises:
        HTTPException: it is not that.
    """
    query, start, end = asked if isinstance(asked, list) and len(asked) == 3 else ("", None, None)
    if not (isinstance(query, str) and len(query) <= MAX_LINK and isinstance(start, int) and isinstance(end, int)
            and 0 <= start <= end <= start + MOST_AT_ONCE):
        raise HTTPException(422, f"Rows are asked for by the query of a link and two whole numbers, at most "
                                 f"{MOST_AT_ONCE} at once.")
    board = board_of(query)
    return rows_html(_table(board, decode(query, board=board).view), _titles(board), start, end)


_table = functools.lru_cache(maxsize=16)(table)
"""A view is drawn, then asked for more rows, by everybody who opens its link."""


def _titles(board: schema.Board) -> dict[str, str]:
    return dict(zip(board.papers["slug"], board.papers["title"]))


def _upload_folder(component: gr.components.Component) -> str:
    folder = Path(component.GRADIO_CACHE)
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
