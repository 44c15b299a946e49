"""A base for RL2R that can write but knows few opinions, with a split of the photos that it has not seen.

    python -m methods.embedded.lmm --scores LIVE/scores.csv --images KODAK MIT --out OUT --cache CACHE --only 0
    python benchmarks/visualquality_r1_base.py --scores LIVE/scores.csv --images KODAK MIT --cache CACHE --out BASE

The embedded model reads quality by opinion off the activations of its tower by one regression. Here that regression is
fitted again, to the opinions of a few photos instead of all; everything else is fold 0's model, which never saw the
photos of fold 0. So the base writes as fluently as the embedded model and ranks photos worse, and what training with
opinions gains can be measured: fold 0 is the test part, and the other photos are dealt 3:1 to training and validation.
The photos whose opinions the base knows are training photos.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

FOLD = 0
FOLDS = 5


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
    parser.add_argument("--scores", type=Path, required=True, metavar="CSV")
    parser.add_argument("--images", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--cache", type=Path, required=True, help="the embedded model's training cache, with fold 0")
    parser.add_argument("--known", type=int, default=20, help="opinions that the base knows (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for model/ and split.csv")
    chosen = parser.parse_args()
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from methods.data import deal_folds
    from methods.embedded.lmm import pipeline, readout
    from methods.embedded.lmm.__main__ import rated_of
    from methods.embedded.lmm.readout import OPINION
    from methods.visualquality_r1.training.data import write_split

    rated = rated_of(None, [chosen.scores])
    material = pipeline.prepare(rated, chosen.images, chosen.cache, FOLDS)
    names = rated[0].names
    part, known = deal(names, deal_folds(len(names), FOLDS), chosen.known, chosen.seed)
    write_split({(chosen.scores.stem, name): part[name] for name in names}, chosen.out / "split.csv")

    hidden = [shot if shot.role != "opinion" or names[shot.group] in known else dataclasses.replace(shot, mos=np.nan)
              for shot in material.shots]
    training = np.array([not shot.held_out for shot in hidden]) & (material.fold_of != FOLD)
    fitted = readout.fit(hidden, material.means, training)
    # The decoder knows how loud the read-out is over photos; their opinions are not needed to make it as loud again.
    photos = material.rated_whole[material.fold_of[material.rated_whole] != FOLD]
    before = readout.Directions.load(chosen.cache / f"fold-{FOLD}" / "fitted.npz")
    was, now = (one.training_tokens(material.grids)[photos, :, OPINION].mean(axis=1) for one in (before, fitted))
    scale = was.std() / now.std()
    fitted.matrix[OPINION] *= scale
    fitted.offset[OPINION] = scale * (fitted.offset[OPINION] - now.mean()) + was.mean()

    source = chosen.cache / f"fold-{FOLD}" / "model"
    model = AutoModelForImageTextToText.from_pretrained(source, dtype=torch.float32)
    model.model.vision_tower.load_state_dict(pipeline.tower_with(material, fitted).state_dict())
    pipeline.save(model, AutoProcessor.from_pretrained(source), chosen.out / "model")
    counts = {name: list(part.values()).count(name) for name in ("train", "validation", "test")}
    print(f"{chosen.out / 'model'}: knows the opinions of {len(known)} photos; {chosen.out / 'split.csv'}: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
