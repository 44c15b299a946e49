"""What a comparison is: images, systems (a method on a model) and one cell for every image and system.

Plain data that survives JSON: a shared comparison is read back into the same dataclasses, and whatever is not of the
expected shape is refused there, so that nothing behind this module has to look twice.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from methods.errors import InputError
from methods.evidence import Spread

FORMAT = 1
"""Of the JSON that `Comparison.to_dict` writes; a reader refuses a newer one."""

MOST_PICTURES, MOST_CELLS = 12, 72
"""Of one comparison; more images are a job for the folder mode."""


class RecordError(InputError):
    """What was read is no comparison of ours; one plain sentence."""


class Opinion(NamedTuple):
    """An expected opinion on 0 to 100, with the interval that holds nine of ten."""

    mos: float
    low: float
    high: float


@dataclass(frozen=True)
class Picture:
    """Attributes:
    name: for display, without folder or suffix.
    width, height: of the decoded image.
    digest: SHA-256 of its decoded RGB pixels, so that a reader can check which image was scored.
    notes: what was changed when it was read.
    """

    name: str
    width: int
    height: int
    digest: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class System:
    """A method on a model.

    Attributes:
        method: registry name.
        title: as the page shows it, the model included where several are compared.
        lmm: the model's public name, or "" for a method that brings its own network.
        options: what was asked to differ from the method's defaults.
    """

    method: str
    title: str
    lmm: str = ""
    options: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One image as one system sees it; `error` says in one sentence why there is no score, else it is empty.

    Attributes:
        picture, system: indices.
        score: in [0, 1].
        native_score, native_range: on the method's own scale.
        seconds: wall time of this assessment.
        lmm: "name@revision" of what computed the score.
        seed, options: as used, all of them.
        explanation: Markdown.
        why: the evidence in half a sentence, for comparisons.
        spread: how far the method's own evidence scatters, no error of the score; None where it does not.
        opinion: what the score means; None where nobody has measured that.
        evidence: the method's evidence, JSON-safe.
        figure: its drawing as plotly JSON, or "".
    """

    picture: int
    system: int
    score: float | None = None
    native_score: float | None = None
    native_range: tuple[float, float] = (0.0, 1.0)
    seconds: float = 0.0
    lmm: str = ""
    seed: int = 0
    options: dict[str, object] = field(default_factory=dict)
    explanation: str = ""
    why: str = ""
    spread: Spread | None = None
    evidence: dict[str, object] = field(default_factory=dict)
    figure: str = ""
    error: str = ""
    opinion: Opinion | None = None


@dataclass(frozen=True)
class Comparison:
    """Attributes:
    cells: those that are finished, in any order.
    versions: what computed it: this app's version and commit, and the packages that a score depends on.
    created: ISO 8601, UTC.
    """

    pictures: tuple[Picture, ...]
    systems: tuple[System, ...]
    cells: tuple[Cell, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    created: str = ""

    @property
    def total(self) -> int:
        """Cells when everything is finished."""
        return len(self.pictures) * len(self.systems)

    @property
    def scored(self) -> tuple[Cell, ...]:
        """Cells with a score, by image and then by system."""
        return tuple(sorted((cell for cell in self.cells if cell.score is not None),
                            key=lambda cell: (cell.picture, cell.system)))

    @property
    def calibrated(self) -> bool:
        """Whether every score has a meaning. Then opinions are compared, else raw scores, which differ in scale."""
        return all(cell.opinion is not None for cell in self.scored)

    def value(self, cell: Cell) -> float:
        """What is drawn of a cell with a score, in [0, 1]: its opinion, or its raw score where not all have one."""
        return cell.opinion.mos / 100 if self.calibrated and cell.opinion is not None else float(cell.score or 0.0)

    def text(self, cell: Cell) -> str:
        """`value` as the page shows it: opinions on 0 to 100, raw scores on 0 to 1."""
        return f"{100 * self.value(cell):.0f}" if self.calibrated else f"{self.value(cell):.3f}"

    def interval(self, cell: Cell) -> tuple[float, float] | None:
        """Of the opinion, in [0, 1]; None where raw scores are compared, of which none is known."""
        return (cell.opinion.low / 100, cell.opinion.high / 100) if self.calibrated and cell.opinion else None

    def cell(self, picture: int, system: int) -> Cell | None:
        """The cell if it is finished."""
        return next((one for one in self.cells if (one.picture, one.system) == (picture, system)), None)

    def with_cell(self, cell: Cell) -> Comparison:
        """A copy with one more cell."""
        return dataclasses.replace(self, cells=(*self.cells, cell))

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe; `from_dict` reads it back."""
        return {"format": FORMAT, **_plain(self)}


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {spec.name: _plain(getattr(value, spec.name)) for spec in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def from_dict(record: object) -> Comparison:
    """A comparison out of its JSON.

    Raises:
        RecordError: it is not one, or of a newer format.
    """
    try:
        if not isinstance(record, dict) or not isinstance(record.get("format"), int):
            raise RecordError("This is not a comparison.")
        if record["format"] > FORMAT:
            raise RecordError("This comparison was made by a newer version of Mean Opinion.")
        pictures = tuple(_picture(one) for one in record["pictures"])
        systems = tuple(System(_text(one["method"]), _text(one["title"]), _text(one["lmm"]), dict(one["options"]))
                        for one in record["systems"])
        cells = tuple(_cell(one, len(pictures), len(systems)) for one in record["cells"])
        versions = {_text(name): _text(value) for name, value in record["versions"].items()}
        return Comparison(pictures, systems, cells, versions, _text(record["created"]))
    except RecordError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RecordError("This comparison is damaged.") from error


def _picture(record: Mapping[str, Any]) -> Picture:
    return Picture(_text(record["name"]), int(record["width"]), int(record["height"]), _text(record["digest"]),
                   tuple(_text(note) for note in record["notes"]))


def _cell(record: Mapping[str, Any], pictures: int, systems: int) -> Cell:
    if not (0 <= record["picture"] < pictures and 0 <= record["system"] < systems):
        raise RecordError("This comparison is damaged.")
    spread = record["spread"]
    low, high = record["native_range"]
    opinion = record.get("opinion")  # records of before have none
    score = _unit(record["score"])
    if score is None and not record["error"]:
        raise RecordError("This comparison is damaged.")
    return Cell(
        picture=int(record["picture"]), system=int(record["system"]), score=score,
        native_score=_number(record["native_score"]), native_range=(float(low), float(high)),
        seconds=float(record["seconds"]), lmm=_text(record["lmm"]), seed=int(record["seed"]),
        options=dict(record["options"]), explanation=_text(record["explanation"]), why=_text(record["why"]),
        spread=None if spread is None else Spread(_unit(spread["low"]), _unit(spread["high"]),
                                                  _number(spread["deviation"]), _text(spread["meaning"])),
        evidence=dict(record["evidence"]), figure=_text(record["figure"]), error=_text(record["error"]),
        opinion=None if opinion is None else _opinion(*opinion),
    )


def _opinion(mos: Any, low: Any, high: Any) -> Opinion:
    opinion = Opinion(float(mos), float(low), float(high))
    if not 0 <= opinion.low <= opinion.mos <= opinion.high <= 100:
        raise RecordError("This comparison is damaged.")
    return opinion


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if not math.isfinite(value):
        raise TypeError("a finite number expected")
    return float(value)


def _unit(value: object) -> float | None:
    number = _number(value)
    if number is not None and not 0.0 <= number <= 1.0:
        raise TypeError("a number in [0, 1] expected")
    return number
