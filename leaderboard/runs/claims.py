"""Whether a run is on the dataset that it claims: its number of images, their names, and the opinions stored before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from leaderboard import measured
from leaderboard.measured import Run, same_opinion
from leaderboard.schema import Board, SchemaError
from methods.data.datasets import LAYOUTS

_WITH_TRAINING_IMAGES = {"live-challenge": 1169}
"""Lists of LIVE Challenge have 1,162 images, or these with the seven that trained its raters."""


def check_claims(run: Run, board: Board, submissions: Path) -> None:
    """Compares a run with what is known of its dataset.

    Args:
        run: a validated run.
        board: with the dataset's line in datasets.csv.
        submissions: where the predictions of earlier results are stored.

    Raises:
        SchemaError: another number of images than the dataset has, names that are not its names, or opinions that
            differ from those of an earlier result by more than rounding.
    """
    slug, split = run.provenance["dataset"], run.provenance.get("split") or "all"
    facts = {str(key): str(value) for key, value in board.datasets.set_index("slug").loc[slug].items()}
    _check_count(facts, slug, split, len(run.images))
    _check_names(facts, run.images)
    for record in board.measured.drop_duplicates("run").to_dict("records"):
        if record["dataset"] != slug or record["run"] == run.name or record["split"] not in ("", "all"):
            continue
        stored = measured.predictions(submissions / record["run"] / "predictions.csv")
        _check_against(run, dict(zip(stored.scored["image"], stored.scored["mos"])), stored.images, record["run"],
                       whole=split == "all")


def _check_count(facts: Mapping[str, str], slug: str, split: str, count: int) -> None:
    counts = {int(facts["n_images"])} if str(facts["n_images"]).isdigit() else set()
    counts |= {LAYOUTS[slug].count} if slug in LAYOUTS else set()
    counts |= {_WITH_TRAINING_IMAGES[slug]} if slug in _WITH_TRAINING_IMAGES else set()
    if not counts or (count <= max(counts) if split != "all" else count in counts):
        return
    counts_in_words = " or ".join(f"{one:,}" for one in sorted(counts))
    advice = ("" if count > max(counts)
              else "; a run on a part of it says which: evaluate it with --split NAME")
    raise SchemaError(f"{facts['name']} has {counts_in_words} images, this run has {count:,}{advice}.")


def _check_names(facts: Mapping[str, str], images: tuple[str, ...]) -> None:
    if not facts["names"]:
        return
    other = [name for name in images
             if not re.fullmatch(facts["names"], PurePosixPath(name.replace("\\", "/")).stem, re.IGNORECASE)]
    if other:
        raise SchemaError(f"{len(other)} of {len(images)} images are not named as those of {facts['name']} are, "
                          f"{other[0]!r} first; name the dataset that was scored.")


def _check_against(run: Run, opinions: Mapping[str, float], images: tuple[str, ...], earlier: str, *,
                   whole: bool) -> None:
    """Compares with an earlier result on the whole dataset."""
    strange = sorted(set(run.images) - set(images)) or (sorted(set(images) - set(run.images)) if whole else [])
    if strange:
        raise SchemaError(f"{run.name} and {earlier} are not on the same images: {len(strange)} are in one of them "
                          f"only, {strange[0]!r} first.")
    own = dict(zip(run.predictions["image"], run.predictions["mos"]))
    other = [name for name in own if name in opinions and not same_opinion(own[name], opinions[name])]
    if other:
        raise SchemaError(f"{len(other)} opinions differ from those of {earlier}, of {other[0]!r} first "
                          f"({own[other[0]]:g} and {opinions[other[0]]:g}); results on one dataset need one scale.")
