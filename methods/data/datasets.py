"""Reads the field's datasets as their authors distribute them: which pictures, which scores, which way is better.

Every dataset keeps its scores in a form of its own: MATLAB cells, spreadsheets, text files, with MOS or DMOS on six
different scales. A reader here knows one such layout and nothing else; where the pictures or labels are one folder
deeper than expected, they are found all the same. Scores are returned as published; `Dataset.mos01` is MOS in [0, 1].
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from methods.errors import InputError
from methods.images import PICTURE_SUFFIXES


class LayoutError(InputError):
    """The folder does not hold the dataset as it is distributed; one sentence says what was looked for."""


@dataclass(frozen=True)
class Item:
    """One rated picture.

    Attributes:
        path: of the picture.
        name: as the dataset names it.
        score: as published.
        std: standard deviation of the opinions, where it is published.
        group: the pristine picture it was made from, so that a split can keep contents apart; "" where there is none.
        split: the authors' own split ("training", "validation", "test"), where there is one.
    """

    path: Path
    name: str
    score: float
    std: float | None = None
    group: str = ""
    split: str = ""


@dataclass(frozen=True)
class Dataset:
    """A dataset that was found on disk.

    Attributes:
        slug: key of `LAYOUTS`.
        title: as its authors write it.
        items: rated pictures that are there, in the order of the label file.
        low, high: of the scale.
        higher_is_better: False for DMOS.
        missing: names with a score and no picture.
    """

    slug: str
    title: str
    items: tuple[Item, ...]
    low: float
    high: float
    higher_is_better: bool
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def scores(self) -> np.ndarray:
        """float64 [n], as published."""
        return np.array([item.score for item in self.items])

    @property
    def mos01(self) -> np.ndarray:
        """float64 [n] in [0, 1], higher is better."""
        share = np.clip((self.scores - self.low) / (self.high - self.low), 0.0, 1.0)
        return share if self.higher_is_better else 1.0 - share


@dataclass(frozen=True)
class Label:
    """A row of a label file, before its picture is looked for."""

    name: str
    score: float
    std: float | None = None
    group: str = ""
    split: str = ""


@dataclass(frozen=True)
class Layout:
    """How one dataset is distributed.

    Attributes:
        title: as its authors write it.
        low, high, higher_is_better: of its scores.
        count: rated pictures in the full dataset.
        labels: names that its label file may have, in order of preference; compared without case.
        read: label file to rows.
        folders: where a picture's name exists in several folders, those to prefer, in order.
    """

    title: str
    low: float
    high: float
    higher_is_better: bool
    count: int
    labels: tuple[str, ...]
    read: Callable[[Path], list[Label]] = field(repr=False)
    folders: tuple[str, ...] = ()


def read_dataset(slug: str, root: Path | str) -> Dataset:
    """Reads a dataset from its folder.

    Args:
        slug: key of `LAYOUTS`.
        root: the folder that its archive unpacks to, or one above.

    Raises:
        LayoutError: an unknown dataset, no label file, or none of its pictures.
    """
    from methods.errors import suggestion

    if slug not in LAYOUTS:
        raise LayoutError(f"There is no dataset {slug!r}{suggestion(slug, LAYOUTS)}")
    layout, root = LAYOUTS[slug], Path(root).expanduser()
    if not root.is_dir():
        raise LayoutError(f"There is no folder {root}; give the one that {layout.title} was unpacked to.")
    table = _label_file(layout, root)
    if table is None:
        raise LayoutError(f"{root} holds no {' or '.join(layout.labels)}, in which {layout.title} keeps its scores.")
    try:
        labels = [label for label in layout.read(table) if math.isfinite(label.score)]
    except (KeyError, IndexError, ValueError, OSError) as error:
        raise LayoutError(f"{table.name} is not the label file that {layout.title} is distributed with "
                          f"({type(error).__name__}: {error}).") from error
    find = _finder(root, layout.folders)
    items, missing = [], []
    for label in labels:
        path = find(label.name)
        if path is None:
            missing.append(label.name)
        else:
            items.append(Item(path, label.name, label.score, label.std, label.group, label.split))
    if not items:
        first = f"; the first is {labels[0].name}" if labels else ""
        raise LayoutError(f"None of the {len(labels)} pictures of {table.name} is below {root}{first}.")
    low, high = _scale(layout, [item.score for item in items])
    return Dataset(slug, layout.title, tuple(items), low, high, layout.higher_is_better, tuple(missing))


def detect(root: Path | str) -> str | None:
    """The dataset whose label file lies in or shortly below a folder, if there is exactly one."""
    root = Path(root).expanduser()
    # A short file name such as data.csv says little, so its columns must fit too.
    found = [slug for slug, layout in LAYOUTS.items()
             if (table := _label_file(layout, root)) is not None and _reads(layout, table)]
    return found[0] if len(found) == 1 else None


def _reads(layout: Layout, table: Path) -> bool:
    try:
        return bool(layout.read(table))
    except (KeyError, IndexError, ValueError, OSError):
        return False


def _label_file(layout: Layout, root: Path) -> Path | None:
    wanted = [name.lower() for name in layout.labels]
    found: dict[str, Path] = {}
    for path in _shallow(root, depth=3):
        found.setdefault(path.name.lower(), path)
    return next((found[name] for name in wanted if name in found), None)


def _shallow(folder: Path, depth: int) -> Iterator[Path]:
    """Files up to `depth` folders down, the nearest first; picture files are passed over."""
    folders = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            folders.append(path)
        elif path.suffix.lower() not in PICTURE_SUFFIXES:
            yield path
    if depth:
        for inner in folders:
            yield from _shallow(inner, depth - 1)


def _finder(root: Path, folders: Sequence[str]) -> Callable[[str], Path | None]:
    """Finds a picture by its name or its path's end, without regard to case."""
    known: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in PICTURE_SUFFIXES:
            known.setdefault(path.name.lower(), []).append(path)

    def preference(path: Path, wanted: str) -> tuple[bool, int]:
        parts = [part.lower() for part in path.parent.parts]
        rank = next((place for place, folder in enumerate(folders) if folder.lower() in parts), len(folders))
        return not path.as_posix().lower().endswith("/" + wanted), rank

    def find(name: str) -> Path | None:
        wanted = name.replace("\\", "/").lower()
        hits = known.get(wanted.rpartition("/")[2], [])
        return min(hits, key=lambda path: preference(path, wanted)) if hits else None

    return find


def _scale(layout: Layout, scores: Sequence[float]) -> tuple[float, float]:
    """The published scale, or 0 to 100 where a release has rescaled its scores to that."""
    if min(scores) >= layout.low - 1e-9 and max(scores) <= layout.high + 1e-9:
        return layout.low, layout.high
    if min(scores) >= 0 and max(scores) <= 100:
        return 0.0, 100.0
    return min(scores), max(scores)


# --- label files ------------------------------------------------------------------------------------------------------


def _rows(path: Path, *columns: str, sheet: str = "") -> list[dict[str, Any]]:
    """The rows below the header that holds all `columns` (compared without case), from CSV or a spreadsheet.

    Of a spreadsheet, the named sheet is read, else its first.
    """
    if path.suffix.lower() in (".xlsx", ".xls"):
        import pandas

        book = pandas.read_excel(path, sheet_name=None, header=None, dtype=object, engine="calamine")
        cells = book.get(sheet, next(iter(book.values()))).values.tolist()
    else:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            cells = list(csv.reader(file))
    wanted = {column.lower() for column in columns}
    for number, row in enumerate(cells[:50]):
        header = [str(cell).strip().lower() for cell in row]
        if wanted <= set(header):
            return [dict(zip(header, values)) for values in cells[number + 1:] if any(map(_filled, values))]
    raise ValueError(f"no row names the columns {', '.join(columns)}")


def _filled(cell: Any) -> bool:
    return cell is not None and cell != "" and cell == cell  # NaN differs from itself


def _number(value: Any) -> float:
    return float(value) if _filled(value) else math.nan


def _optional(row: dict[str, Any], column: str) -> float | None:
    return float(row[column]) if _filled(row.get(column)) else None


def _koniq(path: Path) -> list[Label]:
    rows = _rows(path, "image_name", "MOS")
    return [Label(str(row["image_name"]), _number(row["mos"]), _optional(row, "sd"), split=str(row.get("set") or ""))
            for row in rows]


def _kadid(path: Path) -> list[Label]:
    rows = _rows(path, "dist_img", "ref_img", "dmos")
    # Its column is called dmos, but a higher score is better.
    return [Label(row["dist_img"], _number(row["dmos"]), group=row["ref_img"]) for row in rows]


def _spaq(path: Path) -> list[Label]:
    return [Label(str(row["image name"]), _number(row["mos"])) for row in _rows(path, "Image name", "MOS")]


def _live_challenge(path: Path) -> list[Label]:
    from scipy.io import loadmat

    names = [str(np.ravel(cell)[0]) for cell in np.ravel(loadmat(path)["AllImages_release"])]
    mos = np.ravel(loadmat(path.with_name("AllMOS_release.mat"))["AllMOS_release"]).astype(float)
    spread = path.with_name("AllStdDev_release.mat")
    stds = np.ravel(loadmat(spread)["AllStdDev_release"]).astype(float) if spread.exists() else [None] * len(mos)
    if len(names) != len(mos):
        raise ValueError(f"{len(names)} names and {len(mos)} scores")
    # t1 .. t7 trained the raters; the dataset's 1,162 pictures are the others.
    training = {f"t{number}" for number in range(1, 8)}
    return [Label(name, score, None if std is None else float(std))
            for name, score, std in zip(names, mos, stds) if Path(name).stem not in training]


def _agiqa(path: Path) -> list[Label]:
    return [Label(row["name"], _number(row["mos_quality"]), _optional(row, "std_quality"))
            for row in _rows(path, "name", "mos_quality")]


def _bid(path: Path) -> list[Label]:
    """A row a picture: its number first, its score second."""
    import pandas

    cells = pandas.read_excel(path, header=None, dtype=object, engine="calamine").values.tolist()
    labels = []
    for row in cells:
        try:
            number, score = int(row[0]), float(row[1])
        except (TypeError, ValueError):
            continue  # the header, and notes below the table
        labels.append(Label(f"DatabaseImage{number:04d}.JPG", score))
    return labels


def _tid2013(path: Path) -> list[Label]:
    pairs = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    spread = path.with_name("mos_std.txt")
    stds = [float(word) for word in spread.read_text(encoding="utf-8").split()] if spread.is_file() else []
    if len(stds) != len(pairs):
        stds = [None] * len(pairs)
    return [Label(name, float(score), std, group=name.split("_")[0].upper())
            for (score, name), std in zip(pairs, stds)]


_CSIQ_TYPES = {"noise": "AWGN", "jpeg": "JPEG", "jpeg 2000": "jpeg2000", "fnoise": "fnoise", "blur": "BLUR",
               "contrast": "contrast"}


def _csiq(path: Path) -> list[Label]:
    if path.suffix.lower() == ".txt":
        pairs = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [Label(name, float(score), group=name.split(".")[0]) for name, score in pairs]
    labels = []
    for row in _rows(path, "image", "dst_type", "dst_lev", "dmos", sheet="all_by_image"):
        source = row["image"]
        source = str(int(source)) if isinstance(source, float) and source.is_integer() else str(source)
        name = f"{source}.{_CSIQ_TYPES[str(row['dst_type']).lower()]}.{int(float(row['dst_lev']))}.png"
        labels.append(Label(name, _number(row["dmos"]), _optional(row, "dmos_std"), group=source))
    return labels


def _siqad(path: Path) -> list[Label]:
    """cim<source>_<type>_<level>.bmp and their DMOS.

    The authors' MATLAB file has a matrix DMOS of 49 rows, the 7 types of 7 levels each, and a column a source; copies
    of the dataset carry a table of names, with or without the ending, instead.
    """
    if path.suffix.lower() == ".mat":
        from scipy.io import loadmat

        matrix = np.asarray(loadmat(path)["DMOS"], dtype=float)
        sources = matrix.size // 49
        if matrix.size != 49 * sources or not (matrix.shape == (49, sources) or 1 in matrix.shape):
            raise ValueError(f"DMOS has the shape {matrix.shape}, not 49 x 20")
        # Column by column, as MATLAB unrolls a matrix.
        return [Label(f"cim{place // 49 + 1}_{place % 49 // 7 + 1}_{place % 7 + 1}.bmp", float(score),
                      group=f"cim{place // 49 + 1}") for place, score in enumerate(matrix.ravel(order="F"))]
    labels = []
    for row in _rows(path, "image", "dmos"):
        name = str(row["image"]) if Path(str(row["image"])).suffix else f"{row['image']}.bmp"
        labels.append(Label(name, _number(row["dmos"]), group=name.split("_")[0]))
    return labels


def _flive(path: Path) -> list[Label]:
    rows = _rows(path, "name", "mos")
    valid = {"true": "validation", "1": "validation", "false": "training", "0": "training"}
    return [Label(row["name"], _number(row["mos"]), split=valid.get(str(row.get("is_valid", "")).lower(), ""))
            for row in rows]


LAYOUTS: dict[str, Layout] = {
    "koniq-10k": Layout(
        "KonIQ-10k", 1, 5, True, 10073,
        ("koniq10k_scores_and_distributions.csv", "koniq10k_distributions_sets.csv", "koniq10k_scores.csv"), _koniq,
        ("1024x768", "512x384")),
    "kadid-10k": Layout("KADID-10k", 1, 5, True, 10125, ("dmos.csv",), _kadid, ("images", "distorted_images")),
    "spaq": Layout("SPAQ", 0, 100, True, 11125,
                   ("MOS and Image attribute scores.xlsx", "MOS and Image attribute scores.csv"), _spaq,
                   ("TestImage",)),
    "live-challenge": Layout("LIVE In the Wild Image Quality Challenge", 0, 100, True, 1162,
                             ("AllImages_release.mat",), _live_challenge, ("Images",)),
    "agiqa-3k": Layout("AGIQA-3K", 0, 5, True, 2982, ("data.csv",), _agiqa),
    "siqad": Layout("SIQAD", 0, 100, False, 980,
                    ("DMOS_SIQAD.mat", "DMOS.csv", "DMOS.xlsx", "DMOS.xls", "SIQAD_DMOS.csv", "SIQAD_DMOS.xlsx"),
                    _siqad,
                    ("DistortedImages",)),
    "bid": Layout("BID", 0, 5, True, 586, ("DatabaseGrades.xlsx", "DatabaseGrades.xls"), _bid),
    "tid2013": Layout("TID2013", 0, 9, True, 3000, ("mos_with_names.txt",), _tid2013, ("distorted_images",)),
    "csiq": Layout("CSIQ", 0, 1, False, 866, ("csiq.DMOS.xlsx", "csiq_label.txt"), _csiq, ("dst_imgs",)),
    "flive": Layout("LIVE-FB (FLIVE)", 0, 100, True, 39810, ("labels_image.csv",), _flive, ("database",)),
}
"""Dataset slug -> layout. Scales as their authors state them; SIQAD's DMOS is taken to run from 0 to 100."""
