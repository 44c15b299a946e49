"""The folder mode: many files or a zip, one method, a table that fills as the images are scored, and a CSV of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from gradio.utils import get_upload_folder

from methods import meaning
from methods.base import method_class
from methods.errors import UserError
from methods.scoring import score_rows
from ui.comparison.tables import csv_text
from ui.components import lmm_picker, method_picker, plain_errors, required, uploaded
from ui.components.options import Forms, changed_options, components_of
from ui.components.results import short_model
from ui.components.uploads import UPLOAD_TYPES
from ui.serving import gpu, models
from ui.serving.zips import MOST_FILES, Member, contents

if TYPE_CHECKING:
    from methods.base import Assessment
    from methods.images import Decoded

COLUMNS = ("Photo", "Opinion", "Nine of ten", "Score", "Native", "Seconds", "Problem")
CSV_COLUMNS = ("path", "score", "native_score", "mos", "mos_low", "mos_high", "percentile", "seconds", "method", "lmm",
               "seed", "error")
BYTES_AHEAD = 72 * 2**20
"""What is decoded and prepared ahead for one visitor."""

SECONDS_BETWEEN = 0.4
"""The page is told about progress at most this often."""


@dataclass(frozen=True)
class Row:
    """One file: its assessment, or the sentence that says why there is none."""

    name: str
    assessment: Assessment | None
    error: str = ""

    def cells(self) -> list[object]:
        """As in `COLUMNS`; a missing number is empty and sorts last."""
        assessment = self.assessment
        if assessment is None:
            return [self.name, None, "", None, None, None, self.error]
        known = meaning.explain(assessment)
        opinion = [None, "not calibrated yet"] if known is None else [
            round(known.mos), f"{known.low:.0f} to {known.high:.0f}"]
        return [self.name, *opinion, round(assessment.score, 3), round(assessment.native_score, 3),
                round(assessment.seconds, 2), ""]

    def record(self) -> list[object]:
        """As in `CSV_COLUMNS`."""
        assessment = self.assessment
        if assessment is None:
            return [self.name, *[""] * 10, self.error]
        known = meaning.explain(assessment)
        opinion = [""] * 4 if known is None else [
            f"{value:.2f}" for value in (known.mos, known.low, known.high, known.percentile)]
        return [self.name, f"{assessment.score:.6f}", f"{assessment.native_score:.6f}", *opinion,
                f"{assessment.seconds:.3f}", assessment.method, short_model(assessment.lmm), assessment.seed, ""]


@dataclass(frozen=True)
class Folder:
    """The mode's components."""

    files: gr.File
    method: gr.Dropdown
    lmm: gr.Dropdown
    button: gr.Button
    stop: gr.Button
    status: gr.Markdown
    table: gr.Dataframe
    download: gr.DownloadButton


def build() -> Folder:
    """Draws the mode; called inside its `gr.Tab`."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=290):
            files = gr.File(label=f"A zip, or up to {MOST_FILES} files", file_count="multiple", height=160,
                            file_types=[*UPLOAD_TYPES, ".zip"], elem_id="folder-files")
            method = method_picker(elem_id="folder-method")
            lmm = lmm_picker(elem_id="folder-model", visible=len(models.offered()) > 1)
            with gr.Row():
                button = gr.Button("Score them all", variant="primary", elem_id="folder-run")
                stop = gr.Button("Stop", variant="stop", elem_id="folder-stop")
        with gr.Column(scale=7, min_width=320):
            status = gr.Markdown("Every photo becomes a row. Files that cannot be read get a sentence instead of a "
                                 "score, and the rest goes on.", elem_id="folder-status")
            table = gr.Dataframe(headers=list(COLUMNS), interactive=False, visible=False, wrap=True, max_height=560,
                                 datatype=["str", "number", "str", "number", "number", "number", "str"],
                                 show_label=False, show_search="search", elem_id="folder-table", buttons=[])
            download = gr.DownloadButton("Download CSV", visible=False, elem_id="folder-csv")
    return Folder(files, method, lmm, button, stop, status, table, download)


def wire(folder: Folder, forms: Forms) -> None:
    """Connects the components; `forms` are the options of every method."""
    every_option = components_of(forms)
    outputs = [folder.status, folder.table, folder.download]

    @plain_errors
    def score_all(files: list[str] | None, method: str, lmm: str | None, *values: object,
                  progress: gr.Progress = gr.Progress()) -> Iterator[list[object]]:
        required(files, "a zip or some photos")
        options = changed_options(forms, values)[method]
        members = contents([uploaded(path) for path in files])
        rows: list[Row] = []
        start = last = time.monotonic()
        for row in score(members, method, lmm, options):
            rows.append(row)
            progress((len(rows), len(members)), desc=f"{len(rows)} of {len(members)}")
            if len(rows) == len(members) or time.monotonic() - last >= SECONDS_BETWEEN or len(rows) == 1:
                last = time.monotonic()
                yield state_of(rows, len(members), last - start)

    running = folder.button.click(score_all, [folder.files, folder.method, folder.lmm, *every_option], outputs,
                                  show_progress="minimal", api_visibility="private", **gpu.LONG_LANE)
    folder.stop.click(None, cancels=[running], api_visibility="private")
    folder.method.change(lambda name: gr.Dropdown(value=models.default_for(name)), folder.method, folder.lmm,
                         queue=False, show_progress="hidden", api_visibility="private")


def score(members: list[Member], method: str, lmm: str | None, options: dict[str, object]) -> Iterator[Row]:
    """One row per member, in order; each photo is one turn in the queue, and what fails is a row with its sentence."""
    def assess(images: Sequence[Decoded]) -> list[Assessment]:
        return gpu.assess(method, images, lmm, changes, one_of_many=True)

    changes = {**options, **method_class(method).options.score_alone()}
    for row in score_rows(members, Member.read, assess, batch_size=1, bytes_ahead=BYTES_AHEAD,
                          prepare=gpu.prepare(method, lmm, changes), sentences=(UserError, gr.Error)):
        yield Row(row.item.name, row.assessment, row.error)


def state_of(rows: list[Row], total: int, seconds: float) -> list[object]:
    """Values for the status, the table and the download."""
    failed = sum(row.assessment is None for row in rows)
    text = f"**{len(rows)} of {total}**"
    if len(rows) < total:
        left = seconds / len(rows) * (total - len(rows))
        text += f", about {left:.0f} s left" if left >= 1 else ""
    else:
        text += f" in {seconds:.1f} s"
    if failed:
        text += f"; {failed} could not be scored, see the last column"
    return [f"{text}.", gr.Dataframe([row.cells() for row in rows], headers=list(COLUMNS), visible=True),
            gr.DownloadButton(value=csv_file(rows), visible=True)]


def csv_file(rows: list[Row]) -> str:
    """The rows as a file that the page may serve; its path."""
    Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="folder-", dir=get_upload_folder()))
    path = folder / "mean-opinion-scores.csv"
    path.write_text(csv_text(CSV_COLUMNS, [row.record() for row in rows]), encoding="utf-8")
    return str(path)
