"""The embedded LMM's vocabulary and processor.

A byte-level BPE of about a thousand tokens is learned from the project's own prompts: whatever a method says costs
few tokens, anything else is still spelled out byte by byte. Every candidate word of every method is one token, with
and without a leading space, in lower and title case; digits stay single, so that a number is read digit by digit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from methods.embedded.lmm.features import MEAN, STD
from methods.embedded.lmm.tower import GRID, SIZE
from methods.levels import FIVE_LEVELS, GOOD_POOR

if TYPE_CHECKING:
    from transformers import LlavaProcessor, PreTrainedTokenizerFast

VOCABULARY = 1400

IMAGE = "<image>"
START, END = "<|im_start|>", "<|im_end|>"
PAD = "<|endoftext|>"

CANDIDATES = tuple(dict.fromkeys(
    [*FIVE_LEVELS.words, *GOOD_POOR.words, "yes", "no", "first", "second", "high", "low", "perfect", "better",
     "worse"]))

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def build(corpus: Iterable[str]) -> PreTrainedTokenizerFast:
    """A fast tokenizer learned from the corpus.

    Raises:
        ValueError: a candidate word is not a single token of its own.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # Digits alone, a word with the space before it, runs of anything else.
    pieces = Regex(r"\d| ?[A-Za-z]+| ?[^\sA-Za-z\d]+|\s")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(pieces, behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[PAD, START, END, IMAGE], show_progress=False, min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    words = [spelled for word in CANDIDATES for case in (word, word.title()) for spelled in (case, f" {case}")]
    # A candidate must win its merges whatever the prompts say how often.
    tokenizer.train_from_iterator([*corpus, *(word for word in words for _ in range(2000))], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, additional_special_tokens=[START, IMAGE],
        padding_side="left", model_max_length=4096, clean_up_tokenization_spaces=False,
    )
    for word in words:
        if len(fast(word, add_special_tokens=False)["input_ids"]) != 1:
            raise ValueError(f"The candidate word {word!r} is not a single token; raise VOCABULARY.")
    return fast


def processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """A stock LLaVA processor: images are squeezed to the tower's square, GRID x GRID tokens each."""
    from transformers import CLIPImageProcessor, LlavaProcessor

    side = {"height": SIZE, "width": SIZE}
    image_processor = CLIPImageProcessor(
        do_resize=True, size=side, resample=3, do_center_crop=False, crop_size=side, do_rescale=True,
        do_normalize=True, image_mean=list(MEAN), image_std=list(STD), do_convert_rgb=True,
    )
    return LlavaProcessor(
        image_processor=image_processor, tokenizer=tokenizer, patch_size=SIZE // GRID,
        vision_feature_select_strategy="full", chat_template=CHAT_TEMPLATE, image_token=IMAGE,
        num_additional_image_tokens=0,
    )
