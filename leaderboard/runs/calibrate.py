"""`mean-opinion calibrate RUN`: makes a finished run the measure of what its method's scores mean.

    mean-opinion evaluate --method q-bench --lmm NAME --images DIR --scores CSV --out RUN
    mean-opinion calibrate RUN
    MEAN_OPINION_MEASURED=~/.mean-opinion/measured mean-opinion score photo.jpg --method q-bench --lmm NAME --explain

Every score is read as new to its model, so a run on a dataset that the model was trained on is refused unless each
image was scored by a model that was trained without it.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from leaderboard import measured
from leaderboard.schema import load_board
from methods import meaning
from methods.base import method_class
from methods.data import rescaled
from methods.errors import InputError
from methods.images import MAX_PIXELS
from methods.meaning import Estimate, Table

OWN = Path("~/.mean-opinion/measured")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a folder that evaluate has finished")
    parser.add_argument("--stands-for", metavar="NAME@REVISION", help="of a run with --folds: the model whose scores "
                                                                      "those of the fold models stand for")
    parser.add_argument("--population", metavar="TEXT", help="which images these are and whose opinions, in half a "
                                                             "sentence, such as '399 phone photos, 20 raters each'")
    parser.add_argument("--out", "--to", dest="to", type=Path, metavar="DIR",
                        help=f"folder of the table ({meaning.ENVIRONMENT} if it is set, else {OWN})")


def run(args: argparse.Namespace) -> int:
    table = table_of_run(args.run, stands_for=args.stands_for, population=args.population)
    folder = args.to or Path(os.environ.get(meaning.ENVIRONMENT) or OWN)
    path = meaning.save(table, folder.expanduser())
    print(f"{path}\n{summary(table)}")
    if os.environ.get(meaning.ENVIRONMENT) != str(folder):
        print(f"It is used wherever {meaning.ENVIRONMENT}={folder} is set.")
    return 0


def summary(table: Table) -> str:
    """How well the table's scores tell opinions, in one line."""
    inside, width = table.calibration.held_out
    return (f"{table.method} with {table.weights}: SRCC {table.srcc.value:.3f} [{table.srcc.low:.3f}, "
            f"{table.srcc.high:.3f}] on {table.population}; intervals of {width:.0f} points of 100 hold {inside:.1%} "
            "of left-out opinions.")


def table_of_run(folder: Path, *, stands_for: str | None = None, population: str | None = None) -> Table:
    """A finished run as a table.

    Args:
        folder: with metrics.json and predictions.csv.
        stands_for: "name@revision" of the model that a run of fold models stands for.
        population: which images and opinions these are; by default their number and the dataset's name.

    Raises:
        InputError: the model has seen opinions on these images, or the run does not say on which scale they are.
        leaderboard.schema.SchemaError: the run is not valid.
    """
    result = measured.read(folder)
    facts = result.provenance
    scale, folds = facts.get("scale"), int(facts.get("folds") or 0)
    if not scale:
        raise InputError("This run does not say on which scale its opinions are; evaluate again to another --out.")
    if bool(folds) != bool(stands_for):
        raise InputError("Name with --stands-for the model that the fold models stand for, as its results name it."
                         if folds else "--stands-for is for runs with --folds alone; leave it out.")
    _check_unseen(result, folds)
    rows, srcc = result.predictions, result.estimates["srcc"]
    if srcc.value is None or srcc.low is None or srcc.high is None:
        raise InputError("The scores of this run have no rank correlation with the opinions; evaluate more images.")
    mos = 100 * rescaled(rows["mos"].to_numpy(float), *scale)
    limits = facts.get("lmm_max_pixels")
    limits = [limit for limit in (limits if isinstance(limits, list) else [limits]) if limit]
    own = facts.get("max_pixels") or MAX_PIXELS
    return Table(
        method=facts["method"], options=meaning.deciding_options(facts["method"], facts["options"]),
        weights=stands_for or facts["weights"], basis=facts.get("basis") or {},
        max_pixels=min([*limits, *([own] if own < MAX_PIXELS else [])], default=None),
        dataset=facts["dataset"], population=population or _population(len(rows), facts["dataset"]),
        images=tuple(rows["image"]), mos=tuple(np.round(mos, 4).tolist()),
        scores=tuple(np.round(rows["score"].to_numpy(float), 6).tolist()),
        srcc=Estimate(round(srcc.value, 4), round(srcc.low, 4), round(srcc.high, 4)), folds=folds,
        parameters_billion=facts.get("parameters_billion"), command=measured.without_machine(facts["command"]),
        commit=facts.get("commit") or "", date=str(facts["date"])[:10],
    )


def _check_unseen(result: measured.Run, folds: int) -> None:
    facts = result.provenance
    dataset = facts["dataset"]
    trained = str(facts.get("training_set") or "").split("+")
    if dataset in trained and not folds:
        raise InputError(f"The model was trained on {dataset}, so its scores there say nothing of a new image; "
                         "evaluate with --folds.")
    if dataset in str(facts.get("label_sets") or "").split("+") and not folds:
        in_use = method_class(facts["method"]).images_in_use(meaning.recorded_options(facts["method"],
                                                                                      facts["options"]))
        if not in_use:
            raise InputError(f"The model was calibrated on {dataset}; evaluate with --folds.")
        if shared := in_use & set(result.predictions["image"]):
            raise InputError(f"{len(shared)} images of this run, such as {min(shared)}, are references of the method; "
                             "evaluate the others alone.")


def _population(count: int, dataset: str) -> str:
    names = load_board().datasets.set_index("slug")["name"]
    return f"{count} images of {names.get(dataset, dataset)}"
