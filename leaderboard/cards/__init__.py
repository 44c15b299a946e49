"""What is known of the models and datasets of the leaderboard: cards, with the source of every fact.

`models.csv` and `datasets.csv` hold facts that no other table has; sizes, passes, scales and overlaps come from the
leaderboard's data, licences and weights of models that load here from their catalogue. A fact that nobody has traced to
a source is empty there and `NOT_KNOWN` on a card: nothing is filled in by guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from leaderboard.details import stored_provenance, submissions_of
from leaderboard.entries import Dataset, Entry, catalogue
from leaderboard.schema import Board, read_text
from methods.data.datasets import LAYOUTS
from methods.lmm.catalogue import CatalogueEntry, find

NOT_KNOWN = "not known"
FOLDER = Path(__file__).resolve().parent
MODELS = ("names", "title", "parameters_billion", "weights_gb", "licence", "released", "link", "reference", "about",
          "source")
DATASETS = ("dataset", "content", "raters", "licence", "link", "source")
_GIB_TO_GB = 1.073741824
_HUB = "https://huggingface.co/"

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Card:
    """What is known of a model or a dataset.

    Attributes:
        id: "model:..." or "dataset:...".
        facts: (what, text) in the order of the card; a text that begins with https:// is an address.
    """

    id: str
    title: str
    facts: Facts


@dataclass(frozen=True)
class Cost:
    """What a row costs; None or "" where it is not known. The names of the numbers are those of `links.COSTS`.

    Attributes:
        parameters: billions, the vision part included.
        weights: GB of the weights, in bfloat16 unless the file has another type.
        passes: LMM passes per image.
        seconds: per image, on `hardware`.
        memory: GiB at most, of the GPU where there was one, else of the process.
        hardware: of a measured row.
        licence: of the weights.
        released: month of the model's paper, or its year.
        link: to the model.
        model: what the row runs on, as `model_name`.
    """

    parameters: float | None
    weights: float | None
    passes: float | None
    seconds: float | None
    memory: float | None
    hardware: str
    licence: str
    released: str
    link: str
    model: str


@lru_cache(maxsize=1)
def _models() -> dict[str, dict[str, str]]:
    """Name as the data has it -> its line of models.csv."""
    return {name: line for line in _lines("models.csv") for name in line["names"].split("|")}


@lru_cache(maxsize=1)
def _datasets() -> dict[str, dict[str, str]]:
    return {line["dataset"]: line for line in _lines("datasets.csv")}


def _lines(file: str) -> list[dict[str, str]]:
    return [{str(name): str(text) for name, text in line.items()}
            for line in read_text(FOLDER / file).to_dict("records")]


def model_name(entry: Entry, board: Board) -> str:
    """What an entry runs on: its model, or its own network, or itself where it names no model."""
    if entry.backbone or not entry.provenance:
        return entry.backbone or entry.method
    weights = str(stored_provenance(submissions_of(board) / entry.provenance["run"]).get("weights") or "")
    name = weights.partition("@")[0]
    return name.replace("embedded", "embedded-student") if name.startswith("embedded") else name or entry.method


@lru_cache(maxsize=4096)
def cost(board: Board, entry: Entry) -> Cost:
    """What a row costs: the entry's own numbers first, then those of its model's card."""
    name = model_name(entry, board)
    line, known = _models().get(name, {}), _catalogued(name)
    run = stored_provenance(submissions_of(board) / entry.provenance["run"]) if entry.provenance else {}
    parameters = entry.parameters if entry.parameters is not None else _number(line.get("parameters_billion"))
    memory = run.get("device_memory_gib") or run.get("peak_memory_gib")
    return Cost(parameters, _weights(line, known), entry.lmm_passes, run.get("seconds_per_image"), memory,
                str(run.get("hardware") or ""), line.get("licence") or (known.licence if known else ""),
                line.get("released", ""), line.get("link") or (_HUB + known.hub_id if known else ""), name)


@lru_cache(maxsize=4)
def cards(board: Board) -> dict[str, Card]:
    """Every card of a board by its id: all datasets with a result, and what all rows run on."""
    contents = catalogue(board)
    named: dict[str, list[Entry]] = {}
    for entry in contents.entries:
        named.setdefault(model_name(entry, board), []).append(entry)
    every = [_dataset_card(board, dataset) for dataset in contents.datasets]
    every += [_model_card(board, name, entries) for name, entries in named.items()]
    return {card.id: card for card in every}


def _model_card(board: Board, name: str, entries: list[Entry]) -> Card:
    line, known, costs = _models().get(name, {}), _catalogued(name), cost(board, entries[0])
    trained = sorted({one for entry in entries for one in entry.training or ()})
    unstated = any(entry.training is None for entry in entries)
    facts = (
        ("About", line.get("about") or (known.note if known else "")),
        ("Parameters, billions", "" if costs.parameters is None else f"{costs.parameters:.3g}"),
        ("Weights, GB", "" if costs.weights is None else f"{costs.weights:.3g}"),
        ("Licence", costs.licence), ("Date", costs.released), ("Where it is", costs.link),
        ("Paper", line.get("reference", "")),
        ("Rows here", f"{len(entries)}: {', '.join(sorted({entry.method for entry in entries}))}"),
        ("Opinions seen in training, by these rows", ", ".join(trained) + ("; some do not state it" if unstated else "")
         if trained else "not stated" if unstated else "none known"),
        ("How to run it", _how_to_run(name, known)), ("Source of these facts", line.get("source", "")))
    return Card(f"model:{name}", line.get("title") or (known.title if known else name), _complete(facts))


def _how_to_run(name: str, known: CatalogueEntry | None) -> str:
    if name.startswith("embedded-student"):
        student = name.replace("-student", "")
        return f"mean-opinion score PHOTO --method leaf --student {student}"
    if name == "embedded":
        return "mean-opinion score PHOTO --method q-bench --lmm embedded"
    if known is None:
        return "it is not among the models of this project"
    return known.route or f"mean-opinion score PHOTO --method q-bench --lmm {known.nickname}"


def _dataset_card(board: Board, dataset: Dataset) -> Card:
    line = _datasets().get(dataset.slug, {})
    facts = {str(name): str(text) for name, text in board.datasets.set_index("slug").loc[dataset.slug].items()}
    contents = catalogue(board)
    short = {one.slug: one.short for one in contents.datasets}
    sharing = set(dataset.related) | {one.slug for one in contents.datasets if dataset.slug in one.related}
    perhaps = set(dataset.possibly_related) | {one.slug for one in contents.datasets
                                               if dataset.slug in one.possibly_related}
    trained = [entry for entry in contents.entries if dataset.slug in (entry.training or ())]
    overlaps = [f"shares images with {', '.join(sorted(short.get(one, one) for one in sharing))}"] if sharing else []
    if perhaps:
        overlaps.append(f"may share images with {', '.join(sorted(short.get(one, one) for one in perhaps))}")
    overlaps += [f"{len(trained)} rows here were trained on it"] if trained else []
    better = "higher is better" if facts["higher_is_better"] == "true" else "lower is better (DMOS)"
    get = (f"mean-opinion evaluate --dataset {dataset.slug} --root DIR reads it as its authors distribute it"
           if dataset.slug in LAYOUTS else "")
    lines = (
        ("What is in it", line.get("content", "")), ("Kind", dataset.kind),
        ("Images", f"{int(facts['n_images']):,}" if facts["n_images"].isdigit() else ""),
        ("Raters", line.get("raters", "")),
        ("Scale", f"{facts['mos_range']}, {better}" if facts["mos_range"] else f"range not known, {better}"),
        ("Licence", line.get("licence", "")), ("Overlaps", "; ".join(overlaps) or "none known"),
        ("Reference", facts["reference"]), ("How to get it", line.get("link", "")),
        ("In this project", get or "mean-opinion evaluate --images DIR --scores CSV reads any folder of rated images"),
        ("Notes", facts["notes"] or "none"), ("Source of these facts", line.get("source", "")))
    return Card(f"dataset:{dataset.slug}", dataset.name, _complete(lines))


def _complete(facts: Facts) -> Facts:
    return tuple((what, text or NOT_KNOWN) for what, text in facts)


def _catalogued(name: str) -> CatalogueEntry | None:
    """The catalogue's entry of a model as the data names it, or as models.csv links it."""
    return find(name.rpartition("#")[2]) or find(_models().get(name, {}).get("link", "").removeprefix(_HUB))


def _weights(line: dict[str, str], known: CatalogueEntry | None) -> float | None:
    own = _number(line.get("weights_gb"))
    return own if own is not None else round(known.memory_gib * _GIB_TO_GB, 1) if known else None


def _number(text: str | None) -> float | None:
    return float(text) if text else None
