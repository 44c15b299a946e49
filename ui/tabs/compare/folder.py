"""The folder mode: many files or a zip by one or several methods, a list that fills as they are scored, worst first,
and beside people's ratings where a table of them is given."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from methods.base import Assessment, method_class
from methods.errors import UserError
from methods.images import Decoded
from methods.scoring import score_rows
from ui.comparison.tables import csv_text
from ui.components import plain_errors, require, upload_path
from ui.components.choices import in_address
from ui.components.opinion_scale import lower_is_better, scale_inputs, scale_of
from ui.components.options import Forms, changed_options, components_of
from ui.components.page import ended_before, ends_before
from ui.components.pickers import default_method
from ui.components.uploads import UPLOAD_TYPES
from ui.folder import drawn
from ui.folder.ratings import read_ratings
from ui.folder.records import CSV_COLUMNS, ORDERS, Folder, Photo, cells_of
from ui.folder.sheet import write_sheet
from ui.serving import gpu, models
from ui.serving.visitors import for_the_page, page_words, small_table
from ui.serving.zips import MOST_FILES, Member, contents

BYTES_AHEAD = 72 * 2**20
"""What is decoded and prepared ahead for one visitor."""

SECONDS_BETWEEN = 0.4
"""The page is told about progress at most this often."""

ROWS_MEANWHILE = 24
"""Rows that are drawn while others are still being scored: the list is sent anew each time."""

THUMBNAIL = 320
"""Longest side in pixels; at the size of a contact sheet that is 170 dots an inch."""

INTRO = ("Every photo becomes a row, the worst first. Files that cannot be read get a sentence instead of a score, and "
         "the rest goes on.")
FETCH_SHEET = "() => document.querySelector('#folder-sheet-file')?.click()"


@dataclass(frozen=True)
class Parts:
    """The mode's components."""

    files: gr.File
    table: gr.File
    scale: gr.Dropdown
    direction: gr.Radio
    methods: gr.CheckboxGroup
    lmm: gr.Dropdown
    button: gr.Button
    stop: gr.Button
    state: gr.State
    status: gr.Markdown
    histogram: gr.Plot
    agreement: gr.HTML
    scatter: gr.Plot
    outliers: gr.HTML
    tools: gr.Row
    order: gr.Dropdown
    csv: gr.DownloadButton
    sheet: gr.Button
    sheet_file: gr.DownloadButton
    photos: gr.HTML

    @property
    def outputs(self) -> list[object]:
        return [self.state, self.status, self.histogram, self.agreement, self.scatter, self.outliers, self.tools,
                self.csv, self.photos]

    def deleted_later(self, path: str) -> None:
        """Has Gradio delete a file of ours as it deletes uploads: it does not know those that HTML names."""
        if path:
            self.photos.temp_files.add(path)


def build() -> Parts:
    """Draws the mode; called inside its `gr.Tab`."""
    names = models.available_methods()
    offered = models.offered()
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=290):
            files = gr.File(label=f"A zip, or up to {MOST_FILES} files", file_count="multiple", height=160,
                            file_types=[*UPLOAD_TYPES, ".zip"], elem_id="folder-files")
            methods = in_address(gr.CheckboxGroup([(method_class(name).title, name) for name in names], label="Methods",
                                                  value=[default_method()], elem_id="folder-methods"), "folder-methods")
            lmm = in_address(gr.Dropdown([("each method's default", ""), *offered], value="", label="Model",
                                         elem_id="folder-model", visible=len(offered) > 1), "folder-model")
            with gr.Row():
                button = gr.Button("Score them all", variant="primary", elem_id="folder-run")
                stop = gr.Button("Stop", variant="stop", elem_id="folder-stop")
            with gr.Accordion("You have people's ratings of them?", open=False, elem_id="folder-ratings"):
                gr.Markdown("A CSV with the columns `image` and `mos`: SRCC and PLCC with their intervals, and the "
                            "photos where the methods and people are furthest apart.")
                table = gr.File(label="Ratings (CSV)", file_types=[".csv", ".tsv", ".txt"], height=110,
                                elem_id="folder-table")
                scale, direction = scale_inputs("Scale of the ratings")
        with gr.Column(scale=7, min_width=320):
            state = gr.State(None, time_to_live=3600)
            status = gr.Markdown(INTRO, elem_id="folder-status")
            histogram = gr.Plot(visible=False, show_label=False, container=False, elem_id="folder-histogram")
            agreement = gr.HTML(elem_id="folder-agreement", padding=False)
            scatter = gr.Plot(visible=False, show_label=False, container=False, elem_id="folder-scatter")
            outliers = gr.HTML(elem_id="folder-outliers", padding=False)
            with gr.Row(visible=False, equal_height=True) as tools:
                order = gr.Dropdown(list(ORDERS), value=ORDERS[0], show_label=False, container=False, min_width=150,
                                    elem_id="folder-order")
                csv = gr.DownloadButton("Download CSV", size="sm", min_width=110, elem_id="folder-csv")
                sheet = gr.Button("Contact sheet (PDF)", size="sm", min_width=110, elem_id="folder-sheet")
                # Kept in the page, out of sight: a click on it is how a file that was only just made is fetched.
                sheet_file = gr.DownloadButton("Contact sheet", elem_id="folder-sheet-file")
            photos = gr.HTML(elem_id="folder-photos", padding=False)
    return Parts(files, table, scale, direction, methods, lmm, button, stop, state, status, histogram, agreement,
                 scatter, outliers, tools, order, csv, sheet, sheet_file, photos)


def wire(parts: Parts, forms: Forms) -> None:
    """Connects the components; `forms` are the options of every method."""

    @plain_errors
    def score_all(files: list[str] | None, methods: list[str], lmm: str, order: str, table: str | None, ends: str,
                  way: str, *values: object, progress: gr.Progress = gr.Progress()) -> Iterator[list[object]]:
        require(files, "a zip or some photos")
        require(methods, "a method")
        options = changed_options(forms, values)
        members = contents([upload_path(path) for path in files])
        ratings, notes = _ratings(table, members, ends, way)
        folder = Folder(tuple(methods), len(members), notes=notes)
        start = last = time.monotonic()
        for photo in score(members, {method: options[method] for method in methods}, lmm or None):
            parts.deleted_later(photo.thumbnail)
            folder = replace(folder, photos=(*folder.photos, replace(photo, rated=ratings.get(photo.name))))
            count = len(folder.photos)
            progress((count, len(members)), desc=f"{count} of {len(members)}")
            if count < len(members) and (count == 1 or time.monotonic() - last >= SECONDS_BETWEEN):
                last = time.monotonic()
                yield meanwhile(folder, last - start, order)
        yield show(folder, order, time.monotonic() - start)

    @plain_errors
    def sorted_anew(folder: Folder | None, order: str) -> object:
        return gr.skip() if folder is None else drawn.list_html(folder, order)

    @plain_errors
    def sheet_of(folder: Folder | None, order: str) -> str:
        buffer = io.BytesIO()
        write_sheet(require(folder, "some photos"), buffer, order)
        return _file(buffer.getvalue(), "mean-opinion-contact-sheet.pdf")

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    inputs = [parts.files, parts.methods, parts.lmm, parts.order, parts.table, parts.scale, parts.direction,
              *components_of(forms)]
    running = parts.button.click(None, None, None, js=ends_before("folder"), **quiet).then(
        score_all, inputs, parts.outputs, show_progress="minimal", api_visibility="private",
        trigger_mode="always_last", **gpu.LONG_LANE)
    ended_before("folder", running)
    # What was scored until then can be read, sorted and kept.
    parts.stop.click(lambda folder, order: [gr.skip()] * len(parts.outputs) if folder is None else show(folder, order),
                     [parts.state, parts.order], parts.outputs, cancels=[running], **quiet)
    parts.order.input(sorted_anew, [parts.state, parts.order], parts.photos, **quiet)
    parts.sheet.click(sheet_of, [parts.state, parts.order], parts.sheet_file, show_progress_on=parts.sheet,
                      api_visibility="private").success(None, None, None, js=FETCH_SHEET, api_visibility="private")


def _ratings(table: str | None, members: Sequence[Member], ends: str, way: str
             ) -> tuple[dict[str, float], tuple[str, ...]]:
    if not table:
        return {}, ()
    with page_words():
        ratings, notes = read_ratings(small_table(upload_path(table)), [member.name for member in members],
                                      scale=scale_of(ends), lower_is_better=lower_is_better(way))
    return ratings, tuple(map(for_the_page, notes))


def score(members: Sequence[Member], methods: Mapping[str, Mapping[str, object]], lmm: str | None = None
          ) -> Iterator[Photo]:
    """One photo per member, in order; each method has a turn of its own in the queue, and what fails is a sentence.

    Args:
        methods: registry name -> changes to its default options.
        lmm: for all of them; None for each one's default.
    """
    options_by_method = {name: {**options, **method_class(name).options.score_alone()}
                         for name, options in methods.items()}
    first = next(iter(options_by_method))
    # What is made ahead belongs to one method's model; several would hold too much of it.
    ahead = gpu.prepare(first, lmm, options_by_method[first]) if len(options_by_method) == 1 else None

    def assess(images: Sequence[Decoded]) -> list[Photo]:
        return [_photo(image, options_by_method, lmm) for image in images]

    for row in score_rows(members, Member.read, assess, batch_size=1, bytes_ahead=BYTES_AHEAD, prepare=ahead,
                          sentences=(UserError, gr.Error)):
        yield Photo(row.item.name, error=row.error) if row.assessment is None else replace(
            row.assessment, name=row.item.name)


def _photo(image: Decoded, asked: Mapping[str, dict[str, object]], lmm: str | None) -> Photo:
    results: list[Assessment | str] = []
    for name, options in asked.items():
        try:
            results.append(gpu.assess(name, [image], lmm if method_class(name).needs_lmm else None, options,
                                      one_of_many=True)[0])
        except gr.Error as error:
            results.append(str(error.message))
    cells, together = cells_of(results)
    learnt_by = tuple(name for name in asked if gpu.has_learnt(name, image.image))
    return Photo("", cells, together, _thumbnail(image.image), learnt_by=learnt_by)


def _thumbnail(image: Image.Image) -> str:
    # Reduced by whole pixels first: a filter over twelve megapixels takes longer than some methods.
    small = image.reduce(max(max(image.size) // (2 * THUMBNAIL), 1))
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=82)
    return _file(buffer.getvalue(), "photo.webp")


def meanwhile(folder: Folder, seconds: float, order: str) -> list[object]:
    """Values for the outputs while photos are being scored: how far it is, and the first rows of the list."""
    left = seconds / len(folder.photos) * (folder.total - len(folder.photos))
    text = f"**{len(folder.photos)} of {folder.total}**" + (f", about {left:.0f} s left" if left >= 1 else "")
    hidden = gr.Plot(visible=False)
    return [folder, f"{text}{_failures(folder)}.", hidden, "", hidden, "", gr.Row(visible=False), gr.skip(),
            drawn.list_html(folder, order, ROWS_MEANWHILE)]


def show(folder: Folder, order: str, seconds: float | None = None) -> list[object]:
    """Values for the outputs when it is done, or was stopped."""
    how = "" if seconds is None else f" in {seconds:.1f} s"
    histogram, scatter = drawn.histogram(folder), drawn.scatter(folder)
    return [folder, f"**{len(folder.photos)} of {folder.total}**{how}{_failures(folder)}.",
            gr.Plot(histogram, visible=histogram is not None), drawn.agreement_html(folder),
            gr.Plot(scatter, visible=scatter is not None), drawn.outliers_html(folder), gr.Row(visible=True),
            gr.DownloadButton(value=csv_file(folder)), drawn.list_html(folder, order)]


def _failures(folder: Folder) -> str:
    failed = sum(photo.failed for photo in folder.photos)
    return f"; {failed} could not be scored, and the list says why" if failed else ""


def csv_file(folder: Folder) -> str:
    """The rows as a file that the page may serve; its path."""
    return _file(csv_text(CSV_COLUMNS, folder.records()).encode(), "mean-opinion-scores.csv")


def _file(content: bytes, name: str) -> str:
    return save_bytes_to_cache(content, name, get_upload_folder())
