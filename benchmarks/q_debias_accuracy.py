"""How Q-Debias and the vanilla prompt agree with opinions, on the same pictures, with the paper's ablations.

    python benchmarks/q_debias_accuracy.py --images DIR --scores CSV [--lmm embedded] [--limit N] [--seed 0]

Each variant is compared with the vanilla score by a paired bootstrap over the pictures. Tables 3 and 5 need no further
LMM pass: they follow from the conditional scores. Table 4 and the released code's setting are asked anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from methods.agreement.metrics import SAMPLES, paired_difference
from methods.base import Assessment
from methods.data import read_table
from methods.lmm import load_lmm
from methods.q_debias.aggregation import SCHEMES, aggregate
from methods.q_debias.method import QDebias
from methods.q_debias.similarity import ssim

AT_ONCE = 16


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True, help="CSV of picture names and opinion scores")
    parser.add_argument("--lmm", default="embedded", help="a name for load_lmm")
    parser.add_argument("--limit", type=int, help="the first N pictures only")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    opinions = read_table(chosen.scores, chosen.images)
    paths, mos = opinions.paths[: chosen.limit], opinions.mos[: chosen.limit]
    lmm = load_lmm(chosen.lmm)
    results = assess(QDebias(lmm, seed=chosen.seed), paths)
    vanilla = np.array([one.evidence.vanilla for one in results])
    variants = {"Q-Debias": [one.score for one in results], **subsets(results), **schemes(results)}
    for prompt in ("T1", "T2", "T3"):
        variants[f"prompt {prompt}"] = [one.score for one in
                                        assess(QDebias(lmm, seed=chosen.seed, prompt=prompt), paths)]
    released = assess(QDebias(lmm, seed=chosen.seed, setting="code", word_case="capitalised"), paths)
    variants["released code's setting"] = [one.score for one in released]
    print(f"{lmm.name}@{lmm.revision[:12]}, n = {len(paths)}, seed {chosen.seed}; differences to the vanilla score, "
          f"95 % intervals of {SAMPLES} paired resamples")
    print(f"{'':28}{'SRCC':>7}{'difference':>30}{'PLCC':>9}{'difference':>30}")
    report("vanilla (Q-Bench)", vanilla, vanilla, mos)
    for name, scores in variants.items():
        report(name, np.array(scores), vanilla, mos)
    return 0


def assess(method: QDebias, paths: Sequence[Path]) -> list[Assessment]:
    results: list[Assessment] = []
    for start in range(0, len(paths), AT_ONCE):
        results += method.assess_batch(paths[start : start + AT_ONCE])
        print(f"\r{method.options.setting} {method.options.prompt}: {len(results)} of {len(paths)}", end="",
              file=sys.stderr)
    print(file=sys.stderr)
    return results


def subsets(results: list[Assessment]) -> dict[str, list[float]]:
    """Table 3: each condition by itself."""
    names = [condition.distortion for condition in results[0].evidence.conditions]
    return {f"{name} alone": [one.evidence.conditions[index].quality for one in results]
            for index, name in enumerate(names)}


def schemes(results: list[Assessment]) -> dict[str, list[float]]:
    """Table 5: the other aggregations."""
    scores: dict[str, list[float]] = {}
    for scheme in SCHEMES[1:]:
        scores[scheme] = []
        for one in results:
            evidence = one.evidence
            likeness = [ssim(evidence.query, evidence.degraded(condition.distortion)) if scheme == "quality-similarity"
                        else condition.similarity for condition in evidence.conditions]
            scores[scheme].append(aggregate([condition.quality for condition in evidence.conditions], likeness, scheme))
    return scores


def report(name: str, scores: np.ndarray, vanilla: np.ndarray, mos: np.ndarray) -> None:
    row = f"{name:28}"
    for metric, width in (("srcc", 7), ("plcc", 9)):
        gap = paired_difference(scores, vanilla, mos, metric)
        cell = f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]" if scores is not vanilla else ""
        row += f"{gap.a:{width}.3f}{cell:>30}"
    print(row)


if __name__ == "__main__":
    raise SystemExit(main())
