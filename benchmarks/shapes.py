"""Models of real size as configs, without the Hub: the shapes of the catalogue's families, and tiny ones.

Widths and depths are those that the released checkpoints state. The tokenizer is a small one that reads every text, so
texts have more tokens than with the checkpoint's own; a picture's tokens are the family's. The vocabulary is of real
size, so that the output layer costs what it costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.tiny_lmm import TEMPLATE

if TYPE_CHECKING:
    from methods.lmm.transformers_lmm import TransformersLMM

VOCABULARY = {"qwen3-vl": 151_936, "qwen2.5-vl": 152_064, "internvl3.5": 151_936}


@dataclass(frozen=True)
class Shape:
    """A model's config in the words of its family's config class.

    Attributes:
        family: key of `FAMILIES`.
        text, vision: what differs from the family's other models.
        weights: of the released checkpoint, a count that the config is held to.
    """

    family: str
    text: dict[str, Any]
    vision: dict[str, Any]
    weights: int | None = None


def _text(hidden: int, inner: int, layers: int, heads: int, shared: int, **more: Any) -> dict[str, Any]:
    return {"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": shared, **more}


_SMALL_TOWER = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "deepstack_visual_indexes": [5, 11, 17]}
_LARGE_TOWER = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "deepstack_visual_indexes": [8, 16, 24]}

SHAPES = {
    "qwen3-vl-2b": Shape("qwen3-vl", _text(2048, 6144, 28, 16, 8, tie_word_embeddings=True), _SMALL_TOWER,
                         2_127_532_032),
    "qwen3-vl-4b": Shape("qwen3-vl", _text(2560, 9728, 36, 32, 8, tie_word_embeddings=True), _SMALL_TOWER,
                         4_437_815_808),
    "qwen3-vl-8b": Shape("qwen3-vl", _text(4096, 12288, 36, 32, 8), _LARGE_TOWER, 8_767_123_696),
    "qwen2.5-vl-7b": Shape("qwen2.5-vl", _text(3584, 18944, 28, 28, 4), {}, 8_292_166_656),
    "internvl3.5-8b": Shape("internvl3.5", _text(4096, 12288, 36, 32, 8), {}, 8_528_318_464),
    "tiny": Shape("qwen3-vl", _text(64, 128, 2, 4, 2, head_dim=16),
                  {"depth": 3, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4,
                   "deepstack_visual_indexes": [0, 1]}),
}


def config(name: str, **text: Any) -> Any:
    """The transformers config of a shape.

    Args:
        name: key of `SHAPES`.
        text: what the text model has otherwise.
    """
    shape = SHAPES[name]
    return FAMILIES[shape.family](replace(shape, text={**shape.text, **text}), words(shape.family))


def words(family: str) -> Any:
    """The tokenizer of a family: few words, and all of its special tokens."""
    from tests.tiny_tokenizer import tokenizer

    named = _INTERN_TOKENS if family == "internvl3.5" else _QWEN_TOKENS
    image = "<IMG_CONTEXT>" if family == "internvl3.5" else "<|image_pad|>"
    return tokenizer(image, *(token for token in named.values() if token != image), **named)


_QWEN_TOKENS = {"video_token": "<|video_pad|>", "vision_start_token": "<|vision_start|>",
                "vision_end_token": "<|vision_end|>"}
_INTERN_TOKENS = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
                  "video_token": "<video>"}


def _rotary(theta: float, width: int, interleaved: bool = False) -> dict[str, Any]:
    half = width // 2
    sections = [half - 2 * (5 * half // 16), 5 * half // 16, 5 * half // 16] if interleaved else \
        [half // 4, 3 * half // 8, 3 * half // 8]
    return {"rope_type": "default", "rope_theta": theta, "mrope_section": sections, "mrope_interleaved": interleaved}


def _qwen3(shape: Shape, words: Any) -> Any:
    from transformers import Qwen3VLConfig

    text = {"vocab_size": VOCABULARY["qwen3-vl"], "head_dim": 128, "max_position_embeddings": 262_144,
            "tie_word_embeddings": False, "eos_token_id": words.eos_token_id, **shape.text}
    text["rope_parameters"] = _rotary(5e6, text["head_dim"], interleaved=True)
    vision = {"num_heads": 16, "patch_size": 16, "num_position_embeddings": 2304,
              "out_hidden_size": text["hidden_size"], **shape.vision}
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=text["tie_word_embeddings"],
                         **_qwen_tokens(words))


def _qwen25(shape: Shape, words: Any) -> Any:
    from transformers import Qwen2_5_VLConfig

    text = {"vocab_size": VOCABULARY["qwen2.5-vl"], "max_position_embeddings": 128_000, "tie_word_embeddings": False,
            "eos_token_id": words.eos_token_id, **shape.text}
    text["rope_parameters"] = _rotary(1e6, text["hidden_size"] // text["num_attention_heads"])
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "patch_size": 14,
              "out_hidden_size": text["hidden_size"], "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31],
              **shape.vision}
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=text["tie_word_embeddings"],
                            **_qwen_tokens(words))


def _internvl(shape: Shape, words: Any) -> Any:
    from transformers import InternVLConfig, Qwen3Config

    text = {"vocab_size": VOCABULARY["internvl3.5"], "head_dim": 128, "max_position_embeddings": 40_960,
            "tie_word_embeddings": False, "eos_token_id": words.eos_token_id, **shape.text}
    vision = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
              "image_size": [448, 448], "patch_size": [14, 14], "attention_bias": True, **shape.vision}
    return InternVLConfig(text_config=Qwen3Config(**text).to_dict(), vision_config=vision, image_seq_length=256,
                          image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"), tie_word_embeddings=False)


def _qwen_tokens(words: Any) -> dict[str, int]:
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
             "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    return {key: words.convert_tokens_to_ids(name) for key, name in names.items()}


FAMILIES: dict[str, Callable[[Shape, Any], Any]] = {
    "qwen3-vl": _qwen3, "qwen2.5-vl": _qwen25, "internvl3.5": _internvl,
}


def processor(name: str, most_pixels: int = 2**20) -> Any:
    """The processor of a shape: the family's images in patches and tiles, the small tokenizer's texts."""
    family = SHAPES[name].family
    if family == "internvl3.5":
        from transformers import GotOcr2ImageProcessor, InternVLProcessor, InternVLVideoProcessor

        size = {"height": 448, "width": 448}
        tiles = GotOcr2ImageProcessor(size=size, max_patches=max(1, most_pixels // 448**2), crop_to_patches=True)
        return InternVLProcessor(image_processor=tiles, video_processor=InternVLVideoProcessor(size=size),
                                 tokenizer=words(family), image_seq_length=256,
                                 chat_template=TEMPLATE.replace("IMAGE_TOKEN", "<IMG_CONTEXT>\n"))
    from transformers import (
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    patch, video, kind = (16, Qwen3VLVideoProcessor(patch_size=16), Qwen3VLProcessor) if family == "qwen3-vl" \
        else (14, Qwen2VLVideoProcessor(), Qwen2_5_VLProcessor)
    limits = {"shortest_edge": (4 * patch) ** 2, "longest_edge": most_pixels}
    template = TEMPLATE.replace("IMAGE_TOKEN", "<|vision_start|><|image_pad|><|vision_end|>")
    return kind(image_processor=Qwen2VLImageProcessor(patch_size=patch, size=limits), video_processor=video,
                tokenizer=words(family), chat_template=template)


def random_lmm(name: str, device: str, most_pixels: int = 2**20) -> TransformersLMM:
    """A model of that shape with random weights, made on the device: bfloat16 on a GPU, float32 on the CPU."""
    import torch
    from transformers import AutoModelForImageTextToText

    from methods.lmm.checkpoint import Checkpoint
    from methods.lmm.pixels import limited
    from methods.lmm.transformers_lmm import TransformersLMM

    torch.manual_seed(0)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config(name), dtype=dtype).eval().requires_grad_(False)
    made = processor(name, most_pixels)
    lmm = TransformersLMM.__new__(TransformersLMM)
    # As a checkpoint is held, not as `wrap` holds a model in training: encodings stay across calls.
    lmm._hold(Checkpoint.of(model, made, f"random {name}"), f"random {name}", None, limited(model, made, None), True)
    return lmm
