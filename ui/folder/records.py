"""What is known of each photo of a folder: small enough that a visit holds hundreds of them, their pixels left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from methods import meaning
from ui.comparison.records import Opinion
from ui.components.results import short_model

if TYPE_CHECKING:
    from methods.base import Assessment

CSV_COLUMNS = ("path", "method", "score", "native_score", "mos", "mos_low", "mos_high", "percentile", "rated",
               "seconds", "lmm", "seed", "error")

ORDERS = ("worst first", "best first", "as given", "furthest from the ratings")


@dataclass(frozen=True)
class Cell:
    """One photo as one method sees it; `error` says why there is no score.

    Attributes:
        score: in [0, 1].
        native_score: on the method's own scale.
        opinion: None where nobody has measured what the score means.
        percentile: share in [0, 100] of the rated images that the method scores lower.
        seconds, lmm, seed: as of the assessment, the model's name shortened.
    """

    score: float | None = None
    native_score: float | None = None
    opinion: Opinion | None = None
    percentile: float | None = None
    seconds: float = 0.0
    lmm: str = ""
    seed: int = 0
    error: str = ""


@dataclass(frozen=True)
class Photo:
    """One file.

    Attributes:
        name: as the visitor named it; inside a zip with its folders.
        cells: one per method, none where the file cannot be read.
        together: the methods' common opinion, where there are several and all are calibrated on the same photos.
        thumbnail: path of a small copy; "" where there is none.
        error: why the file cannot be read.
        rated: what people said of it, on 0 to 100, higher is better.
        learnt_by: methods whose own network was trained on people's opinion of this very photo.
    """

    name: str
    cells: tuple[Cell, ...] = ()
    together: Opinion | None = None
    thumbnail: str = ""
    error: str = ""
    rated: float | None = None
    learnt_by: tuple[str, ...] = ()

    @property
    def opinion(self) -> Opinion | None:
        """The one to go by: the common one, or that of the first method that has one."""
        return self.together or next((cell.opinion for cell in self.cells if cell.opinion is not None), None)

    @property
    def score(self) -> float | None:
        """That of the first method that could score it."""
        return next((cell.score for cell in self.cells if cell.score is not None), None)

    @property
    def failed(self) -> bool:
        return self.score is None


@dataclass(frozen=True)
class Folder:
    """What is scored so far, in the order given.

    Attributes:
        methods: registry names; one cell of each photo belongs to each.
        total: photos when all are done.
        notes: how the table of opinions was read, one sentence each.
    """

    methods: tuple[str, ...]
    total: int
    photos: tuple[Photo, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def calibrated(self) -> bool:
        """Whether every photo that has a score has an opinion; then opinions are what it is sorted and drawn by."""
        return all(photo.opinion is not None for photo in self.photos if not photo.failed)

    def value(self, one: Photo | Cell) -> float | None:
        """What a photo or its cell is sorted by, on 0 to 100: its opinion, or its raw score where not all are
        calibrated."""
        if self.calibrated:
            return None if one.opinion is None else one.opinion.mos
        return None if one.score is None else 100 * one.score

    def ordered(self, order: str = ORDERS[0]) -> list[Photo]:
        """The photos in one of `ORDERS`; what has no score comes last."""
        if order == "as given":
            return list(self.photos)
        if order == "furthest from the ratings":
            away = self.rank_gaps()
            return sorted(self.photos, key=lambda photo: -away.get(photo.name, -1.0))
        sign = -1 if order == "best first" else 1
        return sorted(self.photos, key=lambda photo: (photo.failed, sign * (self.value(photo) or 0.0)))

    def rated(self) -> list[Photo]:
        """The photos that have a score and a rating, and that no method has learnt: those measure nothing."""
        return [photo for photo in self.photos if photo.rated is not None and not photo.failed and not photo.learnt_by]

    def training_photos(self) -> tuple[int, list[str]]:
        """How many rated photos are left out because a method was trained on them, and which methods these are."""
        photos = [photo for photo in self.photos if photo.rated is not None and photo.learnt_by]
        return len(photos), sorted({method for photo in photos for method in photo.learnt_by})

    def rank_gaps(self) -> dict[str, float]:
        """By name: how many places the methods' order and that of the ratings put a rated photo apart."""
        from scipy.stats import rankdata

        photos = self.rated()
        if not photos:
            return {}
        method_ranks = rankdata([self.value(photo) for photo in photos])
        people = rankdata([photo.rated for photo in photos])
        return {photo.name: abs(float(one - other)) for photo, one, other in zip(photos, method_ranks, people)}

    def records(self) -> list[list[object]]:
        """As in `CSV_COLUMNS`, a row per photo and method; a file that cannot be read has one row with its error."""
        rows = []
        for photo in self.photos:
            rated = "" if photo.rated is None else f"{photo.rated:.2f}"
            cells = list(zip(self.methods, photo.cells)) or [("", Cell(error=photo.error))]
            if photo.together is not None:
                cells.append(("together", Cell(opinion=photo.together)))
            rows += [[photo.name, *_record(method, cell, rated)] for method, cell in cells]
        return rows


def _record(method: str, cell: Cell, rated: str) -> list[object]:
    numbers = [(cell.score, 6), (cell.native_score, 6), *((end, 2) for end in cell.opinion or (None,) * 3),
               (cell.percentile, 2)]
    scored = cell.score is not None
    return [method, *("" if value is None else f"{value:.{digits}f}" for value, digits in numbers), rated,
            f"{cell.seconds:.3f}" if scored else "", cell.lmm, cell.seed if scored else "", cell.error]


def cells_of(results: Sequence[Assessment | str]) -> tuple[tuple[Cell, ...], Opinion | None]:
    """A photo's cells, and its common opinion.

    Args:
        results: per method its assessment, or the sentence that says why there is none.
    """
    cells, tables, scores = [], [], []
    for result in results:
        if isinstance(result, str):
            cells.append(Cell(error=result))
            continue
        table = meaning.table_of(result)
        known = None if table is None else table.meaning(result.score)
        if table is not None:
            tables.append(table)
            scores.append(result.score)
        opinion = None if known is None else Opinion(known.mos, known.low, known.high)
        cells.append(Cell(result.score, result.native_score, opinion, None if known is None else known.percentile,
                          result.seconds, short_model(result.lmm), result.seed))
    together = meaning.consensus(tables, scores) if len(tables) == len(results) > 1 else None
    return tuple(cells), None if together is None else Opinion(together.mos, together.low, together.high)
