"""Students from the shell.

    python -m methods.leaf label --teacher LMM --images DIR --out LABELS
    python -m methods.leaf train --teacher LMM --images DIR [--mos CSV] [--budget 0.1] [--backbone MODEL]
    python -m methods.leaf calibrate --images DIR --mos CSV --out STUDENT
    python -m methods.leaf predict PATH... [--student STUDENT]
    python -m methods.leaf budget --folds TEACHERS --images DIR --mos CSV
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from methods.data import direction_question, find_images
from methods.leaf import held_out, label, train
from methods.leaf.shell import DONE, SOME_FAILED, plainly, tell


def main(arguments: list[str] | None = None) -> int:
    """Exit 0 done, 1 where some pictures failed, 2 with one sentence on stderr, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["train"]:
        return train.main(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m methods.leaf", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    label.add_arguments(commands.add_parser("label", help="have a teacher judge a folder of pictures"))
    commands.add_parser("train", help="distil a student from a teacher and ratings", add_help=False)
    calibrate = commands.add_parser("calibrate", help="fit a student to ratings")
    calibrate.add_argument("--images", type=Path, required=True, help="folder of the rated pictures")
    calibrate.add_argument("--mos", type=Path, required=True, help="CSV of ratings")
    calibrate.add_argument("--student", type=Path, help="student to start from; the embedded one by default")
    train.add_rating_arguments(calibrate)
    calibrate.add_argument("--out", type=Path, required=True, help="folder of the calibrated student")
    predict = commands.add_parser("predict", help="score pictures: path,score,mos,error as CSV")
    predict.add_argument("paths", type=Path, nargs="+", help="pictures or folders")
    predict.add_argument("--student", type=Path, help="the embedded one by default")
    held_out.add_arguments(commands.add_parser("budget", help="what held-out teachers save in labels"))
    chosen = parser.parse_args(arguments)
    work = {"label": label.run, "calibrate": _calibrate, "predict": _predict, "budget": held_out.run}
    return plainly(work[chosen.command], chosen)


def _calibrate(chosen: argparse.Namespace) -> int:
    from methods.leaf.ratings import read_ratings
    from methods.leaf.student import EMBEDDED, Student

    opinions = read_ratings(chosen.mos, chosen.images, **train.rating_options(chosen))
    for note in opinions.notes:
        print(note, file=sys.stderr)
    student = Student.load(chosen.student or EMBEDDED)
    features = student.features(opinions.paths, lambda done, total: tell("Features", done, total))
    question = direction_question(opinions.mos01, student.predict(features=features),
                                  lower_is_better=opinions.lower_is_better)
    if question:
        print(question, file=sys.stderr)
    student.calibrate(None, opinions.mos01, features=features, scale=(0.0, 1.0))
    student.card |= {"scale": list(opinions.scale), "name": chosen.out.name}
    train.print_calibration(student)
    student.save(chosen.out)
    print(f"Student saved in {chosen.out}.")
    return DONE


def _predict(chosen: argparse.Namespace) -> int:
    from methods.leaf.student import EMBEDDED, Student

    student = Student.load(chosen.student or EMBEDDED)
    paths = [path for given in chosen.paths for path in (find_images(given) if given.is_dir() else [given])]
    if not paths:
        raise ValueError(f"There are no pictures in {chosen.paths[0]}; give pictures or folders that hold some.")
    writer = csv.writer(sys.stdout)
    writer.writerow(["path", "score", "mos", "error"])
    failed, step = 0, 64
    for start in range(0, len(paths), step):
        part = paths[start: start + step]
        for path, score, error in _scored(student, part):
            failed += error is not None
            writer.writerow([path, *(("", "") if score is None else (f"{score:.6f}", f"{student.to_mos(score):.4f}")),
                             error or ""])
        sys.stdout.flush()
        tell("Scored", start + len(part), len(paths))
    return SOME_FAILED if failed else DONE


def _scored(student, paths):
    """(path, score or None, error or None) of each; one bad file does not spoil its batch."""
    from methods.images import ImageError

    try:
        return [(path, float(score), None) for path, score in zip(paths, student.predict(paths))]
    except ImageError:
        rows = []
        for path in paths:
            try:
                rows.append((path, float(student.predict([path])[0]), None))
            except ImageError as error:
                rows.append((path, None, str(error)))
        return rows


if __name__ == "__main__":
    raise SystemExit(main())
