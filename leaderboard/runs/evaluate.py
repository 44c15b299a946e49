"""`python -m leaderboard evaluate`: from pictures and opinions to predictions, metrics and their provenance.

    python -m leaderboard evaluate --method q-bench --lmm embedded --images DIR --scores CSV --out RUN
    python -m leaderboard evaluate --method leaf --dataset koniq-10k --root DIR --split test --out RUN
    python -m leaderboard evaluate --method q-bench --folds CACHE --images DIR --scores CSV --out RUN

RUN/predictions.csv grows by whole rows; the same command goes on after a kill. Rows with an error are kept as they
are, because most pictures that fail once fail again; `--retry-failed` takes them out and scores their pictures anew.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboard.progress import Progress, duration
from leaderboard.runs import folder as run_folder
from leaderboard.runs import provenance
from leaderboard.runs.folder import Prediction, RunError, RunFolder
from methods.data import folds, rated
from methods.data.rated import Rated, RatedSet
from methods.lmm.base import LMMError

if TYPE_CHECKING:
    from methods.base import Method

BATCH = 8
_ADDRESS = re.compile(r"^server:[^#]*#")
DONE, WRONG, USAGE, INTERRUPTED = 0, 1, 2, 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = ("The same command goes on after a kill. Exit status: 0 when the metrics were written, 1 when the "
                     "run cannot go on or no picture could be scored, 2 for a wrong command line, 130 after Ctrl-C.")
    parser.add_argument("--method", required=True, metavar="NAME", help="see `python -m methods list`")
    parser.add_argument("--lmm", metavar="NAME", help="embedded, a catalogue name, a Hub id, a folder, or "
                                                      "server:URL#model; by default what suits this machine")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE",
                        help="an option of the method, any number of times")
    parser.add_argument("--seed", type=int, metavar="N", help="seeds everything random; short for --option seed=N")
    parser.add_argument("--folds", metavar="DIR",
                        help="score each picture with the model that was trained without it: DIR holds fold-0, fold-1 "
                             "and so on, and folds.csv (image,fold); --lmm is then the model's name in results "
                             "(embedded)")
    data = parser.add_argument_group("pictures and opinions", "either --images and --scores, or --dataset and --root")
    data.add_argument("--images", metavar="DIR", help="folder of pictures, searched with its subfolders")
    data.add_argument("--scores", metavar="CSV", help="table with a row a picture: image,mos[,std]")
    data.add_argument("--dataset", metavar="SLUG", help="with --root, a dataset as it is distributed; with --images, "
                                                        "the name under which results are recorded")
    data.add_argument("--root", metavar="DIR", help="folder that the dataset was unpacked to")
    data.add_argument("--split", default="all", metavar="NAME", help="part of the dataset (default all)")
    data.add_argument("--image-column", metavar="NAME", help="of the table, where it cannot be guessed")
    data.add_argument("--score-column", metavar="NAME", help="of the table, where it cannot be guessed")
    data.add_argument("--scale", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of the opinions; else guessed")
    data.add_argument("--lower-is-better", action=argparse.BooleanOptionalAction, default=None,
                      help="the table holds DMOS; by default a column of that name says so")
    data.add_argument("--limit", type=int, metavar="N", help="the first N pictures only; may be raised later")
    run = parser.add_argument_group("the run")
    run.add_argument("--out", required=True, metavar="DIR", help="folder of this run, made if it is not there")
    run.add_argument("--batch-size", type=int, default=BATCH, metavar="N",
                     help=f"pictures handed to the method at once (default {BATCH}; more keeps a server busy)")
    run.add_argument("--retry-failed", action="store_true", help="score the pictures again whose row has an error")
    run.add_argument("--variant", metavar="TEXT", help="short name of these settings, for the leaderboard")
    run.add_argument("--training-set", metavar="SLUGS", help="sets with opinions that the model was trained on, joined "
                                                             "with +, or none")
    ray = parser.add_argument_group("many machines (needs requirements-ray.txt)")
    ray.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS",
                     help="spread the work with Ray Data: on this machine, or on the cluster at ADDRESS (auto, "
                          "HOST:PORT or ray://HOST:PORT)")
    ray.add_argument("--actors", type=int, metavar="N", help="copies of the model; by default one a GPU, else one for "
                                                             "every --cpus-per-actor cores")
    ray.add_argument("--cpus-per-actor", type=int, default=1, metavar="N", help="cores, and threads, of each (1)")
    ray.add_argument("--gpus-per-actor", type=float, metavar="X", help="of each; by default 1 where there are GPUs")


def run(args: argparse.Namespace) -> int:
    """Runs or resumes an evaluation and returns the exit status."""
    try:
        options = checked_options(args.method, args.option, args.seed)
        _check_usage(args)
    except ValueError as error:
        print(f"leaderboard evaluate: {error}", file=sys.stderr)
        return USAGE
    try:
        pictures = _rated(args)
        members = folds.members(args.folds, args.method) if args.folds else ()
        if members:
            pictures = folds.dealt(pictures, args.folds, len(members))
        for note in pictures.notes:
            print(note, file=sys.stderr)
        with RunFolder(args.out) as folder:
            return _run(args, options, pictures, folder, members)
    except LMMError as error:
        print(f"leaderboard evaluate: {error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print(f"\nStopped; the same command goes on from {args.out}.", file=sys.stderr)
        return INTERRUPTED


def checked_options(method: str, pairs: Sequence[str], seed: int | None = None) -> dict[str, Any]:
    """`NAME=VALUE` words as options of a method, with the types that it declares.

    Raises:
        ValueError: an unknown method or option, or a value outside its bounds.
    """
    from methods.base import method_class
    from methods.cli.options import add_flags, chosen
    from methods.errors import suggestion

    kind = method_class(method)
    parser = argparse.ArgumentParser("--option", add_help=False, allow_abbrev=False, exit_on_error=False)
    add_flags(parser, kind)
    known = {flag for action in parser._actions for flag in action.option_strings}
    names = sorted(flag[2:].replace("-", "_") for flag in known if not flag.startswith("--no-"))
    words = []
    for pair in pairs:
        name, equals, value = pair.partition("=")
        flag = "--" + name.strip().replace("_", "-")
        if not equals or not name:
            raise ValueError(f"--option takes NAME=VALUE; got {pair!r}.")
        if flag not in known or flag.startswith("--no-"):
            raise ValueError(f"{kind.title} has no option {name!r}{suggestion(name, names)}")
        truth = "--no-" + flag[2:] in known
        if truth and value.lower() not in ("true", "false", "yes", "no", "1", "0"):
            raise ValueError(f"Option {name} is true or false; got {value!r}.")
        if truth:
            words.append(flag if value.lower() in ("true", "yes", "1") else "--no-" + flag[2:])
        else:
            words.append(f"{flag}={value}")
    try:
        found = chosen(parser.parse_args(words), kind)
    except argparse.ArgumentError as error:
        raise ValueError(f"{error}.") from None
    if seed is not None:
        found["seed"] = seed
    kind.options.updated(**found)
    return found


def _check_usage(args: argparse.Namespace) -> None:
    from methods.base import method_class

    if args.root is not None:
        if args.images or args.scores or not args.dataset:
            raise ValueError("A dataset as distributed is named by --dataset and --root alone; leave --images and "
                             "--scores out.")
    elif not (args.images and args.scores):
        raise ValueError("Name the pictures: --images DIR --scores CSV, or --dataset SLUG --root DIR.")
    for name, value in (("--limit", args.limit), ("--batch-size", args.batch_size), ("--actors", args.actors),
                        ("--cpus-per-actor", args.cpus_per_actor)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}.")
    if args.lmm is not None and not method_class(args.method).needs_lmm:
        raise ValueError(f"{method_class(args.method).title} brings its own network; leave --lmm out.")


def _rated(args: argparse.Namespace) -> RatedSet:
    if args.root is not None:
        return rated.from_dataset(args.dataset, args.root, args.split)
    return rated.from_table(
        args.images, args.scores, dataset=args.dataset, split=args.split, image_column=args.image_column,
        score_column=args.score_column, scale=tuple(args.scale) if args.scale else None,
        lower_is_better=args.lower_is_better)


def _run(args: argparse.Namespace, options: dict[str, Any], pictures: RatedSet, folder: RunFolder,
         members: Sequence[Path]) -> int:
    spread = None
    if args.ray is not None:
        from leaderboard.runs import distributed

        spread = distributed.Cluster(args.ray, args.actors, args.cpus_per_actor, args.gpus_per_actor)
    evaluation = Evaluation(folder, pictures, limit=args.limit, batch_size=args.batch_size,
                            retry_failed=args.retry_failed)
    metrics = evaluation.perform(args.method, args.lmm, options, command=_command(args), spread=spread,
                                 members=members, facts={"variant": args.variant, "training_set": args.training_set})
    print(summary(metrics))
    return DONE if metrics["srcc"]["n"] else WRONG


class Evaluation:
    """One run: what is still to score, the scoring, the metrics.

    Args:
        folder: an entered `RunFolder`.
        pictures: what to evaluate.
        limit: the first so many only.
        batch_size: pictures handed to the method at once.
        retry_failed: score the pictures again whose row has an error.

    Raises:
        RunError: the folder belongs to another run.
    """

    def __init__(self, folder: RunFolder, pictures: RatedSet, *, limit: int | None = None, batch_size: int = BATCH,
                 retry_failed: bool = False) -> None:
        self.folder, self.pictures = folder, pictures
        self.wanted = pictures.items[:limit]
        self.batch_size = batch_size
        if retry_failed and (again := folder.drop_failed()):
            print(f"{again} pictures that had failed are scored again.", file=sys.stderr)
        self.rows = folder.resume()
        known = {item.name for item in pictures.items}
        strange = next((name for name in self.rows if name not in known), None)
        if strange is not None:
            raise RunError(f"{folder.predictions} has a row for {strange!r}, which is not among the pictures of this "
                           "run; choose another --out.")

    @property
    def pending(self) -> list[tuple[Rated, ...]]:
        """The batches that lack a row. They are whole, so that a row does not depend on where a kill struck."""
        from leaderboard.runs.scoring import batches

        return [batch for batch in batches(self.wanted, self.batch_size)
                if any(item.name not in self.rows for item in batch)]

    def perform(self, method: str | Method, lmm: Any = None, options: dict[str, Any] | None = None, *,
                command: str = "", spread: Any = None, members: Sequence[Path] = (),
                facts: dict[str, Any] | None = None) -> dict[str, Any]:
        """Scores what is missing and returns the metrics, which are written to metrics.json as well.

        Args:
            method, lmm, options: as `leaderboard.runs.scoring.Scorer`.
            command: recorded as the command of this run.
            spread: a `leaderboard.runs.distributed.Cluster`; None scores in this process.
            members: a folder a fold, as `methods.data.folds.members`; then `lmm` is only what to call the model.
            facts: further entries of the provenance; None values are left out.

        Raises:
            RunError: the folder belongs to another run.
            methods.lmm.LMMError: the model cannot be loaded or reached.
        """
        from leaderboard.runs.folds import make_scorer

        self._command = command
        pinned = self.folder.settings()
        if pinned is not None:
            self._check_before_loading(pinned, method, options or {})
        pending = self.pending
        done = sum(item.name in self.rows for item in self.wanted)
        if done:
            print(f"{done} of {len(self.wanted)} pictures have been scored before.", file=sys.stderr)
        if spread is not None:
            results = spread.score(method, lmm, options or {}, pending, members)
        else:
            results = _in_this_process(make_scorer(method, lmm, options, members), pending)
        progress = Progress(len(self.wanted), done)
        known: dict[str, Any] = {}
        checked = None
        try:
            for identity, about, rows in results:
                if identity != checked:
                    self._pin(identity)
                    checked = pinned = identity
                known = about
                fresh = [row for row in rows if row.image not in self.rows]
                self.folder.append(fresh)
                self.rows |= {row.image: row for row in fresh}
                progress.add(len(fresh), sum(bool(row.error) for row in fresh))
        finally:
            progress.close()
        known = {**known, **{key: value for key, value in (facts or {}).items() if value is not None}}
        metrics = self.metrics(pinned or {}, known)
        self.folder.write_metrics(metrics)
        return metrics

    def _check_before_loading(self, pinned: dict[str, Any], method: str | Method, options: dict[str, Any]) -> None:
        """Refuses another method or other options before minutes are spent on loading a model."""
        from methods.base import Method, json_safe, method_class

        if isinstance(method, Method):
            return
        kind = method_class(method)
        self.folder.pin(pinned | {"method": kind.name, "options": json_safe(kind.options.updated(**options))}, {})

    def _pin(self, identity: dict[str, Any]) -> None:
        settings = {**without_address(identity), "dataset": self.pictures.dataset, "split": self.pictures.split,
                    "opinions": self.pictures.digest}
        self.folder.pin(settings, {"command": self._command, "commit": provenance.commit(), "date": _now(),
                                   "versions": provenance.versions(), "notes": list(self.pictures.notes)})

    def metrics(self, identity: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
        """metrics.json as `leaderboard.schema` documents it, of the rows that there are."""
        from methods.agreement import metrics as stats
        from methods.data.opinions import direction_warning

        found = [self.rows[item.name] for item in self.wanted if item.name in self.rows]
        # By name: a bootstrap depends on the order, and that of the file on kills, folds and Ray.
        scored = sorted((row for row in found if not row.error), key=lambda row: row.image)
        scores, mos = [row.score for row in scored], [row.mos for row in scored]
        warning = direction_warning(mos, scores) if scored else None
        if warning:
            print(warning, file=sys.stderr)
        seconds = [row.seconds for row in scored if row.seconds is not None]
        return {
            **{name: estimate.to_dict() for name, estimate in stats.summary(scores, mos).items()},
            "provenance": {
                "method": identity["method"], "options": identity["options"], "lmm": identity["lmm"],
                "lmm_revision": identity["lmm_revision"], "weights": identity["weights"],
                "dataset": self.pictures.dataset, "split": self.pictures.split,
                "opinions": self.pictures.digest, "scale": [self.pictures.low, self.pictures.high],
                "command": self._command, "commit": provenance.commit(), "seed": identity["options"]["seed"],
                "date": _now(), "n_images": len(found), "n_failed": len(found) - len(scored),
                "seconds_per_image": sum(seconds) / len(seconds) if seconds else None,
                "versions": provenance.versions(), "notes": list(self.pictures.notes), **about,
            },
        }


def without_address(identity: dict[str, Any]) -> dict[str, Any]:
    """A served model is the same one wherever the scheduler puts its server."""
    return {key: _ADDRESS.sub("server:#", value) if key in ("lmm", "weights") and value else value
            for key, value in identity.items()}


def _in_this_process(scorer: Any, pending: Sequence[Sequence[Rated]]) \
        -> Iterator[tuple[dict[str, Any], dict[str, Any], list[Prediction]]]:
    identity, about = scorer.identity(), scorer.about()
    yield identity, about, []  # Pins the settings, and refuses others, before the first picture is scored.
    for batch in pending:
        yield identity, about, scorer.score(batch)


def summary(metrics: dict[str, Any]) -> str:
    """The metrics as a person reads them."""
    source = metrics["provenance"]
    lines = [f"{source['method']} with {source['weights']} on {source['dataset']} ({source['split']}): "
             f"{source['n_images'] - source['n_failed']} pictures scored, {source['n_failed']} failed"]
    for name in ("srcc", "plcc", "plcc_logistic4", "krcc", "rmse"):
        entry = metrics[name]
        if entry["value"] is None:
            lines.append(f"  {name:<15} undefined: {entry['note']}")
            continue
        interval = "" if entry["low"] is None else f"   95 % interval {entry['low']:.4f} to {entry['high']:.4f}"
        lines.append(f"  {name:<15} {entry['value']:>8.4f}{interval}   n {entry['n']}")
    if source["seconds_per_image"] is not None:
        each = source["seconds_per_image"]
        lines.append(f"  {each:.3g} s a picture, "
                     f"{duration(each * (source['n_images'] - source['n_failed']))} in all")
    return "\n".join(lines)


def _command(args: argparse.Namespace) -> str:
    """The command line that gives this run, from what was parsed."""
    words = ["python", "-m", "leaderboard", "evaluate"]
    for name, value in vars(args).items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False or value == [] or name == "retry_failed":
            continue
        if (name, value) in (("batch_size", BATCH), ("split", "all"), ("cpus_per_actor", 1)):
            continue
        if value is True:
            words.append(flag)
        elif name == "option":
            words += [word for pair in value for word in (flag, pair)]
        elif name == "ray" and value == "local":
            words.append(flag)
        else:
            words += [flag, *map(str, value if isinstance(value, (list, tuple)) else [value])]
    return shlex.join(words)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def load_run(path: str | Path) -> list[Prediction]:
    """The rows of a run's folder, or of a predictions file itself. Errors as `folder.read_predictions`."""
    path = Path(path)
    return run_folder.read_predictions(path / run_folder.PREDICTIONS if path.is_dir() else path)
