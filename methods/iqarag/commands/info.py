"""`mean-opinion refset info`: what a set holds, bin by bin."""

from __future__ import annotations

import argparse
import collections
from pathlib import Path

from methods.cli.running import DONE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("set", type=Path, metavar="SET", help="folder of the set")


def run(arguments: argparse.Namespace) -> int:
    from methods.iqarag.reference_set import ReferenceSet
    from methods.iqarag.retrieval import bin_edges, bins_of
    from methods.levels import FIVE_LEVELS

    references = ReferenceSet.load(arguments.set)
    print(f"{references.title}: {len(references)} references, {references.encoder} features of {references.index.d} "
          f"numbers ({references.revision}), searched {'by codes' if references.codes is not None else 'exactly'}")
    print(f"  with {references.opinions}")
    counts = collections.Counter(bins_of(references.mos).tolist())
    for number, (low, high) in reversed(list(enumerate(bin_edges()))):
        print(f"  MOS {low:.1f} to {high:.1f} ({FIVE_LEVELS.word_for(low)}): {counts[number]}")
    return DONE
