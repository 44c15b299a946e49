"""Trains a student: the teacher labels, the student distils, a few human ratings calibrate.

    python -m methods.leaf.train --teacher embedded --images DIR --mos ratings.csv --budget 0.1 --out runs/student

Without --mos the student keeps the teacher's scale; without --teacher it learns from the ratings alone. Judgements are
cached in the output folder as they come, so the same command goes on after a kill. --report adds the label-budget
curve.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from methods.images import PICTURE_SUFFIXES, decode
from methods.opinions import OpinionError, Opinions, read_opinions


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(prog="python -m methods.leaf train", description=__doc__.split("\n")[0])
    command.add_argument("--images", type=Path, required=True, help="folder of pictures; unrated ones are used as well")
    command.add_argument("--teacher", help="LMM that labels them: embedded, a Hub id, a folder or server:URL#model")
    command.add_argument("--mos", type=Path, help="CSV of ratings")
    command.add_argument("--budget", type=float, default=1.0, help="share of the ratings to use, 0 to 1")
    command.add_argument("--backbone", default="embedded",
                         help="embedded, a vision model's Hub id or folder, or timm:NAME")
    command.add_argument("--pairs", type=int, default=4, help="comparisons a picture takes part in, on average")
    command.add_argument("--alpha", type=float, default=1.0, help="weight of the pair-wise judgements")
    command.add_argument("--lower-is-better", action="store_true", default=None, help="the ratings are DMOS")
    command.add_argument("--seed", type=int, default=0, help="of the pairs and of the ratings drawn")
    command.add_argument("--report", action="store_true", help="also measure SRCC and PLCC against the label budget")
    command.add_argument("--seeds", type=int, default=5, help="repetitions of the report")
    command.add_argument("--out", type=Path, default=Path("runs/leaf-student"), help="folder of the student")
    return command


def run(chosen: argparse.Namespace) -> int:
    """Does what `parser` describes; prints what came out. Returns 0.

    Raises:
        ValueError, RuntimeError: one plain sentence each; `main` prints it.
    """
    from methods.leaf.heads import fit_ridge
    from methods.leaf.student import Student

    if not 0 <= chosen.budget <= 1:
        raise ValueError(f"The budget is a share between 0 and 1; got {chosen.budget}.")
    if not chosen.teacher and not chosen.mos:
        raise ValueError("There is nothing to learn from; give --teacher, --mos or both.")
    opinions = _opinions(chosen)
    pictures = _pictures(chosen.images, opinions)
    judgements = _judge(chosen, pictures) if chosen.teacher else None
    backbone = _backbone(chosen.backbone)
    features = _features(backbone, pictures, chosen)
    facts = {"backbone": chosen.backbone, "pictures": len(pictures)}
    head = None
    if judgements is not None:
        from methods.leaf.distil import distil

        head = distil(features, judgements, alpha=chosen.alpha)
        facts |= {"teacher": judgements.teacher, "pairs": len(judgements.pairs),
                  "mean_reliability": round(float(judgements.reliability.mean()), 4)}
    labels = _drawn(opinions, chosen)
    position = {path: row for row, path in enumerate(pictures)}
    rows = np.array([position[opinions.images[label]] for label in labels], dtype=int)
    if head is None:
        if len(labels) < 2:
            raise ValueError("A student without a teacher needs ratings; raise --budget.")
        head = fit_ridge(features[rows], opinions.mos01[labels]).head
    student = Student(backbone, head, {"name": chosen.out.name, "training": facts})
    if len(labels):
        student.calibrate(None, opinions.mos01[labels], features=features[rows], scale=(0.0, 1.0),
                          from_scratch=judgements is None, seed=chosen.seed)
        student.card["scale"] = list(opinions.scale)
        print_calibration(student)
    student.save(chosen.out)
    print(f"Student saved in {chosen.out}.")
    if chosen.report and opinions is not None:
        _report(chosen, features[[position[path] for path in opinions.images]], opinions, judgements, position)
    return 0


def _opinions(chosen: argparse.Namespace) -> Opinions | None:
    if chosen.mos is None:
        if chosen.report:
            raise OpinionError("A report needs ratings; give --mos.")
        return None
    opinions = read_opinions(chosen.mos, chosen.images, lower_is_better=chosen.lower_is_better)
    for note in opinions.notes:
        print(note, file=sys.stderr)
    return opinions


def _pictures(folder: Path, opinions: Opinions | None) -> list[Path]:
    if not folder.is_dir():
        raise OpinionError(f"There is no folder {folder}; give the folder that holds the pictures.")
    found = sorted(Path(where, name) for where, _, names in os.walk(folder) for name in names
                   if Path(name).suffix.lower() in PICTURE_SUFFIXES)
    rated = set(opinions.images) if opinions is not None else set()
    usable = []
    for path in found:
        try:
            decode(path)
        except ValueError as error:
            if path in rated:
                raise OpinionError(f"{path.name} is rated but cannot be read: {error}") from None
            print(f"{path.name} is left out: {error}", file=sys.stderr)
            continue
        usable.append(path)
    if len(usable) < 2:
        raise OpinionError(f"The folder {folder} holds fewer than two usable pictures.")
    return usable


def _judge(chosen: argparse.Namespace, pictures: list[Path]):
    from methods.leaf.teacher import judge
    from methods.lmm.loading import load_lmm

    lmm = load_lmm(chosen.teacher)
    return judge(lmm, pictures, per_picture=chosen.pairs, seed=chosen.seed, cache=chosen.out / "judgements.jsonl",
                 progress=lambda what, done, total: tell(f"Teacher: {what}", done, total))


def _backbone(name: str):
    from methods.leaf.backbones import HubBackbone
    from methods.leaf.student import Student

    return Student.load().backbone if name == "embedded" else HubBackbone(name)


def _features(backbone, pictures: list[Path], chosen: argparse.Namespace) -> np.ndarray:
    return backbone.features(pictures, lambda done, total: tell("Features", done, total))


def _drawn(opinions: Opinions | None, chosen: argparse.Namespace) -> np.ndarray:
    if opinions is None:
        return np.zeros(0, dtype=int)
    order = np.random.default_rng(chosen.seed).permutation(len(opinions))
    return np.sort(order[: round(chosen.budget * len(opinions))])


def print_calibration(student) -> None:
    """The cross-validated accuracy of a calibrated student, if there were ratings enough for one."""
    seen = student.calibration
    if seen is None or seen.srcc is None:
        return
    print(f"Cross-validated on {seen.n} ratings: SRCC {seen.srcc:.3f} [{seen.srcc_interval[0]:.3f}, "
          f"{seen.srcc_interval[1]:.3f}], PLCC {seen.plcc:.3f} [{seen.plcc_interval[0]:.3f}, "
          f"{seen.plcc_interval[1]:.3f}].")


def _report(chosen: argparse.Namespace, features: np.ndarray, opinions: Opinions, judgements, position) -> None:
    from methods.leaf import report

    if judgements is not None:
        judgements = judgements.subset([position[path] for path in opinions.images])
    curve = report.label_budget(features, opinions.mos01, judgements, seeds=chosen.seeds, alpha=chosen.alpha,
                                progress=lambda done, total: tell("Report", done, total))
    for path in report.write(curve, chosen.out):
        print(f"Report: {path}")
    print_gains(curve)


def print_gains(curve) -> None:
    """What the teacher adds at each budget, a line each."""
    for gain in curve.gains:
        print(f"At {gain.budget:.0%} of the labels the teacher adds {gain.value:+.3f} SRCC "
              f"[{gain.low:+.3f}, {gain.high:+.3f}].")


def tell(what: str, done: int, total: int) -> None:
    """A line that overwrites itself on a terminal, ten lines in a log."""
    if sys.stderr.isatty():
        print(f"\r{what} {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
    elif done == total or done * 10 // total > (done - 1) * 10 // total:
        print(f"{what} {done}/{total}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Exit 0 done, 2 with one sentence on stderr."""
    chosen = parser().parse_args(arguments)
    try:
        return run(chosen)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
