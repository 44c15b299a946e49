"""What IQARAG costs: the search among many references, and a picture's score beside one plain pass.

    python benchmarks/iqarag.py search [--references 100000 --features 1000]
    python benchmarks/iqarag.py score [--lmm NAME --pictures 12]

`search` compares a full exact scan with the compressed index, in one run, on two kinds of features: independent normal
numbers, which no code can summarise, and features with structure, as an encoder's have. `score` compares the plain
question with the whole method, its references already encoded; both answer the same, new pictures in turn, so neither
finds the other's encodings.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

QUERIES = 20
NEIGHBOURS = 50


def search(references: int, width: int) -> None:
    """Prints milliseconds per query, exact and by codes, and the share of the exact neighbours that the codes find."""
    from methods.iqarag import index as indices

    print(f"{references} references of {width} numbers, {NEIGHBOURS} neighbours, {QUERIES} queries one by one")
    for kind in ("independent", "structured"):
        rng = np.random.default_rng(0)
        base = rng.standard_normal((64, width), dtype=np.float32)

        def drawn(count: int, kind=kind, rng=rng, base=base) -> np.ndarray:
            noise = rng.standard_normal((count, width), dtype=np.float32)
            return noise if kind == "independent" else rng.standard_normal((count, 64), dtype=np.float32) @ base + noise

        features, queries = drawn(references), drawn(QUERIES)
        exact = indices.exact_index(features)
        start = time.perf_counter()
        codes = indices.compressed_index(features)
        built = time.perf_counter() - start
        del features
        scans, coded, shares = [], [], []
        for query in queries:
            start = time.perf_counter()
            truth, _ = indices.nearest(exact, None, query, NEIGHBOURS)
            scans.append(time.perf_counter() - start)
            start = time.perf_counter()
            nearest, _ = indices.nearest(exact, codes, query, NEIGHBOURS)
            coded.append(time.perf_counter() - start)
            shares.append(len(set(truth) & set(nearest)) / NEIGHBOURS)
        scan, code = statistics.median(scans), statistics.median(coded)
        print(f"  {kind}: exact {1e3 * scan:.1f} ms, by codes {1e3 * code:.1f} ms (at most {1e3 * max(coded):.1f}), "
              f"{scan / code:.1f} times as fast, {np.mean(shares):.1%} of the neighbours, codes made in {built:.0f} s")


def score(lmm_name: str | None, count: int) -> None:
    """Prints seconds a new picture, plainly and with references, and their ratio."""
    from benchmarks.pictures import photographs
    from methods.iqarag.method import IQARAG
    from methods.lmm.loading import default_lmm, load_lmm
    from methods.q_bench.method import QBench

    lmm = load_lmm(lmm_name or default_lmm("iqarag"))
    plain, method = QBench(lmm, question="five-level"), IQARAG(lmm)
    pictures = photographs(2 * count + 2, (500, 500))
    start = time.perf_counter()
    references = method.reference_set()
    for number in range(len(references)):
        # One pass over the set, as a long-running process has made it: every reference's encoding is kept.
        lmm.embed([references.image(number)])
    print(f"{lmm.name}: {len(references)} references made warm in {time.perf_counter() - start:.1f} s")
    plain.assess(pictures[0])
    method.assess(pictures[1])
    times: dict[str, list[float]] = {"plain": [], "iqarag": []}
    for number in range(count):
        for name, scorer, picture in (("plain", plain, pictures[2 + 2 * number]),
                                      ("iqarag", method, pictures[3 + 2 * number])):
            start = time.perf_counter()
            scorer.assess(picture)
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"  plain {medians['plain']:.3f} s, IQARAG {medians['iqarag']:.3f} s per image "
          f"({pictures[0].width}x{pictures[0].height}, median of {count}): "
          f"{medians['iqarag'] / medians['plain']:.2f} times one plain pass")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    searching = commands.add_parser("search")
    searching.add_argument("--references", type=int, default=100_000)
    searching.add_argument("--features", type=int, default=1_000)
    scoring = commands.add_parser("score")
    scoring.add_argument("--lmm")
    scoring.add_argument("--pictures", type=int, default=12)
    options = parser.parse_args()
    if options.command == "search":
        search(options.references, options.features)
    else:
        score(options.lmm, options.pictures)


if __name__ == "__main__":
    main()
