"""A measured row from the inside: its images one by one, what its scores mean there, where it errs, where it is from.

All of it follows from the run's stored predictions and its provenance. The expected opinion of an image is that of a
monotone fit which had not seen its fifth of the images (`methods.meaning`), so that the errors are those of new images.
What a run did not record is said to be not recorded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from leaderboard.measured import predictions, same_opinion, without_machine
from leaderboard.schema import Board, Facts, SchemaError
from methods import meaning
from methods.agreement import metrics as stats
from methods.agreement.shares import shares
from methods.data import rescaled
from methods.errors import InputError

NOT_RECORDED = "not recorded"
CALIBRATION_BINS, QUALITY_BINS = 10, 5
OUTLIERS = 8
MOST_DECIDING = 12
_CURVE = ("score", "expected", "low", "high")

# What is told of a run, and under which key of its provenance it stands.
_FACTS = (("Command", "command"), ("Commit", "commit"), ("Date", "date"), ("Model", "weights"),
          ("Revision of the model", "lmm_revision"), ("Options", "options"), ("Seed", "seed"),
          ("Dataset", "dataset"), ("Part", "split"), ("Hardware", "hardware"),
          ("Seconds per image", "seconds_per_image"), ("Peak memory, GiB", "peak_memory_gib"),
          ("Peak memory of the device, GiB", "device_memory_gib"),
          ("Passes per image", "lmm_passes"), ("Parameters, billions", "parameters_billion"),
          ("Trained on", "training_set"), ("Reads labels of", "label_sets"), ("Versions", "versions"))


@dataclass(frozen=True)
class Bin:
    """Images that are alike in opinion, or in what the run expects.

    Attributes:
        low, high: of what they are alike in, in units of the opinions.
        n: images.
        x, y: means: expected opinion and opinion in a calibration; opinion and expected - opinion by quality.
        y_low, y_high: 95 % interval of the mean y by the normal approximation; both y where there is one image.
    """

    low: float
    high: float
    n: int
    x: float
    y: float
    y_low: float
    y_high: float


@dataclass(frozen=True, eq=False)
class Details:
    """What a measured row is made of.

    Attributes:
        run: its name.
        scale: ends of the scale of the opinions.
        images: a row per scored image: image, mos, score, expected, residual (expected - mos, in units of the opinions;
            positive is too kind) and seconds. Without a calibration (fewer than `methods.meaning.FEWEST` images)
            expected and residual are NaN; seconds are NaN where they were not recorded.
        curve: score, expected, low and high on a grid of scores: the fit to all images with the interval that holds
            nine of ten opinions; empty without a calibration.
        failed: names of images without a score.
        provenance: as metrics.json has it; {} where that is not kept.
    """

    run: str
    scale: tuple[float, float]
    images: pd.DataFrame
    curve: pd.DataFrame
    failed: tuple[str, ...]
    provenance: Facts

    @property
    def calibrated(self) -> bool:
        return bool(self.images["expected"].notna().any())

    @cached_property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """(what, value) for people; `NOT_RECORDED` where the run did not say it."""
        # A run without a revision, or on a machine without a GPU, has none of it; others did not say.
        none = {"label_sets", "lmm_revision"} if self.provenance else set()
        none |= {"device_memory_gib"} if self.provenance.get("hardware") else set()
        return tuple((what, _text(self.provenance.get(key), key, "none" if key in none else NOT_RECORDED))
                     for what, key in _FACTS)

    @cached_property
    def outliers(self) -> pd.DataFrame:
        """The images with the largest residuals, the largest first; none without a calibration."""
        order = self.images["residual"].abs().sort_values(ascending=False, kind="stable").dropna().index[:OUTLIERS]
        return self.images.loc[order]

    @cached_property
    def calibration(self) -> tuple[Bin, ...]:
        """Images in tenths by what was expected of them: x is the mean expected opinion, y the mean opinion."""
        return _binned(self.images, by="expected", y="mos", count=CALIBRATION_BINS)

    @cached_property
    def by_quality(self) -> tuple[Bin, ...]:
        """Images in fifths by their opinion: x is the mean opinion, y the mean of expected - opinion."""
        return _binned(self.images, by="mos", y="residual", count=QUALITY_BINS)


@dataclass(frozen=True, eq=False)
class Contrast:
    """Two measured rows on the images that both have scored.

    Attributes:
        a, b: names of the runs.
        metric: a key of `schema.RUN_METRICS`.
        difference: metric of A minus metric of B with its paired bootstrap interval.
        images: a row per shared image: image, mos, a and b (scores), share (what it adds to the difference; they sum to
            it), the largest absolute share first.
    """

    a: str
    b: str
    metric: str
    difference: stats.Difference
    images: pd.DataFrame

    @property
    def deciding(self) -> pd.DataFrame:
        return self.images.head(MOST_DECIDING)

    def sentence(self, first: str = "", second: str = "") -> str:
        """The difference and whether it is more than chance, for people, who may know the runs by other names."""
        gap = self.difference
        sure = gap.low > 0 or gap.high < 0
        better = (first or self.a) if (gap.value > 0) != (self.metric == "rmse") else (second or self.b)
        verdict = (f"{better} is better by more than chance" if sure else
                   "the interval holds zero, so these images do not tell the two apart")
        return (f"{self.metric.upper()} {gap.a:.4f} and {gap.b:.4f} on {gap.n} shared images: difference "
                f"{gap.value:+.4f}, 95 % interval {gap.low:+.4f} to {gap.high:+.4f}, p = {gap.p:.3f}; {verdict}.")

    @property
    def balance(self) -> str:
        """How many images speak for which run, for people."""
        share = self.images["share"].to_numpy() * (-1.0 if self.metric == "rmse" else 1.0)
        total, few = np.abs(share).sum(), np.abs(share[:MOST_DECIDING]).sum()
        part = f"; the {MOST_DECIDING} below carry {few / total:.0%} of all shares" if total else ""
        return (f"{int((share > 0).sum())} images speak for the first, {int((share < 0).sum())} for the second"
                f"{part if len(share) > MOST_DECIDING else ''}.")


def details(board: Board, run: str, submissions: Path | None = None) -> Details:
    """A measured row from the inside.

    Args:
        board: the data.
        run: name of a measured run.
        submissions: where the predictions are kept; beside the data unless said otherwise.

    Raises:
        InputError: there is no such run, or its predictions are not kept.
    """
    folder = (submissions or submissions_of(board)) / run
    rows = board.measured[board.measured["run"] == run]
    if rows.empty:
        from methods.errors import suggestion

        raise InputError(f"There is no measured run {run!r}{suggestion(run, list(board.measured['run'].unique()))}")
    if not (folder / "predictions.csv").is_file():
        raise InputError(f"The predictions of {run} are not kept here, so it cannot be looked into.")
    dataset = board.datasets.set_index("slug").loc[rows["dataset"].iloc[0]]
    return read_details(folder, run, str(dataset["mos_range"]))


def submissions_of(board: Board) -> Path:
    """Where the predictions of a board's measured runs are kept."""
    return board.folder.parent / "submissions"


def read_details(folder: Path, run: str, mos_range: str = "") -> Details:
    """As `details`, of a folder with predictions.csv and perhaps metrics.json.

    Args:
        mos_range: of the dataset, "LOW-HIGH", for runs that did not record their scale.
    """
    file = folder / "predictions.csv"
    return _details(file, run, mos_range, file.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _details(file: Path, run: str, mos_range: str, changed: int) -> Details:
    # `changed` is the file's time, so that a replaced run is read again.
    scored, names = predictions(file)
    scored = scored.sort_values("image", ignore_index=True)
    provenance = stored_provenance(file.parent)
    low, high = _scale(provenance, mos_range, scored["mos"].to_numpy(float))
    scored["expected"], curve = _expected(scored, low, high)
    scored["residual"] = scored["expected"] - scored["mos"]
    kept = set(scored["image"])
    return Details(run, (low, high), scored[["image", "mos", "score", "expected", "residual", "seconds"]], curve,
                   tuple(name for name in names if name not in kept), provenance)


def stored_provenance(folder: Path) -> Facts:
    """The provenance of a stored run; {} where its metrics.json is not kept.

    Raises:
        SchemaError: metrics.json is no run's.
    """
    file = folder / "metrics.json"
    if not file.is_file():
        return {}
    try:
        provenance: Facts = json.loads(file.read_text("utf-8"))["provenance"]
    except (ValueError, KeyError, TypeError):
        raise SchemaError(f"{folder.name}/metrics.json is not as evaluate writes it; restore it.") from None
    return provenance


def contrast(a: Details, b: Details, metric: str = "srcc") -> Contrast:
    """Two rows on the images that both have scored.

    Raises:
        InputError: fewer than five shared images, other opinions of them, or a metric that is undefined on them.
    """
    both = a.images.merge(b.images, on="image", suffixes=("_a", "_b"))
    if len(both) < 5:
        raise InputError(f"{a.run} and {b.run} have {len(both)} scored images in common; at least 5 are needed.")
    other = [name for name, first, second in zip(both["image"], both["mos_a"], both["mos_b"])
             if not same_opinion(first, second)]
    if other:
        raise InputError(f"The opinions of {len(other)} shared images differ, {other[0]!r} first; compare rows on the "
                         "same opinions.")
    scores_a, scores_b, mos = (both[name].to_numpy(float) for name in ("score_a", "score_b", "mos_a"))
    difference = stats.paired_difference(scores_a, scores_b, mos, metric)
    images = pd.DataFrame({"image": both["image"], "mos": mos, "a": scores_a, "b": scores_b,
                           "share": shares(scores_a, scores_b, mos, metric)})
    order = images["share"].abs().sort_values(ascending=False, kind="stable").index
    return Contrast(a.run, b.run, metric, difference, images.loc[order].reset_index(drop=True))


def same_images(board: Board, run: str) -> tuple[str, ...]:
    """Other measured runs on the dataset of this one, which it can be compared with."""
    first = board.measured.drop_duplicates("run")
    dataset = first.loc[first["run"] == run, "dataset"]
    return tuple(first.loc[first["dataset"].isin(dataset) & (first["run"] != run), "run"])


def _scale(provenance: Facts, mos_range: str, mos: np.ndarray) -> tuple[float, float]:
    if scale := provenance.get("scale"):
        return float(scale[0]), float(scale[1])
    ends = mos_range.split("-") if mos_range.count("-") == 1 else []
    if len(ends) == 2 and float(ends[0]) <= mos.min() and mos.max() <= float(ends[1]):
        return float(ends[0]), float(ends[1])
    return float(mos.min()), float(mos.max())


def _expected(scored: pd.DataFrame, low: float, high: float) -> tuple[np.ndarray, pd.DataFrame]:
    """Expected opinion of each image by a fit that had not seen its fold, float [n], NaN where images are too few; and
    the curve of `Details`."""
    scores, mos = scored["score"].to_numpy(float), scored["mos"].to_numpy(float)
    if len(scored) < meaning.FEWEST or np.ptp(scores) == 0 or high <= low:
        return np.full(len(scored), np.nan), pd.DataFrame(columns=list(_CURVE))
    calibration = meaning.Calibration(scores, 100 * rescaled(mos, low, high), meaning.folds_of(list(scored["image"])))
    grid = np.linspace(scores.min(), scores.max(), 80)
    ends = [low + (high - low) * values / 100 for values in calibration.intervals(grid)]
    return (low + (high - low) * calibration.left_out / 100, pd.DataFrame(dict(zip(_CURVE, (grid, *ends)))))


def _binned(images: pd.DataFrame, *, by: str, y: str, count: int) -> tuple[Bin, ...]:
    rated = images.dropna(subset=["expected"]).sort_values(by, kind="stable")
    bins = []
    for part in np.array_split(np.arange(len(rated)), count):
        rows = rated.iloc[part]
        if rows.empty:
            continue
        mean, n = float(rows[y].mean()), len(rows)
        half = 1.96 * float(rows[y].std(ddof=1)) / np.sqrt(n) if n > 1 else 0.0
        bins.append(Bin(float(rows[by].min()), float(rows[by].max()), n, float(rows[by].mean()), mean, mean - half,
                        mean + half))
    return tuple(bins)


def _text(value: object, key: str, absent: str) -> str:
    if value is None or value == "":
        return absent
    if key == "command":
        return without_machine(str(value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" if key == "versions" else f"{name}={one}" for name, one in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)
