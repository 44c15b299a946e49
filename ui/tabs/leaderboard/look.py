"""A measured row from the inside, below the table: figures, largest errors, all images, where it is from, and what
decides between it and another one. What is shown is `leaderboard.details`; here it becomes components."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.events import Dependency
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from assets import FOLDER
from leaderboard import details, schema
from leaderboard.commands.inspect import to_csv
from leaderboard.entries import catalogue
from leaderboard.links import INSIDE
from ui.components.inline_images import thumbnail_url
from ui.errors import plain_errors
from ui.tabs.leaderboard.view import Screen

if TYPE_CHECKING:
    from leaderboard.details import Contrast, Details

KINDS = [("Scatter", "scatter"), ("Calibration", "calibration"), ("Error by quality", "residuals")]
COLUMNS = ["Image", "Opinion", "Score", "Expected", "Error", "Seconds"]
PHOTOS = FOLDER / "reference-set" / "images"
PHOTOS_ARE = "live-challenge-dev"
"""The dataset whose photos may be shown: those of the reference set, the only rated ones that may ship."""

# The panel lies below a table that fills the screen, so whoever asked for it by name is brought there.
GO = """() => {
  if (!window.leaderboardGo) return;
  const until = performance.now() + 5000;
  const go = () => {
    const heading = document.querySelector('#leaderboard-look h2');
    if (heading?.dataset.run === window.leaderboardGo && heading.getBoundingClientRect().height) {
      window.leaderboardGo = null;
      heading.focus({preventScroll: true});
      heading.scrollIntoView({block: 'start'});
    } else if (performance.now() < until) requestAnimationFrame(go);
  };
  go();
}"""


@dataclass(frozen=True)
class Panel:
    """What is drawn of a row; `run` holds its name."""

    run: gr.State
    room: gr.Column
    heading: gr.HTML
    kind: gr.Radio
    plot: gr.Plot
    worst: gr.HTML
    facts: gr.HTML
    images: gr.Dataframe
    file: gr.DownloadButton
    other: gr.Dropdown
    close: gr.Button
    difference: gr.Column
    sentence: gr.HTML
    deciding: gr.Plot
    photos: gr.HTML

    @property
    def outputs(self) -> list[gr.components.Component | gr.Column]:
        """As `of_run` fills them."""
        return [self.run, self.kind, self.other, *self.drawn]

    @property
    def drawn(self) -> list[gr.components.Component | gr.Column]:
        """What follows from the row, its figure and the other row."""
        return [self.room, self.heading, self.plot, self.worst, self.facts, self.images, self.file,
                *self.of_both]

    @property
    def of_both(self) -> list[gr.components.Component | gr.Column]:
        """As `of_two` fills them."""
        return [self.difference, self.sentence, self.deciding, self.photos]


def panel() -> Panel:
    """The components, out of sight until a row is looked into."""
    run = gr.State("")
    with gr.Column(visible=False, elem_id="leaderboard-look") as room:
        with gr.Row(equal_height=False, elem_id="leaderboard-look-top"):
            heading = gr.HTML(padding=False)
            close = gr.Button("Close", size="sm", min_width=80, scale=0)
        kind = gr.Radio(KINDS, value=INSIDE[0], label="Figure of this row", elem_id="leaderboard-look-kind")
        plot = gr.Plot(show_label=False, elem_id="leaderboard-look-figure")
        worst = gr.HTML(padding=False)
        facts = gr.HTML(padding=False)
        with gr.Accordion("All images", open=False):
            images = gr.Dataframe(headers=COLUMNS, datatype=["str", *["number"] * 5], interactive=False, max_height=420,
                                  show_label=False)
        with gr.Row(equal_height=True):
            file = gr.DownloadButton("All images as CSV", min_width=160, scale=0)
            other = gr.Dropdown([], label="Compare with", info="Another row on the same images",
                                elem_id="leaderboard-look-other")
        with gr.Column(visible=False) as difference:
            sentence = gr.HTML(padding=False, elem_id="leaderboard-look-difference")
            deciding = gr.Plot(show_label=False, elem_id="leaderboard-look-deciding")
            photos = gr.HTML(padding=False)
    return Panel(run, room, heading, kind, plot, worst, facts, images, file, other, close, difference, sentence,
                 deciding, photos)


def wire(looked: Panel, ranking: gr.HTML, metric: gr.Dropdown, screen: gr.State) -> list[Dependency]:
    """Opens the panel when the table says so, and keeps it up to date.

    Returns:
        the events after which another row, another figure of it or another row beside it is looked at.
    """
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

    @plain_errors
    def look(event: gr.EventData, kind: str, screen: Screen) -> list[object]:
        return of_run(str(event._data.get("value", "")), kind, "", screen.narrow)

    @plain_errors
    def figure(run: str, kind: str, screen: Screen) -> object:
        from leaderboard.figures.details import draw

        return draw(details.details(schema.load_board(), run), kind, screen.narrow) if run else gr.skip()

    @plain_errors
    def beside(run: str, other: str | None, metric: str, screen: Screen) -> list[object]:
        return of_two(run, other or "", metric, screen.narrow)

    opened = ranking.expand(look, [looked.kind, screen], looked.outputs, **quiet)
    opened.then(None, js=GO, **quiet)
    redrawn = looked.kind.input(figure, [looked.run, looked.kind, screen], looked.plot, **quiet)
    compared = looked.other.input(beside, [looked.run, looked.other, metric, screen], looked.of_both, **quiet)
    metric.input(beside, [looked.run, looked.other, metric, screen], looked.of_both, **quiet)
    closed = looked.close.click(lambda: ["", gr.Column(visible=False)], None, [looked.run, looked.room], **quiet)
    return [opened, redrawn, compared, closed]


def of_run(run: str, kind: str, other: str, narrow: bool, metric: str = "srcc") -> list[object]:
    """Values of `Panel.outputs` for a measured run, the figure of it and the run beside it ("" for none).

    Raises:
        InputError: there is none of this name, its predictions are not kept, or the other is on other images.
    """
    from leaderboard.figures.details import draw

    board = schema.load_board()
    inside = details.details(board, run)
    names = labels(board)
    others = [(names[name], name) for name in details.same_images(board, run)]
    table = inside.images.round({"mos": 4, "score": 4, "expected": 2, "residual": 2, "seconds": 3})
    kind = kind if kind in INSIDE else INSIDE[0]
    return [run, kind, gr.Dropdown(choices=others, value=other or None, visible=bool(others)), gr.Column(visible=True),
            heading_html(inside, names[run]), draw(inside, kind, narrow), worst_html(inside), facts_html(inside),
            table.astype(object).where(table.notna(), None).to_numpy().tolist(), _file(inside),
            *of_two(run, other, metric, narrow)]


def of_two(run: str, other: str, metric: str, narrow: bool) -> list[object]:
    """Values of `Panel.of_both`: what decides between a row and another, out of sight without one.

    Raises:
        InputError: as `leaderboard.details.contrast`.
    """
    if not run or not other:
        return [gr.Column(visible=False), *[gr.skip()] * 3]
    from leaderboard.figures.details import deciding

    board = schema.load_board()
    first, second = details.details(board, run), details.details(board, other)
    both = details.contrast(first, second, metric)
    return [gr.Column(visible=True), difference_html(both, labels(board)), deciding(both, narrow),
            deciding_html(both, _dataset(first))]


def labels(board: schema.Board) -> dict[str, str]:
    """Run -> what its row is called, and on what it was measured."""
    contents = catalogue(board)
    return {entry.provenance["run"]: f"{entry.label} on {contents.by_dataset[name].short}"
            for entry in contents.entries if entry.provenance for name in dict.fromkeys(
                name for cells in entry.cells.values() for name in cells)}


def heading_html(inside: Details, label: str) -> str:
    """The row's name, which takes the focus, and how many images it is on."""
    failed = f", {len(inside.failed)} failed" if inside.failed else ""
    return (f'<h2 tabindex="-1" data-run="{escape(inside.run)}">{escape(label)}</h2>'
            f'<p class="lb-note">{len(inside.images)} images{failed}. Expected opinions and errors are those of images '
            "that the fit from scores to opinions has not seen.</p>")


def worst_html(inside: Details) -> str:
    """The largest errors, with the photo where its licence lets it be shown."""
    rows = inside.outliers.to_dict("records")
    if not rows:
        return ""
    cards = "".join(_card(row["image"], _dataset(inside), f"people {row['mos']:.3g}, expected {row['expected']:.3g}")
                    for row in rows)
    return f'<h3>Largest errors</h3><div class="lb-photos">{cards}</div>{_photos_note(rows, _dataset(inside))}'


def deciding_html(both: Contrast, dataset: str) -> str:
    """The images that decide a difference, in the figure's order."""
    rows = both.deciding.to_dict("records")
    cards = "".join(_card(row["image"], dataset, f"people {row['mos']:.3g}, adds {row['share']:+.4f}") for row in rows)
    return f'<div class="lb-photos">{cards}</div>{_photos_note(rows, dataset)}'


def difference_html(both: Contrast, names: dict[str, str]) -> str:
    """First and second by name, the difference with its interval, and how the images divide."""
    sentence = both.sentence("the first", "the second")
    return (f'<h3>Against {escape(names[both.b])}</h3><p class="lb-note">First: {escape(names[both.a])}. Second: '
            f"{escape(names[both.b])}. {escape(sentence)} {escape(both.balance)} All shares sum to the difference.</p>")


def facts_html(inside: Details) -> str:
    """Command, commit, revision, seed, machine and costs; what was not recorded says so."""
    items = "".join(f"<dt>{escape(what)}</dt><dd>{_fact(what, value)}</dd>" for what, value in inside.facts)
    return f'<details class="lb-facts" open><summary>Where it is from</summary><dl>{items}</dl></details>'


def _fact(what: str, value: str) -> str:
    if value == details.NOT_RECORDED:
        return f"<em>{value}</em>"
    return f"<code>{escape(value)}</code>" if what in ("Command", "Commit") else escape(value)


def _dataset(inside: Details) -> str:
    return str(inside.provenance.get("dataset", ""))


def _card(image: str, dataset: str, caption: str) -> str:
    url = _photo(image) if dataset == PHOTOS_ARE else None
    picture = (f'<img src="{url}" alt="The photo {escape(image)}">' if url else
               f'<span class="lb-no-photo">{escape(image)}</span>')
    return f"<figure>{picture}<figcaption>{escape(image)}<br>{escape(caption)}</figcaption></figure>"


def _photos_note(rows: list[dict], dataset: str) -> str:
    hidden = sum(dataset != PHOTOS_ARE or _photo(row["image"]) is None for row in rows)
    return (f'<p class="lb-note">{hidden} of these {len(rows)} photos do not ship with this page and are named '
            "instead.</p>" if hidden else "")


def _photo(name: str) -> str | None:
    """A photo of the reference set, small, inside the page; None where it does not ship."""
    if name not in _photos():
        return None
    return thumbnail_url(PHOTOS / name, 160)


@functools.cache
def _photos() -> frozenset[str]:
    return frozenset(path.name for path in PHOTOS.glob("*.webp"))


def _file(inside: Details) -> str:
    return save_bytes_to_cache(to_csv(inside).encode(), f"{inside.run}.csv", get_upload_folder())
