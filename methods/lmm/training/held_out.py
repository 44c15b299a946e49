"""Honest scores of rated photos by any method: each photo is scored by the fold model that was trained without it.

The embedded model that ships has seen all rated photos of its training. Its folds have not seen all of them, so five
of them together score every photo as a new one:

    python -m methods.lmm.training.held_out --mos scores.csv --cache embedded-lmm-cache --method llm-iqa --out runs/x
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from methods.base import Assessment, load_method
from methods.lmm.training.pipeline import fold_of


def held_out(method: str, table: Path, images: Path, cache: Path, *, folds: int = 5, batch: int = 8, limit: int | None
             = None, **options: object) -> Iterator[tuple[str, float, Assessment]]:
    """Scores rated photos fold by fold.

    Args:
        method: registry name.
        table, images: as given to training, since the order of the photos decides their fold.
        cache: training's cache folder, with `fold-0/model` and so on.
        limit: at most so many photos a fold.
        options: of the method.

    Yields:
        (name, MOS in [0, 1], assessment), fold by fold.
    """
    from methods.lmm.transformers_lmm import TransformersLMM
    from methods.opinions import read_opinions

    opinions = read_opinions(table, images)
    fold = fold_of(len(opinions), folds)
    for index in range(folds):
        ready = load_method(method, lmm=TransformersLMM(cache / f"fold-{index}" / "model"), **options)
        rows = np.flatnonzero(fold == index)[:limit]
        for start in range(0, len(rows), batch):
            some = rows[start : start + batch]
            results = ready.assess_batch([opinions.images[row] for row in some])
            yield from ((opinions.names[row], float(opinions.mos01[row]), result)
                        for row, result in zip(some, results))


def main(argv: list[str] | None = None) -> int:
    from leaderboard.stats import summary
    from methods.torchvision_compat import ensure_torchvision

    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--mos", type=Path, required=True, metavar="CSV")
    arguments.add_argument("--images", type=Path, metavar="DIR", help="default: the table's folder")
    arguments.add_argument("--cache", type=Path, required=True, metavar="DIR", help="cache folder of the training")
    arguments.add_argument("--method", required=True)
    arguments.add_argument("--option", action="append", default=[], metavar="NAME=JSON", help="an option of the method")
    arguments.add_argument("--folds", type=int, default=5)
    arguments.add_argument("--limit", type=int, help="photos a fold")
    arguments.add_argument("--out", type=Path, required=True, metavar="DIR")
    chosen = arguments.parse_args(argv)
    ensure_torchvision()
    options = {name: _value(text) for name, _, text in (one.partition("=") for one in chosen.option)}
    chosen.out.mkdir(parents=True, exist_ok=True)
    scores, mos = [], []
    with (chosen.out / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "mos", "score", "native_score", "seconds"])
        for name, opinion, result in held_out(chosen.method, chosen.mos, chosen.images or chosen.mos.parent,
                                              chosen.cache, folds=chosen.folds, limit=chosen.limit, **options):
            writer.writerow([name, opinion, result.score, result.native_score, f"{result.seconds:.4f}"])
            scores.append(result.score)
            mos.append(opinion)
            print(f"\r{len(scores)} photos", end="", file=sys.stderr, flush=True)
    metrics = {name: value.to_dict() for name, value in summary(np.array(scores), np.array(mos)).items()}
    (chosen.out / "metrics.json").write_text(json.dumps({"method": chosen.method, "options": options, **metrics},
                                                        indent=2))
    for name, value in metrics.items():
        print(f"{name}: {value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}], n = {value['n']}")
    return 0


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main())
