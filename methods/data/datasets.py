"""Reads the field's datasets as their authors distribute them: which images, which scores, which way is better.

Every dataset keeps its scores in a form of its own: MATLAB cells, spreadsheets, text files, with MOS or DMOS on six
different scales. A reader here knows one such layout and nothing else; where the images or labels are one folder
deeper than expected, they are found all the same.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from methods.data.cells import readings
from methods.data.matching import find_images
from methods.data.pictures import RatedPicture, RatedPictures
from methods.data.splits import KADID_SPLIT, kadid_part
from methods.errors import InputError
from methods.images import PICTURE_SUFFIXES


class DatasetError(InputError):
    """The folder does not hold the dataset as it is distributed; one sentence says what was looked for."""


@dataclass(frozen=True)
class Layout:
    """How one dataset is distributed.

    Attributes:
        title: as its authors write it.
        low, high, higher_is_better: of its scores.
        count: rated images in the full dataset.
        labels: names that its label file may have, in order of preference; compared without case.
        read: label file to images without a path, scores as published.
        folders: where an image's name exists in several folders, those to prefer, in order.
        tables: what the label files are called together, where there are several.
    """

    title: str
    low: float
    high: float
    higher_is_better: bool
    count: int
    labels: tuple[str, ...]
    read: Callable[[Path], list[RatedPicture]] = field(repr=False)
    folders: tuple[str, ...] = ()
    tables: str = ""


def read_dataset(slug: str, root: Path | str, split: str = "all", *, allow_missing: bool = False) -> RatedPictures:
    """Reads a dataset from its folder.

    Args:
        slug: key of `LAYOUTS`.
        root: the folder that its archive unpacks to, or one above.
        split: "all", or a part: one of the authors' own ("training", "validation", "test"), or of a split that a paper
            has published for a dataset without one ("visualquality-r1-test" of KADID-10k).
        allow_missing: keep images whose file is not there, without a path, instead of refusing the folder.

    Raises:
        DatasetError: an unknown dataset or part, no label file, or rated images that are not in the folder.
    """
    from methods.errors import suggestion

    if slug not in LAYOUTS:
        raise DatasetError(f"There is no dataset {slug!r}{suggestion(slug, LAYOUTS)}")
    layout, root = LAYOUTS[slug], Path(root).expanduser()
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}; give the one that {layout.title} was unpacked to.")
    table = _label_file(layout, root)
    if table is None:
        raise DatasetError(f"{root} holds no {' or '.join(layout.labels)}, in which {layout.title} keeps its scores.")
    labels = [label for label in _labels(layout, table) if math.isfinite(label.mos)]
    part = [label for label in labels if split in ("all", label.split)]
    if not part:
        parts = sorted({label.split for label in labels} - {""})
        has = f"its parts are {', '.join(parts)}" if parts else "it is distributed without a split"
        raise DatasetError(f"{layout.title} has no part {split!r}; {has}.")
    low, high = _scale(layout, [label.mos for label in labels])
    find = _finder(root, layout.folders)
    pictures = tuple(dataclasses.replace(
        label, path=find(label.name), mos=label.mos if layout.higher_is_better else low + high - label.mos)
        for label in part)
    absent = [picture.name for picture in pictures if picture.path is None]
    published = [label.mos for label in part]
    notes = [f"{layout.tables or table.name} of {layout.title}: {len(part)} images, opinions from "
             f"{min(published):g} to {max(published):g} on a scale from {low:g} to {high:g}, "
             f"{'higher' if layout.higher_is_better else 'lower'} is better."]
    if absent:
        listed = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
        if not allow_missing or len(absent) == len(part):
            many = "None" if len(absent) == len(part) else f"{len(absent)}"
            raise DatasetError(f"{many} of the {len(part)} images of {table.name} "
                               f"{'is' if many == 'None' else 'are not'} below {root}: {listed}. Give the folder that "
                               "holds them, or go on without them with --allow-missing.")
        notes.append(f"{len(absent)} of the {len(part)} images of {layout.title} are not below {root}: {listed}.")
    return RatedPictures(pictures, low, high, slug, split, tuple(notes), not layout.higher_is_better)


def detect(root: Path | str) -> str | None:
    """The dataset whose label file lies in or shortly below a folder, if there is exactly one."""
    root = Path(root).expanduser()
    # A short file name such as data.csv says little, so its columns must fit too.
    candidates = [slug for slug, layout in LAYOUTS.items()
                  if (table := _label_file(layout, root)) is not None and _reads(layout, table)]
    return candidates[0] if len(candidates) == 1 else None


def _reads(layout: Layout, table: Path) -> bool:
    try:
        return bool(_labels(layout, table))
    except InputError:
        return False


def _labels(layout: Layout, table: Path) -> list[RatedPicture]:
    try:
        return layout.read(table)
    except InputError:
        raise
    except (KeyError, IndexError, ValueError) as error:
        raise DatasetError(f"{table.name} is not the label file that {layout.title} is distributed with "
                           f"({type(error).__name__}: {error}).") from error


def _label_file(layout: Layout, root: Path) -> Path | None:
    file_names = [name.lower() for name in layout.labels]
    by_name: dict[str, Path] = {}
    for path in _shallow(root, depth=3):
        by_name.setdefault(path.name.lower(), path)
    return next((by_name[name] for name in file_names if name in by_name), None)


def _shallow(folder: Path, depth: int) -> Iterator[Path]:
    """Files up to `depth` folders down, the nearest first; image files are passed over."""
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
    """Finds an image by its name or its path's end, without regard to case."""
    by_end: dict[str, list[Path]] = {}
    for path in find_images(root):
        by_end.setdefault(path.name.lower(), []).append(path)

    def preference(path: Path, wanted: str) -> tuple[bool, int, bool]:
        parts = [part.lower() for part in path.parent.parts]
        rank = next((place for place, folder in enumerate(folders) if folder.lower() in parts), len(folders))
        place = path.as_posix()
        return not place.lower().endswith(f"/{wanted.lower()}"), rank, not place.endswith(f"/{wanted}")

    def find(name: str) -> Path | None:
        relative = name.replace("\\", "/")
        namesakes = by_end.get(relative.rpartition("/")[2].lower(), ())
        places = sorted((preference(path, relative), path) for path in namesakes)
        if len(places) > 1 and places[0][0] == places[1][0]:
            raise DatasetError(f"{name} is there twice, as {places[0][1]} and as {places[1][1]}; leave one of them.")
        return places[0][1] if places else None

    return find


def _scale(layout: Layout, scores: Sequence[float]) -> tuple[float, float]:
    """The published scale, or 0 to 100 where a release has rescaled its scores to that."""
    if min(scores) >= layout.low - 1e-9 and max(scores) <= layout.high + 1e-9:
        return layout.low, layout.high
    if min(scores) >= 0 and max(scores) <= 100:
        return 0.0, 100.0
    return min(scores), max(scores)


# --- label files ------------------------------------------------------------------------------------------------------


def _rows(path: Path, *columns: str, sheet: str = "") -> list[dict[str, str]]:
    """The rows below the header that holds all `columns` (compared without case), from text or a spreadsheet.

    Of a spreadsheet, the named sheet is read, else its first.
    """
    cells = _cells(path, sheet)
    titles = {column.lower() for column in columns}
    for number, row in enumerate(cells[:50]):
        header = [cell.lower() for cell in row]
        if titles <= set(header):
            return [dict(zip(header, values)) for values in cells[number + 1:]]
    raise ValueError(f"no row names the columns {', '.join(columns)}")


def _cells(path: Path, sheet: str = "") -> tuple[tuple[str, ...], ...]:
    tables = list(readings(path))
    return next((table for table in tables if table.sheet == sheet), tables[0]).rows


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan


def _optional(row: dict[str, str], column: str) -> float | None:
    return float(row[column]) if row.get(column) else None


def _koniq(path: Path) -> list[RatedPicture]:
    rows = _rows(path, "image_name", "MOS")
    return [RatedPicture(row["image_name"], None, _number(row["mos"]), _optional(row, "sd"), split=row.get("set", ""))
            for row in rows]


def _kadid(path: Path) -> list[RatedPicture]:
    rows = _rows(path, "dist_img", "ref_img", "dmos")
    parts = [kadid_part(row["dist_img"]) for row in rows]
    # Its column is called dmos, but a higher score is better.
    return [RatedPicture(row["dist_img"], None, _number(row["dmos"]), group=row["ref_img"],
                         split=part and f"{KADID_SPLIT}-{part}") for row, part in zip(rows, parts)]


def _spaq(path: Path) -> list[RatedPicture]:
    return [RatedPicture(row["image name"], None, _number(row["mos"])) for row in _rows(path, "Image name", "MOS")]


def _live_challenge(path: Path) -> list[RatedPicture]:
    from scipy.io import loadmat

    names = [str(np.ravel(cell)[0]) for cell in np.ravel(loadmat(path)["AllImages_release"])]
    mos = np.ravel(loadmat(path.with_name("AllMOS_release.mat"))["AllMOS_release"]).astype(float)
    spread = path.with_name("AllStdDev_release.mat")
    stds = list(np.ravel(loadmat(spread)["AllStdDev_release"])) if spread.exists() else [None] * len(mos)
    if len(names) != len(mos):
        raise ValueError(f"{len(names)} names and {len(mos)} scores")
    # t1 .. t7 trained the raters; the dataset's 1,162 images are the others.
    training = {f"t{number}" for number in range(1, 8)}
    return [RatedPicture(name, None, score, std)
            for name, score, std in zip(names, mos, stds) if Path(name).stem not in training]


def _agiqa(path: Path) -> list[RatedPicture]:
    return [RatedPicture(row["name"], None, _number(row["mos_quality"]), _optional(row, "std_quality"))
            for row in _rows(path, "name", "mos_quality")]


def _bid(path: Path) -> list[RatedPicture]:
    """A row per image: its number first, its score second."""
    labels = []
    for row in _cells(path):
        try:
            number, score = int(row[0]), float(row[1])
        except ValueError:
            continue  # the header, and notes below the table
        labels.append(RatedPicture(f"DatabaseImage{number:04d}.JPG", None, score))
    return labels


def _tid2013(path: Path) -> list[RatedPicture]:
    pairs = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    spread = path.with_name("mos_std.txt")
    words = spread.read_text(encoding="utf-8").split() if spread.is_file() else []
    stds = list(map(float, words)) if len(words) == len(pairs) else [None] * len(pairs)
    return [RatedPicture(name, None, float(score), std, group=name.split("_")[0].upper())
            for (score, name), std in zip(pairs, stds)]


_CSIQ_TYPES = {"noise": "AWGN", "jpeg": "JPEG", "jpeg 2000": "jpeg2000", "fnoise": "fnoise", "blur": "BLUR",
               "contrast": "contrast"}


def _csiq(path: Path) -> list[RatedPicture]:
    if path.suffix.lower() == ".txt":
        pairs = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [RatedPicture(name, None, float(score), group=name.split(".")[0]) for name, score in pairs]
    labels = []
    for row in _rows(path, "image", "dst_type", "dst_lev", "dmos", sheet="all_by_image"):
        source = row["image"]
        name = f"{source}.{_CSIQ_TYPES[row['dst_type'].lower()]}.{int(row['dst_lev'])}.png"
        labels.append(RatedPicture(name, None, _number(row["dmos"]), _optional(row, "dmos_std"), group=source))
    return labels


def _siqad(path: Path) -> list[RatedPicture]:
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
        return [RatedPicture(f"cim{place // 49 + 1}_{place % 49 // 7 + 1}_{place % 7 + 1}.bmp", None, score,
                             group=f"cim{place // 49 + 1}") for place, score in enumerate(matrix.ravel(order="F"))]
    labels = []
    for row in _rows(path, "image", "dmos"):
        name = row["image"] if Path(row["image"]).suffix else f"{row['image']}.bmp"
        labels.append(RatedPicture(name, None, _number(row["dmos"]), group=name.split("_")[0]))
    return labels


def _flive(path: Path) -> list[RatedPicture]:
    rows = _rows(path, "name", "mos")
    valid = {"true": "validation", "1": "validation", "false": "training", "0": "training"}
    return [RatedPicture(row["name"], None, _number(row["mos"]), split=valid.get(row.get("is_valid", "").lower(), ""))
            for row in rows]


_BIQ2021 = {"train": "training", "test": "test"}


def _biq2021(path: Path) -> list[RatedPicture]:
    """Two tables, one for each part; an image's subset (ss01, ss02 or ss03) is the start of its name.

    Raises:
        ValueError: one of the two tables is missing.
    """
    tables = {part: path.with_name(f"{part.title()} (Images and MOS).csv") for part in _BIQ2021}
    absent = [table.name for table in tables.values() if not table.is_file()]
    if absent:
        raise ValueError(f"{absent[0]} does not lie beside it")
    return [RatedPicture(row["image name"], None, _number(row["mos"]), split=_BIQ2021[part])
            for part, table in tables.items() for row in _rows(table, "Image Name", "MOS")]


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
    "biq2021": Layout("BIQ2021", 0, 1, True, 12000, ("Train (Images and MOS).csv",), _biq2021, ("Images",),
                      "Train and Test (Images and MOS).csv"),
    "flive": Layout("LIVE-FB (FLIVE)", 0, 100, True, 39810, ("labels_image.csv",), _flive, ("database",)),
}
"""Dataset slug -> layout. Scales as their authors state them; SIQAD's DMOS is taken to run from 0 to 100."""
