"""The decoder: a small stock Qwen2 that learns to answer from the tower's tokens.

The tower is frozen and its tokens are at hand, so a step is a forward and backward pass through a million weights.
Prompts of like length share a batch; padding stands on the right, where a causal model never looks back at it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from methods import files
from methods.cli.progress import progress
from methods.embedded.lmm import schedule, thinking, tokenizer, tower
from methods.embedded.lmm.readout import CONTENT, CONTENT_SCALE, DAMAGE, FLAW_NAMES, FLAWS, OPINION, ORIGIN
from methods.embedded.lmm.tasks import Example, Pool
from methods.lmm.rendering import render

if TYPE_CHECKING:
    import torch
    from transformers import EfficientNetModel, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast

TOKENS = tower.GRID**2

WIDTH, LAYERS, HEADS, INNER = 128, 4, 4, 384

RATE = 2e-3
DECAY = 0.05
PROJECTOR_RATE = 0.05
"""The projector's learning rate as a share of `RATE`. The projector starts with weights that pass every channel on. At
the full rate the channels of quality soon grow so large that normalising the token leaves nothing of the others."""

SECOND_RATE = 0.5
"""The share of the rate with which the later parts of training start."""

WARM_UP = 60
KEY_WEIGHT, DIGIT_WEIGHT, TEXT_WEIGHT = 1.5, 0.6, 0.3
"""How much a token of the sentence that names the flaw, a digit of the score and any other token of an answer in words
count; an answer of one word counts 1."""

PRECISE = 0.2
"""The last share of the steps runs in single precision, the others in bfloat16 where the processor multiplies it
faster."""

IMAGE_BUDGET = 8


def build(words: PreTrainedTokenizerFast, vision: EfficientNetModel) -> LlavaForConditionalGeneration:
    """An untrained FastVLM around a finished tower, reproducible from torch's seed.

    Args:
        words: the tokenizer.
        vision: the tower, read-out installed.
    """
    from transformers import FastVlmConfig, FastVlmForConditionalGeneration, Qwen2Config

    ids = words.convert_tokens_to_ids
    text = Qwen2Config(
        vocab_size=len(words), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=HEADS, intermediate_size=INNER, max_position_embeddings=4096, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, eos_token_id=ids(tokenizer.END),
        pad_token_id=ids(tokenizer.PAD), bos_token_id=None, attention_dropout=0.0,
    )
    config = FastVlmConfig(
        vision_config=tower.config(), text_config=text, image_token_index=ids(tokenizer.IMAGE),
        image_seq_length=TOKENS, tie_word_embeddings=True, multimodal_projector_bias=True,
    )
    config.image_budget = IMAGE_BUDGET
    model = FastVlmForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(vision.state_dict())
    model.model.vision_tower.requires_grad_(False)
    model.generation_config.eos_token_id = ids(tokenizer.END)
    model.generation_config.pad_token_id = ids(tokenizer.PAD)
    _warm_start(model, words)
    return model


def _warm_start(model: LlavaForConditionalGeneration, words: PreTrainedTokenizerFast) -> None:
    """Initialises the projector so that quality, flaws and content are separate inputs of the decoder: each kind of
    quality in twelve steps, the flaws as the words that name them, and the first components of the content.

    Left to chance, hundreds of steps pass until the projector tells flaws apart, and the decoder meanwhile learns to
    do without them.
    """
    import torch

    projector = model.model.multi_modal_projector
    embedding = model.get_input_embeddings().weight
    mixed, bias, loudness = torch.zeros(WIDTH, tower.READOUT), torch.zeros(WIDTH), torch.ones(WIDTH)
    row = 0
    for channel in (OPINION, DAMAGE):
        for step in range(12):
            mixed[row, channel], bias[row], loudness[row] = 2.0, 1.7 * (step - 5.5) / 2, 0.3
            row += 1
    for step in range(6):
        mixed[row, ORIGIN], bias[row] = 3.0 * (-1) ** step, 0.75 * (step - 2.5)
        row += 1
    spelled = []
    for place, name in enumerate(FLAW_NAMES):
        mixed[row, FLAWS + place] = 2.0
        spelled.append((row, "No" if name == thinking.CLEAN else f" {name}"))
        row += 1
    content = torch.arange(row, WIDTH)
    # GELU(x) is close to x for large x: 4 is added before it, and the second layer's bias takes the 4 away again.
    mixed[content, CONTENT + content - row], bias[content] = 1 / CONTENT_SCALE, 4.0
    with torch.no_grad():
        projector.linear_1.weight.zero_()
        projector.linear_1.weight[:, : tower.READOUT] = mixed
        projector.linear_1.weight[:, tower.READOUT : 2 * tower.READOUT] = -mixed
        projector.linear_1.bias.copy_(bias)
        torch.nn.init.orthogonal_(projector.linear_2.weight)
        projector.linear_2.weight *= loudness
        for line, text in spelled:
            named = embedding[words(text, add_special_tokens=False)["input_ids"]].mean(dim=0)
            projector.linear_2.weight[:, line] = named / named.norm()
        projector.linear_2.bias.copy_(-projector.linear_2.weight[:, content] @ bias[content])


class Encoder:
    """Turns examples into token ids; prompts repeat, so their ids are remembered."""

    def __init__(self, processor: LlavaProcessor) -> None:
        self.processor = processor
        self.words = processor.tokenizer
        self.vocabulary = len(self.words)
        self._ids: dict[str, list[int]] = {}
        self._digits = {self.words.convert_tokens_to_ids(str(digit)) for digit in range(10)}

    def ids(self, text: str) -> list[int]:
        if text not in self._ids:
            wide = text.replace(tokenizer.IMAGE, tokenizer.IMAGE * TOKENS)
            self._ids[text] = self.words(wide, add_special_tokens=False)["input_ids"]
        return self._ids[text]

    def encode(self, example: Example) -> tuple[list[int], list[tuple[int, dict[int, float], float]]]:
        """Ids of the whole lesson, and for each position to learn from: position, token chances, weight."""
        prompt = list(self.ids(render(self.processor, example.prompt, "the embedded model").text))
        if example.chances:
            chances = {self.ids(word)[0]: chance for word, chance in example.chances.items()}
            return prompt, [(len(prompt) - 1, chances, 1.0)]
        spelled = self.words(example.text, add_special_tokens=False, return_offsets_mapping=True)
        answer = [*spelled["input_ids"], self.words.eos_token_id]
        start = example.text.find(example.key) if example.key else 0
        stop = start + len(example.key)
        lessons = []
        for place, token in enumerate(answer):
            within = place < len(answer) - 1 and start <= spelled["offset_mapping"][place][0] < stop
            weight = KEY_WEIGHT if within else DIGIT_WEIGHT if token in self._digits else TEXT_WEIGHT
            lessons.append((len(prompt) + place - 1, {token: 1.0}, weight))
        return prompt + answer[:-1], lessons


def loss_of(model: LlavaForConditionalGeneration, encoder: Encoder, examples: Sequence[Example]) -> torch.Tensor:
    """Mean cross-entropy of the examples."""
    import torch
    from torch.nn.functional import log_softmax

    encoded = [encoder.encode(example) for example in examples]
    longest = max(len(ids) for ids, _ in encoded)
    ids = torch.full((len(encoded), longest), encoder.words.pad_token_id)
    for line, (own, _) in enumerate(encoded):
        ids[line, : len(own)] = torch.tensor(own)
    features = project(model, torch.from_numpy(np.concatenate([example.pictures for example in examples])))
    embeddings = model.get_input_embeddings()(ids)
    slots = (ids == model.config.image_token_index)[..., None]
    embeddings = embeddings.masked_scatter(slots, features)
    hidden = model.model.language_model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
    lines, places, weights = [], [], []
    for line, (_, lessons) in enumerate(encoded):
        for place, _, weight in lessons:
            lines.append(line)
            places.append(place)
            weights.append(weight)
    targets = torch.zeros(len(lines), encoder.vocabulary)
    number = 0
    for _, lessons in encoded:
        for _, chances, _ in lessons:
            for token, chance in chances.items():
                targets[number, token] += chance
            number += 1
    scores = log_softmax(model.lm_head(hidden[lines, places]).float(), dim=-1)
    each = -(targets * scores).sum(dim=-1)
    return (each * torch.tensor(weights)).sum() / len(examples)


def project(model: LlavaForConditionalGeneration, tokens: torch.Tensor) -> torch.Tensor:
    """The projector, always in single precision, on tokens as the tower ends in them: positive and negative parts."""
    import torch
    from torch.nn.functional import linear

    projector = model.model.multi_modal_projector
    split = torch.cat([tokens.clamp(0, 6), (-tokens).clamp(0, 6)], dim=-1)
    with torch.autocast("cpu", enabled=False):
        hidden = linear(split, projector.linear_1.weight[:, : 2 * tower.READOUT], projector.linear_1.bias)
        return projector.linear_2(projector.act(hidden))


def train(model: LlavaForConditionalGeneration, encoder: Encoder, pool: Pool, steps: int, seed: int,
          checkpoint: Path | None = None, keep: int = 0, title: str = "") -> list[float]:
    """Trains the decoder and the projector; the tower stays as it is.

    Args:
        checkpoint: written every 200 steps, and gone on from where it exists.
        keep: how often, in steps, the weights are also written beside it as step-N.pt, for a learning curve; 0: never.
        title: stands before the progress.

    Returns:
        the loss of every step.
    """
    import torch

    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # Muon for what multiplies vectors inside the layers, AdamW for tables, projections from outside, and vectors.
    layers = [parameter for name, parameter in model.named_parameters()
              if parameter.requires_grad and ".layers." in name and parameter.dim() == 2]
    inside = {id(parameter) for parameter in layers}
    projector = list(model.model.multi_modal_projector.parameters())
    inside |= {id(parameter) for parameter in projector}
    tables = [parameter for parameter in learnt if id(parameter) not in inside and parameter.dim() > 1]
    vectors = [parameter for parameter in learnt if id(parameter) not in inside and parameter.dim() <= 1]
    optimisers = [
        torch.optim.Muon(layers, lr=RATE, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([{"params": tables, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0},
                           {"params": projector, "weight_decay": 0.0, "share": PROJECTOR_RATE}],
                          lr=RATE, betas=(0.9, 0.98))]
    start, losses = 0, []
    if checkpoint is not None and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        start, losses = state["step"], state["losses"]
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        for parameter, value in zip(learnt, state["weights"], strict=True):
            parameter.data.copy_(value)
    fast = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    # The fused attention's backward pass is slow in bfloat16; everything else is faster in it.
    model.model.language_model.set_attn_implementation("eager")
    model.train()
    model.model.vision_tower.eval()
    last = schedule.all_steps(steps)
    bar = progress(last, f"{title}: ", start, "steps")
    for step in range(start, last):
        # A step's lessons follow from the seed and the step alone, so that a resumed run draws the same.
        rng = np.random.default_rng([seed, step])
        for group in (group for optimiser in optimisers for group in optimiser.param_groups):
            group["lr"] = RATE * group.get("share", 1.0) * _schedule(step, steps)
        total = 0.0
        for kinds, count in schedule.lessons(step, steps):
            examples = [kinds[number % len(kinds)](pool, rng) for number in range(count)]
            with torch.autocast("cpu", torch.bfloat16, enabled=fast and step < (1 - PRECISE) * steps):
                loss = loss_of(model, encoder, examples)
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        losses.append(total)
        done = step + 1
        bar.update()
        if done % 100 == 0:
            bar.set_postfix_str(f"loss {np.mean(losses[-100:]):.4f}", refresh=False)
        if checkpoint is not None and (done % 200 == 0 or done == last):
            with files.replacing(checkpoint) as partial:
                torch.save({"step": done, "losses": losses, "weights": [parameter.data for parameter in learnt],
                            "optimisers": [optimiser.state_dict() for optimiser in optimisers]}, partial)
        if checkpoint is not None and keep and (done % keep == 0 or done == last):
            with files.replacing(checkpoint.with_name(f"step-{done}.pt")) as partial:
                torch.save([parameter.data.half() for parameter in learnt], partial)
    bar.close()
    model.model.language_model.set_attn_implementation("sdpa")
    model.eval()
    return losses


def _schedule(step: int, steps: int) -> float:
    """Share of the learning rate: one arc over the mixed lessons, a lower one over those that compare images, and
    again over those that write."""
    mixed = schedule.mixed_steps(steps)
    if step < mixed:
        return _arc(step, mixed)
    start, stop = (mixed, steps) if step < steps else (steps, schedule.all_steps(steps))
    return SECOND_RATE * _arc(step - start, stop - start)


def _arc(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to one hundredth."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    share = (step - WARM_UP) / max(1, steps - WARM_UP)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
