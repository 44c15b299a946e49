"""What each part of LLM-IQA adds, on photos that the model has not seen: global, local, both; argmax, expectation.

    python benchmarks/llm_iqa_parts.py --scores scores.csv --images photos/ [--lmm embedded]

One pass over the photos; every variant follows from the same digits. Intervals are bootstrap 95 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from methods.agreement.metrics import paired_difference, summary
from methods.base import Assessment, load_method
from methods.data import read_table
from methods.torchvision_compat import ensure_torchvision

BATCH = 8


def assessed(table: Path, images: Path, lmm: str, limit: int | None) -> Iterator[tuple[float, Assessment]]:
    """MOS and assessment of each photo, of the first `limit` at most."""
    method = load_method("llm-iqa", lmm=lmm)
    own = list(read_table(table, images))[:limit]
    for start in range(0, len(own), BATCH):
        some = own[start : start + BATCH]
        yield from zip((item.mos for item in some), method.assess_batch([item.path for item in some]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--lmm", default="embedded", help="one that has not seen the photos (default: %(default)s)")
    parser.add_argument("--limit", type=int)
    chosen = parser.parse_args()
    ensure_torchvision()
    mos: list[float] = []
    columns: dict[str, list[float]] = {}
    for opinion, result in assessed(chosen.scores, chosen.images, chosen.lmm, chosen.limit):
        mos.append(opinion)
        for reading in ("argmax", "expectation"):
            total = result.evidence.rescored(reading=reading)
            for part, value in (("global", total.global_), ("local", total.local), ("global + local", total.final)):
                columns.setdefault(f"{part}, {reading}", []).append(value)
        print(f"\r{len(mos)} photos", end="", file=sys.stderr, flush=True)
    truth = np.array(mos)
    print(f"\n| variant | SRCC | PLCC | (n = {len(truth)}) |\n|---|---|---|---|")
    for name, values in columns.items():
        estimates = summary(np.array(values), truth)
        cells = [f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in (estimates["srcc"], estimates["plcc"])]
        print(f"| {name} | {' | '.join(cells)} | |")
    for first, second in (("global + local, argmax", "global, argmax"),
                          ("global + local, expectation", "global, expectation"),
                          ("global + local, expectation", "global + local, argmax")):
        for metric in ("srcc", "plcc"):
            difference = paired_difference(columns[first], columns[second], truth, metric)
            gap = f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
            print(f"{metric.upper()} of '{first}' minus '{second}': {gap}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
