"""How often a photo's opinion lies inside its interval, where the calibration has not seen it, and how wide it is.

    python -m scripts.measure_intervals [--held-out 100] [--deals 20] [--seed 0]

From the measured scores that ship, for every method and for the consensus of the default methods: a deal holds photos
out at random, calibrates on the others alone, and counts. Prints a Markdown table, means over the deals with the lowest
and highest share of a single deal, because 100 photos are few: nine of ten of them scatter by .03.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from methods import meaning
from methods.meaning import Table
from methods.registry import method_class

Floats = NDArray[np.float64]


def subset(table: Table, rows: NDArray[np.int64]) -> Table:
    """The table with some of its photos alone."""
    pick = {name: tuple(getattr(table, name)[row] for row in rows) for name in ("images", "mos", "scores")}
    return dataclasses.replace(table, **pick)


def deal(tables: Sequence[Table], held_out: int, rng: np.random.Generator) -> tuple[float, float]:
    """Share of the held-out opinions inside their intervals, and the intervals' median width.

    Args:
        tables: of the same photos in the same order; several give their consensus.
    """
    order = rng.permutation(len(tables[0].images))
    test, rest = order[:held_out], order[held_out:]
    fitted = [subset(table, rest) for table in tables]
    scores = np.array([table.scores for table in tables])[:, test]
    if len(tables) == 1:
        _, low, high = fitted[0].calibration.intervals(scores[0])
    else:
        several = [meaning.consensus(fitted, column) for column in scores.T]
        low, high = np.array([(one.low, one.high) for one in several if one is not None]).T
    mos = np.array(tables[0].mos)[test]
    return float(np.mean((low <= mos) & (mos <= high))), float(np.median(high - low))


def common(tables: Sequence[Table]) -> list[Table]:
    """The tables with the photos that all of them hold, in one order."""
    names = sorted(set.intersection(*(set(table.images) for table in tables)))
    return [subset(table, np.array([table.images.index(name) for name in names])) for table in tables]


def rows(held_out: int, deals: int, seed: int) -> list[tuple[str, int, Floats, Floats]]:
    """Per method, and for their consensus last: name, photos, share inside and median width of each deal."""
    tables = sorted(meaning.tables().values(), key=lambda table: (-table.srcc.value, table.key))
    groups = [(name_of(table), [table]) for table in tables]
    defaults = [table for table in tables if table.weights.partition("@")[0] == "embedded"
                and table.options == meaning.deciding_options(table.method, {})]
    groups.append((f"consensus of {len(defaults)} methods", common(defaults)))
    result = []
    for name, group in groups:
        rng = np.random.default_rng(seed)
        measured = np.array([deal(group, held_out, rng) for _ in range(deals)])
        result.append((name, len(group[0].images), measured[:, 0], measured[:, 1]))
    return result


def name_of(table: Table) -> str:
    """Method, weights, and what differs from the default options."""
    defaults = meaning.deciding_options(table.method, {})
    changes = [f"{name} {value}" for name, value in meaning.deciding_options(table.method, table.options).items()
               if value != defaults[name]]
    return ", ".join([method_class(table.method).title, table.weights.partition("@")[0], *changes])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", type=int, default=100, help="photos that a deal holds out")
    parser.add_argument("--deals", type=int, default=20, help="how often photos are dealt")
    parser.add_argument("--seed", type=int, default=0, help="of the deals")
    arguments = parser.parse_args()
    print("| Method | Photos | Inside | Lowest, highest deal | Median width |\n|---|---|---|---|---|")
    for name, photos, inside, width in rows(arguments.held_out, arguments.deals, arguments.seed):
        print(f"| {name} | {photos} | {inside.mean():.3f} | {inside.min():.2f}, {inside.max():.2f} | "
              f"{np.median(width):.1f} |")


if __name__ == "__main__":
    main()
