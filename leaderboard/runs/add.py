"""`mean-opinion add RUN`: appends a finished run to the measured results, after validation."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

from leaderboard import measured, revisions
from leaderboard.measured import SUBMISSIONS
from leaderboard.runs.claims import check_claims
from leaderboard.schema import DATA, MEASURED, SchemaError, add_board, load_board, read_text
from methods import files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path,
                        help="a run folder with metrics.json and predictions.csv, or its predictions.csv")
    parser.add_argument("--replace", action="store_true", help="replace an earlier result of the same name")
    add_board(parser)
    parser.add_argument("--submissions", type=Path, default=None,
                        help="where predictions are kept; beside the data unless said otherwise")


def run(args: argparse.Namespace) -> int:
    name, revision = add(args.run, data=args.data, submissions=args.submissions, replace=args.replace)
    print(f"Added {name} to the measured results; the data is now revision {revision}.")
    return 0


def add(folder: Path, *, data: Path = DATA, submissions: Path | None = None, replace: bool = False) -> tuple[str, str]:
    """Validates a run, stores its predictions and appends its rows.

    Returns:
        The run's name and the new data revision.

    Raises:
        SchemaError: the run is not valid, its dataset is unknown or is not what was scored, or a run of this name is
            there already.
    """
    submissions = submissions or (SUBMISSIONS if data == DATA else data.parent / "submissions")
    result = measured.read(folder)
    board = load_board(data)
    dataset = result.provenance["dataset"]
    if dataset not in set(board.datasets["slug"]):
        from methods.errors import suggestion

        slugs = list(board.datasets["slug"])
        raise SchemaError(f"There is no dataset {dataset!r} in datasets.csv{suggestion(dataset, slugs)} "
                          "A new dataset needs a line there first.")
    folder = folder.parent if folder.is_file() else folder
    check_claims(result, board, submissions)
    file = data / "measured.csv"
    before = read_text(file)
    if result.name in set(before["run"]) and not replace:
        raise SchemaError(f"There is a result {result.name} already; say --replace to replace it.")
    others = before[before["run"] != result.name]
    lines: list[dict[Any, Any]] = [*others.to_dict("records"), *measured.rows(result)]
    files.replace(file, files.csv_text([MEASURED, *([line.get(column, "") for column in MEASURED] for line in lines)]))
    target = submissions / result.name
    target.mkdir(parents=True, exist_ok=True)
    for name in ("metrics.json", "predictions.csv"):
        if (folder / name).resolve() != (target / name).resolve():
            files.replace(target / name, (folder / name).read_bytes())
    revision = revisions.record(data, datetime.date.today().isoformat(), f"measured: {result.name}")
    return result.name, revision
