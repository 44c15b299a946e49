"""What RL2R training takes of each device's memory, computed from the model's config before a byte of it is loaded.

Two moments decide: the step, with gradients and the activations of one pass, and the sampling before it, with the KV
cache of all answers. Weights, AdamW's two moments and the reference model are there in both.

    all weights, one device    float32 weights 4, gradients 4, moments 8, reference 4 bytes a weight
    all weights, ZeRO-3        bfloat16 weights 2, gradients 2, reference 2, float32 weights 4, moments 8, all divided
                               by the devices; while sampling, each device also gathers the bfloat16 weights, 2
    LoRA                       frozen weights 2; an adapter's weights 4, gradients 4, moments 8; the frozen weights
                               without the adapters are the reference
    vLLM on the same devices   while sampling, its own weights 2 and the cache; the policy is not gathered at once

Where the passes do not run in bfloat16 (no GPU), what has 2 bytes above has 4. Weights, gradients and moments are
exact; activations are those of the text model, since each distinct image passes the tower once for its K answers.
Never compared with a GPU: fragments, the CUDA context and libraries' workspaces take some GB more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from methods.lmm.loaded import Config
    from methods.visualquality_r1.training.trainer import RL2RSettings


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of one device.

    Attributes:
        weights: of the policy, with the float32 weights behind bfloat16 ones; adapters included.
        gradients: of what is trained.
        moments: AdamW's two of each trained weight.
        reference: the model that the KL term compares with.
        activations: of the forward and backward pass over one micro-batch.
        cache: keys and values of the answers while they are sampled.
        gathered: the whole weights that a device collects, or vLLM holds, to sample.
    """

    weights: int
    gradients: int
    moments: int
    reference: int
    activations: int
    cache: int
    gathered: int

    @property
    def step(self) -> int:
        """While a step's passes run."""
        return self.weights + self.gradients + self.moments + self.reference + self.activations

    @property
    def sampling(self) -> int:
        """While answers are sampled; gradients have been given back."""
        return self.weights + self.moments + self.reference + self.cache + self.gathered

    @property
    def peak(self) -> int:
        """The larger of the two moments."""
        return max(self.step, self.sampling)


@dataclass(frozen=True)
class Counts:
    """Weights of a model.

    Attributes:
        all: of every parameter once, however many modules share it.
        trained: of those that training changes; LoRA's adapters where there are some, else all but a frozen tower's.
    """

    all: int
    trained: int


def counts(config: Config, settings: RL2RSettings) -> Counts:
    """Counts the weights of a transformers config, on the meta device, which holds none.

    Raises:
        InputError: PEFT is asked for and not installed, or the tower cannot be frozen.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    from methods.visualquality_r1.training.trainer import adapters_of
    from methods.visualquality_r1.training.vision import freeze_tower

    with torch.device("meta"):
        network: Any = AutoModelForImageTextToText.from_config(config)
        every = sum(parameter.numel() for parameter in network.parameters())
        if settings.freeze_vision:
            freeze_tower(network)
        if settings.lora:
            from peft import get_peft_model

            network = get_peft_model(network, adapters_of(settings))
    return Counts(every, sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad))


def training_memory(config: Config, settings: RL2RSettings, *, prompt_tokens: int, devices: int = 1,
                    sharded: bool = False, mixed: bool = True) -> TrainingMemory:
    """What each device holds.

    Args:
        config: of a transformers image-text-to-text model.
        prompt_tokens: of one prompt, its image's included.
        devices: processes.
        sharded: whether DeepSpeed's ZeRO-3 deals weights, gradients and moments out to them.
        mixed: whether passes run in bfloat16.
    """
    from methods.visualquality_r1.training.trainer import weights_dtype

    counted = counts(config, settings)
    passing = 2 if mixed else 4
    parts = devices if sharded else 1
    master = 4 if sharded and mixed else 0
    adapters = counted.trained if settings.lora else 0
    weight_bytes = passing if sharded else weights_dtype(mixed, settings).itemsize
    text = config.get_text_config()
    texts = settings.images * settings.generations
    length = prompt_tokens + settings.max_new_tokens
    kept = _kept_in_layers(text, settings.gradient_checkpointing, passing)
    every_answer = texts * settings.gradient_accumulation
    whole = counted.all * passing
    return TrainingMemory(
        weights=(counted.all * weight_bytes + adapters * 4
                 + (0 if settings.lora else counted.trained * master)) // parts,
        gradients=counted.trained * (passing if master and not settings.lora else 4) // parts,
        moments=8 * counted.trained // parts,
        reference=0 if settings.lora or not settings.beta else counted.all * weight_bytes // parts,
        activations=texts * length * kept,
        cache=every_answer * length * _cache_bytes(text, passing) if settings.vllm != "server" else 0,
        gathered=whole if settings.vllm == "colocate" or (sharded and settings.vllm is None) else 0,
    )


def _kept_in_layers(text: Config, checkpointing: bool, size: int) -> int:
    """Bytes per token that the text model keeps for the backward pass, and works on in the layer at hand.

    The logits are left out: TRL computes them in pieces. A float32 residual stream beside the passes' precision is
    counted, since autocast keeps it.
    """
    queries = text.num_attention_heads * _head_width(text)
    attention = 2 * queries + 2 * _kv_width(text)
    one = size * (4 * text.hidden_size + attention + 4 * text.intermediate_size) + 4 * 4 * text.hidden_size
    if not checkpointing:
        return int(text.num_hidden_layers * one)
    # Each layer's input, and one layer that is computed again, with its gradients.
    return int(text.num_hidden_layers * 4 * text.hidden_size + 2 * one)


def _head_width(text: Config) -> int:
    return int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)


def _kv_width(text: Config) -> int:
    return int((getattr(text, "num_key_value_heads", None) or text.num_attention_heads) * _head_width(text))


def _cache_bytes(text: Config, size: int) -> int:
    """Keys and values of one token in all layers."""
    return int(2 * _kv_width(text) * size * text.num_hidden_layers)
