"""Builds tiny random checkpoints of every family on disk: real architectures and processors, a few thousand weights.

Everything is made from scratch, without the Hub: a byte-level BPE tokenizer learned from a few sentences, the
family's own processor and a chat template. The weights are random but seeded, so a checkpoint is the same wherever
it is built. `build("fast_vlm", folder)` gives a folder that `TransformersLMM` loads as it loads the real one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from methods.torchvision_compat import ensure_torchvision

IMAGE_SIZE = 32
PATCH = 8

SENTENCES = (
    "Rate the quality of the image. Good or poor? The quality of the image is good",
    "How would you rate the quality of this image? The quality of this image is excellent good fair poor bad",
    "The visual quality of the first image is poor. How about the visual quality of the second image?",
    "Do these two images describe the same object? Yes or no? Yes No Good Poor",
    "Give you five images. This image's quality is perfect. very bad noise blur dark 0 1 2 3 4 5 6 7 8 9",
)

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE_TOKEN{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(image_token: str, *others: str, **named: str) -> Any:
    """A byte-level BPE with digits apart, a handful of merges and the family's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", image_token, *others]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False, min_frequency=1,
    )
    core.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=4096,
        extra_special_tokens={"image_token": image_token, **named},
    )


def _text(vocabulary: Any, **changes: Any) -> dict[str, Any]:
    """Settings of a two-layer text model, as every config class of the Llama line takes them."""
    settings = {
        "vocab_size": len(vocabulary), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
        "tie_word_embeddings": False, "bos_token_id": None, "eos_token_id": vocabulary.eos_token_id,
        "pad_token_id": vocabulary.pad_token_id,
    }
    return {**settings, **changes}


def _vision(**changes: Any) -> dict[str, Any]:
    settings = {
        "image_size": IMAGE_SIZE, "patch_size": PATCH, "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4,
    }
    return {**settings, **changes}


def _clip_processor(size: int = IMAGE_SIZE) -> Any:
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(
        size={"height": size, "width": size}, crop_size={"height": size, "width": size}, do_center_crop=False
    )


def fast_vlm() -> tuple[Any, Any]:
    """The embedded model's family: an EfficientNet tower, a Qwen2 text model, LLaVA's processor."""
    from transformers import (
        EfficientNetConfig,
        FastVlmConfig,
        FastVlmForConditionalGeneration,
        LlavaProcessor,
        Qwen2Config,
    )

    words = tokenizer("<image>")
    tower = EfficientNetConfig(
        image_size=64, width_coefficient=0.25, depth_coefficient=0.1, hidden_dim=320, hidden_act="relu6",
        squeeze_expansion_ratio=0.25, drop_connect_rate=0.0, in_channels=[32, 16, 24], out_channels=[16, 24, 40],
        kernel_sizes=[3, 3, 5], strides=[1, 2, 2], num_block_repeats=[1, 1, 1], expand_ratios=[1, 6, 6],
        depthwise_padding=[],
    )
    config = FastVlmConfig(
        vision_config={**tower.to_dict(), "hidden_size": 320}, text_config=Qwen2Config(**_text(words)).to_dict(),
        image_token_index=words.convert_tokens_to_ids("<image>"), image_seq_length=64, vision_feature_layer=-1,
        vision_feature_select_strategy="full", tie_word_embeddings=False,
    )
    processor = LlavaProcessor(
        image_processor=_clip_processor(64), tokenizer=words, patch_size=8, vision_feature_select_strategy="full",
        chat_template=TEMPLATE.replace("IMAGE_TOKEN", "<image>"),
    )
    return FastVlmForConditionalGeneration(config), processor


def llava() -> tuple[Any, Any]:
    """LLaVA 1.5 and BakLLaVA: a CLIP tower without its class token, a Llama text model."""
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    words = tokenizer("<image>")
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_vision()), text_config=LlamaConfig(**_text(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"), vision_feature_layer=-2,
        vision_feature_select_strategy="default", image_seq_length=16, tie_word_embeddings=False,
    )
    processor = LlavaProcessor(
        image_processor=_clip_processor(), tokenizer=words, patch_size=PATCH, num_additional_image_tokens=1,
        vision_feature_select_strategy="default", chat_template=TEMPLATE.replace("IMAGE_TOKEN", "<image>"),
    )
    return LlavaForConditionalGeneration(config), processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {"fast_vlm": fast_vlm, "llava": llava}


def build(family: str, folder: str | Path, image_budget: int | None = None) -> Path:
    """Writes a tiny random checkpoint.

    Args:
        family: one of `FAMILIES`.
        folder: where to write it; made if it is not there.
        image_budget: written into the checkpoint's config, where `TransformersLMM` reads it.

    Returns:
        the folder.
    """
    ensure_torchvision()
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, processor = FAMILIES[family]()
        # Fresh weights of standard deviation 0.02 give logits that hardly differ; ones that differ show errors.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 4:
                    torch.nn.init.kaiming_normal_(parameter, mode="fan_in", nonlinearity="relu")
                elif parameter.dim() > 1:
                    parameter.mul_(4)
    if image_budget is not None:
        model.config.image_budget = image_budget
    folder = Path(folder)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
