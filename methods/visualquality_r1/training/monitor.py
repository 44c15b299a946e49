"""Watches an RL2R run: validation SRCC and PLCC, spread, reward and readability, as a CSV and as curves (Figure 3)."""

from __future__ import annotations

import contextlib
import csv
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import TrainerCallback

from methods import files
from methods.agreement.metrics import plcc, srcc
from methods.data import RatedPicture
from methods.images import decode
from methods.visualquality_r1.answer import parse_score
from methods.visualquality_r1.prompts import prompt

if TYPE_CHECKING:
    from PIL.Image import Image
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from methods.lmm.base import LMM
    from methods.lmm.loaded import Model, Processor

COLUMNS = ("step", "srcc", "plcc", "spread", "readable", "pictures")


def validate(lmm: LMM, pictures: Sequence[RatedPicture], *, wording: str, samples: int, max_new_tokens: int,
             longest_side: int | None, batch: int = 8) -> dict[str, float]:
    """How well a model's mean sampled scores order rated images.

    Each process asks about its part of the images, every n-th from its own place on, and all get the same result.
    What is said of an image depends on its own seeds alone, so any number of processes gives the same result.

    Args:
        lmm: an `LMM`.
        pictures: of any sets, the same in every process; correlations are computed within each set and averaged.
        samples: K.

    Returns:
        srcc, plcc, spread (mean deviation of an image's K scores), readable (share of texts with a score), pictures
        (how many images had a score). NaN where too few images have one.
    """
    from accelerate import PartialState
    from accelerate.utils import gather_object

    state = PartialState()
    mine = range(len(pictures))[state.process_index :: state.num_processes]
    scores: dict[int, list[float | None]] = {}
    for start in range(0, len(mine), batch):
        part = mine[start : start + batch]
        images = [_reduced(decode(pictures[index].path).image, longest_side) for index in part]
        texts = lmm.generate([prompt(image, wording) for image in images], n=samples, max_new_tokens=max_new_tokens,
                             temperature=1.0, top_k=50)
        scores |= {index: [parse_score(text) for text in answers] for index, answers in zip(part, texts, strict=True)}
    together = {index: drawn for share in gather_object([scores]) for index, drawn in share.items()}
    return _summary(pictures, [together[index] for index in range(len(pictures))])


def _summary(pictures: Sequence[RatedPicture], scores: Sequence[Sequence[float | None]]) -> dict[str, float]:
    """What `validate` returns, of each image's K scores; None for a text without one."""
    readable = [[score for score in drawn if score is not None] for drawn in scores]
    means = np.array([np.mean(drawn) if drawn else math.nan for drawn in readable])
    spreads = [np.std(drawn, ddof=1) for drawn in readable if len(drawn) > 1]
    return {
        "srcc": _within_sets(srcc, pictures, means),
        "plcc": _within_sets(plcc, pictures, means),
        "spread": float(np.mean(spreads)) if spreads else math.nan,
        "readable": float(np.mean([len(some) / len(drawn) for some, drawn in zip(readable, scores)])),
        "pictures": int(np.isfinite(means).sum()),
    }


def _reduced(image: Image, longest_side: int | None) -> Image:
    if longest_side:
        image.thumbnail((longest_side, longest_side))
    return image


def _within_sets(metric: Callable[[np.ndarray, np.ndarray], float], pictures: Sequence[RatedPicture],
                 means: np.ndarray) -> float:
    values = []
    for source in dict.fromkeys(picture.dataset for picture in pictures):
        rows = [row for row, picture in enumerate(pictures) if picture.dataset == source and np.isfinite(means[row])]
        mos = np.array([pictures[row].mos for row in rows])
        if len(rows) > 2 and np.ptp(mos) > 0 and np.ptp(means[rows]) > 0:
            values.append(metric(mos, means[rows]))
    return float(np.mean(values)) if values else math.nan


class ValidationMonitor(TrainerCallback):
    """Validates before the first step, every `every` steps and after the last; appends to `validation.csv`.

    The processes share the images out, once each holds the whole model; the first process writes.

    Args:
        pictures: the validation part.
        processor: the model's.
        folder: where `validation.csv` goes; rows of a resumed run are appended, never repeated.
        every: steps between validations.
        settings: of `validate`.
    """

    def __init__(self, pictures: Sequence[RatedPicture], processor: Processor, folder: Path, every: int, **settings: Any
                 ) -> None:
        self._pictures, self._processor, self._folder = list(pictures), processor, folder
        self._every, self._settings = every, settings
        self.trainer: Any = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
                       ) -> None:
        # A resumed run goes on as if it had never stopped, without a row of its own.
        if state.global_step == 0:
            self._validate(0)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.global_step % self._every == 0:
            self._validate(state.global_step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
               logs: dict[str, float] | None = None, **_: object) -> None:
        if state.is_world_process_zero and logs and "rewards/fidelity/mean" in logs:
            print(f"step {state.global_step} of {state.max_steps}: "
                  f"reward {spelled(logs['rewards/fidelity/mean'], '.3f')}, "
                  f"spread {spelled(logs.get('spread'), '.3f')}, "
                  f"readable {spelled(logs.get('readable'), '.0%')}, KL {spelled(logs.get('kl', 0), '.4f')}, "
                  f"{spelled(logs.get('step_time'), '.1f')} s", flush=True)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self._validate(state.global_step)

    def _validate(self, step: int) -> None:
        if step in {row["step"] for row in read_curve(self._folder)}:
            return
        from methods.lmm.transformers_lmm import TransformersLMM

        with self._sampled() as network:
            result = validate(TransformersLMM.wrap(network, self._processor, "in training"), self._pictures,
                              **self._settings)
        if self.trainer.accelerator.is_main_process:
            _append(self._folder / "validation.csv", {"step": step, **result})
            print(f"step {step}: validation SRCC {spelled(result['srcc'], '.3f')}, "
                  f"spread {spelled(result['spread'], '.3f')}, readable {result['readable']:.0%}", flush=True)
        self.trainer.accelerator.wait_for_everyone()


    @contextlib.contextmanager
    def _sampled(self) -> Iterator[Model]:
        """The policy as it is sampled: whole, in evaluation mode, in the precision of the training passes."""
        from accelerate.utils import is_peft_model
        from trl.models import unwrap_model_for_generation

        accelerator = self.trainer.accelerator
        with unwrap_model_for_generation(self.trainer.model_wrapped, accelerator) as model, accelerator.autocast():
            training = model.training
            model.eval()
            # Adapters sit inside the network, so it answers with them.
            yield model.get_base_model() if is_peft_model(model) else model
            model.train(training)


def spelled(value: float | str | None, form: str) -> str:
    """A logged number as text; "unknown" for one that a step could not know, which TRL hands over as None or text."""
    number = math.nan if value is None else float(value)
    return "unknown" if math.isnan(number) else format(number, form)


def _append(path: Path, row: dict[str, float]) -> None:
    header = [] if path.exists() else [COLUMNS]
    files.append(path, files.csv_text([*header, [row[name] for name in COLUMNS]]))


def read_curve(folder: Path) -> list[dict[str, float]]:
    """The rows of `validation.csv`, numbers parsed; empty where there is none."""
    path = folder / "validation.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


STRONG, PALE, SECOND = "#1f8a8a", "#b5d5d5", "#c26a3d"


def running_mean(values: Sequence[float], share: float = 0.05) -> np.ndarray:
    """Each value with those before and after it averaged, over a window of that share of all; as long as `values`."""
    reach = max(1, round(len(values) * share / 2))
    return np.array([np.mean(values[max(0, index - reach) : index + reach + 1]) for index in range(len(values))])


def draw_curves(folder: Path, log: Sequence[dict[str, Any]]) -> Path:
    """Reward, spread and validation SRCC over the steps as one image, `curves.png`.

    Args:
        log: the trainer's `state.log_history`.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    validation = read_curve(folder)
    logged = [row for row in log if "rewards/fidelity/mean" in row]
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.8), layout="constrained")
    panels = (
        ("Fidelity reward of a batch", "rewards/fidelity/mean", None),
        ("Spread of an image's scores", "spread", "spread"),
        ("Validation SRCC", None, "srcc"),
    )
    for axis, (title, of_batch, of_validation) in zip(axes, panels):
        if of_batch and logged:
            # A step in which no image had two readable scores has no spread.
            points = [(row["step"], float(row[of_batch])) for row in logged if row.get(of_batch) is not None]
            steps, values = [step for step, _ in points], [value for _, value in points]
            axis.plot(steps, values, color=PALE, linewidth=0.8, label="batch")
            axis.plot(steps, running_mean(values), color=STRONG, label="batch, running mean")
        if of_validation and validation:
            steps, values = zip(*[(row["step"], row[of_validation]) for row in validation])
            axis.plot(steps, values, color=SECOND if of_batch else STRONG, marker="o", markersize=3, label="validation")
        if of_batch and of_validation:
            axis.legend(fontsize=7, frameon=False)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel("step")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    path = folder / "curves.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
