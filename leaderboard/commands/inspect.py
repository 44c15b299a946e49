"""`mean-opinion inspect RUN`: a measured row from the inside, as the page shows it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from leaderboard.details import Bin, Details, read_details
from leaderboard.measured import folder_of
from methods import files
from methods.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="name of a measured run, or a folder with predictions.csv")
    parser.add_argument("--out", "--write", dest="write", type=Path, metavar="CSV",
                        help="write the table of all images")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="write scatter, calibration and residuals as SVG")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    inside = details_of(args.run)
    print(json.dumps(record(inside), indent=1) if args.json else text(inside))
    if args.write:
        files.replace(args.write, to_csv(inside))
        print(args.write, file=sys.stderr)
    if args.figures:
        from leaderboard.figures.details import draw
        from leaderboard.figures.static import render
        from leaderboard.links import INSIDE

        args.figures.mkdir(parents=True, exist_ok=True)
        for kind in INSIDE:
            path = args.figures / f"{kind}.svg"
            files.replace(path, render(draw(inside, kind), "svg"))
            print(path, file=sys.stderr)
    return 0


def details_of(run: str) -> Details:
    """The details of a measured run by its name, or of a folder.

    Raises:
        InputError: there is neither.
        SchemaError: its files are not as `schema` documents them.
    """
    from leaderboard.schema import load_board

    folder = folder_of(run)
    if not (folder / "predictions.csv").is_file():
        raise InputError(f"There is no measured run and no folder with predictions.csv called {run!r}; mean-opinion "
                         "table --origin measured lists the runs.")
    board = load_board()
    of_run = board.measured.loc[board.measured["run"] == folder.name, "dataset"]
    ranges = dict(zip(board.datasets["slug"], board.datasets["mos_range"]))
    return read_details(folder, folder.name, ranges.get(of_run.iloc[0], "") if len(of_run) else "")


def to_csv(inside: Details) -> str:
    """The table of all images, a line each; a failed one has its name alone."""
    table = inside.images.to_csv(index=False, lineterminator="\n")
    return table + files.csv_text([name, *[""] * (inside.images.shape[1] - 1)] for name in inside.failed)


def record(inside: Details) -> dict:
    """JSON-safe: everything but the table of all images."""
    return {"run": inside.run, "scale": list(inside.scale), "n": len(inside.images), "failed": list(inside.failed),
            "facts": dict(inside.facts), "calibration": [vars(one) for one in inside.calibration],
            "by_quality": [vars(one) for one in inside.by_quality],
            "outliers": json.loads(inside.outliers.to_json(orient="records"))}


def text(inside: Details) -> str:
    """For people."""
    low, high = inside.scale
    lines = [f"{inside.run}: {len(inside.images)} images scored, {len(inside.failed)} failed; opinions from {low:g} to "
             f"{high:g}", *(f"  {what:<32}{value}" for what, value in inside.facts)]
    if not inside.calibrated:
        return "\n".join([*lines, "", "There are too few images, or too many equal scores, to say what a score means."])
    lines += ["", "Calibration: tenths of the images by what is expected of them", *_lines(
        inside.calibration, "expected", "opinion"),
        "", "Error by quality: fifths of the images by their opinion; above zero is too kind",
        *_lines(inside.by_quality, "opinion", "error"), "", f"{'Largest errors':<40}{'opinion':>9}{'expected':>10}"]
    return "\n".join(lines + [f"{row['image']:<40}{row['mos']:>9.4g}{row['expected']:>10.4g}"
                              for row in inside.outliers.to_dict("records")])


def _lines(bins: Sequence[Bin], x: str, y: str) -> list[str]:
    return [f"{'n':>6}{x:>12}{y:>12}   95 % interval",
            *(f"{one.n:>6}{one.x:>12.4g}{one.y:>12.4g}   {one.y_low:.4g} to {one.y_high:.4g}" for one in bins)]
