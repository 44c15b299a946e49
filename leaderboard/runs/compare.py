"""`mean-opinion compare RUN_A RUN_B`: how far two runs differ on the images that both scored.

The difference of two correlations has an interval of its own: both runs are measured on the same resamples of the same
images, so what is hard for both cancels. Two separate intervals that overlap say little.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from leaderboard.measured import folder_of, same_opinion
from leaderboard.predictions import METRICS, SETTINGS, Prediction, read_predictions
from leaderboard.runs.contents import read_contents
from methods.cli.arguments import at_least
from methods.cli.running import DONE
from methods.errors import InputError

if TYPE_CHECKING:
    from methods.agreement.metrics import Difference

_LEAST = 5  # The logistic fit has four parameters.


@dataclass(frozen=True)
class Comparison:
    """Two runs on their shared images.

    Attributes:
        a, b: names of the runs.
        differences: metric -> A minus B with its interval; or the sentence why there is none.
        n: images that both scored.
        only_a, only_b: images that only one of them scored.
        deciding: metric -> (image, what it adds to the difference) of those that add most; as many as asked for.
    """

    a: str
    b: str
    differences: dict[str, Difference | str]
    n: int
    only_a: int
    only_b: int
    deciding: dict[str, list[tuple[str, float]]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        differences = {name: {"note": gap} if isinstance(gap, str) else gap.to_dict()
                       for name, gap in self.differences.items()}
        return {"a": self.a, "b": self.b, "n": self.n, "only_a": self.only_a, "only_b": self.only_b,
                "differences": differences, **({"deciding": self.deciding} if self.deciding else {})}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_a", metavar="RUN_A", help="folder of a run, its predictions.csv, or a measured run's name")
    parser.add_argument("run_b", metavar="RUN_B", help="folder of another one on the same images")
    parser.add_argument("--metric", action="append", metavar="NAME", help="srcc, plcc, plcc_logistic4, krcc or rmse; "
                                                                          "may be repeated; by default all")
    parser.add_argument("--samples", type=at_least(1), default=1000, metavar="N", help="resamples (default 1000)")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of the resamples (default 0)")
    parser.add_argument("--deciding", type=at_least(0), default=0, metavar="N",
                        help="name the N images that add most to each difference; all shares sum to it")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    a, b = folder_or_file(args.run_a), folder_or_file(args.run_b)
    same_images(a, b)
    names = _name(a), _name(b)
    comparison = compare(read_predictions(a), read_predictions(b), names=names, metrics=args.metric,
                         samples=args.samples, seed=args.seed, deciding=args.deciding)
    print(json.dumps(comparison.to_dict(), indent=1) if args.json else table(comparison))
    if comparison.only_a or comparison.only_b:
        print(f"Left out: {comparison.only_a} images that only {names[0]} has scored, {comparison.only_b} that only "
              f"{names[1]} has.", file=sys.stderr)
    return DONE


def compare(a: Sequence[Prediction], b: Sequence[Prediction], *, names: tuple[str, str] = ("A", "B"),
            metrics: Sequence[str] | None = None, samples: int = 1000, seed: int = 0,
            deciding: int = 0) -> Comparison:
    """A minus B on the images that both scored.

    Args:
        a, b: rows of the runs.
        names: what to call them.
        metrics: of `methods.agreement.metrics.METRICS`; None for all.
        samples, seed: of the paired bootstrap.
        deciding: how many of the images to name that add most to a difference.

    Raises:
        InputError: an unknown metric, fewer than five shared images, or opinions that differ between the runs by more
            than rounding (`measured.SAME_OPINION`).
    """
    from methods.agreement import metrics as stats
    from methods.agreement.shares import shares

    metrics = list(metrics or stats.METRICS)
    unknown = [name for name in metrics if name not in stats.METRICS]
    if unknown:
        raise InputError(f"There is no metric {unknown[0]!r}; choose from {', '.join(stats.METRICS)}.")
    first = {row.image: row for row in a if not row.error}
    second = {row.image: row for row in b if not row.error}
    shared = sorted(first.keys() & second.keys())  # A bootstrap depends on the order; that of a file on kills and Ray.
    if len(shared) < _LEAST:
        raise InputError(f"{names[0]} and {names[1]} have {len(shared)} scored images in common; at least {_LEAST} "
                         "are needed. Runs on different datasets cannot be compared.")
    other = [name for name in shared if not same_opinion(first[name].mos, second[name].mos)]
    if other:
        raise InputError(f"The opinions of {len(other)} shared images differ, {other[0]!r} first "
                         f"({first[other[0]].mos:g} and {second[other[0]].mos:g}); compare runs on the same opinions.")
    mos = [first[name].mos for name in shared]
    scores_a, scores_b = ([score for name in shared if (score := rows[name].score) is not None]
                          for rows in (first, second))
    differences: dict[str, Difference | str] = {}
    largest: dict[str, list[tuple[str, float]]] = {}
    for name in metrics:
        try:
            differences[name] = stats.paired_difference(scores_a, scores_b, mos, name, samples=samples, seed=seed)
            if deciding > 0:
                every = zip(shared, shares(scores_a, scores_b, mos, name).tolist())
                largest[name] = sorted(every, key=lambda one: -abs(one[1]))[:deciding]
        except InputError as error:  # undefined on these images
            differences[name] = str(error)
    return Comparison(*names, differences, len(shared), len(first) - len(shared), len(second) - len(shared), largest)


def folder_or_file(run: str) -> str:
    """Where a run lies that is named by its path, or by its name among the measured ones."""
    return run if Path(run).exists() else str(folder_of(run))


def same_images(a: str | Path, b: str | Path) -> None:
    """Checks that two runs scored the same files, as far as their folders know it.

    Raises:
        InputError: an image of one name has another content in each run.
    """
    first, second = (read_contents(path if Path(path).is_dir() else Path(path).parent) for path in (a, b))
    other = [name for name in sorted(first.keys() & second.keys()) if first[name].hash != second[name].hash]
    if other:
        have = "1 shared image has" if len(other) == 1 else f"{len(other)} shared images have"
        raise InputError(f"{have} another content in each run, {other[0]!r} first; compare runs on the same images.")


def table(comparison: Comparison) -> str:
    """For people; a star marks an interval of the difference that leaves zero out."""
    lines = [f"A = {comparison.a}", f"B = {comparison.b}", f"{comparison.n} shared images", "",
             f"{'metric':<16}{'A':>9}{'B':>9}{'A - B':>10}   {'95 % interval':<20}  p"]
    for name, gap in comparison.differences.items():
        if isinstance(gap, str):
            lines.append(f"{name:<16}undefined: {gap}")
            continue
        star = " *" if gap.low > 0 or gap.high < 0 else ""
        interval = f"{gap.low:+.4f} to {gap.high:+.4f}"
        lines.append(f"{name:<16}{gap.a:>9.4f}{gap.b:>9.4f}{gap.value:>+10.4f}   {interval:<20}  {gap.p:.3f}{star}")
    for name, largest in comparison.deciding.items():
        lines += ["", f"{f'images that decide {name}':<40}{'adds to A - B':>14}",
                  *(f"{image:<40}{share:>+14.5f}" for image, share in largest)]
    return "\n".join(lines)


def _name(path: str) -> str:
    """What a run is called: method, model and folder, as far as they are known."""
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    for name, place in ((METRICS, "provenance"), (SETTINGS, "settings")):
        try:
            source = json.loads((folder / name).read_text(encoding="utf-8"))[place]
            return f"{source['method']} with {source['weights']} ({folder.name})"
        except (OSError, ValueError, KeyError, TypeError):
            continue  # Predictions from elsewhere have no such file; their path names them.
    return str(path)
