"""Which directions of the tower's activations reach the decoder, and the teacher that scores pictures.

All are ridge regressions or principal components of the pooled activations, fitted in seconds on the training
pictures alone: quality as people rated it, quality as damage implies it, the evidence for each kind of damage, and,
for what the scene is, the principal components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from methods.lmm.training.recipe import Shot
from methods.lmm.training.tower import READOUT
from methods.synthesis.distortions import DISTORTIONS, level_mos

OPINION_PENALTIES = (0.2, 0.6, 2.0)
"""Ridge penalties of the opinion directions, in units of the mean squared activation; the first two lie around the
best by five-fold cross-validation, the third is a smoother opinion."""

DAMAGE_PENALTY = 0.1

EMPHASIS = (2.0, 0.5)
"""After training, opinion directions are multiplied by the first and damage directions by the second. A decoder trained
for a few hundred steps still leans on the evidence of synthetic damage where it should believe the opinion directions;
found on two of the five folds."""

CONTENT_SCALE = 0.25
"""Spread of the principal components beside the fitted directions: there are half as many of them as rated photos, and
at full size the decoder learns its photos by heart from them."""


DAMAGES = DISTORTIONS


@dataclass(frozen=True)
class Directions:
    """A fitted read-out.

    Attributes:
        matrix: float32 [READOUT, WIDTH]; unit spread over training tokens, CONTENT_SCALE for the principal components.
        offset: float32 [READOUT]; the mean over training tokens becomes zero.
        teacher: float64 [2 + damages, READOUT + 1]: maps the mean token (and 1) to quality in [0, 1] as raters of
            camera photos and as raters of damaged pictures see it, and to the amount of each damage.
        correction: float32 [shots, READOUT]: what a training picture's tokens would change by had the regressions not
            seen its photo. With 4,608 activations a picture they know their training photos almost by heart (rank
            correlation 0.97 there, 0.78 elsewhere); a decoder trained on tokens without the correction would trust
            them too much.
    """

    matrix: np.ndarray
    offset: np.ndarray
    teacher: np.ndarray
    correction: np.ndarray

    def emphasised(self) -> Directions:
        """The read-out as it ships: opinion directions louder, evidence of damage softer (`EMPHASIS`)."""
        scale = np.ones((READOUT, 1), np.float32)
        first = len(OPINION_PENALTIES) + 1
        scale[: first - 1], scale[first : first + len(DAMAGES)] = EMPHASIS
        return replace(self, matrix=self.matrix * scale, offset=self.offset * scale[:, 0])

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

    def teach(self, tokens: np.ndarray) -> np.ndarray:
        """Quality by opinion, quality by damage and the amount of each damage, in [0, 1]: float64 [n, 2 + damages]."""
        mean = tokens.mean(axis=1).astype(np.float64)
        return np.clip(np.c_[mean, np.ones(len(mean))] @ self.teacher.T, 0, 1)


def pooled(grids: np.ndarray) -> np.ndarray:
    """float16 [n, tokens, WIDTH] -> float32 [n, WIDTH], the mean over a picture."""
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
        penalty: relative to the mean squared input: 1 weighs as much as one picture of average norm.

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


def damage_targets(shots: Sequence[Shot]) -> np.ndarray:
    """How much of each damage a picture has: float32 [shots, damages], 0 to 1."""
    targets = np.zeros((len(shots), len(DAMAGES)), np.float32)
    for row, shot in enumerate(shots):
        if shot.damage:
            targets[row, DAMAGES.index(shot.damage)] = 1 - level_mos(shot.damage, shot.level)
    return targets


def fit(shots: Sequence[Shot], grids: np.ndarray, means: np.ndarray, training: np.ndarray) -> Directions:
    """Fits the read-out and the teacher.

    Args:
        grids: float16 [shots, tokens, WIDTH].
        means: `pooled(grids)`.
        training: bool [shots]; nothing else is looked at.
    """
    mos = np.array([shot.mos for shot in shots])
    opinion = np.array([shot.role == "opinion" for shot in shots])
    rated = training & opinion & ~np.isnan(mos)
    pristine = training & ~opinion
    spread = means[training].std(axis=0) + 1e-3

    groups = np.array([shot.group for shot in shots])
    corrections = []

    def regress(rows: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
        inputs = (means[rows] - means[rows].mean(axis=0)) / spread
        weights, fitted, left_out = ridge(inputs, targets - targets.mean(axis=0), groups[rows], penalty)
        correction = np.zeros((len(shots), targets.shape[1]))
        correction[rows] = left_out - fitted
        corrections.append(correction)
        return (weights / spread[:, None]).T

    blocks = [regress(rated, mos[rated, None], penalty) for penalty in OPINION_PENALTIES]
    blocks.append(regress(pristine, mos[pristine, None], DAMAGE_PENALTY))
    # Pristine photos alone: evidence that has seen a rated photo, damaged, would say more of it than of a new one.
    targets = damage_targets([shot for shot, used in zip(shots, pristine) if used])
    blocks.append(regress(pristine, targets, DAMAGE_PENALTY))
    rows = sum(len(block) for block in blocks)
    centred = (means[training] - means[training].mean(axis=0)) / spread
    components = _principal(centred, READOUT - rows)
    matrix = np.concatenate([*blocks, components / spread]).astype(np.float32)

    sample = np.flatnonzero(training)[:: max(1, int(training.sum()) // 600)]
    tokens = grids[sample].astype(np.float32).reshape(-1, grids.shape[2]) @ matrix.T
    scale = tokens.std(axis=0) + 1e-6
    scale[rows:] /= CONTENT_SCALE
    matrix, offset = matrix / scale[:, None], -tokens.mean(axis=0) / scale
    correction = np.zeros((len(shots), READOUT), np.float32)
    correction[:, :rows] = np.concatenate(corrections, axis=1) / scale[:rows]

    mean_tokens = means @ matrix.T + offset + correction
    teacher = np.zeros((2 + len(DAMAGES), READOUT + 1))
    first = len(OPINION_PENALTIES)
    lessons = [(1, rated, mos[rated]), (first, pristine, mos[pristine])]
    lessons += [(first + 1 + number, pristine, targets[:, number]) for number in range(len(DAMAGES))]
    for line, (column, used, wanted) in enumerate(lessons):
        design = np.c_[mean_tokens[used, column], np.ones(used.sum())].astype(np.float64)
        teacher[line, column], teacher[line, -1] = np.linalg.lstsq(design, wanted, rcond=None)[0]
    return Directions(matrix.astype(np.float32), offset.astype(np.float32), teacher, correction)


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
