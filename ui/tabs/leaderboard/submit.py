"""Submit a result: a run folder or its predictions are checked by the code of `add`, and come back as the files and the
text of a pull request. Nothing enters the leaderboard from here."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from leaderboard import schema
from leaderboard.markup import to_html
from leaderboard.runs.proposal import FILES, Proposal, propose, run_of_predictions
from methods.errors import InputError
from ui.components.uploads import require, upload_path
from ui.errors import plain_errors
from ui.serving.settings import settings
from ui.serving.workers import PHOTOS
from ui.serving.zips import members_by_name

INTRO = ("Upload the folder of a finished run as a zip (<code>metrics.json</code> and <code>predictions.csv</code>, as "
         "<code>mean-opinion evaluate</code> writes them), or a <code>predictions.csv</code> with the columns image, "
         "mos and score. It is checked as <code>mean-opinion add</code> does: every metric is recomputed, and the "
         "images and opinions are compared with those of the dataset. You get the row as it would stand, the changed "
         "files and the text of a pull request. Nothing enters by itself, and nothing is kept here.")


MOST_IMAGES = 50_000
"""More than the largest dataset has; their bootstrap takes a quarter of a minute."""


def panel(board: schema.Board) -> None:
    """Draws the form and wires it."""
    datasets = [(f"{name} ({slug})", slug) for slug, name in zip(board.datasets["slug"], board.datasets["name"])]
    gr.HTML(f'<p class="lb-note">{INTRO}</p>', padding=False)
    file = gr.File(label="Run folder (zip) or predictions (CSV)", file_types=[".zip", ".csv"], height=120,
                   elem_id="leaderboard-submit-file")
    with gr.Accordion("Only for a predictions.csv alone: what it does not say", open=False):
        with gr.Row():
            method = gr.Textbox(label="Method", placeholder="My System", max_length=80, min_width=200)
            lmm = gr.Textbox(label="Model", placeholder="none", max_length=120, min_width=200)
            variant = gr.Textbox(label="Variant", placeholder="none", max_length=80, min_width=200)
        with gr.Row():
            dataset = gr.Dropdown(datasets, value=None, label="Dataset", min_width=280)
            split = gr.Textbox("all", label="Part", info="all, or the name of a part", max_length=60, min_width=160)
            trained = gr.Textbox(label="Trained on", info="Slugs of datasets joined with +, or none; empty: not stated",
                                 max_length=200, min_width=280)
        command = gr.Textbox(label="Command", info="What gives these predictions, for whoever repeats them",
                             max_length=1000)
    check = gr.Button("Check it", variant="primary", elem_id="leaderboard-submit-check")
    verdict = gr.HTML(padding=False, apply_default_css=False, elem_id="leaderboard-submit-verdict")
    files = gr.File(visible=False, label="Changed files, and the text", interactive=False,
                    elem_id="leaderboard-submit-files")
    text = gr.Code(visible=False, label="Text of the pull request", language="markdown", interactive=False,
                   elem_id="leaderboard-submit-text")

    @plain_errors
    def submit(path: str | None, *values: str | None) -> list[object]:
        upload = upload_path(require(path, "a run"))
        # Recomputing takes seconds of one processor: it gives way to who only reads.
        proposal = PHOTOS.run(_proposal, Path(upload), *values)
        return [verdict_html(proposal), gr.update(value=_file(proposal), visible=True),
                gr.update(value=f"# {proposal.title}\n\n{proposal.text}", visible=True)]

    fields = [method, lmm, variant, dataset, split, trained, command]
    check.click(submit, [file, *fields], [verdict, files, text], show_progress="minimal", show_progress_on=verdict,
                api_visibility="private", concurrency_limit=1)
    # What was said of another file must not stay beside the new one.
    file.change(lambda: ["", gr.update(visible=False), gr.update(visible=False)], None, [verdict, files, text],
                show_progress="hidden", api_visibility="private")


def verdict_html(proposal: Proposal) -> str:
    """Where the row would stand, and the table of its dataset with it."""
    replaces = ("<p>It would replace the result of this name that is there already.</p>" if proposal.replaces else "")
    return (f'<p role="status"><strong>{escape(proposal.sentence)}</strong></p>{replaces}'
            f'{to_html(proposal.table, marked=proposal.row.entry.id)}')


def _proposal(given: Path, method: str, lmm: str, variant: str, dataset: str | None, split: str, trained: str,
              command: str) -> Proposal:
    with _folder() as folder:
        if given.suffix.lower() == ".zip":
            members = members_by_name(given, FILES, settings().table_mb * 10**6)
            for name in FILES:
                if name not in members:
                    raise InputError(f"The zip holds no {name}; pack the folder that evaluate has finished.")
                (folder / name).write_bytes(members[name])
            _check_length(folder / "predictions.csv")
        else:
            if given.stat().st_size > settings().table_mb * 10**6:
                raise InputError(f"Predictions may have {settings().table_mb} MB here; leave out other columns, or use "
                                 "mean-opinion add on a machine of your own.")
            table = folder / "given.csv"
            _check_length(given)
            shutil.copyfile(given, table)
            run_of_predictions(table, folder / "run", method=method or "", lmm=lmm or "", variant=variant or "",
                               dataset=dataset or "", split=split or "", training_set=trained or "",
                               command=command or "")
            return propose(folder / "run")
        return propose(folder)


def _check_length(table: Path) -> None:
    with table.open("rb") as file:
        if sum(1 for _ in file) > MOST_IMAGES:
            raise InputError(f"Predictions of more than {MOST_IMAGES:,} images take too long to check here; use "
                             "mean-opinion add on a machine of your own.")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mean-opinion-submit-") as name:
        # The sentences of `add` name the folder.
        folder = Path(name) / "your-run"
        folder.mkdir()
        yield folder


def _file(proposal: Proposal) -> str:
    return save_bytes_to_cache(proposal.archive, f"{proposal.run.name}.zip", get_upload_folder())
