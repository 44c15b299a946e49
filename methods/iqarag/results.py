"""Prediction of an experiment's part on disk, and what they measure: correlations, intervals, gains."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from methods import files
from methods.errors import InputError

Prediction: TypeAlias = dict[str, Any]
"""One image: `image`, `mos` and a score by condition."""

MetricRow: TypeAlias = dict[str, Any]
"""One condition of one part: the metrics with their intervals, notes and gains."""

WITHOUT = "without"
"""The condition of the plain question, which shows no references."""


def metric_rows(name: str, predictions: Sequence[Prediction], samples: int = 1000) -> list[MetricRow]:
    """One row per condition from predictions of one part: dicts with `image`, `mos` and a score per condition."""
    from methods.agreement.metrics import paired_difference, summary

    metrics = {"srcc": "srcc", "plcc": "plcc", "mean": "mean_srcc_plcc"}
    mos = [row["mos"] for row in predictions]
    plain = [row[WITHOUT] for row in predictions]
    without = summary(plain, mos, metrics=tuple(metrics.values()), samples=samples)
    rows: list[MetricRow] = []
    for condition in (key for key in predictions[0] if key not in ("image", "mos")):
        scores = [row[condition] for row in predictions]
        row: MetricRow = {"part": name, "condition": condition, "n": len(mos)}
        estimates = without if condition == WITHOUT else \
            summary(scores, mos, metrics=tuple(metrics.values()), samples=samples)
        for key, metric in metrics.items():
            one = estimates[metric]
            row |= {key: one.value, f"{key}_low": one.low, f"{key}_high": one.high, f"{key}_note": one.note}
            defined = one.low is not None and without[metric].low is not None
            if condition != WITHOUT and defined:
                row[f"{key}_gain"] = paired_difference(scores, plain, mos, metric, samples=samples).to_dict()
        rows.append(row)
    return rows


def pooled_rows(paths: Sequence[Path], samples: int = 1000) -> list[MetricRow]:
    """Rows as `experiments.perform` gives them, over the predictions of several runs: the folds of a cross-validation.

    Raises:
        InputError: the files hold different conditions, or an image twice.
    """
    predictions: list[Prediction] = []
    for path in paths:
        if not (rows := read_predictions(path)):
            raise InputError(f"{path} holds no predictions; name the CSV of a finished part.")
        if predictions and list(rows[0]) != list(predictions[0]):
            raise InputError(f"{path} holds other conditions than {paths[0]}; pool the folds of one experiment.")
        predictions += rows
    names = [row["image"] for row in predictions]
    if len(set(names)) != len(names):
        raise InputError("Pooled predictions need every image once, but one is there twice; name each part once.")
    return metric_rows(paths[0].stem, predictions, samples)


def table(rows: Sequence[MetricRow]) -> str:
    """Rows of `experiments.perform` as a Markdown table."""
    lines = ["| part | condition | n | SRCC | PLCC | (SRCC+PLCC)/2 | gain over without, 95 % interval |",
             "|---|---|---|---|---|---|---|"]
    for row in rows:
        gain = row.get("mean_gain")
        gained = f"{gain['value']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})" if gain else ""
        numbers = ("undefined" if row[key] is None else f"{row[key]:.4f}" for key in ("srcc", "plcc", "mean"))
        lines.append(f"| {row['part']} | {row['condition']} | {row['n']} | {' | '.join(numbers)} | {gained} |")
    return "\n".join(lines) + "\n"


def read_predictions(path: Path, columns: list[str] | None = None) -> list[Prediction]:
    """The rows of a part's file; of those `columns`, where they are given."""
    content = files.text_of(files.recover(path), path)
    reader = csv.DictReader(io.StringIO(content, newline=""))
    if content and columns is not None and reader.fieldnames != columns:
        raise InputError(f"{path} holds other conditions ({', '.join(reader.fieldnames or [])}); use another --out.")
    try:
        return [{key: value if key == "image" else float(value) for key, value in row.items()} for row in reader]
    except (TypeError, ValueError) as error:  # a cell too many or too few, or one that is no number
        raise InputError(f"Line {reader.line_num} of {path} is not a name and a number per condition; mend or remove "
                         "it.") from error


def append_predictions(path: Path, columns: list[str], rows: list[dict[str, object]]) -> None:
    """Adds rows to a part's file, with a header where it is new."""
    header = [columns] if not path.exists() or path.stat().st_size == 0 else []
    files.append(path, files.csv_text([*header, *([row[name] for name in columns] for row in rows)]))
