"""`mean-opinion check`: validates the data and recomputes every measured result from its predictions.

Checked are columns, unique keys, slugs, ranges, sources, BibTeX, entry ids, the data revision, and that each measured
row equals what its stored predictions give. Exit status 1 where anything is wrong, with one line a problem.
"""

from __future__ import annotations

import argparse
import datetime
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from leaderboard import measured, revisions, schema
from leaderboard.citations import key_of
from leaderboard.entries import catalogue
from leaderboard.measured import SUBMISSIONS
from leaderboard.schema import DATA, Board, SchemaError, add_board, load_board
from methods.errors import InputError

_SLUG = re.compile(r"[a-z0-9]+(?:[.:-][a-z0-9]+)*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_board(parser)
    parser.add_argument("--submissions", type=Path, default=None, help="folder of stored predictions")
    parser.add_argument("--record", metavar="NOTE", help="record a new data revision with this note, then check")


def run(args: argparse.Namespace) -> int:
    if not args.data.is_dir():
        raise InputError(f"There is no folder {args.data}; name one of leaderboard data with --board.")
    if args.record:
        revisions.record(args.data, datetime.date.today().isoformat(), args.record)
    submissions = args.submissions or (SUBMISSIONS if args.data == DATA else args.data.parent / "submissions")
    problems = list(check(args.data, submissions))
    for problem in problems:
        print(problem)
    board = load_board(args.data) if not problems else None
    if board is not None:
        print(f"{len(board.published)} published results, {len(board.ablations)} ablations, {len(board.measured)} "
              f"measured results: all well; data revision {board.revision} of {board.revision_date}.")
    return 1 if problems else 0


def check(data: Path = DATA, submissions: Path = SUBMISSIONS, *, recompute: bool = True) -> Iterator[str]:
    """Every problem as one sentence that names file and line.

    Args:
        data, submissions: folders of the data and of the stored predictions.
        recompute: whether every measured row is compared with what its predictions give, which takes seconds each.
    """
    try:
        board = load_board(data)
    except SchemaError as error:
        yield str(error)
        return
    yield from _columns(data)
    yield from _slugs(board)
    yield from _results(board.published, "published.csv", schema.KEY, set(schema.METRICS), board)
    yield from _results(board.ablations, "ablations.csv", schema.ABLATION_KEY, set(schema.ABLATION_METRICS), board)
    yield from _results(board.measured, "measured.csv", ("run", "metric"), set(schema.RUN_METRICS), board)
    yield from _sources(board)
    yield from _ids(board)
    if recompute:
        yield from _recomputed(board, submissions)
    recorded = board.revisions["digest"].iloc[-1] if len(board.revisions) else ""
    if recorded != revisions.digest(data):
        yield ("The data has changed since the last revision; record it with "
               "`mean-opinion check --record 'what changed'`.")
    elif board.revision and board.revision not in revisions.revision_names(data):
        yield (f"The tables of data revision {board.revision} are not kept; store them with "
               "`mean-opinion check --record 'as before'`.")


def _columns(data: Path) -> Iterator[str]:
    for name, columns in schema.COLUMNS.items():
        titles = tuple(schema.read_text(data / f"{name}.csv").columns)
        if titles != columns:
            yield f"{name}.csv has the columns {', '.join(titles)}; they should be {', '.join(columns)}."


def _slugs(board: Board) -> Iterator[str]:
    for name, frame, column in (("datasets", board.datasets, "slug"), ("papers", board.papers, "slug"),
                                ("models", board.models, "backbone"), ("costs", board.costs, "method")):
        for line in _lines(frame, frame[column].duplicated()):
            yield f"{name}.csv, line {line}: {frame[column][line - 2]!r} is there twice."
    for name, frame in (("datasets", board.datasets), ("papers", board.papers)):
        for line in _lines(frame, ~frame["slug"].str.fullmatch(_SLUG.pattern)):
            yield f"{name}.csv, line {line}: {frame['slug'][line - 2]!r} is not a slug (lower case, digits, hyphens)."
    for line in _lines(board.datasets, ~board.datasets["kind"].isin(schema.KINDS)):
        yield f"datasets.csv, line {line}: the kind is one of {', '.join(schema.KINDS)}."
    slugs = set(board.datasets["slug"]) | schema.TRAINING_ONLY
    for column in ("related", "possibly_related"):
        for index, text in zip(board.datasets.index, board.datasets[column]):
            for part in filter(None, text.split("+")):
                if part not in slugs:
                    yield f"datasets.csv, line {index + 2}: {column} names {part!r}, which is no dataset."
    for name, frame, column in (("models", board.models, "parameters_billion"), ("costs", board.costs, "lmm_passes")):
        numbers = pd.to_numeric(frame[column], errors="coerce")
        for line in _lines(frame, numbers.isna() | (numbers < 0)):
            yield f"{name}.csv, line {line}: {column} is not a number of 0 or more."
        for line in _lines(frame, frame["source"].str.strip() == ""):
            yield f"{name}.csv, line {line}: the source is empty."


def _results(frame: pd.DataFrame, file: str, key: tuple[str, ...], metrics: set[str], board: Board) -> Iterator[str]:
    for line in _lines(frame, frame.duplicated(list(key))):
        yield f"{file}, line {line}: another row has the same {', '.join(key)}."
    allowed = {"dataset": set(board.datasets["slug"]), "metric": metrics, "training_free": set(schema.TRAINING_FREE)}
    if "paper" in frame:
        allowed |= {"paper": set(board.papers["slug"]), "source_kind": set(schema.SOURCE_KINDS) - {"measured"}}
    for column, values in allowed.items():
        for line in _lines(frame, ~frame[column].isin(values)):
            yield f"{file}, line {line}: {column} {frame[column][line - 2]!r} is not known."
    trainable = set(board.datasets["slug"]) | schema.TRAINING_ONLY
    for index, text in zip(frame.index, frame["training_set"]):
        unknown = [part for part in text.split("+") if text not in ("", "none") and part not in trainable]
        if unknown:
            yield f"{file}, line {index + 2}: the training set {unknown[0]!r} is not known."
    for column in ("method", "source", "table") if "table" in frame else ("method", "run", "command", "date"):
        for line in _lines(frame, frame[column].str.strip() == ""):
            yield f"{file}, line {line}: {column} is empty."
    yield from _ranges(frame, file)


def _ranges(frame: pd.DataFrame, file: str) -> Iterator[str]:
    unit = ~frame["metric"].isin(schema.LOWER_IS_BETTER)
    values = frame["value"]
    for line in _lines(frame, values.isna() | (unit & (values.abs() > 1)) | (~unit & (values < 0))):
        yield f"{file}, line {line}: the value {frame['printed'][line - 2]!r} is outside its metric's range."
    both = frame["low"].notna() | frame["high"].notna()
    outside = both & ~((frame["low"] <= values + 1e-9) & (values <= frame["high"] + 1e-9))
    # A percentile interval need not contain its estimate, but one that is upside down is a mistake.
    for line in _lines(frame, outside & ~(frame["low"] <= frame["high"])):
        yield f"{file}, line {line}: the interval is upside down or has one end only."


def _sources(board: Board) -> Iterator[str]:
    keys: dict[str, str] = {}
    for index, record in enumerate(board.papers.to_dict("records")):
        try:
            key = key_of(record["bibtex"])
        except InputError as error:
            yield f"papers.csv, line {index + 2}: {error}"
            continue
        if record["bibtex"].count("{") != record["bibtex"].count("}"):
            yield f"papers.csv, line {index + 2}: the braces of the BibTeX entry do not match."
        if key in keys:
            yield f"papers.csv, line {index + 2}: {keys[key]} has the citation key {key} too."
        keys[key] = record["slug"]


def _ids(board: Board) -> Iterator[str]:
    labels: dict[str, str] = {}
    for entry in catalogue(board).entries:
        if entry.id in labels:
            yield f"{entry.label} and {labels[entry.id]} have the same row id {entry.id}; change a variant's wording."
        labels[entry.id] = entry.label


def _recomputed(board: Board, submissions: Path) -> Iterator[str]:
    for key, group in board.measured.groupby("run", sort=False):
        name = str(key)
        if not measured.is_run_name(name):
            yield f"measured.csv: {name!r} is not a run name."
            continue
        try:
            run_ = measured.read(submissions / name)
        except SchemaError as error:
            yield f"measured.csv, run {name}: {error}"
            continue
        if run_.name != name:
            yield f"measured.csv, run {name}: its provenance makes it {run_.name}."
        for record in group.to_dict("records"):
            estimate = run_.estimates[record["metric"]]
            same = (estimate.value is not None
                    and math.isclose(record["value"], estimate.value, rel_tol=1e-4, abs_tol=1e-6))
            if not same or record["n"] != estimate.n:
                yield (f"measured.csv, run {name}: {record['metric']} is {record['printed']} with n = {record['n']:g}, "
                       f"its predictions give {estimate.value} with n = {estimate.n}.")


def _lines(frame: pd.DataFrame, wrong: pd.Series) -> list[int]:
    """Line numbers in the file (the header is line 1) of the rows that are wrong."""
    return [int(index) + 2 for index in frame.index[wrong.astype(bool)]]
