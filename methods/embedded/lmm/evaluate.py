"""`python -m methods.embedded.lmm.evaluate`: the numbers of the model card, on photos that the decoder never saw.

Each fold's model answers every method's prompt about its own held-out photos; the shipped model answers about the
damaged versions of the held-out pristine photos. The tower's tokens come from the training cache, which saves the
pictures' second encoding and changes no answer beyond rounding.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from methods.embedded.lmm import other_kinds, pipeline, readout, tasks, thinking
from methods.embedded.lmm.decoder import Encoder, project
from methods.embedded.lmm.tasks import BLANK, Example
from methods.levels import FIVE_LEVELS, GOOD_POOR, LevelScheme
from methods.lmm.prompt import Prompt

if TYPE_CHECKING:
    import torch

SAMPLES = 6
BATCH = 64


class Respondent:
    """A trained checkpoint that answers about pictures of the cache.

    Args:
        folder: the checkpoint.
        tokens: float32 [shots, READOUT], as its tower sees the pictures.
    """

    def __init__(self, folder: Path, tokens: np.ndarray) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.encoder = Encoder(AutoProcessor.from_pretrained(folder))
        self.tokens = tokens

    def about(self, prompt: Prompt, rows: Sequence[int]) -> Example:
        """The prompt, showing the pictures in these rows of the cache."""
        return Example(prompt, self.tokens[list(rows)])

    def probabilities(self, examples: Sequence[Example], words: Sequence[str]) -> np.ndarray:
        """Softmax over the words (as spelled), float64 [examples, words]. Prompts of one length at a time."""
        import torch

        targets = [self.encoder.ids(word)[0] for word in words]
        encoded = [self.encoder.encode(Example(e.prompt, e.pictures, {words[0]: 1.0}))[0] for e in examples]
        out = np.empty((len(examples), len(words)))
        by_length: dict[int, list[int]] = {}
        for line, ids in enumerate(encoded):
            by_length.setdefault(len(ids), []).append(line)
        with torch.inference_mode():
            for lines in by_length.values():
                for start in range(0, len(lines), BATCH):
                    part = lines[start : start + BATCH]
                    embeddings = self._embed([encoded[line] for line in part], [examples[line] for line in part])
                    logits = self.model(inputs_embeds=embeddings, logits_to_keep=1, use_cache=False).logits[:, -1]
                    out[part] = torch.softmax(logits[:, targets].double(), dim=-1).numpy()
        return out

    def texts(self, examples: Sequence[Example], samples: int, seed: int = 0) -> list[list[str]]:
        """Sampled answers (top-k 50, temperature 1), by prompts of one length."""
        import torch

        encoded = [self.encoder.encode(Example(e.prompt, e.pictures, {"a": 1.0}))[0] for e in examples]
        torch.manual_seed(seed)
        texts: list[list[str]] = []
        with torch.inference_mode():
            for start in range(0, len(examples), 16):
                part = slice(start, start + 16)
                embeddings = self._embed(encoded[part], examples[part])
                said = self.model.generate(
                    inputs_embeds=embeddings, attention_mask=torch.ones(embeddings.shape[:2], dtype=torch.long),
                    do_sample=True, top_k=50, num_return_sequences=samples, max_new_tokens=90)
                spelled = self.encoder.words.batch_decode(said, skip_special_tokens=True)
                texts += [spelled[line : line + samples] for line in range(0, len(spelled), samples)]
        return texts

    def _embed(self, ids: Sequence[Sequence[int]], examples: Sequence[Example]) -> torch.Tensor:
        import torch

        table = torch.tensor([list(line) for line in ids])
        tokens = torch.from_numpy(np.concatenate([example.pictures for example in examples]))
        embeddings = self.model.get_input_embeddings()(table)
        slots = (table == self.model.config.image_token_index)[..., None]
        return embeddings.masked_scatter(slots, project(self.model, tokens))


def fold_scores(material: pipeline.Material, respondent: Respondent, fold: int,
                quick: bool = False) -> dict[str, np.ndarray]:
    """Scores in [0, 1] of the fold's photos by prompt, with their MOS, and the same-object answers."""
    from methods.iqarag import prompts as iqarag
    from methods.llm_iqa.standard import Standard
    from methods.q_bench.prompts import QUESTIONS
    from methods.q_debias import prompts as q_debias

    rows = [row for row in material.rated_whole if material.fold_of[row] == fold]
    shots = material.shots
    result = {"mos": np.array([shots[row].mos for row in rows]), "row": np.array(rows)}

    def ask(prompt: Prompt, queries: Sequence[tuple[int, ...]], scheme: LevelScheme, prefix: str = " ") -> np.ndarray:
        examples = [respondent.about(prompt, pictures) for pictures in queries]
        chances = respondent.probabilities(examples, [prefix + word for word in scheme.words])
        return chances @ np.asarray(scheme.weights)

    alone = [(row,) for row in rows]
    result["q-bench"] = ask(QUESTIONS["two-word"].prompt(BLANK), alone, GOOD_POOR)
    result["five-level"] = ask(QUESTIONS["five-level"].prompt(BLANK), alone, FIVE_LEVELS)
    standard = Standard()
    result["digit"] = ask(standard.prompt(BLANK), alone, tasks.standard_scale(standard), prefix="")

    references = _retrieved(material, respondent, fold, rows)
    for name, flip in (("iqarag", False), ("iqarag-flipped", True)):
        answers = []
        for row, neighbours in zip(rows, references):
            labelled = sorted(((other, 1 - q if flip else q) for other, q in neighbours), key=lambda item: -item[1])
            prompt = iqarag.with_references(BLANK, [(BLANK, FIVE_LEVELS.word_for(q)) for _, q in labelled])
            answers.append(respondent.about(prompt, (*(other for other, _ in labelled), row)))
        chances = respondent.probabilities(answers, [f" {word}" for word in FIVE_LEVELS.words])
        result[name] = chances @ np.asarray(FIVE_LEVELS.weights)

    damaged: dict[int, list[int]] = {}
    for row, shot in enumerate(shots):
        if shot.damage and not shot.level:
            damaged.setdefault(shot.group, []).append(row)
    pairs = [(first, row) for row in rows for first in damaged[shots[row].group]]
    conditioned = ask(q_debias.condition_prompt(BLANK, BLANK), pairs, GOOD_POOR)
    result["conditioned"] = conditioned.reshape(len(rows), -1).mean(axis=1)
    result["same"] = _yes(respondent, q_debias, pairs)
    strangers = [(damaged[shots[rows[(place + 1 + shift) % len(rows)]].group][shift], row)
                 for place, row in enumerate(rows) for shift in range(2)]
    result["strangers"] = _yes(respondent, q_debias, strangers)
    result["look-alikes"] = _yes(respondent, q_debias, _look_alikes(material, damaged, rows))
    if not quick:
        result["think"], result["parsed"] = _thought(respondent, rows)
    return result


def _yes(respondent: Respondent, q_debias: Any, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    examples = [respondent.about(q_debias.similarity_prompt(BLANK, BLANK), pair) for pair in pairs]
    return respondent.probabilities(examples, ["yes", "no"])[:, 0]


def _look_alikes(material: pipeline.Material, damaged: dict[int, list[int]], rows: Sequence[int]
                 ) -> list[tuple[int, int]]:
    means = material.means[rows]
    means = (means - means.mean(axis=0)) / (means.std(axis=0) + 1e-3)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    near = means @ means.T - 2 * np.eye(len(rows))
    return [(damaged[material.shots[rows[int(np.argmax(near[place]))]].group][0], row)
            for place, row in enumerate(rows)]


def _retrieved(material: pipeline.Material, respondent: Respondent, fold: int, rows: Sequence[int], k: int = 50
               ) -> list[list[tuple[int, float]]]:
    """IQARAG's retrieval over the other folds' photos, with the tower's own features."""
    from methods.iqarag.retrieval import select_references

    others = np.array([row for row in material.rated_whole if material.fold_of[row] != fold])
    mos = np.array([material.shots[row].mos for row in others])
    tokens = respondent.tokens
    vectors = np.concatenate([np.maximum(tokens, 0), np.maximum(-tokens, 0)], axis=-1)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    references = []
    for row in rows:
        order = np.argsort(-(vectors[others] @ vectors[row]), kind="stable")
        chosen = select_references(mos, order, k)
        references.append([(int(others[index]), float(mos[index])) for index in chosen])
    return references


def _thought(respondent: Respondent, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    from methods.visualquality_r1 import prompts
    from methods.visualquality_r1.answer import parse_score

    texts = respondent.texts([respondent.about(prompts.prompt(BLANK), (row,)) for row in rows], SAMPLES)
    scores = [[parse_score(text) for text in own] for own in texts]
    known = [[score for score in own if score is not None] for own in scores]
    means = np.array([(np.mean(own) - 1) / 4 if own else np.nan for own in known])
    return means, np.array([len(own) / SAMPLES for own in known])


def named_flaws(material: pipeline.Material, respondent: Respondent) -> dict[str, Any]:
    """What the reasoning names on the held-out damaged photos, against what was done to them."""
    from methods.visualquality_r1 import prompts

    rows = [row for row, shot in enumerate(material.shots) if shot.held_out]
    texts = respondent.texts([respondent.about(prompts.prompt(BLANK), (row,)) for row in rows], 1)
    right: dict[str, list[bool]] = {}
    strengths = []
    for row, (text,) in zip(rows, texts):
        shot = material.shots[row]
        truth = readout.true_flaw(shot)
        family, strength = thinking.named(text)
        right.setdefault(truth, []).append(family == truth)
        if truth != thinking.CLEAN and family == truth:
            strengths.append(strength == thinking.strength(shot.mos))
    everything = [hit for hits in right.values() for hit in hits]
    return {"named right": float(np.mean(everything)), "pictures": len(everything),
            "strength right where the name is": float(np.mean(strengths)),
            "by flaw": {name: [float(np.mean(hits)), len(hits)] for name, hits in sorted(right.items())}}


def damaged_scores(material: pipeline.Material, respondent: Respondent) -> tuple[list[int], np.ndarray]:
    """Rows and five-level scores of the held-out damaged photos."""
    from methods.q_bench.prompts import QUESTIONS

    rows = [row for row, shot in enumerate(material.shots) if shot.held_out]
    examples = [respondent.about(QUESTIONS["five-level"].prompt(BLANK), (row,)) for row in rows]
    chances = respondent.probabilities(examples, [f" {word}" for word in FIVE_LEVELS.words])
    return rows, chances @ np.asarray(FIVE_LEVELS.weights)


def calibration(scores: np.ndarray, mos: np.ndarray, bins: int = 5) -> dict[str, Any]:
    """Mean score against mean MOS in bins of equal count, and the mean distance between the two."""
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, bins)
    table = [[round(float(scores[part].mean()), 3), round(float(mos[part].mean()), 3)] for part in parts]
    error = sum(len(part) * abs(scores[part].mean() - mos[part].mean()) for part in parts) / len(scores)
    return {"score and MOS by fifth": table, "expected calibration error": float(error)}


def report(material: pipeline.Material, cache: Path, folds: Sequence[int], shipped: Path | None,
           quick: bool) -> dict[str, Any]:
    """Everything, as JSON can hold it."""
    from sklearn.metrics import roc_auc_score

    from methods.agreement.metrics import bootstrap_ci, paired_difference, plcc, srcc
    from methods.lmm.transformers_lmm import TransformersLMM

    answers = []
    for fold in folds:
        folder = cache / f"fold-{fold}"
        answers.append(fold_scores(material, Respondent(folder / "model", tokens_of(material, folder)), fold, quick))
        print(f"fold {fold}: " + ", ".join(
            f"{name} {srcc(answers[-1][name], answers[-1]['mos']):.3f}" for name in answers[-1]
            if name not in ("mos", "row", "same", "strangers", "look-alikes", "parsed")), file=sys.stderr, flush=True)
    result: dict[str, Any] = {}
    if answers:
        joined = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
        mos = joined["mos"]
        for name in ("q-bench", "five-level", "digit", "iqarag", "iqarag-flipped", "conditioned", "think"):
            if name in joined:
                usable = ~np.isnan(joined[name])
                low, high = bootstrap_ci(joined[name][usable], mos[usable])
                result[name] = {
                    "srcc": srcc(joined[name][usable], mos[usable]), "interval": [low, high],
                    "plcc": plcc(joined[name][usable], mos[usable]), "n": int(usable.sum()),
                    "mean over folds": float(np.mean([srcc(a[name][~np.isnan(a[name])], a["mos"][~np.isnan(a[name])])
                                                      for a in answers]))}
        for better, base in (("iqarag", "five-level"), ("conditioned", "q-bench")):
            gap = paired_difference(joined[better], joined[base], mos)
            result[f"{better} minus {base}"] = f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
        result["flipped labels change the score against the labels"] = float(np.mean(
            np.sign(joined["iqarag-flipped"] - 0.5) != np.sign(joined["iqarag"] - 0.5)))
        result["correlation of flipped with straight"] = srcc(joined["iqarag-flipped"], joined["iqarag"])
        for other in ("strangers", "look-alikes"):
            truth = np.r_[np.ones(len(joined["same"])), np.zeros(len(joined[other]))]
            result[f"same object, AUC against {other}"] = float(
                roc_auc_score(truth, np.r_[joined["same"], joined[other]]))
        result["calibration of five-level"] = calibration(joined["five-level"], mos)
        result["calibration of q-bench"] = calibration(joined["q-bench"], mos)
        if "parsed" in joined:
            result["answers that can be read"] = float(joined["parsed"].mean())
    if shipped is not None:
        respondent = Respondent(shipped, tokens_of(material, cache / "shipped"))
        rows, scores = damaged_scores(material, respondent)
        truth = np.array([material.shots[row].mos for row in rows])
        low, high = bootstrap_ci(scores, truth)
        by_type: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            by_type.setdefault(material.shots[row].damage or "pristine", []).append(place)
        result["held-out damage"] = {
            "srcc": srcc(scores, truth), "interval": [low, high], "n": len(rows),
            "by type": {name: [srcc(scores[places], truth[places]), len(places)]
                        for name, places in by_type.items() if name != "pristine"}}
        result["reasoning"] = named_flaws(material, respondent)
        photos = dict.fromkeys(shot.photo for shot in material.shots if shot.held_out)
        result["limits"] = other_kinds.measure(TransformersLMM(shipped), list(photos))
    return result


def tokens_of(material: pipeline.Material, folder: Path) -> np.ndarray:
    """float32 [shots, READOUT]: all shots as the model in a fold's cache folder sees them."""
    return readout.Directions.load(folder / "fitted.npz").tokens(material.grids).mean(axis=1)


def main(argv: list[str] | None = None) -> int:
    from methods.embedded.lmm.__main__ import parser as training_parser
    from methods.embedded.lmm.__main__ import tables_of

    arguments = argparse.ArgumentParser(
        prog="python -m methods.embedded.lmm.evaluate", parents=[training_parser(add_help=False)],
        description="Measures the trained checkpoints; takes the same arguments as the training.")
    arguments.add_argument("--quick", action="store_true", help="leave out everything that is sampled word by word")
    arguments.add_argument("--report", type=Path, help="also write the numbers to this JSON file")
    options = arguments.parse_args(argv)
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch

    torch.set_num_threads(1)
    material = pipeline.prepare(tables_of(options.mos), options.photos, options.cache, options.folds)
    folds = [fold for fold in range(options.folds) if (options.cache / f"fold-{fold}" / "model").is_dir()]
    shipped = options.out if (options.out / "config.json").exists() else None
    result = report(material, options.cache, folds, shipped, options.quick)
    text = json.dumps(result, indent=2)
    print(text)
    if options.report:
        options.report.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
