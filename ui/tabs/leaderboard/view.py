"""The leaderboard tab's controls and the `View` they stand for; how one becomes the other, without any drawing."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import gradio as gr

from leaderboard.citations import source_keys
from leaderboard.entries import Catalogue, catalogue, slug
from leaderboard.links import (
    COLUMNS,
    HIDE,
    MAX_CELLS,
    MAX_SEARCH,
    OPENING,
    View,
    ablation_slug,
)
from leaderboard.revisions import at
from leaderboard.schema import METRICS, Board, load_board
from ui.components.texts import web_address

FIGURE_NAMES = [("Dots", "dots"), ("Heat map", "heat"), ("Radar", "radar"), ("Against cost", "cost"),
                ("With and without", "pairs"), ("Ablations", "ablation")]

COLUMN_NAMES = {"rank": "Rank", "coverage": "Sets with a result", "parameters": "Parameters", "weights": "Weights",
                "passes": "Passes per image", "seconds": "Seconds per image", "memory": "Memory",
                "hardware": "Hardware", "licence": "Licence", "released": "Date", "link": "Link to the model"}

NARROW = 640
"""Pixels of the window up to which figures are drawn for a phone."""


@dataclass(frozen=True)
class Controls:
    """The tab's inputs, named as the fields of `View`."""

    metric: gr.Dropdown
    search: gr.Textbox
    training: gr.Radio
    origin: gr.Radio
    rows: gr.Radio
    methods: gr.Dropdown
    datasets: gr.Dropdown
    kinds: gr.Dropdown
    papers: gr.Dropdown
    backbones: gr.Dropdown
    training_sets: gr.Dropdown
    rank_on: gr.Dropdown
    hide: gr.CheckboxGroup
    cells: gr.Slider
    columns: gr.CheckboxGroup
    figure: gr.Radio
    axis: gr.Radio
    ablation: gr.Dropdown
    row: gr.State
    inside: gr.Radio
    beside: gr.Dropdown

    @property
    def inputs(self) -> list[gr.components.Component]:
        return [getattr(self, spec.name) for spec in fields(self)]

    def named(self, *names: str) -> dict[str, gr.components.Component]:
        """Some of them by name."""
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Screen:
    """What only the browser knows: whether it is narrow, the page's address ("" where it is unknown), and the data
    revision that its link asked for ("" for the newest)."""

    narrow: bool = False
    address: str = ""
    revision: str = ""

    def board(self) -> Board:
        """The data of that revision, or the newest where it is not kept."""
        newest = load_board()
        return (at(self.revision, newest) if self.revision else None) or newest

    @classmethod
    def of(cls, width: object, address: object) -> Screen:
        """From what a browser says; anything but a plain web address is left out, since files will hold it."""
        return cls(isinstance(width, (int, float)) and 0 < width <= NARROW, web_address(address))


def changed(view: View, name: str, value: object) -> View:
    """The view after the control of this name, a field of `Controls`, took a value."""
    if name == "columns":
        chosen = set(value) if isinstance(value, (list, tuple)) else set()
        return replace(view, costs=True, without=tuple(set(COLUMNS) - chosen))
    default = getattr(View(), name)
    if isinstance(default, tuple):
        value = tuple(value) if isinstance(value, (list, tuple)) else ()
    return replace(view, **{name: default if value is None else value})


def values_of(view: View) -> list[object]:
    """Values of `Controls.inputs` for a view."""
    named = {spec.name: getattr(view, spec.name) for spec in fields(View)}
    named["columns"] = view.columns
    values = [named[spec.name] for spec in fields(Controls)]
    lists = {spec.name for spec in fields(View) if isinstance(spec.default, tuple)}
    names = [spec.name for spec in fields(Controls)]
    return [list(value) if name in lists else value for name, value in zip(names, values)]


def top_controls(board: Board) -> dict[str, gr.components.Component]:
    """Always in sight: which rows, search, metric, training, origin."""
    with gr.Row(equal_height=False):
        rows = gr.Radio([("Comparable only", "comparable"), ("All", "all")], value=OPENING.rows, label="Rows",
                        info="Comparable: one protocol, the same photos, no model that saw the tested set",
                        elem_id="leaderboard-rows", scale=5, min_width=320)
    with gr.Row(equal_height=False):
        search = gr.Textbox(label="Search", placeholder="method or paper", max_length=MAX_SEARCH,
                            scale=3, min_width=170)
        metric = gr.Dropdown([(name, key) for key, name in METRICS.items()], value="srcc", label="Metric", scale=2,
                             min_width=130)
        training = gr.Radio([("All", "all"), ("Training-free", "free"), ("Trained", "trained")], value="all",
                            label="Training", scale=5, min_width=372, elem_id="leaderboard-training")
        origin = gr.Radio([("All", "all"), ("Published", "published"), ("Measured", "measured")], value="all",
                          label="Results", scale=5, min_width=352)
    return {"search": search, "metric": metric, "training": training, "origin": origin, "rows": rows}


def more_controls(board: Board) -> dict[str, gr.components.Component]:
    """The rest, folded away."""
    contents = catalogue(board)
    datasets = _datasets(contents)
    titles = dict(zip(board.papers["slug"], board.papers["title"]))

    def several(label: str, choices: list[tuple[str, str]], info: str) -> gr.Dropdown:
        return gr.Dropdown(choices, value=[], multiselect=True, label=label, info=info, min_width=280)

    sources = [(f"{slug}: {titles[slug]}", slug) for slug in source_keys(board) if slug in titles]
    with gr.Row():
        methods = several("Methods", _methods(contents), "A method, or one of its rows")
        kinds = several("Kinds of dataset", [(kind, kind) for kind in contents.vocabulary["kinds"]],
                        "Aesthetics and video appear only when chosen")
    with gr.Row():
        papers = several("Sources", [*sources, ("measured here", "measured")], "Papers and repositories")
        backbones = several("Model", _backbones(contents), "The model a method runs on")
        training_sets = several("Trained on", [(name, name) for name in contents.vocabulary["training_sets"]],
                                "Any of these")
    with gr.Row():
        rank_on = several("Rank over", datasets, "None chosen: the sets that most rows share")
        hide = gr.CheckboxGroup([("doubtful cells", HIDE[0]), ("cells that saw labels of the tested set", HIDE[1])],
                                value=[], label="Leave out", min_width=280)
    cells = gr.Slider(1, min(MAX_CELLS, len(contents.datasets)), value=1, step=1,
                      label="At least this many of the shown datasets")
    return {"methods": methods, "kinds": kinds, "papers": papers, "backbones": backbones,
            "training_sets": training_sets, "rank_on": rank_on, "hide": hide, "cells": cells}


def column_controls(board: Board) -> dict[str, gr.components.Component]:
    """Which columns the table has; the row's name is always the first."""
    datasets = gr.Dropdown(_datasets(catalogue(board)), value=[], multiselect=True, label="Datasets",
                           info="None chosen: every image-quality set with a result")
    columns = gr.CheckboxGroup([(COLUMN_NAMES[name], name) for name in COLUMNS], value=OPENING.columns,
                               label="Beside them", elem_id="leaderboard-columns")
    return {"datasets": datasets, "columns": columns}


def figure_controls(board: Board) -> dict[str, gr.components.Component]:
    """Which figure, and what its axes are."""
    frame = board.ablations.drop_duplicates(["paper", "table"])
    choices = [(f"{row.paper}, {row.table}: {row.ablation}", ablation_slug(row.paper, row.table))
               for row in frame.itertuples()]
    figure = gr.Radio(FIGURE_NAMES, value="dots", label="Figure")
    axis = gr.Radio([("parameters", "parameters"), ("weights", "weights"), ("passes per image", "passes"),
                     ("seconds per image", "seconds"), ("memory", "memory")], value="parameters",
                    label="Cost as", visible=False)
    ablation = gr.Dropdown(choices, value=None, label="Ablation", visible=False)
    return {"figure": figure, "axis": axis, "ablation": ablation}


def _datasets(known: Catalogue) -> list[tuple[str, str]]:
    return [(dataset.name, dataset.slug) for dataset in known.datasets]


def _methods(known: Catalogue) -> list[tuple[str, str]]:
    """Every method, then every single row of those that have several."""
    grouped: dict[str, list] = {}
    for entry in known.entries:
        grouped.setdefault(entry.method_slug, []).append(entry)
    whole = [(f"{entries[0].method} ({len(entries)} row{'s' if len(entries) > 1 else ''})", name)
             for name, entries in grouped.items()]
    rows = [(f"{entry.label} · {entry.paper}, {entry.table}", entry.id) for entry in known.entries]
    return [*sorted(whole, key=_folded), *sorted(rows, key=_folded)]


def _backbones(known: Catalogue) -> list[tuple[str, str]]:
    names = {slug(entry.backbone): entry.backbone for entry in known.entries if entry.backbone}
    return sorted(((name, key) for key, name in names.items()), key=_folded)


def _folded(choice: tuple[str, str]) -> str:
    return choice[0].casefold()
