"""A base for RL2R that can write but knows few opinions, with a split of the photos that it has not seen.

    python benchmarks/visualquality_r1_base.py --population BIQ2021 --images KODAK MIT --cache CACHE \
        --photos LIVE/scores.csv --out BASE

The embedded model reads quality by opinion off the activations of its tower in one direction. Here that direction is
fitted anew, to the opinions of a few photos alone; everything else is the embedded model, which has seen none of them.
So the base writes as fluently and ranks photos worse, and what training with opinions gains can be measured: a fifth of
the photos is the test part, the others are dealt 3:1 to training and validation. The photos whose opinions the base
knows are training photos. CACHE is the embedded model's training cache.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

FOLD, FOLDS = 0, 5
"""The test part, and of how many."""


def deal(names: list[str], fold: np.ndarray, known: int, seed: int) -> tuple[dict[str, str], list[str]]:
    """The part of each photo, and the photos whose opinions the base knows."""
    rng = np.random.default_rng(seed)
    rest = rng.permutation(np.flatnonzero(fold != FOLD))
    training = rest[: round(len(rest) * 3 / 4)]
    part = dict.fromkeys(names, "test")
    part |= {names[index]: "validation" for index in rest}
    part |= {names[index]: "train" for index in training}
    return part, [names[index] for index in training[:known]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--population", type=Path, required=True, metavar="DIR", help="folder of BIQ2021")
    parser.add_argument("--images", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--cache", type=Path, required=True, help="the embedded model's training cache")
    parser.add_argument("--photos", type=Path, required=True, metavar="CSV", help="rated photos that it has not seen")
    parser.add_argument("--model", type=Path, default=Path("assets/embedded-lmm"), help="default: %(default)s")
    parser.add_argument("--known", type=int, default=20, help="opinions that the base knows (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for model/ and split.csv")
    chosen = parser.parse_args()
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from methods.data import deal_folds
    from methods.embedded.lmm import features, pipeline
    from methods.embedded.lmm.__main__ import rated_of
    from methods.embedded.lmm.readout import OPINION, ridge, token_mean
    from methods.embedded.lmm.recipe import Shot
    from methods.embedded.lmm.tower import EARLY_WIDTH
    from methods.lmm.reuse.towers import fused_tower
    from methods.visualquality_r1.training.data import write_split

    material = pipeline.prepare(rated_of(chosen.population, []), chosen.images, chosen.cache)
    rated = rated_of(None, [chosen.photos])[0]
    part, known = deal(rated.names, deal_folds(len(rated), FOLDS), chosen.known, chosen.seed)
    write_split({(chosen.photos.stem, name): part[name] for name in rated.names}, chosen.out / "split.csv")

    vision = fused_tower(material.vision)
    shots = [Shot(path, "opinion", number, float(mos)) for number, (path, mos) in
             enumerate(zip(rated.paths, rated.mos01, strict=True))]
    means = token_mean(features.middle(shots, vision, chosen.cache / "features").activations(vision))
    learned = np.array([number for number, name in enumerate(rated.names) if name in known])
    others = np.array([part[name] != "test" for name in rated.names])
    late = means[:, EARLY_WIDTH:]
    centre, spread = late[others].mean(axis=0), late[others].std(axis=0) + 1e-3
    mos = rated.mos01[learned, None]
    weights, _, _ = ridge((late[learned] - centre) / spread, mos - mos.mean(), learned, 1.0)
    direction = weights[:, 0] / spread
    # The decoder knows how loud the direction is over photos; their opinions are not needed to make it as loud again.
    fitted = material.fitted
    was, now = means[others] @ fitted.matrix[OPINION] + fitted.offset[OPINION], late[others] @ direction
    scale = was.std() / now.std()
    fitted.matrix[OPINION] = 0
    fitted.matrix[OPINION, EARLY_WIDTH:] = scale * direction
    fitted.offset[OPINION] = was.mean() - scale * now.mean()

    model = AutoModelForImageTextToText.from_pretrained(chosen.model, dtype=torch.float32)
    model.model.vision_tower.load_state_dict(pipeline.tower_with(material).state_dict())
    pipeline.save(model, AutoProcessor.from_pretrained(chosen.model), chosen.out / "model")
    counts = {name: list(part.values()).count(name) for name in ("train", "validation", "test")}
    print(f"{chosen.out / 'model'}: knows the opinions of {len(known)} photos; {chosen.out / 'split.csv'}: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
