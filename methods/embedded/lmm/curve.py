"""`python -m methods.embedded.lmm.curve`: how accuracy grows with training and with rated photos, as CSV and picture.

Two curves say what limits the embedded model. Over the steps, the decoder's answers approach those of the regressions
that teach it (needs fold models trained with --keep). Over the number of rated photos, the regressions themselves still
rise or no longer do. Everything is measured on the photos of the fold, by SRCC over all folds together.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from methods.embedded.lmm import evaluate, pipeline, readout

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the rated photos that a fold may be trained on."""

DRAWS = 1
"""How often each smaller share is drawn."""

LABELS = {"five-level": "five levels", "iqarag": "with references", "same object": "same object (AUC)",
          "regressions": "the regressions"}
COLOURS = {"five-level": "#1f8a8a", "iqarag": "#b3541e", "same object": "#6a4fa3", "regressions": "#555555"}


class Point(NamedTuple):
    """One value of a curve: `over` is "steps" or "photos", x how many, `measure` a key of `LABELS`."""

    over: str
    x: int
    measure: str
    value: float


def over_steps(material: pipeline.Material, cache: Path, folds: Sequence[int]) -> Iterator[Point]:
    """Accuracy of the answers at every step that all folds have kept."""
    import torch
    from sklearn.metrics import roc_auc_score

    from methods.agreement.metrics import srcc

    checkpoints = [{int(path.stem.removeprefix("step-")) for path in (cache / f"fold-{fold}").glob("step-*.pt")}
                   for fold in folds]
    folders = [cache / f"fold-{fold}" for fold in folds]
    respondents = [evaluate.Respondent(folder / "model", evaluate.tokens_of(material, folder)) for folder in folders]
    for step in sorted(set.intersection(*checkpoints)) if checkpoints else []:
        answers = []
        for fold, respondent in zip(folds, respondents):
            learnt = [parameter for name, parameter in respondent.model.named_parameters()
                      if "vision_tower" not in name]
            saved = torch.load(cache / f"fold-{fold}" / f"step-{step}.pt", weights_only=True)
            for parameter, value in zip(learnt, saved, strict=True):
                parameter.data.copy_(value)
            answers.append(evaluate.fold_scores(material, respondent, fold, quick=True))
        joined = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
        for name in ("five-level", "iqarag"):
            yield Point("steps", step, name, srcc(joined[name], joined["mos"]))
        same = np.r_[np.ones(len(joined["same"])), np.zeros(len(joined["strangers"]))]
        yield Point("steps", step, "same object",
                    float(roc_auc_score(same, np.r_[joined["same"], joined["strangers"]])))


def over_photos(material: pipeline.Material, folds: Sequence[int], shares: Sequence[float] = SHARES,
                draws: int = DRAWS) -> Iterator[Point]:
    """SRCC of the regressions' quality, fitted with fewer rated photos; x is the mean number over the folds."""
    from methods.agreement.metrics import srcc

    held_out = np.array([shot.held_out for shot in material.shots])
    groups = np.array([shot.group for shot in material.shots])
    mos = np.array([shot.mos for shot in material.shots])
    whole = material.rated_whole
    for share in shares:
        accuracies, counts = [], []
        for draw in range(draws if share < 1 else 1):
            scores = np.full(len(material.shots), np.nan)
            for fold in folds:
                rng = np.random.default_rng([draw, fold])
                known = groups[whole[material.fold_of[whole] != fold]]
                chosen = rng.permutation(known)[: round(share * len(known))]
                training = ~held_out & (np.isin(groups, chosen) | (material.fold_of < 0))
                fitted = readout.fit(material.shots, material.means, training)
                own = whole[material.fold_of[whole] == fold]
                scores[own], _ = fitted.judge(fitted.tokens(material.grids[own]).mean(axis=1))
                counts.append(len(chosen))
            tested = whole[~np.isnan(scores[whole])]
            accuracies.append(srcc(scores[tested], mos[tested]))
        yield Point("photos", round(np.mean(counts)), "regressions", float(np.mean(accuracies)))


def draw(points: Sequence[Point], path: Path) -> None:
    """The curves side by side on white, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = (("steps", "step of training"), ("photos", "rated photos trained on"))
    for axis, (over, label) in zip(figure.subplots(1, 2), panels):
        for measure in LABELS:
            own = [(point.x, point.value) for point in points if (point.over, point.measure) == (over, measure)]
            if own:
                axis.plot(*zip(*own), marker=".", color=COLOURS[measure], label=LABELS[measure])
        axis.set_xlabel(label)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8, loc="lower right")
    figure.axes[0].set_title("Held-out SRCC, or AUC", fontsize=10, loc="left")
    figure.axes[1].set_title("Held-out SRCC", fontsize=10, loc="left")
    figure.savefig(path, dpi=150)


def main(argv: list[str] | None = None) -> int:
    import argparse

    from methods.embedded.lmm.__main__ import parser as training_parser
    from methods.embedded.lmm.__main__ import tables_of

    arguments = argparse.ArgumentParser(
        prog="python -m methods.embedded.lmm.curve", parents=[training_parser(add_help=False)],
        description="Draws the learning curves; takes the same arguments as the training, and writes "
                    "learning-curve.csv and .png into --out.")
    options = arguments.parse_args(argv)
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch

    torch.set_num_threads(1)
    material = pipeline.prepare(tables_of(options.mos), options.photos, options.cache, options.folds)
    folds = [fold for fold in range(options.folds) if (options.cache / f"fold-{fold}" / "model").is_dir()]
    points = []
    for curve in (over_steps(material, options.cache, folds), over_photos(material, folds)):
        for point in curve:
            points.append(point)
            print(f"{point.measure} after {point.x} {point.over}: {point.value:.4f}", file=sys.stderr, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "learning-curve.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Point._fields)
        writer.writerows((*point[:3], f"{point.value:.4f}") for point in points)
    draw(points, options.out / "learning-curve.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
