"""TRL's GRPO trainer under the paper's settings (section 4.1), with batches of one set.

Weights that are trained are held in float32 and cast to bfloat16 for each pass where there is a GPU (autocast). A step
of AdamW at 1e-6 is smaller than half the distance to the next bfloat16 number for all but the smallest weights: held in
bfloat16, 2 % of them would ever move. Frozen ones, below LoRA's adapters, lose nothing in bfloat16. Under DeepSpeed the
float32 weights are its optimizer's, a shard in each process.

TRL imports torchvision, so `methods.torchvision_compat.ensure_torchvision` has to be called before this module is
imported, as `methods.visualquality_r1.train` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from trl import GRPOConfig, GRPOTrainer
from trl.import_utils import is_vllm_available

from methods.data import RatedPicture
from methods.errors import InputError
from methods.hub import loading
from methods.lmm.base import LMMError
from methods.lmm.loading import EMBEDDED
from methods.visualquality_r1.training.data import OneSetBatches, training_dataset
from methods.visualquality_r1.training.monitor import ValidationMonitor
from methods.visualquality_r1.training.reward import FidelityReward, format_reward
from methods.visualquality_r1.training.vision import TOWERS, encode_once, freeze_tower

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel


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
        lora: rank of adapters that are trained in the place of the weights; 0 trains all, as the paper does.
        vllm: who samples the answers: None for the model itself, "colocate" for a vLLM on the same devices, "server"
            for one that runs elsewhere.
        vllm_url: of the server.
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
    lora: int = 0
    vllm: str | None = None
    vllm_url: str | None = None


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
        InputError: no set fills a batch, the tower cannot be frozen, or PEFT or vLLM is asked for and not installed.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor, PrinterCallback

    # First, since under ZeRO-3 it is the arguments that tell from_pretrained to load each process's shard only.
    arguments = _arguments(out, settings)
    adapters = adapters_of(settings) if settings.lora else None
    # Before gigabytes are loaded.
    _batches([picture.dataset for picture in train], arguments)
    source, known = checkpoint_of(model), {"trust_remote_code": False}
    with loading(source, LMMError, "name another vision-language model"):
        network = AutoModelForImageTextToText.from_pretrained(
            source, dtype=weights_dtype(arguments.bf16, settings), **known)
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
        peft_config=adapters,
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


def weights_dtype(mixed: bool, settings: RL2RSettings) -> torch.dtype:
    """The precision in which the network is held: float32 if its weights are trained.

    Args:
        mixed: whether passes run in bfloat16.
    """
    return torch.bfloat16 if mixed and settings.lora else torch.float32


def passes_in_bfloat16() -> bool:
    """Whether a step's passes run in bfloat16 under autocast."""
    return torch.cuda.is_available()


def adapters_of(settings: RL2RSettings) -> LoraConfig:
    """PEFT's configuration of LoRA adapters on every linear layer but the output's, scaled by 2 (alpha is 2 r).

    Raises:
        InputError: PEFT is not installed.
    """
    try:
        from peft import LoraConfig
    except ImportError:
        raise InputError("LoRA needs PEFT; install it with: pip install -r requirements-train.txt") from None
    frozen = rf"(.*\.)?({'|'.join(TOWERS)})\..*" if settings.freeze_vision else None
    return LoraConfig(r=settings.lora, lora_alpha=2 * settings.lora, target_modules="all-linear",
                      exclude_modules=frozen, task_type="CAUSAL_LM")


def save(trainer: OneSetGRPOTrainer, source: str, out: Path) -> None:
    """Writes the trained model to `out/model`, in float32, as a checkpoint like any other.

    Adapters go to `out/adapter`, and are added to the weights of `source` in float32: in bfloat16 much of what they
    learned would be rounded away.
    """
    from accelerate.utils import is_peft_model

    if not is_peft_model(trainer.model):
        trainer.save_model(str(out / "model"))
        return
    trainer.save_model(str(out / "adapter"))
    if trainer.is_world_process_zero():
        from peft import PeftModel
        from transformers import AutoModelForImageTextToText

        network = AutoModelForImageTextToText.from_pretrained(source, dtype=torch.float32, trust_remote_code=False)
        adapted: PeftModel = PeftModel.from_pretrained(network, str(out / "adapter"))
        adapted.merge_and_unload().save_pretrained(str(out / "model"))
        trainer.processing_class.save_pretrained(str(out / "model"))
    trainer.accelerator.wait_for_everyone()


def _arguments(out: Path, settings: RL2RSettings) -> GRPOConfig:
    return GRPOConfig(
        **_vllm(settings),
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
        bf16=passes_in_bfloat16(),
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


def _vllm(settings: RL2RSettings) -> dict[str, Any]:
    """TRL's arguments for answers that vLLM samples.

    Raises:
        InputError: vLLM is not installed, or a server has no address.
    """
    if (settings.vllm == "server") != (settings.vllm_url is not None):
        raise InputError("A vLLM server and its address go together: give --vllm server and --vllm-url "
                         "http://HOST:PORT, or neither.")
    if settings.vllm is None:
        return {}
    # The trainer speaks to a server through vLLM's own code.
    if not is_vllm_available():
        raise InputError("Sampling with vLLM needs vLLM in this environment; install it with: pip install 'trl[vllm]'")
    return {"use_vllm": True, "vllm_mode": settings.vllm, "vllm_server_base_url": settings.vllm_url,
            # On devices that are shared, its weights and cache leave while the trainer's passes run.
            "vllm_enable_sleep_mode": settings.vllm == "colocate"}


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
