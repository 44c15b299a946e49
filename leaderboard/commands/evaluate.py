"""`mean-opinion evaluate`: from images and opinions to predictions, metrics and their provenance.

    mean-opinion evaluate --method q-bench --lmm embedded --images DIR --scores CSV --out RUN
    mean-opinion evaluate --method leaf --dataset koniq-10k --root DIR --split test --out RUN
    mean-opinion evaluate --method q-bench --folds CACHE --images DIR --scores CSV --out RUN
"""

from __future__ import annotations

import argparse
import inspect
import shlex
from pathlib import Path

from tqdm import tqdm

from leaderboard.schema import Facts
from methods.cli.arguments import (
    add_lmm,
    add_method,
    add_option,
    add_rated,
    add_student,
    at_least,
    chosen_student,
    lmm_name,
    option_values,
    read_rated,
)
from methods.cli.running import DONE, SOME_FAILED
from methods.errors import InputError

BATCH = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = ("The same command goes on after a kill.\nExit status: 0 when the metrics were written, 1 when no "
                     "image could be scored or the model was lost on the way, 2 when the run cannot begin or go on, "
                     "130 after Ctrl-C.")
    add_method(parser)
    add_lmm(parser)
    add_student(parser)
    add_option(parser)
    parser.add_argument("--seed", type=at_least(0), metavar="N",
                        help="seeds everything random; short for --option seed=N")
    parser.add_argument("--folds", metavar="DIR",
                        help="score each image with the model that was trained without it: DIR holds fold-0, fold-1 "
                             "and so on, and folds.csv (image,fold); --lmm is then the model's name in results "
                             "(embedded)")
    add_rated(parser)
    run = parser.add_argument_group("the run")
    run.add_argument("--out", required=True, metavar="DIR", help="folder of this run, made if it is not there")
    run.add_argument("--limit", type=at_least(1), metavar="N", help="the first N images only; may be raised later")
    run.add_argument("--batch-size", type=at_least(1), default=BATCH, metavar="N",
                     help=f"images handed to the method at once ({BATCH}; more keeps a server busy)")
    run.add_argument("--retry-failed", action="store_true", help="score the images again whose row has an error")
    run.add_argument("--variant", metavar="TEXT", help="short name of these settings, for the leaderboard")
    run.add_argument("--training-set", metavar="SLUGS", help="sets with opinions that the model was trained on, joined "
                                                             "with +, or none")
    ray = parser.add_argument_group("many machines (needs the extra `ray`)")
    ray.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS",
                     help="spread the work with Ray Data: on this machine, or on the cluster at ADDRESS (auto, "
                          "HOST:PORT or ray://HOST:PORT)")
    ray.add_argument("--actors", type=at_least(1), metavar="N",
                     help="copies of the model; by default one per GPU, else one for every --cpus-per-actor cores")
    ray.add_argument("--cpus-per-actor", type=at_least(1), default=1, metavar="N", help="cores, and threads, of each "
                                                                                        "(1)")
    ray.add_argument("--gpus-per-actor", type=at_least(0, float), metavar="X",
                     help="of each; by default 1 where there are GPUs")


def run(args: argparse.Namespace) -> int:
    """Runs or resumes an evaluation and returns the exit status."""
    from methods.base import load_method, method_class

    kind = method_class(args.method)
    options = option_values(kind, args.option, args.seed)
    if args.lmm is not None and not kind.needs_lmm:
        raise InputError(f"{kind.title} brings its own network; leave --lmm out.")
    lmm = lmm_name(args, kind, "embedded" if args.folds else None)
    pictures = read_rated(args)
    from leaderboard.runs.evaluation import Evaluation
    from leaderboard.runs.folder import RunFolder
    from methods.data import folds

    members: tuple[Path, ...] = ()
    if args.folds:
        if not kind.needs_lmm and "student" not in inspect.signature(kind).parameters:
            raise InputError(f"{kind.title} has no model that could be trained without a part; leave --folds out.")
        members = folds.members(args.folds, students=not kind.needs_lmm)
        pictures = folds.with_folds(pictures, args.folds, len(members))
    student = chosen_student(args, kind)
    if student and (args.folds or args.ray is not None):
        raise InputError("--student is for one student in one process; leave --folds and --ray out.")
    method = load_method(args.method, options=options, **student) if student else args.method
    spread = None
    if args.ray is not None:
        from leaderboard.runs.distributed import Cluster

        spread = Cluster(args.ray, args.actors, args.cpus_per_actor, args.gpus_per_actor)
    with RunFolder(args.out) as folder:
        evaluation = Evaluation(folder, pictures, limit=args.limit, batch_size=args.batch_size,
                                retry_failed=args.retry_failed)
        metrics = evaluation.perform(method, lmm, options, command=_command(args), spread=spread,
                                     members=members, facts={"variant": args.variant,
                                                             "training_set": args.training_set})
    print(summary(metrics))
    if calibration := evaluation.calibration():
        inside, width = calibration.held_out
        print(f"  opinions from scores: intervals of {width:.0f} points of 100 hold {inside:.1%} of left-out opinions; "
              f"mean-opinion calibrate {shlex.quote(args.out)} makes them the meaning of a score")
    return DONE if metrics["srcc"]["n"] else SOME_FAILED


def summary(metrics: Facts) -> str:
    """The metrics as a person reads them."""
    source = metrics["provenance"]
    lines = [f"{source['method']} with {source['weights']} on {source['dataset']} ({source['split']}): "
             f"{source['n_images'] - source['n_failed']} images scored, {source['n_failed']} failed"]
    for name in ("srcc", "plcc", "plcc_logistic4", "krcc", "rmse"):
        entry = metrics[name]
        if entry["value"] is None:
            lines.append(f"  {name:<15} undefined: {entry['note']}")
            continue
        interval = "" if entry["low"] is None else f"   95 % interval {entry['low']:.4f} to {entry['high']:.4f}"
        lines.append(f"  {name:<15} {entry['value']:>8.4f}{interval}   n {entry['n']}")
    if source["seconds_per_image"] is not None:
        each = source["seconds_per_image"]
        total = tqdm.format_interval(each * (source["n_images"] - source["n_failed"]))
        lines.append(f"  {each:.3g} s per image, {total} in all")
    return "\n".join(lines)


def _command(args: argparse.Namespace) -> str:
    """The command line that gives this run, from what was parsed."""
    words = ["mean-opinion", "evaluate"]
    for name, value in vars(args).items():
        flag = "--" + name.replace("_", "-")
        if (name, value) == ("lower_is_better", False):
            words.append("--no-lower-is-better")
            continue
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
