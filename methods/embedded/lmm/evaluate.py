"""`python -m methods.embedded.lmm.evaluate`: the numbers of the model card, on photos that the model never saw.

The shipped model answers every method's prompt about the photos of a benchmark, and about the damaged versions of the
held-out pristine photos. The tower's tokens come from a cache, which saves the images' second encoding and changes no
answer beyond rounding.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from methods import files
from methods.agreement.metrics import bootstrap_ci, paired_difference, plcc, srcc
from methods.cli.running import guarded
from methods.embedded import damages
from methods.embedded.lmm import features, other_kinds, pipeline, readout, tasks, thinking
from methods.embedded.lmm.recipe import CONDITIONS, INTACT, Shot, level_quality
from methods.embedded.lmm.respondent import Respondent
from methods.embedded.lmm.tasks import BLANK, Example
from methods.iqarag import prompts as iqarag
from methods.iqarag.retrieval import select_references
from methods.kadid.distortions import DISTORTIONS
from methods.levels import FIVE_LEVELS, GOOD_POOR, LevelScheme
from methods.llm_iqa.standard import Standard
from methods.lmm.prompt import Prompt
from methods.lmm.reuse.towers import fused_tower
from methods.q_bench.prompts import QUESTIONS
from methods.q_debias import prompts as q_debias

if TYPE_CHECKING:
    from transformers import EfficientNetModel

    from methods.data import RatedPictures

SAMPLES = 6
DEALS, REFERENCES = 10, 200
"""How often the benchmark is dealt into references and tests, and how many photos are references."""


@dataclass(frozen=True)
class Images:
    """Images and what the tower makes of them: shots [n], and tokens float32 [n, READOUT]."""

    shots: list[Shot]
    tokens: np.ndarray

    @classmethod
    def of(cls, shots: Sequence[Shot], fitted: readout.Directions, tower: EfficientNetModel, cache: Path,
           jobs: int = 1) -> Images:
        """Encodes the shots, by way of the cache."""
        middle = features.middle(shots, tower, cache, jobs)
        return cls(list(shots), fitted.tokens(middle.activations(tower)).mean(axis=1))


def benchmark_shots(opinions: RatedPictures) -> list[Shot]:
    """The rated photos as they are, then each under two of Q-Debias's conditions."""
    rng = np.random.default_rng(0)
    whole = [Shot(path, "opinion", group, float(mos))
             for group, (path, mos) in enumerate(zip(opinions.paths, opinions.mos01, strict=True))]
    return whole + [Shot(shot.photo, "opinion", shot.group, np.nan, damage=str(name), seed=int(rng.integers(2**31)))
                    for shot in whole for name in rng.permutation(CONDITIONS)[:2]]


def levels_of(respondent: Respondent, examples: Sequence[Example]) -> np.ndarray:
    """Expected level in [0, 1] of answers in five words, float64 [n]."""
    chances = respondent.probabilities(examples, [f" {word}" for word in FIVE_LEVELS.words])
    return chances @ np.asarray(FIVE_LEVELS.weights)


def answers(respondent: Respondent, shots: Sequence[Shot], quick: bool = False) -> dict[str, np.ndarray]:
    """Scores in [0, 1] of the benchmark's photos by prompt, with their MOS, and the same-object answers."""
    rows = [row for row, shot in enumerate(shots) if not shot.damage]
    result = {"mos": np.array([shots[row].mos for row in rows])}

    def ask(prompt: Prompt, queries: Sequence[tuple[int, ...]], scheme: LevelScheme, prefix: str = " ") -> np.ndarray:
        examples = [respondent.about(prompt, images) for images in queries]
        chances = respondent.probabilities(examples, [prefix + word for word in scheme.words])
        return chances @ np.asarray(scheme.weights)

    alone = [(row,) for row in rows]
    result["q-bench"] = ask(QUESTIONS["two-word"].prompt(BLANK), alone, GOOD_POOR)
    result["five-level"] = ask(QUESTIONS["five-level"].prompt(BLANK), alone, FIVE_LEVELS)
    standard = Standard()
    result["digit"] = ask(standard.prompt(BLANK), alone, tasks.standard_scale(standard), prefix="")
    damaged: dict[int, list[int]] = {}
    for row, shot in enumerate(shots):
        if shot.damage:
            damaged.setdefault(shot.group, []).append(row)
    pairs = [(first, row) for row in rows for first in damaged[shots[row].group]]
    conditioned = ask(q_debias.condition_prompt(BLANK, BLANK), pairs, GOOD_POOR)
    result["conditioned"] = conditioned.reshape(len(rows), -1).mean(axis=1)
    result["same"] = _yes(respondent, pairs)
    strangers = [(damaged[shots[rows[(place + 1 + shift) % len(rows)]].group][shift], row)
                 for place, row in enumerate(rows) for shift in range(2)]
    result["strangers"] = _yes(respondent, strangers)
    result["look-alikes"] = _yes(respondent, _look_alikes(respondent.tokens, shots, damaged, rows))
    if not quick:
        result["think"], result["parsed"] = _thought(respondent, rows)
    return result


def _yes(respondent: Respondent, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    examples = [respondent.about(q_debias.similarity_prompt(BLANK, BLANK), pair) for pair in pairs]
    return respondent.probabilities(examples, ["yes", "no"])[:, 0]


def _distances(tokens: np.ndarray, rows: Sequence[int] | np.ndarray, token: np.ndarray) -> np.ndarray:
    """How far the tower's last hidden states are from one, as retrieval has it (IQARAG's Eq. 4): float [rows].

    A hidden state holds the positive and the negative parts of a token apart.
    """
    own = tokens[np.asarray(rows)]
    apart = [np.maximum(sign * own, 0) - np.maximum(sign * token, 0) for sign in (1, -1)]
    return np.sqrt(sum((part**2).sum(axis=1) for part in apart))


def _look_alikes(tokens: np.ndarray, shots: Sequence[Shot], damaged: dict[int, list[int]], rows: Sequence[int]
                 ) -> list[tuple[int, int]]:
    pairs = []
    for place, row in enumerate(rows):
        distances = _distances(tokens, rows, tokens[row])
        distances[place] = np.inf
        pairs.append((damaged[shots[rows[int(np.argmin(distances))]].group][0], row))
    return pairs


def with_references(respondent: Respondent, rows: Sequence[int], others: Sequence[int],
                    others_mos: np.ndarray, k: int = 50, most: int = 5, flip: bool = False) -> np.ndarray:
    """IQARAG's scores of the images in `rows`, with references among `others`.

    Args:
        others_mos: float [others] in [0, 1].
        k: the nearest of which references are chosen, one from each fifth of the scale.
        most: at most so many references, the nearest ones.
        flip: the labels are written the wrong way round.
    """
    tokens, others = respondent.tokens, np.asarray(others)
    examples = []
    for row in rows:
        order = np.argsort(_distances(tokens, others, tokens[row]), kind="stable")
        nearest = select_references(others_mos, order, min(k, len(others)))[:most]
        labelled = sorted(((int(others[index]), float(others_mos[index])) for index in nearest),
                          key=lambda item: 1 - item[1] if flip else item[1], reverse=True)
        words = [FIVE_LEVELS.word_for(1 - quality if flip else quality) for _, quality in labelled]
        prompt = iqarag.with_references(BLANK, [(BLANK, word) for word in words])
        examples.append(respondent.about(prompt, (*(other for other, _ in labelled), row)))
    return levels_of(respondent, examples)


def worth_of_references(respondent: Respondent, rows: np.ndarray, mos: np.ndarray, alone: np.ndarray,
                        groups: np.ndarray, references: int, deals: int = DEALS) -> dict[str, object]:
    """What references add to the plain five-level question, over several deals into references and tests.

    Args:
        rows: int [n], the images.
        mos: float [n] in [0, 1].
        alone: float [n], their scores without references.
        groups: int [n]; a deal never splits a group.
        references: how many groups are references.
    """
    gains: dict[int, list[float]] = {}
    errors, low_high = [], []
    names = np.unique(groups)
    for deal in range(deals):
        rng = np.random.default_rng(deal)
        is_reference = np.isin(groups, rng.permutation(names)[:references])
        test = np.flatnonzero(~is_reference)
        scores = {most: with_references(respondent, rows[test], rows[is_reference], mos[is_reference], most=most)
                  for most in (1, 3, 5)}
        for most, answered in scores.items():
            gap = paired_difference(answered, alone[test], mos[test], "mean_srcc_plcc", samples=200, seed=deal)
            gains.setdefault(most, []).append(gap.value)
        low_high.append((gap.low, gap.high))  # of the most references
        errors.append([np.abs(alone[test] - mos[test]).mean(), np.abs(scores[5] - mos[test]).mean()])
    low, high = np.mean(low_high, axis=0)
    before, after = np.mean(errors, axis=0)
    return {"gain": float(np.mean(gains[5])), "interval": [float(low), float(high)],
            "by references": {str(most): float(np.mean(own)) for most, own in gains.items()},
            "error": [float(before), float(after)], "deals": deals, "references": references,
            "tests": len(names) - references}


def _thought(respondent: Respondent, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    from methods.visualquality_r1 import prompts
    from methods.visualquality_r1.answer import parse_score

    texts = respondent.texts([respondent.about(prompts.prompt(BLANK), (row,)) for row in rows], SAMPLES)
    scores = [[parse_score(text) for text in own] for own in texts]
    readable = [[score for score in own if score is not None] for own in scores]
    means = np.array([(np.mean(own) - 1) / 4 if own else np.nan for own in readable])
    return means, np.array([len(own) / SAMPLES for own in readable])


def named_flaws(images: Images, respondent: Respondent) -> dict[str, object]:
    """What the reasoning names on held-out damaged photos, against what was done to them."""
    from methods.visualquality_r1 import prompts

    rows = [row for row, shot in enumerate(images.shots) if readout.true_flaw(shot) in readout.FLAW_NAMES]
    texts = respondent.texts([respondent.about(prompts.prompt(BLANK), (row,)) for row in rows], 1)
    right: dict[str, list[bool]] = {}
    strengths = []
    for row, (text,) in zip(rows, texts):
        shot = images.shots[row]
        truth = readout.true_flaw(shot)
        family, strength = thinking.flaw_of(text)
        right.setdefault(truth, []).append(family == truth)
        if truth != thinking.CLEAN and family == truth:
            strengths.append(strength == thinking.strength(shot.mos))
    everything = [hit for hits in right.values() for hit in hits]
    return {"named right": float(np.mean(everything)), "pictures": len(everything),
            "strength right where the name is": float(np.mean(strengths)),
            "by flaw": {name: [float(np.mean(hits)), len(hits)] for name, hits in sorted(right.items())}}


def plain(respondent: Respondent, rows: Sequence[int]) -> np.ndarray:
    """Scores by the five-level question without references, float64 [rows]."""
    prompt = QUESTIONS["five-level"].prompt(BLANK)
    return levels_of(respondent, [respondent.about(prompt, (row,)) for row in rows])


def known_damage(images: Images, respondent: Respondent) -> dict[str, object]:
    """Rank correlation with the known damage of KADID-10k's types, over contents, and by type."""
    rows = [row for row, shot in enumerate(images.shots) if not shot.part and shot.damage not in damages.NAMES]
    scores, truth = plain(respondent, rows), np.array([images.shots[row].mos for row in rows])
    names = np.array([images.shots[row].damage for row in rows])
    return {"srcc": srcc(scores, truth), "interval": list(bootstrap_ci(scores, truth)), "n": len(rows),
            "by type": {name: [srcc(scores[names == name], truth[names == name]), int((names == name).sum())]
                        for name in DISTORTIONS}}


def parts(images: Images, respondent: Respondent) -> dict[str, float]:
    """Damaged corners against the opposite, intact corners of the same photos: share ranked rightly."""
    rows = [row for row, shot in enumerate(images.shots) if shot.part]
    scores = plain(respondent, rows)
    inside, outside = scores[::2], scores[1::2]
    return {"inside": float(inside.mean()), "outside": float(outside.mean()), "n": len(inside),
            "ranked rightly": float(np.mean(inside < outside))}


def ladder_shots(pristine: Sequence[Shot]) -> list[Shot]:
    """Every held-out photo as it is and at all levels of each of `damages.NAMES`."""
    intact = {shot.group: shot for shot in pristine if shot.held_out and not shot.damage and not shot.mirrored}
    return [Shot(shot.photo, "pristine", group, level_quality(name, level) if level else INTACT,
                 damage=name if level else "", level=level, seed=shot.seed, held_out=True)
            for name in damages.NAMES for group, shot in intact.items() for level in (0, *damages.LEVELS)]


def within_contents(images: Images, respondent: Respondent) -> dict[str, object]:
    """Mean rank correlation of score and quality along the ladders of one photo, by damage; and what references of
    other photos with held-out rendering faults add."""
    steps = 1 + len(damages.LEVELS)
    scores = plain(respondent, range(len(images.shots))).reshape(len(damages.NAMES), -1, steps)
    quality = np.array([shot.mos for shot in images.shots]).reshape(scores.shape)
    ranks = {name: float(np.mean([srcc(own, truth) for own, truth in zip(scores[place], quality[place])]))
             for place, name in enumerate(damages.NAMES)}
    held_out = [place for place, name in enumerate(damages.NAMES) if name in damages.RENDERED_HELD_OUT]
    rows = np.arange(len(images.shots)).reshape(scores.shape)[held_out].ravel()
    groups = np.array([images.shots[row].group for row in rows])
    mos = np.array([images.shots[row].mos for row in rows])
    return {"by damage": ranks, "photos": scores.shape[1],
            "by family": {family: float(np.mean([ranks[name] for name in names]))
                          for family, names in damages.FAMILIES.items()},
            "unknown faults": {"srcc": srcc(scores.ravel()[rows], mos),
                               **worth_of_references(respondent, rows, mos, scores.ravel()[rows], groups,
                                                     len(np.unique(groups)) // 2)}}


def calibration(scores: np.ndarray, mos: np.ndarray, bins: int = 5) -> dict[str, float | list[list[float]]]:
    """Mean score against mean MOS in bins of equal count, and the mean distance between the two."""
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, bins)
    table = [[round(float(scores[part].mean()), 3), round(float(mos[part].mean()), 3)] for part in parts]
    error = sum(len(part) * abs(scores[part].mean() - mos[part].mean()) for part in parts) / len(scores)
    return {"score and MOS by fifth": table, "expected calibration error": float(error)}


def report(material: pipeline.Material, cache: Path, shipped: Path, benchmark: RatedPictures | None,
           quick: bool, jobs: int = 1) -> dict[str, object]:
    """Everything, as JSON can hold it."""
    from sklearn.metrics import roc_auc_score

    from methods.lmm.transformers_lmm import TransformersLMM

    fitted, vision = material.fitted, fused_tower(material.vision)
    result: dict[str, object] = {}
    if benchmark is not None:
        shots = benchmark_shots(benchmark)
        own = Images.of(shots, fitted, vision, cache / "features", jobs)
        respondent = Respondent(shipped, own.tokens)
        scores = answers(respondent, shots, quick)
        mos, rows = scores["mos"], np.arange(len(benchmark))
        for name in ("q-bench", "five-level", "digit", "conditioned", "think"):
            if name in scores:
                usable = ~np.isnan(scores[name])
                result[name] = {
                    "srcc": srcc(scores[name][usable], mos[usable]),
                    "interval": list(bootstrap_ci(scores[name][usable], mos[usable])),
                    "plcc": plcc(scores[name][usable], mos[usable]), "n": int(usable.sum())}
        gap = paired_difference(scores["conditioned"], scores["q-bench"], mos)
        result["conditioned minus q-bench"] = f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
        result["references"] = worth_of_references(respondent, rows, mos, scores["five-level"], rows, REFERENCES)
        references, test = rows[:REFERENCES], rows[REFERENCES:]
        straight, flipped = (with_references(respondent, test, references, mos[references], flip=flip)
                             for flip in (False, True))
        result["correlation of flipped with straight"] = srcc(flipped, straight)
        for other in ("strangers", "look-alikes"):
            truth = np.r_[np.ones(len(scores["same"])), np.zeros(len(scores[other]))]
            result[f"same object, AUC against {other}"] = float(
                roc_auc_score(truth, np.r_[scores["same"], scores[other]]))
        for name in ("five-level", "q-bench"):
            result[f"calibration of {name}"] = calibration(scores[name], mos)
        if "parsed" in scores:
            result["answers that can be read"] = float(scores["parsed"].mean())
    held_out = np.array([row for row, shot in enumerate(material.shots) if shot.held_out])
    images = Images([material.shots[row] for row in held_out], fitted.tokens(material.grids[held_out]).mean(axis=1))
    respondent = Respondent(shipped, images.tokens)
    result["held-out damage"] = known_damage(images, respondent)
    result["parts"] = parts(images, respondent)
    result["reasoning"] = named_flaws(images, respondent)
    ladders = Images.of(ladder_shots(material.shots), fitted, vision, cache / "features", jobs)
    result["other damage"] = within_contents(ladders, Respondent(shipped, ladders.tokens))
    photos = dict.fromkeys(shot.photo for shot in images.shots)
    result["limits"] = other_kinds.measure(TransformersLMM(shipped), list(photos))
    return result


def main(argv: list[str] | None = None) -> int:
    from methods.embedded.lmm.__main__ import parser as training_parser
    from methods.embedded.lmm.__main__ import rated_of

    arguments = argparse.ArgumentParser(
        prog="python -m methods.embedded.lmm.evaluate", parents=[training_parser(add_help=False)],
        description="Measures the trained checkpoint; takes the same arguments as the training.")
    arguments.add_argument("--benchmark", type=Path, metavar="CSV", help="rated photos that it never saw, as --scores")
    arguments.add_argument("--quick", action="store_true", help="leave out everything that is sampled word by word")
    arguments.add_argument("--report", type=Path, help="also write the numbers to this JSON file")
    options = arguments.parse_args(argv)
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch

    rated = rated_of(options.population, options.scores)
    material = pipeline.prepare(rated, options.images, options.cache, options.jobs, options.seed,
                                options.decoder[1] if options.decoder else None)
    torch.set_num_threads(1)
    benchmark = rated_of(None, [options.benchmark])[0] if options.benchmark else None
    result = report(material, options.cache, options.out, benchmark, options.quick, options.jobs)
    text = json.dumps(result, indent=2)
    print(text)
    if options.report:
        files.replace(options.report, text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(guarded("python -m methods.embedded.lmm.evaluate", main))
