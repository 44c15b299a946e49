"""What a comparison looks like on the page: one object holds the components and turns a `Held` into their values."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from ui.comparison.agreement import verdict
from ui.comparison.figures import agreement_matrix, dots, preference_matrix
from ui.comparison.records import Cell, Comparison
from ui.comparison.tables import to_html
from ui.components import plain_errors
from ui.components.inline_images import data_url
from ui.components.results import short_model
from ui.components.texts import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

QUIET = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Held:
    """The state of the tab.

    Attributes:
        comparison: what is shown.
        pictures: WebP copies in the comparison's order.
        id: of the link that it came from or was given, "" while it is nowhere but here.
        thumbnails: data URLs in the same order.
    """

    comparison: Comparison
    pictures: tuple[bytes, ...]
    id: str = ""
    thumbnails: tuple[str, ...] = ()


def hold(comparison: Comparison, pictures: tuple[bytes, ...], id: str = "") -> Held:
    """A `Held` with its thumbnails, which are made once: the page is drawn anew for every score."""
    return Held(comparison, pictures, id, tuple(data_url(Image.open(io.BytesIO(content)), 96) for content in pictures))


@dataclass(frozen=True)
class Results:
    """The components; a handler gives `show(held)` for `outputs`."""

    state: gr.State
    notice: gr.Markdown
    verdict: gr.Markdown
    table: gr.HTML
    dots: gr.Plot
    pair: gr.Column
    left: gr.Dropdown
    right: gr.Dropdown
    slider: gr.ImageSlider
    preferences: gr.Plot
    agreement: gr.Plot
    fold: gr.Accordion
    which: gr.Dropdown
    evidence: gr.Plot
    explanation: gr.Markdown
    sharing: gr.Column

    @property
    def outputs(self) -> list[object]:
        return [self.state, self.notice, self.verdict, self.table, self.dots, self.pair, self.left, self.right,
                self.slider, self.preferences, self.agreement, self.fold, self.which, self.evidence, self.explanation,
                self.sharing]

    def show(self, held: Held, running: tuple[int, int] | None = None, *, pictures_too: bool = True,
             notice: str = "") -> list[object]:
        """Values for `outputs`.

        Args:
            running: the (image, system) that is being scored; None when all is done.
            pictures_too: whether the images are new; what shows them stays as it is otherwise.
            notice: Markdown above everything.
        """
        comparison, done = held.comparison, running is None
        several = len(comparison.pictures) > 1
        places = [(picture.name, index) for index, picture in enumerate(comparison.pictures)]
        picked = [gr.skip()] * 4
        if pictures_too:
            picked = [gr.Column(visible=several), gr.Dropdown(places, value=0),
                      gr.Dropdown(places, value=1 if several else 0),
                      files_of(held, (0, 1)) if several else None]
        cells = comparison.scored
        first = cells[0] if cells else None
        keep = gr.skip() if not done else None
        return [
            held, gr.Markdown(notice, visible=bool(notice)) if pictures_too else gr.skip(),
            f"**{verdict_markdown(comparison)}**" if done and len(cells) > 1 else _so_far(comparison, done),
            to_html(comparison, running, thumbnails=held.thumbnails), _plot(dots(comparison)), *picked,
            _plot(preference_matrix(comparison) if several and done else None),
            _plot(agreement_matrix(comparison) if done else None),
            gr.Accordion(visible=done and first is not None),
            gr.Dropdown(choices_of(comparison), value=0) if done and first else keep,
            _plot(_figure(first)) if done and first else keep,
            _explained(first) if done and first else keep,
            gr.Column(visible=done and first is not None),
        ]

    def cleared(self) -> list[object]:
        """Values for `outputs` before there is anything, or while a new comparison starts."""
        hidden = gr.Plot(visible=False)
        return [None, gr.Markdown("", visible=False), "", "", hidden, gr.Column(visible=False), gr.skip(), gr.skip(),
                None, hidden, hidden, gr.Accordion(visible=False), gr.skip(), hidden, "", gr.Column(visible=False)]


def results() -> Results:
    """Draws the empty components and wires what needs nothing but them."""
    state = gr.State(None, time_to_live=3600)
    notice = gr.Markdown(visible=False, elem_id="compare-notice")
    words = gr.Markdown(EMPTY, elem_id="compare-verdict")
    table = gr.HTML(elem_id="compare-table", padding=False)
    plot = gr.Plot(visible=False, show_label=False, container=False, elem_id="compare-dots")
    with gr.Column(visible=False, elem_id="compare-pair") as pair:
        with gr.Row():
            left = gr.Dropdown([], label="Left", min_width=120)
            right = gr.Dropdown([], label="Right", min_width=120)
        slider = gr.ImageSlider(show_label=False, interactive=False, format="png", max_height=460, type="filepath",
                                elem_id="compare-slider", buttons=["fullscreen"])
    preferred = gr.Plot(visible=False, show_label=False, container=False, elem_id="compare-preferences")
    agreed = gr.Plot(visible=False, show_label=False, container=False, elem_id="compare-agreement")
    with gr.Accordion("The evidence of each score", open=False, visible=False, elem_id="compare-evidence") as fold:
        which = gr.Dropdown([], label="Score of")
        evidence = gr.Plot(visible=False, show_label=False, container=False)
        explanation = gr.Markdown(elem_classes="result-explanation")
    with gr.Column(visible=False, elem_id="compare-sharing") as sharing:
        gr.HTML('<h2 class="part-title">Keep it</h2>', padding=False)
    components = Results(state, notice, words, table, plot, pair, left, right, slider, preferred, agreed, fold, which,
                         evidence, explanation, sharing)

    @plain_errors
    def slide(held: Held | None, one: int | None, other: int | None) -> object:
        if held is None or one is None or other is None:
            return gr.skip()
        return files_of(held, (one, other))

    @plain_errors
    def look(held: Held | None, index: int | None) -> list[object]:
        if held is None or index is None or not 0 <= index < len(held.comparison.scored):
            return [gr.skip(), gr.skip()]
        cell = held.comparison.scored[index]
        return [_plot(_figure(cell)), _explained(cell)]

    gr.on([left.input, right.input], slide, [state, left, right], slider, **QUIET)
    which.input(look, [state, which], [evidence, explanation], **QUIET)
    return components


EMPTY = "Add photos, choose methods, and press Compare."


def _so_far(comparison: Comparison, done: bool) -> str:
    if done:
        return "" if comparison.scored else "Nothing could be scored; the table says why."
    return f"{len(comparison.cells)} of {comparison.total} scored"


def verdict_markdown(comparison: Comparison) -> str:
    """The verdict as Markdown that shows file names literally."""
    return plain(verdict(comparison))


def choices_of(comparison: Comparison) -> list[tuple[str, int]]:
    """(label, index in `comparison.scored`)."""
    return [(f"{comparison.systems[cell.system].title} on {comparison.pictures[cell.picture].name}: "
             f"{comparison.text(cell)}", index) for index, cell in enumerate(comparison.scored)]


def _plot(figure: go.Figure | None) -> gr.Plot:
    return gr.Plot(figure, visible=figure is not None)


def _figure(cell: Cell) -> go.Figure | None:
    import plotly.io

    return plotly.io.from_json(cell.figure) if cell.figure else None


def _explained(cell: Cell) -> str:
    options = ", ".join(f"{name} {value}" for name, value in sorted(cell.options.items()))
    return f"{cell.explanation}\n\n`{short_model(cell.lmm)}` · {cell.seconds:.2f} s · {plain(options)}"


def files_of(held: Held, indices: tuple[int, int]) -> tuple[str, str]:
    """Two images of one size as files that the page may serve: the second is fitted to the first one's frame."""
    first, second = (Image.open(io.BytesIO(held.pictures[index])) for index in indices)
    other = held.pictures[indices[1]]
    if second.size != first.size:
        buffer = io.BytesIO()
        _framed(second.convert("RGB"), first.size).save(buffer, "WEBP", quality=95, method=2)
        other = buffer.getvalue()
    return _file(held.pictures[indices[0]]), _file(other)


def _framed(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The whole image, scaled to fit, in the middle of a grey frame."""
    scale = min(size[0] / image.width, size[1] / image.height)
    fitted = image.resize((max(round(image.width * scale), 1), max(round(image.height * scale), 1)),
                          Image.Resampling.LANCZOS)
    frame = Image.new("RGB", size, (125, 135, 148))
    frame.paste(fitted, ((size[0] - fitted.width) // 2, (size[1] - fitted.height) // 2))
    return frame


def _file(content: bytes) -> str:
    """A file that the page may serve, deleted like an upload."""
    return save_bytes_to_cache(content, "picture.webp", get_upload_folder())
