"""Command line: build and inspect reference sets, and run the paper's experiments.

    python -m methods.iqarag build --images DIR --scores CSV --out SET
    python -m methods.iqarag build --dataset koniq-10k --root DIR --out SET
    python -m methods.iqarag encode SET --lmm NAME --out SET2
    python -m methods.iqarag info SET
    python -m methods.iqarag experiment ratios --data DIR --out RESULTS
    python -m methods score PHOTO --method iqarag --reference-set SET
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
from pathlib import Path

from methods.errors import InputError
from methods.iqarag.encoders import CATALOGUE, ENCODERS, OWN, STUDENT

EXPERIMENTS = ("ratios", "combined", "cross", "encoders", "references")


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 it failed with a sentence on stderr, 2 usage."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m methods.iqarag", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build a reference set from pictures and opinion scores")
    build.add_argument("--images", type=Path, help="folder of pictures, with subfolders")
    build.add_argument("--scores", type=Path, help="CSV of image,mos")
    build.add_argument("--dataset", help="instead: a dataset as it is distributed, for example koniq-10k")
    build.add_argument("--root", type=Path, help="the folder that the dataset was unpacked to")
    build.add_argument("--out", type=Path, required=True, help="folder of the set")
    build.add_argument("--split", default="all", metavar="NAME", help="part of the dataset (default all)")
    build.add_argument("--scale", nargs=2, type=float, metavar=("LOW", "HIGH"),
                       help="lowest and highest possible opinion; by default the usual scale that holds all of them")
    build.add_argument("--lower-is-better", action=argparse.BooleanOptionalAction, default=None,
                       help="the table holds DMOS; by default a column of that name says so")
    build.add_argument("--name-column", metavar="NAME", help="column of the images' names, by title or number")
    build.add_argument("--mos-column", metavar="NAME", help="column of the opinions, likewise")
    build.add_argument("--allow-missing", action="store_true", help="go on where images of the table are not there")
    build.add_argument("--copy", action="store_true", help="store the pictures in the set, so that it can be moved")
    build.add_argument("--restart", action="store_true", help="forget an unfinished build")
    build.add_argument("--title", default="", help="what to call the set")
    _encoder_arguments(build)
    build.set_defaults(run=_build)

    encode = commands.add_parser("encode", help="give a set the features of another encoder or LMM")
    encode.add_argument("set", type=Path)
    encode.add_argument("--out", type=Path, help="folder of the new set; by default the old one is replaced")
    _encoder_arguments(encode)
    encode.set_defaults(run=_encode)

    ship = commands.add_parser("ship", help="make the reference set that ships with this project")
    ship.add_argument("--out", type=Path, default=None)
    _encoder_arguments(ship)
    ship.set_defaults(run=_ship)

    info = commands.add_parser("info", help="what a set holds")
    info.add_argument("set", type=Path)
    info.set_defaults(run=_info)

    measure = commands.add_parser("measure", help="pool the predictions of several runs, such as folds")
    measure.add_argument("predictions", type=Path, nargs="+", help="CSV files that experiments wrote")
    measure.set_defaults(run=_measure)

    experiment = commands.add_parser("experiment", help="run one of the paper's experiments")
    experiment.add_argument("name", choices=EXPERIMENTS)
    experiment.add_argument("--data", action="append", required=True, metavar="[SLUG=]DIR",
                            help="a dataset's folder, or one with pictures and scores.csv; may be repeated")
    experiment.add_argument("--out", type=Path, required=True, help="folder of results; a killed run goes on there")
    experiment.add_argument("--ratio", action="append", help="references:tests, such as 3:7; may be repeated")
    experiment.add_argument("--seed", type=int, default=0, help="of the splits")
    experiment.add_argument("--limit", type=int, help="at most so many test pictures")
    experiment.add_argument("--by-content", action="store_true",
                            help="keep pictures made from the same pristine one on one side of a split")
    experiment.add_argument("--tests", type=Path, metavar="FILE",
                            help="names, one a line, of the only pictures to test: those the LMM was not trained on")
    experiment.add_argument("--encoder", action="append", choices=ENCODERS, help="for `encoders`; may be repeated")
    experiment.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="change to the method")
    experiment.add_argument("--lmm", help="name of the LMM; by default the machine's")
    experiment.set_defaults(run=_experiment)
    return parser


def _encoder_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoder", default=OWN,
                        help=f"{OWN} (the LMM's own), {STUDENT} (the embedded student's), {', '.join(CATALOGUE)}, a "
                             "Hub id or a folder")
    parser.add_argument("--lmm", help=f"whose {OWN}; by default the machine's LMM")


def _lmm(name: str | None):
    from methods.lmm.loading import default_lmm, load_lmm

    return load_lmm(name or default_lmm("iqarag"))


def _encoder(options: argparse.Namespace):
    from methods.iqarag.encoders import load_encoder

    return load_encoder(options.encoder, _lmm(options.lmm) if options.encoder == OWN else None)


def _build(options: argparse.Namespace) -> int:
    from methods.data import LAYOUTS
    from methods.iqarag.build import build, unrated

    pictures = _rated(options)
    for note in pictures.notes:
        print(note, file=sys.stderr)
    problems = [] if options.dataset else unrated(options.images, pictures)
    title = options.title or (LAYOUTS[options.dataset].title if options.dataset else "")
    built = build(pictures, options.out, _encoder(options), title=title, problems=problems, copy_images=options.copy,
                  restart=options.restart, progress=_Progress())
    for problem in built.problems[:20]:
        print(f"left out: {problem.image}: {problem.reason}", file=sys.stderr)
    if len(built.problems) > 20:
        print(f"... and {len(built.problems) - 20} more in {options.out / 'problems.csv'}", file=sys.stderr)
    print(f"{len(built.references)} references in {options.out}")
    return 0


def _rated(options: argparse.Namespace):
    """Rated pictures from either kind of source."""
    from methods.data import read_dataset, read_table

    if options.dataset:
        if options.root is None:
            raise InputError("Say with --root which folder the dataset was unpacked to.")
        return read_dataset(options.dataset, options.root, options.split, allow_missing=options.allow_missing)
    if options.images is None or options.scores is None:
        raise InputError("Give --images and --scores, or --dataset and --root.")
    return read_table(options.scores, options.images, scale=tuple(options.scale) if options.scale else None,
                      lower_is_better=options.lower_is_better, name_column=options.name_column,
                      mos_column=options.mos_column, allow_missing=options.allow_missing, allow_constant=True)


def _encode(options: argparse.Namespace) -> int:
    from methods.iqarag.reference_set import ReferenceSet

    encoded = ReferenceSet.load(options.set).encoded_by(_encoder(options), _Progress())
    # Pictures that lie inside the old folder would be lost with it, so a set under a new name gets copies.
    out = options.out or options.set
    encoded.save(out, copy_images=out.resolve() != options.set.resolve())
    print(f"{len(encoded)} references with {encoded.encoder} features ({encoded.revision}) in {out}")
    return 0


def _ship(options: argparse.Namespace) -> int:
    import shutil
    import tempfile

    from methods.embedded import reference_set as shipped
    from methods.iqarag import shelf
    from methods.iqarag.build import build

    out = options.out or shelf.SHIPPED_FOLDER
    with tempfile.TemporaryDirectory() as scratch:
        pictures = shipped.make_pictures(Path(scratch) / "pictures")
        work = Path(scratch) / "set"
        build(pictures, work, _encoder(options), title=shipped.TITLE, copy_images=True, progress=_Progress())
        (work / "SOURCES.md").write_text(shipped.sources_page(), encoding="utf-8")
        (work / "problems.csv").unlink()
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(work, out)
    print(f"{len(pictures)} references in {out}")
    return 0


def _info(options: argparse.Namespace) -> int:
    from methods.iqarag.reference_set import ReferenceSet
    from methods.iqarag.retrieval import bin_edges, bins_of
    from methods.levels import FIVE_LEVELS

    found = ReferenceSet.load(options.set)
    print(f"{found.title}: {len(found)} references, {found.encoder} features of {found.index.d} numbers "
          f"({found.revision}), searched {'by codes' if found.codes is not None else 'exactly'}")
    counts = collections.Counter(bins_of(found.mos).tolist())
    for number, (low, high) in reversed(list(enumerate(bin_edges()))):
        print(f"  MOS {low:.1f} to {high:.1f} ({FIVE_LEVELS.word_for(low)}): {counts[number]}")
    return 0


def _experiment(options: argparse.Namespace) -> int:
    import dataclasses

    from methods.iqarag import experiments
    from methods.iqarag.method import IQARAG

    known = {spec.name: spec.default for spec in dataclasses.fields(IQARAG.options)}
    changes = {}
    for pair in options.option:
        name, equals, value = pair.partition("=")
        if not equals or name not in known:
            raise ValueError(f"An option is NAME=VALUE with NAME among {', '.join(known)}; got {pair!r}.")
        changes[name] = type(known[name])(value)
    tests = frozenset(options.tests.read_text(encoding="utf-8").split("\n")) - {""} if options.tests else None
    run = experiments.Run(_lmm(options.lmm), options.out, options.seed, options.limit, options.by_content, tests,
                          changes, tell=lambda sentence: print(sentence, file=sys.stderr))
    data = [experiments.find_data(spec) for spec in options.data]
    if options.name in ("ratios", "combined"):
        parts = getattr(experiments, options.name)(run, data, options.ratio or experiments.RATIOS)
    elif options.name == "cross":
        parts = experiments.cross(run, data)
    else:
        if options.ratio and len(options.ratio) > 1:
            raise ValueError(f"The experiment {options.name} takes one --ratio.")
        ratio = options.ratio[0] if options.ratio else "3:7"
        more = [options.encoder or ENCODERS] if options.name == "encoders" else []
        parts = getattr(experiments, options.name)(run, data, ratio, *more)
    print(experiments.table(experiments.perform(run, parts)), end="")
    return 0


def _measure(options: argparse.Namespace) -> int:
    from methods.iqarag import experiments

    print(experiments.table(experiments.pooled(options.predictions)), end="")
    return 0


class _Progress:
    """One line on stderr: how many pictures, how fast, how long still; at most once a second."""

    def __init__(self) -> None:
        self._start = self._told = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._first is None:
            self._first = done
            if done:
                print(f"going on after {done} of {total} pictures", file=sys.stderr)
        now = time.monotonic()
        if now - self._told < 1 and done < total:
            return
        self._told = now
        rate = (done - self._first) / max(now - self._start, 1e-6)
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        print(f"{done} of {total} pictures, {rate:.1f} a second{left}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
