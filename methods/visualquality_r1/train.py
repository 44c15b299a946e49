"""RL2R from the command line: `mean-opinion train --model M --data a.csv --data b.csv`.

One process or many: `accelerate launch --config_file methods/visualquality_r1/configs/zero3.yaml -m
methods.visualquality_r1.train ...` runs the same on several GPUs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from methods import files
from methods.cli.arguments import at_least
from methods.cli.running import Command, run_one
from methods.data import KADID_SPLIT
from methods.errors import InputError
from methods.visualquality_r1.prompts import VARIANTS as WORDINGS
from methods.visualquality_r1.thurstone import GAMMA, VARIANTS
from methods.visualquality_r1.training.reward import WITHIN

if TYPE_CHECKING:
    from methods.visualquality_r1.training.trainer import RL2RSettings

COMMAND = Command("methods.visualquality_r1.train", "train an LMM to rank images by quality (RL2R)")

NEEDS_TRL = "Training needs TRL; install it with: pip install -r requirements-train.txt"


LORA_RATE = 1e-5
"""Adapters begin at zero and are few, and take a larger step than the paper's 1e-6 for all weights."""


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but not that a switch is off or that an option without one has none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, -1) else super()._get_help_string(action)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = Help
    parser.add_argument("--lmm", "--model", dest="model", default="Qwen/Qwen2.5-VL-7B-Instruct",
                        help="Hub id or checkpoint folder of a vision-language model, or 'embedded'")
    parser.add_argument("--scores", "--data", dest="data", action="append", required=True, type=Path, metavar="CSV",
                        help="table of image,mos; repeat for several sets, each on its own scale")
    parser.add_argument("--images", action="append", type=Path, metavar="DIR",
                        help="folder of a table's images, one per --scores; default: the table's own folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR",
                        help="checkpoints, logs and the trained model")
    parser.add_argument("--split", metavar="CSV",
                        help="split to use; written there if it does not exist (default: OUT/split.csv); or "
                             f"'{KADID_SPLIT}', the authors' split of KADID-10k, with other sets dealt by --seed")
    parser.add_argument("--content", metavar="REGEX",
                        help="what of an image's name is its content, '^I(\\d+)_' for KADID-10k; parts of a split "
                        "never share a content")
    parser.add_argument("--generations", type=at_least(2), metavar="N", default=6, help="K, answers per image")
    parser.add_argument("--batch-size", "--batch", dest="batch", type=at_least(1), metavar="N", default=8,
                        help="images per device and step")
    parser.add_argument("--accumulate", type=at_least(1), metavar="N", default=1,
                        help="steps of gradients that are added up")
    parser.add_argument("--epochs", type=at_least(0, float), default=10.0, metavar="N",
                        help="passes over the training part")
    parser.add_argument("--max-steps", type=int, default=-1, metavar="N", help="end after this many steps instead")
    parser.add_argument("--lr", type=at_least(0, float), metavar="N",
                        help="learning rate; decays linearly (default: 1e-6, with --lora 1e-5)")
    parser.add_argument("--beta", type=at_least(0, float), metavar="N", default=0.04, help="weight of the KL term")
    parser.add_argument("--clip", type=at_least(0, float), metavar="N", default=0.2, help="epsilon of Eq. 5")
    parser.add_argument("--reward", choices=VARIANTS, default="mean", help="Table 4: Eq. 1, Eq. 7, fixed or binary")
    parser.add_argument("--gamma", type=at_least(1e-30, float), metavar="N", default=GAMMA,
                        help="constant in Eq. 1's denominator")
    parser.add_argument("--eps", type=at_least(0, float), metavar="N", default=0.0,
                        help="inside Eq. 3's roots; the released code has 1e-6")
    parser.add_argument("--within", choices=WITHIN, default="batch",
                        help="what an image is compared with: all others of the batch, of every process (Eq. 3), or "
                             "those of its own process, as the released code does")
    parser.add_argument("--format-reward", type=at_least(0, float), metavar="N", default=0.0,
                        help="its weight; the released code has 1")
    parser.add_argument("--wording", choices=tuple(WORDINGS), default="paper",
                        help="the question, see the README")
    parser.add_argument("--max-new-tokens", type=at_least(1), default=2048, metavar="N",
                        help="longest answer, in tokens")
    parser.add_argument("--longest-side", type=at_least(1), metavar="N",
                        help="reduce images to this many pixels first")
    parser.add_argument("--validate-every", type=at_least(1), default=50, metavar="STEPS", help="SRCC and spread")
    parser.add_argument("--validation-pictures", type=at_least(1), metavar="N",
                        help="validate on the first N of the part; default: all")
    parser.add_argument("--save-every", type=at_least(1), default=50, metavar="STEPS", help="checkpoints")
    parser.add_argument("--freeze-vision", action="store_true", help="leave the vision tower as it is")
    parser.add_argument("--lora", type=at_least(0), default=0, metavar="R",
                        help="train adapters of this rank instead of all weights, for one card of 80 GB; 0: all")
    parser.add_argument("--vllm", choices=("colocate", "server"),
                        help="let vLLM sample the answers: on the same devices, or a server's")
    parser.add_argument("--vllm-url", metavar="URL", help="http://HOST:PORT of that server")
    parser.add_argument("--no-gradient-checkpointing", action="store_true", help="faster, needs more memory")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N",
                        help="of a new split, of the batches and of the answers")


def run(chosen: argparse.Namespace) -> int:
    """Reads the sets, splits them, trains or resumes, validates, and writes the model, its log and its curves."""
    from methods.torchvision_compat import ensure_torchvision
    from methods.visualquality_r1.training import data

    ensure_torchvision()
    import torch

    try:
        from accelerate import PartialState
    except ImportError:
        raise InputError(NEEDS_TRL) from None
    folders = chosen.images or [None] * len(chosen.data)
    if len(folders) != len(chosen.data):
        raise InputError(f"Give one --images for each --scores; got {len(folders)} for {len(chosen.data)}.")
    # Without a GPU, accelerate takes launched processes for single ones unless it is told.
    state = PartialState(cpu=not torch.accelerator.is_available())
    pictures = data.read_sets(chosen.data, folders, chosen.content, lambda note: state.print(f"note: {note}"))
    chosen.out.mkdir(parents=True, exist_ok=True)
    authors = chosen.split == KADID_SPLIT
    split_file = chosen.out / "split.csv" if authors or not chosen.split else Path(chosen.split)
    with state.main_process_first():
        if not split_file.exists():
            split = data.authors_split if authors else data.split_by_content
            data.write_split(split(pictures, chosen.seed), split_file)
        parts = data.read_split(split_file, pictures)
        if authors and parts != data.authors_split(pictures, chosen.seed):
            raise InputError(f"{split_file} is another split than {KADID_SPLIT}; choose another --out.")
        data.write_tables(data.part_of(pictures, parts, "test"), chosen.out, "test")
    training, validation = (data.part_of(pictures, parts, part) for part in ("train", "validation"))
    if not training or not validation:
        raise InputError(f"{split_file} leaves the training or the validation part empty; write a new split.")
    if chosen.validation_pictures:
        validation = validation[: chosen.validation_pictures]

    try:
        import trl  # noqa: F401
    except ImportError:
        raise InputError(NEEDS_TRL) from None
    from methods.visualquality_r1.training.monitor import draw_curves, read_curve, spelled
    from methods.visualquality_r1.training.trainer import RL2RSettings, checkpoint_of, make_trainer, save

    settings = _settings(chosen, RL2RSettings)
    checkpoint = last_checkpoint(chosen.out)
    with state.main_process_first():
        _keep_settings(chosen.out / "settings.json", chosen.model, settings, checkpoint is not None)
    state.print(f"{len(training)} images to train on, {len(validation)} to validate; "
                f"{'resuming from ' + checkpoint.name if checkpoint else 'starting anew'}")
    trainer = make_trainer(chosen.model, training, validation, chosen.out, settings)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    save(trainer, checkpoint_of(chosen.model), chosen.out)
    if state.is_main_process:
        files.replace(chosen.out / "log.json", json.dumps(trainer.state.log_history, indent=1))
        curves = draw_curves(chosen.out, trainer.state.log_history)
        first, last = read_curve(chosen.out)[0], read_curve(chosen.out)[-1]
        srcc, spread = (f"{spelled(first[column], '.3f')} -> {spelled(last[column], '.3f')}"
                        for column in ("srcc", "spread"))
        print(f"validation SRCC {srcc}, spread {spread}; curves in {curves}")
    return 0


def _settings(chosen: argparse.Namespace, kind: type) -> RL2RSettings:
    renamed = {"images": chosen.batch, "gradient_accumulation": chosen.accumulate, "learning_rate": chosen.lr,
               "variant": chosen.reward, "format_weight": chosen.format_reward,
               "gradient_checkpointing": not chosen.no_gradient_checkpointing}
    if chosen.lr is None:
        renamed["learning_rate"] = LORA_RATE if chosen.lora else kind.learning_rate
    names = [spec.name for spec in dataclasses.fields(kind)]
    values = {name: getattr(chosen, name) for name in names if hasattr(chosen, name) and name not in renamed}
    return kind(**{**values, **renamed})


def last_checkpoint(out: Path) -> Path | None:
    """The newest complete `checkpoint-STEP` in a folder, or None; a run may have been killed while it wrote one."""
    numbered = [(int(folder.name.split("-")[1]), folder) for folder in out.glob("checkpoint-*")
                if folder.name.split("-")[1].isdecimal()]
    for _, folder in sorted(numbered, reverse=True):
        # The trainer writes this file last.
        state = folder / "trainer_state.json"
        try:
            json.loads(state.read_text())
        except (OSError, json.JSONDecodeError):
            continue
        return folder
    return None


MAY_CHANGE = ("epochs", "max_steps", "validate_every", "save_every", "gradient_checkpointing", "vllm_url")
"""Settings that a resumed run may have otherwise than its beginning."""


def _keep_settings(path: Path, model: str, settings: RL2RSettings, resuming: bool) -> None:
    """Writes a run's settings, or holds those of a run that is resumed to them."""
    now = {"model": model, **dataclasses.asdict(settings)}
    if resuming and path.exists():
        before = json.loads(path.read_text())
        changed = [name for name in now if name in before and before[name] != now[name] and name not in MAY_CHANGE]
        if changed:
            name = changed[0]
            raise InputError(f"{path.parent} holds a run with {name} {before[name]}, not {now[name]}; give "
                             "the same settings to go on with it, or another --out.")
    files.replace(path, json.dumps(now, indent=2))


def main(argv: Sequence[str] | None = None) -> int:
    """Trains and returns the exit status; the entry point for `accelerate launch -m`."""
    words = list(sys.argv[1:] if argv is None else argv)
    return run_one("python -m methods.visualquality_r1.train", COMMAND, words)


if __name__ == "__main__":
    sys.exit(main())
