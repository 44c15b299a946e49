"""A folder on the page: its photos as a list, how its opinions are spread, and beside people's ratings."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING
from urllib.parse import quote

from methods.base import method_class
from methods.levels import FIVE_LEVELS
from ui.components.figures import ACCENT, LEVEL_COLOURS, MUTED, SECOND, SERIES, themed
from ui.folder.ratings import Agreement, agreements, interval_count
from ui.folder.records import Cell, Folder, Photo

if TYPE_CHECKING:
    import plotly.graph_objects as go

OUTLIERS = 6
BINS = 20


def title_of(method: str) -> str:
    return "All together" if method == "together" else method_class(method).title


def list_html(folder: Folder, order: str, most: int | None = None) -> str:
    """The photos as a table: thumbnail, opinion with its interval, and what each of several methods expects.

    Args:
        order: one of `ui.folder.records.ORDERS`.
        most: rows at most, while the rest is still being scored.
    """
    photos = folder.ordered(order)[:most]
    several, rated = len(folder.methods) > 1, any(photo.rated is not None for photo in folder.photos)
    track = "0 to 100, nine of ten" if folder.calibrated else "raw score, 0 to 1"
    titles = [title_of(method) for method in folder.methods] if several else []
    head = (f'<th>Photo</th><th class="number">{"Opinion" if folder.calibrated else "Score"}</th>'
            f'<th class="track">{track}</th>'
            + "".join(f'<th class="number each">{html.escape(title)}</th>' for title in titles)
            + ('<th class="number">Rated</th>' if rated else ""))
    rows = "".join(_row(folder, photo, several, rated) for photo in photos)
    return f'<table class="together photos"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _row(folder: Folder, photo: Photo, several: bool, rated: bool) -> str:
    start = (f'<tr data-photo="{html.escape(photo.name)}"><th scope="row"><span class="who">{_picture(photo)}'
             f"<span>{html.escape(photo.name)}</span></span></th>")
    columns = 2 + (len(folder.methods) if several else 0)
    people = f'<td class="number">{"" if photo.rated is None else f"{photo.rated:.0f}"}</td>' if rated else ""
    if photo.failed:
        reason = photo.error or next((cell.error for cell in photo.cells), "")
        return f'{start}<td class="failed" colspan="{columns}">{html.escape(reason)}</td>{people}</tr>'
    value = folder.value(photo)
    strong = f"{value:.0f}" if folder.calibrated else f"{photo.score:.2f}"
    each = "".join(f'<td class="number each">{_short(cell)}</td>' for cell in photo.cells) if several else ""
    return (f'{start}<td class="number"><strong>{strong}</strong></td><td class="track">{_track(folder, photo)}</td>'
            f"{each}{people}</tr>")


def _picture(photo: Photo) -> str:
    if not photo.thumbnail:
        return ""
    return f'<img src="{address(photo.thumbnail)}" alt="" loading="lazy">'


def address(path: str) -> str:
    """Of a file that the page may serve, from the page itself."""
    return html.escape(f"gradio_api/file={quote(path)}")


def _short(cell: Cell) -> str:
    if cell.score is None:
        return f'<abbr title="{html.escape(cell.error)}">–</abbr>'
    if cell.opinion is None:
        return f'<em title="raw score, not calibrated yet">{cell.score:.2f}</em>'
    return f"{cell.opinion.mos:.0f}"


def _track(folder: Folder, photo: Photo) -> str:
    value = folder.value(photo)
    opinion = photo.opinion if folder.calibrated else None
    spoken = f"{value:.0f} of 100" if opinion is None else f"{opinion.low:.0f} to {opinion.high:.0f}"
    interval = "" if opinion is None else (
        f'<i style="left:{opinion.low:.1f}%;width:{opinion.high - opinion.low:.1f}%"></i>')
    people = "" if photo.rated is None else f'<u style="left:{photo.rated:.1f}%" title="rated {photo.rated:.0f}"></u>'
    return (f'<span class="rail" role="img" aria-label="{spoken}">{interval}<b style="left:{value:.1f}%"></b>{people}'
            "</span>")


def histogram(folder: Folder) -> go.Figure | None:
    """How many photos have which opinion, the bars in the colours of the five levels; None below two photos."""
    import plotly.graph_objects as go

    values = [value for photo in folder.photos if (value := folder.value(photo)) is not None]
    if len(values) < 2:
        return None
    width = 100 / BINS
    counts = [0] * BINS
    for value in values:
        counts[min(int(value / width), BINS - 1)] += 1
    middles = [(index + 0.5) * width for index in range(BINS)]
    words = [FIVE_LEVELS.word_for(middle / 100) for middle in middles]
    colours = dict(zip(FIVE_LEVELS.words, LEVEL_COLOURS)) if folder.calibrated else {}
    figure = go.Figure(go.Bar(
        x=middles, y=counts, width=width * 0.92, marker={"color": [colours.get(word, ACCENT) for word in words]},
        customdata=[f"{index * width:.0f} to {(index + 1) * width:.0f}" for index in range(BINS)],
        hovertemplate="%{customdata}: %{y}<extra></extra>"))
    what = "expected opinion" if folder.calibrated else f"raw score of {title_of(folder.methods[0])}, in hundredths"
    themed(figure, height=170)
    figure.update_xaxes(range=[0, 100], title={"text": what}, showgrid=False)
    figure.update_yaxes(title={"text": "photos"}, nticks=4)
    return figure


def outliers(folder: Folder) -> list[Photo]:
    """The rated photos that the methods and people put furthest apart in their orders, furthest first."""
    away = folder.rank_gaps()
    photos = sorted(folder.rated(), key=lambda photo: -away[photo.name])
    return [photo for photo in photos[:OUTLIERS] if away[photo.name] >= 1]


def scatter(folder: Folder) -> go.Figure | None:
    """Ratings against what was expected, the outliers numbered as beside it; one method alone on a click of its name.
    None below two rated photos."""
    import plotly.graph_objects as go

    photos = folder.rated()
    if len(photos) < 2:
        return None
    figure = go.Figure()
    if folder.calibrated:
        figure.add_scatter(x=[0, 100], y=[0, 100], mode="lines", line={"color": MUTED, "dash": "dot"},
                           hoverinfo="skip", showlegend=False)
    several = len(folder.methods) > 1
    first = "all together" if several and folder.calibrated else title_of(folder.methods[0])
    _points(figure, first, [(photo, folder.value(photo)) for photo in photos], ACCENT, True, several)
    if several:
        for index, method in enumerate(folder.methods[0 if folder.calibrated else 1:], 0 if folder.calibrated else 1):
            values = [(photo, folder.value(photo.cells[index])) for photo in photos]
            _points(figure, title_of(method), values, SERIES[(index + 1) % len(SERIES)], "legendonly", True)
    far = outliers(folder)
    figure.add_scatter(
        x=[folder.value(photo) for photo in far], y=[photo.rated for photo in far], mode="markers+text",
        text=[str(number) for number in range(1, len(far) + 1)], textposition="middle right", showlegend=False,
        marker={"size": 14, "color": "rgba(0,0,0,0)", "line": {"color": SECOND, "width": 2}}, hoverinfo="skip")
    themed(figure, height=360)
    figure.update_xaxes(range=[-2, 102], title={"text": "expected opinion" if folder.calibrated else "raw score, in "
                                                                                                     "hundredths"})
    figure.update_yaxes(range=[-2, 102], title={"text": "rated, on 0 to 100"})
    return figure


def _points(figure: go.Figure, name: str, points: list[tuple[Photo, float | None]], colour: str,
            visible: bool | str, legend: bool) -> None:
    kept = [(photo, value) for photo, value in points if value is not None]
    figure.add_scatter(
        x=[value for _, value in kept], y=[photo.rated for photo, _ in kept], mode="markers", name=html.escape(name),
        visible=visible, showlegend=legend, marker={"color": colour, "size": 8, "opacity": 0.75},
        text=[html.escape(photo.name) for photo, _ in kept],
        hovertemplate="%{text}: expected %{x:.0f}, rated %{y:.0f}<extra></extra>")


def agreement_html(folder: Folder) -> str:
    """SRCC and PLCC with their intervals, how many ratings lie in theirs, and the photos furthest from the ratings."""
    rated, (left_out, learners) = folder.rated(), folder.training_photos()
    if not rated and not left_out:
        return ""
    measured = agreements(folder)
    parts = ['<h2 class="part-title">Beside people\'s ratings</h2>']
    if left_out:
        parts.append(f'<p class="sums"><strong>{left_out} rated photos are left out here:</strong> '
                     f'{" and ".join(map(title_of, learners))} was trained on people\'s opinions of these very photos. '
                     "Choose other methods to measure them on all.</p>")
    if measured:
        rows = "".join(
            f'<tr><th>{html.escape(title_of(one.method))}</th><td class="number">{_estimate(one, "srcc")}</td>'
            f'<td class="number">{_estimate(one, "plcc")}</td><td>{_standing(one, measured)}</td></tr>'
            for one in measured)
        parts.append('<table class="together agreement"><thead><tr><th>Method</th><th class="number">SRCC</th>'
                     f'<th class="number">PLCC</th><th></th></tr></thead><tbody>{rows}</tbody></table>'
                     f'<p class="sums">On {measured[0].srcc.n} rated photos, with 95 % intervals of 1,000 bootstrap '
                     "resamples; PLCC of the raw score, without a fitted curve.</p>")
    else:
        parts.append(f'<p class="sums">With {len(rated)} rated photos there is no correlation to measure.</p>')
    if (share := interval_count(folder)) is not None:
        parts.append(f'<p class="sums">{share[0]} of {share[1]} ratings lie inside the interval of their photo. It was '
                     "measured on other photos and other people, so nine of ten is no promise here.</p>")
    parts += [f'<p class="sums">{html.escape(note)}</p>' for note in folder.notes]
    return f'<section class="ratings">{"".join(parts)}</section>'


def outliers_html(folder: Folder) -> str:
    """The photos furthest from the ratings, numbered as in the scatter, with what was expected and rated."""
    far = outliers(folder)
    if not far:
        return ""
    expected = "expected" if folder.calibrated else "raw score, in hundredths,"
    cards = "".join(
        f"<figure>{_picture(photo)}<figcaption><strong>{number}</strong> {expected} {folder.value(photo):.0f}, rated "
        f"{photo.rated:.0f}<small>{html.escape(photo.name)}</small></figcaption></figure>"
        for number, photo in enumerate(far, 1))
    return f'<section class="outliers"><h3>Furthest from the ratings, by their places in order</h3>{cards}</section>'


def _estimate(one: Agreement, metric: str) -> str:
    estimate = getattr(one, metric)
    if estimate.value is None:
        return f'<em title="{html.escape(estimate.note)}">undefined</em>'
    ends = "" if estimate.low is None else f" <em>[{estimate.low:.2f}, {estimate.high:.2f}]</em>"
    return f"<strong>{estimate.value:.3f}</strong>{ends}"


def _standing(one: Agreement, measured: list[Agreement]) -> str:
    if len(measured) == 1 or one.srcc.value is None:
        return ""
    if one is measured[0]:
        return "highest"
    return "not told apart from the highest" if one.tied else "lower, by a paired bootstrap"
