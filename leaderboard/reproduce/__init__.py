"""`mean-opinion reproduce TABLE`: runs a table of a paper as far as its data and models are here.

    mean-opinion reproduce                       lists the tables
    mean-opinion reproduce q-debias-table-1 --data koniq-10k=DIR --lmm mplug-owl3-7b=llava-onevision-7b
    mean-opinion reproduce --all --miniature     every table on made images: how many cells can be filled, and why not

Ours is printed beside the paper's, with the interval, the number of images and what is not the paper's in it; why a
cell is empty is said below.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from methods.cli.arguments import add_option, at_least
from methods.errors import InputError

if TYPE_CHECKING:
    from leaderboard.reproduce.manifest import Manifest
    from leaderboard.reproduce.perform import Reproduction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", nargs="?", metavar="TABLE", help="such as iqarag-table-1; without it, all are listed")
    parser.add_argument("--all", action="store_true", help="run every table and print how many of its cells are filled")
    parser.add_argument("--miniature", action="store_true",
                        help="on a few made images in every dataset's layout, with the embedded model in place of "
                             "every one that is not named: shows that the runs work, measures nothing")
    source = parser.add_argument_group("data and models")
    source.add_argument("--data", action="append", default=[], metavar="SLUG=DIR",
                        help="a dataset as it is distributed, any number of times; one that no reader knows as a "
                             "folder of images with scores.csv (image,mos); where opinions alone are needed, a table "
                             "of them will do")
    source.add_argument("--lmm", action="append", default=[], metavar="[NAME=]MODEL",
                        help="load MODEL in place of the manifest's NAME, or of every one; such as "
                             "mplug-owl3-7b=server:URL#MODEL; given several times, they are the ensemble of a row that "
                             "is one")
    source.add_argument("--encoder", action="append", default=[], metavar="NAME=DIR",
                        help="folder of the checkpoint of one of IQARAG's vision encoders (DINOv2=DIR), where the Hub "
                             "cannot be reached")
    how = parser.add_argument_group("how to run")
    add_option(how)
    how.add_argument("--limit", type=at_least(1), metavar="N", help="the first N images of each dataset only")
    how.add_argument("--by-content", action="store_true",
                     help="IQARAG's splits keep images made from the same pristine one on one side")
    how.add_argument("--min-max", action=argparse.BooleanOptionalAction, default=True,
                     help="IQARAG's opinions run from the lowest to the highest of their dataset (default), or over "
                          "its nominal scale")
    how.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of splits and methods (0)")
    how.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS",
                     help="spread the scoring with Ray Data, as `evaluate` does; IQARAG's experiments stay here")
    how.add_argument("--out", metavar="DIR", help="folder of the runs (runs/reproduce); a killed run goes on there")
    how.add_argument("--csv", action="store_true", help="print CSV instead of a table")


def run(args: argparse.Namespace) -> int:
    from leaderboard.reproduce import manifest

    if args.all == bool(args.table):
        if args.all:
            raise InputError("Name one table, or give --all; not both.")
        for name in manifest.names():
            print(f"{name:<28}{manifest.load(name).title}")
        return 0
    with contextlib.ExitStack() as scratch:
        if args.miniature:
            from leaderboard.reproduce import miniature

            folder = Path(scratch.enter_context(tempfile.TemporaryDirectory()))
            args = miniature.stand_ins(args, folder)
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    from leaderboard.reproduce import manifest
    from leaderboard.reproduce.tables import print_csv, render, summary

    tables = [manifest.load(name) for name in (manifest.names() if args.all else [args.table])]
    for pair in args.option:
        if not any(table.has_option(pair) for table in tables):
            methods = sorted({method for table in tables for method in table.methods})
            raise InputError(f"--option {pair}: no method that runs here has it ({', '.join(methods) or 'none runs'}); "
                             "leave it out.")
    reproductions = [_reproduction(table, args) for table in tables]
    done = {one.manifest.name: one.cells() for one in reproductions}
    if args.csv:
        print_csv(done)
    elif args.all:
        print(summary(done))
    else:
        [reproduction] = reproductions
        print(render(done[args.table], heading(reproduction)))
        if reproduction.manifest.note:
            print(f"\n{reproduction.manifest.note}")
        if reproduction.quotations():
            print(f"\nOther people's methods in this table, quoted only: {', '.join(reproduction.quotations())}.")
    return 0


def _reproduction(table: Manifest, args: argparse.Namespace) -> Reproduction:
    from leaderboard.reproduce.perform import Reproduction
    from leaderboard.runs.distributed import Cluster

    options = [pair for pair in args.option if table.has_option(pair)]
    data = {slug: Path(folder).expanduser() for slug, folder in pairs("--data", "SLUG=DIR", args.data).items()}
    absent = [f"{slug}={folder}" for slug, folder in data.items() if not folder.exists()]
    if absent:
        raise InputError(f"--data {absent[0]}: there is no such folder; name where the dataset was unpacked.")
    return Reproduction(
        table, data, Path(args.out or "runs/reproduce"), models(args.lmm), args.limit, args.seed, options=options,
        by_content=args.by_content, min_max=args.min_max, encoders=pairs("--encoder", "NAME=DIR", args.encoder),
        spread=None if args.ray is None else Cluster(args.ray))


def pairs(flag: str, form: str, words: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping.

    Raises:
        InputError: a word without "=", or a name twice.
    """
    taken: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (equals and name and value):
            raise InputError(f"{flag} takes {form}; got {word!r}.")
        if name in taken:
            raise InputError(f"{flag} names {name} twice, as {taken[name]} and as {value}; leave one out.")
        taken[name] = value
    return taken


def models(words: Sequence[str]) -> dict[str, list[str]]:
    """`NAME=MODEL` and `MODEL` words by name; a "=" inside an address is not one between the two."""
    named: dict[str, list[str]] = {}
    for word in words:
        name, equals, model = word.partition("=")
        both = equals and not name.startswith("server:") and "/" not in name
        named.setdefault(name if both else "", []).append(model if both else word)
    return named


def heading(reproduction: Reproduction) -> list[str]:
    """What stands above the table besides the models: the settings that every cell shares."""
    lines = [f"{reproduction.manifest.name}: {reproduction.manifest.title}"]
    parts = [f"seed {reproduction.seed}"]
    if reproduction.limit is not None:
        parts.append(f"the first {reproduction.limit} images of each dataset only")
    if any(row.experiment not in ("evaluate", "levels") for row in reproduction.manifest.rows):
        parts.append("opinions from the lowest to the highest of each dataset" if reproduction.min_max
                     else "opinions on each dataset's nominal scale")
        parts.append("splits by content" if reproduction.by_content else "splits by image")
    return [*lines, f"Settings: {'; '.join(parts)}."]
