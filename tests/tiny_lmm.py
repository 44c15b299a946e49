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
from tests.tiny_tokenizer import tokenizer

IMAGE_SIZE = 32
PATCH = 8

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE_TOKEN{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
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


def llava(vocabulary: Callable[..., Any] = tokenizer, template: str = TEMPLATE) -> tuple[Any, Any]:
    """LLaVA 1.5 and BakLLaVA: a CLIP tower without its class token, a Llama text model.

    Args:
        vocabulary: makes the tokenizer; `tests.real_vocabularies` has some.
        template: a chat template with IMAGE_TOKEN in the place of the picture's token.
    """
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    words = vocabulary("<image>")
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_vision()), text_config=LlamaConfig(**_text(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"), vision_feature_layer=-2,
        vision_feature_select_strategy="default", image_seq_length=16, tie_word_embeddings=False,
    )
    processor = LlavaProcessor(
        image_processor=_clip_processor(), tokenizer=words, patch_size=PATCH, num_additional_image_tokens=1,
        vision_feature_select_strategy="default", chat_template=template.replace("IMAGE_TOKEN", "<image>"),
    )
    return LlavaForConditionalGeneration(config), processor


def llava_onevision() -> tuple[Any, Any]:
    """LLaVA-OneVision: tiles for a picture that stands alone, one view of each of several; a Qwen2 text model."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
        Qwen2Config,
        SiglipVisionConfig,
    )

    words = tokenizer("<image>", "<video>", video_token="<video>")
    side, grid = IMAGE_SIZE, [[IMAGE_SIZE * rows, IMAGE_SIZE * columns] for rows in (1, 2) for columns in (1, 2)]
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(**_vision(vision_use_head=False)), text_config=Qwen2Config(**_text(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"), image_grid_pinpoints=grid,
        vision_feature_layer=-1, vision_feature_select_strategy="full", vision_aspect_ratio="anyres_max_9",
    )
    size = {"height": side, "width": side}
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=grid),
        video_processor=LlavaOnevisionVideoProcessor(size=size), tokenizer=words,
        num_image_tokens=(side // PATCH) ** 2, vision_feature_select_strategy="full",
        chat_template=TEMPLATE.replace("IMAGE_TOKEN", "<image>"),
    )
    return LlavaOnevisionForConditionalGeneration(config), processor


_QWEN_TOKENS = {
    "video_token": "<|video_pad|>", "vision_start_token": "<|vision_start|>", "vision_end_token": "<|vision_end|>",
}
_QWEN_TEMPLATE = TEMPLATE.replace("IMAGE_TOKEN", "<|vision_start|><|image_pad|><|vision_end|>")


def _qwen(words: Any) -> dict[str, int]:
    return {
        "image_token_id": words.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": words.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": words.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": words.convert_tokens_to_ids("<|vision_end|>"),
    }


def _qwen_image_processor(most_pixels: int = 64 * 64) -> Any:
    from transformers import Qwen2VLImageProcessor

    limits = {"shortest_edge": 16 * 16, "longest_edge": most_pixels}
    return Qwen2VLImageProcessor(patch_size=PATCH, size=limits)


def qwen3_vl(width: int = 32, layers: int = 2, most_pixels: int = 64 * 64,
             vocabulary: Callable[..., Any] = tokenizer) -> tuple[Any, Any]:
    """Qwen3-VL: pictures in their own aspect ratio, deepstack features, interleaved M-RoPE.

    Args:
        width: hidden size of the tower and of the text model, a multiple of 32.
        layers: of the text model; the tower has one more.
        most_pixels: pictures are scaled down to this many.
        vocabulary: makes the tokenizer; `tests.real_vocabularies` has Qwen's own.
    """
    from transformers import (
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    words = vocabulary("<|image_pad|>", *_QWEN_TOKENS.values(), **_QWEN_TOKENS)
    sections = [width // 16, width // 32, width // 32]
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections, "mrope_interleaved": True}
    config = Qwen3VLConfig(
        vision_config={
            "depth": layers + 1, "hidden_size": width, "intermediate_size": 2 * width, "num_heads": 4,
            "patch_size": PATCH,
            "out_hidden_size": width, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1],
        },
        text_config=_text(
            words, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, head_dim=width // 4,
            rope_parameters=rope,
        ),
        **_qwen(words),
    )
    processor = Qwen3VLProcessor(
        image_processor=_qwen_image_processor(most_pixels), tokenizer=words,
        video_processor=Qwen3VLVideoProcessor(patch_size=PATCH), chat_template=_QWEN_TEMPLATE,
    )
    return Qwen3VLForConditionalGeneration(config), processor


def qwen2_5_vl() -> tuple[Any, Any]:
    """Qwen2.5-VL and VisualQuality-R1: window attention in the tower, M-RoPE."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLVideoProcessor,
    )

    words = tokenizer("<|image_pad|>", *_QWEN_TOKENS.values(), **_QWEN_TOKENS)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "patch_size": PATCH,
            "out_hidden_size": 32, "window_size": 32, "fullatt_block_indexes": [1],
        },
        text_config=_text(words, rope_parameters=rope), **_qwen(words),
    )
    processor = Qwen2_5_VLProcessor(
        image_processor=_qwen_image_processor(), tokenizer=words,
        video_processor=Qwen2VLVideoProcessor(patch_size=PATCH), chat_template=_QWEN_TEMPLATE,
    )
    return Qwen2_5_VLForConditionalGeneration(config), processor


def internvl() -> tuple[Any, Any]:
    """InternVL3.5 in its -HF form: tiles and a thumbnail, pixel shuffle, a Qwen3 text model."""
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
        InternVLVisionConfig,
        Qwen3Config,
    )

    named = {
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    words = tokenizer("<IMG_CONTEXT>", *(token for token in named.values() if token != "<IMG_CONTEXT>"), **named)
    side = IMAGE_SIZE
    config = InternVLConfig(
        vision_config=InternVLVisionConfig(**_vision(image_size=[side, side], patch_size=[PATCH, PATCH])),
        text_config=Qwen3Config(**_text(words, head_dim=8)),
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"), image_seq_length=4, downsample_ratio=0.5,
        tie_word_embeddings=False,
    )
    size = {"height": side, "width": side}
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, max_patches=4, crop_to_patches=True),
        video_processor=InternVLVideoProcessor(size=size), tokenizer=words, image_seq_length=4,
        chat_template=TEMPLATE.replace("IMAGE_TOKEN", "<IMG_CONTEXT>\n"),
    )
    return InternVLForConditionalGeneration(config), processor


def _idefics_tokens() -> tuple[str, ...]:
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    return ("<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *tiles)


def _idefics_config(words: Any) -> dict[str, Any]:
    from transformers import LlamaConfig

    return {
        "vision_config": _vision(), "text_config": LlamaConfig(**_text(words)), "scale_factor": 2,
        "image_token_id": words.convert_tokens_to_ids("<image>"), "pad_token_id": words.pad_token_id,
    }


def smolvlm() -> tuple[Any, Any]:
    """SmolVLM2: tiles with row and column tokens, pixel shuffle, a Llama text model."""
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    words = tokenizer("<image>", *_idefics_tokens())
    limits = {"size": {"longest_edge": 2 * IMAGE_SIZE}, "max_image_size": {"longest_edge": IMAGE_SIZE}}
    processor = SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(**limits), tokenizer=words,
        video_processor=SmolVLMVideoProcessor(**limits), image_seq_len=4,
        chat_template=TEMPLATE.replace("IMAGE_TOKEN", "<image>"),
    )
    return SmolVLMForConditionalGeneration(SmolVLMConfig(**_idefics_config(words))), processor


def idefics3() -> tuple[Any, Any]:
    """Idefics3, SmolVLM's parent."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    words = tokenizer("<image>", *_idefics_tokens())
    limits = {"size": {"longest_edge": 2 * IMAGE_SIZE}, "max_image_size": {"longest_edge": IMAGE_SIZE}}
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(**limits), tokenizer=words, image_seq_len=4,
        chat_template=TEMPLATE.replace("IMAGE_TOKEN", "<image>"),
    )
    return Idefics3ForConditionalGeneration(Idefics3Config(**_idefics_config(words))), processor


def gemma3() -> tuple[Any, Any]:
    """Gemma 3: pictures attend to themselves in both directions, every other layer sees a short window only."""
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3Processor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )

    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    words = tokenizer("<image_soft_token>", *named.values(), **named)
    config = Gemma3Config(
        vision_config=SiglipVisionConfig(**_vision()),
        text_config=Gemma3TextConfig(
            **_text(words, head_dim=8, query_pre_attn_scalar=8, sliding_window=24,
                    layer_types=["sliding_attention", "full_attention"])
        ),
        mm_tokens_per_image=4, boi_token_index=words.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=words.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=words.convert_tokens_to_ids("<image_soft_token>"), tie_word_embeddings=False,
    )
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}), tokenizer=words,
        image_seq_length=4, chat_template=TEMPLATE.replace("IMAGE_TOKEN", "<start_of_image>"),
    )
    return Gemma3ForConditionalGeneration(config), processor


FAMILIES: dict[str, Callable[..., tuple[Any, Any]]] = {
    "fast_vlm": fast_vlm, "qwen3_vl": qwen3_vl, "qwen2_5_vl": qwen2_5_vl, "internvl": internvl, "llava": llava,
    "llava_onevision": llava_onevision, "smolvlm": smolvlm, "idefics3": idefics3, "gemma3": gemma3,
}


def _settle_batch_norm(model: Any) -> None:
    """Scales of one and a pass in training mode: else a random convolutional tower's output vanishes."""
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        torch.nn.init.ones_(norm.weight)
    if norms:
        tower = model.model.vision_tower.train()
        with torch.no_grad():
            tower(torch.randn(4, 3, 64, 64))


def build(family: str, folder: str | Path, image_budget: int | None = None, **settings: Any) -> Path:
    """Writes a tiny random checkpoint.

    Args:
        family: one of `FAMILIES`.
        folder: where to write it; made if it is not there.
        image_budget: written into the checkpoint's config, where `TransformersLMM` reads it.
        settings: of that family's function: for a checkpoint that is less tiny, or around a real vocabulary.

    Returns:
        the folder.
    """
    ensure_torchvision()
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, processor = FAMILIES[family](**settings)
        # Fresh weights of standard deviation 0.02 give logits that hardly differ; ones that differ show errors.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 4:
                    torch.nn.init.kaiming_normal_(parameter, mode="fan_in", nonlinearity="relu")
                elif parameter.dim() > 1:
                    parameter.mul_(4)
            # A model that makes up a picture in its answer cannot read that answer; trained ones never do.
            model.lm_head.weight[model.config.image_token_id] = 0
        _settle_batch_norm(model)
    if image_budget is not None:
        model.config.image_budget = image_budget
    folder = Path(folder)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
