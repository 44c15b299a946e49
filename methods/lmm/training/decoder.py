"""The decoder: a small stock Qwen2 that learns to answer from the tower's tokens.

The tower is frozen and its tokens are at hand, so a step is a forward and backward pass through a million weights.
Prompts of like length share a batch; padding stands on the right, where a causal model never looks back at it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from methods.lmm.rendering import render
from methods.lmm.training import tasks, tokenizer, tower
from methods.lmm.training.tasks import Example, Pool

TOKENS = tower.GRID**2

WIDTH, LAYERS, HEADS, INNER = 128, 4, 4, 384

RATE = 2e-3
DECAY = 0.05
WARM_UP = 60
TOKEN_NOISE = 0.1
"""Spread of the noise added to training tokens, in units of a token's own spread: fewer pictures learnt by heart."""

KEY_WEIGHT, TEXT_WEIGHT = 0.5, 0.2
"""How much the named flaw and a digit of the score count, and any other token of an answer in words; an answer of one
word counts 1."""

IMAGE_BUDGET = 8


def build(words: Any, vision: Any) -> Any:
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
    _warm_start(model)
    return model


def _warm_start(model: Any) -> None:
    """Lets the projector see the read-out as signed numbers, with the fitted directions at hand one by one."""
    import torch

    first = model.model.multi_modal_projector.linear_1
    half = WIDTH // 2
    with torch.no_grad():
        mixed = torch.randn(WIDTH, tower.READOUT) * (0.5 / math.sqrt(tower.READOUT))
        mixed[:half] = 0
        # Rows 0-3 and 4-7: each quality direction with both signs; then one row a damage.
        for row in range(4):
            mixed[row, row], mixed[4 + row, row] = 2.0, -2.0
        for row in range(8, half):
            mixed[row, 4 + row - 8] = 1.0
        first.weight.zero_()
        first.weight[:, : tower.READOUT] = mixed
        first.weight[:, tower.READOUT : 2 * tower.READOUT] = -mixed
        first.bias.zero_()


class Encoder:
    """Turns examples into token ids; prompts repeat, so their ids are remembered."""

    def __init__(self, processor: Any) -> None:
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
        said = [*spelled["input_ids"], self.words.eos_token_id]
        start = example.text.find(example.key) if example.key else 0
        stop = start + len(example.key)
        lessons = []
        for place, token in enumerate(said):
            within = place < len(said) - 1 and start <= spelled["offset_mapping"][place][0] < stop
            weight = KEY_WEIGHT if within or token in self._digits else TEXT_WEIGHT
            lessons.append((len(prompt) + place - 1, {token: 1.0}, weight))
        return prompt + said[:-1], lessons


def loss_of(model: Any, encoder: Encoder, examples: Sequence[Example], tokens: Any) -> Any:
    """Mean cross-entropy of the examples.

    Args:
        tokens: float tensor [pictures, TOKENS, READOUT]; the examples' picture numbers index it.
    """
    import torch
    from torch.nn.functional import log_softmax

    encoded = [encoder.encode(example) for example in examples]
    longest = max(len(ids) for ids, _ in encoded)
    ids = torch.full((len(encoded), longest), encoder.words.pad_token_id)
    for line, (own, _) in enumerate(encoded):
        ids[line, : len(own)] = torch.tensor(own)
    shown = torch.tensor([picture for example in examples for picture in example.pictures])
    features = project(model, tokens[shown])
    embeddings = model.get_input_embeddings()(ids)
    slots = (ids == model.config.image_token_index)[..., None]
    embeddings = embeddings.masked_scatter(slots, features.to(embeddings.dtype))
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


def project(model: Any, tokens: Any) -> Any:
    """The projector on tokens as the tower ends in them: their positive and their negative parts."""
    import torch
    from torch.nn.functional import linear

    projector = model.model.multi_modal_projector
    split = torch.cat([tokens.clamp(min=0), (-tokens).clamp(min=0)], dim=-1)
    hidden = linear(split, projector.linear_1.weight[:, : 2 * tower.READOUT], projector.linear_1.bias)
    return projector.linear_2(projector.act(hidden))


def train(
    model: Any,
    encoder: Encoder,
    pool: Pool,
    tokens: np.ndarray,
    steps: int,
    seed: int,
    checkpoint: Path | None = None,
    say: Callable[[str], None] = print,
) -> list[float]:
    """Trains the decoder and the projector; the tower stays as it is.

    Args:
        tokens: float32 [pictures, TOKENS, READOUT].
        checkpoint: written every 200 steps, and gone on from where it exists.

    Returns:
        the loss of every step.
    """
    import torch

    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in learnt if parameter.dim() > 1]
    vectors = [parameter for parameter in learnt if parameter.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=RATE, betas=(0.9, 0.98))
    table = torch.from_numpy(tokens)
    start, losses = 0, []
    if checkpoint is not None and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        start, losses = state["step"], state["losses"]
        optimiser.load_state_dict(state["optimiser"])
        for parameter, value in zip(learnt, state["weights"], strict=True):
            parameter.data.copy_(value)
    began = time.monotonic()
    model.train()
    model.model.vision_tower.eval()
    for step in range(start, steps):
        # A step's pictures follow from the seed and the step alone, so that a resumed run draws the same.
        rng = np.random.default_rng([seed, step])
        noise = torch.Generator().manual_seed(seed * 1_000_003 + step)
        for group in optimiser.param_groups:
            group["lr"] = RATE * _schedule(step, steps)
        total = 0.0
        for kinds, count in (tasks.ALWAYS, tasks.MIX[step % len(tasks.MIX)]):
            examples = [kinds[number % len(kinds)](pool, rng) for number in range(count)]
            shown = sorted({picture for example in examples for picture in example.pictures})
            places = {picture: place for place, picture in enumerate(shown)}
            local = table[shown]
            local = local + TOKEN_NOISE * torch.randn(local.shape, generator=noise)
            moved = [Example(example.prompt, tuple(places[picture] for picture in example.pictures), example.chances,
                             example.text, example.key) for example in examples]
            loss = loss_of(model, encoder, moved, local)
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(total)
        done = step + 1
        if done % 100 == 0:
            left = (time.monotonic() - began) / (done - start) * (steps - done)
            say(f"decoder: step {done} of {steps}, loss {np.mean(losses[-100:]):.4f}, about {left / 60:.1f} min to go")
        if checkpoint is not None and (done % 200 == 0 or done == steps):
            partial = checkpoint.with_suffix(".partial")
            torch.save({"step": done, "losses": losses, "optimiser": optimiser.state_dict(),
                        "weights": [parameter.data for parameter in learnt]}, partial)
            partial.rename(checkpoint)
    model.eval()
    return losses


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to one hundredth."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    share = (step - WARM_UP) / max(1, steps - WARM_UP)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
