"""`mean-opinion leaf train`, a student: the teacher labels, the student distils, a few human ratings calibrate.

    mean-opinion leaf train --lmm embedded --images DIR --scores ratings.csv --budget 0.1 --out runs/student

Without --scores the student keeps the teacher's scale; without --lmm it learns from the opinions alone. Judgements
are cached in the output folder as they come, so the same command goes on after a kill; --judgements takes those that
`label` has made, and then needs no teacher. --report adds the label-budget curve.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from methods.cli.arguments import add_rated, at_least, table_options, tell
from methods.cli.progress import stages, steps
from methods.cli.running import DONE
from methods.data import RatedPictures
from methods.errors import InputError
from methods.leaf.label import add_pairs
from methods.leaf.ratings import FEWEST_LABELS, read_ratings, usable_images


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--lmm", "--teacher", dest="teacher", metavar="NAME", help="the teacher, which labels the "
                         "images, rated or not: embedded, a Hub id, a folder or server:URL#model")
    command.add_argument("--judgements", type=Path, metavar="FILE",
                         help="judgements.jsonl to take and add to; without --lmm, all that is taken")
    add_rated(command, dataset=False, images=True)
    command.add_argument("--budget", type=float, default=1.0, metavar="SHARE", help="of the opinions to use, 0 to 1 "
                                                                                    "(1)")
    command.add_argument("--backbone", default="embedded", metavar="NAME",
                         help="embedded, a vision model's Hub id or folder, or timm:NAME")
    add_pairs(command, weighed=True)
    command.add_argument("--seed", type=at_least(0), default=0, metavar="N",
                         help="of the pairs and of the opinions drawn (0)")
    command.add_argument("--report", action="store_true", help="also measure SRCC and PLCC against the label budget")
    command.add_argument("--seeds", type=at_least(1), default=5, metavar="N", help="repetitions of the report (5)")
    command.add_argument("--out", type=Path, default=Path("runs/leaf-student"), metavar="DIR",
                         help="folder of the student (runs/leaf-student)")


def run(chosen: argparse.Namespace) -> int:
    """Teaches, calibrates and saves a student; prints what came out. Returns 0."""
    from methods.leaf.heads import fit_ridge
    from methods.leaf.student import Student

    if not 0 <= chosen.budget <= 1:
        raise InputError(f"The budget is a share between 0 and 1; got {chosen.budget}.")
    if not chosen.teacher and not chosen.judgements and not chosen.scores:
        raise InputError("There is nothing to learn from; give --lmm, --judgements or --scores.")
    opinions = _opinions(chosen)
    labels = _drawn(opinions, chosen)
    taught = bool(chosen.teacher or chosen.judgements)
    if not taught and len(labels) < FEWEST_LABELS:
        raise InputError(f"A student without a teacher needs at least {FEWEST_LABELS} ratings, and --budget "
                         f"{chosen.budget:g} leaves {len(labels)}; raise it.")
    # Known to be good: `read_ratings` has read them.
    pictures = usable_images(chosen.images, *((opinions.paths, opinions.notes) if opinions is not None else ()))
    backbone = _backbone(chosen.backbone)  # before the teacher: a wrong name should be told at once
    judgements = _judgements(chosen, pictures) if taught else None
    features = backbone.features(pictures, steps("Features: "))
    facts = {"backbone": chosen.backbone, "pictures": len(pictures)}
    head = None
    if judgements is not None:
        from methods.leaf.distil import distil

        head = distil(features, judgements, alpha=chosen.alpha)
        facts |= {"teacher": judgements.teacher, "pairs": len(judgements.pairs),
                  "mean_reliability": round(float(judgements.reliability.mean()), 4)}
    position = {path: row for row, path in enumerate(pictures)}
    rows = np.array([position[opinions.paths[label]] for label in labels], dtype=int)
    if head is None:
        head = fit_ridge(features[rows], opinions.mos01[labels]).head
    student = Student(backbone, head, {"name": chosen.out.name, "training": facts})
    if opinions is not None:
        student.card["scale"] = list(opinions.scale)
    if 0 < len(labels) < FEWEST_LABELS:
        print(f"A budget of {chosen.budget:g} leaves too few ratings to calibrate with ({len(labels)}; at least "
              f"{FEWEST_LABELS} are needed), so the student keeps what the teacher said.", file=sys.stderr)
    elif len(labels):
        student.calibrate([opinions.paths[label] for label in labels], opinions.mos01[labels], features=features[rows],
                          scale=(0.0, 1.0), from_scratch=judgements is None, seed=chosen.seed,
                          dataset=opinions.dataset)
        student.card["scale"] = list(opinions.scale)  # the file's, not the share of it that calibration saw
        print_calibration(student)
    student.save(chosen.out)
    print(f"Student saved in {chosen.out}.")
    if chosen.report and opinions is not None:
        _report(chosen, features[[position[path] for path in opinions.paths]], opinions, judgements, position)
    return DONE


def _opinions(chosen: argparse.Namespace) -> RatedPictures | None:
    if chosen.scores is None:
        if chosen.report:
            raise InputError("A report needs ratings; give --scores.")
        return None
    opinions = read_ratings(chosen.scores, chosen.images, minimum=2, **table_options(chosen))
    tell(opinions)
    if chosen.report:
        from methods.leaf.report import FEWEST_PICTURES

        if len(opinions) < FEWEST_PICTURES:
            raise InputError(f"A report needs at least {FEWEST_PICTURES} rated images; got {len(opinions)}.")
    return opinions


def _judgements(chosen: argparse.Namespace, pictures: list[Path]):
    from methods.leaf.teacher import judge, recorded

    if not chosen.teacher:
        return recorded(pictures, chosen.judgements)
    from methods.lmm.loading import load_lmm

    return judge(load_lmm(chosen.teacher), pictures, per_picture=chosen.pairs, seed=chosen.seed,
                 cache=chosen.judgements or chosen.out / "judgements.jsonl",
                 progress=stages("Teacher: "))


def _backbone(name: str):
    from methods.leaf.backbones import HubBackbone
    from methods.leaf.student import Student

    return Student.load().backbone if name == "embedded" else HubBackbone(name)


def _drawn(opinions: RatedPictures | None, chosen: argparse.Namespace) -> np.ndarray:
    if opinions is None:
        return np.zeros(0, dtype=int)
    order = np.random.default_rng(chosen.seed).permutation(len(opinions))
    return np.sort(order[: round(chosen.budget * len(opinions))])


def print_calibration(student) -> None:
    """The cross-validated accuracy of a calibrated student, as far as it can be said."""
    fit = student.calibration
    if fit is None:
        return
    if fit.caveat:
        print(fit.caveat)
    if fit.srcc is not None:
        print(f"Cross-validated on {fit.n - fit.trained_on} ratings: SRCC {fit.srcc:.3f} [{fit.srcc_interval[0]:.3f}, "
              f"{fit.srcc_interval[1]:.3f}], PLCC {fit.plcc:.3f} [{fit.plcc_interval[0]:.3f}, "
              f"{fit.plcc_interval[1]:.3f}].")


def _report(chosen: argparse.Namespace, features: np.ndarray, opinions: RatedPictures, judgements, position) -> None:
    from methods.leaf import figures, report

    if judgements is not None:
        judgements = judgements.subset([position[path] for path in opinions.paths])
    curve = report.label_budget(features, opinions.mos01, judgements, seeds=chosen.seeds, alpha=chosen.alpha,
                                progress=steps("Report: ", unit="parts"))
    for path in figures.write(curve, chosen.out):
        print(f"Report: {path}")
    print_gains(curve)


def print_gains(curve) -> None:
    """What the teacher adds at each budget, a line each."""
    for gain in curve.gains:
        print(f"At {gain.budget:.0%} of the labels the teacher adds {gain.value:+.3f} SRCC "
              f"[{gain.low:+.3f}, {gain.high:+.3f}].")
