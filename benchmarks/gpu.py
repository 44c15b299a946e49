"""What each method costs on this device, with a model of real size and random weights; nothing is downloaded.

    python -m benchmarks.gpu                                  Qwen3-VL-8B's shape: ten minutes on a large GPU
    python -m benchmarks.gpu --shape qwen2.5-vl-7b --only visualquality-r1
    python -m benchmarks.gpu --tiny                           a tiny model, on a CPU too
    python -m benchmarks.gpu --tiny --repeats 0               counts alone

Per method and number of photos, of one size, of mixed sizes and of 12 megapixels: milliseconds per photo, peak memory,
the share of the time that the device works, padded over real tokens, the time of the naive loop (transformers as is,
one prompt at a time, pixels each time) over ours in the same run, and operations over the least that answers the same
prompts (`benchmarks.flops`). Tokens and images are counted by hooks on the model's passes. Results are kept after each
row, and the same command goes on where it was killed or out of time; what does not fit into memory is a line with its
reason.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.counting import counting, floor
from benchmarks.flops import flops
from benchmarks.shapes import SHAPES, config, random_lmm
from leaderboard.runs.provenance import commit
from methods import files

RESULTS = Path(__file__).parent / "results"
TWELVE = (4032, 3024)
SAMPLES = 6
MIXED = ((1.0, 1.0), (0.75, 1.33), (0.5, 0.5), (1.0, 0.75), (0.66, 1.0), (0.8, 0.8), (0.4, 0.6), (1.0, 0.67))
"""Widths and heights of eight photos, as shares of the size that is measured."""


def made(size: tuple[int, int], seed: int) -> Image.Image:
    """Smooth colours with noise: a photo as far as costs go."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noisy = np.asarray(coarse, dtype=np.int16) + rng.integers(-8, 9, (size[1], size[0], 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


class Bands:
    """Seven regions, the paper's number, without a segmenter's own time."""

    name = "bands"

    def masks(self, image: Image.Image) -> list[np.ndarray]:
        edges = np.linspace(0, image.height, 8).astype(int)
        masks = []
        for top, bottom in itertools.pairwise(edges):
            mask = np.zeros((image.height, image.width), dtype=bool)
            mask[top:bottom] = True
            masks.append(mask)
        return masks


clock = time.monotonic
Work = Callable[[list[Image.Image]], Any]


def works(lmm: Any, tokens: int, references: int, side: int) -> dict[str, Callable[[], Work]]:
    """By method: what makes a function that scores a list of photos."""
    from methods.iqarag.encoders import OwnEncoder
    from methods.iqarag.method import IQARAG
    from methods.iqarag.reference_set import ReferenceSet
    from methods.leaf.method import LEAF
    from methods.llm_iqa.method import LLMIQA
    from methods.q_bench.method import QBench
    from methods.q_debias.method import QDebias
    from methods.visualquality_r1.prompts import prompt

    def retrieval() -> Work:
        images = [made((side, side * 3 // 4), 10_000 + number) for number in range(references)]
        mos, encoder = np.linspace(0, 1, references), OwnEncoder(lmm)
        known = ReferenceSet(images, mos, encoder.embed(images), encoder.name, revision=encoder.revision)
        return IQARAG(lmm, references=known).assess_batch

    # Random weights state no score, so only the answers are drawn.
    def reasoning(photos: list[Image.Image]) -> Any:
        return lmm.generate([prompt(photo, "paper") for photo in photos], n=SAMPLES, max_new_tokens=tokens, top_k=50)

    return {
        "q-bench": lambda: QBench(lmm).assess_batch,
        "iqarag": retrieval,
        "llm-iqa": lambda: LLMIQA(lmm, own_segmenter=Bands()).assess_batch,
        "visualquality-r1": lambda: reasoning,
        "q-debias": lambda: QDebias(lmm).assess_batch,
        "leaf": lambda: LEAF().assess_batch,
    }


class Device:
    """The clock and the memory of a device."""

    def __init__(self, name: str) -> None:
        import torch

        self._cuda = torch.cuda if name.startswith("cuda") else None
        self.card = torch.cuda.get_device_name() if self._cuda else "cpu"

    def seconds(self, work: Callable[[], Any]) -> float:
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        if self._cuda:
            self._cuda.synchronize()

    def peak(self, work: Callable[[], Any]) -> int | None:
        """Bytes that were allocated at once while it ran; None on a CPU."""
        if not self._cuda:
            work()
            return None
        self._cuda.reset_peak_memory_stats()
        work()
        return int(self._cuda.max_memory_allocated())

    def busy(self, work: Callable[[], Any]) -> float | None:
        """Device time over wall time; None on a CPU."""
        if not self._cuda:
            return None
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as traced:
            wall = self.seconds(work)
        return sum(event.self_device_time_total for event in traced.key_averages()) / 1e6 / wall

    def clean(self) -> None:
        gc.collect()
        if self._cuda:
            self._cuda.empty_cache()


def naive(lmm: Any, asked: list[tuple[list[Any], int, int]]) -> None:
    """The same prompts one at a time, with transformers as it comes."""
    from methods.lmm.plain import PlainRunner
    from methods.lmm.sampling import Sampling

    plain = PlainRunner(lmm.model, lmm.processor)
    for rendered, samples, new in asked:
        if samples:
            plain.generate(rendered, samples, Sampling(new, 1.0, 1.0, 50, 0))
        else:
            for one in rendered:
                plain.next_logits(one)


def measured(lmm: Any, device: Device, work: Work, photos: list[Image.Image],
             repeats: int, compared: bool, shape: Any, kept: set[str]) -> dict[str, Any]:
    """One method on some photos.

    Args:
        compared: whether the naive loop is timed as well.
        shape: config for which operations are counted.
        kept: hashes of the images whose encodings stay from call to call: IQARAG's references.
    """

    def cold() -> None:
        # The photos are new ones, and so are crops and copies of them; what the method keeps of others stays.
        for key in [key for key in lmm.vision._cache if key.content not in kept]:
            lmm.vision.cached_bytes -= lmm.vision._cache.pop(key).bytes
        work(photos)

    with counting(lmm) as counter:  # the first run: what is timed after it finds everything warm
        peak = device.peak(cold)
    row: dict[str, Any] = {"peak_gb": peak and peak / 1e9}
    if repeats:
        row |= {"ms": 1000 * statistics.median(device.seconds(cold) for _ in range(repeats)) / len(photos),
                "busy": device.busy(cold)}
    if not counter.prompts:
        return row
    least, alone = floor(lmm, counter.prompts, kept)
    real = counter.done.tokens - counter.done.padding
    row |= {"tokens": counter.done.tokens, "padding": counter.done.padding / real, "floor_tokens": least.tokens,
            "naive_tokens": alone, "patches": counter.done.patches, "floor_patches": least.patches,
            "floor": flops(shape, counter.done) / flops(shape, least), "tflop": flops(shape, counter.done) / 1e12}
    if compared and repeats:
        slow = device.seconds(lambda: naive(lmm, counter.prompts))
        row["naive"] = 1000 * slow / len(photos) / row["ms"]
    return row


def step_ms(lmm: Any, device: Device, photo: Image.Image, samples: int, tokens: int) -> float:
    """Milliseconds of one decoding step of so many answers side by side: what longer answers add."""
    from methods.visualquality_r1.prompts import prompt

    question = [prompt(photo, "paper")]

    def answer(new: int) -> Callable[[], Any]:
        return lambda: lmm.generate(question, n=samples, max_new_tokens=new, top_k=50)

    answer(2)()
    short, long = device.seconds(answer(2)), device.seconds(answer(2 + tokens))
    return 1000 * (long - short) / tokens


def survives(lmm: Any, work: Work, size: tuple[int, int]) -> list[dict[str, Any]]:
    """With less and less memory: whether a photo is scored or refused in a sentence, and a small one works after."""
    import torch

    from methods.lmm.base import LMMError

    rows = []
    total, held = torch.cuda.mem_get_info()[1], torch.cuda.memory_allocated()
    for room in (6e9, 2e9, 0.5e9):
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(1.0, (held + room) / total))
        row: dict[str, Any] = {"room_gb": room / 1e9, "outcome": "scored"}
        try:
            work([made(size, 77)])
        except LMMError as error:
            row["outcome"] = str(error)
        torch.cuda.set_per_process_memory_fraction(1.0)
        work([made((256, 192), 78)])
        rows.append({**row, "works_after": True})
    return rows


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [f"{results['card']}, random weights of {results['shape']}, {results['settings']['photo']} photos, commit "
             f"{results['commit'][:12]}; operations counted for {results['operations_of']}.", "",
             "| method | photos | ms per photo | naive loop / ours | tokens | least tokens | Tflop | operations / "
             "floor | padding | peak GB | busy |", "|---|---|---|---|---|---|---|---|---|---|---|"]

    def cell(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    for name, rows in results["methods"].items():
        for row in rows:
            if "error" in row:
                lines.append(f"| {name} | {row['photos']} | {row['error']} | | | | | | | | |")
                continue
            lines.append(f"| {name} | {row['photos']} | {cell(row.get('ms'), '.1f')} | "
                         f"{cell(row.get('naive'), '.2f')} | {cell(row.get('tokens'), ',')} | "
                         f"{cell(row.get('floor_tokens'), ',')} | {cell(row.get('tflop'), '.3g')} | "
                         f"{cell(row.get('floor'), '.2f')} | {cell(row.get('padding'), '.1%')} | "
                         f"{cell(row.get('peak_gb'), '.1f')} | {cell(row.get('busy'), '.2f')} |")
    for samples, value in results.get("step_ms", {}).items():
        lines.append(f"\nA decoding step of {samples} answers side by side: {value:.1f} ms.")
    return "\n".join(lines) + "\n"


def sizes_of(count: str, size: tuple[int, int]) -> tuple[str, list[tuple[int, int]]]:
    """A row's name and the sizes of its photos, by an entry of --counts."""
    if count == "mixed":
        return f"{len(MIXED)} mixed, up to {size[0]}x{size[1]}", [
            (max(32, round(size[0] * width)), max(32, round(size[1] * height))) for width, height in MIXED]
    if count == "12mp":
        return f"1 of {TWELVE[0]}x{TWELVE[1]}", [TWELVE]
    return f"{int(count)} of {size[0]}x{size[1]}", [size] * int(count)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=[name for name in SHAPES if name != "tiny"], default="qwen3-vl-8b")
    parser.add_argument("--tiny", action="store_true", help="a tiny model and small photos; operations of --shape")
    parser.add_argument("--photo", help="WIDTHxHEIGHT (default: 1024x768, with --tiny 256x192)")
    parser.add_argument("--counts", default="1,8,32,mixed,12mp",
                        help="numbers of photos, mixed (eight of several sizes) and 12mp (one) (1,8,32,mixed,12mp)")
    parser.add_argument("--only", help="methods, joined by commas")
    parser.add_argument("--budget-seconds", type=float, help="begin no measurement after so long")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs; 0 counts alone (3)")
    parser.add_argument("--again", action="store_true", help="measure what is in the results as well")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    began = clock()
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch

    from methods.lmm.base import LMMError

    where = "cuda" if torch.cuda.is_available() else "cpu"
    if where == "cpu" and not arguments.tiny:
        raise SystemExit("There is no CUDA device here; a model of real size needs one. Try --tiny.")
    device = Device(where)
    name = "tiny" if arguments.tiny else arguments.shape
    photo = arguments.photo or ("256x192" if arguments.tiny else "1024x768")
    size = (int(photo.split("x")[0]), int(photo.split("x")[1]))
    jobs = dict(sizes_of(count, size) for count in arguments.counts.split(","))
    tokens, references = (8, 12) if arguments.tiny else (128, 60)
    settings = {"photo": photo, "tokens": tokens, "repeats": arguments.repeats}

    card = device.card.lower().replace(" ", "-")
    path = arguments.out / f"gpu-{card}-{name}.json"
    results: dict[str, Any] = {"card": device.card, "shape": name, "operations_of": arguments.shape,
                               "torch": torch.__version__, "commit": commit(), "settings": settings,
                               "methods": {}}
    if path.exists() and not arguments.again:
        before = json.loads(path.read_text())
        if all(before.get(key) == results[key] for key in ("operations_of", "torch", "commit", "settings")):
            results = before

    def keep() -> None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        files.replace(path, json.dumps(results, indent=1) + "\n")

    def late() -> bool:
        return arguments.budget_seconds is not None and clock() - began > arguments.budget_seconds

    lmm = random_lmm(name, where)
    shape = config(arguments.shape)
    makers = works(lmm, tokens, references, max(64, size[0] // 2))
    asked = arguments.only.split(",") if arguments.only else list(makers)
    if unknown := set(asked) - set(makers):
        raise SystemExit(f"There is no method {min(unknown)}; choose among {', '.join(makers)}.")
    for method in asked:
        rows = results["methods"].get(method, [])
        left = {name: sizes for name, sizes in jobs.items() if name not in [row["photos"] for row in rows]}
        if not left or late():
            continue
        lmm.vision.clear()
        work = makers[method]()
        kept = {key.content for key in lmm.vision._cache}
        for label, sizes in left.items():
            if late():
                break
            row: dict[str, Any] = {"photos": label}
            try:
                photos = [made(one, seed) for seed, one in enumerate(sizes)]
                # The naive loop of many photos takes as long as that of a few, for each.
                row |= measured(lmm, device, work, photos, arguments.repeats, len(sizes) <= 8, shape, kept)
            except (LMMError, torch.OutOfMemoryError) as error:
                row["error"] = str(error).splitlines()[0]
            device.clean()
            if "error" in row:
                work([made((256, 192), 78)])
                row["works_after"] = True
            rows.append(row)
            results["methods"][method] = rows
            keep()
            print(json.dumps({"method": method, **row}), flush=True)
    if arguments.repeats and "visualquality-r1" in asked and "step_ms" not in results and not late():
        results["step_ms"] = {samples: step_ms(lmm, device, made(size, 0), samples, tokens) for samples in (1, SAMPLES)}
        keep()
    if where == "cuda" and "q-debias" in asked and "out_of_memory" not in results and not late():
        results["out_of_memory"] = survives(lmm, makers["q-debias"](), (2048, 1536))
        keep()
    print(table(results))
    files.replace(path.with_suffix(".md"), table(results))


if __name__ == "__main__":
    main()
