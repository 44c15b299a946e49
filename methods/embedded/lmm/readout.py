"""The read-out: which directions of the tower's activations reach the decoder, and what the teacher reads from them.

All are ridge regressions or principal components of the pooled activations, fitted in seconds on the training
images alone: quality as people rated camera photos, quality as known damage implies it, which of the two an image
is, the evidence for each flaw, and, for what the scene is, the principal components.

The teacher is a function of the token and of nothing else (`Directions.judge`). A decoder that learns a function can be
shown any token, also one put together from several images, with the right answer beside it; one that learns the
scores of four hundred photos learns the photos by heart.
"""

from __future__ import annotations

from collections.abc import Sequence
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
"""The first channel of the principal components."""

OPINION_PENALTY, DAMAGE_PENALTY, ORIGIN_PENALTY = 1.0, 0.05, 0.2
"""Ridge penalties in units of the mean squared activation. The first has the best mean SRCC of a subset of BIQ2021 by
the other one (0.3: 0.748, 1: 0.764, 2: 0.763, 4: 0.755). Of the second, smaller is better on held-out damaged photos
(0.05: 0.78, 0.2: 0.75, when there were fewer); the third was not tuned."""

ORIGIN_ROWS = 3000
"""Images of each kind that the third regression is fitted on, drawn from all. Damaged rated photos are of neither
kind; as camera photos they would teach that damage tells nothing."""

ORIGIN_SLOPE, ORIGIN_CENTRE = 24.0, 0.35
"""How fast, and where between a damaged pristine photo (0) and a camera photo (1), the teacher changes from one kind of
quality to the other. Quality by damage says little of a camera photo (rank correlation 0.3 on the benchmark), so photos
of a source that was not trained on have to count as camera photos: fitted without BIQ2021's ss01, the regression puts
99 % of it above 0.34. A higher centre ranks damaged photos better and new camera photos worse."""

FLAW_SCALE = 4.0

CLEAN_FROM = 0.8
"""Rated photos whose opinion in [0, 1] is at least this high show no flaw. Pristine photos alone are too few to tell an
intact camera photo from one of 22 flaws."""

CONTENT_SCALE = 0.5
"""Spread of each principal component beside the fitted directions, which have 1. All alike: as few as a hundred equal
components tell a photo's damaged version from other photos with an AUC of 0.996, unequal ones with 0.985."""


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
            not meet such tokens again.
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


def fit(shots: Sequence[Shot], means: np.ndarray, training: np.ndarray) -> Directions:
    """Fits the read-out and the teacher.

    Args:
        means: float32 [shots, WIDTH], `pooled` activations.
        training: bool [shots]; nothing else is looked at.
    """
    mos = np.array([shot.mos for shot in shots])
    opinion = np.array([shot.role == "opinion" for shot in shots])
    groups = np.array([shot.group for shot in shots])
    rated, pristine = training & opinion & ~np.isnan(mos), training & ~opinion
    flaws = np.zeros((len(shots), len(FLAW_NAMES)))
    for row in np.flatnonzero(pristine):
        if flaw := true_flaw(shots[row]):
            flaws[row, FLAW_NAMES.index(flaw)] = 1
    good = training & opinion & (mos >= CLEAN_FROM)
    flaws[good, FLAW_NAMES.index(thinking.CLEAN)] = 1
    named = flaws.any(axis=1)

    early, late, everything = slice(0, EARLY_WIDTH), slice(EARLY_WIDTH, None), slice(None)
    matrix = np.zeros((READOUT, means.shape[1]), np.float32)
    offset = np.zeros(READOUT)
    correction = np.zeros((len(shots), READOUT), np.float32)
    calibration = np.zeros((3, 2))

    def regress(channels: slice, columns: slice, rows: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
        """Writes the regression into the channels, in the targets' units; gives the left-out predictions."""
        centre, spread = means[rows, columns].mean(axis=0), means[rows, columns].std(axis=0) + 1e-3
        level = targets.mean(axis=0)
        inputs = (means[rows, columns] - centre) / spread
        weights, fitted, left_out = ridge(inputs, targets - level, groups[rows], penalty)
        matrix[channels, columns] = (weights / spread[:, None]).T
        offset[channels] = level - matrix[channels, columns].astype(np.float64) @ centre
        correction[rows, channels] = left_out - fitted
        return left_out + level

    def rescale(channels: slice, scale: float, shift: float) -> None:
        """The channels' values become scale * (value - shift)."""
        matrix[channels] *= scale
        offset[channels] = scale * (offset[channels] - shift)
        correction[:, channels] *= scale

    single = [
        (OPINION, late, rated, mos, OPINION_PENALTY),
        (DAMAGE, early, pristine, mos, DAMAGE_PENALTY),
        (ORIGIN, everything, _of_one_kind(shots, training), opinion.astype(float), ORIGIN_PENALTY),
    ]
    for channel, columns, rows, targets, penalty in single:
        channels = slice(channel, channel + 1)
        new = regress(channels, columns, rows, targets[rows, None], penalty)[:, 0]
        scale, shift = 1 / new.std(), new.mean()
        rescale(channels, scale, shift)
        slope, intercept = 1 / scale, shift
        if channel != ORIGIN:  # predictions for new photos spread less than fitted ones; this is their own calibration
            slope, intercept = np.polyfit((new - shift) * scale, targets[rows], 1)
        calibration[channel] = slope, intercept
    flaw_channels = slice(FLAWS, CONTENT)
    regress(flaw_channels, early, named, flaws[named], DAMAGE_PENALTY)
    rescale(flaw_channels, FLAW_SCALE, 0.25)

    centre, spread = means[training, late].mean(axis=0), means[training, late].std(axis=0) + 1e-3
    centred = (means[training, late] - centre) / spread
    # Fewer images than channels have fewer components; the rest stays empty.
    components = _principal(centred, min(READOUT - CONTENT, len(centred) - 1))
    components *= CONTENT_SCALE / (centred @ components.T).std(axis=0)[:, None]
    matrix[CONTENT : CONTENT + len(components), late] = components / spread
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
