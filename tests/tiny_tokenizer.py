"""A byte-level BPE tokenizer learned from a few sentences, the same wherever it is built; for `tests.tiny_lmm`."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

SENTENCES = (
    "Rate the quality of the image. Good or poor? The quality of the image is good",
    "How would you rate the quality of this image? The quality of this image is excellent good fair poor bad",
    "The visual quality of the first image is poor. How about the visual quality of the second image?",
    "Do these two images describe the same object? Yes or no? Yes No Good Poor",
    "Give you five images. This image's quality is perfect. very bad noise blur dark 0 1 2 3 4 5 6 7 8 9",
)


def tokenizer(image_token: str, *others: str, **named: str) -> Any:
    """A byte-level BPE with digits apart, a handful of merges and the family's special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    words = Counter(word for sentence in SENTENCES for word, _ in split.pre_tokenize_str(sentence))
    merges = learn_merges(words, 200)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", image_token, *others]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*special, *alphabet, *map("".join, merges)])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    core.pre_tokenizer, core.decoder = split, decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=4096,
        extra_special_tokens={"image_token": image_token, **named},
    )


def learn_merges(words: Counter[str], count: int) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent first, ties in alphabetical order (the library's trainer breaks them by hash)."""
    spelled = {word: tuple(word) for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, pieces in spelled.items():
            for pair in itertools.pairwise(pieces):
                pairs[pair] += words[word]
        if not pairs:
            break
        first, second = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((first, second))
        spelled = {word: _merged(pieces, first, second) for word, pieces in spelled.items()}
    return merges


def _merged(pieces: tuple[str, ...], first: str, second: str) -> tuple[str, ...]:
    merged: list[str] = []
    for piece in pieces:
        if merged and merged[-1] == first and piece == second:
            merged[-1] += piece
        else:
            merged.append(piece)
    return tuple(merged)
