"""The read-out: which directions of the tower's activations reach the decoder, and what the teacher reads from them.

All are linear in the pooled activations: quality as people rated camera photos, quality as known damage implies it and
the evidence for each flaw are the heads of the fine-tuning; which kind an image is, a ridge regression; and what the
scene is, discriminants of the photos.

The teacher is a function of the token and of nothing else (`Directions.judge`). A decoder that learns a function can be
shown any token, also one put together from several images, with the right answer beside it; one that learns the
scores of four hundred photos learns the photos by heart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from methods import files
from methods.embedded import damages
from methods.embedded.lmm import thinking
from methods.embedded.lmm.recipe import Shot
from methods.embedded.lmm.tower import EARLY, EARLY_WIDTH, READOUT
from methods.kadid.distortions import DISTORTIONS

OPINION, DAMAGE, ORIGIN, FLAWS = 0, 1, 2, 3
"""Channels: quality by opinion, quality by damage, damaged pristine photo against camera photo, the first flaw."""

FLAW_NAMES = (thinking.CLEAN, *(name for name, own in thinking.FAMILIES.items()
                                if set(own) & {*DISTORTIONS, *damages.TRAINING_NAMES}))
"""The flaws that have a channel, in order; the first one is that there is none."""

CONTENT = FLAWS + len(FLAW_NAMES)
"""The first channel of what is shown."""

ORIGIN_PENALTY = 0.2
"""Ridge penalty in units of the mean squared activation; it was not tuned."""

CONTENT_PENALTY = 0.01
"""Ridge penalty, in the same units, of reading the content out of the tuned blocks."""

COMPONENTS, WITHIN_FLOOR = 500, 0.02
"""Principal components among which contents are told apart, and the variance within a photo that is always assumed."""

ORIGIN_ROWS = 3000
"""Images of each kind that the third regression is fitted on, drawn from all. Damaged rated photos are of neither
kind; as camera photos they would teach that damage tells nothing."""

ORIGIN_SLOPE, ORIGIN_CENTRE = 24.0, 0.35
"""How fast, and where between a damaged pristine photo (0) and a camera photo (1), the teacher changes from one kind of
quality to the other. Quality by damage says little of a camera photo (rank correlation 0.3 on the benchmark), so photos
of a source that was not trained on have to count as camera photos: fitted without BIQ2021's ss01, the regression puts
99 % of it above 0.34. A higher centre ranks damaged photos better and new camera photos worse."""

FLAW_SPREAD = 1.5
"""Of the flaws' channels over damaged photos; their logits, less their mean."""

CLEAN_FROM = 0.8
"""Rated photos whose opinion in [0, 1] is at least this high show no flaw. Pristine photos alone are too few to tell an
intact camera photo from one of 22 flaws."""

CONTENT_SCALE = 0.5
"""Spread of each channel of the content beside the fitted directions, which have 1."""


@dataclass(frozen=True)
class Directions:
    """A fitted read-out.

    Attributes:
        matrix: float32 [READOUT, WIDTH].
        offset: float32 [READOUT]; the mean over training images becomes zero.
        calibration: float64 [3, 2], slope and intercept from the first three channels to quality by opinion and by
            damage in [0, 1], and to 1 for a camera photo and 0 for a damaged pristine one.
        correction: float32 [shots, READOUT]: what a training image's token would change by had the regressions not
            seen its photo. With thousands of activations per image they know their training photos almost by heart
            (a higher rank correlation there than elsewhere); a decoder trained on tokens without the correction would
            not meet such tokens again. Only the origin is such a regression; elsewhere this is 0.
    """

    matrix: np.ndarray
    offset: np.ndarray
    calibration: np.ndarray
    correction: np.ndarray

    def training_tokens(self, grids: np.ndarray) -> np.ndarray:
        """`tokens` of the shots that were fitted on, as they would be had their photos been new."""
        return np.clip(self.tokens(grids) + self.correction[:, None], -6, 6)

    def tokens(self, grids: np.ndarray) -> np.ndarray:
        """float16 activations [n, tokens, WIDTH] to float32 tokens [n, tokens, READOUT], as the tower gives them."""
        tokens = np.empty((*grids.shape[:2], READOUT), np.float32)
        for start in range(0, len(grids), 256):
            part = grids[start : start + 256].astype(np.float32)
            tokens[start : start + 256] = part @ self.matrix.T + self.offset
        return np.clip(tokens, -6, 6)

    def judge(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The teacher: float [n, READOUT] to quality in [0.02, 0.98], float64 [n], and flaw, int [n] in FLAW_NAMES."""
        opinion, damage, origin = (
            tokens[:, channel].astype(np.float64) * slope + intercept
            for channel, (slope, intercept) in zip((OPINION, DAMAGE, ORIGIN), self.calibration))
        camera = 1 / (1 + np.exp(-ORIGIN_SLOPE * (origin - ORIGIN_CENTRE)))
        quality = camera * opinion + (1 - camera) * damage
        return np.clip(quality, 0.02, 0.98), tokens[:, FLAWS:CONTENT].argmax(axis=1)

    def on_the_scale_of(self, former: Directions) -> Directions:
        """The same read-out with the first three channels in the units of another one, by whose decoder it is read."""
        matrix, offset, correction = self.matrix.copy(), self.offset.copy(), self.correction.copy()
        for channel, (own, other) in enumerate(zip(self.calibration, former.calibration, strict=True)):
            scale = own[0] / other[0]
            matrix[channel] *= scale
            offset[channel] = offset[channel] * scale + (own[1] - other[1]) / other[0]
            correction[:, channel] *= scale
        return Directions(matrix, offset, former.calibration.copy(), correction)

    def save(self, path: Path) -> None:
        """Writes the arrays as .npz."""
        with files.replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Directions:
        with np.load(path) as saved:
            return cls(*(saved[field.name] for field in fields(cls)))


def token_mean(grids: np.ndarray) -> np.ndarray:
    """float16 [n, tokens, WIDTH] -> float32 [n, WIDTH], the mean over an image."""
    out = np.empty((len(grids), grids.shape[2]), np.float32)
    for start in range(0, len(grids), 512):
        out[start : start + 512] = grids[start : start + 512].astype(np.float32).mean(axis=1)
    return out


def ridge(inputs: np.ndarray, targets: np.ndarray, groups: np.ndarray, penalty: float
          ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A ridge regression of centred data, and what it would predict for each group had it not seen that group.

    Leaving a group out needs no second fit: with the inverse G of the regularised Gram matrix and its coefficients a,
    the residual of the left-out group g is inverse(G_gg) a_g.

    Args:
        inputs: float [n, columns].
        targets: float [n, targets].
        groups: int [n]; rows of one photo share a group.
        penalty: relative to the mean squared input: 1 weighs as much as one image of average norm.

    Returns:
        weights [columns, targets], fitted values [n, targets] and left-out predictions [n, targets].
    """
    columns = inputs.shape[1]
    gram = (inputs @ inputs.T).astype(np.float64) / columns
    inverse = np.linalg.inv(gram + penalty * np.eye(len(gram)))
    coefficients = inverse @ targets
    left_out = np.empty(targets.shape)
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        left_out[own] = targets[own] - np.linalg.solve(inverse[np.ix_(own, own)], coefficients[own])
    weights = inputs.T @ coefficients.astype(np.float32) / columns
    return weights, gram @ coefficients, left_out


def true_flaw(shot: Shot) -> str:
    """What a pristine photo's damage looks like; CLEAN where KADID's raters hardly saw it, "" where it has no name."""
    visible = shot.damage and shot.mos <= thinking.VISIBLE
    return thinking.FAMILY_OF.get(shot.damage, "") if visible else thinking.CLEAN


def _of_one_kind(shots: Sequence[Shot], training: np.ndarray) -> np.ndarray:
    """bool [shots]: at most ORIGIN_ROWS rated photos as they are, and as many images made of pristine ones."""
    camera = np.array([shot.role == "opinion" and not np.isnan(shot.mos) for shot in shots])
    rated = {shot.group for shot in shots if shot.role == "opinion"}
    pristine = np.array([shot.group not in rated for shot in shots])
    rng = np.random.default_rng(0)
    samples = [rng.permutation(np.flatnonzero(training & kind))[:ORIGIN_ROWS] for kind in (camera, pristine)]
    return np.isin(np.arange(len(shots)), np.concatenate(samples))


def flaws_of(shots: Sequence[Shot], training: np.ndarray) -> np.ndarray:
    """int64 [shots]: number in FLAW_NAMES of what a training image shows, or -100 where nobody knows."""
    flaws = np.full(len(shots), -100)
    for row in np.flatnonzero(training):
        shot = shots[row]
        if shot.role == "pristine":
            flaw = true_flaw(shot)
        else:
            flaw = thinking.CLEAN if shot.mos >= CLEAN_FROM and not shot.damage else ""
        if flaw:
            flaws[row] = FLAW_NAMES.index(flaw)
    return flaws


def contents(late: np.ndarray, shots: Sequence[Shot], training: np.ndarray) -> np.ndarray:
    """What is shown, whatever was done to it: linear discriminants between photos, float32 [shots, READOUT - CONTENT].

    Of the principal components of the activations those combinations that differ most between photos and least between
    one photo's damaged versions, the best first, all of the spread CONTENT_SCALE.

    Args:
        late: float [shots, LATE_WIDTH], activations of the blocks before they were tuned.
        training: bool [shots]; nothing else is looked at.
    """
    centre, spread = late[training].mean(axis=0), late[training].std(axis=0) + 1e-3
    centred = (late - centre) / spread
    components = _principal(centred[training], min(COMPONENTS, int(training.sum()) - 1))
    values = centred @ components.T
    values /= values[training].std(axis=0)
    groups = np.array([shot.group for shot in shots])
    _, place, sizes = np.unique(groups[training], return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), values.shape[1]))
    np.add.at(sums, place, values[training])
    within = (values[training] - (sums / sizes[:, None])[place])[sizes[place] > 1]
    covariance = within.T @ within / len(within) + WITHIN_FLOOR * np.eye(values.shape[1])
    # The components are uncorrelated with variance 1, so the directions of least variance within are the best.
    _, directions = np.linalg.eigh(covariance)
    best = values @ directions[:, : READOUT - CONTENT]
    result = np.zeros((len(shots), READOUT - CONTENT), np.float32)
    result[:, : best.shape[1]] = CONTENT_SCALE * best / best[training].std(axis=0)
    return result


Heads = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""`finetune.Stage.directions`."""


def fit(shots: Sequence[Shot], means: np.ndarray, training: np.ndarray, held_back: np.ndarray, heads: Heads,
        content: np.ndarray) -> Directions:
    """Fits the read-out and the teacher.

    Args:
        means: float32 [shots, WIDTH], pooled activations of the tuned tower.
        training: bool [shots]; nothing else is looked at.
        held_back: bool [shots]; of these training photos the heads have not learned.
        heads: quality by opinion and by damage, and the flaws, as `finetune` left them.
        content: float32 [shots, READOUT - CONTENT], from `contents`.
    """
    mos = np.array([shot.mos for shot in shots])
    opinion = np.array([shot.role == "opinion" for shot in shots])
    groups = np.array([shot.group for shot in shots])
    known = training & held_back & ~np.isnan(mos)
    matrix = np.zeros((READOUT, means.shape[1]), np.float32)
    offset = np.zeros(READOUT)
    correction = np.zeros((len(shots), READOUT), np.float32)
    calibration = np.zeros((3, 2))

    def place(channels: slice, own: np.ndarray, shift: np.ndarray, scale: float, middle: float) -> None:
        """The channels become scale * (means @ own.T + shift - middle)."""
        matrix[channels] = scale * own
        offset[channels] = scale * (shift - middle)

    for channel, name, rows in ((OPINION, "opinion", known & opinion), (DAMAGE, "damage", known & ~opinion)):
        own, shift = heads[name]
        values = means[rows] @ own[0] + shift[0]
        scale, middle = 1 / values.std(), values.mean()
        place(slice(channel, channel + 1), own, shift, scale, middle)
        # Predictions for new photos spread otherwise than quality does; this is their own calibration.
        calibration[channel] = np.polyfit(scale * (values - middle), mos[rows], 1)

    rows = _of_one_kind(shots, training)
    centre, spread = means[rows].mean(axis=0), means[rows].std(axis=0) + 1e-3
    targets = opinion[rows].astype(float)
    weights, fitted, left_out = ridge((means[rows] - centre) / spread, targets[:, None] - targets.mean(), groups[rows],
                                      ORIGIN_PENALTY)
    weights = (weights / spread[:, None]).T
    new = left_out[:, 0] + targets.mean()
    scale, middle = 1 / new.std(), new.mean()
    place(slice(ORIGIN, ORIGIN + 1), weights, targets.mean() - weights.astype(np.float64) @ centre, scale, middle)
    correction[rows, ORIGIN] = scale * (left_out - fitted)[:, 0]
    calibration[ORIGIN] = 1 / scale, middle

    own, shift = heads["flaws"]
    own, shift = own - own.mean(axis=0), shift - shift.mean()
    place(slice(FLAWS, CONTENT), own, shift, FLAW_SPREAD / (means[known & ~opinion] @ own.T + shift).std(), 0.0)

    late = slice(EARLY_WIDTH, None)
    centre, spread = means[training, late].mean(axis=0), means[training, late].std(axis=0) + 1e-3
    inputs = (means[training, late] - centre) / spread
    gram = inputs.T @ inputs / len(inputs) + CONTENT_PENALTY * np.eye(inputs.shape[1], dtype=np.float32)
    level = content[training].mean(axis=0)
    weights = np.linalg.solve(gram, inputs.T @ (content[training] - level) / len(inputs))
    values = inputs @ weights
    weights *= CONTENT_SCALE / np.maximum(values.std(axis=0), 1e-3)
    matrix[CONTENT:, late] = (weights / spread[:, None]).T
    offset[CONTENT:] = -(matrix[CONTENT:, late].astype(np.float64) @ centre)
    return Directions(matrix, offset.astype(np.float32), calibration, correction)


def _principal(centred: np.ndarray, count: int) -> np.ndarray:
    """The first principal components, [count, columns], from a small random sketch of fixed seed."""
    rng = np.random.default_rng(0)
    sketch = centred.T @ rng.standard_normal((len(centred), count + 40), dtype=np.float32)
    for _ in range(3):
        sketch, _ = np.linalg.qr(sketch)
        sketch = centred.T @ (centred @ sketch)
    basis, _ = np.linalg.qr(sketch)
    _, _, rotation = np.linalg.svd(centred @ basis, full_matrices=False)
    return (rotation[:count] @ basis.T).astype(np.float32)


assert CONTENT <= EARLY, "every fitted direction may read the early blocks"
