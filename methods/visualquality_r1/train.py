"""RL2R from the command line: `python -m methods.visualquality_r1.train --model M --data a.csv --data b.csv`.

One process or many: `accelerate launch --config_file methods/visualquality_r1/configs/zero3.yaml -m
methods.visualquality_r1.train ...` runs the same on several GPUs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from methods.visualquality_r1.prompts import VARIANTS as WORDINGS
from methods.visualquality_r1.thurstone import GAMMA, VARIANTS


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m methods.visualquality_r1.train", description="Train a vision-language model to rank pictures "
        "by quality: GRPO with VisualQuality-R1's fidelity reward.",
    )
    made.add_argument("--model", default="Qwen/Qwen2.5-VL-7B-Instruct",
                      help="Hub id or checkpoint folder of a vision-language model, or 'embedded'")
    made.add_argument("--data", action="append", required=True, type=Path, metavar="CSV",
                      help="table of image,mos; repeat for several sets, each on its own scale")
    made.add_argument("--images", action="append", type=Path, metavar="DIR",
                      help="folder of a table's pictures, one for each --data; default: the table's own folder")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoints, logs and the trained model")
    made.add_argument("--split", type=Path, metavar="CSV",
                      help="split to use; written there if it does not exist (default: OUT/split.csv)")
    made.add_argument("--content", metavar="REGEX",
                      help="what of a picture's name is its content, '^I(\\d+)_' for KADID-10k; parts of a split never "
                      "share a content")
    made.add_argument("--generations", type=int, default=6, help="K, answers a picture")
    made.add_argument("--batch", type=int, default=8, help="pictures a device and step")
    made.add_argument("--accumulate", type=int, default=1, help="steps of gradients that are added up")
    made.add_argument("--epochs", type=float, default=10.0)
    made.add_argument("--max-steps", type=int, default=-1, help="end after this many steps")
    made.add_argument("--lr", type=float, default=1e-6, help="decays linearly")
    made.add_argument("--beta", type=float, default=0.04, help="weight of the KL term")
    made.add_argument("--clip", type=float, default=0.2, help="epsilon of Eq. 5")
    made.add_argument("--reward", choices=VARIANTS, default="mean", help="Table 4: Eq. 1, Eq. 7, fixed or binary")
    made.add_argument("--gamma", type=float, default=GAMMA, help="constant in Eq. 1's denominator")
    made.add_argument("--eps", type=float, default=0.0, help="inside Eq. 3's roots; the released code has 1e-6")
    made.add_argument("--format-reward", type=float, default=0.0, help="its weight; the released code has 1")
    made.add_argument("--wording", choices=tuple(WORDINGS), default="paper")
    made.add_argument("--max-new-tokens", type=int, default=2048)
    made.add_argument("--longest-side", type=int, help="reduce pictures to this many pixels first")
    made.add_argument("--validate-every", type=int, default=50, metavar="STEPS")
    made.add_argument("--validation-pictures", type=int, help="validate on this many (default: all of the part)")
    made.add_argument("--save-every", type=int, default=50, metavar="STEPS")
    made.add_argument("--no-gradient-checkpointing", action="store_true", help="faster, needs more memory")
    made.add_argument("--seed", type=int, default=0)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when trained, 2 for a usage or data error, said in one sentence."""
    chosen = parser().parse_args(arguments)
    try:
        return train(chosen)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def train(chosen: argparse.Namespace) -> int:
    """Reads the sets, splits them, trains or resumes, validates, and writes the model, its log and its curves."""
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    try:
        import trl  # noqa: F401
    except ImportError:
        raise ValueError("Training needs TRL; install it with: pip install -r requirements-train.txt") from None
    from accelerate import PartialState
    from transformers.trainer_utils import get_last_checkpoint

    from methods.visualquality_r1.training import data

    folders = chosen.images or [None] * len(chosen.data)
    if len(folders) != len(chosen.data):
        raise ValueError(f"Give one --images for each --data; got {len(folders)} for {len(chosen.data)}.")
    pictures = data.read_sets(chosen.data, folders, chosen.content)
    chosen.out.mkdir(parents=True, exist_ok=True)
    split_file = chosen.split or chosen.out / "split.csv"
    state = PartialState()
    with state.main_process_first():
        if split_file.exists():
            parts = data.read_split(split_file, pictures)
        else:
            parts = data.split_by_content(pictures, chosen.seed)
            data.write_split(parts, split_file)
    training, validation = (data.part_of(pictures, parts, part) for part in ("train", "validation"))
    if chosen.validation_pictures:
        validation = validation[: chosen.validation_pictures]

    from methods.visualquality_r1.training.monitor import draw_curves, read_curve
    from methods.visualquality_r1.training.trainer import RL2RSettings, make_trainer

    settings = _settings(chosen, RL2RSettings)
    checkpoint = get_last_checkpoint(str(chosen.out))
    state.print(f"{len(training)} pictures to train on, {len(validation)} to validate; "
                f"{'resuming from ' + Path(checkpoint).name if checkpoint else 'starting anew'}")
    trainer = make_trainer(chosen.model, training, validation, chosen.out, settings)
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model(str(chosen.out / "model"))
    if state.is_main_process:
        (chosen.out / "settings.json").write_text(json.dumps({"model": chosen.model, **dataclasses.asdict(settings)},
                                                             indent=2))
        (chosen.out / "log.json").write_text(json.dumps(trainer.state.log_history, indent=1))
        curves = draw_curves(chosen.out, trainer.state.log_history)
        first, last = read_curve(chosen.out)[0], read_curve(chosen.out)[-1]
        print(f"validation SRCC {first['srcc']:.3f} -> {last['srcc']:.3f}, spread {first['spread']:.3f} -> "
              f"{last['spread']:.3f}; curves in {curves}")
    return 0


def _settings(chosen: argparse.Namespace, kind: type):
    renamed = {"images": chosen.batch, "gradient_accumulation": chosen.accumulate, "learning_rate": chosen.lr,
               "variant": chosen.reward, "format_weight": chosen.format_reward,
               "gradient_checkpointing": not chosen.no_gradient_checkpointing}
    names = [spec.name for spec in dataclasses.fields(kind)]
    given = {name: getattr(chosen, name) for name in names if hasattr(chosen, name) and name not in renamed}
    return kind(**{**given, **renamed})


if __name__ == "__main__":
    sys.exit(main())
