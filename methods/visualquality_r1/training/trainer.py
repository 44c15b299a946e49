"""TRL's GRPO trainer under the paper's settings (section 4.1), with batches of one set.

TRL imports torchvision, so `methods.torchvision_compat.ensure_torchvision` has to be called before this module is
imported, as `methods.visualquality_r1.train` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from trl import GRPOConfig, GRPOTrainer

from methods.data import RatedPicture
from methods.hub import loading
from methods.lmm.base import LMMError
from methods.lmm.loading import EMBEDDED
from methods.visualquality_r1.training.data import OneSetBatches, training_dataset
from methods.visualquality_r1.training.monitor import ValidationMonitor
from methods.visualquality_r1.training.reward import FidelityReward, format_reward
from methods.visualquality_r1.training.vision import encode_once, freeze_tower


@dataclass(frozen=True)
class RL2RSettings:
    """The paper's settings (section 4.1 and Eq. 5); where it gives none, TRL's.

    Attributes:
        generations: K.
        images: different images per device and step; the paper has eight.
        beta: weight of the KL term.
        clip: epsilon of Eq. 5.
        learning_rate: decays linearly.
        epochs, max_steps: max_steps above 0 ends earlier.
        variant, gamma, eps: of the reward, see `thurstone.fidelity_reward`.
        within: what an image is compared with, see `reward.WITHIN`; the released code compares within a process.
        format_weight: of the format reward; the paper has none, the released code 1.
        max_new_tokens: longest answer.
        longest_side: pixels that images are reduced to; None keeps them.
        validate_every, save_every: steps.
        validation_samples: K of the validation.
        freeze_vision: leave the vision tower as it is; the paper trains all layers.
    """

    generations: int = 6
    images: int = 8
    beta: float = 0.04
    clip: float = 0.2
    learning_rate: float = 1e-6
    epochs: float = 10.0
    max_steps: int = -1
    gradient_accumulation: int = 1
    variant: str = "mean"
    gamma: float = 1e-6
    eps: float = 0.0
    within: str = "batch"
    format_weight: float = 0.0
    wording: str = "paper"
    max_new_tokens: int = 2048
    longest_side: int | None = None
    validate_every: int = 50
    validation_samples: int = 6
    save_every: int = 50
    seed: int = 0
    gradient_checkpointing: bool = True
    freeze_vision: bool = False


class OneSetGRPOTrainer(GRPOTrainer):
    """GRPOTrainer whose generation batches hold images of one set (section 4.2)."""

    def _get_train_sampler(self, dataset: Any = None) -> OneSetBatches:
        dataset = self.train_dataset if dataset is None else dataset
        return _batches(dataset.with_format(None)["source"], self.args)


def _batches(sources: Sequence[str], arguments: GRPOConfig) -> OneSetBatches:
    """Batches over all processes."""
    return OneSetBatches(
        sources,
        generations=arguments.num_generations,
        batch_size=arguments.generation_batch_size // arguments.num_generations,
        repeat_count=arguments.num_iterations * arguments.steps_per_generation,
        seed=arguments.seed,
    )


def make_trainer(model: str, train: Sequence[RatedPicture], validation: Sequence[RatedPicture], out: Path,
                 settings: RL2RSettings) -> OneSetGRPOTrainer:
    """A trainer that is ready to run.

    Args:
        model: a Hub id, a checkpoint folder, or "embedded".
        train, validation: the parts of a split.
        out: receives checkpoints, `validation.csv` and the trained model.

    Raises:
        LMMError: the model cannot be loaded; one sentence.
        InputError: no set fills a batch, or the tower cannot be frozen.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor, PrinterCallback

    # First, since under ZeRO-3 it is the arguments that tell from_pretrained to load each process's shard only.
    arguments = _arguments(out, settings)
    # Before gigabytes are loaded.
    _batches([picture.dataset for picture in train], arguments)
    source, known = checkpoint_of(model), {"trust_remote_code": False}
    with loading(source, LMMError, "name another vision-language model"):
        network = AutoModelForImageTextToText.from_pretrained(
            source, dtype=torch.bfloat16 if arguments.bf16 else torch.float32, **known)
        processor = AutoProcessor.from_pretrained(source, **known)
    # The reference model's parts get the attention that the policy's parts got; TRL would ask for one for all.
    arguments.model_init_kwargs = {"attn_implementation": _attention(network)}
    keep_batch_norm(network)
    memory = freeze_tower(network) if settings.freeze_vision else None
    rewards: list[Any] = [FidelityReward(settings.gamma, settings.variant, settings.eps, settings.within)]
    if settings.format_weight:
        rewards.append(format_reward)
    monitor = ValidationMonitor(
        validation, processor, out, settings.validate_every, wording=settings.wording,
        samples=settings.validation_samples, max_new_tokens=settings.max_new_tokens,
        longest_side=settings.longest_side,
    )
    trainer = OneSetGRPOTrainer(
        model=network,
        processing_class=processor,
        reward_funcs=rewards,
        train_dataset=training_dataset(train, settings.wording, settings.longest_side),
        callbacks=[monitor],
        args=arguments,
    )
    monitor.trainer = trainer
    # The monitor says the same in fewer words.
    trainer.remove_callback(PrinterCallback)
    encode_once(network)
    if trainer.ref_model is not None:
        reference = trainer.accelerator.unwrap_model(trainer.ref_model)
        if memory is not None:
            freeze_tower(reference, memory)
        encode_once(reference)
    return trainer


def _arguments(out: Path, settings: RL2RSettings) -> GRPOConfig:
    return GRPOConfig(
        output_dir=str(out),
        reward_weights=[1.0, settings.format_weight] if settings.format_weight else [1.0],
        num_generations=settings.generations,
        # TRL counts texts, the paper images.
        per_device_train_batch_size=settings.images * settings.generations,
        gradient_accumulation_steps=settings.gradient_accumulation,
        gradient_checkpointing=settings.gradient_checkpointing,
        beta=settings.beta,
        epsilon=settings.clip,
        loss_type="grpo",
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps,
        max_completion_length=settings.max_new_tokens,
        temperature=1.0,
        top_k=50,
        top_p=1.0,
        bf16=torch.cuda.is_available(),
        # Unless they are told, processes that were launched without a GPU train a model each.
        use_cpu=not torch.accelerator.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        logging_steps=1,
        save_steps=settings.save_every,
        save_total_limit=2,
        seed=settings.seed,
        report_to=[],
        disable_tqdm=True,
    )


def checkpoint_of(model: str) -> str:
    """What transformers is to load: the folder of "embedded", else the folder or Hub id itself.

    Raises:
        LMMError: a folder that holds no checkpoint, or a name that is neither a folder nor a Hub id.
    """
    folder = EMBEDDED if model == "embedded" else Path(model).expanduser()
    if folder.exists() or model.startswith((".", "/", "~")):
        if not (folder / "config.json").is_file():
            raise LMMError(f"{folder} holds no config.json, so it is no checkpoint to train.")
        return str(folder)
    if model.count("/") != 1:
        raise LMMError(f"{model} is neither a checkpoint folder nor a Hub id (owner/name).")
    return model


def _attention(network: torch.nn.Module) -> dict[str, str]:
    config = network.config
    parts = {name: getattr(config, name) for name in config.sub_configs if getattr(config, name, None) is not None}
    return {"": config._attn_implementation, **{name: part._attn_implementation for name, part in parts.items()}}


def keep_batch_norm(network: torch.nn.Module) -> None:
    """Keeps batch normalisation in evaluation mode whatever the trainer asks for.

    A convolutional tower would otherwise see each batch's own statistics, and the policy that is trained would not be
    the one that was sampled.
    """
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
            module.train = lambda mode=True, module=module: module
